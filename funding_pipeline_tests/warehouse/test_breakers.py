"""The breakers that all processes share: one try for one of them, a person's word, the events."""

import subprocess
import sys
from datetime import datetime, timedelta

import duckdb
import pytest

from funding_pipeline.warehouse.breakers import (
    Permit,
    left_alone,
    not_closed,
    note_failure,
    note_success,
    permits,
)
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.warehouse.world import memory, rows

T0 = datetime(2026, 3, 1, 12, 3)
MINUTE = timedelta(minutes=1)
HALF = T0 + 15 * MINUTE


def fail(
    connection: duckdb.DuckDBPyConnection, times: int, *, now: datetime = T0, tried: bool = False
) -> None:
    for _ in range(times):
        note_failure(connection, "bybit", "bybit markets: no", now, tried=tried, load_id=7)


def permit(connection: duckdb.DuckDBPyConnection, now: datetime, *, insist: bool = False) -> Permit:
    return permits(connection, ["bybit", "okx"], now, insist=insist)["bybit"]


def test_only_the_exchange_that_fails_is_refused_and_it_says_why() -> None:
    with memory() as connection:
        fail(connection, 2)
        assert permit(connection, T0) == Permit()
        fail(connection, 1)
        assert permits(connection, ["bybit", "okx"], T0 + MINUTE, insist=False) == {
            "bybit": Permit(
                refused="breaker open until 2026-03-01 12:18 UTC after 3 failures, "
                "the last one bybit markets: no"
            ),
            "okx": Permit(),
        }
        assert left_alone(connection, T0 + MINUTE).keys() == {"bybit"}
        assert left_alone(connection, HALF) == {}, "somebody may try"
        assert not_closed(connection).keys() == {"bybit"}


def test_the_try_goes_to_the_first_who_asks() -> None:
    with memory() as connection:
        fail(connection, 3)
        assert permit(connection, HALF) == Permit(trying=True)
        assert permit(connection, HALF).refused


def test_a_person_tries_at_once() -> None:
    with memory() as connection:
        fail(connection, 3)
        assert permit(connection, T0 + MINUTE, insist=True) == Permit(trying=True)


def test_success_forgets_everything_and_both_ends_are_events() -> None:
    with memory() as connection:
        fail(connection, 2)
        note_success(connection, "bybit", T0, 8)
        assert rows(connection, "FROM breakers") == rows(connection, "FROM events") == []
        fail(connection, 3)
        fail(connection, 1, now=HALF, tried=True)
        note_success(connection, "bybit", HALF + 40 * MINUTE, 9)
        note_success(connection, "bybit", HALF + 50 * MINUTE, 10)
        assert rows(connection, "FROM breakers") == []
        assert rows(connection, "SELECT kind, market, load_id FROM events") == [
            ("breaker opened", None, 7),
            ("breaker closed", None, 9),
        ]
        assert rows(connection, "SELECT detail FROM events WHERE load_id = 9") == [
            ("open since 2026-03-01 12:03 UTC",)
        ]


@pytest.mark.slow
def test_of_many_processes_one_gets_the_try(database: Database) -> None:
    with database.open() as connection:
        fail(connection, 3)
    code = f"""
from datetime import datetime
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.breakers import permits
from funding_pipeline.warehouse.database import Database
with Database(Settings(data_dir={str(database.path.parent)!r})).open() as connection:
    print(permits(connection, ["bybit"], {HALF!r}, insist=False)["bybit"].trying)
""".replace("datetime.datetime(", "datetime(")
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=120)[0].strip() for process in started]
    assert sorted(answers) == ["False", "False", "False", "True"]
