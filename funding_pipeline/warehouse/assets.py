"""Which markets are one asset: the key `markets.asset` that joins exchanges, and collisions.

Belongs here: latest prices to decisions (domain.collisions), and storing these. Does not: the rule.

In a steady state only symbols with something to decide leave the database: new markets, prices that
do not agree, tickers with several meanings. 4,000 markets take some 20 ms, the first time 150 ms.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from funding_pipeline.domain.collisions import AMBIGUOUS_FACTOR, FACTOR, Quote, Verdict, settle
from funding_pipeline.warehouse.database import transaction, visible
from funding_pipeline.warehouse.registry import shipped_corrections

# Prices are compared within one round of samples: over months the same asset moves a hundredfold.
PRICE_AGE = timedelta(hours=1)
DOUBT = timedelta(hours=24)


def settle_assets(connection: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Decide by the latest prices, once a round of samples is stored; returns markets changed."""
    with transaction(connection):
        return _settle(connection, now, exchange=None)


def settle_new(connection: duckdb.DuckDBPyConnection, exchange: str, now: datetime) -> None:
    """Give keys to an exchange's markets that have none yet; inside the caller's transaction."""
    if connection.execute(
        "SELECT 1 FROM base.markets WHERE exchange = ? AND asset_by IS NULL LIMIT 1", [exchange]
    ).fetchall():
        _settle(connection, now, exchange=exchange)


# Only live markets have a price, in dollars or what is worth one: ETHBTC is no price of ETH.
_QUOTES = """
WITH latest AS (
    SELECT market_id, arg_max(mark_price, seen) AS mark FROM (
        SELECT market_id, observed_at AS seen, mark_price FROM base.predicted_rates
        WHERE observed_at BETWEEN $since AND $now
        UNION ALL
        SELECT market_id, funding_time, mark_price FROM base.latest_rates
        WHERE funding_time BETWEEN $since AND $now)
    WHERE mark_price > 0 AND isfinite(mark_price) GROUP BY market_id
), quotes AS (
    SELECT m.market_id, m.exchange, m.market, m.symbol, m.asset_class, m.asset, m.asset_by,
           m.doubted_since,
           CASE WHEN m.status = 'live' AND (contains(m.quote, 'USD') OR m.quote = 'DAI')
                THEN l.mark / m.multiplier END AS unit_price
    FROM base.markets m LEFT JOIN latest l USING (market_id)
), busy AS (
    SELECT symbol FROM quotes GROUP BY symbol
    HAVING bool_or(asset_by IS NULL) OR bool_or(asset_by = 'name' AND unit_price IS NOT NULL)
        OR bool_or(doubted_since IS NOT NULL)
        OR count(DISTINCT asset) > 1 OR count(DISTINCT asset_class) > 1
        OR max(unit_price) > min(unit_price) * CASE
            WHEN symbol IN (SELECT unnest(CAST($ambiguous AS VARCHAR[])))
            THEN CAST($tight AS DOUBLE) ELSE CAST($factor AS DOUBLE) END
), chosen AS (
    SELECT symbol FROM busy WHERE $exchange IS NULL OR symbol IN (
        SELECT symbol FROM base.markets WHERE exchange = $exchange AND asset_by IS NULL)
)
FROM quotes SEMI JOIN chosen USING (symbol) ORDER BY symbol, market_id"""


def _settle(connection: duckdb.DuckDBPyConnection, now: datetime, exchange: str | None) -> int:
    ambiguous = shipped_corrections().ambiguous
    found = connection.execute(
        _QUOTES,
        {
            "since": now - PRICE_AGE,
            "now": now,
            "exchange": exchange,
            "ambiguous": sorted(ambiguous),
            "tight": AMBIGUOUS_FACTOR,
            "factor": FACTOR,
        },
    )
    columns = [name for name, *_ in found.description or ()]
    rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    if not rows:
        return 0
    taken: dict[str, set[str]] = {}
    for symbol, asset in connection.execute(
        "SELECT DISTINCT symbol, asset FROM base.symbol_collisions WHERE asset IS NOT NULL"
    ).fetchall():
        taken.setdefault(symbol, set()).add(asset)
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_symbol.setdefault(row["symbol"], []).append(row)
    changed: list[tuple[int, str | None, str, datetime | None]] = []
    colliding: list[dict[str, Any]] = []
    events: list[tuple[str, str, str]] = []
    for symbol, markets in by_symbol.items():
        verdicts, partings = settle(
            symbol,
            [_quote(row, now) for row in markets],
            taken=taken.get(symbol, ()),
            ambiguous=symbol in ambiguous,
        )
        before = [(row["asset"], row["asset_by"], row["doubted_since"]) for row in markets]
        for row, verdict in zip(markets, verdicts, strict=True):
            row |= {"asset": verdict.asset, "asset_by": verdict.by}
            row["doubted_since"] = _doubted_since(row, verdict, now)
        after = [(row["asset"], row["asset_by"], row["doubted_since"]) for row in markets]
        changed += [
            (row["market_id"], *new)
            for row, old, new in zip(markets, before, after, strict=True)
            if old != new
        ]
        if len({row["asset"] for row in markets if row["asset"]}) > 1:
            colliding += markets
        shown = {row["market_id"]: row for row in markets}
        for parting in partings:
            row = shown[parting.market_id]
            events.append((row["exchange"], row["market"], _told_apart(row, markets)))
    _store(connection, changed, colliding, events, now)
    return len(changed)


