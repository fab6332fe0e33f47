"""Bringing derived tables up to date with what was merged.

Belongs here: reading what is owed, feeding the transforms, replacing their rows in one transaction
per chunk of markets. Does not: the formulas (transforms), when to run.

Incremental over dirty (market, day): a tick touches a month of the markets that settled, whatever
the length of history. Killed half-way, the rest stays owed.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.daily import daily_stats, paid_day
from funding_pipeline.transforms.moving_averages import moving_averages
from funding_pipeline.transforms.refresh import (
    DIRTY,
    HOURLY_KEPT,
    days_to_refresh,
    points_to_refresh,
)
from funding_pipeline.warehouse import signals
from funding_pipeline.warehouse.caps import declared_caps, observe_caps
from funding_pipeline.warehouse.chosen_windows import owe_chosen_windows
from funding_pipeline.warehouse.database import Database, transaction, visible
from funding_pipeline.warehouse.holds import Hold, held, hold_faulty
from funding_pipeline.warehouse.latest_averages import replace_latest, replace_pruned
from funding_pipeline.warehouse.lives import market_lives
from funding_pipeline.warehouse.statistics import refresh_statistics

CHUNK_MARKET_HOURS = 1_000_000
_BEFORE = timedelta(hours=24)
_AFTER = timedelta(days=2)


@dataclass(slots=True)
class Derivation:
    """What was derived: markets and days that were owed, rows written, seconds. `statistics` counts
    rows by part, `broken` tells of parts that failed and stand as before, `held` which exchanges
    were left out.
    """

    markets: int = 0
    days: int = 0
    daily_rows: int = 0
    average_rows: int = 0
    signal_rows: int = 0
    statistics: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    held: list[Hold] = field(default_factory=list)
    seconds: float = 0.0


def derive(database: Database, *, now: datetime) -> Derivation:
    """Work off everything that is owed at the start. `now` is naive UTC.

    Exchanges that a canary finds at fault are held first; what held exchanges owe stays owed.
    """
    started = time.monotonic()
    done = Derivation()
    with database.open() as connection:
        with transaction(connection):
            owe_chosen_windows(connection, database.windows, now)
            _owe_ended_days(connection, now)
            observe_caps(connection, now)
            hold_faulty(connection, now=now)
            done.held = held(connection)
        owed = connection.execute(
            """SELECT market_id, min(day), max(day), count(*)
            FROM dirty_days SEMI JOIN markets USING (market_id)
            GROUP BY market_id ORDER BY market_id"""
        ).fetchall()
    for chunk in _chunks(owed, timedelta(hours=max(database.windows.values()))):
        with database.open() as connection, transaction(connection):
            _derive_chunk(connection, chunk, database.windows, now, done)
    done.markets = len(owed)
    done.days = sum(days for *_, days in owed)
    with database.open() as connection, transaction(connection):
        _prune_hourly(connection, now)
        replace_pruned(connection, now - HOURLY_KEPT)
    done.broken = refresh_statistics(
        database,
        now=now,
        markets=[market_id for market_id, *_ in owed],
        told=lambda part, rows, _: done.statistics.update({part: rows}),
    )
    done.seconds = time.monotonic() - started
    with database.open() as connection:
        connection.execute(
            "INSERT INTO derivations VALUES (?, ?, ?, ?, ?)",
            [now, done.markets, done.days, done.seconds, _in_words(done.broken)],
        )
    return done


def _in_words(broken: dict[str, str]) -> str | None:
    return "; ".join(f"{part}: {error}" for part, error in broken.items()) or None


def _chunks(
    owed: Sequence[tuple[int, datetime, datetime, int]], longest: timedelta
) -> Iterator[list[int]]:
    """Markets in groups whose settlements fit in memory, at the worst one an hour."""
    chunk: list[int] = []
    hours = 0
    for market_id, first, last, _ in owed:
        span = int((last - first + longest + _BEFORE + _AFTER).total_seconds() // 3600)
        if chunk and hours + span > CHUNK_MARKET_HOURS:
            yield chunk
            chunk, hours = [], 0
        chunk.append(market_id)
        hours += span
    if chunk:
        yield chunk


def _derive_chunk(
    connection: duckdb.DuckDBPyConnection,
    markets: list[int],
    windows: Mapping[str, int],
    now: datetime,
    done: Derivation,
) -> None:
    dirty = connection.execute(
        """SELECT market_id, day, CASE WHEN count(settled_until) = count(*)
            THEN min(settled_until) END FROM dirty_days
        WHERE market_id IN (SELECT unnest(CAST(? AS INTEGER[]))) GROUP BY market_id, day""",
        [markets],
    )
    dirty_frame = pl.DataFrame(dirty.fetchall(), schema=DIRTY, orient="row")
    days = days_to_refresh(dirty_frame)
    longest = max(windows.values())
    points = points_to_refresh(dirty_frame, now=now, longest_hours=longest)
    settlements = _settlements(connection, markets, dirty_frame, timedelta(hours=longest))
    lives = market_lives(connection, markets)
    of_days = settlements.with_columns(day=paid_day()).join(
        days, on=["market_id", "day"], how="semi"
    )
    daily = daily_stats(of_days, lives, declared_caps(connection, markets), now=now)
    averages = moving_averages(settlements, lives, _settled(connection, points), windows)
    with (
        visible(connection, "dirty", dirty_frame),
        visible(connection, "days", days),
        visible(connection, "points", points),
        visible(connection, "daily", daily),
        visible(connection, "averages", averages),
    ):
        _replace(connection, "daily_stats", "day", "days", "daily")
        _replace(connection, "moving_averages", "as_of", "points", "averages")
        connection.execute(
            """INSERT INTO base.changed_midnights
            SELECT DISTINCT as_of FROM points WHERE extract(hour FROM as_of) = 0"""
        )
        _replace_latest(connection, markets)
        replace_latest(connection, markets)
        done.signal_rows += signals.refresh(connection, now=now, markets=markets)
        connection.execute(
            """DELETE FROM dirty_days USING dirty d
            WHERE dirty_days.market_id = d.market_id AND dirty_days.day = d.day"""
        )
    done.daily_rows += len(daily)
    done.average_rows += len(averages)


def _settled(connection: duckdb.DuckDBPyConnection, points: pl.DataFrame) -> pl.DataFrame:
    """Points up to each market's newest settlement: what comes after it is not known yet, and a
    table that is kept up to date must not depend on when it was last looked at.
    """
    with visible(connection, "points", points):
        frame: pl.DataFrame = connection.sql(
            """SELECT p.* FROM points p JOIN base.markets m USING (market_id)
            WHERE p.as_of <= m.last_settlement"""
        ).pl()
    return frame


def _owe_ended_days(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """A day that was derived before it ended counted its live hours only up to then; the averages
    of its points did not.
    """
    connection.execute(
        """INSERT INTO dirty_days
        SELECT market_id, day, $now, $now FROM base.daily_stats s
        WHERE day < CAST($now AS DATE)
          AND day >= (SELECT CAST(max(ended) AS DATE) FROM derivations)
          AND NOT EXISTS (
            FROM dirty_days d WHERE d.market_id = s.market_id AND d.day = s.day)""",
        {"now": now},
    )


def _replace(
    connection: duckdb.DuckDBPyConnection, table: str, key: str, stale: str, fresh: str
) -> None:
    """Replace a table's rows of the stale keys by the fresh rows; look-ups bounded in time."""
    connection.execute(
        f"""DELETE FROM base.{table} USING {stale} s
        WHERE {table}.market_id = s.market_id AND {table}.{key} = s.{key}
          AND {table}.{key} BETWEEN (SELECT min({key}) FROM {stale})
                                AND (SELECT max({key}) FROM {stale})"""
    )
    connection.execute(
        f"INSERT INTO base.{table} BY NAME SELECT * FROM {fresh} ORDER BY {key}, market_id"
    )


