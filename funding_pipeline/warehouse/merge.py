"""Merging collected settlements: new rows inserted, changed rows revised, nothing deleted.

Belongs here: one batch, one short transaction: settlements, revisions, quarantine, what was
collected, what derived tables now owe. Does not: intervals' rules (domain), batching (collection).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import polars as pl

from funding_pipeline.domain.grid import LATE_EVENT_MS
from funding_pipeline.domain.records import Answered, Kind, Quarantined
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import timestamp, transaction, visible
from funding_pipeline.warehouse.ledger import Event, record_events
from funding_pipeline.warehouse.series import STORED, decided_series
from funding_pipeline.warehouse.windows import record_windows

Source = Literal["api", "import"]


@dataclass(slots=True)
class MergeCounts:
    """What merging did, in settlements."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    quarantined: int = 0

    def add(self, other: "MergeCounts") -> None:
        """Sum of two merges."""
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.quarantined += other.quarantined


def merge(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    answers: Sequence[Answered],
    *,
    load_id: int,
    now: datetime,
    source: Source = "api",
) -> MergeCounts:
    """Store a batch of one exchange. Markets must be known (`record_markets` first).

    Idempotent: the same batch again changes nothing. An empty window counts as nothing collected.
    What the exchange sends replaces what was imported. ValueError when two rows share a key, or
    when an import would change what the exchange sent: the caller has to leave such rows out.
    """
    counts = MergeCounts()
    with transaction(connection):
        frame, undecided = decided_series(connection, spec, answers)
        rejected = [(a.market, row) for a in answers for row in a.rejected] + undecided
        if frame.select("market_id", "funding_time").is_duplicated().any():
            raise ValueError(f"{spec.name}: a batch with two rows of one market and hour")
        if not frame.is_empty():
            _merge_settlements(connection, frame, spec.kind, source, load_id, now, counts)
        counts.quarantined = _quarantine(connection, spec.name, rejected, load_id, now)
        asked = [a for a in answers if a.window.start_ms < a.window.end_ms]
        answered = [(a.market, a.window, len(a.rows)) for a in asked]
        record_windows(connection, spec.name, answered, load_id)
        late = [
            Event("late stamp", a.market, f"{timestamp(r.slot_ms)} {r.lag_ms / 1000:.0f} s late")
            for a in answers
            for r in a.rows
            if r.lag_ms > LATE_EVENT_MS
        ]
        record_events(connection, spec.name, late, load_id, now)
    return counts


def _merge_settlements(
    connection: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    kind: Kind,
    source: Source,
    load_id: int,
    now: datetime,
    counts: MergeCounts,
) -> None:
    with visible(connection, "incoming", frame):
        # Bounded by the batch's own span: what lies outside cannot be touched by it.
        connection.execute(
            """CREATE OR REPLACE TEMP TABLE batch AS
            SELECT i.*, s.source AS held, CASE
                WHEN s.market_id IS NULL THEN 'new'
                WHEN s.rate <> i.rate THEN 'exchange'
                WHEN s.interval_hours <> i.interval_hours THEN 'reinterpreted'
                WHEN s.covered_hours <> i.covered_hours THEN 'reweighted'
                ELSE 'same' END AS fate
            FROM incoming i LEFT JOIN (
                FROM settlements WHERE funding_time BETWEEN ? AND ?
            ) s USING (market_id, funding_time)""",
            [frame["funding_time"].min(), frame["funding_time"].max()],
        )
    fates = connection.execute(
        """SELECT fate, count(*), count(*) FILTER (NOT neighbour), count(*) FILTER (held = 'api'),
                  count(*) FILTER (held = 'import' AND NOT neighbour)
        FROM batch GROUP BY fate"""
    ).fetchall()
    total = {fate: rows for fate, rows, *_ in fates}
    asked = {fate: rows for fate, _, rows, *_ in fates}
    sent = sum(rows for fate, _, _, rows, _ in fates if fate in ("exchange", "reinterpreted"))
    if source == "import" and sent:
        raise ValueError(f"an import would change {sent} settlement(s) that the exchange sent")
    counts.new = total.get("new", 0)
    counts.changed = total.get("exchange", 0) + total.get("reinterpreted", 0)
    counts.unchanged = asked.get("same", 0) + asked.get("reweighted", 0)
    if total.keys() - {"new", "same"}:
        _revise(connection, load_id, now)
    if source == "api" and any(imported for *_, imported in fates):
        _confirm(connection, load_id, now)
    if counts.new:
        connection.execute(
            f"""INSERT INTO settlements BY NAME
            SELECT {", ".join(STORED)}, ? AS kind, ? AS source,
                   ? AS load_id, ? AS collected_at
            FROM batch WHERE fate = 'new' ORDER BY funding_time, market_id""",
            [kind, source, load_id, now],
        )
        # Points between the newest settlement so far and these become known only now.
        connection.execute(
            """INSERT INTO dirty_days
            SELECT DISTINCT m.market_id, CAST(m.last_settlement - INTERVAL 1 HOUR AS DATE),
                   CAST(? AS TIMESTAMP)
            FROM batch b JOIN markets m USING (market_id)
            WHERE b.fate = 'new' AND b.funding_time > m.last_settlement""",
            [now],
        )
        connection.execute(
            """UPDATE markets SET
                first_settlement = least(coalesce(first_settlement, b.first), b.first),
                last_settlement = greatest(coalesce(last_settlement, b.last), b.last)
            FROM (SELECT market_id, min(funding_time) AS first, max(funding_time) AS last
                  FROM batch WHERE fate = 'new' GROUP BY market_id) b
            WHERE markets.market_id = b.market_id"""
        )
    connection.execute(
        """INSERT INTO dirty_days
        SELECT DISTINCT market_id,
               CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE),
               CAST(? AS TIMESTAMP)
        FROM batch b WHERE fate <> 'same' AND NOT EXISTS (
            FROM dirty_days d WHERE d.market_id = b.market_id AND d.day =
                CAST(b.funding_time - to_hours(CAST(b.interval_hours AS INTEGER)) AS DATE))""",
        [now],
    )
    connection.execute("DROP TABLE batch")


