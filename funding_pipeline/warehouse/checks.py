"""Facts for checks: figures about stored settlements that a reader can rely on.

Belongs here: bounded queries that count what should not be. Does not: judging or acting on them.
"""

from dataclasses import dataclass

import duckdb

from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import timestamp


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """One exchange and window. `coverage`: collected share of its live markets' hours, 0..1, or
    None where no market lived; the other fields count settlements. What a person released is not
    out of bounds.
    """

    rows: int
    markets: int
    duplicates: int
    off_grid: int
    out_of_bounds: int
    quarantined: int
    coverage: float | None


def window_facts(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, window: Window, now_ms: int
) -> WindowFacts:
    """Count over settlements with window.start <= funding_time < window.end."""
    bounds = {
        "exchange": spec.name,
        "start": timestamp(window.start_ms),
        "end": timestamp(min(window.end_ms, now_ms)),
    }
    rows, markets, distinct, off_grid, out = connection.execute(
        """SELECT count(*), count(DISTINCT s.market_id),
                  count(DISTINCT (s.market_id, s.funding_time)),
                  count(*) FILTER (date_trunc('hour', s.funding_time) <> s.funding_time
                                   OR s.lag_ms < -5000 OR s.lag_ms > 1800000),
                  count(*) FILTER ((abs(s.rate) > $bound OR NOT isfinite(s.rate))
                                   AND r.market IS NULL)
        FROM settlements s JOIN base.markets m USING (market_id)
        LEFT JOIN (
            FROM quarantine WHERE exchange = $exchange AND resolution = 'released'
        ) r ON r.market = m.market AND r.raw_rate = base.sent_text(s.raw_rate, s.rate)
               AND r.stamp = s.funding_time + to_milliseconds(s.lag_ms)
        WHERE m.exchange = $exchange AND s.funding_time >= $start AND s.funding_time < $end""",
        bounds | {"bound": spec.max_abs_rate},
    ).fetchall()[0]
    quarantined: int = connection.execute(
        """SELECT count(*) FROM quarantine
        WHERE exchange = $exchange AND stamp >= $start AND stamp < $end AND resolution IS NULL""",
        bounds,
    ).fetchall()[0][0]
    coverage: float | None = connection.execute(
        """WITH live AS (
            SELECT market, greatest(CAST($start AS TIMESTAMP), coalesce(listed_at, $start)) AS a,
                   least(CAST($end AS TIMESTAMP), coalesce(delisted_at, $end)) AS b
            FROM base.markets WHERE exchange = $exchange
              -- When a market left that was never seen alive is not known.
              AND delisted_at IS DISTINCT FROM first_seen
        )
        SELECT sum(coalesce(c.covered, 0)) / sum(epoch(l.b - l.a))
        FROM live l LEFT JOIN (
            SELECT w.market,
                   sum(epoch(least(w.to_time, l.b) - greatest(w.from_time, l.a))) AS covered
            FROM collected_windows w JOIN live l USING (market)
            WHERE w.exchange = $exchange AND w.to_time > l.a AND w.from_time < l.b GROUP BY w.market
        ) c USING (market)
        WHERE l.b > l.a""",
        bounds,
    ).fetchall()[0][0]
    return WindowFacts(rows, markets, rows - distinct, off_grid, out, quarantined, coverage)
