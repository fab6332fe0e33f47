"""Markets that no list has told of: they are created because rows of theirs are imported.

Belongs here: putting them into the registry, and what it knows already. Does not: listed markets
(warehouse.markets), what a native name means (imports.naming, domain.symbols).

Their status is `unlisted`, with `delisted_at` = `first_seen`: never seen alive. A list that names
one later makes it an ordinary market.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.records import Market
from funding_pipeline.warehouse.assets import settle_new
from funding_pipeline.warehouse.database import Database, timestamp, transaction, visible
from funding_pipeline.warehouse.markets import known_markets
from funding_pipeline.warehouse.registry import current, identify, store_identities


def record_unlisted(
    connection: duckdb.DuckDBPyConnection, exchange: str, markets: Sequence[Market], now: datetime
) -> list[str]:
    """Create those of the markets that are unknown; returns their native names, as given. Of what
    the markets say, their identity and listing date count.
    """
    known = known_markets(connection, exchange)
    new = [market for market in markets if market.market not in known]
    if not new:
        return []
    names = [market.market for market in new]
    with transaction(connection):
        proposals, identities = identify(connection, exchange, new, now)
        frame = current({name: identities[name] for name in names}, now).join(
            _listings(new), on="market", maintain_order="left"
        )
        with visible(connection, "identities", frame):
            connection.execute(
                """INSERT INTO base.markets BY NAME
                SELECT CAST(nextval('market_ids') AS INTEGER) AS market_id, $exchange AS exchange,
                       $exchange IN (FROM base.held_exchanges) AS held,
                       i.*, CASE WHEN asset IS NOT NULL THEN 'correction' END AS asset_by,
                       'unlisted' AS status, CAST($now AS TIMESTAMP) AS first_seen,
                       CAST($now AS TIMESTAMP) AS last_seen, CAST($now AS TIMESTAMP) AS delisted_at
                FROM identities i ORDER BY market""",
                {"exchange": exchange, "now": now},
            )
            connection.execute(
                """INSERT INTO events
                SELECT $now, 'imported market', $exchange, market,
                       'taken for ' || symbol || ' x ' || multiplier || ', quoted in ' || quote,
                       NULL
                FROM identities ORDER BY market""",
                {"exchange": exchange, "now": now},
            )
        store_identities(connection, exchange, proposals, identities, now)
        settle_new(connection, exchange, now)
    return names


def known_identities(database: Database, exchange: str) -> list[Market]:
    """The exchange's markets, with what they trade."""
    with database.open() as connection:
        rows = connection.execute(
            """SELECT market, symbol, multiplier, quote, settle FROM base.markets
            WHERE exchange = ? ORDER BY market_id""",
            [exchange],
        ).fetchall()
    names = ("market", "symbol", "multiplier", "quote", "settle")
    return [Market(**dict(zip(names, row, strict=True))) for row in rows]


def _listings(markets: Sequence[Market]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (m.market, None if m.listed_at_ms is None else timestamp(m.listed_at_ms))
            for m in markets
        ],
        schema={"market": pl.String, "listed_at": pl.Datetime("us")},
        orient="row",
    )
