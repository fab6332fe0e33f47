"""One trailing window per market: its settlements by age, their mean and their deviation.

Belongs here: what figures of a market's newest window share. Does not: the figures (`signals`,
`stability`), windows that end at many points (`moving_averages`).

A settlement stands for its hours by a weight; nothing is spread out hour by hour. Sums are counts
of 2**-100 (see `measures`), so that a figure depends on nothing but its window's rows.
"""

import polars as pl

from funding_pipeline.transforms.distribution import deviations
from funding_pipeline.transforms.measures import (
    checked_points,
    checked_settlements,
    from_steps,
    steps_per_hour,
)

# Two rates that agree this closely are one rate: a new interval rounds the same rate differently.
ROUNDING = 1e-12


def aged(settlements: pl.DataFrame, as_of: pl.DataFrame, hours: int) -> pl.DataFrame:
    """The rows that pay for hours of (as_of - hours, as_of], sorted by market_id, oldest first.

    `as_of` has one row per market. Columns: market_id, rate_hourly (fraction per hour), `steps`
    (the same as a count of 2**-100), `newer` and `older` (Int32): the row pays, within the window,
    for the hours that begin `older` to `newer` + 1 hours before as_of. Raises as the `checked_*`
    functions of `measures`, and ComputeError when a market has two points.
    """
    ago = (pl.col("as_of") - pl.col("funding_time")).dt.total_hours().cast(pl.Int32)
    return (
        checked_settlements(settlements)
        .join(checked_points(as_of), on="market_id", validate="m:1", maintain_order="left")
        .select(
            "market_id",
            rate_hourly=pl.col("rate") / pl.col("interval_hours"),
            steps=steps_per_hour(),
            newer=ago.clip(lower_bound=0),
            older=(ago + pl.col("covered_hours")).clip(upper_bound=hours),
        )
        .filter(pl.col("newer") < pl.col("older"))
    )


def moments(rows: pl.DataFrame, hours: int, **more: pl.Expr) -> pl.DataFrame:
    """Mean and deviation of rate_hourly over the last `hours` of each market, sorted by market_id.

    Columns: market_id, covered_hours, mean, deviation, and the aggregates `more`, which may use
    the rows' columns and `weight` (hours of the row in the window). Mean and deviation are weighted
    by hours, the deviation is that of the whole window (divisor n, see `distribution`) and 0 where
    all rates agree up to rounding. No covered hour, no row.
    """
    weight = pl.col("weight")
    within = rows.filter(pl.col("newer") < hours).with_columns(
        weight=pl.col("older").clip(upper_bound=hours) - pl.col("newer")
    )
    apart = deviations(
        within.select("steps", group=pl.col("market_id").rle_id(), hours=pl.col("weight"))
    )
    rounding = ROUNDING * pl.col("largest")
    return (
        within.group_by("market_id", maintain_order=True)
        .agg(
            covered_hours=weight.sum(),
            mean=from_steps((pl.col("steps") * weight).sum()) / weight.sum(),
            largest=pl.col("rate_hourly").abs().max(),
            **more,
        )
        .with_columns(deviation=apart)
        .with_columns(
            deviation=pl.when(pl.col("deviation") > rounding).then("deviation").otherwise(0.0)
        )
        .drop("largest")
    )
