"""Moving averages of one market's hourly rate over windows that end at any whole hour.

Belongs here: figures keyed (market_id, window, as_of). Does not: which points are wanted or stale
(`refresh`), days (`daily`), figures across markets.

A window's sum is the difference of two running sums, so that a point costs two look-ups whatever
its window. Running sums cancel; here they are integers (see `measures`) and the difference is the
window's own sum, exact to its last 2**-100.
"""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from funding_pipeline.domain.rates import HOURS_PER_YEAR
from funding_pipeline.domain.windows import DEFAULT_WINDOWS, windows_hours
from funding_pipeline.transforms.measures import (
    checked_points,
    checked_settlements,
    coverage,
    from_steps,
    steps_per_hour,
    with_live_hours,
)

WINDOWS_HOURS = windows_hours(DEFAULT_WINDOWS)
MIN_COVERAGE = 0.8
MOVING_AVERAGES: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "window": pl.String(),
    "as_of": pl.Datetime("us"),
    "rate_hourly_mean": pl.Float64(),
    "apr": pl.Float64(),
    "covered_hours": pl.Int32(),
    "coverage": pl.Float64(),
    "settlements": pl.Int32(),
}


def moving_averages(
    settlements: pl.DataFrame,
    lives: pl.DataFrame,
    as_of: pl.DataFrame,
    windows: Mapping[str, int] = WINDOWS_HOURS,
) -> pl.DataFrame:
    """Return `MOVING_AVERAGES` columns, window by window, each sorted by market_id, as_of.

    `as_of` (market_id Int32, as_of in whole hours) names the points; repeated ones count once.
    `windows` gives hours by name. A settlement weighs by its overlap with (as_of - window, as_of],
    also the one stamped after as_of that pays for hours before it. `rate_hourly_mean` and `apr`
    (fractions) are null where coverage, covered / live hours of the window, is below 0.8;
    `settlements` counts the rows that overlap.
    No covered hour, no row. Points need the settlements stamped from the start of their longest
    window to as_of + 24 h (the longest interval); more change nothing, not even the last bit.

    Raises ValueError and polars' SchemaError as the `checked_*` functions of `measures` say.
    """
    rows = _running_sums(checked_settlements(settlements))
    points = checked_points(as_of)
    at_end = _after(rows, points)
    return pl.concat(
        _figures(name, _overlap(rows, points, at_end, timedelta(hours=hours)), lives)
        for name, hours in windows.items()
    )


def _running_sums(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row with the sums from it to its market's end: past the end all sums are 0."""
    hours = pl.col("covered_hours").cast(pl.Int32)
    return rows.select("market_id", "funding_time", hours, steps=steps_per_hour()).with_columns(
        steps_left=(pl.col("steps") * hours).cum_sum(reverse=True).over("market_id"),
        hours_left=hours.cum_sum(reverse=True).over("market_id"),
        rows_left=pl.int_range(pl.len(), 0, -1, dtype=pl.Int32).over("market_id"),
    )


def _after(rows: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """What lies after each point, in the points' order.

    Steps and hours after it, rows stamped after it, and 1 in `straddling` if one of those rows
    began before the point.
    """
    next_row = points.join_asof(
        rows,
        left_on="as_of",
        right_on="funding_time",
        by="market_id",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,  # both sides come sorted; polars cannot check within groups
    )
    until_stamp = (pl.col("funding_time") - pl.col("as_of")).dt.total_hours()
    begun = (pl.col("covered_hours") - until_stamp).clip(lower_bound=0).cast(pl.Int32)
    return next_row.select(
        steps=pl.col("steps_left") - pl.col("steps") * begun,
        hours=pl.col("hours_left") - begun,
        rows="rows_left",
        straddling=(begun > 0).cast(pl.Int32),
    ).fill_null(0)


def _overlap(
    rows: pl.DataFrame, points: pl.DataFrame, at_end: pl.DataFrame, length: timedelta
) -> pl.DataFrame:
    """Steps, hours and rows within (start, as_of] of every point that has any."""
    at_start = _after(rows, points.with_columns(pl.col("as_of") - length))
    return points.with_columns(
        start=pl.col("as_of") - length,
        steps=at_start["steps"] - at_end["steps"],
        covered_hours=at_start["hours"] - at_end["hours"],
        settlements=at_start["rows"] - at_end["rows"] + at_end["straddling"],
    ).filter(pl.col("covered_hours") > 0)


def _figures(window: str, overlap: pl.DataFrame, lives: pl.DataFrame) -> pl.DataFrame:
    mean = from_steps(pl.col("steps")) / pl.col("covered_hours")
    return (
        with_live_hours(overlap, lives, pl.col("start"), pl.col("as_of"))
        .with_columns(window=pl.lit(window), coverage=coverage())
        .with_columns(rate_hourly_mean=pl.when(pl.col("coverage") >= MIN_COVERAGE).then(mean))
        .with_columns(apr=pl.col("rate_hourly_mean") * HOURS_PER_YEAR)
        .select(pl.col(column).cast(dtype) for column, dtype in MOVING_AVERAGES.items())
    )
