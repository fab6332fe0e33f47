"""Settlements spread over the hours that they pay for, so that different intervals line up.

Belongs here: the grid of markets and hours, and what was known at each of its hours. Does not:
figures of pairs (`spreads`, `opportunities`).

The same grid as the view `apr`: a settlement stamped t with c covered hours stands for the hours
that end in (t - c, t]. All series are flat, market by market: market m, hour h is at m * hours + h.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.transforms.measures import SETTLEMENTS, conform, steps_per_hour, to_steps

# Behind this, hours after the settlement that should have come, a market counts as stale.
_GRACE_HOURS = 1
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HourlyGrid:
    """`hours` hours of `markets` (market_id Int32, ascending), the first of which ends at `first`.

    `rates`: rate per hour in steps of 2**-100 (Int128), null where no settlement covers the hour.
    """

    first: datetime
    hours: int
    markets: pl.Series
    rates: pl.Series


@dataclass(frozen=True, slots=True)
class Known:
    """What a grid's hours know: for each, of the settlements stamped up to its end.

    `stamp`: the hour of the newest one (Int32, null before the first within the grid);
    `fresh_until`: the last hour at which it is not stale; `paid`: running sum of whole rates in
    steps, for differences within a market.
    """

    stamp: pl.Series
    fresh_until: pl.Series
    paid: pl.Series


def stale_after() -> pl.Expr:
    """Hours after its newest settlement when a market becomes stale: 1.5 intervals and an hour."""
    return (pl.col("interval_hours").cast(pl.Int32) * 3 // 2) + _GRACE_HOURS


def hourly_grid(
    settlements: pl.DataFrame, markets: pl.Series, *, last: datetime, hours: int
) -> HourlyGrid:
    """The `hours` hours that end with `last`; other hours and markets are ignored.

    `settlements` as in `measures.checked_settlements`; SchemaError on other types.
    """
    first = last - (hours - 1) * _HOUR
    rows = _located(settlements, markets, first).select(
        "at", "hour", "covered_hours", steps=steps_per_hour()
    )
    parts = []
    for back in range(rows.select(pl.col("covered_hours").max()).item() or 0):
        hour = pl.col("hour") - back
        parts.append(
            rows.lazy()
            .filter(pl.col("covered_hours") > back, hour >= 0, hour < hours)
            .select(pl.col("at") * hours + hour, "steps")
            .collect()
        )
    rates = pl.repeat(None, len(markets) * hours, dtype=pl.Int128(), eager=True)
    for part in parts:
        rates = rates.scatter(part["at"], part["steps"])
    return HourlyGrid(first, hours, markets, rates)


def known(settlements: pl.DataFrame, grid: HourlyGrid) -> Known:
    """What each hour of the grid knows; settlements before its first hour are not known to it."""
    hours = grid.hours
    rows = (
        _located(settlements, grid.markets, grid.first)
        .filter(pl.col("hour").is_between(0, hours - 1))
        .select(
            "hour",
            place=pl.col("at") * hours + pl.col("hour"),
            fresh_until=pl.col("hour") + stale_after(),
            steps=to_steps(pl.col("rate")),
        )
    )
    size = len(grid.markets) * hours
    empty = pl.repeat(None, size, dtype=pl.Int32(), eager=True)
    flat = pl.DataFrame(
        {
            "stamp": empty.clone().scatter(rows["place"], rows["hour"]),
            "fresh_until": empty.clone().scatter(rows["place"], rows["fresh_until"]),
            "paid": pl.repeat(0, size, dtype=pl.Int128(), eager=True).scatter(
                rows["place"], rows["steps"]
            ),
            "market": pl.int_range(size, dtype=pl.Int32(), eager=True) // hours,
        }
    ).with_columns(
        pl.col("stamp", "fresh_until").forward_fill().over("market"), pl.col("paid").cum_sum()
    )
    return Known(flat["stamp"], flat["fresh_until"], flat["paid"])


def _located(settlements: pl.DataFrame, markets: pl.Series, first: datetime) -> pl.DataFrame:
    """Rows of these markets with `at`, the market's place, and `hour`, the stamp's (Int32)."""
    places = markets.alias("market_id").to_frame().with_row_index("at")
    return (
        conform(settlements, SETTLEMENTS)
        .join(places, on="market_id")
        .with_columns(
            pl.col("at").cast(pl.Int32),
            hour=(pl.col("funding_time") - first).dt.total_hours().cast(pl.Int32),
        )
    )
