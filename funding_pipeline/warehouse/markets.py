"""The registry of markets: what each exchange lists, since when, with which declared interval.

Belongs here: writing and reading `markets` and `market_intervals`. Does not: symbol rules (domain).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.intervals import Observation
from funding_pipeline.domain.records import Market
from funding_pipeline.warehouse.database import milliseconds, timestamp, transaction, visible

_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "symbol": pl.String(),
    "multiplier": pl.Int32(),
    "quote": pl.String(),
    "settle": pl.String(),
    "asset_class": pl.String(),
    "status": pl.String(),
    "interval_hours": pl.Int16(),
    "rate_cap": pl.Float64(),
    "rate_floor": pl.Float64(),
    "listed_at": pl.Datetime("us"),
}


@dataclass(frozen=True, slots=True)
class KnownMarket:
    """A market as the database knows it."""

    market_id: int
    market: str
    live: bool
    interval_hours: int | None
    listed_at_ms: int | None
    last_settlement_ms: int | None


def record_markets(
    connection: duckdb.DuckDBPyConnection, exchange: str, listed: Sequence[Market], now: datetime
) -> None:
    """Store the list as of now: new markets, changed declarations, markets that left.

    A market that is listed twice (the list shifted between two pages) counts once, the last time.
    """
    frame = pl.DataFrame(
        [
            (
                m.market,
                m.symbol,
                m.multiplier,
                m.quote,
                m.settle,
                m.asset_class,
                "live" if m.live else "delisted",
                m.interval_hours,
                m.rate_cap,
                m.rate_floor,
                None if m.listed_at_ms is None else timestamp(m.listed_at_ms),
            )
            for m in {market.market: market for market in listed}.values()
        ],
        schema=_SCHEMA,
        orient="row",
    )
    parameters = {"exchange": exchange, "now": now}
    with visible(connection, "listed", frame), transaction(connection):
        for statement in _RECORD:
            used = {k: v for k, v in parameters.items() if f"${k}" in statement}
            connection.execute(statement, used)


# Order matters: events compare the old row with the new list before it is updated.
_RECORD = (
    """INSERT INTO events
    SELECT $now, CASE l.status WHEN 'live' THEN 'relisted' ELSE l.status END, $exchange, l.market,
           m.status || ' -> ' || l.status, NULL
    FROM listed l JOIN markets m USING (market)
    WHERE m.exchange = $exchange AND m.status <> l.status""",
    """INSERT INTO events
    SELECT $now, 'interval changed', $exchange, l.market,
           m.interval_hours || ' h -> ' || l.interval_hours || ' h', NULL
    FROM listed l JOIN markets m USING (market)
    WHERE m.exchange = $exchange AND m.interval_hours <> l.interval_hours""",
    """INSERT INTO events
    SELECT $now, 'unlisted', $exchange, market, 'gone from the exchange''s list', NULL
    FROM markets
    WHERE exchange = $exchange AND status = 'live' AND market NOT IN (SELECT market FROM listed)""",
    """UPDATE market_intervals SET observed_to = m.last_seen
    FROM markets m JOIN listed l USING (market)
    WHERE market_intervals.market_id = m.market_id AND m.exchange = $exchange
      AND observed_to IS NULL AND market_intervals.interval_hours <> l.interval_hours""",
    """UPDATE markets SET
        symbol = l.symbol, multiplier = l.multiplier, quote = l.quote, settle = l.settle,
        asset_class = l.asset_class, status = l.status, interval_hours = l.interval_hours,
        rate_cap = l.rate_cap, rate_floor = l.rate_floor,
        listed_at = coalesce(l.listed_at, markets.listed_at), last_seen = $now,
        delisted_at = CASE WHEN l.status = 'live' THEN NULL ELSE coalesce(delisted_at, $now) END
    FROM listed l WHERE markets.exchange = $exchange AND markets.market = l.market""",
    """UPDATE markets SET status = 'unlisted', delisted_at = $now
    WHERE exchange = $exchange AND status = 'live' AND market NOT IN (SELECT market FROM listed)""",
    """INSERT INTO markets BY NAME
    SELECT CAST(nextval('market_ids') AS INTEGER) AS market_id, $exchange AS exchange, l.*,
           $now AS first_seen, $now AS last_seen,
           CASE WHEN l.status = 'live' THEN NULL ELSE CAST($now AS TIMESTAMP) END AS delisted_at
    FROM listed l
    WHERE l.market NOT IN (SELECT market FROM markets WHERE exchange = $exchange)
    ORDER BY l.market""",
    """INSERT INTO market_intervals
    SELECT m.market_id, l.interval_hours, $now, NULL
    FROM listed l JOIN markets m USING (market)
    WHERE m.exchange = $exchange AND l.interval_hours IS NOT NULL AND NOT EXISTS (
        FROM market_intervals i WHERE i.market_id = m.market_id AND i.observed_to IS NULL)""",
)


def known_markets(connection: duckdb.DuckDBPyConnection, exchange: str) -> dict[str, KnownMarket]:
    """The exchange's markets by native symbol."""
    rows = connection.execute(
        """SELECT market_id, market, status = 'live', interval_hours, listed_at, last_settlement
        FROM markets WHERE exchange = ? ORDER BY market_id""",
        [exchange],
    ).fetchall()
    return {
        market: KnownMarket(
            market_id,
            market,
            live,
            interval,
            None if listed is None else milliseconds(listed),
            None if last is None else milliseconds(last),
        )
        for market_id, market, live, interval, listed, last in rows
    }


def observations(
    connection: duckdb.DuckDBPyConnection, exchange: str
) -> dict[int, list[Observation]]:
    """Declared intervals by market_id, each with the span over which it was observed."""
    rows = connection.execute(
        """SELECT i.market_id, i.observed_from, coalesce(i.observed_to, m.last_seen),
                  i.interval_hours
        FROM market_intervals i JOIN markets m USING (market_id)
        WHERE m.exchange = ? ORDER BY i.market_id, i.observed_from""",
        [exchange],
    ).fetchall()
    seen: dict[int, list[Observation]] = {}
    for market_id, start, end, hours in rows:
        seen.setdefault(market_id, []).append(
            Observation(milliseconds(start), milliseconds(end), hours)
        )
    return seen