def _quote(row: dict[str, Any], now: datetime) -> Quote:
    return Quote(
        market_id=row["market_id"],
        asset_class=row["asset_class"],
        unit_price=row["unit_price"],
        asset=row["asset"],
        by=row["asset_by"],
        doubted=row["doubted_since"] is not None and row["doubted_since"] <= now - DOUBT,
    )


def _doubted_since(row: dict[str, Any], verdict: Verdict, now: datetime) -> datetime | None:
    since: datetime | None = row["doubted_since"]
    if verdict.contradicts:
        return since or now
    # Without a price now nothing speaks for the market either.
    return since if row["unit_price"] is None and verdict.by == "price" else None


def _told_apart(row: dict[str, Any], markets: Sequence[dict[str, Any]]) -> str:
    """Both sides of a new collision, in words."""
    other = next((one for one in markets if one["asset"] and one["asset"] != row["asset"]), None)
    return f"{_described(row)} is not {_described(other)}" if other else _described(row)


def _described(row: dict[str, Any]) -> str:
    price = "" if row["unit_price"] is None else f" at {row['unit_price']:.6g}"
    declared = f", {row['asset_class']}" if row["asset_class"] else ""
    return f"{row['asset']} ({row['exchange']} {row['market']}{price}{declared})"


def _store(
    connection: duckdb.DuckDBPyConnection,
    changed: Sequence[tuple[int, str | None, str, datetime | None]],
    colliding: Sequence[dict[str, Any]],
    events: Sequence[tuple[str, str, str]],
    now: datetime,
) -> None:
    if changed:
        decided = pl.DataFrame(changed, schema=_DECIDED, orient="row")
        with visible(connection, "decided", decided):
            connection.execute(
                """UPDATE base.markets SET asset = d.asset, asset_by = d.asset_by,
                    doubted_since = d.doubted_since
                FROM decided d WHERE markets.market_id = d.market_id"""
            )
    if colliding:
        seen = pl.DataFrame(
            [[row[name] for name in _SEEN] for row in colliding], schema=_SEEN, orient="row"
        )
        with visible(connection, "seen", seen):
            connection.execute(
                """UPDATE base.symbol_collisions SET last_seen = $now,
                    asset_class = s.asset_class,
                    unit_price = coalesce(s.unit_price, symbol_collisions.unit_price)
                FROM seen s WHERE symbol_collisions.market_id = s.market_id
                  AND symbol_collisions.symbol = s.symbol
                  AND symbol_collisions.asset IS NOT DISTINCT FROM s.asset""",
                {"now": now},
            )
            connection.execute(
                """INSERT INTO base.symbol_collisions BY NAME
                SELECT s.*, $now AS first_seen, $now AS last_seen FROM seen s
                WHERE NOT EXISTS (FROM base.symbol_collisions c
                    WHERE c.market_id = s.market_id AND c.symbol = s.symbol
                      AND c.asset IS NOT DISTINCT FROM s.asset)""",
                {"now": now},
            )
    for exchange, market, detail in events:
        connection.execute(
            "INSERT INTO events VALUES (?, 'symbol collision', ?, ?, ?, NULL)",
            [now, exchange, market, detail],
        )


_DECIDED: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "asset": pl.String(),
    "asset_by": pl.String(),
    "doubted_since": pl.Datetime("us"),
}
_SEEN: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "asset": pl.String(),
    "market_id": pl.Int32(),
    "asset_class": pl.String(),
    "unit_price": pl.Float64(),
}
