"""Why a settlement is missing, decided from what was asked, answered and kept.

Belongs here: the reasons of open gaps. Does not: finding gaps (gap_scan), asking again (repairs).

* `not sampled`: the exchange has no history, and no estimate was sampled shortly before the hour.
* `before look-back`: older than what the exchange still tells of.
* `quarantined`: a row for one of these hours came and failed validation.
* `not asked`: not all of these hours were asked and answered; `unknown` where nobody will ask,
  since this version does not know the exchange.
* `exchange outage`: asked and answered empty, and of the markets that settled or should have in the
  first and in the last of these hours at least nine of ten, and two, lack it.
* `answered empty`: asked, and the answer did not hold it.
"""

from collections.abc import Iterable
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.calendar import kept_since
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds, timestamp, visible
from funding_pipeline.warehouse.gap_events import Told

OUTAGE_SHARE = 0.9
OUTAGE_MARKETS = 2
# Nothing will change these: the gap is given up without asking.
FINAL = ("not sampled", "before look-back")

_DECIDE = """
WITH open_gaps AS (
    SELECT g.market_id, g.first_missing, g.last_missing, m.exchange, m.market,
           e.exchange IS NOT NULL AS known, e.kind = 'recorded' AS recorded,
           g.last_missing < e.kept_since AS too_old
    FROM base.gaps g JOIN base.markets m USING (market_id) LEFT JOIN rules e USING (exchange)
    WHERE g.state = 'open' AND m.exchange = coalesce($exchange, m.exchange)
), answered AS (
    SELECT o.* FROM open_gaps o SEMI JOIN collected_windows c
    ON c.exchange = o.exchange AND c.market = o.market
       AND c.from_time <= o.first_missing AND c.to_time > o.last_missing
), hours AS (
    SELECT exchange, first_missing AS hour FROM answered
    UNION SELECT exchange, last_missing FROM answered
), lacking AS (
    SELECT h.exchange, h.hour, count(*) AS markets
    FROM hours h JOIN base.markets m USING (exchange) JOIN base.gaps g ON g.market_id = m.market_id
        AND g.state IN ('open', 'given up') AND h.hour BETWEEN g.first_missing AND g.last_missing
    GROUP BY ALL
), settled AS (
    SELECT h.exchange, h.hour, count(*) AS markets
    FROM settlements s JOIN base.markets m USING (market_id)
    JOIN hours h ON h.exchange = m.exchange AND h.hour = s.funding_time
    WHERE s.funding_time BETWEEN (SELECT min(hour) FROM hours) AND (SELECT max(hour) FROM hours)
    GROUP BY ALL
), outages AS (
    SELECT exchange, hour FROM lacking l LEFT JOIN settled s USING (exchange, hour)
    WHERE l.markets >= $outage_markets
      AND l.markets >= $outage_share * (l.markets + coalesce(s.markets, 0))
), decided AS (
    SELECT o.market_id, o.first_missing, CASE
        WHEN o.recorded THEN 'not sampled'
        WHEN o.too_old THEN 'before look-back'
        WHEN EXISTS (FROM quarantine q WHERE q.exchange = o.exchange AND q.market = o.market
            AND q.resolution IS DISTINCT FROM 'released'
            AND q.stamp BETWEEN o.first_missing - INTERVAL 5 SECOND
                            AND o.last_missing + INTERVAL 30 MINUTE) THEN 'quarantined'
        WHEN a.market_id IS NULL AND o.known THEN 'not asked'
        WHEN a.market_id IS NULL THEN 'unknown'
        WHEN f.hour IS NOT NULL AND l.hour IS NOT NULL THEN 'exchange outage'
        ELSE 'answered empty' END AS reason
    FROM open_gaps o LEFT JOIN answered a USING (market_id, first_missing)
    LEFT JOIN outages f ON f.exchange = o.exchange AND f.hour = o.first_missing
    LEFT JOIN outages l ON l.exchange = o.exchange AND l.hour = o.last_missing
)
UPDATE base.gaps SET reason = d.reason FROM decided d
WHERE gaps.state = 'open' AND gaps.market_id = d.market_id
  AND gaps.first_missing = d.first_missing AND gaps.reason <> d.reason"""


def decide_reasons(
    connection: duckdb.DuckDBPyConnection,
    specs: Iterable[ExchangeSpec],
    now: datetime,
    exchange: str | None = None,
) -> list[Told]:
    """Decide the reason of every open gap, or of one exchange's; those that nothing can fill are
    given up and returned.
    """
    with visible(connection, "rules", _rules(specs, now)):
        connection.execute(
            _DECIDE,
            {
                "exchange": exchange,
                "outage_share": OUTAGE_SHARE,
                "outage_markets": OUTAGE_MARKETS,
            },
        )
    final = f"state = 'open' AND reason IN {FINAL}"
    lost: list[Told] = connection.execute(
        f"SELECT market_id, first_missing, last_missing, missing FROM base.gaps WHERE {final}"
    ).fetchall()
    if lost:
        connection.execute(
            f"UPDATE base.gaps SET state = 'given up', closed_at = ? WHERE {final}", [now]
        )
    return lost


def _rules(specs: Iterable[ExchangeSpec], now: datetime) -> pl.DataFrame:
    now_ms = milliseconds(now)
    return pl.DataFrame(
        [(s.name, s.kind, timestamp(kept_since(s.look_back_days, now_ms))) for s in specs],
        schema={"exchange": pl.String, "kind": pl.String, "kept_since": pl.Datetime("us")},
        orient="row",
    )
