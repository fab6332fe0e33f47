"""Exchanges that are held: found at fault by a canary, and released by a person.

Belongs here: the table `holds`, what the canaries get to see, events. Does not: the canaries
(transforms.canaries), leaving held exchanges out (the view `markets`, which all others join; by
`base.markets.held`, so that no question has to look at `holds`).

A held exchange is collected and stored as before, and its days stay owed; until it is released, no
derived table is made of it and no published view or macro shows it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.against_others import WEEK_DAYS
from funding_pipeline.transforms.canaries import Finding, canaries
from funding_pipeline.warehouse.ledger import Event, record_events
from funding_pipeline.warehouse.spread_ranks import rank_spreads

# A week of 4,000 hourly markets with the days around it is 1.9 million rows at once.
_SPAN = timedelta(days=7)
_DAY = timedelta(days=1)
_AROUND = timedelta(days=WEEK_DAYS - 1)


@dataclass(frozen=True, slots=True)
class Hold:
    """An exchange that is held, since when (naive UTC), for which likely mistake and figures."""

    exchange: str
    mistake: str
    detail: str
    held_at: datetime


def held(connection: duckdb.DuckDBPyConnection) -> list[Hold]:
    """What is held now, by exchange."""
    rows = connection.execute(
        """SELECT exchange, mistake, detail, held_at FROM holds WHERE released_at IS NULL
        ORDER BY exchange, held_at"""
    ).fetchall()
    return [Hold(*row) for row in rows]


def hold_faulty(connection: duckdb.DuckDBPyConnection, *, now: datetime) -> list[Hold]:
    """Judge the days that are owed and hold the exchanges at fault; `now` is naive UTC.

    Inside the caller's transaction, before anything is derived of those days.
    """
    excused = _excused(connection)
    found: dict[str, Finding] = {}
    for days in _spans(_owed_days(connection)):
        settlements = _settlements(connection, days)
        for finding in canaries(settlements, days, excused):
            found.setdefault(finding.exchange, finding)
    for finding in found.values():
        connection.execute(
            """INSERT INTO holds BY NAME SELECT ? AS exchange, ? AS mistake, ? AS detail,
            ? AS shown_from, ? AS shown_to, ? AS held_at""",
            [
                finding.exchange,
                finding.mistake,
                finding.detail,
                finding.since,
                finding.until,
                now,
            ],
        )
        event = Event("held", None, f"{finding.mistake} ({finding.detail})")
        record_events(connection, finding.exchange, [event], None, now)
    if found:
        apply_holds(connection)
    return [Hold(f.exchange, f.mistake, f.detail, now) for f in found.values()]


def release(
    connection: duckdb.DuckDBPyConnection, exchange: str, *, note: str | None, now: datetime
) -> list[Hold]:
    """Release an exchange and return what it was held for; nothing where it is not held.

    Inside the caller's transaction. What it was held for is excused up to its newest settlement;
    settlements after that, and other mistakes, can hold it again.
    """
    released = [hold for hold in held(connection) if hold.exchange == exchange]
    if not released:
        return []
    connection.execute(
        """UPDATE holds SET released_at = $now, note = $note, released_until =
            (SELECT max(last_settlement) FROM base.markets WHERE exchange = $exchange)
        WHERE exchange = $exchange AND released_at IS NULL""",
        {"exchange": exchange, "note": note, "now": now},
    )
    events = [
        Event("released", None, hold.mistake + (f": {note}" if note else "")) for hold in released
    ]
    record_events(connection, exchange, events, None, now)
    apply_holds(connection)
    return released


def apply_holds(connection: duckdb.DuckDBPyConnection) -> None:
    """What rests on `holds` besides: call it whenever another exchange is held than before."""
    connection.execute(
        """UPDATE base.markets SET held = NOT held
        WHERE held <> (exchange IN (FROM base.held_exchanges))"""
    )
    rank_spreads(connection)
    # Correlations are made once a day; of other exchanges than before they are made at once.
    connection.execute("DELETE FROM base.alike_refreshes")


def _excused(connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    rows = connection.execute(
        """SELECT exchange, mistake, detail, shown_from, released_until FROM holds
        WHERE released_at IS NOT NULL"""
    ).fetchall()
    return [Finding(*row) for row in rows]


def _owed_days(connection: duckdb.DuckDBPyConnection) -> list[date]:
    """A settlement that is owed with a day may be stamped the day after."""
    rows = connection.execute(
        """SELECT DISTINCT unnest([day, day + 1]) AS day
        FROM dirty_days SEMI JOIN markets USING (market_id) ORDER BY day"""
    ).fetchall()
    return [day for (day,) in rows]


def _spans(days: Sequence[date]) -> Iterator[list[date]]:
    span: list[date] = []
    for day in days:
        if span and day - span[0] >= _SPAN:
            yield span
            span = []
        span.append(day)
    if span:
        yield span


def _settlements(connection: duckdb.DuckDBPyConnection, days: Sequence[date]) -> pl.DataFrame:
    frame: pl.DataFrame = connection.sql(
        """SELECT m.exchange, m.asset, s.funding_time, s.rate / s.interval_hours AS rate_hourly
        FROM settlements s JOIN markets m USING (market_id)
        WHERE s.funding_time > $after AND s.funding_time <= $until""",
        params={
            "after": datetime.combine(days[0], time()) - _AROUND,
            "until": datetime.combine(days[-1], time()) + _DAY + _AROUND,
        },
    ).pl()
    return frame
