"""Derived tables: brought up to date piece by piece, they equal a rebuild from nothing."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse import derive as derive_module
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.warehouse.world import (
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

TABLES = {
    "base.daily_stats": "market_id, day",
    "base.moving_averages": 'market_id, as_of, "window"',
    "base.latest_averages": 'market_id, "window"',
    "base.latest_rates": "market_id",
}
EIGHT = list(range(0, 40 * 24 + 1, 8))
ONE = list(range(5 * 24, 40 * 24 + 1))


def derived(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.open() as connection:
        return {
            table: rows(connection, f"FROM {table} ORDER BY {order}")
            for table, order in TABLES.items()
        }


def rebuilt(database: Database, now: datetime) -> dict[str, list[tuple[Any, ...]]]:
    """Everything derived anew from the settlements."""
    with database.open() as connection:
        for table in (*TABLES, "dirty_days"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute(
            """INSERT INTO dirty_days (market_id, day, since) SELECT DISTINCT market_id,
            CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE), ?
            FROM settlements""",
            [now],
        )
    derive(database, now=now)
    return derived(database)


def tick(database: Database, history: History, start: float, end: float, **more: Any) -> None:
    """Collect a window at its end, then derive."""
    now = timestamp(at(end)) + timedelta(minutes=40)
    with database.open() as connection:
        collect(connection, history, Window(at(start), at(end)), now=now, **more)
    derive(database, now=now)


def owed(database: Database) -> list[tuple[Any, ...]]:
    with database.open() as connection:
        return rows(connection, "FROM dirty_days")


@pytest.fixture
def stocked(database: Database) -> Database:
    """40 days of an 8 h market and 35 of an hourly one, listed all the time."""
    with database.open() as connection:
        register(connection, listed("AAA", "BBB", listed_at_ms=at(0)), time_of(0))
    return database


HISTORY = {"AAA": series(EIGHT), "BBB": series(ONE, "BBB")}
END = 40 * 24 + 1  # just behind a midnight at which both have settled


def test_ticks_one_after_the_other_equal_a_rebuild(stocked: Database) -> None:
    tick(stocked, HISTORY, 0, END - 26)
    for hour in range(END - 26, END, 2):
        tick(stocked, HISTORY, hour, hour + 2)
    assert owed(stocked) == []
    now = timestamp(at(END)) + timedelta(minutes=40)
    pieces = derived(stocked)
    # Each market's first row pays for hours of the day before.
    assert len(pieces["base.daily_stats"]) == 41 + 36
    assert pieces == rebuilt(stocked, now)


@pytest.mark.slow
@settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_order_of_loads_and_derivations_equals_a_rebuild(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Backfills before and after, corrections, an interval change: all at the same `now`."""
    change = data.draw(st.integers(10, 20)) * 24
    hours = [*range(0, change, 8), *range(change, 30 * 24, 4)]
    history = {"AAA": series(hours), "BBB": series(range(0, 30 * 24, 1), "BBB")}
    database = Database(Settings(data_dir=tmp_path_factory.mktemp("derive")))
    now = timestamp(at(31 * 24))
    with database.open() as connection:
        register(connection, listed("AAA", "BBB", listed_at_ms=at(0)), time_of(0))
    cuts = sorted(data.draw(st.sets(st.integers(1, 29), min_size=1, max_size=4)))
    tiles = list(zip([0, *cuts], [*cuts, 30], strict=True))
    for start, end in data.draw(st.permutations(tiles)):
        market = data.draw(st.sampled_from(["AAA", "BBB", None]))
        with database.open() as connection:
            window = Window(at(start * 24), at(end * 24))
            collect(connection, history, window, market=market, now=now)
        if data.draw(st.booleans()):
            derive(database, now=now)
    corrected = data.draw(st.sampled_from(hours))
    history["AAA"] = [r for r in history["AAA"] if r.time_ms != at(corrected)]
    history["AAA"].append(sent(corrected, "0.0123"))
    with database.open() as connection:
        collect(connection, history, Window(at(0), at(30 * 24)), refetch=True, load_id=2, now=now)
    derive(database, now=now)
    assert owed(database) == []
    pieces = derived(database)
    assert pieces["base.daily_stats"]
    assert pieces == rebuilt(database, now)


def test_a_correction_changes_its_day_and_the_averages_that_hold_it(stocked: Database) -> None:
    tick(stocked, HISTORY, 0, END)
    before = derived(stocked)
    wrong = at(10 * 24 + 8)
    corrected = {
        **HISTORY,
        "AAA": [r for r in HISTORY["AAA"] if r.time_ms != wrong] + [sent(10 * 24 + 8, "0.01")],
    }
    tick(stocked, corrected, 0, END, refetch=True, load_id=2)
    after = derived(stocked)
    changed_days = {
        row[1] for row in set(after["base.daily_stats"]) - set(before["base.daily_stats"])
    }
    assert changed_days == {time_of(10 * 24).date()}
    changed = set(after["base.moving_averages"]) - set(before["base.moving_averages"])
    as_of = {row[2] for row in changed if row[1] == "30d"}
    assert (min(as_of), max(as_of)) == (time_of(11 * 24), time_of(END - 1)), (
        "up to the newest settlement"
    )
    assert len({row[0] for row in changed}) == 1, "the other market is left alone"
    assert after == rebuilt(stocked, timestamp(at(END)) + timedelta(minutes=40))


