"""Looking for gaps between the settlements of a market.

Belongs here: neighbours that lie too far apart, found by SQL, and what a scan found. Does not: the
rule (domain.calendar), the edges of a market's life (gap_edges), what becomes of a gap (gaps).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.domain.calendar import Gap, Settled, between
from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import milliseconds, visible

# Neighbours of a settlement are looked for so near first: the longest interval and an hour.
NEAR = timedelta(hours=25)
CHUNK_MARKETS = 500

Found = dict[int, list[Gap]]


@dataclass(slots=True)
class Scan:
    """What was found by market, and which part of each market's time was searched between its
    settlements. The time before the first and after the last one was searched of all markets.
    """

    found: Found = field(default_factory=dict)
    between: dict[int, Window] = field(default_factory=dict)

    def add(self, market_id: int, gaps: Iterable[Gap | None]) -> None:
        """Note gaps of a market, leaving out those that are none."""
        real = [gap for gap in gaps if gap is not None]
        if real:
            self.found.setdefault(market_id, []).extend(real)


def changed_since(connection: duckdb.DuckDBPyConnection, watermark: datetime) -> pl.DataFrame:
    """Per market the span of the settlements that came, or whose interval changed, since then."""
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, min(funding_time) AS low, max(funding_time) AS high FROM (
            SELECT market_id, funding_time FROM settlements WHERE collected_at >= $since
            UNION ALL
            SELECT market_id, funding_time FROM rate_revisions WHERE revised_at >= $since
        ) GROUP BY market_id ORDER BY market_id""",
        params={"since": watermark},
    ).pl()
    return frame


def whole_histories(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Per market the span of all its settlements."""
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, first_settlement AS low, last_settlement AS high FROM base.markets
        WHERE last_settlement IS NOT NULL ORDER BY market_id"""
    ).pl()
    return frame


def scan_between(
    connection: duckdb.DuckDBPyConnection, spans: pl.DataFrame, scan: Scan, *, whole: bool
) -> None:
    """Search between the settlements of each span, its outer neighbours included; `whole` spans
    have none.
    """
    away = absences(connection)
    for part in spans.iter_slices(CHUNK_MARKETS if whole else max(1, len(spans))):
        wider = part if whole else _with_neighbours(connection, part)
        for market_id, low, high in wider.iter_rows():
            scan.between[market_id] = Window(milliseconds(low), milliseconds(high))
        for market_id, before, p, after, q in _far_apart(connection, wider):
            pair = Settled(milliseconds(before), p), Settled(milliseconds(after), q)
            scan.add(market_id, between(*pair, away.get(market_id, ())))


def _with_neighbours(connection: duckdb.DuckDBPyConnection, spans: pl.DataFrame) -> pl.DataFrame:
    """The spans up to the settlements next to them, however far these are."""
    with visible(connection, "spans", spans):
        connection.execute(
            """CREATE OR REPLACE TEMP TABLE neighbours AS
            SELECT p.market_id, p.low, p.high, m.first_settlement, m.last_settlement,
                   max(s.funding_time) FILTER (s.funding_time < p.low) AS before,
                   min(s.funding_time) FILTER (s.funding_time > p.high) AS after
            FROM spans p JOIN base.markets m USING (market_id) LEFT JOIN (
                FROM settlements WHERE funding_time BETWEEN (SELECT min(low) FROM spans) - $near
                                                   AND (SELECT max(high) FROM spans) + $near
            ) s ON s.market_id = p.market_id AND (
                s.funding_time >= p.low - $near AND s.funding_time < p.low
                OR s.funding_time > p.high AND s.funding_time <= p.high + $near)
            GROUP BY ALL""",
            {"near": NEAR},
        )
    far = connection.execute(
        """SELECT count(*) FROM neighbours WHERE before IS NULL AND first_settlement < low
            OR after IS NULL AND last_settlement > high"""
    ).fetchall()[0][0]
    if far:
        connection.execute(
            """UPDATE neighbours SET before = coalesce(neighbours.before, f.before),
                after = coalesce(neighbours.after, f.after)
            FROM (
                SELECT n.market_id, max(s.funding_time) FILTER (s.funding_time < n.low) AS before,
                       min(s.funding_time) FILTER (s.funding_time > n.high) AS after
                FROM neighbours n JOIN settlements s USING (market_id)
                WHERE n.before IS NULL AND n.first_settlement < n.low
                   OR n.after IS NULL AND n.last_settlement > n.high
                GROUP BY n.market_id
            ) f WHERE neighbours.market_id = f.market_id"""
        )
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, coalesce(before, low) AS low, coalesce(after, high) AS high
        FROM neighbours ORDER BY market_id"""
    ).pl()
    connection.execute("DROP TABLE neighbours")
    return frame


def _far_apart(
    connection: duckdb.DuckDBPyConnection, spans: pl.DataFrame
) -> list[tuple[int, datetime, int, datetime, int]]:
    """Neighbours that lie more than both their intervals apart: (market, time, hours) twice."""
    with visible(connection, "spans", spans):
        rows: list[tuple[int, datetime, int, datetime, int]] = connection.execute(
            """SELECT market_id, before, p, funding_time, interval_hours FROM (
                SELECT s.market_id, s.funding_time, s.interval_hours,
                       lag(s.funding_time) OVER w AS before, lag(s.interval_hours) OVER w AS p
                FROM settlements s JOIN spans USING (market_id)
                WHERE s.funding_time BETWEEN low AND high
                  AND s.funding_time BETWEEN (SELECT min(low) FROM spans)
                                         AND (SELECT max(high) FROM spans)
                WINDOW w AS (PARTITION BY s.market_id ORDER BY s.funding_time)
            ) WHERE date_diff('hour', before, funding_time) > greatest(p, interval_hours)
            ORDER BY market_id, funding_time"""
        ).fetchall()
    return rows


def absences(connection: duckdb.DuckDBPyConnection) -> dict[int, list[Window]]:
    """By market, when it was off its exchange's list and came back later."""
    rows = connection.execute(
        """SELECT market_id, gone, back FROM (
            SELECT m.market_id, e.kind, e.happened AS back,
                   lag(e.happened) OVER w AS gone, lag(e.kind) OVER w AS before
            FROM events e JOIN base.markets m USING (exchange, market)
            WHERE e.kind IN ('delisted', 'unlisted', 'relisted')
            WINDOW w AS (PARTITION BY m.market_id ORDER BY e.happened)
        ) WHERE kind = 'relisted' AND before <> 'relisted' ORDER BY market_id, gone"""
    ).fetchall()
    found: dict[int, list[Window]] = {}
    for market_id, gone, back in rows:
        found.setdefault(market_id, []).append(Window(milliseconds(gone), milliseconds(back)))
    return found