def _revise(connection: duckdb.DuckDBPyConnection, load_id: int, now: datetime) -> None:
    """The new value wins, the old one is kept; the day of a former interval is owed as well."""
    connection.execute(
        """INSERT INTO rate_revisions
        SELECT s.market_id, s.funding_time, s.rate, s.interval_hours, s.raw_rate, s.lag_ms,
               s.load_id, b.fate, ?, ?
        FROM settlements s JOIN batch b USING (market_id, funding_time)
        WHERE b.fate IN ('exchange', 'reinterpreted')""",
        [load_id, now],
    )
    connection.execute(
        """INSERT INTO dirty_days
        SELECT DISTINCT s.market_id,
               CAST(s.funding_time - to_hours(CAST(s.interval_hours AS INTEGER)) AS DATE),
               CAST(? AS TIMESTAMP)
        FROM settlements s JOIN batch b USING (market_id, funding_time)
        WHERE b.fate = 'reinterpreted'""",
        [now],
    )
    connection.execute(
        """INSERT INTO events
        SELECT ?, CASE b.fate WHEN 'exchange' THEN 'revised' ELSE 'reinterpreted' END,
               m.exchange, m.market,
               count(*) || ' settlement(s), ' || min(b.funding_time) || ' .. '
               || max(b.funding_time), ?
        FROM batch b JOIN markets m USING (market_id)
        WHERE b.fate IN ('exchange', 'reinterpreted') GROUP BY m.exchange, m.market, b.fate
        ORDER BY m.market, b.fate""",
        [now, load_id],
    )
    connection.execute(
        """UPDATE settlements SET
            rate = b.rate, interval_hours = b.interval_hours, covered_hours = b.covered_hours,
            raw_rate = b.raw_rate, lag_ms = b.lag_ms, mark_price = b.mark_price,
            cumulative_value = b.cumulative_value, load_id = ?
        FROM batch b
        WHERE b.fate NOT IN ('new', 'same') AND settlements.market_id = b.market_id
          AND settlements.funding_time = b.funding_time""",
        [load_id],
    )


def _confirm(connection: duckdb.DuckDBPyConnection, load_id: int, now: datetime) -> None:
    """What was imported and now came from the exchange is the exchange's, text and price too."""
    connection.execute(
        """UPDATE settlements SET
            source = 'api', raw_rate = b.raw_rate, lag_ms = b.lag_ms, mark_price = b.mark_price,
            cumulative_value = b.cumulative_value, load_id = ?
        FROM batch b
        WHERE b.held = 'import' AND NOT b.neighbour AND settlements.market_id = b.market_id
          AND settlements.funding_time = b.funding_time""",
        [load_id],
    )
    connection.execute(
        """INSERT INTO dirty_days
        SELECT DISTINCT market_id,
               CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE),
               CAST(? AS TIMESTAMP)
        FROM batch WHERE held = 'import' AND NOT neighbour AND fate = 'same'""",
        [now],
    )


def _quarantine(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    rejected: Sequence[tuple[str, Quarantined]],
    load_id: int,
    now: datetime,
) -> int:
    """Keep rows that failed; one that lies there already is not kept twice."""
    frame = pl.DataFrame(
        [(market, timestamp(q.raw.time_ms), q.raw.rate_text, q.reason) for market, q in rejected],
        schema={
            "market": pl.String,
            "stamp": pl.Datetime("us"),
            "raw_rate": pl.String,
            "reason": pl.String,
        },
        orient="row",
    ).unique()
    if frame.is_empty():
        return 0
    with visible(connection, "failed", frame):
        connection.execute(
            """INSERT INTO quarantine BY NAME
            SELECT ? AS exchange, f.*, ? AS load_id, ? AS quarantined_at
            FROM failed f ANTI JOIN (FROM quarantine WHERE exchange = ?) q
            USING (market, stamp, raw_rate, reason)""",
            [exchange, load_id, now, exchange],
        )
    return len(frame)
