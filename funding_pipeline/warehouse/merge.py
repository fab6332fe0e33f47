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
from funding_pipeline.domain.records import Answered, Kind
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import timestamp, transaction, visible
from funding_pipeline.warehouse.ledger import Event, record_events
from funding_pipeline.warehouse.quarantine import keep
from funding_pipeline.warehouse.row_checks import screened
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
    released: bool = False,
) -> MergeCounts:
    """Store a batch of one exchange. Markets must be known (`record_markets` first).

    Idempotent: the same batch again changes nothing. An empty window counts as nothing collected.
    What the exchange sends replaces what was imported. ValueError when two rows share a key, or
    when an import would change what the exchange sent: the caller has to leave such rows out.
    `released` rows are those that a person wants stored: they are not checked, and what they
    replaced does not come back.
    """
    counts = MergeCounts()
    with transaction(connection):
        checked = answers if released else screened(connection, spec, answers)
        frame, undecided = decided_series(connection, spec, checked)
        rejected = [(a.market, row) for a in checked for row in a.rejected] + undecided
        if _keys(frame).n_unique() < len(frame):
            raise ValueError(f"{spec.name}: a batch with two rows of one market and hour")
        if not frame.is_empty():
            replaced_by = "released" if released else "exchange"
            _merge_settlements(
                connection, frame, spec.kind, source, replaced_by, load_id, now, counts
            )
        counts.quarantined = keep(connection, spec.name, rejected, load_id, now)
        asked = [a for a in checked if a.window.start_ms < a.window.end_ms]
        answered = [(a.market, a.window, len(a.rows)) for a in asked]
        record_windows(connection, spec.name, answered, load_id)
        late = [
            Event("late stamp", a.market, f"{timestamp(r.slot_ms)} {r.lag_ms / 1000:.0f} s late")
            for a in checked
            for r in a.rows
            if r.raw.time_ms - r.slot_ms > LATE_EVENT_MS
        ]
        record_events(connection, spec.name, late, load_id, now)
    return counts


def _keys(frame: pl.DataFrame) -> pl.Series:
    """One number for market and hour."""
    return frame["market_id"].cast(pl.Int64) * 2**40 + frame["funding_time"].dt.epoch("s")


def _merge_settlements(
    connection: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    kind: Kind,
    source: Source,
    replaced_by: str,
    load_id: int,
    now: datetime,
    counts: MergeCounts,
) -> None:
    with visible(connection, "incoming", frame):
        # Bounded by the batch's own span: what lies outside cannot be touched by it.
        connection.execute(
            """CREATE OR REPLACE TEMP TABLE batch AS
            SELECT i.* REPLACE (base.kept_text(i.raw_rate, i.rate) AS raw_rate), s.source AS held,
                s.mark_price IS NULL AND i.mark_price IS NOT NULL AS priced, CASE
                WHEN s.market_id IS NULL THEN 'new'
                WHEN o.market_id IS NOT NULL AND $by = 'exchange' THEN 'same'
                WHEN s.rate <> i.rate THEN $by
                WHEN s.interval_hours <> i.interval_hours THEN 'reinterpreted'
                WHEN s.covered_hours <> i.covered_hours THEN 'reweighted'
                ELSE 'same' END AS fate
            FROM incoming i LEFT JOIN (
                FROM settlements WHERE funding_time BETWEEN $first AND $last
            ) s USING (market_id, funding_time) LEFT JOIN (
                -- What a release replaced, and nothing came since.
                FROM rate_revisions WHERE funding_time BETWEEN $first AND $last
                QUALIFY reason = 'released' AND row_number() OVER (
                    PARTITION BY market_id, funding_time
                    ORDER BY revised_at DESC, revised_by DESC) = 1
            ) o ON (o.market_id, o.funding_time, o.raw_rate)
                 = (i.market_id, i.funding_time, i.raw_rate)""",
            {
                "first": frame["funding_time"].min(),
                "last": frame["funding_time"].max(),
                "by": replaced_by,
            },
        )
    fates = connection.execute(
        """SELECT fate, count(*), count(*) FILTER (NOT neighbour), count(*) FILTER (held = 'api'),
                  count(*) FILTER (held = 'import' AND NOT neighbour),
                  count(*) FILTER (held = 'api' AND priced AND fate = 'same')
        FROM batch GROUP BY fate"""
    ).fetchall()
    total = {fate: rows for fate, rows, *_ in fates}
    asked = {fate: rows for fate, _, rows, *_ in fates}
    revised = (replaced_by, "reinterpreted")
    sent = sum(rows for fate, _, _, rows, *_ in fates if fate in revised)
    if source == "import" and sent:
        raise ValueError(f"an import would change {sent} settlement(s) that the exchange sent")
    counts.new = total.get("new", 0)
    counts.changed = sum(total.get(fate, 0) for fate in revised)
    counts.unchanged = asked.get("same", 0) + asked.get("reweighted", 0)
    if total.keys() - {"new", "same"}:
        _revise(connection, load_id, now)
    if source == "api" and any(imported for *_, imported, _ in fates):
        _confirm(connection, load_id, now)
    if source == "api" and any(priced for *_, priced in fates):
        # What told the settlement first knew no price of that moment; the history does.
        connection.execute(
            """UPDATE settlements SET mark_price = b.mark_price FROM batch b
            WHERE b.held = 'api' AND b.priced AND b.fate = 'same'
              AND settlements.market_id = b.market_id
              AND settlements.funding_time = b.funding_time"""
        )
    _owe(connection, now)
    if counts.new:
        connection.execute(
            f"""INSERT INTO settlements BY NAME
            SELECT {", ".join(STORED)}, ? AS kind, ? AS source,
                   ? AS load_id, ? AS collected_at
            FROM batch WHERE fate = 'new' ORDER BY funding_time, market_id""",
            [kind, source, load_id, now],
        )
        connection.execute(
            """UPDATE base.markets SET
                first_settlement = least(coalesce(first_settlement, b.first), b.first),
                last_settlement = greatest(coalesce(last_settlement, b.last), b.last)
            FROM (SELECT market_id, min(funding_time) AS first, max(funding_time) AS last
                  FROM batch WHERE fate = 'new' GROUP BY market_id) b
            WHERE markets.market_id = b.market_id"""
        )
    connection.execute("DROP TABLE batch")


