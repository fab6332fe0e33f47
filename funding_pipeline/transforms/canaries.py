"""Canaries: whether an exchange's rates can be right at all, judged by those of the others.

Belongs here: the comparison, its thresholds and the mistake that each deviation is likely to be.
Does not: reading settlements, holding an exchange (warehouse.holds), the baseline (`baseline`).

Three canaries, each over many assets at once, for single markets may do anything:

* the baseline, of the rates of one hour or of one day: names the mistake by itself;
* one hour's rates against the day's median of the other exchanges: a factor of 30, from one run;
* seven days' rates against theirs: scale and sign. Only where the baseline does not vouch for the
  exchange, because honest scales differ: hyperliquid paid up to 7.8 times the others in the summer
  of 2023 and paradex 2.4 to 5.4 times in five months of 2026, while a baseline stays where it is.

An exchange that is found at fault leaves the median before the others are judged by it, the worst
one first. Where only two exchanges disagree and no baseline vouches for either, both are at fault:
one of them is, and nothing tells which.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from funding_pipeline.transforms.baseline import FACTORS, modes

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
WEEK_DAYS = 7
_LEAST_DAYS = 4
_CLOSE = 1.05


@dataclass(frozen=True, slots=True)
class Finding:
    """An exchange that cannot be right: the likely mistake and the figures, both in words, and the
    settlements that show it, first and last, naive UTC.
    """

    exchange: str
    mistake: str
    detail: str
    since: datetime
    until: datetime


def canaries(settlements: pl.DataFrame, judged: Collection[date]) -> list[Finding]:
    """The exchanges at fault on the days `judged`, or in the seven days up to one of the six after.

    `settlements`: exchange, asset (the key between exchanges), funding_time, rate_hourly; all
    exchanges, from six days before the first of those days to six after the last. Pure.
    """
    rates = settlements.filter(
        pl.col("rate_hourly").is_finite(), pl.col("rate_hourly") != 0
    ).with_columns(day=(pl.col("funding_time") - timedelta(microseconds=1)).dt.date())
    if rates.is_empty():
        return []
    days = sorted(judged)
    findings = _by_baseline(rates, days)
    rates = _without(rates, findings)
    vouched = _vouched(rates, days)
    while worst := _worst(rates, days, vouched):
        findings += worst
        rates = _without(rates, worst)
    return sorted(findings, key=lambda finding: finding.exchange)


def _without(rates: pl.DataFrame, findings: Sequence[Finding]) -> pl.DataFrame:
    return rates.filter(~pl.col("exchange").is_in([f.exchange for f in findings]))


def _by_baseline(rates: pl.DataFrame, days: Sequence[date]) -> list[Finding]:
    """At most one for each exchange: the earliest."""
    owed = rates.filter(pl.col("day").is_in(days))
    spans = [
        modes(owed.with_columns(since=by, until=until), ["exchange", "since", "until"])
        for by, until in (
            (pl.col("funding_time"), pl.col("funding_time")),
            (pl.col("day").cast(pl.Datetime("us")), pl.col("day").dt.offset_by("1d")),
        )
    ]
    wrong = (
        pl.concat([span.cast({"until": pl.Datetime("us")}) for span in spans])
        .filter(pl.col("factor") != 1)
        .sort("until", "share", descending=[False, True])
        .unique("exchange", keep="first", maintain_order=True)
    )
    return [
        Finding(
            row["exchange"],
            FACTORS[row["factor"]],
            f"the most frequent rate is {row['rate_hourly']:.4g} per hour ({row['rows']} rates, "
            f"{row['share']:.0%}), {_times(row['factor'])} the interest of 0.01 % per 8 h; "
            f"{_span(row['since'], row['until'])}",
            row["since"],
            row["until"],
        )
        for row in wrong.iter_rows(named=True)
    ]


def _vouched(rates: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """exchange, end: the baseline of the week that ends with the day is where it should be."""
    weekly = modes(_weeks(rates, days), ["exchange", "end"])
    return weekly.filter(pl.col("factor") == 1).select("exchange", "end")


def _weeks(rows: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """Each row once for every week with one of the `days` in it: `end` is the week's last day."""
    newest = rows["day"].max()
    steps = [timedelta(days=n) for n in range(WEEK_DAYS)]
    ends = sorted({day + step for day in days for step in steps})
    ended = [rows.with_columns(end=pl.col("day") + step) for step in steps]
    return pl.concat(ended).filter(pl.col("end").is_in(ends), pl.col("end") <= newest)


