"""Carry: what a position of 1 USD notional got from funding between two times.

Belongs here: the realised cash of one market and span. Does not: means over windows that end on the
grid (`moving_averages`), pairs of markets, prices, fees.

The SQL macros `carry` and `cumulative_funding` and the view `carry_windows` (migration 0007) have
the same definition; tests hold them against this function.
"""

from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.domain.rates import HOURS_PER_YEAR
from funding_pipeline.transforms.measures import (
    TIME,
    checked_settlements,
    coverage,
    floor_hour,
    from_steps,
    to_steps,
    with_live_hours,
)
from funding_pipeline.transforms.moving_averages import MIN_COVERAGE

CARRY: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "settlements": pl.Int64(),
    "long_carry": pl.Float64(),
    "short_carry": pl.Float64(),
    "annualised": pl.Float64(),
    "covered_hours": pl.Int64(),
    "coverage": pl.Float64(),
    "first_stamp": TIME,
    "last_stamp": TIME,
}


def carry(
    settlements: pl.DataFrame,
    lives: pl.DataFrame,
    *,
    from_time: datetime,
    to_time: datetime | None = None,
) -> pl.DataFrame:
    """One row per market that settled in (from_time, to_time], with the schema `CARRY`, sorted.

    A position opened at from_time gets whole settlements: those stamped later, up to and including
    to_time. `long_carry` is minus the sum of their rates, `short_carry` the sum: USD for 1 USD of
    notional held constant, so fractions, not compounded. `annualised` is long_carry per covered
    hour times 8760 (a short's is its negative); `covered_hours` counts all hours that those
    settlements pay for, also the hours of the first one that lie before from_time.

    `coverage`, as everywhere, is covered / live hours, here within the span: from the first whole
    hour at or after from_time to the last stamp, if by to_time no further settlement was due (less
    than the last row's interval later), else to to_time; whole hours count. It is 1 where no whole
    hour lies between. Below 0.8 the three amounts are null: a sum with holes is no carry.

    Times are naive UTC. Without to_time, or when it is later, the span ends with the newest
    settlement that was passed, whichever market's it is, so pass all markets'; `lives` as for
    `measures.with_live_hours`. ValueError for a time with a zone and as `checked_settlements`.
    """
    if to_time is not None and to_time.tzinfo is not None:
        raise ValueError("to_time must be naive UTC")
    start = pl.lit(_ceil_hour(from_time), TIME)
    rows = checked_settlements(settlements)
    newest = pl.lit(rows["funding_time"].max(), TIME)
    until = pl.min_horizontal(pl.lit(to_time, TIME), newest)
    paid = (
        rows.filter(pl.col("funding_time") > from_time, pl.col("funding_time") <= until)
        .group_by("market_id")
        .agg(
            settlements=pl.len(),
            steps=to_steps(pl.col("rate")).sum(),
            paid_hours=pl.col("covered_hours").cast(pl.Int64).sum(),
            first_stamp=pl.col("funding_time").first(),
            last_stamp=pl.col("funding_time").last(),
            first_covered=pl.col("covered_hours").first(),
            last_interval=pl.col("interval_hours").last(),
        )
    )
    first_begins = pl.col("first_stamp") - pl.duration(hours="first_covered")
    before = (start - first_begins).dt.total_hours().clip(lower_bound=0)
    next_due = pl.col("last_stamp") + pl.duration(hours="last_interval")
    end = pl.when(until < next_due).then("last_stamp").otherwise(until)
    told = pl.col("coverage") >= MIN_COVERAGE
    return (
        with_live_hours(
            paid.with_columns(covered_hours=pl.col("paid_hours") - before), lives, start, end
        )
        .with_columns(coverage=coverage().fill_nan(1.0))
        .with_columns(
            short_carry=pl.when(told).then(from_steps(pl.col("steps"))), covered_hours="paid_hours"
        )
        .with_columns(long_carry=0.0 - pl.col("short_carry"))
        .with_columns(annualised=pl.col("long_carry") / pl.col("covered_hours") * HOURS_PER_YEAR)
        .select(pl.col(name).cast(dtype) for name, dtype in CARRY.items())
        .sort("market_id")
    )


def _ceil_hour(moment: datetime) -> datetime:
    return floor_hour(moment - timedelta.resolution) + timedelta(hours=1)
