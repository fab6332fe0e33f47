"""Signals and stability of recorded settlements, with their real intervals, changes and holes."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from . import test_signals, test_stability
from .hour_by_hour import FOREVER, HOUR, Row

pytestmark = pytest.mark.slow

END = datetime(2025, 5, 15)
MARKETS = 24


def recorded(folder: Path, exchange: str, columns: int) -> list[list[Row]]:
    """The 100 days before `END` of some markets, those whose interval changed most often first."""
    stamp = pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us")).dt.truncate("1h")
    frame = (
        pl.scan_parquet(folder / f"{exchange}.parquet")
        .select("market", "rate", time=stamp, hours=pl.col("interval_hours").cast(pl.Int64))
        .filter(pl.col("time") > END - 2400 * HOUR, pl.col("time") <= END)
        .unique(["market", "time"])
        .sort("market", "time")
        .collect()
    )
    series = [
        [Row(*row) for row in group.select("time", "rate", "hours").iter_rows()]
        for group in frame.partition_by("market", maintain_order=True)
    ]
    series.sort(key=lambda rows: -sum(a.interval != b.interval for a, b in pairwise(rows)))
    return series[:columns]


@pytest.fixture(scope="module")
def markets(recorded_dir: Path) -> dict[int, list[Row]]:
    found = recorded(recorded_dir, "bybit", MARKETS) + recorded(recorded_dir, "hyperliquid", 6)
    return dict(enumerate(found, start=1))


def test_the_recording_has_what_is_hard(markets: dict[int, list[Row]]) -> None:
    changing = [
        rows
        for rows in markets.values()
        if any(a.interval != b.interval for a, b in pairwise(rows))
    ]
    assert len(changing) >= 10
    assert any(row.rate < 0 for rows in markets.values() for row in rows)


def test_signals_of_the_newest_settlements(markets: dict[int, list[Row]]) -> None:
    test_signals.check_against_definition(markets, dict.fromkeys(markets, FOREVER))


def test_stability_at_midnight_and_in_the_midst_of_periods(markets: dict[int, list[Row]]) -> None:
    lives = dict.fromkeys(markets, FOREVER)
    for hours in (0, 29):
        points = {
            market: rows[-1].time.replace(hour=0) - hours * HOUR for market, rows in markets.items()
        }
        test_stability.check_against_definition(markets, lives, points)
