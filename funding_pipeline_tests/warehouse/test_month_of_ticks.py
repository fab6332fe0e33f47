"""A month of updates leaves every derived table as a rebuild from nothing makes it.

Most steps are of many hours, by a seed, and the last twelve of one: an update of all tables takes
about a second. Intervals change, settlements are missing, late, and wrong at first; markets come
and go.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline_tests.warehouse.world import at, collect, listed, sent, spec, time_of

pytestmark = pytest.mark.slow

# What identifies a row first, so that differences read well; gaps without when they were seen.
TABLES = {
    "base.daily_stats": "*",
    "base.moving_averages": "*",
    "base.latest_rates": "*",
    "base.market_signals": "*",
    "base.stability": "*",
    "base.seasonality": "*",
    "base.asset_averages": "*",
    "base.spreads": "*",
    "base.spread_exclusions": "*",
    "base.spread_legs": "*",
    "base.opportunities": "*",
    "base.rate_correlations": "*",
    "base.asset_correlations": "*",
    "base.neighbours": "*",
    "base.rate_caps": "* EXCLUDE (since)",
    "funding_rates": "* EXCLUDE (load_id, collected_at)",
    "apr": "*",
    "carry_windows": "*",
    # A view whose squares are summed as doubles, in any order.
    "forecast_errors": "* EXCLUDE (root_mean_square_error)",
    "coverage_by_day": "*",
}
ONE = spec("row")
OTHER = replace(ONE, name="other")
FIRST = 12 * 24  # what was there before the ticks
DAYS = 31
LAST = FIRST + DAYS * 24 + 1  # the last tick is the one after the day's tables were made


class History:
    """Two exchanges as they answer at any time: late rows are missing, wrong ones still wrong."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        changing = [(h, 8) for h in range(0, 481, 8)] + [(h, 4) for h in range(484, 721, 4)]
        changing += [(h, 8) for h in range(723, 1100, 8)]  # after an odd step
        broken = [h for h in range(1100) if not 400 < h < 430 and h not in (350, 352, 800)]
        self.rows = {
            ONE.name: [
                *self.series("AAA", changing),
                *self.series("BBB", [(h, 1) for h in broken]),
                *self.series("CCC", [(h, 8) for h in range(600, 1100, 8)]),
            ],
            OTHER.name: [
                *self.series("AAA", [(h, 1) for h in range(1100)]),
                *self.series("BBB", [(h, 4) for h in range(0, 1100, 4)]),
                *self.series("CCC", [(h, 8) for h in range(0, 900, 8)]),
            ],
        }
        every = [(name, row) for name, rows in self.rows.items() for row in rows]
        # By exchange, market and stamp: from when on it is there, or right.
        self.late = self.chosen(every, 12)
        self.wrong = self.chosen(every, 12)

    def series(self, market: str, hours: Iterable[tuple[int, int]]) -> list[RawSettlement]:
        """A rate that wanders, now and then far enough for an opportunity."""
        rate, found = 0.0, []
        for hour, interval in hours:
            rate = 0.9 * rate + self.random.gauss(0, 2e-4)
            found.append(sent(hour, f"{rate:.8f}", market=market, interval_hours=interval))
        return found

    def chosen(
        self, every: list[tuple[str, RawSettlement]], number: int
    ) -> dict[tuple[str, str, int], int]:
        rows = [(n, r) for n, r in every if at(FIRST) < r.time_ms < at(LAST - 60)]
        return {
            (name, row.market, row.time_ms): row.time_ms + self.random.randint(2, 40) * 3_600_000
            for name, row in self.random.sample(rows, number)
        }

    def answered(self, name: str, now_ms: int) -> dict[str, list[RawSettlement]]:
        found: dict[str, list[RawSettlement]] = {}
        for row in self.rows[name]:
            key = (name, row.market, row.time_ms)
            if self.late.get(key, 0) > now_ms:
                continue
            is_wrong = self.wrong.get(key, 0) > now_ms
            told = msgspec.structs.replace(row, rate_text="0.00123") if is_wrong else row
            found.setdefault(row.market, []).append(told)
        return found


