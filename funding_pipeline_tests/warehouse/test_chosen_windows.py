"""Other windows: everything is owed anew, once, and survives a derivation that is killed."""

from collections.abc import Iterator

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.domain.windows import DEFAULT_WINDOWS
from funding_pipeline.warehouse.chosen_windows import owe_chosen_windows
from funding_pipeline_tests.warehouse.world import (
    LATER,
    at,
    collect,
    listed,
    memory,
    register,
    rows,
    series,
    time_of,
)

POINT = """INSERT INTO base.moving_averages
    VALUES (1, '24h', TIMESTAMP '2025-03-02', 0.0001, 0.876, 24, 1, 3)"""


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Three days of an 8 h market, one day of which is still owed."""
    with memory() as connection:
        register(connection, listed("AAA"), time_of(0))
        collect(connection, {"AAA": series(range(0, 72, 8))}, Window(at(0), at(72)))
        connection.execute("DELETE FROM dirty_days WHERE day <> DATE '2025-03-01'")
        connection.execute(POINT)
        yield connection


def days(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [f"{day:%m-%d}" for (day,) in rows(connection, "SELECT day FROM dirty_days ORDER BY 1")]


def test_the_same_windows_owe_nothing(database: duckdb.DuckDBPyConnection) -> None:
    assert not owe_chosen_windows(database, reversed(DEFAULT_WINDOWS), LATER)
    assert days(database) == ["03-01"]
    assert len(rows(database, "FROM base.moving_averages")) == 1


@pytest.mark.parametrize("windows", [["24h"], [*DEFAULT_WINDOWS, "90d"], ["8h", "36h"]])
def test_other_windows_owe_every_day_once(
    database: duckdb.DuckDBPyConnection, windows: list[str]
) -> None:
    assert owe_chosen_windows(database, windows, LATER)
    assert days(database) == ["02-28", "03-01", "03-02", "03-03"]
    assert rows(database, "FROM base.moving_averages") == []
    assert not owe_chosen_windows(database, windows, LATER), "it is noted"
    assert owe_chosen_windows(database, DEFAULT_WINDOWS, LATER), "and back again"
    assert len(days(database)) == 4


def test_what_was_owed_in_part_is_owed_whole(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("UPDATE dirty_days SET settled_until = ?", [time_of(8)])
    assert owe_chosen_windows(database, ["24h"], LATER)
    whole = rows(database, "SELECT day FROM dirty_days WHERE settled_until IS NULL ORDER BY 1")
    assert [f"{day:%m-%d}" for (day,) in whole] == ["02-28", "03-01", "03-02", "03-03"]
