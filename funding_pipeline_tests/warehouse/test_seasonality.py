"""Seasonality is kept: once a day for all, and anew only where its window changed."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import transaction
from funding_pipeline.warehouse.seasonality import refresh
from funding_pipeline_tests.warehouse.world import (
    History,
    at,
    collect,
    listed,
    memory,
    register,
    rows,
    sent,
    series,
    time_of,
)

DAYS = 95
HISTORY = {
    "AAA": series(range(4, DAYS * 24, 8)),  # settles across midnight
    "BBB": series(range(1, DAYS * 24), "BBB"),
}
END = 93 * 24  # of the first derivation
AS_OF = date(2025, 6, 1)  # the day before


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        register(connection, listed("AAA", "BBB", listed_at_ms=at(0)), time_of(0))
        yield connection


def load(
    connection: duckdb.DuckDBPyConnection, start: float, end: float, history: History = HISTORY
) -> datetime:
    """Collect what was stamped from `start` to `end` and tell the time 40 minutes later."""
    now = time_of(end) + timedelta(minutes=40)
    collect(connection, history, Window(at(start), at(end) + 1), now=now, refetch=True)
    return now


def refreshed(connection: duckdb.DuckDBPyConnection, now: datetime) -> int:
    """Rows written when all markets settled since the last time."""
    with transaction(connection):
        ids = [market_id for (market_id,) in rows(connection, "SELECT market_id FROM markets")]
        return refresh(connection, now=now, markets=ids)


def stored(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return rows(connection, "FROM base.seasonality ORDER BY ALL")


def rebuilt(connection: duckdb.DuckDBPyConnection, now: datetime) -> list[tuple[Any, ...]]:
    for table in ("seasonality", "seasonality_inputs"):
        connection.execute(f"DELETE FROM base.{table}")
    refreshed(connection, now)
    return stored(connection)


def windows(connection: duckdb.DuckDBPyConnection) -> set[tuple[Any, ...]]:
    return set(rows(connection, "SELECT DISTINCT market, window_days, as_of FROM seasonality"))


def test_every_market_has_its_hours_and_weekdays(connection: duckdb.DuckDBPyConnection) -> None:
    now = load(connection, 0, END)
    assert refreshed(connection, now) == 2 * (24 + 7)
    assert windows(connection) == {("AAA", 90, AS_OF), ("BBB", 90, AS_OF)}
    # By hand: the hour that begins at 13:00 is stamped 14:00, on 90 days.
    rates = [((h % 89) - 44) * 1e-6 for h in range(END - 90 * 24 + 14, END, 24)]
    ((mean, apr, share, hours, coverage, label),) = rows(
        connection,
        """SELECT rate_hourly_mean, apr_mean, positive_share, hours, coverage, label
        FROM seasonality WHERE market = 'BBB' AND kind = 'hour' AND slot = 13""",
    )
    assert hours == len(rates) == 90
    assert mean == pytest.approx(sum(rates) / 90, rel=1e-12)
    assert apr == pytest.approx(sum(rates) / 90 * 8760, rel=1e-12)
    assert share == sum(rate > 0 for rate in rates) / 90
    assert (coverage, label) == (1.0, "13:00")
    assert rows(
        connection,
        "SELECT slot, label FROM seasonality WHERE market = 'BBB' AND kind = 'weekday' ORDER BY 1",
    ) == list(enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], 1))


def test_hours_of_today_change_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    refreshed(connection, load(connection, 0, END))
    refreshed(connection, load(connection, END, END + 4))  # AAA's last hours of yesterday
    before = stored(connection)
    for hour in range(END + 5, END + 24):
        assert refreshed(connection, load(connection, hour - 1, hour)) == 0
    assert stored(connection) == before


def test_a_settlement_that_reaches_back_into_yesterday_counts(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    refreshed(connection, load(connection, 0, END))
    now = load(connection, END, END + 4)
    assert refreshed(connection, now) == 24 + 7, "AAA alone"
    ((hours,),) = rows(
        connection,
        "SELECT hours FROM seasonality WHERE market = 'AAA' AND kind = 'hour' AND slot = 23",
    )
    assert hours == 90
    assert stored(connection) == rebuilt(connection, now)


def test_a_market_that_is_not_named_is_left_alone_until_the_day_ends(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    refreshed(connection, load(connection, 0, END))
    now = load(connection, END, END + 4)
    with transaction(connection):
        assert refresh(connection, now=now, markets=[]) == 0
        assert refresh(connection, now=now + timedelta(days=1), markets=[]) == 2 * (24 + 7)
    assert windows(connection) == {
        (market, 90, AS_OF + timedelta(days=1)) for market in ("AAA", "BBB")
    }


@pytest.mark.parametrize("hour", [END - 90 * 24 + 12, END - 36])
def test_a_correction_within_the_window_changes_its_market(
    connection: duckdb.DuckDBPyConnection, hour: int
) -> None:
    refreshed(connection, load(connection, 0, END + 4))
    before = stored(connection)
    kept = [row for row in HISTORY["AAA"] if row.time_ms != at(hour)]
    now = load(connection, 0, END + 5, {**HISTORY, "AAA": [*kept, sent(hour, "0.01")]})
    assert refreshed(connection, now) == 24 + 7
    assert len({row[0] for row in set(stored(connection)) - set(before)}) == 1
    assert stored(connection) == rebuilt(connection, now)


def test_a_correction_before_the_window_changes_nothing(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    refreshed(connection, load(connection, 0, END + 4))
    kept = [row for row in HISTORY["AAA"] if row.time_ms != at(12)]
    now = load(connection, 0, END + 5, {**HISTORY, "AAA": [*kept, sent(12, "0.01")]})
    assert refreshed(connection, now) == 0


def test_a_listing_date_that_becomes_known_changes_the_coverage(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    now = load(connection, END - 80 * 24, END)
    refreshed(connection, now)
    (low,) = rows(connection, "SELECT min(coverage) FROM seasonality")[0]
    assert low < 1
    connection.execute("UPDATE base.markets SET listed_at = ?", [time_of(END - 79 * 24)])
    assert refreshed(connection, now) == 2 * (24 + 7)
    (low,) = rows(connection, "SELECT min(coverage) FROM seasonality WHERE market = 'BBB'")[0]
    assert low == 1
    assert stored(connection) == rebuilt(connection, now)


def test_a_short_history_is_summed_over_thirty_days(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute("UPDATE base.markets SET listed_at = NULL")
    now = load(connection, END - 60 * 24, END + 4)
    collect(connection, HISTORY, Window(at(0), at(END)), market="BBB", now=now)
    refreshed(connection, now)
    assert windows(connection) == {("AAA", 30, AS_OF), ("BBB", 90, AS_OF)}
    ((low, high),) = rows(
        connection,
        "SELECT min(hours), max(hours) FROM seasonality WHERE market = 'AAA' AND kind = 'hour'",
    )
    assert (low, high) == (30, 30)


def test_what_covers_neither_window_has_no_mean(connection: duckdb.DuckDBPyConnection) -> None:
    refreshed(connection, load(connection, END - 5 * 24, END + 4))
    assert windows(connection) == {("AAA", 30, AS_OF), ("BBB", 30, AS_OF)}
    assert rows(
        connection, "SELECT DISTINCT rate_hourly_mean, apr_mean, positive_share FROM seasonality"
    ) == [(None, None, None)]
    assert rows(connection, "FROM asset_seasonality") == []


def test_a_market_without_settlements_in_the_window_goes(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    now = load(connection, 0, 20 * 24)
    refreshed(connection, now)
    assert len(windows(connection)) == 2
    now = load(connection, 111 * 24, 112 * 24, {"BBB": series(range(111 * 24, 112 * 24), "BBB")})
    refreshed(connection, now)
    assert {market for market, *_ in windows(connection)} == {"BBB"}
    assert stored(connection) == rebuilt(connection, now)
    assert refreshed(connection, now) == 0


def test_an_asset_is_the_mean_of_its_markets(connection: duckdb.DuckDBPyConnection) -> None:
    refreshed(connection, load(connection, 0, END + 4))
    connection.execute("UPDATE base.markets SET asset = 'X'")
    connection.execute("UPDATE base.markets SET exchange = 'other' WHERE market = 'BBB'")
    means = rows(
        connection,
        "SELECT rate_hourly_mean FROM seasonality WHERE kind = 'hour' AND slot = 13",
    )
    ((mean, apr, markets, exchanges),) = rows(
        connection,
        """SELECT rate_hourly_mean, apr_mean, markets, exchanges FROM asset_seasonality
        WHERE asset = 'X' AND kind = 'hour' AND slot = 13""",
    )
    assert mean == pytest.approx((means[0][0] + means[1][0]) / 2, rel=1e-12)
    assert apr == pytest.approx(mean * 8760, rel=1e-12)
    assert (markets, exchanges) == (2, 2)


def test_nothing_collected_is_nothing_to_do(connection: duckdb.DuckDBPyConnection) -> None:
    assert refreshed(connection, time_of(END)) == 0
