"""Derived tables of recorded settlements, with their real interval changes and holes."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from funding_pipeline.transforms.daily import daily_stats

from .hour_by_hour import FOREVER, HOUR, Row, at, lives_frame, settlements_frame
from .test_daily import check_day
from .test_moving_averages import check_against_definition

NOW = at(24 * 31)


@pytest.fixture
def markets(recorded_dir: Path) -> dict[int, list[Row]]:
    """Bybit's settlements stamped within January 2025, by a number for each market."""
    stamp = pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us")).dt.truncate("1h")
    recorded = (
        pl.scan_parquet(recorded_dir / "bybit.parquet")
        .select("market", "rate", time=stamp, hours=pl.col("interval_hours").cast(pl.Int64))
        .filter(pl.col("time") > at(0), pl.col("time") <= NOW)
        .unique(["market", "time"])
        .sort("market", "time")
        .collect()
    )
    groups = recorded.partition_by("market", maintain_order=True)
    return {
        number: [Row(*row) for row in group.select("time", "rate", "hours").iter_rows()]
        for number, group in enumerate(groups)
    }


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