def _replace_latest(connection: duckdb.DuckDBPyConnection, markets: list[int]) -> None:
    chosen = "market_id IN (SELECT unnest(CAST(? AS INTEGER[])))"
    connection.execute(f"DELETE FROM base.latest_rates WHERE {chosen}", [markets])
    connection.execute(
        f"""INSERT INTO base.latest_rates
        SELECT s.market_id, s.funding_time, s.rate, s.interval_hours, s.mark_price
        FROM settlements s JOIN base.markets m USING (market_id)
        WHERE s.{chosen} AND s.funding_time = m.last_settlement AND s.funding_time >=
            (SELECT min(last_settlement) FROM base.markets WHERE {chosen})""",
        [markets, markets],
    )


def _settlements(
    connection: duckdb.DuckDBPyConnection,
    markets: list[int],
    dirty: pl.DataFrame,
    longest: timedelta,
) -> pl.DataFrame:
    """All rows that the owed figures rest on."""
    first, last = dirty["day"].min(), dirty["day"].max()
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, funding_time, rate, interval_hours, covered_hours FROM settlements
        WHERE market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))
          AND funding_time BETWEEN CAST($first AS DATE) - CAST($before AS INTERVAL)
                               AND CAST($last AS DATE) + CAST($after AS INTERVAL)""",
        params={
            "markets": markets,
            "first": first,
            "last": last,
            "before": longest + _BEFORE + timedelta(days=1),
            "after": longest + _AFTER,
        },
    ).pl()
    return frame


def _prune_hourly(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Hourly points live for a week; midnights for ever."""
    previous = connection.execute("SELECT max(ended) FROM derivations").fetchall()[0][0]
    connection.execute(
        """DELETE FROM base.moving_averages
        WHERE as_of <= ? AND as_of > ? AND extract(hour FROM as_of) <> 0""",
        [now - HOURLY_KEPT, (previous or datetime(1970, 1, 1)) - HOURLY_KEPT - timedelta(days=1)],
    )
