"""Keeping `base.gaps`: new holes are noted, filled ones closed, each with a reason.

Belongs here: the order of these steps, reading and writing the table. Does not: what is a gap
(domain.calendar), finding it (gap_scan, gap_edges), reasons (gap_reasons), asking again (repairs).

An hourly refresh looks at the settlements that came since the last one and at the edges of every
market; its cost does not depend on the length of history. It finds what a scan of everything would.
A gap that shrinks or splits keeps what is known of it: since when, and how often it was asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import duckdb

from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.warehouse.database import milliseconds, visible
from funding_pipeline.warehouse.gap_changes import COLUMNS, Changes, GapRow, as_frame, compare
from funding_pipeline.warehouse.gap_edges import scan_edges
from funding_pipeline.warehouse.gap_events import tell
from funding_pipeline.warehouse.gap_reasons import decide_reasons
from funding_pipeline.warehouse.gap_scan import Scan, changed_since, scan_between, whole_histories

SPECS: Mapping[str, ExchangeSpec] = {name: e.spec for name, e in EXCHANGES.items()}


def refresh(
    connection: duckdb.DuckDBPyConnection,
    *,
    now: datetime,
    markets: Sequence[int],
    specs: Mapping[str, ExchangeSpec] = SPECS,
) -> int:
    """Bring the gaps up to date at `now` (naive UTC); returns rows written.

    Which settlements changed is told by their times of collection and revision, so that `markets`
    is not needed; the first time, everything is scanned. Runs inside the caller's transaction.
    """
    del markets
    watermark = connection.execute("SELECT max(scanned) FROM base.gap_watermark").fetchall()[0][0]
    if watermark is None:
        return rescan(connection, now=now, specs=specs)
    scan = Scan()
    scan_between(connection, changed_since(connection, watermark), scan, whole=False)
    return _bring_up_to_date(connection, scan, now, specs)


def rescan(
    connection: duckdb.DuckDBPyConnection,
    *,
    now: datetime,
    specs: Mapping[str, ExchangeSpec] = SPECS,
) -> int:
    """As `refresh`, over the whole history of every market."""
    scan = Scan()
    scan_between(connection, whole_histories(connection), scan, whole=True)
    return _bring_up_to_date(connection, scan, now, specs)


def _bring_up_to_date(
    connection: duckdb.DuckDBPyConnection,
    scan: Scan,
    now: datetime,
    specs: Mapping[str, ExchangeSpec],
) -> int:
    scan_edges(connection, now, scan)
    changes = compare(_unclosed(connection), scan, _outer(connection), now)
    filled = _replace(connection, changes, now)
    lost = decide_reasons(connection, specs.values(), now)
    new = [row.told() for row in changes.new]
    tell(connection, "gap found", new, now)
    tell(connection, "gap filled", [row.told() for row in (*filled, *changes.lessened)], now)
    # Of what is given up as it is found, one event tells.
    keys = {gap[:2] for gap in new}
    tell(connection, "gap given up", [gap for gap in lost if gap[:2] not in keys], now)
    _move_watermark(connection)
    return len(changes.fresh) + len(changes.vanished)


def _move_watermark(connection: duckdb.DuckDBPyConnection) -> None:
    """To the newest time of collection or revision there is: what was merged since `now` was taken
    has been seen as well.
    """
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE moved AS
        WITH before AS (
            SELECT coalesce(max(scanned), TIMESTAMP '1970-01-01') AS scanned FROM base.gap_watermark
        )
        SELECT greatest(scanned,
            (SELECT max(collected_at) FROM settlements
             WHERE collected_at >= (SELECT scanned FROM before)),
            (SELECT max(revised_at) FROM rate_revisions
             WHERE revised_at >= (SELECT scanned FROM before))) AS scanned FROM before"""
    )
    connection.execute("DELETE FROM base.gap_watermark")
    connection.execute("INSERT INTO base.gap_watermark FROM moved")
    connection.execute("DROP TABLE moved")


def _unclosed(connection: duckdb.DuckDBPyConnection) -> dict[int, list[GapRow]]:
    rows = connection.execute(
        f"""SELECT {", ".join(COLUMNS)} FROM base.gaps WHERE state IN ('open', 'given up')
        ORDER BY market_id, first_missing"""
    ).fetchall()
    found: dict[int, list[GapRow]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(GapRow(*row))
    return found


def _outer(connection: duckdb.DuckDBPyConnection) -> dict[int, tuple[int, int]]:
    """First and last settlement of the markets that have any."""
    rows = connection.execute(
        """SELECT market_id, first_settlement, last_settlement FROM base.markets
        WHERE last_settlement IS NOT NULL"""
    ).fetchall()
    return {m: (milliseconds(first), milliseconds(last)) for m, first, last in rows}


def _replace(
    connection: duckdb.DuckDBPyConnection, changes: Changes, now: datetime
) -> list[GapRow]:
    """Write the changes; returns those of the vanished gaps in which settlements are stored now."""
    if not changes.stale and not changes.fresh:
        return []
    filled = _with_settlements(connection, changes.vanished)
    closed = [
        replace(row, state="filled" if row in filled else "void", closed_at=now)
        for row in changes.vanished
    ]
    with (
        visible(connection, "stale", as_frame(changes.stale)),
        visible(connection, "fresh", as_frame([*changes.fresh, *closed])),
    ):
        connection.execute(
            """DELETE FROM base.gaps USING stale s WHERE gaps.state IN ('open', 'given up')
            AND gaps.market_id = s.market_id AND gaps.first_missing = s.first_missing"""
        )
        connection.execute("INSERT INTO base.gaps BY NAME FROM fresh")
    return list(filled)


def _with_settlements(connection: duckdb.DuckDBPyConnection, rows: Sequence[GapRow]) -> set[GapRow]:
    if not rows:
        return set()
    with visible(connection, "vanished", as_frame(rows)):
        found = connection.execute(
            """SELECT DISTINCT v.market_id, v.first_missing
            FROM vanished v JOIN settlements s ON s.market_id = v.market_id
                AND s.funding_time > v.first_missing - to_hours(CAST(v.interval_hours AS INTEGER))
                AND s.funding_time < v.last_missing + to_hours(CAST(v.interval_hours AS INTEGER))
            WHERE s.funding_time BETWEEN (SELECT min(first_missing) - INTERVAL 1 DAY FROM vanished)
                                     AND (SELECT max(last_missing) + INTERVAL 1 DAY FROM vanished)
            """
        ).fetchall()
    keys = set(found)
    return {row for row in rows if (row.market_id, row.first_missing) in keys}
