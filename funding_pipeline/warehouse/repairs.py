"""Asking again for what is missing: which gaps are due, and when asking has been in vain.

Belongs here: due gaps, the count of empty answers, giving up. Does not: requests (collection), when
a run is started (defs.repair), what is a gap (domain.calendar).

A gap is asked for at most every twelve hours. After three empty answers over at least a day it is
given up, with what was asked and answered, and left alone until a person wants it asked again. What
the next ticks fetch by themselves is not due: see `warehouse.absence`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.domain.calendar import Gap, span
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds, timestamp, transaction, visible
from funding_pipeline.warehouse.gap_events import tell
from funding_pipeline.warehouse.gap_reasons import FINAL, decide_reasons

AGAIN = timedelta(hours=12)
EMPTY_ANSWERS = 3
AT_LEAST = timedelta(hours=24)
# Bounds a run; the newest gaps go first.
MOST_GAPS = 20_000

Holes = dict[str, list[Window]]


@dataclass(slots=True)
class Due:
    """What to ask now: windows by exchange and market, and how many settlements they lack."""

    holes: dict[str, Holes] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    def window(self) -> Window:
        """From the oldest to the newest hole."""
        windows = [w for markets in self.holes.values() for ws in markets.values() for w in ws]
        return Window(min(w.start_ms for w in windows), max(w.end_ms for w in windows))


def due(
    connection: duckdb.DuckDBPyConnection,
    *,
    kept_since: Mapping[str, int],
    tick_reach_ms: int,
    now: datetime,
    everything: bool = False,
) -> Due:
    """Open gaps of the exchanges in `kept_since` (the oldest moment that each still tells of, in
    ms) that are to be asked for now; with `everything` those asked a short while ago as well.
    """
    kept = pl.DataFrame(
        [(name, timestamp(ms)) for name, ms in kept_since.items()],
        schema={"exchange": pl.String, "kept": pl.Datetime("us")},
        orient="row",
    )
    found = Due()
    with visible(connection, "exchanges", kept):
        rows = connection.execute(
            f"""SELECT m.exchange, m.market, g.first_missing, g.missing, g.interval_hours
            FROM base.gaps g JOIN base.markets m USING (market_id) JOIN exchanges USING (exchange)
            LEFT JOIN (
                SELECT exchange, market, max(to_time) AS asked_to FROM collected_windows
                GROUP BY exchange, market
            ) c ON c.exchange = m.exchange AND c.market = m.market
            WHERE g.state = 'open' AND g.reason NOT IN {FINAL} AND g.last_missing >= kept
              AND ($everything OR g.last_asked IS NULL OR g.last_asked <= $asked_before)
              -- What follows all that was asked is the work of ticks, as far as they reach.
              AND NOT (m.status = 'live' AND g.first_missing >= $reach
                       AND g.last_missing >= coalesce(c.asked_to, g.first_missing)
                       AND g.first_missing > coalesce(m.last_settlement, TIMESTAMP '1970-01-01')
                       AND NOT $everything)
            ORDER BY g.last_missing DESC, m.exchange, m.market LIMIT $most""",
            {
                "everything": everything,
                "asked_before": now - AGAIN,
                "reach": timestamp(milliseconds(now) - tick_reach_ms),
                "most": MOST_GAPS,
            },
        ).fetchall()
    for exchange, market, first, missing, hours in rows:
        windows = found.holes.setdefault(exchange, {}).setdefault(market, [])
        windows.append(span(Gap(milliseconds(first), missing, hours)))
        found.gaps[exchange] = found.gaps.get(exchange, 0) + 1
        found.missing[exchange] = found.missing.get(exchange, 0) + missing
    return found


def record_answers(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    asked: Iterable[tuple[str, Window]],
    unlisted: Collection[str],
    *,
    load_id: int,
    now: datetime,
) -> int:
    """Count a repair's answers that left a gap as it was; returns how many gaps were given up.

    A market that its exchange does not list any more cannot be asked: that counts as empty.
    """
    rows = [
        (market, timestamp(w.start_ms), timestamp(w.end_ms), "no settlement") for market, w in asked
    ]
    always = (datetime(1970, 1, 1), datetime(9999, 1, 1))
    rows += [(market, *always, "not in the exchange's list any more") for market in unlisted]
    frame = pl.DataFrame(
        rows,
        schema={
            "market": pl.String,
            "start": pl.Datetime("us"),
            "until": pl.Datetime("us"),
            "answer": pl.String,
        },
        orient="row",
    )
    with transaction(connection), visible(connection, "asked", frame):
        # What is filled in part is no empty answer: the next refresh closes or shortens it.
        connection.execute(
            """UPDATE base.gaps SET
                asked_times = asked_times + 1, last_asked = $now,
                first_asked = coalesce(first_asked, $now),
                answers = concat_ws(chr(10), answers, a.answer)
            FROM (
                SELECT g.market_id, g.first_missing,
                       strftime(CAST($now AS TIMESTAMP), '%Y-%m-%d %H:%M') || ' load ' || $load_id
                       || ', ' || any_value(a.answer) || CASE
                           WHEN min(a.start) > TIMESTAMP '1970-01-01' THEN ' in ' || min(a.start)
                               || ' .. ' || max(a.until) ELSE '' END AS answer
                FROM base.gaps g JOIN base.markets m USING (market_id) JOIN asked a USING (market)
                WHERE g.state = 'open' AND m.exchange = $exchange
                  AND a.start <= g.last_missing AND a.until > g.first_missing
                  AND NOT EXISTS (FROM settlements s WHERE s.market_id = g.market_id
                      AND s.funding_time BETWEEN g.first_missing AND g.last_missing)
                GROUP BY ALL
            ) a WHERE gaps.state = 'open' AND gaps.market_id = a.market_id
                  AND gaps.first_missing = a.first_missing""",
            {"now": now, "load_id": load_id, "exchange": spec.name},
        )
        decide_reasons(connection, [spec], now, spec.name)
        return _give_up(connection, spec.name, load_id, now)


def _give_up(
    connection: duckdb.DuckDBPyConnection, exchange: str, load_id: int, now: datetime
) -> int:
    vain = """state = 'open' AND asked_times >= $times AND last_asked - first_asked >= $long
        AND market_id IN (SELECT market_id FROM base.markets WHERE exchange = $exchange)"""
    parameters = {"times": EMPTY_ANSWERS, "long": AT_LEAST, "exchange": exchange}
    lost = connection.execute(
        f"SELECT market_id, first_missing, last_missing, missing FROM base.gaps WHERE {vain}",
        parameters,
    ).fetchall()
    if lost:
        connection.execute(
            f"UPDATE base.gaps SET state = 'given up', closed_at = $now WHERE {vain}",
            parameters | {"now": now},
        )
        tell(connection, "gap given up", lost, now, load_id)
    return len(lost)


def ask_again(
    connection: duckdb.DuckDBPyConnection, exchanges: Sequence[str], *, now: datetime
) -> int:
    """Open again what was given up after empty answers; returns how many gaps."""
    chosen = f"""state = 'given up' AND reason NOT IN {FINAL} AND market_id IN (
        SELECT market_id FROM base.markets
        WHERE exchange IN (SELECT unnest(CAST($exchanges AS VARCHAR[]))))"""
    parameters = {"exchanges": list(exchanges)}
    reopened = connection.execute(
        f"SELECT market_id, first_missing, last_missing, missing FROM base.gaps WHERE {chosen}",
        parameters,
    ).fetchall()
    with transaction(connection):
        connection.execute(
            f"""UPDATE base.gaps SET state = 'open', asked_times = 0, first_asked = NULL,
                last_asked = NULL, closed_at = NULL WHERE {chosen}""",
            parameters,
        )
        tell(connection, "gap asked for again", reopened, now)
    return len(reopened)
