"""The table as it stood at a past time, worked out by hand over several revisions."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.warehouse.world import at, collect, listed, register, sent, time_of

MONDAY, TUESDAY, WEDNESDAY, FRIDAY = (time_of(24 * n) for n in (10, 11, 12, 14))
BEFORE = MONDAY - timedelta(milliseconds=1)


@pytest.fixture
def revised(database: Database) -> Database:
    """Hour 0: 1, then 2 on Tuesday, 3 on Wednesday. Hour 8: 5, never revised. Hour 16: 7, first
    seen on Wednesday, then 8 on Friday. In units of 0.0001.
    """
    loads: list[tuple[datetime, dict[int, str]]] = [
        (MONDAY, {0: "0.0001", 8: "0.0005"}),
        (TUESDAY, {0: "0.0002", 8: "0.0005"}),
        (WEDNESDAY, {0: "0.0003", 8: "0.0005", 16: "0.0007"}),
        (FRIDAY, {0: "0.0003", 8: "0.0005", 16: "-0.0008"}),
    ]
    with database.open() as connection:
        register(connection, listed("AAA"), MONDAY)
        for load_id, (when, rates) in enumerate(loads, 1):
            history = {"AAA": [sent(hour, rate) for hour, rate in rates.items()]}
            window = Window(at(0), at(24))
            collect(connection, history, window, refetch=True, load_id=load_id, now=when)
    return database


def known(connection: duckdb.DuckDBPyConnection, when: datetime | str) -> list[tuple[Any, ...]]:
    """Hour, rate in units of 0.0001, and the load that had written it."""
    return connection.execute(
        """SELECT date_diff('hour', TIMESTAMP '2025-03-01', funding_time), round(rate * 10000),
        load_id FROM funding_rates_as_known(?) ORDER BY 1""",
        [when],
    ).fetchall()


@pytest.mark.parametrize(
    ("when", "table"),
    [
        (BEFORE, []),
        (MONDAY, [(0, 1, 1), (8, 5, 1)]),
        (TUESDAY - timedelta(milliseconds=1), [(0, 1, 1), (8, 5, 1)]),
        (TUESDAY, [(0, 2, 2), (8, 5, 1)]),
        (WEDNESDAY - timedelta(hours=1), [(0, 2, 2), (8, 5, 1)]),
        (WEDNESDAY, [(0, 3, 3), (8, 5, 1), (16, 7, 3)]),
        (FRIDAY - timedelta(hours=1), [(0, 3, 3), (8, 5, 1), (16, 7, 3)]),
        (FRIDAY, [(0, 3, 3), (8, 5, 1), (16, -8, 4)]),
        (datetime(2099, 1, 1), [(0, 3, 3), (8, 5, 1), (16, -8, 4)]),
    ],
)
def test_as_known_at(revised: Database, when: datetime, table: list[tuple[int, int, int]]) -> None:
    with revised.open() as connection:
        assert known(connection, when) == table


def test_direction_and_apr_are_those_of_the_time(revised: Database) -> None:
    query = """SELECT direction, apr FROM funding_rates_as_known(?)
        WHERE funding_time = TIMESTAMP '2025-03-01 16:00'"""
    with revised.open() as connection:
        for when, direction, rate in ((WEDNESDAY, "long", 0.0007), (FRIDAY, "short", -0.0008)):
            ((side, apr),) = connection.execute(query, [when]).fetchall()
            assert side == direction
            assert apr == pytest.approx(rate / 8 * 8760, rel=1e-12)


def test_an_interval_that_was_read_differently_later_is_what_it_was(database: Database) -> None:
    """The first row after a change from 4 to 8 h looks late, until another one follows it."""
    rows = [sent(hour) for hour in (0, 4, 8, 16)]
    query = """SELECT interval_hours FROM funding_rates_as_known(?)
        WHERE funding_time = TIMESTAMP '2025-03-01 16:00'"""
    with database.open() as connection:
        register(connection, listed("AAA", interval_hours=None), MONDAY)
        collect(connection, {"AAA": rows}, Window(at(0), at(17)), now=MONDAY)
        more = {"AAA": [*rows, sent(24), sent(32)]}
        collect(connection, more, Window(at(0), at(40)), refetch=True, load_id=2, now=TUESDAY)
        found = [connection.execute(query, [when]).fetchall() for when in (MONDAY, TUESDAY)]
    assert found == [[(4,)], [(8,)]]


def test_now_it_is_the_table_itself(revised: Database) -> None:
    with revised.open() as connection:
        described = connection.execute(
            "DESCRIBE FROM funding_rates_as_known(TIMESTAMP '2025-01-01')"
        ).fetchall()
        columns = ", ".join(row[0] for row in described)
        table = connection.execute(f"SELECT {columns} FROM funding_rates ORDER BY ALL").fetchall()
        as_known = connection.execute(
            f"SELECT {columns} FROM funding_rates_as_known('2099-01-01') ORDER BY ALL"
        ).fetchall()
        whole = {row[0] for row in connection.execute("DESCRIBE funding_rates").fetchall()}
    assert as_known == table
    # A cap is that of now; it says nothing about what was known.
    assert whole - {row[0] for row in described} == {"pinned"}


def test_it_works_on_the_published_copy_whatever_the_time_zone(
    revised: Database, tmp_path: Path
) -> None:
    path = publish(revised).path
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        assert known(connection, TUESDAY) == [(0, 2, 2), (8, 5, 1)]
        assert known(connection, f"{TUESDAY:%Y-%m-%d %H:%M}") == [(0, 2, 2), (8, 5, 1)]
        assert timestamp(at(0)) == time_of(0)
