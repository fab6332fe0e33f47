"""Daily statistics as users find them: the view, and what an older database still owes it."""

from datetime import date, timedelta

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse.database import Database, migrate, migrations
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.transforms.hour_by_hour import Row
from funding_pipeline_tests.warehouse.stored import put
from funding_pipeline_tests.warehouse.world import (
    at,
    collect,
    listed,
    register,
    rows,
    sent,
    spec,
    time_of,
)


def test_a_day_with_an_interval_change_and_a_hole(database: Database) -> None:
    """8 h to 08:00, 4 h to 12:00 and 16:00, none at 20:00, 4 h to 24:00 at the cap."""
    history = {
        "AAA": [
            sent(hour, rate, interval_hours=interval)
            for hour, rate, interval in [
                (0, "0.0001", 8),
                (8, "0.0008", 8),
                (12, "-0.0004", 4),
                (16, "0.0008", 4),
                (24, "0.02", 4),
            ]
        ]
    }
    now = time_of(24.5)
    with database.open() as connection:
        market = listed("AAA", interval_hours=4, listed_at_ms=at(0), rate_cap=0.02)
        register(connection, market, time_of(0))
        window = Window(at(0), at(24) + 1)
        collect(connection, history, window, declaration=spec("row"), now=now)
    derive(database, now=now)
    with database.open() as connection:
        found = connection.sql(
            "FROM daily_stats WHERE day = $day", params={"day": time_of(0).date()}
        ).pl()
    day = found.row(0, named=True)
    assert (day["settlements"], day["expected_settlements"]) == (4, 5)
    assert (day["covered_hours"], day["coverage"]) == (20, 20 / 24)
    assert day["intervals"] == "4h x 3, 8h x 1"
    assert day["pinned"] == 1
    # In order 4 h at -0.0001, 8 at 0.0001, 4 at 0.0002, 4 at 0.005; places 0.95, 9.5, 18.05.
    assert [day[f"rate_hourly_{name}"] for name in ("p05", "median", "p95")] == pytest.approx(
        [-0.0001, 0.0001, 0.005], rel=1e-12
    )
    mean = (-4 * 0.0001 + 8 * 0.0001 + 4 * 0.0002 + 4 * 0.005) / 20
    squares = (4 * 0.0001**2 + 8 * 0.0001**2 + 4 * 0.0002**2 + 4 * 0.005**2) / 20
    assert day["rate_hourly_mean"] == pytest.approx(mean, rel=1e-12)
    assert day["rate_hourly_std"] == pytest.approx((squares - mean**2) ** 0.5, rel=1e-12)
    assert day["positive_streak_hours"] == 8
    assert (day["negative_streak_hours"], day["longest_streak_hours"]) == (4, 8)
    per_year = {
        "open": "open", "high": "max", "low": "min", "close": "close", "median": "median",
        "std": "std", "p05": "p05", "p95": "p95", "mean": "mean",
    }  # fmt: skip
    for annual, hourly in per_year.items():
        assert day[f"apr_{annual}"] == day[f"rate_hourly_{hourly}"] * 8760


def test_a_database_from_before_owes_the_new_columns(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    database.path.parent.mkdir()
    with duckdb.connect(str(database.path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        monkeypatch.setattr(database_module, "migrations", lambda: known[:4])
        migrate(connection)
        connection.execute(
            """INSERT INTO markets BY NAME SELECT 1 AS market_id, 'gate' AS exchange,
            'AAA' AS market, 'AAA' AS symbol, 1 AS multiplier, 'USDT' AS quote, 'USDT' AS settle,
            'live' AS status, $first AS listed_at, $first AS first_seen, $last AS last_seen,
            $last AS last_settlement""",
            {"first": time_of(0), "last": time_of(72)},
        )
        put(connection, {1: [Row(time_of(hour), 0.0001, 8) for hour in range(8, 73, 8)]})
        days = [(1, date(2025, 3, 1) + timedelta(days=n)) for n in range(3)]
        for market_id, day in days:
            connection.execute(
                """INSERT INTO base.daily_stats VALUES (?, ?, 3, 0, 0, 0, 0, 0, 0, 0, 0, 24, 24, 1)
                """,
                [market_id, day],
            )
        connection.execute(
            "INSERT INTO dirty_days (market_id, day, since) VALUES (?, ?, ?)",
            [*days[0], time_of(73)],
        )
        monkeypatch.setattr(database_module, "migrations", lambda: known)
        migrate(connection)
        assert sorted(rows(connection, "SELECT market_id, day FROM dirty_days")) == days
        columns = [row[0] for row in rows(connection, "DESCRIBE daily_stats")]
        assert columns[:4] == ["exchange", "market", "symbol", "day"]
    derive(database, now=time_of(73))
    with database.open() as connection:
        assert rows(
            connection,
            "SELECT day, rate_hourly_median, intervals FROM daily_stats ORDER BY day",
        ) == [(date(2025, 3, 1) + timedelta(days=n), 0.0001 / 8, "8h x 3") for n in range(3)]
