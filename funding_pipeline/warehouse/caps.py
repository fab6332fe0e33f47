"""Caps and floors of the funding rate, with the time since when each was seen.

Belongs here: their history. Does not: what exchanges declare now (`markets`), which settlement met
its cap (transforms.daily).

The history keeps a day's figures from changing with later declarations. What is no longer told is
taken to stand: some exchanges tell it with a running rate that may be missing.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

_CHANGED = """SELECT m.market_id, m.last_seen AS since, m.rate_cap, m.rate_floor,
        c.market_id IS NULL AS is_first
    FROM base.markets m LEFT JOIN (
        FROM base.rate_caps
        QUALIFY row_number() OVER (PARTITION BY market_id ORDER BY since DESC) = 1
    ) c USING (market_id)
    WHERE (m.rate_cap IS NOT NULL OR m.rate_floor IS NOT NULL)
      AND (m.rate_cap, m.rate_floor) IS DISTINCT FROM (c.rate_cap, c.rate_floor)"""


def observe_caps(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Take over what the exchanges' lists declare now. A market's first declaration stands for its
    past as well: its days are owed again. Runs inside the caller's transaction.
    """
    connection.execute(
        f"""INSERT INTO dirty_days (market_id, day, since)
        SELECT d.market_id, d.day, CAST($now AS TIMESTAMP)
        FROM base.daily_stats d JOIN ({_CHANGED}) c USING (market_id)
        WHERE c.is_first AND NOT EXISTS (
            FROM dirty_days o WHERE o.market_id = d.market_id AND o.day = d.day)""",
        {"now": now},
    )
    connection.execute(
        f"INSERT INTO base.rate_caps BY NAME SELECT * EXCLUDE (is_first) FROM ({_CHANGED})"
    )


def declared_caps(connection: duckdb.DuckDBPyConnection, markets: Sequence[int]) -> pl.DataFrame:
    """What each market declared and since when, as `transforms.daily.CAPS`."""
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, since, rate_cap, rate_floor FROM base.rate_caps
        WHERE market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))""",
        params={"markets": list(markets)},
    ).pl()
    return frame
