"""The rate that an exchange quotes most often, and what it says about unit, interval and sign.

Belongs here: the mode of hourly rates and the mistakes that it names. Does not: comparing exchanges
(`canaries`).

Nearly every exchange adds an interest component of 0.01 % per 8 hours, so that 0.0000125 per hour
is the most frequent rate of all. A unit, sign or interval taken wrongly moves exactly this value,
whatever the market does. Recorded 2023 to 2026: 26 to 70 % of the rates of binance, bybit, edgex,
hyperliquid and lighter (there 0.000012, cut off), 2 to 5 % on their wildest days, 1 % at paradex,
none at kraken. In no hour and on no day was another value of `FACTORS` the most frequent with more
than 4 % of the rates. (Half of it was: markets with a multiplier.)
"""

from collections.abc import Sequence

import polars as pl

INTEREST_HOURLY = 1.25e-5
MIRRORED = -1.0
# By how much a mistake multiplies hourly rates, and how it comes about.
FACTORS = {
    1.0: "right",
    MIRRORED: "sign mirrored",
    3.0: "x3 (an interval three times too short?)",
    4.0: "x4 (a rate per 4 h taken as hourly?)",
    8.0: "x8 (a rate per 8 h taken as hourly?)",
    24.0: "x24 (a daily rate taken as hourly?)",
    100.0: "x100 (percent taken for a fraction?)",
    800.0: "x800 (percent per 8 h taken for an hourly fraction?)",
    8760.0: "x8760 (an annual rate taken as hourly?)",
    1 / 4: "x1/4 (an hourly rate taken as per 4 h?)",
    1 / 8: "x1/8 (an hourly rate taken as per 8 h?)",
    1 / 24: "x1/24 (an hourly rate taken as daily?)",
    1 / 100: "x1/100 (a fraction taken for percent?)",
    1 / 800: "x1/800 (an hourly fraction taken for percent per 8 h?)",
    1 / 8760: "x1/8760 (an hourly rate taken as annual?)",
}
SHARE = 0.05
ROWS = 5
# Lighter cuts its rates off: 4 % below. Nothing is rounded up by more than half a percent.
_NEAR = (0.955, 1.005)


def counts(rates: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """How many `rows` each `rate_hourly` has per group of `rates` (no zeros among them)."""
    return rates.group_by(*by, pl.col("rate_hourly").round_sig_figs(5)).agg(rows=pl.len())


def modes(counted: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Per group of `counts`: `rate_hourly`, the most frequent, the `rows` with it, their `share`
    of all, `factor`: what of `FACTORS` it is of the interest, null where it is none of them or
    fewer than `ROWS` rows have it, and whether it is `telling`: `SHARE` or more of all.
    """
    of_group = counted.group_by(*by, "rate_hourly").agg(pl.col("rows").sum())
    most = pl.col("rate_hourly").sort_by("rows", "rate_hourly").last()
    return (
        of_group.group_by(*by)
        .agg(rate_hourly=most, rows=pl.col("rows").max(), all=pl.col("rows").sum())
        .with_columns(
            share=pl.col("rows") / pl.col("all"),
            factor=pl.when(pl.col("rows") >= ROWS).then(_factor()),
        )
        .with_columns(telling=pl.col("factor").is_not_null() & (pl.col("share") >= SHARE))
        .drop("all")
    )


def _factor() -> pl.Expr:
    times = pl.col("rate_hourly") / INTEREST_HOURLY
    return pl.coalesce(
        pl.when((times / factor).is_between(*_NEAR)).then(pl.lit(factor)) for factor in FACTORS
    )
