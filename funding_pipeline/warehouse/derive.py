"""Bringing derived tables up to date with what was merged.

Belongs here: reading what is owed, feeding the transforms, replacing their rows in one transaction
per chunk of markets. Does not: the formulas (transforms), when to run.

Incremental over dirty (market, day): a tick touches a month of the markets that settled, whatever
the length of history. Killed half-way, the rest stays owed.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.daily import daily_stats
from funding_pipeline.transforms.moving_averages import WINDOWS_HOURS, moving_averages
from funding_pipeline.transforms.refresh import HOURLY_KEPT, days_to_refresh, points_to_refresh
from funding_pipeline.warehouse.database import Database, transaction, visible

CHUNK_MARKET_HOURS = 2_000_000
_BEFORE = timedelta(hours=max(WINDOWS_HOURS.values()) + 24)
_AFTER = timedelta(days=2)


@dataclass(slots=True)
class Derivation:
    """What was derived: markets and days that were owed, rows written, seconds."""

    markets: int = 0
    days: int = 0
    daily_rows: int = 0
    average_rows: int = 0
    seconds: float = 0.0


def derive(database: Database, *, now: datetime) -> Derivation:
    """Work off everything that is owed at the start. `now` is naive UTC."""
    started = time.monotonic()
    done = Derivation()
    with database.open() as connection:
        _owe_ended_days(connection, now)
        owed = connection.execute(
            """SELECT market_id, min(day), max(day), count(*) FROM dirty_days
            GROUP BY market_id ORDER BY market_id"""
        ).fetchall()
    for chunk in _chunks(owed):
        with database.open() as connection, transaction(connection):
            _derive_chunk(connection, chunk, now, done)
    done.markets = len(owed)
    done.days = sum(days for *_, days in owed)
    done.seconds = time.monotonic() - started
    with database.open() as connection, transaction(connection):
        _prune_hourly(connection, now)
        connection.execute(
            "INSERT INTO derivations VALUES (?, ?, ?, ?)",
            [now, done.markets, done.days, done.seconds],
        )
    return done


def _chunks(owed: Sequence[tuple[int, datetime, datetime, int]]) -> Iterator[list[int]]:
    """Markets in groups whose settlements fit in memory, at the worst one an hour."""
    chunk: list[int] = []
    hours = 0
    for market_id, first, last, _ in owed:
        span = int((last - first + _BEFORE + _AFTER).total_seconds() // 3600)
        if chunk and hours + span > CHUNK_MARKET_HOURS:
            yield chunk
            chunk, hours = [], 0
        chunk.append(market_id)
        hours += span
    if chunk:
        yield chunk


def _derive_chunk(
    connection: duckdb.DuckDBPyConnection, markets: list[int], now: datetime, done: Derivation
) -> None:
    dirty = connection.execute(
        """SELECT DISTINCT market_id, day FROM dirty_days
        WHERE market_id IN (SELECT unnest(CAST(? AS INTEGER[])))""",
        [markets],
    )
    dirty_frame = pl.DataFrame(
        dirty.fetchall(), schema={"market_id": pl.Int32, "day": pl.Date}, orient="row"
    )
    days = days_to_refresh(dirty_frame)
    points = points_to_refresh(dirty_frame, now=now)
    settlements = _settlements(connection, markets, dirty_frame)
    lives = _lives(connection, markets)
    daily = daily_stats(settlements, lives, now=now).join(days, on=["market_id", "day"], how="semi")
    averages = moving_averages(settlements, lives, _settled(connection, points))
    with (
        visible(connection, "dirty", dirty_frame),
        visible(connection, "days", days),
        visible(connection, "points", points),
        visible(connection, "daily", daily),
        visible(connection, "averages", averages),
    ):
        _replace(connection, "daily_stats", "day", "days", "daily")
        _replace(connection, "moving_averages", "as_of", "points", "averages")
        _replace_latest(connection, markets)
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
            """SELECT p.* FROM points p JOIN markets m USING (market_id)
            WHERE p.as_of <= m.last_settlement"""
        ).pl()
    return frame


def _owe_ended_days(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """A day that was derived before it ended counted its live hours only up to then."""
    connection.execute(
        """INSERT INTO dirty_days
        SELECT market_id, day, $now FROM base.daily_stats
        WHERE day < CAST($now AS DATE)
          AND day >= (SELECT CAST(max(ended) AS DATE) FROM derivations)
        EXCEPT SELECT market_id, day, $now FROM dirty_days""",
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
        FROM settlements s JOIN markets m USING (market_id)
        WHERE s.{chosen} AND s.funding_time = m.last_settlement AND s.funding_time >=
            (SELECT min(last_settlement) FROM markets WHERE {chosen})""",
        [markets, markets],
    )


def _settlements(
    connection: duckdb.DuckDBPyConnection, markets: list[int], dirty: pl.DataFrame
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
            "before": _BEFORE + timedelta(days=1),
            "after": timedelta(days=max(WINDOWS_HOURS.values()) // 24) + _AFTER,
        },
    ).pl()
    return frame


def _lives(connection: duckdb.DuckDBPyConnection, markets: list[int]) -> pl.DataFrame:
    """When each market lived. Without a listing date, a market is taken to begin with its first
    settlement only where more than a day before it was asked and answered empty; else its
    beginning is unknown (null) and every earlier hour counts as live.
    """
    frame: pl.DataFrame = connection.sql(
        """SELECT m.market_id,
            coalesce(m.listed_at, CASE WHEN w.asked_from + INTERVAL 25 HOUR <= m.first_settlement
                THEN m.first_settlement - to_hours(CAST(coalesce(m.interval_hours, 1) AS INTEGER))
            END) AS live_from,
            m.delisted_at AS live_to
        FROM markets m LEFT JOIN (
            SELECT m.market_id, min(c.from_time) AS asked_from
            FROM markets m JOIN collected_windows c USING (exchange, market)
            WHERE m.first_settlement BETWEEN c.from_time AND c.to_time GROUP BY m.market_id
        ) w USING (market_id)
        WHERE m.market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))""",
        params={"markets": markets},
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
