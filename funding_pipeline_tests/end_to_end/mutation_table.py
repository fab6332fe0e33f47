"""Every exchange with every mistake: whether a canary finds it, what it calls it, and how soon.

Run: python -m funding_pipeline_tests.end_to_end.mutation_table [--false-alarms]

Settlements are collected once, through requests, parsing, merge and the database, in two worlds:
recorded rates for the exchanges that were recorded in February 2026 (where the recording is beside
the checkout) and invented ones for all. Then the stored hourly rates of one exchange are falsified
from 2026-02-24 05:00 on, as a wrong unit, sign or interval falsifies them, and the canaries are
asked as each run would have asked them: hour by hour for a day, then twice a day for a week.

The invented rates follow the usual formula with its interest component. Which exchange really has
one is not known of all: `no baseline` shows what is left when its most frequent rate is taken away.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from funding_pipeline.transforms.against_others import WEEK_DAYS
from funding_pipeline.transforms.baseline import FACTORS, counts, modes
from funding_pipeline.transforms.canaries import Finding, canaries
from funding_pipeline_tests.end_to_end import canary_worlds
from funding_pipeline_tests.end_to_end.canary_worlds import AFTER, MISTAKE, RECORDED_DIR

MISTAKES = (100.0, 1 / 100, -1.0, 3.0, 8.0, 24.0, 1 / 8)
HEADINGS = ("x100", "x1/100", "mirrored", "x3", "x8", "x24", "x1/8")
ASKED = [timedelta(hours=n) for n in (*range(1, 25), *range(36, 24 * AFTER.days + 1, 12))]
NEVER = "-"


@dataclass(frozen=True, slots=True)
class Caught:
    """When after the mistake, by which name, and who else was blamed."""

    after: timedelta
    mistake: str
    others: tuple[str, ...]


def found_at(settlements: pl.DataFrame, now: datetime) -> list[Finding]:
    """What a run at `now` finds: the day that is owed, and what was stored by then."""
    day = (now - timedelta(microseconds=1)).date()
    first = datetime.combine(day, datetime.min.time()) - timedelta(days=WEEK_DAYS - 1)
    return canaries(
        settlements.filter(pl.col("funding_time") > first, pl.col("funding_time") <= now), [day]
    )


def falsified(settlements: pl.DataFrame, exchange: str, factor: float) -> pl.DataFrame:
    wrong = (pl.col("exchange") == exchange) & (pl.col("funding_time") > MISTAKE)
    rate = pl.col("rate_hourly")
    return settlements.with_columns(pl.when(wrong).then(rate * factor).otherwise(rate))


def without_baseline(settlements: pl.DataFrame, exchange: str) -> pl.DataFrame:
    (most,) = _mode(settlements, exchange)["rate_hourly"]
    unlike = (pl.col("rate_hourly") / most - 1).abs() > 0.01
    return settlements.filter((pl.col("exchange") != exchange) | unlike)


def _mode(settlements: pl.DataFrame, exchange: str) -> pl.DataFrame:
    own = settlements.filter(pl.col("exchange") == exchange, pl.col("rate_hourly") != 0)
    return modes(counts(own, ["exchange"]), ["exchange"])


def caught(settlements: pl.DataFrame, exchange: str, factor: float) -> Caught | None:
    world = falsified(settlements, exchange, factor)
    for after in ASKED:
        found = {finding.exchange: finding for finding in found_at(world, MISTAKE + after)}
        if found:
            own = found.pop(exchange, None)
            return Caught(after, own.mistake if own else "", tuple(found))
    return None


def told(case: Caught | None, factor: float) -> str:
    """'3 h' where the mistake is named right, else what it was called; who else was blamed."""
    if case is None:
        return NEVER
    hours = case.after // timedelta(hours=1)
    text = f"{hours} h" if hours <= 24 else f"{hours / 24:g} d"
    if FACTORS[factor] not in case.mistake:
        text += f" as {case.mistake.removeprefix('rates look ').split(' ')[0] or 'another'}"
    return text + "".join(f" and {other}" for other in case.others)


def rows(settlements: pl.DataFrame, kind: str) -> Iterator[list[str]]:
    """exchange, kind, assets shared with others, share of the baseline, then a cell per mistake."""
    shared = settlements.filter(pl.col("exchange").n_unique().over("asset") > 1)
    for exchange in sorted(settlements["exchange"].unique()):
        assets = shared.filter(pl.col("exchange") == exchange)["asset"].n_unique()
        mode = _mode(settlements, exchange).row(0, named=True)
        worlds = {kind: settlements}
        if mode["telling"]:
            worlds["no baseline"] = without_baseline(settlements, exchange)
        for name, world in worlds.items():
            share = f"{mode['share']:.0%}" if mode["telling"] and name == kind else "none"
            cells = [told(caught(world, exchange, factor), factor) for factor in MISTAKES]
            yield [exchange, name, str(assets), share, *cells]


def table() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        if RECORDED_DIR.is_dir():
            yield from rows(canary_worlds.recorded(Path(folder) / "recorded"), "recorded")
        yield from rows(canary_worlds.generated(Path(folder) / "generated"), "invented")


def false_alarms(settlements: pl.DataFrame) -> Iterator[tuple[date, Finding]]:
    """Every day judged as it would have been judged at its end."""
    day = datetime(2023, 1, 1)
    last: datetime = settlements["funding_time"].max()  # type: ignore[assignment]
    while day < last:
        day += timedelta(days=1)
        for finding in found_at(settlements, day):
            yield day.date() - timedelta(days=1), finding


def main() -> int:
    if "--false-alarms" in sys.argv[1:]:
        recordings = canary_worlds.recordings()
        alarms = list(false_alarms(recordings))
        for day, finding in alarms:
            print(day, finding.exchange, finding.mistake, finding.detail, sep="  ")
        print(f"{len(alarms)} false alarms in {len(recordings):,} recorded settlements since 2023")
        return 1 if alarms else 0
    widths = (12, 12, 6, 8)
    heading = ("exchange", "rates", "assets", "baseline", *HEADINGS)
    for row in (heading, *table()):
        head = "".join(f"{cell:<{width}} " for cell, width in zip(row, widths, strict=False))
        print(head + " | ".join(f"{cell:<16}" for cell in row[len(widths) :]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
