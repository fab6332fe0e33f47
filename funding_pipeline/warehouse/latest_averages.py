"""Keeping `base.latest_averages`: the newest moving averages of each market.

Belongs here: replacing its rows. Does not: the averages (derive, transforms.moving_averages).

Points end with a market's newest settlement, so its newest ones lie within a day before that.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb


def replace_latest(connection: duckdb.DuckDBPyConnection, markets: Sequence[int]) -> None:
    """Take the newest points of these markets anew. Inside the caller's transaction."""
    chosen = "market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))"
    parameters = {"markets": list(markets)}
    connection.execute(f"DELETE FROM base.latest_averages WHERE {chosen}", parameters)
    connection.execute(
        f"""INSERT INTO base.latest_averages BY NAME
        SELECT a.* FROM base.moving_averages a JOIN markets m USING (market_id)
        WHERE a.{chosen} AND a.as_of > m.last_settlement - INTERVAL 1 DAY
          AND a.as_of > (SELECT min(last_settlement) FROM markets WHERE {chosen}) - INTERVAL 1 DAY
        QUALIFY row_number() OVER (PARTITION BY a.market_id, a."window" ORDER BY a.as_of DESC) = 1
        ORDER BY a.market_id, a."window" """,
        parameters,
    )


def replace_pruned(connection: duckdb.DuckDBPyConnection, pruned_until: datetime) -> None:
    """The same for markets whose newest points were hourly ones up to then, which are gone."""
    markets = connection.execute(
        """SELECT DISTINCT market_id FROM base.latest_averages
        WHERE as_of <= ? AND extract(hour FROM as_of) <> 0""",
        [pruned_until],
    ).fetchall()
    if markets:
        replace_latest(connection, [market_id for (market_id,) in markets])
