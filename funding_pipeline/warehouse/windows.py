"""What was asked and answered: the spans of time collected per market.

Belongs here: reading and extending `collected_windows`. Does not: deciding what to ask next.
Touching spans of a market grow together, so that the table stays as small as the list of markets
while hours go by.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.records import Window
from funding_pipeline.domain.spans import coalesce
from funding_pipeline.warehouse.database import milliseconds, timestamp, visible

_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "from_time": pl.Datetime("us"),
    "to_time": pl.Datetime("us"),
    "rows": pl.Int64(),
}


def collected(connection: duckdb.DuckDBPyConnection, exchange: str) -> dict[str, list[Window]]:
    """Spans already collected, by market."""
    rows = connection.execute(
        "SELECT market, from_time, to_time FROM collected_windows WHERE exchange = ?", [exchange]
    ).fetchall()
    windows: dict[str, list[Window]] = {}
    for market, start, end in rows:
        windows.setdefault(market, []).append(Window(milliseconds(start), milliseconds(end)))
    return windows


def oldest_watermark(
    connection: duckdb.DuckDBPyConnection, exchanges: Sequence[str]
) -> datetime | None:
    """Up to when every live market of these exchanges is collected (naive UTC).

    None when nothing is collected yet. Markets never asked are left out: they are new, and the
    window that the others need holds their beginning.
    """
    watermark: datetime | None = connection.execute(
        """SELECT min(last) FROM (
            SELECT max(c.to_time) AS last
            FROM collected_windows c JOIN base.markets m USING (exchange, market)
            WHERE m.status = 'live' AND exchange IN (SELECT unnest(CAST(? AS VARCHAR[])))
            GROUP BY exchange, market)""",
        [list(exchanges)],
    ).fetchall()[0][0]
    return watermark


def record_windows(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    answered: Sequence[tuple[str, Window, int]],
    load_id: int,
) -> None:
    """Add (market, window, rows answered); runs inside the caller's transaction.

    `rows` counts what a span's answers held; where windows overlap, rows count for each.
    """
    markets = sorted({market for market, _, _ in answered})
    existing = connection.execute(
        """SELECT market, from_time, to_time, rows FROM collected_windows
        WHERE exchange = ? AND market IN (SELECT unnest(CAST(? AS VARCHAR[])))""",
        [exchange, markets],
    ).fetchall()
    spans: dict[str, list[tuple[Window, int]]] = {market: [] for market in markets}
    for market, start, end, rows in existing:
        spans[market].append((Window(milliseconds(start), milliseconds(end)), rows))
    for market, window, rows in answered:
        spans[market].append((window, rows))
    merged = [
        (market, timestamp(span.start_ms), timestamp(span.end_ms), _rows_in(span, parts))
        for market, parts in spans.items()
        for span in coalesce(window for window, _ in parts)
    ]
    connection.execute(
        """DELETE FROM collected_windows
        WHERE exchange = ? AND market IN (SELECT unnest(CAST(? AS VARCHAR[])))""",
        [exchange, markets],
    )
    with visible(connection, "merged", pl.DataFrame(merged, schema=_SCHEMA, orient="row")):
        connection.execute(
            """INSERT INTO collected_windows BY NAME
            SELECT ? AS exchange, *, 'collected' AS outcome, ? AS load_id FROM merged""",
            [exchange, load_id],
        )


def _rows_in(span: Window, parts: Sequence[tuple[Window, int]]) -> int:
    return sum(
        rows
        for part, rows in parts
        if span.start_ms <= part.start_ms and part.end_ms <= span.end_ms
    )
