"""collected_windows: touching spans grow together, and say exactly what was asked."""

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.windows import collected, record_windows
from funding_pipeline_tests.warehouse.world import at, memory, rows


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        yield connection


def record(connection: duckdb.DuckDBPyConnection, *spans: tuple[str, int, int, int]) -> None:
    answered = [(m, Window(at(a), at(b)), n) for m, a, b, n in spans]
    record_windows(connection, "madeup", answered, 1)


def test_touching_and_overlapping_spans_become_one_and_a_gap_stays(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    record(connection, ("AAA", 0, 8, 1), ("AAA", 24, 32, 1))
    record(connection, ("AAA", 8, 16, 1), ("BBB", 0, 8, 1))
    assert collected(connection, "madeup") == {
        "AAA": [Window(at(0), at(16)), Window(at(24), at(32))],
        "BBB": [Window(at(0), at(8))],
    }
    record(connection, ("AAA", 12, 30, 2))
    assert collected(connection, "madeup")["AAA"] == [Window(at(0), at(32))]
    assert rows(connection, "SELECT sum(rows) FROM collected_windows WHERE market = 'AAA'") == [
        (5,)
    ]


def test_exchanges_do_not_share_windows(connection: duckdb.DuckDBPyConnection) -> None:
    record(connection, ("AAA", 0, 8, 1))
    record_windows(connection, "other", [("AAA", Window(at(8), at(16)), 1)], 2)
    assert collected(connection, "madeup") == {"AAA": [Window(at(0), at(8))]}
    assert collected(connection, "other") == {"AAA": [Window(at(8), at(16))]}


def test_an_empty_span_is_nothing_collected(connection: duckdb.DuckDBPyConnection) -> None:
    record(connection, ("AAA", 8, 8, 0))
    assert collected(connection, "madeup") == {}


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["AAA", "BBB"]), st.integers(0, 30), st.integers(0, 30)),
            max_size=4,
        ),
        max_size=5,
    )
)
def test_the_table_says_exactly_which_hours_were_asked(
    batches: list[list[tuple[str, int, int]]],
) -> None:
    asked: dict[str, set[int]] = {"AAA": set(), "BBB": set()}
    with memory() as connection:
        for batch in batches:
            record(connection, *((m, a, b, 0) for m, a, b in batch))
            for market, start, end in batch:
                asked[market] |= set(range(start, end))
        spans = collected(connection, "madeup")
    for market, hours in asked.items():
        said: list[int] = []
        for span in spans.get(market, []):
            said += range((span.start_ms - at(0)) // 3_600_000, (span.end_ms - at(0)) // 3_600_000)
        assert sorted(said) == sorted(hours)
        edges = [
            edge for span in sorted(spans.get(market, [])) for edge in (span.start_ms, span.end_ms)
        ]
        assert edges == sorted(set(edges)), "no two spans touch"
