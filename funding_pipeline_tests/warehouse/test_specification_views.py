"""The specification's two views: its columns, its percent, its figures."""

from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.warehouse import world

# The specification's columns; `id` and Lighter's own `market_id` have no equivalent.
LATEST = {
    "symbol",
    "timestamp",
    "rate",
    "rate_hourly",
    "rate_annual",
    "direction",
    "cumulative_value",
    "collected_at",
    "source",
    "market_symbol",
    "timestamp_iso",
}
DAILY = {"symbol", "date", "avg_apr", "min_apr", "max_apr", "sample_count"}
OURS = {"exchange", "market", "asset"}


@pytest.fixture
def stocked(database: Database) -> Iterator[duckdb.DuckDBPyConnection]:
    """An hourly market with the specification's example as its last rate, one of 8 hours."""
    history = {
        "AAA": [
            *(world.sent(h, "0.000002") for h in range(1, 25)),
            *(world.sent(h, "-0.000004") for h in range(25, 47)),
            world.sent(47, "-0.000012", cumulative_value=1.5),
            world.sent(48, "0.000012", cumulative_value=2.5),
        ],
        "BBB": [world.sent(h, "-0.0008", market="BBB") for h in (8, 16, 24)],
    }
    now = world.time_of(48.5)
    with database.open() as connection:
        world.register(
            connection,
            [*world.listed("AAA", interval_hours=1), *world.listed("BBB")],
            world.time_of(0),
        )
        world.collect(connection, history, Window(world.at(0), world.at(49)), now=now)
    derive(database, now=now)
    with database.open() as connection:
        yield connection


def columns(connection: duckdb.DuckDBPyConnection, view: str) -> set[str]:
    return {name for name, *_ in connection.execute(f"DESCRIBE {view}").fetchall()}


def test_the_columns(stocked: duckdb.DuckDBPyConnection) -> None:
    assert columns(stocked, "funding_latest") == LATEST | OURS | {"interval_hours"}
    assert columns(stocked, "funding_daily_stats") == DAILY | OURS | {"coverage"}


def test_the_specification_s_example(stocked: duckdb.DuckDBPyConnection) -> None:
    """0.0012 percent an hour are 10.512 percent a year; the newest row is the market's own."""
    found = stocked.execute(
        """SELECT market, symbol, market_symbol, "timestamp", timestamp_iso, direction,
        cumulative_value, source, collected_at, interval_hours, rate, rate_hourly, rate_annual
        FROM funding_latest ORDER BY market"""
    ).fetchall()
    assert [row[:10] for row in found] == [
        (
            *("AAA", "AAA", "AAA", world.time_of(48), "2025-03-03 00:00:00", "long", 2.5, "api"),
            *(world.time_of(48.5), 1),
        ),
        (
            *("BBB", "BBB", "BBB", world.time_of(24), "2025-03-02 00:00:00", "short", None, "api"),
            *(world.time_of(48.5), 8),
        ),
    ]
    assert found[0][10:] == pytest.approx((0.000012, 0.000012, 10.512), rel=1e-12)
    assert found[1][10:] == pytest.approx((-0.0008, -0.0001, -87.6), rel=1e-12)


def test_a_day_in_percent(stocked: duckdb.DuckDBPyConnection) -> None:
    """22 hours at -4, one at -12 and one at 12 millionths: the mean is -88/24."""
    found = stocked.execute(
        """SELECT "date", sample_count, coverage, avg_apr, min_apr, max_apr
        FROM funding_daily_stats WHERE market = 'AAA' ORDER BY "date" """
    ).fetchall()
    assert [row[:3] for row in found] == [
        (date(2025, 3, 1), 24, 1.0),
        (date(2025, 3, 2), 24, 1.0),
    ]
    assert found[0][3:] == pytest.approx((1.752, 1.752, 1.752), rel=1e-12)
    assert found[1][3:] == pytest.approx((-88 / 24 * 0.876, -10.512, 10.512), rel=1e-12)
    (eight,) = stocked.execute(
        "SELECT avg_apr, sample_count FROM funding_daily_stats WHERE market = 'BBB'"
    ).fetchall()
    assert eight == (pytest.approx(-87.6, rel=1e-12), 3)