def _owe(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """The days that changed, and the one from which on points become known only now. Nothing
    before a market's newest settlement so far is touched by what comes after it.
    """
    connection.execute(
        """INSERT INTO dirty_days
        WITH changed AS (
            SELECT b.market_id, b.funding_time, m.last_settlement,
                   coalesce(b.fate = 'new' AND b.funding_time > m.last_settlement, false)
                       AS appended,
                   CAST(b.funding_time - to_hours(CAST(b.interval_hours AS INTEGER)) AS DATE) AS day
            FROM batch b JOIN base.markets m USING (market_id) WHERE b.fate <> 'same'
        ), owed AS (
            FROM changed SELECT market_id, day, appended, last_settlement
            UNION ALL
            FROM changed SELECT market_id, CAST(last_settlement - INTERVAL 1 HOUR AS DATE), true,
                last_settlement WHERE appended
        ), days AS (
            SELECT market_id, day, CASE WHEN bool_and(appended) THEN any_value(last_settlement) END
                AS settled_until FROM owed GROUP BY market_id, day
        )
        SELECT n.market_id, n.day, CAST(? AS TIMESTAMP), n.settled_until
        FROM days n WHERE NOT EXISTS (
            FROM dirty_days d WHERE d.market_id = n.market_id AND d.day = n.day
              AND (d.settled_until IS NULL OR d.settled_until <= n.settled_until))""",
        [now],
    )


def _revise(connection: duckdb.DuckDBPyConnection, load_id: int, now: datetime) -> None:
    """The new value wins, the old one is kept; the day of a former interval is owed as well."""
    connection.execute(
        """INSERT INTO rate_revisions
        SELECT s.market_id, s.funding_time, s.rate, s.interval_hours,
               base.sent_text(s.raw_rate, s.rate), s.lag_ms, s.load_id, b.fate, ?, ?
        FROM settlements s JOIN batch b USING (market_id, funding_time)
        WHERE b.fate IN ('exchange', 'reinterpreted', 'released')""",
        [load_id, now],
    )
    connection.execute(
        """INSERT INTO dirty_days (market_id, day, since)
        SELECT DISTINCT s.market_id,
               CAST(s.funding_time - to_hours(CAST(s.interval_hours AS INTEGER)) AS DATE),
               CAST(? AS TIMESTAMP)
        FROM settlements s JOIN batch b USING (market_id, funding_time)
        WHERE b.fate = 'reinterpreted'""",
        [now],
    )
    connection.execute(
        """INSERT INTO events
        SELECT ?, CASE b.fate WHEN 'exchange' THEN 'revised' WHEN 'released' THEN 'released'
                    ELSE 'reinterpreted' END,
               m.exchange, m.market,
               count(*) || ' settlement(s), ' || min(b.funding_time) || ' .. '
               || max(b.funding_time), ?
        FROM batch b JOIN base.markets m USING (market_id)
        WHERE b.fate IN ('exchange', 'reinterpreted', 'released')
        GROUP BY m.exchange, m.market, b.fate ORDER BY m.market, b.fate""",
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
        """INSERT INTO dirty_days (market_id, day, since)
        SELECT DISTINCT market_id,
               CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE),
               CAST(? AS TIMESTAMP)
        FROM batch WHERE held = 'import' AND NOT neighbour AND fate = 'same'""",
        [now],
    )
