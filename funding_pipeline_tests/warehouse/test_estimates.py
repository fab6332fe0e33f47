"""Samples of running estimates: what is stored, and which of them become settlements."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import msgspec
import pytest

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Answered, Estimate, Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds
from funding_pipeline.warehouse.estimates import record_estimates, sampled_settlements
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.merge import MergeCounts, merge
from funding_pipeline.warehouse.windows import collected
from funding_pipeline_tests.warehouse.world import (
    DAY,
    HOUR,
    LATER,
    LATER_MS,
    at,
    listed,
    memory,
    rows,
    spec,
    time_of,
)

PLAIN = spec("row")
RECORDED = ExchangeSpec(
    **{f: getattr(PLAIN, f) for f in PLAIN.__slots__}
    | {"kind": "recorded", "rate_unit": RateUnit.ANNUAL_FRACTION, "max_abs_rate": 0.16}
)
ESTIMATE = Estimate(
    market="AAA",
    rate=0.0001,
    raw_rate="0.1095",
    interval_hours=8,
    next_funding_ms=at(8),
    mark_price=100.0,
    index_price=99.0,
    open_interest_usd=1e6,
    volume_24h_usd=2e6,
)
WHOLE = Window(at(0), at(48))
MINUTE = 1 / 60


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        record_markets(connection, "madeup", listed("AAA", "BBB"), time_of(-24))
        yield connection


def sample(
    database: duckdb.DuckDBPyConnection, hours: float, raw: str = "0.1095", **fields: Any
) -> None:
    """An estimate seen at that hour."""
    estimate = msgspec.structs.replace(ESTIMATE, raw_rate=raw, **fields)
    record_estimates(database, "madeup", [estimate], time_of(hours))


def settled(
    database: duckdb.DuckDBPyConnection, window: Window = WHOLE, now_ms: int = LATER_MS
) -> list[tuple[str, float, float, int | None]]:
    """(market, hour, rate, interval) of what the samples settle."""
    return [
        (answer.market, (row.slot_ms - at(0)) / HOUR, row.rate, row.raw.interval_hours)
        for answer in sampled_settlements(database, RECORDED, window, now_ms)
        for row in answer.rows
    ]


def hours(database: duckdb.DuckDBPyConnection, **more: Any) -> list[float]:
    return [hour for _, hour, *_ in settled(database, **more)]


# --- storing


def test_a_sample_is_stored_with_all_that_was_told(database: duckdb.DuckDBPyConnection) -> None:
    assert record_estimates(database, "madeup", [ESTIMATE], time_of(7.9)) == 1
    found = rows(
        database,
        """SELECT market, observed_at, rate, raw_rate, interval_hours, next_funding_time,
        mark_price, index_price, open_interest_usd, volume_24h_usd, rate_hourly, apr
        FROM predicted_rates""",
    )
    assert found == [
        (
            *("AAA", time_of(7.9), 0.0001, "0.1095", 8, time_of(8), 100.0, 99.0, 1e6, 2e6),
            pytest.approx(0.0000125),
            pytest.approx(0.1095),
        )
    ]


def test_what_was_not_told_is_null(database: duckdb.DuckDBPyConnection) -> None:
    bare = Estimate(market="AAA", rate=0.0, raw_rate="0", interval_hours=1)
    record_estimates(database, "madeup", [bare], time_of(1))
    sql = "SELECT mark_price, next_funding_time, open_interest_usd FROM predicted_rates"
    assert rows(database, sql) == [(None, None, None)]


def test_unknown_markets_are_left_out_and_counted_out(
    database: duckdb.DuckDBPyConnection,
) -> None:
    stranger = msgspec.structs.replace(ESTIMATE, market="ZZZ")
    assert record_estimates(database, "madeup", [ESTIMATE, stranger], time_of(1)) == 1
    record_markets(database, "another", listed("AAA"), LATER)
    assert record_estimates(database, "another", [stranger], time_of(1)) == 0
    assert record_estimates(database, "madeup", [], time_of(1)) == 0
    found = rows(database, "SELECT exchange, market FROM predicted_rates")
    assert found == [("madeup", "AAA")], "a market of the same name elsewhere gets none"


# --- which sample counts


def test_the_last_sample_before_the_boundary_counts(database: duckdb.DuckDBPyConnection) -> None:
    for minutes, raw in ((9, "0.1"), (1, "0.876"), (4, "0.3")):
        sample(database, 8 - minutes * MINUTE, raw)
    assert settled(database) == [("AAA", 8.0, 0.0008, 8)]


@pytest.mark.parametrize(
    ("minutes", "counts"),
    [(0, True), (1, True), (10, True), (10.01, False), (60, False), (-0.01, False), (-1, False)],
)
def test_ten_minutes_before_the_boundary_count_and_nothing_after_it(
    database: duckdb.DuckDBPyConnection, minutes: float, counts: bool
) -> None:
    sample(database, 8 - minutes * MINUTE)
    assert hours(database) == ([8.0] if counts else [])


@pytest.mark.parametrize(
    ("interval", "boundaries"),
    [(1, [1, 2, 3, 4, 5, 6, 7, 8, 9]), (2, [2, 4, 6, 8]), (4, [4, 8]), (8, [8])],
)
def test_boundaries_lie_on_the_utc_grid_of_the_interval(
    database: duckdb.DuckDBPyConnection, interval: int, boundaries: list[int]
) -> None:
    for hour in range(1, 10):
        sample(database, hour - 4 * MINUTE, interval_hours=interval)
    assert hours(database) == boundaries


def test_the_rate_is_that_of_the_interval_it_was_sampled_with(
    database: duckdb.DuckDBPyConnection,
) -> None:
    """The interval changed from 8 to 4 hours; the annual figure stayed."""
    sample(database, 8 - 4 * MINUTE, interval_hours=8)
    sample(database, 12 - 4 * MINUTE, interval_hours=4)
    assert settled(database) == [("AAA", 8.0, 0.0001, 8), ("AAA", 12.0, 0.00005, 4)]


def test_a_boundary_must_have_passed_and_lie_in_the_window(
    database: duckdb.DuckDBPyConnection,
) -> None:
    for hour in (8, 16, 24):
        sample(database, hour - 4 * MINUTE)
    assert hours(database, now_ms=at(16)) == [8.0, 16.0]
    assert hours(database, now_ms=at(16) - 1) == [8.0]
    assert hours(database, window=Window(at(8), at(16))) == [8.0], "its sample lies before it"
    assert hours(database, window=Window(at(8) + 1, at(24) + 1)) == [16.0, 24.0]


def test_other_exchanges_and_markets_do_not_mix(database: duckdb.DuckDBPyConnection) -> None:
    record_markets(database, "another", listed("AAA"), LATER)
    record_estimates(
        database, "another", [msgspec.structs.replace(ESTIMATE, raw_rate="0.9")], time_of(7.99)
    )
    sample(database, 7.98, "0.219", market="BBB")
    sample(database, 7.97)
    assert sorted(settled(database)) == [("AAA", 8.0, 0.0001, 8), ("BBB", 8.0, 0.0002, 8)]


def test_what_is_beyond_the_bound_is_rejected_with_its_reason(
    database: duckdb.DuckDBPyConnection,
) -> None:
    sample(database, 7.95, "-200.0")
    (answer,) = sampled_settlements(database, RECORDED, WHOLE, LATER_MS)
    assert answer.rows == []
    assert ["beyond the bound" in q.reason for q in answer.rejected] == [True]


# --- stored


def store(
    database: duckdb.DuckDBPyConnection, window: Window = WHOLE, load_id: int = 1
) -> tuple[MergeCounts, list[Answered]]:
    answers = sampled_settlements(database, RECORDED, window, LATER_MS)
    return merge(database, RECORDED, answers, load_id=load_id, now=LATER), answers


def state(database: duckdb.DuckDBPyConnection) -> list[Any]:
    """Everything but who wrote it last, and `rows`, which counts each answer anew."""
    left_out = {"collected_windows": "load_id, rows"}
    tables = ("settlements", "collected_windows", "rate_revisions", "quarantine", "events")
    return [
        rows(database, f"SELECT * EXCLUDE ({left_out.get(t, 'load_id')}) FROM {t} ORDER BY ALL")
        for t in tables
    ]


def test_sampled_settlements_are_of_kind_recorded(database: duckdb.DuckDBPyConnection) -> None:
    sample(database, 8 - 4 * MINUTE)
    counts, _ = store(database)
    assert counts.new == 1
    sql = """SELECT market, funding_time, rate, interval_hours, kind, lag_ms, mark_price, apr
        FROM funding_rates"""
    assert rows(database, sql) == [
        ("AAA", datetime(2025, 3, 1, 8), 0.0001, 8, "recorded", 0, 100.0, pytest.approx(0.1095))
    ]


def test_once_more_changes_nothing(database: duckdb.DuckDBPyConnection) -> None:
    for hour in (8, 16, 32):
        sample(database, hour - 4 * MINUTE)
    store(database)
    before = state(database)
    counts, _ = store(database, load_id=2)
    assert (counts.new, counts.changed, counts.unchanged) == (0, 0, 3)
    assert state(database) == before


def test_a_boundary_without_a_sample_is_a_gap_and_not_collected(
    database: duckdb.DuckDBPyConnection,
) -> None:
    """At 24:00 nobody looked: its eight hours are missing among what is collected."""
    for hour in (8, 16, 32):
        sample(database, hour - 4 * MINUTE)
    store(database)
    found = [
        (row[0].hour, row[0].day) for row in rows(database, "SELECT funding_time FROM settlements")
    ]
    assert found == [(8, 1), (16, 1), (8, 2)]
    covered = collected(database, "madeup")
    assert covered.keys() == {"AAA"}, "BBB was never sampled"
    assert covered["AAA"] == [
        Window(at(0) + 1, at(16) + 1),
        Window(at(24) + 1, at(32) + 1),
    ]


def test_a_later_window_adds_to_what_is_there(database: duckdb.DuckDBPyConnection) -> None:
    sample(database, 8 - 4 * MINUTE)
    store(database, Window(at(0), at(9)))
    sample(database, 16 - 4 * MINUTE, interval_hours=4)
    counts, _ = store(database, Window(at(9), at(17)), load_id=2)
    assert (counts.new, counts.changed) == (1, 0)
    assert rows(database, "SELECT interval_hours, covered_hours FROM settlements ORDER BY 1") == [
        (4, 4),
        (8, 8),
    ]


def test_estimates_never_become_settlements_by_themselves(
    database: duckdb.DuckDBPyConnection,
) -> None:
    sample(database, 8 - 4 * MINUTE)
    assert rows(database, "SELECT count(*) FROM settlements") == [(0,)]
    assert milliseconds(time_of(24)) - milliseconds(time_of(0)) == DAY
    assert time_of(0) + timedelta(hours=8) == time_of(8)
