"""What has to be computed again when settlements of some (market, day) came, went or changed.

Belongs here: the reach of a change in time. Does not: how changes are recorded, the figures, and
points that are due only because time went on (no change asks for them: take the markets' last days
as dirty and keep the points after the last derivation).

A row of day d begins at d 00:00 or later and, with the longest interval of 24 h, ends by 23:00 of
the next day. It also moves the start of the row after it, whose weight is bounded by the gap
between the two: that row may have begun up to 24 h before, hence one day more on either side.
"""

from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.transforms.measures import TIME, conform, floor_hour
from funding_pipeline.transforms.moving_averages import WINDOWS_HOURS

HOURLY_KEPT = timedelta(days=7)

_DAYS: dict[str, pl.DataType] = {"market_id": pl.Int32(), "day": pl.Date()}
# settled_until: the newest settlement before those that came, where all of the day's came after it;
# null where anything else changed.
DIRTY: dict[str, pl.DataType] = {**_DAYS, "settled_until": TIME}
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_LONGEST_HOURS = max(WINDOWS_HOURS.values())


def days_to_refresh(dirty: pl.DataFrame) -> pl.DataFrame:
    """The distinct (market_id, day) whose daily statistics the dirty ones may change, sorted.

    `dirty` has market_id Int32 and day Date: the days (as `daily.paid_day`) of rows that were
    added, changed or removed, before and after. Raises polars' SchemaError on other types.
    """
    day = pl.col("day")
    neighbours = pl.concat_list(day - _DAY, day, day + _DAY)
    return (
        conform(dirty, _DAYS)
        .with_columns(day=neighbours)
        .explode("day")
        .unique()
        .sort("market_id", "day")
    )


def points_to_refresh(
    dirty: pl.DataFrame, *, now: datetime, longest_hours: int = _LONGEST_HOURS
) -> pl.DataFrame:
    """The distinct (market_id, as_of) whose moving averages the dirty days may change, sorted.

    With a longest window of 30 days (`longest_hours`): midnights (00:00 UTC, kept for ever) from
    the dirty day's own to 31 days after it, and hours between 24 h before the day and the end of
    day + 31, as far as they lie in the 7 days that end with `now` (naive UTC) floored to the hour;
    nothing later than that hour, and nothing before `settled_until`: what settles after a market's
    newest settlement changes no point before that. Pass the days of changed rows, one row each,
    with the schema `DIRTY`. Raises ValueError when `now` carries a time zone, polars' SchemaError
    on other types.
    """
    last = floor_hour(now)
    # A row of day d ends within d + 1; the longest window holds its last hour so many days on.
    reach = _reach(conform(dirty, DIRTY), 1 + -(-longest_hours // 24))
    return (
        pl.concat(
            [
                _grid(reach, from_=pl.col("first"), until=last, step=_DAY),
                _grid(
                    reach,
                    from_=pl.max_horizontal(
                        pl.col("first") - _DAY + _HOUR,
                        pl.lit(last - HOURLY_KEPT + _HOUR, dtype=TIME),
                    ),
                    until=last,
                    step=_HOUR,
                ),
            ]
        )
        .unique()
        .sort("market_id", "as_of")
    )


def _reach(dirty: pl.DataFrame, days: int) -> pl.DataFrame:
    """Runs of dirty days that share points, as midnight `first` and last touched hour `end`; points
    before `unchanged` are as they were.

    Without the runs a backfill of years would list every midnight 32 times.
    """
    apart = pl.col("day").diff().over("market_id") > timedelta(days=days + 1)
    return (
        dirty.sort("market_id", "day")
        .with_columns(run=apart.fill_null(value=True).cum_sum())
        .group_by("market_id", "run")
        .agg(
            first=pl.col("day").min().cast(TIME),
            end=pl.col("day").max().cast(TIME) + (days + 1) * _DAY - _HOUR,
            unchanged=pl.col("settled_until").fill_null(datetime(1970, 1, 1)).min(),
        )
    )


def _grid(reach: pl.DataFrame, *, from_: pl.Expr, until: datetime, step: timedelta) -> pl.DataFrame:
    until_expr = pl.min_horizontal("end", pl.lit(until, dtype=TIME))
    points = reach.select(
        "market_id", "unchanged", as_of=pl.datetime_ranges(from_, until_expr, step)
    )
    return (
        points.explode("as_of", empty_as_null=False)
        .filter(pl.col("as_of") >= pl.col("unchanged"))
        .drop("unchanged")
    )
