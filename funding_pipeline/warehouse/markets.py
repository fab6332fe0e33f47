"""The registry of markets: what each exchange lists, since when, with which declared interval.

Belongs here: writing and reading `markets` and `market_intervals`. Does not: what they trade
(warehouse.registry), symbol rules (domain).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.intervals import Observation
from funding_pipeline.domain.records import Market
from funding_pipeline.warehouse.assets import settle_new
from funding_pipeline.warehouse.database import milliseconds, timestamp, transaction, visible
from funding_pipeline.warehouse.registry import current, identify, store_identities

_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
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
    """Store the list as of now: new and changed markets, and those that left.

    A market that is listed twice (the list shifted between two pages) counts once, the last time.
    """
    once = list({market.market: market for market in listed}.values())
    frame = pl.DataFrame(
        [
            (
                m.market,
                "live" if m.live else "delisted",
                m.interval_hours,
                m.rate_cap,
                m.rate_floor,
                None if m.listed_at_ms is None else timestamp(m.listed_at_ms),
            )
            for m in once
        ],
        schema=_SCHEMA,
        orient="row",
    )
    parameters = {"exchange": exchange, "now": now}
    with transaction(connection):
        proposals, identities = identify(connection, exchange, once, now)
        with (
            visible(connection, "listed", frame),
            visible(connection, "identities", current(identities, now)),
        ):
            known = connection.execute(_AS_KNOWN, {"exchange": exchange}).fetchall()[0][0]
            for statement in (_SEEN,) if known else _RECORD:
                used = {k: v for k, v in parameters.items() if f"${k}" in statement}
                connection.execute(statement, used)
        store_identities(connection, exchange, proposals, identities, now)
        settle_new(connection, exchange, now)


# Whether the list says what is known already, as it does in most hours: then nothing below would
# change but when the markets were seen.
_AS_KNOWN = """
SELECT count(*) = 0 FROM (
    SELECT 1 FROM listed l
    LEFT JOIN base.markets m ON m.exchange = $exchange AND m.market = l.market
    LEFT JOIN market_intervals o ON o.market_id = m.market_id AND o.observed_to IS NULL
    WHERE (m.status, m.interval_hours, m.rate_cap, m.rate_floor, o.interval_hours)
            IS DISTINCT FROM
          (l.status, l.interval_hours, l.rate_cap, l.rate_floor, l.interval_hours)
        OR m.listed_at IS DISTINCT FROM coalesce(l.listed_at, m.listed_at)
        OR (m.delisted_at IS NULL) <> (l.status = 'live')
    UNION ALL
    SELECT 1 FROM base.markets m
    LEFT JOIN market_intervals o ON o.market_id = m.market_id AND o.observed_to IS NULL
    WHERE m.exchange = $exchange AND (m.status = 'live' OR o.market_id IS NOT NULL)
      AND m.market NOT IN (SELECT market FROM listed)
    UNION ALL
    SELECT 1 FROM identities i JOIN base.markets m USING (market)
    WHERE m.exchange = $exchange AND (
        (m.symbol, m.multiplier, m.quote, m.settle, m.asset_class)
            IS DISTINCT FROM (i.symbol, i.multiplier, i.quote, i.settle, i.asset_class)
        OR CASE WHEN i.asset IS NULL THEN m.asset_by = 'correction'
           ELSE (m.asset, m.asset_by) IS DISTINCT FROM (i.asset, 'correction') END)
)"""
_SEEN = """
UPDATE base.markets SET last_seen = $now
WHERE exchange = $exchange AND market IN (SELECT market FROM listed)"""

# Order matters: events compare the old row with the new list before it is updated.
_RECORD = (
    """INSERT INTO events
    SELECT $now, CASE l.status WHEN 'live' THEN 'relisted' ELSE 'delisted' END, $exchange, l.market,
           m.status || ' -> ' || l.status, NULL
    FROM listed l JOIN base.markets m USING (market)
    WHERE m.exchange = $exchange AND m.status <> l.status""",
    # Not for the first list, nor for a market that was listed long before it was first seen.
    """INSERT INTO events
    SELECT $now, 'listed', $exchange, l.market,
           coalesce('listed at ' || l.listed_at, 'new in the exchange''s list'), NULL
    FROM listed l,
         (SELECT max(last_seen) AS seen FROM base.markets WHERE exchange = $exchange) before
    WHERE l.status = 'live' AND coalesce(l.listed_at, $now) > before.seen - INTERVAL 1 DAY
      AND l.market NOT IN (SELECT market FROM base.markets WHERE exchange = $exchange)
    ORDER BY l.market""",
    # A class that was not told before is no change.
    """INSERT INTO events
    SELECT $now, 'identity changed', $exchange, m.market,
           m.symbol || ' x ' || m.multiplier || coalesce(' ' || m.asset_class, '') || ' -> '
           || i.symbol || ' x ' || i.multiplier || coalesce(' ' || i.asset_class, ''), NULL
    FROM identities i JOIN base.markets m USING (market)
    WHERE m.exchange = $exchange AND (m.symbol <> i.symbol OR m.multiplier <> i.multiplier
        OR m.asset_class <> i.asset_class)""",
    """INSERT INTO events
    SELECT $now, 'interval changed', $exchange, l.market,
           i.interval_hours || ' h -> ' || l.interval_hours || ' h', NULL
    FROM listed l JOIN base.markets m USING (market) JOIN (
        SELECT market_id, arg_max(interval_hours, observed_from) AS interval_hours
        FROM market_intervals GROUP BY market_id
    ) i USING (market_id)
    WHERE m.exchange = $exchange AND i.interval_hours <> l.interval_hours""",
    """INSERT INTO events
    SELECT $now, 'cap changed', $exchange, l.market,
           concat_ws(', ',
               CASE WHEN m.rate_cap <> l.rate_cap
                   THEN 'cap ' || m.rate_cap || ' -> ' || l.rate_cap END,
               CASE WHEN m.rate_floor <> l.rate_floor
                   THEN 'floor ' || m.rate_floor || ' -> ' || l.rate_floor END), NULL
    FROM listed l JOIN base.markets m USING (market)
    WHERE m.exchange = $exchange
      AND (m.rate_cap <> l.rate_cap OR m.rate_floor <> l.rate_floor)""",
    """INSERT INTO events
    SELECT $now, 'unlisted', $exchange, market, 'gone from the exchange''s list', NULL
    FROM base.markets
    WHERE exchange = $exchange AND status = 'live' AND market NOT IN (SELECT market FROM listed)""",
    # An interval that is no longer told, or whose market has left, is claimed no further.
    """UPDATE market_intervals SET observed_to = m.last_seen
    FROM base.markets m LEFT JOIN listed l USING (market)
    WHERE market_intervals.market_id = m.market_id AND m.exchange = $exchange
      AND observed_to IS NULL AND market_intervals.interval_hours IS DISTINCT FROM l.interval_hours
      """,
    """UPDATE base.markets SET
        status = l.status, interval_hours = l.interval_hours,
        rate_cap = l.rate_cap, rate_floor = l.rate_floor,
        listed_at = coalesce(l.listed_at, markets.listed_at), last_seen = $now,
        delisted_at = CASE WHEN l.status = 'live' THEN NULL ELSE coalesce(delisted_at, $now) END,
        -- What comes back may be something else: its price tells anew.
        asset_by = CASE WHEN markets.status <> 'live' AND l.status = 'live' AND asset_by = 'price'
                   THEN 'name' ELSE asset_by END
    FROM listed l WHERE markets.exchange = $exchange AND markets.market = l.market""",
    """UPDATE base.markets SET
        symbol = i.symbol, multiplier = i.multiplier, quote = i.quote, settle = i.settle,
        asset_class = i.asset_class,
        asset = CASE WHEN markets.symbol = i.symbol AND markets.multiplier = i.multiplier
                THEN markets.asset END,
        asset_by = CASE WHEN markets.symbol = i.symbol AND markets.multiplier = i.multiplier
                   THEN asset_by END
    FROM identities i
    WHERE markets.exchange = $exchange AND markets.market = i.market AND
        (markets.symbol, markets.multiplier, markets.quote, markets.settle, markets.asset_class)
        IS DISTINCT FROM (i.symbol, i.multiplier, i.quote, i.settle, i.asset_class)""",
    """UPDATE base.markets SET status = 'unlisted', delisted_at = $now
    WHERE exchange = $exchange AND status = 'live' AND market NOT IN (SELECT market FROM listed)""",
    """INSERT INTO base.markets BY NAME
    SELECT CAST(nextval('market_ids') AS INTEGER) AS market_id, $exchange AS exchange,
           $exchange IN (FROM base.held_exchanges) AS held, l.*,
           i.* EXCLUDE (market, asset), $now AS first_seen, $now AS last_seen,
           CASE WHEN l.status = 'live' THEN NULL ELSE CAST($now AS TIMESTAMP) END AS delisted_at
    FROM listed l JOIN identities i USING (market)
    WHERE l.market NOT IN (SELECT market FROM base.markets WHERE exchange = $exchange)
    ORDER BY l.market""",
    # A correction fixes the key; without it the key is decided anew.
    """UPDATE base.markets SET
        asset = i.asset, asset_by = CASE WHEN i.asset IS NOT NULL THEN 'correction' END
    FROM identities i
    WHERE markets.exchange = $exchange AND markets.market = i.market AND
        CASE WHEN i.asset IS NULL THEN asset_by = 'correction'
        ELSE (markets.asset, asset_by) IS DISTINCT FROM (i.asset, 'correction') END""",
    """INSERT INTO market_intervals
    SELECT m.market_id, l.interval_hours, $now, NULL
    FROM listed l JOIN base.markets m USING (market)
    WHERE m.exchange = $exchange AND l.interval_hours IS NOT NULL AND NOT EXISTS (
        FROM market_intervals i WHERE i.market_id = m.market_id AND i.observed_to IS NULL)""",
)


def known_markets(connection: duckdb.DuckDBPyConnection, exchange: str) -> dict[str, KnownMarket]:
    """The exchange's markets by native symbol."""
    rows = connection.execute(
        """SELECT market_id, market, status = 'live', interval_hours, listed_at, last_settlement
        FROM base.markets WHERE exchange = ? ORDER BY market_id""",
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
        FROM market_intervals i JOIN base.markets m USING (market_id)
        WHERE m.exchange = ? ORDER BY i.market_id, i.observed_from""",
        [exchange],
    ).fetchall()
    seen: dict[int, list[Observation]] = {}
    for market_id, start, end, hours in rows:
        seen.setdefault(market_id, []).append(
            Observation(milliseconds(start), milliseconds(end), hours)
        )
    return seen
