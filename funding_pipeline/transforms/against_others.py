"""An exchange's rates beside those of all the others: hour by hour, and over seven days.

Belongs here: the medians, the figures, and the bounds beyond which no right rates have ever been.
Does not: what is to blame, and who (`canaries`).

All figures are medians or ranks over many assets at once, for single markets may do anything.
"""

import math
from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

# Recorded 2023 to 2026, right rates over at least 8 assets: 0.108 to 18.3 in one hour.
HOUR_RATIO = 30.0
HOUR_ASSETS = 8
# Over at least 20 assets and without a baseline: 0.49 to 5.4 in seven days.
WEEK_RATIO = (0.3, 6.0)
WEEK_ASSETS = 20
# Rank correlation with the others' median, at least 8 assets: never below -0.05, and without a
# baseline never below 0.09. (Signs alone agree in 37 % of some weeks: rates around zero.)
SIGN_CORRELATION = -0.1
SIGN_ASSETS = 8
# Over at least 4 assets: 0.27 to 11.3 in seven days.
FEW_RATIO = (1 / 30, 30.0)
FEW_ASSETS = 4
WEEK_DAYS = 7
_LEAST_DAYS = 4

DAY = timedelta(days=1)
# The bounds of the week that ends with the day `end`.
WEEK = {
    "since": pl.col("end").cast(pl.Datetime("us")) - (WEEK_DAYS - 1) * DAY,
    "until": pl.col("end").cast(pl.Datetime("us")) + DAY,
}
_COLUMNS = ("exchange", "kind", "figure", "badness", "assets", "others", "since", "until")


def deviations(rates: pl.DataFrame, days: Sequence[date], vouched: pl.DataFrame) -> pl.DataFrame:
    """Everything out of bounds: in the hours of the `days`, and in the weeks with one of them that
    are not `vouched` for (exchange, end).

    `rates`: exchange, asset, funding_time, day, rate_hourly, no zeros. Result: exchange; kind
    ('ratio' | 'sign'); figure, the ratio or the rank correlation; badness, as the logarithm of a
    ratio; assets compared; others, at most so many other exchanges; since, until: naive UTC.
    """
    daily = _against_others(rates)
    return pl.concat([_hours(rates, daily, days), *_of_weeks(daily, days, vouched)])


def weeks(rows: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Each row once for every week with one of the `days` in it: `end` is the week's last day."""
    steps = [timedelta(days=n) for n in range(WEEK_DAYS)]
    ends = sorted({day + step for day in days for step in steps})
    ended = [rows.with_columns(end=pl.col("day") + step) for step in steps]
    return pl.concat(ended).filter(pl.col("end").is_in(ends), pl.col("end") <= pl.col("day").max())


def _against_others(rates: pl.DataFrame) -> pl.DataFrame:
    """exchange, asset, day: `own` mean rate, the `median` of the other exchanges, how many."""
    daily = rates.group_by("exchange", "asset", "day").agg(own=pl.col("rate_hourly").mean())
    of_day = ["asset", "day"]
    rank = pl.col("own").rank("ordinal").over(of_day).cast(pl.Int64) - 1
    ranked = daily.with_columns(rank=rank, others=pl.len().over(of_day).cast(pl.Int64) - 1)
    ordered = ranked.group_by(of_day).agg(all=pl.col("own").sort())

    def place(among_others: pl.Expr) -> pl.Expr:
        """Of the others' n-th value among all values: one further where one's own lies before."""
        return pl.col("all").list.get(among_others + (among_others >= pl.col("rank")))

    return (
        ranked.filter(pl.col("others") > 0)
        .join(ordered, on=of_day)
        .with_columns(
            median=(place((pl.col("others") - 1) // 2) + place(pl.col("others") // 2)) / 2
        )
        .filter(pl.col("median") != 0, pl.col("own") != 0)
        .select("exchange", "asset", "day", "own", "median", "others")
    )


def _hours(rates: pl.DataFrame, daily: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Hours whose rates are off by `HOUR_RATIO`. badness: by how much, as a logarithm."""
    ratio = (pl.col("rate_hourly") / pl.col("median")).abs()
    return (
        rates.filter(pl.col("day").is_in(days))
        .join(daily, on=["exchange", "asset", "day"])
        .group_by("exchange", "funding_time")
        .agg(
            figure=ratio.median(),
            assets=pl.col("asset").n_unique(),
            others=pl.col("others").max(),
        )
        .with_columns(badness=pl.col("figure").log().abs())
        .filter(pl.col("assets") >= HOUR_ASSETS, pl.col("badness") >= math.log(HOUR_RATIO))
        .with_columns(
            kind=pl.lit("ratio"), since=pl.col("funding_time"), until=pl.col("funding_time")
        )
        .select(_COLUMNS)
    )


def _of_weeks(
    daily: pl.DataFrame, days: Sequence[date], vouched: pl.DataFrame
) -> list[pl.DataFrame]:
    """Weeks out of bounds. badness: a mirrored sign counts as much as a factor of 100."""
    chosen = weeks(daily, days).join(vouched, on=["exchange", "end"], how="anti")
    lasting = chosen.filter(pl.col("day").n_unique().over("exchange", "end") >= _LEAST_DAYS)
    others = pl.col("others").max()
    scales = (
        lasting.group_by("exchange", "end", "asset")
        .agg(
            ratio=pl.col("own").abs().median() / pl.col("median").abs().median(),
            days=pl.len(),
            others=others,
        )
        .filter(pl.col("days") >= _LEAST_DAYS)
        .group_by("exchange", "end")
        .agg(figure=pl.col("ratio").median(), assets=pl.len(), others=others)
        .filter(~pl.col("figure").is_between(*_bounds(pl.col("assets"))))
        .with_columns(kind=pl.lit("ratio"), badness=pl.col("figure").log().abs(), **WEEK)
    )
    signs = (
        lasting.group_by("exchange", "end")
        .agg(
            figure=pl.corr("own", "median", method="spearman"),
            assets=pl.col("asset").n_unique(),
            others=others,
        )
        .filter(pl.col("assets") >= SIGN_ASSETS, pl.col("figure") < SIGN_CORRELATION)
        .with_columns(kind=pl.lit("sign"), badness=pl.lit(math.log(100.0)), **WEEK)
    )
    return [scales.select(_COLUMNS), signs.select(_COLUMNS)]


def _bounds(assets: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    many, few = assets >= WEEK_ASSETS, assets >= FEW_ASSETS
    low, high = (
        pl.when(many).then(of_many).when(few).then(of_few).otherwise(none)
        for of_many, of_few, none in zip(WEEK_RATIO, FEW_RATIO, (0.0, math.inf), strict=True)
    )
    return low, high
