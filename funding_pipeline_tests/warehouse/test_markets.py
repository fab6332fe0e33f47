"""The registry of markets: what was listed when, which interval was seen over which span."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import msgspec
import pytest

from funding_pipeline.domain.intervals import Observation
from funding_pipeline.domain.records import Market
from funding_pipeline.warehouse import markets as module
from funding_pipeline.warehouse.database import milliseconds
from funding_pipeline.warehouse.markets import known_markets, observations
from funding_pipeline_tests.warehouse.world import listed, memory, register, rows

T0 = datetime(2025, 3, 1)
TABLES = ("base.markets", "market_intervals", "events", "symbol_registry")


def hour(n: int) -> datetime:
    return T0 + timedelta(hours=n)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        yield connection


def test_a_market_keeps_its_number_and_its_first_sight(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register(connection, listed("BBB", "AAA"), hour(0))
    before = known_markets(connection, "madeup")
    register(connection, listed("CCC", "AAA", "BBB"), hour(1))
    assert rows(connection, "SELECT market, first_seen, last_seen FROM markets ORDER BY 1") == [
        ("AAA", hour(0), hour(1)),
        ("BBB", hour(0), hour(1)),
        ("CCC", hour(1), hour(1)),
    ]
    after = known_markets(connection, "madeup")
    assert {m: after[m].market_id for m in before} == {m: before[m].market_id for m in before}
    assert len({known.market_id for known in after.values()}) == 3
    assert rows(connection, "SELECT happened, kind, market FROM events") == [
        (hour(1), "listed", "CCC")
    ], "the first list is no news"


def test_observed_intervals_span_only_what_was_seen(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register(connection, listed("AAA", interval_hours=8), hour(0))
    register(connection, listed("AAA", interval_hours=8), hour(5))
    register(connection, listed("AAA", interval_hours=4), hour(9))
    register(connection, listed("AAA", interval_hours=4), hour(12))
    known = known_markets(connection, "madeup")["AAA"]
    assert known.interval_hours == 4
    assert observations(connection, "madeup")[known.market_id] == [
        Observation(milliseconds(hour(0)), milliseconds(hour(5)), 8),
        Observation(milliseconds(hour(9)), milliseconds(hour(12)), 4),
    ], "nothing is claimed for the hours in which it changed"
    assert rows(connection, "SELECT kind, market, detail FROM events") == [
        ("interval changed", "AAA", "8 h -> 4 h")
    ]


def test_delisting_leaving_and_coming_back_are_events(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register(connection, listed("AAA", "BBB"), hour(0))
    register(connection, [*listed("AAA", live=False)], hour(1))
    status = "SELECT market, status, delisted_at FROM markets ORDER BY market"
    assert rows(connection, status) == [
        ("AAA", "delisted", hour(1)),
        ("BBB", "unlisted", hour(1)),
    ]
    register(connection, [*listed("AAA", live=False)], hour(2))
    assert rows(connection, status) == [
        ("AAA", "delisted", hour(1)),
        ("BBB", "unlisted", hour(1)),
    ], "the time of leaving does not move"
    register(connection, listed("AAA", "BBB"), hour(3))
    assert rows(connection, status) == [("AAA", "live", None), ("BBB", "live", None)]
    assert rows(connection, "SELECT happened, kind, market FROM events ORDER BY 1, 3") == [
        (hour(1), "delisted", "AAA"),
        (hour(1), "unlisted", "BBB"),
        (hour(3), "relisted", "AAA"),
        (hour(3), "relisted", "BBB"),
    ]


def test_a_market_that_left_the_list_is_still_known_but_not_live(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register(connection, listed("AAA", "BBB"), hour(0))
    register(connection, listed("BBB"), hour(1))
    known = known_markets(connection, "madeup")
    assert (known["AAA"].live, known["BBB"].live) == (False, True)


def test_a_changed_symbol_or_cap_is_taken_over(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, listed("AAA"), hour(0))
    register(connection, listed("AAA", rate_cap=0.02, listed_at_ms=1_740_000_000_000), hour(1))
    register(connection, listed("AAA", rate_cap=0.03), hour(2))
    assert rows(connection, "SELECT rate_cap, epoch_ms(listed_at) FROM markets") == [
        (0.03, 1_740_000_000_000)
    ], "a listing date once told is kept"


def test_a_list_that_names_a_market_twice_makes_one_market(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """A list that shifts between two pages repeats a row."""
    register(connection, listed("AAA", "BBB", "AAA"), hour(0))
    register(connection, listed("AAA", "BBB", "BBB"), hour(1))
    assert rows(connection, "SELECT market FROM markets ORDER BY 1") == [("AAA",), ("BBB",)]
    assert rows(connection, "SELECT count(*) FROM market_intervals") == [(2,)]


def two(**second: Any) -> list[Market]:
    """A market, and another one with these attributes."""
    return listed("AAA", interval_hours=8) + listed("BBB", **{"interval_hours": 8} | second)


GONE = listed("AAA", interval_hours=8)
OFF = two(live=False)
# What an exchange lists in hours that follow each other: one thing changes, and changes back.
SEQUENCES = {
    "interval": [two(), two(interval_hours=4), two()],
    "no interval": [two(), two(interval_hours=None), two()],
    "cap": [two(rate_cap=0.01), two(rate_cap=0.02), two()],
    "floor": [two(), two(rate_floor=-0.01), two()],
    "listing date": [two(), two(listed_at_ms=1_700_000_000_000), two(listed_at_ms=1)],
    "class": [two(), two(asset_class="equity")],  # that it is not told any more is no change
    "delisted": [two(), OFF, two()],
    "gone": [two(), GONE, two()],
    "gone when delisted": [OFF, GONE, OFF],
    "new": [GONE, two()],
    "another symbol": [GONE, [msgspec.structs.replace(GONE[0], symbol="ZZZ")], GONE],
}


class Watched:
    """A connection that remembers what it was asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> duckdb.DuckDBPyConnection:
        self.asked.append(sql)
        return self._connection.execute(sql, *parameters)


@pytest.mark.parametrize("hours", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_a_list_that_says_what_is_known_changes_nothing_else(
    hours: list[list[Market]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each list twice, with the quick look and without."""
    found = []
    for quick in (True, False):
        if not quick:
            monkeypatch.setattr(module, "_AS_KNOWN", "SELECT $exchange IS NULL")
        with memory() as database:
            for n, markets in enumerate(hours):
                for again in (False, True):
                    watched = Watched(database)
                    register(watched, markets, hour(2 * n + again))  # type: ignore[arg-type]
                    assert (module._SEEN in watched.asked) == (quick and again)
            found.append([rows(database, f"FROM {table} ORDER BY ALL") for table in TABLES])
    assert found[0] == found[1]
