"""What was known of pairs at each hour: the 24 h window by settlements stamped up to then.

Belongs here: the span's grid, windows, staleness and fees at its hours. Does not: what follows from
them (`opportunities`), windows of the newest state (`pair_windows`).

Pairs lie one behind the other, hour by hour, so that windows are differences of running sums.
"""

from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.transforms.hourly_grid import HourlyGrid, Known, hourly_grid, known
from funding_pipeline.transforms.measures import TIME, conform, from_steps
from funding_pipeline.transforms.moving_averages import MIN_COVERAGE
from funding_pipeline.transforms.pair_windows import MAX_LAG_HOURS

WINDOW_HOURS = 24
# Hours before the first one of a span whose settlements the span needs.
CONTEXT_HOURS = MAX_LAG_HOURS + WINDOW_HOURS
PAIRS: dict[str, pl.DataType] = {"first_id": pl.Int32(), "second_id": pl.Int32(), "since": TIME}
TAKER_FEES: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "valid_from": TIME,
    "taker": pl.Float64(),
}
_HOUR = timedelta(hours=1)


class Span:
    """The hours from 72 before the earliest `since` (schema `PAIRS`) to `until`.

    `pairs` has, beside, `first` and `second`, the index of each market's first hour in the grid,
    `since_hour`, and `first_fee` and `second_fee`, the lowest taker fee that holds at any time.
    """

    def __init__(
        self, settlements: pl.DataFrame, pairs: pl.DataFrame, fees: pl.DataFrame, until: datetime
    ) -> None:
        since: datetime = pairs["since"].min()  # type: ignore[assignment]
        hours = (until - since) // _HOUR + 1 + CONTEXT_HOURS
        markets = pl.concat([pairs["first_id"], pairs["second_id"]]).unique().sort()
        self.grid: HourlyGrid = hourly_grid(settlements, markets, last=until, hours=hours)
        self.known: Known = known(settlements, self.grid)
        self.fees = conform(fees, TAKER_FEES).sort("market_id", "valid_from")
        self.until = until
        self.places = pl.DataFrame({"market_id": markets}).with_columns(
            place=pl.int_range(pl.len(), dtype=pl.Int32) * hours
        )
        low = self.fees.group_by("market_id").agg(fee=pl.col("taker").min())
        legs = self.places.join(low, on="market_id")
        self.pairs = pairs.sort("first_id", "second_id")
        for leg in ("first", "second"):
            self.pairs = self.pairs.join(
                legs.rename({"place": leg, "fee": f"{leg}_fee"}),
                left_on=f"{leg}_id",
                right_on="market_id",
                maintain_order="left",
            )
        self.pairs = self.pairs.with_columns(since_hour=self.hour_of("since"))

    def hour_of(self, column: str) -> pl.Expr:
        """The grid's hour of a time."""
        return (pl.col(column) - self.grid.first).dt.total_hours().cast(pl.Int32)

    def time_of(self, column: str) -> pl.Expr:
        """The time of a grid's hour."""
        return pl.lit(self.grid.first, dtype=TIME) + pl.duration(hours=column)

    def taker(self, rows: pl.DataFrame, market: str, time: str) -> pl.Series:
        """The taker fee of each row's market at its time."""
        keyed = rows.select(market_id=market, at=time).with_row_index().sort("at")
        found = keyed.join_asof(
            self.fees.sort("valid_from"),
            left_on="at",
            right_on="valid_from",
            by="market_id",
            check_sortedness=False,  # both sides come sorted; polars cannot check within groups
        )
        return found.sort("index")["taker"]


def known_windows(span: Span, pairs: pl.DataFrame) -> pl.DataFrame:
    """Each pair's hours from `since`, for rows of `span.pairs` (`pair` is the number of the row):
    the mean of second - first of the window then known, null below a coverage of 0.8, and whether
    the pair was stale.
    """
    hours = span.grid.hours
    rows = pairs.select("first", "second", "since_hour").join(
        pl.DataFrame({"hour": pl.int_range(hours, dtype=pl.Int32, eager=True)}),
        how="cross",
        maintain_order="left_right",
    )
    first, second = rows["first"] + rows["hour"], rows["second"] + rows["hour"]
    rates, stamp, fresh = span.grid.rates, span.known.stamp, span.known.fresh_until
    spread = rates.gather(second) - rates.gather(first)
    flat = pl.DataFrame({"spread": spread}).select(
        total=pl.col("spread").fill_null(0).cum_sum(),
        count=pl.col("spread").is_not_null().cum_sum().cast(pl.Int32),
        common=pl.when(pl.col("spread").is_not_null())
        .then(pl.int_range(pl.len(), dtype=pl.Int32))
        .forward_fill(),
    )
    total, count, common = flat
    asked = (
        rows.with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32), first, second, pair=pl.col("row") // hours)
        .filter(pl.col("hour") >= pl.col("since_hour"))
    )
    first, second, row = asked["first"], asked["second"], asked["row"]
    settled = pl.select(pl.min_horizontal(stamp.gather(first), stamp.gather(second))).to_series()
    settled = settled.set(stamp.gather(first).is_null() | stamp.gather(second).is_null(), None)
    newest = common.gather(row - asked["hour"] + settled)
    # Also keeps out the hours of the pair before: no hour looked at is among the first 72.
    newest = newest.set(newest <= row - MAX_LAG_HOURS, None)
    counted = count.gather(newest) - count.gather(newest - WINDOW_HOURS)
    steps = total.gather(newest) - total.gather(newest - WINDOW_HOURS)
    late = (fresh.gather(first) < asked["hour"]) | (fresh.gather(second) < asked["hour"])
    return asked.select("pair", "hour", steps=steps, counted=counted, late=late).select(
        "pair",
        "hour",
        mean=pl.when(pl.col("counted") >= MIN_COVERAGE * WINDOW_HOURS).then(
            from_steps(pl.col("steps")) / pl.col("counted")
        ),
        stale=pl.col("late").fill_null(value=True) | pl.col("counted").is_null(),
    )
