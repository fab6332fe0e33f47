"""What a load should have brought: told when it did not, silent when it did."""

from collections.abc import Iterator
from datetime import timedelta

import duckdb
import pytest

from funding_pipeline.domain.calendar import due_within
from funding_pipeline.domain.records import Answered, RawSettlement, Slotted, Window
from funding_pipeline.exchanges.paging import Unproven
from funding_pipeline.warehouse.ledger import Reason, end_load, start_load
from funding_pipeline.warehouse.volume import Volume, judge
from funding_pipeline_tests.warehouse.world import (
    HOUR,
    HOURLY,
    at,
    listed,
    memory,
    register,
    rows,
    sent,
    time_of,
)

NAMES = [f"M{n:02}" for n in range(30)]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """30 hourly markets that settled until hour 0, and ten full ticks before it."""
    with memory() as connection:
        register(connection, listed(*NAMES, interval_hours=1), time_of(0))
        connection.execute(
            "UPDATE base.markets SET first_settlement = ?, last_settlement = ?",
            [time_of(-100), time_of(0)],
        )
        for hour in range(-9, 1):
            assert tick(connection, hour) == []
        yield connection


def tick(
    connection: duckdb.DuckDBPyConnection,
    hour: float,
    answering: int = 30,
    *,
    asked: int = 30,
    on_the_list: int = 30,
    reason: Reason = "tick",
    hours: float = 1,
    page: list[RawSettlement] | None = None,
) -> list[str]:
    """A load of the hours up to `hour`, in which so many markets answer one row."""
    volume = Volume()
    window = Window(at(hour - hours) + 1, at(hour) + 1)
    row = Slotted(at(hour), 0.0001, sent(hour))
    volume.take(
        Answered(name, window, [row] if n < answering else [])
        for n, name in enumerate(NAMES[:asked])
    )
    if page is not None:
        volume.page(HOURLY, "M00", page)
    now = time_of(hour) + timedelta(minutes=40)
    load = start_load(connection, "madeup", reason, window, now)
    found = judge(
        connection, HOURLY, volume, load_id=load, reason=reason, listed=on_the_list, now=now
    )
    end_load(
        connection, load, "complete", rows_new=0, rows_changed=0, requests=1, error=None, now=now
    )
    return found


def test_a_full_load_is_silent_and_its_figures_are_kept(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert tick(connection, 1) == []
    assert rows(
        connection, "SELECT markets_listed, rows_answered, rows_expected FROM loads"
    )[-1] == (30, 30, 30)  # fmt: skip
    assert rows(connection, "FROM events WHERE kind = 'volume'") == []


def test_no_rows_though_some_were_due(connection: duckdb.DuckDBPyConnection) -> None:
    (found,) = tick(connection, 1, answering=0)
    assert found.startswith("no rows, though 30 settlements were due")
    assert rows(connection, "SELECT exchange, market, detail, load_id FROM events") == [
        ("madeup", None, found, 11)
    ]


def test_no_rows_where_none_was_due_is_no_finding(connection: duckdb.DuckDBPyConnection) -> None:
    assert tick(connection, 0.5, answering=0, hours=0.4) == []
    assert tick(connection, -200, answering=0, reason="backfill") == []  # before the first ones
    connection.execute("UPDATE base.markets SET status = 'delisted'")
    assert tick(connection, 1, answering=0) == []


def test_a_market_that_never_settled_is_due_after_its_listing(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute("UPDATE base.markets SET first_settlement = NULL, last_settlement = NULL")
    connection.execute("UPDATE base.markets SET listed_at = ?", [time_of(0.5)])
    assert tick(connection, 1, answering=0) == []
    assert tick(connection, 2, answering=0) != []


def test_half_as_many_rows_as_last_week_and_not_a_row_more(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert tick(connection, 1, answering=15) == []
    (found,) = tick(connection, 2, answering=14)
    assert "14 rows of 30 settlements due, where 100% came" in found
    assert tick(connection, 3, answering=14, reason="backfill") == []
    assert tick(connection, 3, answering=9, asked=19) == []  # too few to compare


def test_a_fifth_of_the_listed_markets_less(connection: duckdb.DuckDBPyConnection) -> None:
    assert tick(connection, 1, on_the_list=24) == []
    (found,) = tick(connection, 2, on_the_list=23)
    assert found == "23 markets listed, 30 in the last 7 days: a list cut short"
    # After a week this is how it is.
    assert tick(connection, 24 * 8, on_the_list=10) == []


def test_too_few_loads_tell_nothing() -> None:
    with memory() as connection:
        register(connection, listed(*NAMES, interval_hours=1), time_of(-200))
        for hour in range(1, 6):
            assert tick(connection, hour) == []
        assert tick(connection, 6, on_the_list=5) != []
    with memory() as connection:
        register(connection, listed(*NAMES, interval_hours=1), time_of(-200))
        for hour in range(1, 5):
            tick(connection, hour)
        assert tick(connection, 6, on_the_list=5) == []


def test_only_a_full_last_page_without_proof_is_told(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    full = [sent(hour) for hour in range(HOURLY.page_rows)]
    assert tick(connection, 1, page=full) == []
    assert tick(connection, 2, page=Unproven(full, HOURLY.page_rows - 1)) == []
    (found,) = tick(connection, 3, page=Unproven(full, HOURLY.page_rows))
    assert found.startswith("1 histories end on a full page, e.g. M00")


def test_repairs_and_imports_are_not_judged(connection: duckdb.DuckDBPyConnection) -> None:
    assert tick(connection, 1, answering=0, on_the_list=0, reason="repair") == []
    assert tick(connection, 1, answering=0, on_the_list=0, reason="import") == []


@pytest.mark.parametrize(
    ("window", "hours", "last", "due"),
    [
        ((0, 24), 8, 0, 3),  # 0, 8, 16
        ((1, 25), 8, 0, 3),  # 8, 16, 24
        ((0, 24), 8, 4, 3),  # 4, 12, 20
        ((-24, 0), 8, 4, 3),
        ((5, 12), 8, 4, 0),
        ((5, 12.1), 8, 4, 1),
        ((0, 7), 8, None, 0),
        ((0, 17), 8, None, 2),
        ((5, 3), 1, 0, 0),
    ],
)
def test_settlements_due_within(
    window: tuple[float, float], hours: int, last: int | None, due: int
) -> None:
    span = Window(round(window[0] * HOUR), round(window[1] * HOUR))
    assert due_within(span, hours, None if last is None else last * HOUR) == due
