"""How complete the data are, day by day.

Belongs here: hours that settlements paid for against hours that markets lived, holes included that
no table has a row for. Does not: figures of the days that are there (markets.stats).
"""

from datetime import datetime, time, timedelta
from typing import Literal

import duckdb
import polars as pl

from funding_pipeline.client.filters import Conditions, Moment, Names, newest_settlement, span
from funding_pipeline.client.published import Location, frame, opened

_DAYS = 30
_DAY = timedelta(days=1)

# base.lives and base.live_hours: migration 0007. Settlements prove that a market lived.
_MARKET_DAYS = """
WITH days AS (
    SELECT unnest(generate_series(CAST($first AS TIMESTAMP), CAST($last AS TIMESTAMP),
                                  INTERVAL 1 DAY)) AS midnight
), chosen AS (
    SELECT m.market_id, m.exchange, m.market, m.symbol, m.asset, l.live_from,
        CASE WHEN m.status <> 'live' THEN m.last_settlement END AS live_to
    FROM (FROM markets{where}) m JOIN base.lives l USING (market_id)
    WHERE m.status = 'live' OR m.last_settlement IS NOT NULL
), market_days AS (
    SELECT c.exchange, c.market, c.symbol, c.asset, CAST(d.midnight AS DATE) AS day,
        coalesce(s.covered_hours, 0) AS covered_hours,
        greatest(covered_hours, base.live_hours(
            d.midnight, d.midnight + INTERVAL 1 DAY, c.live_from, c.live_to)) AS live_hours
    FROM chosen c CROSS JOIN days d LEFT JOIN base.daily_stats s
        ON s.market_id = c.market_id AND s.day = CAST(d.midnight AS DATE)
)
"""
_BY_EXCHANGE = """
SELECT exchange, day, count(*) AS markets, sum(covered_hours) AS covered_hours,
    CAST(sum(live_hours) AS DOUBLE) AS live_hours, sum(covered_hours) / sum(live_hours) AS coverage
FROM market_days WHERE live_hours > 0 GROUP BY exchange, day ORDER BY exchange, day"""
_BY_MARKET = """
SELECT exchange, market, symbol, asset, day, covered_hours,
    CAST(live_hours AS DOUBLE) AS live_hours,
    covered_hours / live_hours AS coverage
FROM market_days WHERE live_hours > 0 ORDER BY exchange, market, day"""


def coverage(
    *,
    by: Literal["exchange", "market"] = "exchange",
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    since: Moment | None = None,
    until: Moment | None = None,
    database: Location = None,
) -> pl.DataFrame:
    """Which share of the hours that markets lived is stored, per exchange or market and UTC day.

    Full days only: up to the one before the newest settlement; of the last 30 of them if `since` is
    left out, or since the first settlement. A day without a single settlement has its row, with 0;
    a market whose beginning is not known counts as alive all the time before, and one that is gone
    until its last settlement, for it is only known when its end was noticed.

    exchange (and market, symbol, asset; or markets, their number that day); day; covered_hours
    (paid for by settlements), live_hours, coverage (covered / live, 0 to 1).
    """
    if by not in ("exchange", "market"):
        raise ValueError(f"by: exchange or market, not {by!r}")
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        first, last = _days(connection, *span(connection, since, until))
        return frame(
            connection,
            _MARKET_DAYS.format(where=where) + (_BY_MARKET if by == "market" else _BY_EXCHANGE),
            {**where.values, "first": first, "last": last},
        )


def _days(
    connection: duckdb.DuckDBPyConnection, start: datetime | None, end: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Midnights that begin the first and the last day; none when nothing has settled."""
    newest = newest_settlement(connection)
    if newest is None:
        return None, None
    oldest = connection.execute("SELECT min(first_settlement) FROM markets").fetchall()[0][0]
    today = _midnight(newest)
    last = min(today, _midnight(end + _DAY - timedelta(microseconds=1)) if end else today) - _DAY
    first = _midnight(start) if start else max(last - (_DAYS - 1) * _DAY, _midnight(oldest))
    return first, last


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time())
