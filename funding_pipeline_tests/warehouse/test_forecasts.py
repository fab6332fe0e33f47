"""Errors of predicted rates: by hand, what is left out, and against an independent loop."""

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.transforms.hour_by_hour import Row, at, series
from funding_pipeline_tests.warehouse import world
from funding_pipeline_tests.warehouse.stored import put, store

MINUTE = 1 / 60
BUCKETS = (5, 60, 120, 240, 480, 1440)
EIGHT = {"binance/BTC": series((8, 2e-4, 8), (16, -1e-4, 8), (24, 0.0, 8))}

Sample = tuple[int, datetime, float, int, datetime | None]


@pytest.fixture
def eight() -> Iterator[duckdb.DuckDBPyConnection]:
    with world.memory() as connection:
        store(connection, EIGHT)
        yield connection


def predict(connection: duckdb.DuckDBPyConnection, *samples: Sample) -> None:
    for market_id, observed_at, rate, hours, told in samples:
        connection.execute(
            """INSERT INTO base.predicted_rates BY NAME SELECT $market_id AS market_id,
            $observed AS observed_at, $rate AS rate, '' AS raw_rate, $hours AS interval_hours,
            CAST($told AS TIMESTAMP) AS next_funding_time""",
            {
                "market_id": market_id,
                "observed": observed_at,
                "rate": rate,
                "hours": hours,
                "told": told,
            },
        )


def seen(
    connection: duckdb.DuckDBPyConnection,
    hours: float,
    rate: float = 0.0,
    interval: int = 8,
    told: datetime | None = None,
) -> None:
    predict(connection, (1, at(hours), rate, interval, told))


def errors(connection: duckdb.DuckDBPyConnection) -> dict[int, tuple[Any, ...]]:
    """The figures by lead."""
    found = connection.execute(
        """SELECT lead_minutes, samples, mean_error, mean_absolute_error, root_mean_square_error,
        sign_right_share, mean_absolute_error_apr FROM forecast_errors"""
    ).fetchall()
    return {row[0]: row[1:] for row in found}


def leads(connection: duckdb.DuckDBPyConnection) -> dict[int, int]:
    return {lead: figures[0] for lead, figures in errors(connection).items()}


def test_by_hand(eight: duckdb.DuckDBPyConnection) -> None:
    """Four minutes before: 3, 1 and 0 basis points predicted, 2, -1 and 0 settled."""
    for hour, rate in ((8, 3e-4), (16, 1e-4), (24, 0.0)):
        seen(eight, hour - 4 * MINUTE, rate)
    assert errors(eight).keys() == {5}
    samples, mean, absolute, root, signs, apr = errors(eight)[5]
    assert samples == 3
    assert mean == pytest.approx((1e-4 + 2e-4 + 0) / 3, rel=1e-12)
    assert absolute == pytest.approx(1e-4, rel=1e-12)
    assert root == pytest.approx(math.sqrt(5e-8 / 3), rel=1e-12)
    assert signs == pytest.approx(2 / 3, rel=1e-12), "zero is right where zero settled"
    assert apr == pytest.approx(1e-4 / 8 * 8760, rel=1e-12)


def test_errors_of_both_signs_cancel_in_the_mean_only(eight: duckdb.DuckDBPyConnection) -> None:
    seen(eight, 8 - 4 * MINUTE, 1e-4)
    seen(eight, 16 - 4 * MINUTE, 0.0)
    _, mean, absolute, root, *_ = errors(eight)[5]
    assert (mean, absolute) == (0.0, pytest.approx(1e-4, rel=1e-12))
    assert root == pytest.approx(1e-4, rel=1e-12)


@pytest.mark.parametrize(
    ("minutes", "lead"),
    [
        (0, 5),
        (5, 5),
        (5.1, 60),
        (60, 60),
        (60.1, 120),
        (120, 120),
        (120.1, 240),
        (240, 240),
        (240.1, 480),
        (479, 480),
    ],
)
def test_leads(eight: duckdb.DuckDBPyConnection, minutes: float, lead: int) -> None:
    seen(eight, 16 - minutes * MINUTE)
    assert leads(eight) == {lead: 1}


def test_the_boundary_is_the_next_of_the_interval_s_grid(
    eight: duckdb.DuckDBPyConnection,
) -> None:
    seen(eight, 8 + 1 * MINUTE, -1e-4)
    assert errors(eight)[480][:2] == (1, 0.0), "of the settlement at 16:00, not that of 8:00"


def test_a_time_that_the_exchange_told_goes_before_the_grid() -> None:
    with world.memory() as connection:
        store(connection, {"deribit/BTC": series((10, 2e-4, 8), (18, 3e-4, 8))})
        seen(connection, 17, 2e-4)  # the grid says 24:00, where nothing settled
        assert leads(connection) == {}
        for second in (-4, 0, 90):
            seen(connection, 17, 2e-4, told=at(18) + timedelta(seconds=second))
        assert leads(connection) == {60: 3}
        assert errors(connection)[60][1] == pytest.approx(-1e-4, rel=1e-12)


def test_a_whole_day_ahead_counts_and_more_does_not(eight: duckdb.DuckDBPyConnection) -> None:
    seen(eight, -8, told=at(16))
    assert leads(eight) == {1440: 1}
    seen(eight, -8.1, told=at(16))
    assert leads(eight) == {1440: 1}


def test_left_out(eight: duckdb.DuckDBPyConnection) -> None:
    put(eight, {1: [Row(at(32), 1e-4, 8)]}, kind="recorded")
    seen(eight, 12 - 4 * MINUTE, interval=4)  # nothing settled then
    seen(eight, 16 - 4 * MINUTE, interval=4)  # settled for 8 h
    seen(eight, 32 - 4 * MINUTE)  # the settlement was made of this very sample
    seen(eight, 40 - 4 * MINUTE)  # not settled yet
    seen(eight, 16.5, told=at(16))  # the exchange told a time that had passed
    assert leads(eight) == {}


