"""What the exchange itself sent goes before what is imported: finding it, and where they differ.

Belongs here: the exchange's rows beside an import's, and the comparison. Does not: storing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from funding_pipeline.domain.records import RawSettlement, Slotted
from funding_pipeline.warehouse.database import milliseconds, timestamp
from funding_pipeline.warehouse.ledger import Event
from funding_pipeline.warehouse.series import NEIGHBOUR_MS

_SAME = 1e-12  # relative; a number that went through other hands may differ in its last digit

Sent = dict[int, tuple[float, int]]  # slot -> rate and interval, as the exchange's rows have them


@dataclass(slots=True)
class Difference:
    """Settlements of one market for which an import and the exchange differ."""

    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    example: str = ""

    def note(self, row: Slotted, sent: tuple[float, int]) -> None:
        """Count one more."""
        if not self.count:
            rate, hours = sent
            told = row.raw.interval_hours or hours
            self.example = f"{row.rate!r} for {told} h imported, {rate!r} for {hours} h sent"
            self.first_ms = self.last_ms = row.slot_ms
        self.count += 1
        self.first_ms = min(self.first_ms, row.slot_ms)
        self.last_ms = max(self.last_ms, row.slot_ms)

    def event(self, market: str) -> Event:
        """What is told of it."""
        span = f"{timestamp(self.first_ms)} .. {timestamp(self.last_ms)}"
        detail = f"{self.count} settlement(s), {span}: what the exchange sent stays; the first: "
        return Event("import differs", market, detail + self.example)


def agrees(row: Slotted, sent: tuple[float, int]) -> bool:
    """Whether an imported row says what the exchange said; an interval only if it tells one."""
    rate, hours = sent
    return abs(row.rate - rate) <= _SAME * abs(rate) and row.raw.interval_hours in (None, hours)


def sent_beside(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    pieces: Mapping[str, tuple[list[Slotted], list[Slotted]]],
) -> dict[str, Sent]:
    """What the exchange itself sent of these markets, within two days around the rows."""
    slots = [row.slot_ms for rows, _ in pieces.values() for row in rows]
    if not slots:
        return {}
    found: dict[str, Sent] = {}
    for market, time, rate, hours in connection.execute(
        """SELECT m.market, s.funding_time, s.rate, s.interval_hours
        FROM settlements s JOIN base.markets m USING (market_id)
        WHERE s.source = 'api' AND s.funding_time BETWEEN ? AND ? AND m.exchange = ?
          AND m.market IN (SELECT unnest(CAST(? AS VARCHAR[])))""",
        [
            timestamp(min(slots) - NEIGHBOUR_MS),
            timestamp(max(slots) + NEIGHBOUR_MS),
            exchange,
            list(pieces),
        ],
    ).fetchall():
        found.setdefault(market, {})[milliseconds(time)] = (rate, hours)
    return found


def evidence(market: str, slot_ms: int, rate: float, hours: int) -> Slotted:
    """A row of the exchange's, so that an import decides no interval of its anew."""
    return Slotted(slot_ms, rate, RawSettlement(market, slot_ms, repr(rate), hours))
