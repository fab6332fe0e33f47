"""The registry of markets: what was listed when, which interval was seen over which span."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.domain.intervals import Observation
from funding_pipeline.domain.records import Market
from funding_pipeline.warehouse import markets as module
from funding_pipeline.warehouse.database import milliseconds
from funding_pipeline.warehouse.markets import known_markets, observations
from funding_pipeline_tests.warehouse.world import listed, memory, register, rows

T0 = datetime(2025, 3, 1)


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


@st.composite
def lists(draw: st.DrawFn) -> list[Market]:
    """What an exchange may list in an hour of three markets, each often as in the hour before."""
    found = []
    for name in draw(st.sampled_from([("AAA", "BBB", "CCC"), ("AAA", "BBB"), ("BBB",)])):
        found += listed(
            name,
            interval_hours=draw(st.sampled_from([8, 8, 8, 4, None])),
            live=draw(st.sampled_from([True, True, True, False])),
            rate_cap=draw(st.sampled_from([0.01, 0.01, 0.02, None])),
            rate_floor=draw(st.sampled_from([None, None, -0.01])),
            listed_at_ms=draw(st.sampled_from([None, None, 1_700_000_000_000])),
            asset_class=draw(st.sampled_from([None, None, "equity"])),
        )
    return found


@settings(max_examples=12, deadline=None)
@given(hours=st.lists(lists(), min_size=1, max_size=3))
def test_a_list_that_says_what_is_known_changes_nothing_else(hours: list[list[Market]]) -> None:
    """Each list twice: once through all statements, once through the quick look alone."""

    class Watched:
        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self.connection, self.asked = connection, list[str]()

        def __getattr__(self, name: str) -> object:
            return getattr(self.connection, name)

        def execute(self, sql: str, *args: object) -> duckdb.DuckDBPyConnection:
            self.asked.append(sql)
            return self.connection.execute(sql, *args)

    tables = ("base.markets", "market_intervals", "events", "symbol_registry")
    found = []
    for quick in (True, False):
        with memory() as database, pytest.MonkeyPatch.context() as patched:
            if not quick:
                patched.setattr(module, "_AS_KNOWN", "SELECT false WHERE $exchange <> ''")
            for n, markets in enumerate(hours):
                for again in (0, 1):
                    watched = Watched(database)
                    register(watched, markets, hour(2 * n + again))  # type: ignore[arg-type]
                    seen = module._SEEN in watched.asked
                    assert seen or not (quick and again), "the second time it is known"
            found.append([rows(database, f"FROM {table} ORDER BY ALL") for table in tables])
    assert found[0] == found[1]
