"""How a market's newest rate compares with its own past: exponential averages, z-score, rank.

Belongs here: figures of a market's newest settlement, keyed market_id. Does not: averages over
plain windows (`moving_averages`), how steady a rate is (`stability`), other markets.
"""

import math

import polars as pl

from funding_pipeline.transforms.measures import (
    coverage,
    from_steps,
    to_steps,
    with_live_hours,
)
from funding_pipeline.transforms.moving_averages import MIN_COVERAGE
from funding_pipeline.transforms.trailing import ROUNDING, aged, moments

WINDOWS_HOURS = {"30d": 720, "90d": 2160}
# Each average ends after 30 half-lives, with the window of its place: 1e-9 of the weight is cut.
HALF_LIVES_HOURS = {"24h": 24, "72h": 72}
LONGEST_HOURS = max(WINDOWS_HOURS.values())

MARKET_SIGNALS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "as_of": pl.Datetime("us"),
    "rate_hourly": pl.Float64(),
    **{
        f"{figure}_{half_life}": pl.Float64()
        for half_life in HALF_LIVES_HOURS
        for figure in ("rate_hourly_ema", "ema_coverage")
    },
    **{
        f"{figure}_{window}": pl.Int32() if figure == "covered_hours" else pl.Float64()
        for window in WINDOWS_HOURS
        for figure in (
            "zscore",
            "percentile",
            "rate_hourly_mean",
            "rate_hourly_std",
            "covered_hours",
            "coverage",
        )
    },
}


def market_signals(
    settlements: pl.DataFrame, lives: pl.DataFrame, as_of: pl.DataFrame
) -> pl.DataFrame:
    """Return `MARKET_SIGNALS`, one row per market, sorted: the hourly grid of its settlements.

    `as_of` (market_id, as_of) is the stamp of each market's newest settlement; a market without a
    rate for the hour that ends there has no row. `rate_hourly` is that hour's rate x (fraction).

    * `rate_hourly_ema_H`: sum(w r) / sum(w) over the covered hours of the last 30 half-lives H,
      w = 2 ** (-age / H), age in hours before as_of: an hour one half-life old counts half.
      `ema_coverage_H`: sum(w) over the covered hours / sum(w) over the live hours.
    * `rate_hourly_mean_W`, `rate_hourly_std_W`: time-weighted, over the covered hours of
      (as_of - W, as_of], the newest ones included; the deviation with divisor n.
    * `zscore_W` = (x - mean) / std; null where std is 0.
    * `percentile_W`, 0 to 1: the share of covered hours with a lower rate plus half the share with
      an equal one; 0.5 where the rate never changed. Rates within 1e-12 of x are equal.

    All but x and the coverages are null where the coverage is below 0.8. A young market's windows
    are shorter than their name: see `covered_hours_W`. Needs the settlements stamped after
    as_of - 90 d; older ones change nothing. Raises as `trailing.aged`.
    """
    rows = aged(settlements, as_of, LONGEST_HOURS)
    latest = rows.filter(pl.col("newer") == 0).select("market_id", latest="rate_hourly")
    rows = rows.join(latest, on="market_id", maintain_order="left")
    figures = latest.join(as_of.unique(), on="market_id")
    for (window, hours), (half_life, halving) in zip(
        WINDOWS_HOURS.items(), HALF_LIVES_HOURS.items(), strict=True
    ):
        part = _window(rows, lives, figures.select("market_id", "as_of"), hours, halving)
        figures = figures.join(
            part.rename(
                {
                    "ema": f"rate_hourly_ema_{half_life}",
                    "ema_coverage": f"ema_coverage_{half_life}",
                    "mean": f"rate_hourly_mean_{window}",
                    "deviation": f"rate_hourly_std_{window}",
                    **{
                        name: f"{name}_{window}"
                        for name in ("zscore", "percentile", "covered_hours", "coverage")
                    },
                }
            ),
            on="market_id",
        )
    return (
        figures.rename({"latest": "rate_hourly"})
        .select(pl.col(name).cast(dtype) for name, dtype in MARKET_SIGNALS.items())
        .sort("market_id")
    )


def _window(
    rows: pl.DataFrame, lives: pl.DataFrame, points: pl.DataFrame, hours: int, halving: int
) -> pl.DataFrame:
    """The figures of one window and of the average that ends with it."""
    rate, latest, weight = pl.col("rate_hourly"), pl.col("latest"), pl.col("weight")
    same = (rate - latest).abs() <= ROUNDING * latest.abs()
    # sum(2 ** (-age / H)) over ages newer .. older - 1, times a factor that the division drops.
    # As steps it telescopes: hours without a hole weigh exactly what all of them weigh.
    fading = _left(pl.col("newer"), halving) - _left(pl.col("newer") + weight, halving)
    figures = moments(
        rows,
        hours,
        latest=latest.first(),
        below=(weight * ((rate < latest) & ~same)).sum(),
        same=(weight * same).sum(),
        faded=to_steps(rate * from_steps(fading)).sum(),
        fading=fading.sum(),
    )
    covered = pl.col("covered_hours")
    all_fading = _left(pl.lit(0), halving) - _left(pl.col("live_hours"), halving)
    enough = pl.col("coverage") >= MIN_COVERAGE
    apart = (pl.col("latest") - pl.col("mean")) / pl.col("deviation")
    return (
        with_live_hours(
            points.join(figures, on="market_id"),
            lives,
            pl.col("as_of") - pl.duration(hours=hours),
            pl.col("as_of"),
        )
        .with_columns(
            coverage=coverage(),
            ema=from_steps(pl.col("faded")) / from_steps(pl.col("fading")),
            ema_coverage=from_steps(pl.col("fading"))
            / from_steps(pl.max_horizontal("fading", all_fading)),
            zscore=pl.when(pl.col("deviation") > 0).then(apart),
            percentile=(pl.col("below") + pl.col("same") / 2) / covered,
        )
        .select(
            "market_id",
            "covered_hours",
            "coverage",
            "ema_coverage",
            pl.when(pl.col("ema_coverage") >= MIN_COVERAGE).then("ema").alias("ema"),
            *(
                pl.when(enough).then(name).alias(name)
                for name in ("mean", "deviation", "zscore", "percentile")
            ),
        )
    )


def _left(age: pl.Expr, halving: int) -> pl.Expr:
    """2 ** (-age / H) as a count of 2**-100."""
    return to_steps((age * (-math.log(2) / halving)).exp())
