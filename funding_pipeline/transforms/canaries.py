"""Canaries: whether an exchange's rates can be right at all, judged by those of the others.

Belongs here: which canary is asked of whom, who is to blame, and the likely mistake in words. Does
not: reading settlements, holding an exchange (warehouse.holds), the figures (`baseline`,
`against_others`).

Three canaries:

* the baseline of the rates of an hour, a day or a week: names the mistake by itself;
* an hour's rates against the day's median of the other exchanges: a factor of 30, from one run;
* a week's rates against theirs: scale and sign. Only where the baseline does not vouch for the
  exchange, because honest scales differ: hyperliquid paid up to 7.8 times the others in the summer
  of 2023 and paradex 2.4 to 5.4 times in five months of 2026, while a baseline stays where it is.

An exchange that is found at fault leaves the median before the others are judged by it, the worst
one first. Where only two exchanges disagree and no baseline vouches for either, both are at fault:
one of them is, and nothing tells which.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import polars as pl

from funding_pipeline.transforms.against_others import DAY, WEEK, WEEK_RATIO, deviations, weeks
from funding_pipeline.transforms.baseline import FACTORS, MIRRORED, counts, modes

# Between these lies an exchange's scale, as measured against the others, nearly always.
_USUAL = (0.4, 3.0)
_CLOSE = math.log(1.05)


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

    def is_like(self, other: "Finding") -> bool:
        """Both of the sign or both of the scale, in settlements that overlap."""
        return (
            self.exchange == other.exchange
            and (self.mistake == FACTORS[MIRRORED]) == (other.mistake == FACTORS[MIRRORED])
            and self.since <= other.until
            and other.since <= self.until
        )


@dataclass(frozen=True, slots=True)
class _Suspicion:
    """A finding with how bad it is, and by how many other exchanges at most it was judged."""

    finding: Finding
    badness: float
    others: int


def canaries(
    settlements: pl.DataFrame, judged: Collection[date], excused: Collection[Finding] = ()
) -> list[Finding]:
    """The exchanges at fault on the days `judged`, or in a week with one of them; one finding each,
    by exchange.

    `settlements`: exchange, asset (the key between exchanges, null where there is none),
    funding_time, rate_hourly; all exchanges, from six days before the first of those days to six
    after the last. `excused`: what a person has looked at and released: nothing like it is found.
    """
    rates = settlements.filter(
        pl.col("rate_hourly").is_finite(), pl.col("rate_hourly") != 0
    ).with_columns(
        pl.col("exchange", "asset").cast(pl.Categorical),  # faster to join than text
        day=(pl.col("funding_time") - timedelta(microseconds=1)).dt.date(),
    )
    if rates.is_empty():
        return []
    days = sorted(judged)
    of_days = counts(rates, ["exchange", "day"])
    of_weeks = modes(weeks(of_days, days), ["exchange", "end"])
    found = _by_baseline(rates, of_days, of_weeks, days, excused)
    vouched = of_weeks.filter("telling", pl.col("factor") == 1).select("exchange", "end")
    compared = rates.drop_nulls("asset")
    while True:
        at_fault = [finding.exchange for finding in found]
        compared = compared.filter(~pl.col("exchange").is_in(at_fault))
        rows = deviations(compared, days, vouched).with_columns(
            end=(pl.col("until") - timedelta(microseconds=1)).dt.date()
        )
        # The few rates that are a multiple of the interest tell which mistake it is.
        named = rows.join(of_weeks, on=["exchange", "end"], how="left").sort("until")
        worst = _worst([_by_others(row) for row in named.iter_rows(named=True)], excused)
        if not worst:
            return sorted(found, key=lambda finding: finding.exchange)
        found += worst


def _by_baseline(
    rates: pl.DataFrame,
    of_days: pl.DataFrame,
    of_weeks: pl.DataFrame,
    days: Sequence[date],
    excused: Collection[Finding],
) -> list[Finding]:
    """Hour by hour, by day, and by week for exchanges with few markets."""
    hour, midnight = pl.col("funding_time"), pl.col("day").cast(pl.Datetime("us"))
    of_hours = counts(rates.filter(pl.col("day").is_in(days)), ["exchange", "funding_time"])
    of_days = of_days.filter(pl.col("day").is_in(days))
    columns = ("exchange", "rate_hourly", "rows", "share", "factor", "telling", "since", "until")
    spans = (
        modes(of_hours, ["exchange", "funding_time"]).with_columns(since=hour, until=hour),
        modes(of_days, ["exchange", "day"]).with_columns(since=midnight, until=midnight + DAY),
        of_weeks.with_columns(**WEEK),
    )
    wrong = pl.concat(span.select(columns) for span in spans).filter(
        "telling", pl.col("factor") != 1
    )
    suspicions = []
    for row in wrong.sort("until").iter_rows(named=True):
        detail = (
            f"the most frequent rate is {row['rate_hourly']:.4g} per hour ({row['rows']} rates, "
            f"{row['share']:.0%}), {_times(row['factor'])} the interest of 0.01 % per 8 h"
        )
        mistake = _in_words([row["factor"]])
        finding = Finding(row["exchange"], mistake, detail, row["since"], row["until"])
        suspicions.append(_Suspicion(finding, row["share"], 0))
    return [suspicion.finding for suspicion in _by_exchange(suspicions, excused)]


def _by_others(row: Mapping[str, Any]) -> _Suspicion:
    figure = row["figure"]
    others = f"the median of {row['others']} others" if row["others"] > 1 else "the only other"
    if row["kind"] == "sign":
        factors, told = [MIRRORED], f"rank correlation {figure:.2f} with {others}"
    else:
        factors, told = _explaining(figure, row["factor"]), f"rates are {_times(figure)} {others}"
    detail = f"{told}, over {row['assets']} assets"
    mistake = _in_words(factors)
    finding = Finding(row["exchange"], mistake, detail, row["since"], row["until"])
    return _Suspicion(finding, row["badness"], row["others"])


def _worst(suspicions: Iterable[_Suspicion], excused: Collection[Finding]) -> list[Finding]:
    """The exchange that deviates most, with the one other that it differs from if that is all that
    is known of both; none where nothing is suspicious.
    """
    ordered = sorted(_by_exchange(suspicions, excused), key=lambda s: s.badness, reverse=True)
    if not ordered:
        return []
    first, *rest = ordered
    # One against one: the other deviates as much, unless its baseline vouches for it.
    alike = [
        other.finding
        for other in rest
        if first.others == other.others == 1 and other.badness >= first.badness - _CLOSE
    ]
    return [first.finding, *alike[:1]]


def _by_exchange(
    suspicions: Iterable[_Suspicion], excused: Collection[Finding]
) -> list[_Suspicion]:
    """The worst of each exchange that is not excused, with the span of all like it."""
    held = [s for s in suspicions if not any(s.finding.is_like(known) for known in excused)]
    found = []
    for _, group in groupby(sorted(held, key=_exchange), key=_exchange):
        own = list(group)
        worst = max(own, key=lambda suspicion: suspicion.badness)
        since = min(suspicion.finding.since for suspicion in own)
        until = max(suspicion.finding.until for suspicion in own)
        shown = f"{worst.finding.detail}; {_span(worst.finding.since, worst.finding.until)}"
        finding = Finding(worst.finding.exchange, worst.finding.mistake, shown, since, until)
        found.append(_Suspicion(finding, worst.badness, worst.others))
    return found


def _exchange(suspicion: _Suspicion) -> str:
    return suspicion.finding.exchange


def _explaining(ratio: float, factor: float | None) -> list[float]:
    """The mistakes that may be behind a ratio: the one that the baseline hints at, if it leaves a
    scale that has been; else the nearest one, and the next if it leaves a usual scale.
    """

    def leaves(wrong: float, scale: tuple[float, float]) -> bool:
        return scale[0] <= ratio / wrong <= scale[1]

    wrong = [f for f in FACTORS if f > 0 and f != 1 and (f > 1) == (ratio > 1)]
    if factor in wrong and leaves(factor, WEEK_RATIO):
        return [factor]
    nearest = sorted(wrong, key=lambda f: abs(math.log(ratio / f)))
    return [nearest[0], *(f for f in nearest[1:2] if leaves(f, _USUAL))]


def _in_words(factors: Sequence[float]) -> str:
    words = " or ".join(FACTORS[factor] for factor in sorted(factors))
    return words if MIRRORED in factors else f"rates look {words}"


def _times(factor: float) -> str:
    return f"{factor:.3g} times" if abs(factor) >= 1 else f"1/{1 / factor:.3g} of"


def _span(since: datetime, until: datetime) -> str:
    return f"{since:%Y-%m-%d %H:%M}" + (f" to {until:%Y-%m-%d %H:%M}" if until > since else "")
