"""When each market lived, as far as it is known: what coverage is measured against.

Belongs here: reading it. Does not: which hours of a life count (transforms.measures).
"""

from collections.abc import Sequence

import duckdb
import polars as pl


def market_lives(connection: duckdb.DuckDBPyConnection, markets: Sequence[int]) -> pl.DataFrame:
    """When each market lived. Without a listing date, a market is taken to begin with its first
    settlement only where more than a day before it was asked and answered empty; else its
    beginning is unknown (null) and every earlier hour counts as live.
    """
    frame: pl.DataFrame = connection.sql(
        """SELECT m.market_id,
            coalesce(m.listed_at, CASE WHEN w.asked_from + INTERVAL 25 HOUR <= m.first_settlement
                THEN m.first_settlement - to_hours(CAST(coalesce(m.interval_hours, 1) AS INTEGER))
            END) AS live_from,
            m.delisted_at AS live_to
        FROM base.markets m LEFT JOIN (
            SELECT m.market_id, min(c.from_time) AS asked_from
            FROM base.markets m JOIN collected_windows c USING (exchange, market)
            WHERE m.first_settlement BETWEEN c.from_time AND c.to_time GROUP BY m.market_id
        ) w USING (market_id)
        WHERE m.market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))""",
        params={"markets": list(markets)},
    ).pl()
    return frame