def test_the_last_30_days_count_to_the_newest_sample(eight: duckdb.DuckDBPyConnection) -> None:
    seen(eight, 8 - 4 * MINUTE)
    seen(eight, 24 - 4 * MINUTE)
    seen(eight, 16 + 30 * 24)
    assert leads(eight) == {5: 1}


def test_an_exchange_weighs_samples_and_keeps_to_itself() -> None:
    with world.memory() as connection:
        store(
            connection,
            {
                "a/BTC": series((8, 0.0, 8), (16, 0.0, 8)),
                "a/ETH": series((8, 1e-4, 8)),
                "b/BTC": series((8, 0.0, 8)),
            },
        )
        early = at(8 - 4 * MINUTE)
        predict(
            connection,
            (1, early, 1e-4, 8, None),
            (1, at(16 - 4 * MINUTE), 1e-4, 8, None),
            (2, early, 5e-4, 8, None),
            (3, early, 9e-4, 8, None),
        )
        found = connection.execute(
            """SELECT exchange, markets, samples, mean_error, root_mean_square_error,
            sign_right_share FROM forecast_errors ORDER BY ALL"""
        ).fetchall()
        assert [row[:3] for row in found] == [("a", 2, 3), ("b", 1, 1)]
        assert [row[3] for row in found] == pytest.approx([2e-4, 9e-4], rel=1e-12)
        assert [row[4] for row in found] == pytest.approx([math.sqrt(6e-8), 9e-4], rel=1e-12)
        assert [row[5] for row in found] == pytest.approx([1 / 3, 0], rel=1e-12)
        each = connection.execute(
            """SELECT exchange, market, symbol, asset, samples, mean_error
            FROM market_forecast_errors ORDER BY ALL"""
        ).fetchall()
        assert [row[:5] for row in each] == [
            ("a", "BTC", "BTC-", "BTC", 2),
            ("a", "ETH", "ETH-", "ETH", 1),
            ("b", "BTC", "BTC-", "BTC", 1),
        ]
        assert [row[5] for row in each] == pytest.approx([1e-4, 4e-4, 9e-4], rel=1e-12)


def by_hand(
    markets: dict[int, list[Row]], samples: list[Sample]
) -> dict[tuple[int, int], list[tuple[Fraction, int, bool]]]:
    """(error, interval, sign right) by market and lead."""
    newest = max(observed for _, observed, *_ in samples)
    found = defaultdict(list)
    for market_id, observed, rate, hours, told in samples:
        if observed <= newest - timedelta(days=30):
            continue
        boundary = told
        if boundary is None:
            boundary = observed.replace(hour=0, minute=0, second=0, microsecond=0)
            while boundary < observed:
                boundary += timedelta(hours=hours)
        lead = (boundary - observed).total_seconds() / 60
        for row in markets[market_id]:
            if row.time == boundary and row.interval == hours and 0 <= lead <= 1440:
                bucket = next(limit for limit in BUCKETS if lead <= limit)
                right = (rate > 0) - (rate < 0) == (row.rate > 0) - (row.rate < 0)
                found[market_id, bucket].append((Fraction(rate - row.rate), hours, right))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_equals_an_independent_loop_in_any_time_zone(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    intervals = {1: 8, 2: 4, 3: 1, 4: 24}
    rates = (0.0, 1e-4, -1e-4, 3e-5, -2.5e-3)
    markets = {
        market: [
            Row(at(hour), chance.choice(rates), hours)
            for hour in range(hours, 34 * 24, hours)
            if chance.random() > 0.1
        ]
        for market, hours in intervals.items()
    }
    samples: list[Sample] = []
    for _ in range(1500):
        market = chance.randint(1, 4)
        observed = at(0) + timedelta(minutes=chance.randint(0, 34 * 24 * 60))
        told = chance.choice([None, None, *(row.time for row in markets[market][::7])])
        hours = intervals[market] if chance.random() > 0.1 else 2
        samples.append((market, observed, chance.choice(rates), hours, told))
    database = Database(Settings(data_dir=tmp_path))
    with database.open() as connection:
        store(connection, {f"x/M{market}": rows for market, rows in markets.items()})
        predict(connection, *samples)
    publish(database)
    with duckdb.connect(str(database.read_path), read_only=True) as connection:
        connection.execute(f"SET TimeZone = '{('America/New_York', 'Asia/Kathmandu')[seed % 2]}'")
        found = connection.execute(
            """SELECT CAST(market[2:] AS INTEGER), lead_minutes, samples, mean_error,
            mean_absolute_error, root_mean_square_error, sign_right_share, mean_absolute_error_apr
            FROM market_forecast_errors"""
        ).fetchall()
    expected = by_hand(markets, samples)
    assert {(market, lead) for market, lead, *_ in found} == expected.keys()
    assert len(expected) >= 12
    for market, lead, *figures in found:
        all_of_them = expected[market, lead]
        number = len(all_of_them)
        sizes = [abs(error) for error, *_ in all_of_them]
        exact = [
            number,
            sum(error for error, *_ in all_of_them) / number,
            sum(sizes) / number,
            math.sqrt(sum(size**2 for size in sizes) / number),
            Fraction(sum(right for *_, right in all_of_them), number),
            sum(abs(error) / hours for error, hours, _ in all_of_them) / number * 8760,
        ]
        assert figures == pytest.approx([float(figure) for figure in exact], rel=1e-11, abs=1e-20)
