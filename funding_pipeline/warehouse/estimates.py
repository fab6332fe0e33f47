"""Running estimates: storing them, and making settlements of them where there is no history.

Belongs here: `predicted_rates`. Does not: asking for estimates (collection).
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.records import Answered, Estimate, RawSettlement, Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds, timestamp, visible

SAMPLE_MS = 10 * 60_000

_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "rate": pl.Float64(),
    "raw_rate": pl.String(),
    "interval_hours": pl.Int16(),
    "next_funding_time": pl.Datetime("us"),
    "mark_price": pl.Float64(),
    "index_price": pl.Float64(),
    "open_interest_usd": pl.Float64(),
    "volume_24h_usd": pl.Float64(),
}


def record_estimates(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    estimates: Sequence[Estimate],
    observed_at: datetime,
) -> int:
    """Store a sample of all known markets; returns the rows stored. Unknown markets are left out:
    their exchange's list brings them with the next collection.
    """
    frame = pl.DataFrame(
        [
            (
                e.market,
                e.rate,
                e.raw_rate,
                e.interval_hours,
                None if e.next_funding_ms is None else timestamp(e.next_funding_ms),
                e.mark_price,
                e.index_price,
                e.open_interest_usd,
                e.volume_24h_usd,
            )
            for e in estimates
        ],
        schema=_SCHEMA,
        orient="row",
    ).unique("market", keep="last")
    with visible(connection, "sample", frame):
        stored: int = connection.execute(
            """INSERT INTO base.predicted_rates BY NAME
            SELECT m.market_id, CAST($observed_at AS TIMESTAMP) AS observed_at,
                   s.* EXCLUDE (market)
            FROM sample s JOIN base.markets m USING (market) WHERE m.exchange = $exchange
            ORDER BY m.market_id""",
            {"exchange": exchange, "observed_at": observed_at},
        ).fetchall()[0][0]
    return stored


def sampled_settlements(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, window: Window, now_ms: int
) -> list[Answered]:
    """What the boundaries of the window settled, where an estimate was sampled in the ten minutes
    before them; the last sample counts. Boundaries lie on the UTC grid of the interval and must
    have passed. What counts as collected is the period that the boundary settles.
    """
    rows = connection.execute(
        """SELECT m.market, p.observed_at, p.raw_rate, p.interval_hours, p.mark_price
        FROM base.predicted_rates p JOIN base.markets m USING (market_id)
        WHERE m.exchange = ? AND p.observed_at BETWEEN ? AND ? ORDER BY p.observed_at""",
        [spec.name, timestamp(window.start_ms - SAMPLE_MS), timestamp(window.end_ms)],
    ).fetchall()
    last: dict[tuple[str, int], RawSettlement] = {}
    for market, observed_at, raw_rate, hours, mark_price in rows:
        observed_ms = milliseconds(observed_at)
        boundary = -(-observed_ms // (hours * HOUR_MS)) * hours * HOUR_MS
        inside = window.start_ms <= boundary < window.end_ms and boundary <= now_ms
        if inside and boundary - observed_ms <= SAMPLE_MS:
            last[market, boundary] = RawSettlement(market, boundary, raw_rate, hours, mark_price)
    answers = []
    for (market, boundary), raw in last.items():
        valid, rejected = validate(
            [raw], unit=spec.rate_unit, max_abs_rate=spec.max_abs_rate, now_ms=now_ms
        )
        period = (raw.interval_hours or 1) * HOUR_MS
        answers.append(
            Answered(market, Window(boundary - period + 1, boundary + 1), valid, (), rejected)
        )
    return answers
