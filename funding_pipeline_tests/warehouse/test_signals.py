"""Signals and stability in the database: due markets only, and as a rebuild gives them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse import signals as signals_module
from funding_pipeline.warehouse.database import Database, timestamp, transaction
from funding_pipeline.warehouse.signals import refresh
from funding_pipeline_tests.warehouse.world import (
    LATER,
    History,
    at,
    collect,
    listed,
    register,
    rows,
    sent,
    series,
    time_of,
)

TABLES = {"base.market_signals": "market_id", "base.stability": 'market_id, "window"'}
FOUR = range(4, 100 * 24 + 1, 8)  # 04:00, 12:00, 20:00: one of them pays for hours before midnight
ONE = range(60 * 24, 100 * 24 + 1)
HISTORY = {"AAA": series(FOUR), "BBB": series(ONE, "BBB")}
END = 100 * 24


@pytest.fixture
def stocked(database: Database) -> Database:
    """100 days of an 8 h market and 40 of an hourly one, listed all the time."""
    with database.open() as connection:
        register(connection, listed("AAA", "BBB", listed_at_ms=at(0)), time_of(0))
    return database


def load(database: Database, history: History, start: float, end: float, **more: Any) -> int:
    """Collect a window and refresh the markets that it changed, as a derivation would."""
    now = timestamp(at(end)) + timedelta(minutes=40)
    with database.open() as connection:
        collect(connection, history, Window(at(start), at(end)), now=now, **more)
        changed = [market for (market,) in rows(connection, "SELECT market_id FROM dirty_days")]
        with transaction(connection):
            connection.execute("DELETE FROM dirty_days")
            return refresh(connection, now=now, markets=sorted(set(changed)))


def stored(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.open() as connection:
        return {
            table: rows(connection, f"FROM {table} ORDER BY {order}")
            for table, order in TABLES.items()
        }


def rebuilt(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.open() as connection, transaction(connection):
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
        refresh(connection, now=LATER, markets=everything(connection))
    return stored(database)


def everything(connection: duckdb.DuckDBPyConnection) -> list[int]:
    return [market for (market,) in rows(connection, "SELECT market_id FROM markets")]


def test_hour_by_hour_equals_a_rebuild(stocked: Database) -> None:
    load(stocked, HISTORY, 0, END - 30)
    for hour in range(END - 30, END + 1, 2):
        load(stocked, HISTORY, hour, hour + 2)
    pieces = stored(stocked)
    assert [len(found) for found in pieces.values()] == [2, 6]
    assert pieces == rebuilt(stocked)


def test_a_backfill_and_a_correction_of_the_past_reach_what_they_change(stocked: Database) -> None:
    """The later half first, then the earlier; then one rate of three weeks ago."""
    load(stocked, HISTORY, 50 * 24, END + 1)
    load(stocked, HISTORY, 0, 50 * 24)
    before = stored(stocked)
    assert before == rebuilt(stocked)
    wrong = 80 * 24 + 4
    corrected = {
        **HISTORY,
        "AAA": [r for r in HISTORY["AAA"] if r.time_ms != at(wrong)] + [sent(wrong, "0.01")],
    }
    load(stocked, corrected, 0, END + 1, refetch=True, load_id=2)
    after = stored(stocked)
    changed = {
        (table, row[0]) for table, found in after.items() for row in set(found) - set(before[table])
    }
    assert len(changed) == 2, "signals and stability of AAA"
    assert after == rebuilt(stocked)


def test_a_settlement_after_midnight_that_pays_for_hours_before_it_counts(
    stocked: Database,
) -> None:
    load(stocked, HISTORY, 0, END + 1)
    before = stored(stocked)["base.stability"]
    after_midnight = END - 24 + 4
    history = [r for r in HISTORY["AAA"] if r.time_ms != at(after_midnight)]
    corrected = {**HISTORY, "AAA": [*history, sent(after_midnight, "0.01")]}
    load(stocked, corrected, END - 48, END + 1, refetch=True, load_id=2)
    after = stored(stocked)["base.stability"]
    assert len(set(after) - set(before)) == 3, "each of AAA's windows"
    assert stored(stocked) == rebuilt(stocked)


def test_stability_is_computed_once_a_day(
    stocked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = signals_module.stability

    def counted(settlements: Any, lives: Any, points: Any) -> Any:
        asked.append(len(points))
        return real(settlements, lives, points)

    monkeypatch.setattr(signals_module, "stability", counted)
    load(stocked, HISTORY, 0, END - 24 + 1)
    assert asked == [2]
    for hour in range(END - 24 + 1, END - 4):
        load(stocked, HISTORY, hour, hour + 1)
    assert sum(asked) == 3, "AAA's settlement at 04:00 reaches midnight and pays for hours before"
    load(stocked, HISTORY, END - 4, END + 1)
    assert sum(asked) == 4, "the hourly market at midnight"
    with stocked.open() as connection:
        assert rows(connection, "SELECT DISTINCT market, as_of FROM stability ORDER BY 1") == [
            ("AAA", time_of(END - 24)),
            ("BBB", time_of(END)),
        ]


def test_a_listing_date_that_becomes_known_counts(stocked: Database) -> None:
    load(stocked, HISTORY, 0, END + 1)
    with stocked.open() as connection, transaction(connection):
        connection.execute(
            "UPDATE base.markets SET listed_at = ? WHERE market = 'BBB'", [time_of(60 * 24 - 1)]
        )
        refresh(connection, now=LATER, markets=everything(connection))
        sql = """SELECT coverage, covered_hours FROM stability
            WHERE market = 'BBB' AND "window" = '90d'"""
        assert rows(connection, sql) == [(1.0, 40 * 24 + 1)]
    assert stored(stocked) == rebuilt(stocked)


def test_what_is_no_longer_in_any_window_leaves(stocked: Database) -> None:
    """After 200 days of silence, settlements for 04:00 to 20:00: nothing before their midnight."""
    load(stocked, HISTORY, 0, END + 1)
    again = END + 200 * 24 + 20
    load(stocked, {"AAA": [sent(again - 8), sent(again)]}, again - 8, again + 1)
    with stocked.open() as connection:
        assert rows(connection, "SELECT DISTINCT market FROM stability") == [("BBB",)]
        assert rows(connection, "SELECT market, as_of FROM market_signals ORDER BY market") == [
            ("AAA", time_of(again)),
            ("BBB", time_of(END)),
        ]
    assert stored(stocked) == rebuilt(stocked)


def test_chunks_make_no_difference(stocked: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    load(stocked, HISTORY, 0, END + 1)
    whole = stored(stocked)
    monkeypatch.setattr(signals_module, "CHUNK_MARKETS", 1)
    assert rebuilt(stocked) == whole
    monkeypatch.setattr(signals_module, "READ_MARKETS", 1)
    assert rebuilt(stocked) == whole


@pytest.mark.parametrize("markets", [[], [999]])
def test_nothing_changed_or_unknown_writes_nothing(
    stocked: Database, markets: Sequence[int]
) -> None:
    load(stocked, HISTORY, 0, END + 1)
    before = stored(stocked)
    with stocked.open() as connection, transaction(connection):
        assert refresh(connection, now=LATER, markets=markets) == 0
    assert stored(stocked) == before


def test_by_hand_through_the_views(database: Database) -> None:
    """Two days at -1 basis point for 8 h, then one settlement of 5: z = 2.4494…, rank 13/14."""
    history = {"AAA": [*(sent(h, "-0.0001") for h in range(8, 49, 8)), sent(56, "0.0005")]}
    with database.open() as connection:
        register(connection, listed("AAA", listed_at_ms=at(0)), time_of(0))
    load(database, history, 0, 57)
    with database.open() as connection:
        ((as_of, apr, z, rank, hours, coverage),) = rows(
            connection,
            """SELECT as_of, apr, zscore_30d, percentile_30d, covered_hours_90d, coverage_30d
            FROM market_signals WHERE exchange = 'madeup' AND asset = 'AAA'""",
        )
        steady = rows(
            connection,
            """SELECT "window", as_of, apr_mean, variation, sign_changes, sign_persistence, coverage
            FROM stability ORDER BY covered_hours, "window" """,
        )
    # Six of -1 and one of 5: mean -1/7, variance 31/7 - 1/49 = 216/49.
    assert (as_of, hours, coverage) == (time_of(56), 56, 1.0)
    assert apr == pytest.approx(0.0005 / 8 * 8760, rel=1e-12)
    assert z == pytest.approx((5 + 1 / 7) / (216**0.5 / 7), rel=1e-12)
    assert rank == 6.5 / 7
    assert [row[0] for row in steady] == ["30d", "7d", "90d"]
    for _, midnight, mean, *rest in steady:
        assert midnight == time_of(48)
        assert mean == pytest.approx(-0.0001 / 8 * 8760, rel=1e-12)
        assert rest == [0.0, 0, 1.0, 1.0]
