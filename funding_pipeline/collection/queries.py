"""From units to what is sent: one query per market and window, or one for all markets together.

Belongs here: grouping units for exchanges that answer for all markets at once, and dealing their
rows out again. Does not: which windows are missing (planning), requests.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from funding_pipeline.collection.planning import Job, Unit, answered, cheaper_together
from funding_pipeline.domain.grid import DAY_MS, EARLIEST_MS
from funding_pipeline.domain.records import Answered, Quarantined, RawSettlement, Window
from funding_pipeline.domain.spans import coalesce
from funding_pipeline.exchanges.base import ExchangeSpec

# Bounds what one answer for all markets holds in memory; thirty days and today are one.
SLICE_MS = 31 * DAY_MS


@dataclass(frozen=True, slots=True)
class Query:
    """One history plan to run: of one market, or of all where `market` is None."""

    market: str | None
    ask: Window
    units: tuple[Unit, ...]


def queries(spec: ExchangeSpec, units: Sequence[Unit], *, together: bool) -> list[Query]:
    """Every unit in exactly one query, or cut at slices into several that follow each other.

    A slice's end has no context: the next slice brings it, and the interval of a last row that was
    decided without a follower is decided anew.
    """
    if not together:
        return [Query(unit.market, unit.ask, (unit,)) for unit in units]
    found = []
    for window in coalesce(unit.window for unit in units):
        for start in range(window.start_ms, window.end_ms, SLICE_MS):
            piece = Window(start, min(start + SLICE_MS, window.end_ms))
            parts = tuple(_cut(units, piece))
            ask = Window(
                min(part.ask.start_ms for part in parts), max(part.ask.end_ms for part in parts)
            )
            found.append(Query(None, ask, parts))
    return found


def arranged(
    spec: ExchangeSpec, job: Job, units: Sequence[Unit], intervals: Mapping[str, int | None]
) -> list[Query]:
    """The queries of a job: for all markets together where they are told so; of a repair where that
    is cheaper, the newest first. Of `intervals`, every market of the exchange has one.
    """
    if job.reason != "repair":
        return queries(spec, units, together=spec.history_of_all and not job.markets)
    found = queries(spec, units, together=cheaper_together(spec, units, intervals))
    return sorted(found, key=lambda query: -query.ask.end_ms)


def _cut(units: Iterable[Unit], piece: Window) -> Iterable[Unit]:
    for unit in units:
        start = max(unit.window.start_ms, piece.start_ms)
        end = min(unit.window.end_ms, piece.end_ms)
        if start >= end:
            continue
        # Context only where the unit's own edge lies in this piece.
        # Stamps may be early at an inner edge as well: they belong to the piece that begins there.
        first = unit.ask.start_ms if start == unit.window.start_ms else start + EARLIEST_MS
        last = unit.ask.end_ms if end == unit.window.end_ms else end
        yield Unit(unit.market, Window(start, end), Window(first, last))


def answers(
    spec: ExchangeSpec,
    query: Query,
    raw: Sequence[RawSettlement],
    known: Collection[str],
    now_ms: int,
) -> list[Answered]:
    """The rows of a query, unit by unit. Of an answer for all markets, rows of known markets that
    were not asked for are dropped; those of unknown ones go to quarantine.
    """
    if query.market is not None:
        return [answered(spec, unit, raw, now_ms) for unit in query.units]
    rows: dict[str, list[RawSettlement]] = {}
    for row in raw:
        rows.setdefault(row.market, []).append(row)
    found = [answered(spec, u, rows.get(u.market, ()), now_ms) for u in query.units]
    return found + _strangers(rows, known)


def _strangers(
    rows: Mapping[str, Sequence[RawSettlement]], known: Collection[str]
) -> list[Answered]:
    nothing = Window(0, 0)
    return [
        Answered(
            market,
            nothing,
            (),
            (),
            [Quarantined(row, "unknown market: not on the exchange's list") for row in own],
        )
        for market, own in rows.items()
        if market not in known
    ]
