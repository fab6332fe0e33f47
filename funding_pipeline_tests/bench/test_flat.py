"""An hour costs the same whatever the length of history: statements, rows and bytes."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.warehouse.world import at, collect, listed, register, series, time_of

MARKETS = ("AAA", "BBB", "CCC")
EVERY_HOUR, EVERY_EIGHT = ("AAA", "BBB"), ("CCC",)
# Longer than the longest window, which is 90 days, and ending at 00:00 or 16:00, when all settle.
SHORT, LONG = 100 * 24 + 16, 300 * 24 + 16


@dataclass(frozen=True, slots=True)
class Hour:
    """What an hour's tick, derivation and publication did."""

    statements: int
    rows: dict[str, int]
    bytes: int


class Counting:
    """A connection that counts what it is asked."""

    statements = 0

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        Counting.statements += name in ("execute", "sql", "executemany")
        return getattr(self._connection, name)


def hour_after(folder: Path, hours: int, monkeypatch: pytest.MonkeyPatch) -> Hour:
    """The hour after `hours` of history, all of which is derived and published."""
    database = Database(Settings(data_dir=folder))
    history = {
        **{market: series(range(1, hours + 1), market) for market in EVERY_HOUR},
        **{market: series(range(8, hours + 1, 8), market) for market in EVERY_EIGHT},
    }

    def tick(last: int) -> dict[str, int]:
        now = time_of(last) + timedelta(minutes=3)
        with database.open() as connection:
            markets = [*listed(*EVERY_HOUR, interval_hours=1), *listed(*EVERY_EIGHT)]
            register(connection, markets, now)
            collect(connection, history, Window(at(0), at(last) + 1), now=now, load_id=last)
        done = derive(database, now=now)
        assert not done.broken
        return {
            "daily": done.daily_rows,
            "averages": done.average_rows,
            "signals": done.signal_rows,
            **done.statistics,
        }

    # The last two are hourly ticks already: the first of a day makes the day's tables.
    for last in (hours - 2, hours - 1):
        tick(last)
    for _ in range(3):
        publish(database)
    with monkeypatch.context() as patched:
        connect = Database._connect
        patched.setattr(Database, "_connect", lambda self: Counting(connect(self)))
        Counting.statements = 0
        rows = tick(hours)
        statements = Counting.statements
    return Hour(statements, rows, publish(database).written_bytes)


@pytest.mark.slow
def test_three_times_the_history_costs_an_hour_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = hour_after(tmp_path / "short", SHORT, monkeypatch)
    long = hour_after(tmp_path / "long", LONG, monkeypatch)
    assert long.statements == short.statements
    assert long.rows == short.rows
    assert long.bytes <= 1.2 * short.bytes
    # By hand: five windows for the newest settlement before and all points since: two points for
    # each hourly market, nine for the one of eight hours.
    assert long.rows["averages"] == 5 * (2 + 2 + 9)