def _worst(rates: pl.DataFrame, days: Sequence[date], vouched: pl.DataFrame) -> list[Finding]:
    """The exchange that deviates most, with the one other that it differs from if that is all that
    is known of both; none when all are within their bounds.
    """
    daily = _against_others(rates)
    found = pl.concat([_hours(rates, daily, days), *_of_weeks(daily, days, vouched)])
    if found.is_empty():
        return []
    found = found.sort("badness", "until", descending=[True, False])
    worst = found.row(0, named=True)
    findings = [_finding(worst)]
    if worst["others"] == 1:
        # One against one: the other one deviates as much, unless its baseline vouches for it.
        rest = found.filter(
            pl.col("exchange") != worst["exchange"],
            pl.col("others") == 1,
            pl.col("badness") >= worst["badness"] / _CLOSE,
        )
        findings += [_finding(row) for row in rest.head(1).iter_rows(named=True)]
    return findings


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


_FOUND = ("exchange", "kind", "figure", "badness", "assets", "others", "since", "until")


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
        .select(_FOUND)
    )


def _of_weeks(
    daily: pl.DataFrame, days: Sequence[date], vouched: pl.DataFrame
) -> list[pl.DataFrame]:
    """Weeks out of bounds. badness: a mirrored sign counts as much as a factor of 100."""
    weeks = _weeks(daily, days).join(vouched, on=["exchange", "end"], how="anti")
    span = {
        "since": pl.col("end").cast(pl.Datetime("us")) - timedelta(days=WEEK_DAYS - 1),
        "until": pl.col("end").dt.offset_by("1d").cast(pl.Datetime("us")),
    }
    lasting = weeks.filter(pl.col("day").n_unique().over("exchange", "end") >= _LEAST_DAYS)
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
        .filter(pl.col("assets") >= WEEK_ASSETS, ~pl.col("figure").is_between(*WEEK_RATIO))
        .with_columns(kind=pl.lit("ratio"), badness=pl.col("figure").log().abs(), **span)
    )
    signs = (
        lasting.group_by("exchange", "end")
        .agg(
            figure=pl.corr("own", "median", method="spearman"),
            assets=pl.col("asset").n_unique(),
            others=others,
        )
        .filter(pl.col("assets") >= SIGN_ASSETS, pl.col("figure") < SIGN_CORRELATION)
        .with_columns(kind=pl.lit("sign"), badness=pl.lit(math.log(100.0)), **span)
    )
    return [scales.select(_FOUND), signs.select(_FOUND)]


def _finding(row: dict[str, object]) -> Finding:
    exchange, figure = str(row["exchange"]), float(row["figure"])  # type: ignore[arg-type]
    since, until = row["since"], row["until"]
    assert isinstance(since, datetime) and isinstance(until, datetime)
    others = f"the median of {row['others']} others" if row["others"] != 1 else "the only other"
    if row["kind"] == "sign":
        mistake = FACTORS[-1.0]
        told = f"rank correlation {figure:.2f} with {others}"
    else:
        mistake = FACTORS[_nearest(figure)]
        told = f"rates are {_times(figure)} {others}"
    detail = f"{told}, over {row['assets']} assets; {_span(since, until)}"
    return Finding(exchange, mistake, detail, since, until)


def _nearest(ratio: float) -> float:
    """The mistake that explains a ratio best."""
    wrong = (factor for factor in FACTORS if factor > 0 and factor != 1)
    return min(wrong, key=lambda factor: abs(math.log(ratio / factor)))


def _times(factor: float) -> str:
    return f"{factor:.3g} times" if abs(factor) >= 1 else f"1/{1 / factor:.3g} of"


def _span(since: datetime, until: datetime) -> str:
    return f"{since:%Y-%m-%d %H:%M}" + (f" to {until:%Y-%m-%d %H:%M}" if until > since else "")
