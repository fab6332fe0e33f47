"""The real holes of the recordings are found, and nothing else.

What to find is counted here from the recorded files alone: stamps rounded to hours, steps between
them, and for HTX, whose settlements come at odd hours, a list by hand.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.warehouse.database import (
    Database,
    milliseconds,
    timestamp,
    transaction,
    utc_now,
)
from funding_pipeline.warehouse.gaps import rescan
from funding_pipeline_tests.end_to_end.support import collect, ms, sandbox_settings

pytestmark = pytest.mark.slow

# market, first and last missing hour, number
Hole = tuple[str, datetime, datetime, int]


def recorded_hours(folder: Path, exchange: str, window: Window) -> dict[str, list[datetime]]:
    """Whole hours at which each market settled within the window."""
    hour = (pl.col("time").dt.replace_time_zone(None) + pl.duration(seconds=5)).dt.truncate("1h")
    frame = pl.read_parquet(folder / f"{exchange}.parquet").select("market", hour.alias("hour"))
    start, end = timestamp(window.start_ms), timestamp(window.end_ms)
    inside = frame.filter((pl.col("hour") >= start) & (pl.col("hour") < end))
    return {
        str(part["market"][0]): sorted(part["hour"].to_list())
        for part in inside.partition_by("market")
    }


def hourly_holes(hours: dict[str, list[datetime]]) -> set[Hole]:
    """Every hour between a market's first and last one that it did not settle."""
    one = timedelta(hours=1)
    return {
        (market, before + one, after - one, (after - before) // one - 1)
        for market, settled in hours.items()
        for before, after in pairwise(settled)
        if after - before > one
    }


def found(
    url: str, folder: Path, exchange: str, window: Window
) -> tuple[set[Hole], dict[Hole, str], list[str]]:
    """The gaps between settlements that the pipeline finds, their reasons, and the events."""
    settings = sandbox_settings(folder / "data", url)
    report = collect(settings, window, [exchange])[exchange]
    assert report.outcome == "complete", report.summary()
    with Database(settings).open() as connection:
        with transaction(connection):
            rescan(connection, now=utc_now())
        gaps = connection.execute(
            """SELECT market, first_missing, last_missing, missing, reason
            FROM gaps JOIN markets m USING (exchange, market)
            WHERE first_missing < m.last_settlement"""
        ).fetchall()
        events = connection.execute(
            "SELECT detail FROM events WHERE kind = 'gap found' ORDER BY exchange"
        ).fetchall()
    reasons = {(market, *rest): reason for market, *rest, reason in gaps}
    return set(reasons), reasons, [detail for (detail,) in events]


HYPERLIQUID = {
    "20h on 2023-07-02": ((2023, 7, 1), (2023, 7, 4), 17, 17),
    "20h on 2023-08-23": ((2023, 8, 22), (2023, 8, 25), 25, 25),
    "13h on 2024-08-15": ((2024, 8, 14), (2024, 8, 17), 82, 82),
    "nothing in a month": ((2024, 10, 1), (2024, 11, 1), 0, 0),
    "the empty month of 2025": ((2025, 7, 20), (2025, 8, 25), 15, 8_506),
}


@pytest.mark.parametrize(
    ("start", "end", "holes", "missing"), HYPERLIQUID.values(), ids=HYPERLIQUID.keys()
)
def test_hyperliquid(
    start: tuple[int, int, int],
    end: tuple[int, int, int],
    holes: int,
    missing: int,
    recorded_url: str,
    recorded_dir: Path,
    tmp_path: Path,
) -> None:
    window = Window(ms(*start), ms(*end))
    gaps, reasons, events = found(recorded_url, tmp_path, "hyperliquid", window)
    assert gaps == hourly_holes(recorded_hours(recorded_dir, "hyperliquid", window))
    assert (len(gaps), sum(gap[3] for gap in gaps)) == (holes, missing)
    for (_, first, *_), reason in reasons.items():
        # Four markets stopped an hour before the others did.
        alone = first == datetime(2025, 7, 26, 4)
        assert reason == ("answered empty" if alone else "exchange outage")
    assert len(events) <= 1, "one event, however many markets"


def test_kraken_two_and_three_hour_gaps_and_nothing_else(
    recorded_dir: Path, tmp_path: Path
) -> None:
    """Its last year, which is all that it keeps, moved up to the present."""
    moved = load_dataset(recorded_dir, shift_to_now=True)
    days = timedelta(days=moved.shift_days["kraken"])
    now = utc_now().replace(minute=0, second=0, microsecond=0)
    window = Window(milliseconds(now - timedelta(days=364)), milliseconds(now))
    with running_sandbox(moved, limits=False) as url:
        gaps, _, _ = found(url, tmp_path, "kraken", window)
    back = days // timedelta(milliseconds=1)
    recorded = Window(window.start_ms - back, window.end_ms - back)
    expected = {
        (first + days, last + days, number)
        for _, first, last, number in hourly_holes(recorded_hours(recorded_dir, "kraken", recorded))
    }
    assert {gap[1:] for gap in gaps} == expected
    assert {gap[3] for gap in gaps} == {1, 2}
    assert len({gap[0] for gap in gaps}) == 5


def test_htx_odd_steps_are_none_and_its_day_without_settlement_is(
    recorded_url: str, tmp_path: Path
) -> None:
    """Steps of 3, 5, 6, 7, 9, 10 and 11 h; one of 24 h, in which two settlements lack."""
    window = Window(ms(2021, 1, 1), ms(2024, 1, 1))
    gaps, reasons, _ = found(recorded_url, tmp_path, "htx", window)
    lacking = (datetime(2021, 2, 19, 16), datetime(2021, 2, 20, 0), 2)
    assert gaps == {(market, *lacking) for market in ("BTC-USDT", "ETH-USDT")}
    assert set(reasons.values()) == {"exchange outage"}


@pytest.mark.parametrize("exchange", ["bybit", "kucoin", "mexc"])
def test_interval_changes_are_no_holes(exchange: str, recorded_url: str, tmp_path: Path) -> None:
    """bybit: 96 changes in January 2025."""
    span = ((2025, 1, 1), (2025, 2, 1)) if exchange == "bybit" else ((2021, 1, 1), (2024, 1, 1))
    start, end = span
    gaps, _, _ = found(recorded_url, tmp_path, exchange, Window(ms(*start), ms(*end)))
    assert gaps == set()
