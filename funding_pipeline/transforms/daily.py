"""Daily statistics of one market: the settlements that paid for hours of that day.

Belongs here: figures keyed (market_id, day). Does not: windows that end at any hour
(`moving_averages`), figures across markets.
"""

from datetime import datetime

import polars as pl

from funding_pipeline.domain.rates import HOURS_PER_YEAR
from funding_pipeline.transforms.measures import (
    TIME,
    checked_settlements,
    coverage,
    floor_hour,
    from_steps,
    steps_per_hour,
    to_steps,
    with_live_hours,
)

DAILY_STATS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "day": pl.Date(),
    "settlements": pl.Int32(),
    "rate_sum": pl.Float64(),
    "rate_hourly_mean": pl.Float64(),
    "rate_hourly_min": pl.Float64(),
    "rate_hourly_max": pl.Float64(),
    "rate_hourly_open": pl.Float64(),
    "rate_hourly_close": pl.Float64(),
    "apr_mean": pl.Float64(),
    "positive_share": pl.Float64(),
    "covered_hours": pl.Int32(),
    "live_hours": pl.Int32(),
    "coverage": pl.Float64(),
}


def paid_day() -> pl.Expr:
    """The day (UTC) of a settlement, by the start of its quoted period: it pays what went before.

    An 8 h settlement at 04:00 belongs wholly to the day before.
    """
    return (pl.col("funding_time") - pl.duration(hours="interval_hours")).dt.date()


def daily_stats(settlements: pl.DataFrame, lives: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """One row per market and day that has settlements, sorted, with the schema `DAILY_STATS`.

    `rate_sum` is the realised funding of the day (fraction of notional); `rate_hourly_*` are per
    hour, the mean weighted by covered hours; `apr_mean` is that mean times 8760, a fraction;
    `positive_share` the share of covered hours with a rate above zero; `live_hours` those hours of
    the day that the market lived, up to `now` (naive UTC) floored to the hour; `coverage` is
    covered / live, at most 1. A day is right only if all its settlements are passed: for day d
    those stamped from d 01:00 to one interval past the next midnight.

    Raises ValueError and polars' SchemaError as `measures.checked_settlements`, `floor_hour` and
    `with_live_hours` say.
    """
    hourly = pl.col("rate_hourly")
    covered = pl.col("covered_hours").cast(pl.Int32)
    covered_total = covered.sum()
    days = (
        checked_settlements(settlements)
        .with_columns(day=paid_day(), rate_hourly=pl.col("rate") / pl.col("interval_hours"))
        .group_by("market_id", "day")
        .agg(
            settlements=pl.len(),
            rate_sum=from_steps(to_steps(pl.col("rate")).sum()),
            rate_hourly_mean=from_steps((steps_per_hour() * covered).sum()) / covered_total,
            rate_hourly_min=hourly.min(),
            rate_hourly_max=hourly.max(),
            rate_hourly_open=hourly.first(),
            rate_hourly_close=hourly.last(),
            positive_share=covered.filter(pl.col("rate") > 0).sum() / covered_total,
            covered_hours=covered_total,
        )
    )
    midnight = pl.col("day").cast(TIME)
    end = pl.min_horizontal(midnight + pl.duration(days=1), pl.lit(floor_hour(now), dtype=TIME))
    return (
        with_live_hours(days, lives, midnight, end)
        .with_columns(
            apr_mean=pl.col("rate_hourly_mean") * HOURS_PER_YEAR,
            coverage=coverage(),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in DAILY_STATS.items())
        .sort("market_id", "day")
    )
