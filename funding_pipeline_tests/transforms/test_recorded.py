"""Derived tables of recorded settlements, with their real interval changes and holes."""

from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from funding_pipeline.transforms.daily import daily_stats

from .hour_by_hour import FOREVER, HOUR, Row, at, lives_frame, settlements_frame
from .test_daily import around, check_day
from .test_moving_averages import check_against_definition
from .test_seasonality import check_slots, figures

NOW = at(24 * 31)


def recorded(path: Path, start: datetime, end: datetime, every: int = 1) -> list[list[Row]]:
    """Settlements stamped within (start, end], market by market; every n-th market."""
    stamp = pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us")).dt.truncate("1h")
    rows = (
        pl.scan_parquet(path)
        .select("market", "rate", time=stamp, hours=pl.col("interval_hours").cast(pl.Int64))
        .filter(pl.col("time") > start, pl.col("time") <= end)
        .unique(["market", "time"])
        .sort("market", "time")
        .collect()
    )
    return [
        [Row(*row) for row in group.select("time", "rate", "hours").iter_rows()]
        for group in rows.partition_by("market", maintain_order=True)[::every]
    ]


@pytest.fixture
def markets(recorded_dir: Path) -> dict[int, list[Row]]:
    """Bybit's settlements of January 2025, by a number for each market."""
    return dict(enumerate(recorded(recorded_dir / "bybit.parquet", at(0), NOW)))


def interval_changes(rows: list[Row]) -> list[datetime]:
    return [after.time for before, after in pairwise(rows) if before.interval != after.interval]


def test_daily_statistics(markets: dict[int, list[Row]]) -> None:
    stats = daily_stats(settlements_frame(markets), lives_frame({}), now=NOW)
    assert stats["settlements"].sum() == sum(map(len, markets.values()))
    for row in stats.iter_rows(named=True):
        check_day(row, markets[row["market_id"]], FOREVER, NOW)


def test_moving_averages_around_interval_changes(markets: dict[int, list[Row]]) -> None:
    changes = {market: interval_changes(rows) for market, rows in markets.items()}
    assert sum(map(len, changes.values())) >= 90
    points = {
        (market, time)
        for market, times in changes.items()
        for change in times
        for time in (change - HOUR, change + 5 * HOUR, NOW)
    }
    check_against_definition(markets, dict.fromkeys(markets, FOREVER), sorted(points))


@pytest.mark.slow
def test_daily_statistics_of_seven_months_of_two_exchanges(recorded_dir: Path) -> None:
    """2024-10-01 to 2025-05-15, every tenth market: 8 h to 1 h, changing, and always 1 h."""
    start, end = datetime(2024, 10, 1), datetime(2025, 5, 15)
    found = [
        rows
        for name in ("bybit", "hyperliquid")
        for rows in recorded(recorded_dir / f"{name}.parquet", start, end, every=10)
    ]
    markets = dict(enumerate(found))
    assert sum(len(interval_changes(rows)) for rows in found) >= 10
    stats = daily_stats(settlements_frame(markets), lives_frame({}), now=end)
    assert stats["settlements"].sum() == sum(map(len, found))
    assert stats.height > 5000
    for row in stats.iter_rows(named=True):
        check_day(row, around(markets[row["market_id"]], row["day"]), FOREVER, end)


@pytest.mark.slow
def test_seasonality(recorded_dir: Path) -> None:
    start, as_of = datetime(2025, 1, 20), date(2025, 5, 1)
    for name in ("bybit", "hyperliquid"):
        found = recorded(recorded_dir / f"{name}.parquet", start, datetime(2025, 5, 3), every=20)
        markets = dict(enumerate(found))
        slots = figures(markets, {}, as_of, 90)
        assert len(slots) > 31 * len(markets) / 2
        for market, rows in markets.items():
            mine = {key: row for key, row in slots.items() if key[0] == market}
            check_slots(mine, rows, FOREVER, as_of, 90)