def test_a_derivation_killed_between_chunks_stays_owed_and_is_finished_later(
    stocked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timestamp(at(END)) + timedelta(minutes=40)
    with stocked.open() as connection:
        collect(connection, HISTORY, Window(at(0), at(END)), now=now)
        everything = {market for market, *_ in rows(connection, "FROM dirty_days")}
    real = derive_module.moving_averages
    calls: list[int] = []

    def dies_at_the_second(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(derive_module, "CHUNK_MARKET_HOURS", 1)
        patch.setattr(derive_module, "moving_averages", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            derive(stocked, now=now)
    left = {market for market, *_ in owed(stocked)}
    assert len(left) == 1 < len(everything), "the first chunk is done, the second still owed"
    half = derived(stocked)
    assert {row[0] for row in half["base.daily_stats"]} == everything - left
    derive(stocked, now=now)
    assert owed(stocked) == []
    assert derived(stocked) == rebuilt(stocked, now)


def test_chunks_make_no_difference(stocked: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    tick(stocked, HISTORY, 0, END)
    whole = derived(stocked)
    monkeypatch.setattr(derive_module, "CHUNK_MARKET_HOURS", 1)
    assert rebuilt(stocked, timestamp(at(END)) + timedelta(minutes=40)) == whole


def test_deriving_with_nothing_owed_changes_nothing(stocked: Database) -> None:
    tick(stocked, HISTORY, 0, END)
    before = derived(stocked)
    done = derive(stocked, now=timestamp(at(END)) + timedelta(minutes=50))
    assert (done.markets, done.days, done.daily_rows) == (0, 0, 0)
    assert derived(stocked) == before


def test_what_is_owed_is_counted(stocked: Database) -> None:
    now = timestamp(at(END)) + timedelta(minutes=40)
    with stocked.open() as connection:
        collect(connection, HISTORY, Window(at(0), at(5 * 24)), now=now)
    done = derive(stocked, now=now)
    assert (done.markets, done.days) == (1, 6), "five days and the one before the first row"


def test_latest_rates_are_the_newest_settlements(stocked: Database) -> None:
    tick(stocked, HISTORY, 0, END)
    with stocked.open() as connection:
        assert rows(
            connection, "SELECT market, funding_time, interval_hours FROM latest_rates ORDER BY 1"
        ) == [("AAA", time_of(END - 1), 8), ("BBB", time_of(END - 1), 1)]


def test_a_day_of_an_eight_hour_market_is_the_sum_of_its_three_settlements(
    database: Database, tmp_path: Path
) -> None:
    """By hand: 1, 2 and 6 basis points over 24 h: mean 0.0009/24 per hour, APR 0.3285."""
    rates = {8: "0.0001", 16: "0.0002", 24: "0.0006", 32: "0.5"}
    history = {"AAA": [sent(0, "0.0003"), *(sent(h, r) for h, r in rates.items() if h < 32)]}
    with database.open() as connection:
        register(connection, listed("AAA", listed_at_ms=at(-8)), time_of(-8))
    tick(database, history, -8, 25)
    with database.open() as connection:
        ((settlements, total, mean, annual, low, high, covered),) = rows(
            connection,
            f"""SELECT settlements, rate_sum, rate_hourly_mean, apr_mean, rate_hourly_min,
            rate_hourly_max, coverage FROM daily_stats WHERE day = DATE '{time_of(0):%Y-%m-%d}'""",
        )
    assert settlements == 3
    assert total == pytest.approx(0.0009, rel=1e-12)
    assert mean == pytest.approx(0.0009 / 24, rel=1e-12)
    assert annual == pytest.approx(0.3285, rel=1e-12)
    assert (low, high) == pytest.approx((0.0001 / 8, 0.0006 / 8), rel=1e-12)
    assert covered == 1.0


# --- what only time changes


NEWEST_AVERAGES = """FROM moving_averages
    QUALIFY row_number() OVER (PARTITION BY exchange, market, "window" ORDER BY as_of DESC) = 1
    ORDER BY market, "window" """


def test_latest_averages_are_the_newest_of_each_market_and_window(stocked: Database) -> None:
    tick(stocked, HISTORY, 0, END)
    with stocked.open() as connection:
        newest = rows(connection, 'FROM latest_averages ORDER BY market, "window"')
        assert newest == rows(connection, NEWEST_AVERAGES)
        assert len(newest) == 2 * 5


def test_the_latest_averages_of_a_market_that_stopped_go_back_to_its_last_midnight(
    stocked: Database,
) -> None:
    """Its hourly points are pruned after a week."""
    tick(stocked, HISTORY, 0, END)
    derive(stocked, now=timestamp(at(END)) + timedelta(days=8))
    with stocked.open() as connection:
        newest = rows(connection, 'FROM latest_averages ORDER BY market, "window"')
        assert newest == rows(connection, NEWEST_AVERAGES)
        hours = rows(connection, "SELECT DISTINCT extract(hour FROM as_of) FROM latest_averages")
    assert hours == [(0,)]


def test_midnights_of_an_outage_are_filled_once_settlements_go_on(stocked: Database) -> None:
    """Six days without a settlement, with ticks that found nothing; then it goes on."""
    outage = {
        market: [r for r in sent_rows if not at(32 * 24) < r.time_ms < at(38 * 24)]
        for market, sent_rows in HISTORY.items()
    }
    tick(stocked, outage, 0, 32 * 24)
    for day in range(33, 39):
        tick(stocked, outage, (day - 1) * 24, day * 24)
    tick(stocked, outage, 38 * 24, END)
    now = timestamp(at(END)) + timedelta(minutes=40)
    assert derived(stocked) == rebuilt(stocked, now)
