"""Settlements put straight into a database, for tests of what is read from it.

Belongs here: builders without any assertion. Does not: the way through collection (`world`).
"""

from collections.abc import Mapping
from datetime import datetime

import duckdb

from funding_pipeline.warehouse.database import visible
from funding_pipeline.warehouse.holds import apply_holds
from funding_pipeline_tests.transforms.hour_by_hour import FOREVER, Life, Row, settlements_frame

Markets = Mapping[str, list[Row]]  # by "exchange/market"


def store(
    connection: duckdb.DuckDBPyConnection, markets: Markets, lives: Mapping[str, Life] | None = None
) -> dict[str, int]:
    """Register markets with their whole history; returns their ids. The asset is the market's
    name, the symbol the same with a dash.
    """
    names = sorted(markets)
    ids = {name: number for number, name in enumerate(names, start=1)}
    for name, market_id in ids.items():
        exchange, market = name.split("/")
        live_from, live_to = (lives or {}).get(name, FOREVER)
        stamps = [row.time for row in markets[name]]
        connection.execute(
            """INSERT INTO base.markets BY NAME SELECT $id AS market_id, $exchange AS exchange,
            $market AS market, $market || '-' AS symbol, $market AS asset, 1 AS multiplier,
            'USD' AS quote, 'USD' AS settle, 'live' AS status, $seen AS first_seen,
            $seen AS last_seen, $listed AS listed_at, $delisted AS delisted_at,
            $first AS first_settlement, $last AS last_settlement""",
            {
                "id": market_id,
                "exchange": exchange,
                "market": market,
                "seen": datetime(2025, 1, 1),
                "listed": live_from,
                "delisted": live_to,
                "first": min(stamps, default=None),
                "last": max(stamps, default=None),
            },
        )
    put(connection, {ids[name]: rows for name, rows in markets.items()})
    return ids


def put(
    connection: duckdb.DuckDBPyConnection, rows: Mapping[int, list[Row]], kind: str = "settled"
) -> None:
    """Settlements by market id, in time order as a merge leaves them."""
    with visible(connection, "fresh", settlements_frame(rows)):
        connection.execute(
            """INSERT INTO settlements BY NAME SELECT *, $kind AS kind, '0' AS raw_rate,
            0 AS lag_ms, 'api' AS source, 1 AS load_id, TIMESTAMP '2025-06-01' AS collected_at
            FROM fresh ORDER BY funding_time, market_id""",
            {"kind": kind},
        )


def hold(connection: duckdb.DuckDBPyConnection, exchange: str) -> None:
    """Hold an exchange, whatever its rates."""
    connection.execute(
        """INSERT INTO holds BY NAME SELECT $exchange AS exchange, 'sign mirrored' AS mistake,
        'made up' AS detail, $day AS shown_from, $day AS shown_to, $day AS held_at""",
        {"exchange": exchange, "day": datetime(2025, 6, 1)},
    )
    apply_holds(connection)
