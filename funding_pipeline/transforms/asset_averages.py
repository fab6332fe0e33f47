"""What one asset pays across exchanges: plain and weighted means, extremes.

Belongs here: figures keyed (asset, window, as_of) from its markets' figures. Does not: which
markets are recent enough to take part (warehouse), a market's own averages (`moving_averages`),
pairs of markets.
"""

import polars as pl

from funding_pipeline.transforms.measures import conform, from_steps, to_steps

MEMBERS: dict[str, pl.DataType] = {
    "asset": pl.String(),
    "window": pl.String(),
    "as_of": pl.Datetime("us"),
    "exchange": pl.String(),
    "market_id": pl.Int32(),
    "measured_at": pl.Datetime("us"),
    "rate_hourly": pl.Float64(),
    "open_interest_usd": pl.Float64(),
    "volume_24h_usd": pl.Float64(),
}
ASSET_AVERAGES: dict[str, pl.DataType] = {
    "asset": pl.String(),
    "window": pl.String(),
    "as_of": pl.Datetime("us"),
    "exchanges": pl.Int32(),
    "markets": pl.Int32(),
    "rate_hourly_mean": pl.Float64(),
    "rate_hourly_oi_mean": pl.Float64(),
    "rate_hourly_volume_mean": pl.Float64(),
    "rate_hourly_min": pl.Float64(),
    "min_market_id": pl.Int32(),
    "rate_hourly_max": pl.Float64(),
    "max_market_id": pl.Int32(),
    "open_interest_usd": pl.Float64(),
    "markets_with_oi": pl.Int32(),
    "volume_24h_usd": pl.Float64(),
    "markets_with_volume": pl.Int32(),
    "oldest_as_of": pl.Datetime("us"),
}
_KEY = ["asset", "window", "as_of"]
# Dollars are summed as counts of 2**-20, about a millionth: like steps of rates, in any order.
_PER_DOLLAR = 2.0**20


def asset_averages(members: pl.DataFrame) -> pl.DataFrame:
    """One row per (asset, window, as_of) that has a market with a rate, sorted: `ASSET_AVERAGES`.

    `members`, columns `MEMBERS`: the time-weighted hourly rate of one market over the window that
    ends at `measured_at`, which is as_of or shortly before it, its open interest (one side) and
    24 h volume in dollars. Rows without a rate (coverage below 0.8) take no part.

    * `rate_hourly_mean`: plain mean, one vote per market; several markets of one exchange count
      each. `exchanges`, `markets`: how many took part.
    * `rate_hourly_oi_mean` = sum(OI r) / sum(OI) over the markets whose open interest is known;
      null where none is or all are 0. `open_interest_usd`, `markets_with_oi`: the divisor and how
      many markets it rests on. The same by volume. A weight that is null, negative or not finite
      is unknown.
    * `rate_hourly_min`, `rate_hourly_max` with the market: of equal rates the first by exchange,
      then by market_id. `oldest_as_of`: the oldest `measured_at`.

    Raises SchemaError on other columns, ValueError when a market stands twice under one key.
    """
    frame = (
        conform(members, MEMBERS)
        .filter(pl.col("rate_hourly").is_not_null())
        .with_columns(
            _known("open_interest_usd").alias("open_interest_usd"),
            _known("volume_24h_usd").alias("volume_24h_usd"),
        )
        .sort("exchange", "market_id")
    )
    if frame.select(pl.struct(*_KEY, "market_id").is_duplicated().any()).item():
        raise ValueError("members: a market stands twice under one asset, window and as_of")
    rate = pl.col("rate_hourly")
    totals = frame.group_by(_KEY).agg(
        exchanges=pl.col("exchange").n_unique(),
        markets=pl.len(),
        rate_hourly_mean=from_steps(to_steps(rate).sum()) / pl.len(),
        rate_hourly_min=rate.min(),
        min_market_id=pl.col("market_id").filter(rate == rate.min()).first(),
        rate_hourly_max=rate.max(),
        max_market_id=pl.col("market_id").filter(rate == rate.max()).first(),
        open_interest_usd=_total("open_interest_usd"),
        markets_with_oi=pl.col("open_interest_usd").count(),
        volume_24h_usd=_total("volume_24h_usd"),
        markets_with_volume=pl.col("volume_24h_usd").count(),
        oldest_as_of=pl.col("measured_at").min(),
    )
    weighted = (
        frame.join(totals.select(*_KEY, oi="open_interest_usd", volume="volume_24h_usd"), on=_KEY)
        .group_by(_KEY)
        .agg(
            rate_hourly_oi_mean=_weighted("open_interest_usd", "oi"),
            rate_hourly_volume_mean=_weighted("volume_24h_usd", "volume"),
        )
    )
    return (
        totals.join(weighted, on=_KEY)
        .select(pl.col(name).cast(dtype) for name, dtype in ASSET_AVERAGES.items())
        .sort("as_of", "asset", "window")
    )


def _known(weight: str) -> pl.Expr:
    value = pl.col(weight)
    return pl.when(value.is_finite() & (value >= 0)).then(value)


def _total(weight: str) -> pl.Expr:
    """Sum of the known weights, null where none is known."""
    whole = (pl.col(weight) * _PER_DOLLAR).cast(pl.Int128).sum()
    return pl.when(pl.col(weight).count() > 0).then(whole.cast(pl.Float64) / _PER_DOLLAR)


def _weighted(weight: str, total: str) -> pl.Expr:
    """Mean of rates by their share of the total; the shares keep the sum in a rate's range."""
    share = pl.col(weight) / pl.when(pl.col(total) > 0).then(total)
    mean = from_steps(to_steps(pl.col("rate_hourly") * share).sum())
    return pl.when(pl.col(total).first() > 0).then(mean)
