"""What to ask: the windows that a job still lacks, market by market.

Belongs here: pure planning from what is known and collected. Does not: requests, clocks.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from funding_pipeline.domain import calendar
from funding_pipeline.domain.grid import DAY_MS, EARLIEST_MS, HOUR_MS
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.records import Answered, Quarantined, RawSettlement, Window
from funding_pipeline.domain.spans import coalesce, subtract
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.ledger import Reason
from funding_pipeline.warehouse.markets import KnownMarket

TICK_REACH_MS = 7 * DAY_MS
CONTEXT_MS = DAY_MS
_SLOT = attrgetter("slot_ms")


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is to collect. `markets` empty means all; `refetch` asks even what is covered.

    A tick looks only at live markets and asks only those whose next settlement is due. A repair
    asks only for its `holes`, windows by exchange and market, whether covered or not. `insist`: a
    person wants it, exchanges that are left alone after failures are tried at once.
    """

    reason: Reason
    window: Window
    markets: frozenset[str] = frozenset()
    refetch: bool = False
    insist: bool = False
    holes: Mapping[str, Mapping[str, Sequence[Window]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """One market and window to collect, and the wider window to ask for its sake."""

    market: str
    window: Window
    ask: Window


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan will cost at least: requests, settlements, seconds at the exchange's limit."""

    units: int
    requests: int
    rows: int
    seconds: float


def plan(
    job: Job,
    spec: ExchangeSpec,
    known: Iterable[KnownMarket],
    collected: Mapping[str, Sequence[Window]],
    now_ms: int,
) -> list[Unit]:
    """The units a job still lacks, oldest watermark first within each market; of a repair the
    newest first.
    """
    if job.reason == "repair":
        return _repair(job, spec, known, collected, now_ms)
    end = min(job.window.end_ms, now_ms)
    kept_ms = kept_since(spec, now_ms)
    units = []
    chosen = [m for m in known if not job.markets or m.market in job.markets]
    if job.reason in ("tick", "sweep"):
        chosen = [m for m in chosen if m.live]
    if job.reason == "tick":
        chosen = [m for m in chosen if _due(m, now_ms)]
    for market in chosen:
        listed = (market.listed_at_ms or 0) // HOUR_MS * HOUR_MS
        wanted = Window(max(job.window.start_ms, listed, kept_ms), end)
        covered = collected.get(market.market, ())
        missing = [wanted] if job.refetch else subtract(wanted, covered)
        units += [
            Unit(market.market, window, _ask(spec, window, covered, max(listed, kept_ms), now_ms))
            for window in missing
            if _holds_a_slot(window)
        ]
    return units


def kept_since(spec: ExchangeSpec, now_ms: int) -> int:
    """The first whole hour that the exchange still tells of; 0 where it keeps everything."""
    return calendar.kept_since(spec.look_back_days, now_ms)


def _repair(
    job: Job,
    spec: ExchangeSpec,
    known: Iterable[KnownMarket],
    collected: Mapping[str, Sequence[Window]],
    now_ms: int,
) -> list[Unit]:
    """The holes, those of one market joined where a page reaches from one to the next."""
    kept_ms = kept_since(spec, now_ms)
    holes = job.holes.get(spec.name, {})
    units = []
    for market in known:
        page_ms = spec.page_rows * (market.interval_hours or 1) * HOUR_MS
        covered = collected.get(market.market, ())
        for hole in calendar.joined(holes.get(market.market, ()), page_ms):
            window = Window(max(hole.start_ms, kept_ms), min(hole.end_ms, now_ms))
            if window.start_ms < window.end_ms:
                ask = _ask(spec, window, covered, kept_ms, now_ms)
                units.append(Unit(market.market, window, ask))
    return sorted(units, key=lambda unit: (-unit.window.end_ms, unit.market))


def cheaper_together(
    spec: ExchangeSpec, units: Sequence[Unit], intervals: Mapping[str, int | None]
) -> bool:
    """Whether one answer for all markets takes fewer requests than asking each by itself; of
    `intervals`, every market of the exchange has one.
    """
    if not spec.history_of_all or not units:
        return False
    rows_an_hour = sum(1 / (hours or 1) for hours in intervals.values())
    hours = (
        (window.end_ms - window.start_ms) / HOUR_MS
        for window in coalesce(unit.ask for unit in units)
    )
    together = sum(max(1, math.ceil(span * rows_an_hour / spec.page_rows)) for span in hours)
    return together < forecast(spec, units, intervals).requests


def _holds_a_slot(window: Window) -> bool:
    """Settlements sit on whole hours: a window without one is collected as it is."""
    return -(-window.start_ms // HOUR_MS) * HOUR_MS < window.end_ms


def _due(market: KnownMarket, now_ms: int) -> bool:
    if market.last_settlement_ms is None or market.interval_hours is None:
        return True
    return market.last_settlement_ms + market.interval_hours * HOUR_MS <= now_ms


def _ask(
    spec: ExchangeSpec, window: Window, covered: Sequence[Window], listed_ms: int, now_ms: int
) -> Window:
    """The window, 5 s earlier for early stamps, and a day of context where nothing stored gives it.

    A fixed interval needs no context.
    """
    start, end = window.start_ms, window.end_ms
    if not isinstance(spec.interval, FixedInterval):
        before = Window(max(start - CONTEXT_MS, listed_ms), start)
        after = Window(end, min(end + CONTEXT_MS, now_ms))
        start = before.start_ms if subtract(before, covered) else start
        end = after.end_ms if subtract(after, covered) else end
    return Window(start + EARLIEST_MS, end)


def answered(spec: ExchangeSpec, unit: Unit, raw: Sequence[RawSettlement], now_ms: int) -> Answered:
    """The validated answer to a unit, with the window that may count as collected.

    A settlement missing near `now` may still be published: the window then ends before it.
    """
    own = [row for row in raw if row.market == unit.market]
    valid, rejected = validate(
        own, unit=spec.rate_unit, max_abs_rate=spec.max_abs_rate, now_ms=now_ms
    )
    rejected += [
        Quarantined(row, f"another market: {row.market}")
        for row in raw
        if row.market != unit.market
    ]
    start, end = unit.window.start_ms, unit.window.end_ms
    first, after = (bisect_left(valid, edge, key=_SLOT) for edge in (start, end))
    settled_until = now_ms - spec.settles_within_s * 1000
    if valid:
        settled_until = max(settled_until, valid[-1].slot_ms + HOUR_MS + EARLIEST_MS)
    return Answered(
        unit.market,
        Window(start, sorted((start, settled_until, end))[1]),
        valid[first:after],
        valid[:first] + valid[after:],
        [q for q in rejected if start <= q.raw.time_ms < end],
    )


def forecast(
    spec: ExchangeSpec, units: Sequence[Unit], intervals: Mapping[str, int | None]
) -> Forecast:
    """Cost of a plan if every market settles at its declared interval."""
    requests = rows = 0
    for unit in units:
        hours = (unit.ask.end_ms - unit.ask.start_ms) // HOUR_MS
        expected = hours // (intervals.get(unit.market) or 1)
        rows += expected
        requests += max(1, math.ceil(expected / spec.page_rows))
    seconds = max(
        (requests * spec.page_weight / limit.weight * limit.seconds for limit in spec.limits),
        default=0.0,
    )
    return Forecast(len(units), requests, rows, seconds)
