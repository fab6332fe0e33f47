"""From rows of a source to settlements of an exchange: the checks that collected rows pass, too.

Belongs here: one market's rows against the exchange's declaration. Does not: what is stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import polars as pl

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Quarantined, RawSettlement, Slotted
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import ExchangeSpec


@dataclass(frozen=True, slots=True)
class Series:
    """One market's rows, ascending, and those that failed.

    `tight`: rows whose interval, as the source tells it, is longer than the time since the row
    before: settlements overlap, so the interval is hardly right.
    """

    market: str
    rows: list[Slotted]
    rejected: list[Quarantined]
    tight: int


def series(rows: pl.DataFrame, spec: ExchangeSpec, unit: RateUnit, now_ms: int) -> Iterator[Series]:
    """A frame of base.RAW, sorted by market and stamp, market by market."""
    for part in rows.partition_by("market", maintain_order=True):
        yield _one(part, spec, unit, now_ms)


def _one(part: pl.DataFrame, spec: ExchangeSpec, unit: RateUnit, now_ms: int) -> Series:
    raws = []
    rejected = []
    kept: dict[tuple[int, str], str] = {}
    for market, time_ms, text, kept_text, hours, mark, value, kind, problem in part.iter_rows():
        raw = RawSettlement(market, time_ms, text, hours, mark, value)
        if problem is None and kind not in (None, spec.kind):
            # An estimate is no settlement, whatever it is called elsewhere.
            problem = f"kind: {kind}, but rows of {spec.name} are {spec.kind}"  # noqa: PLW2901
        if problem is not None:
            rejected.append(Quarantined(raw, problem))
            continue
        raws.append(raw)
        if kept_text is not None:
            kept[time_ms, text] = kept_text
    valid, failed = validate(raws, unit=unit, max_abs_rate=spec.max_abs_rate, now_ms=now_ms)
    found: list[Slotted] = []
    tight = 0
    for row in valid:
        hours = row.raw.interval_hours
        if hours is not None and isinstance(spec.interval, FixedInterval):
            own = spec.interval.at(row.slot_ms)
            if hours != own:
                # A rate for 8 hours in a place for 1 would be wrong by a factor of 8.
                reason = f"interval: told {hours} h, but {spec.name} settles every {own} h"
                failed.append(Quarantined(row.raw, reason))
                continue
        if hours is not None and found and row.slot_ms - found[-1].slot_ms < hours * HOUR_MS:
            tight += 1
        if text := kept.get((row.raw.time_ms, row.raw.rate_text)):
            raw = msgspec.structs.replace(row.raw, rate_text=text)
            row = Slotted(row.slot_ms, row.rate, raw)  # noqa: PLW2901 - the same row, as sent
        found.append(row)
    return Series(part["market"][0], found, rejected + failed, tight)
