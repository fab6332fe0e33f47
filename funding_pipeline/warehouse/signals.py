"""Keeping `base.market_signals` and `base.stability`.

Belongs here: which markets are due, reading their last 90 days, replacing their rows. Does not: the
formulas (transforms.signals, transforms.stability).

Signals follow each settlement. Stability moves slowly and is computed for the last midnight that a
market's settlements have reached: once a day, and again when the digest of its 90 days has changed
(a backfill, a correction, a listing date that has become known).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.signals import LONGEST_HOURS, market_signals
from funding_pipeline.transforms.stability import stability
from funding_pipeline.warehouse.database import visible
from funding_pipeline.warehouse.lives import market_lives

# Rows are read for many markets at once, a scan of 90 days each time, and worked on for fewer: one
# row an hour at the worst, 25 MB are read and 100 MB worked on.
READ_MARKETS = 500
CHUNK_MARKETS = 250
_REACH = timedelta(hours=LONGEST_HOURS)

# A settlement after the midnight counts where it pays for hours before it.
_DUE = """
WITH digests AS (
    SELECT p.market_id,
           bit_xor(hash(s.funding_time, s.rate, s.interval_hours, s.covered_hours)) AS digest
    FROM rows s JOIN points p USING (market_id)
    WHERE s.funding_time > p.as_of - $reach
      AND s.funding_time - to_hours(CAST(s.covered_hours AS INTEGER)) < p.as_of
    GROUP BY p.market_id
), fresh AS (
    SELECT p.market_id, p.as_of,
           xor(d.digest, hash(p.as_of, l.live_from, l.live_to)) AS inputs
    FROM points p LEFT JOIN digests d USING (market_id) LEFT JOIN lives l USING (market_id)
)
SELECT f.* FROM fresh f
LEFT JOIN (SELECT DISTINCT market_id, inputs FROM base.stability) s USING (market_id)
WHERE f.inputs IS DISTINCT FROM s.inputs ORDER BY f.as_of, f.market_id"""


def refresh(connection: duckdb.DuckDBPyConnection, *, now: datetime, markets: Sequence[int]) -> int:
    """Bring both tables up to date for markets whose settlements have changed; returns the rows
    written. Inside the caller's transaction. `now` plays no part: figures end with settlements.
    """
    newest: pl.DataFrame = connection.sql(
        """SELECT market_id, last_settlement AS as_of FROM base.markets
        WHERE last_settlement IS NOT NULL
          AND market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))
        ORDER BY last_settlement, market_id""",
        params={"markets": list(markets)},
    ).pl()
    if newest.is_empty():
        return 0
    lives = market_lives(connection, newest["market_id"].to_list())
    written = 0
    for points in newest.iter_slices(READ_MARKETS):
        settlements = _settlements(connection, points)
        for part in points.iter_slices(CHUNK_MARKETS):
            rows = market_signals(_of(part, settlements), lives, part)
            written += _replace(connection, "market_signals", part, rows)
        for due in _due(connection, points, settlements, lives).iter_slices(CHUNK_MARKETS):
            part = due.select("market_id", "as_of")
            rows = stability(_of(part, settlements), lives, part)
            rows = rows.join(due.select("market_id", "inputs"), on="market_id")
            written += _replace(connection, "stability", part, rows)
    return written


def _due(
    connection: duckdb.DuckDBPyConnection,
    newest: pl.DataFrame,
    settlements: pl.DataFrame,
    lives: pl.DataFrame,
) -> pl.DataFrame:
    """Markets whose stability is not that of their last midnight, with that and the digest."""
    midnights = newest.with_columns(pl.col("as_of").dt.truncate("1d"))
    with (
        visible(connection, "rows", settlements),
        visible(connection, "points", midnights),
        visible(connection, "lives", lives),
    ):
        frame: pl.DataFrame = connection.sql(_DUE, params={"reach": _REACH}).pl()
    return frame


def _settlements(connection: duckdb.DuckDBPyConnection, newest: pl.DataFrame) -> pl.DataFrame:
    """All rows that the figures rest on: 90 days up to the last midnight and to the newest."""
    with visible(connection, "points", newest):
        frame: pl.DataFrame = connection.sql(
            """SELECT s.market_id, s.funding_time, s.rate, s.interval_hours, s.covered_hours
            FROM settlements s JOIN points p USING (market_id)
            WHERE s.funding_time > (SELECT date_trunc('day', min(as_of)) FROM points) - $reach
              AND s.funding_time > date_trunc('day', p.as_of) - $reach""",
            params={"reach": _REACH},
        ).pl()
    # Two sorts by one column each cost a third of one by both, and the transforms' own then little.
    return frame.sort("funding_time").sort("market_id", maintain_order=True)


def _of(points: pl.DataFrame, settlements: pl.DataFrame) -> pl.DataFrame:
    return settlements.filter(pl.col("market_id").is_in(points["market_id"].implode()))


def _replace(
    connection: duckdb.DuckDBPyConnection, table: str, points: pl.DataFrame, rows: pl.DataFrame
) -> int:
    with visible(connection, "points", points), visible(connection, "fresh", rows):
        connection.execute(
            f"DELETE FROM base.{table} USING points p WHERE {table}.market_id = p.market_id"
        )
        connection.execute(f"INSERT INTO base.{table} BY NAME FROM fresh")
    return len(rows)