def markets(name: str, hour: int) -> list[Market]:
    young = listed("CCC", listed_at_ms=at(592)) if name == ONE.name and hour >= 600 else []
    old = listed("CCC", listed_at_ms=at(-8)) if name == OTHER.name and hour < 900 else []
    return [*listed("AAA", "BBB", listed_at_ms=at(-8)), *young, *old]


def clock(hour: int) -> datetime:
    return timestamp(at(hour)) + timedelta(minutes=40)


def see_lists(database: Database, hour: int) -> None:
    """No settlement tells when a market was seen to be gone."""
    with database.open() as connection:
        for exchange in (ONE, OTHER):
            record_markets(connection, exchange.name, markets(exchange.name, hour), clock(hour))


def tick(database: Database, history: History, first: int, hour: int) -> None:
    """Collect what was answered for (first, hour], then derive."""
    now = clock(hour)
    with database.open() as connection:
        for exchange in (ONE, OTHER):
            answers = history.answered(exchange.name, at(hour) + 40 * 60_000)
            window = Window(at(first), at(hour) + 1)
            collect(
                connection,
                answers,
                window,
                declaration=exchange,
                refetch=True,
                load_id=hour,
                now=now,
            )
        connection.execute(
            """INSERT INTO base.predicted_rates BY NAME
            SELECT m.market_id, s.seen AS observed_at, s.hour * 1e-6 AS rate, '' AS raw_rate,
                8 AS interval_hours, 100 + m.market_id * 0.1 AS mark_price,
                1e6 + m.market_id * s.hour AS open_interest_usd, 1e6 AS volume_24h_usd
            FROM markets m, (SELECT unnest(range($1, $2)) AS hour,
                $3 + to_hours(CAST(hour AS INTEGER)) + INTERVAL 56 MINUTE AS seen) s
            WHERE m.market <> 'CCC' ORDER BY seen, m.market_id""",
            [max(first, _sampled(connection)), hour, time_of(0)],
        )
    derive(database, now=now)


def _sampled(connection: Any) -> int:
    newest = connection.execute("SELECT max(observed_at) FROM base.predicted_rates").fetchall()
    return (
        0 if newest[0][0] is None else int((newest[0][0] - time_of(0)).total_seconds() // 3600) + 1
    )


def hours() -> Iterator[int]:
    """When it is collected and derived: once a day on average, hourly at the end."""
    choose = random.Random(3)
    hour = FIRST
    while hour < LAST:
        hour += (
            choose.randint(6, 40)
            if hour < LAST - 51
            else 1
            if hour >= LAST - 12
            else LAST - 12 - hour
        )
        yield hour


def tables(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.open() as connection:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()
            for table, columns in TABLES.items()
        }


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two empty databases that were derived at the same hour: the log of opportunities begins
    thirty days before that.
    """
    both = tuple(Database(Settings(data_dir=tmp_path / name)) for name in ("ticks", "rebuilt"))
    for database in both:
        see_lists(database, 0)
        derive(database, now=clock(FIRST))
    yield both[0], both[1]


def test_a_month_of_updates_is_a_rebuild(databases: tuple[Database, Database]) -> None:
    ticking, rebuilt = databases
    history = History()
    tick(ticking, history, -8, FIRST)
    before = FIRST
    for hour in hours():
        for database in databases:
            see_lists(database, hour)
        tick(ticking, history, before - 96, hour)
        before = hour
    tick(rebuilt, history, -8, LAST)
    updated, anew = tables(ticking), tables(rebuilt)
    assert [name for name, rows in anew.items() if not rows] == ["base.rate_caps"]
    for name in TABLES:
        missing = sorted(set(anew[name]) - set(updated[name]), key=str)[:3]
        other = sorted(set(updated[name]) - set(anew[name]), key=str)[:3]
        assert updated[name] == anew[name], (name, missing, other)
