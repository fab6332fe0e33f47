"""Looking for gaps before the first and after the last settlement of a market.

Belongs here: what is known of each market's life, and what it owes at its edges. Does not: the rule
(domain.calendar), gaps between settlements (gap_scan).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.domain.calendar import Gap, Life, Settled, from_slot, head, tail, unsettled
from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.warehouse.database import milliseconds, timestamp, visible
from funding_pipeline.warehouse.gap_scan import Scan

# What was not asked so long is no longer the next tick's work.
UNASKED = timedelta(hours=3)

# One row per market. lone_from, lone_to: what was never asked before the first settlement, where
# something older was.
_EDGES = """
WITH spans AS (
    SELECT m.market_id, min(c.from_time) AS asked_from, max(c.to_time) AS asked_to,
           min(c.from_time) FILTER (m.first_settlement BETWEEN c.from_time AND c.to_time) AS holding
    FROM base.markets m JOIN collected_windows c USING (exchange, market) GROUP BY m.market_id
), lone AS (
    SELECT m.market_id, max(c.to_time) AS lone_from, any_value(s.holding) AS lone_to
    FROM base.markets m JOIN spans s USING (market_id)
    JOIN collected_windows c USING (exchange, market)
    WHERE m.listed_at IS NULL AND c.to_time < s.holding GROUP BY m.market_id
)
SELECT m.market_id, m.status, m.interval_hours, m.listed_at, m.first_seen, m.delisted_at,
       m.first_settlement, m.last_settlement, s.asked_from, s.asked_to, l.lone_from, l.lone_to
FROM base.markets m LEFT JOIN spans s USING (market_id) LEFT JOIN lone l USING (market_id)
ORDER BY m.market_id"""


@dataclass(frozen=True, slots=True)
class _Edge:
    """What is known of a market's life, times in milliseconds; names as in `_EDGES`."""

    market_id: int
    live: bool
    hours: int | None
    listed: int | None
    first_seen: int
    delisted: int | None
    first: int | None
    last: int | None
    asked_from: int | None
    asked_to: int | None
    lone_from: int | None
    lone_to: int | None

    def begins(self) -> Life:
        """Where settlements are expected from: since the listing, or since collection began.

        Without a listing date, hours before the first settlement that were asked and answered empty
        lie before its life; those that nobody asked may belong to it.
        """
        responsible = self.first_seen if self.asked_from is None else self.asked_from
        responsible = min(responsible, self.first_seen)
        if self.listed is not None:
            older = self.listed < responsible
            return Life(max(self.listed, responsible), hours=self.hours, lived_before=older)
        if self.first is not None:
            return Life(self.lone_from, hours=self.hours, lived_before=True)
        start = self.first_seen if self.asked_to is None else max(self.asked_to, self.first_seen)
        return Life(start, hours=self.hours)

    def ends(self, now_ms: int) -> int | None:
        """The last moment at which a settlement may be missed."""
        if not self.live:
            return self.delisted
        unasked = now_ms - int(UNASKED.total_seconds() * 1000)
        return min(now_ms, max(unasked, (self.asked_to or 0) - 1))


def scan_edges(connection: duckdb.DuckDBPyConnection, now: datetime, scan: Scan) -> None:
    """Search before the first and after the last settlement of every market."""
    edges = [_edge(row) for row in connection.execute(_EDGES).fetchall()]
    now_ms = milliseconds(now)
    heads, tails = [], []
    for edge in edges:
        if edge.first is None or edge.last is None:
            if edge.live:
                life = edge.begins()
                whole = Life(life.start_ms, edge.ends(now_ms), edge.hours)
                scan.add(edge.market_id, [unsettled(whole)])
            continue
        least = (edge.hours or 1) * HOUR_MS
        start, end = edge.begins().start_ms, edge.ends(now_ms)
        if start is not None and edge.first - start >= HOUR_MS:
            heads.append(edge)
        if end is not None and end - edge.last >= least and _end_is_known(edge):
            tails.append(edge)
    intervals = _intervals(
        connection,
        [(edge.market_id, edge.first) for edge in heads]
        + [(edge.market_id, edge.last) for edge in tails],
    )
    for edge in heads:
        assert edge.first is not None
        scan.add(edge.market_id, [_head(edge, intervals[edge.market_id, edge.first])])
    for edge in tails:
        assert edge.last is not None
        last = Settled(edge.last, intervals[edge.market_id, edge.last])
        gap = tail(last, Life(end_ms=edge.ends(now_ms), hours=edge.hours))
        if gap is not None and not edge.live:
            gap = from_slot(gap, edge.asked_to or 0)
        scan.add(edge.market_id, [gap])


def _end_is_known(edge: _Edge) -> bool:
    """A market that left its list while it was watched: what was asked and answered empty after
    its last settlement lies after its life; what nobody asked may belong to it.
    """
    if edge.live:
        return True
    if edge.delisted is None or edge.delisted == edge.first_seen:
        return False
    return (edge.asked_to or 0) < edge.delisted


def _head(edge: _Edge, hours: int) -> Gap | None:
    life, first = edge.begins(), edge.first
    assert first is not None
    if edge.listed is not None:
        return head(Settled(first, hours), life)
    # Between what was asked and answered empty and what holds the first settlement.
    gap = head(Settled(first, hours), life)
    until = edge.lone_to or 0
    if gap is None or first - until >= hours * HOUR_MS:
        return None
    return gap


def _intervals(
    connection: duckdb.DuckDBPyConnection, keys: Sequence[tuple[int, int | None]]
) -> Mapping[tuple[int, int], int]:
    frame = pl.DataFrame(
        [(market_id, timestamp(time)) for market_id, time in keys if time is not None],
        schema={"market_id": pl.Int32, "funding_time": pl.Datetime("us")},
        orient="row",
    ).unique()
    if frame.is_empty():
        return {}
    with visible(connection, "keys", frame):
        rows = connection.execute(
            """SELECT market_id, funding_time, s.interval_hours
            FROM settlements s JOIN keys USING (market_id, funding_time)
            -- First settlements lie all over the history: bounds would narrow nothing.
            WHERE s.funding_time IN (SELECT funding_time FROM keys)"""
        ).fetchall()
    return {(market_id, milliseconds(time)): hours for market_id, time, hours in rows}


def _edge(row: tuple[object, ...]) -> _Edge:
    market_id, status, hours, *times = row
    values = [milliseconds(time) if isinstance(time, datetime) else None for time in times]
    return _Edge(market_id, status == "live", hours, *values)  # type: ignore[arg-type]
