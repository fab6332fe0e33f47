"""Recorded data through sandbox, engine and warehouse: exactly the recording comes out."""

from pathlib import Path

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.end_to_end.conftest import Month
from funding_pipeline_tests.end_to_end.support import collect, compare, ms, sandbox_settings

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("exchange", ["hyperliquid", "bybit"])


@BOTH
def test_a_month_is_the_recording_exactly_once_and_nothing_else(
    may_2025: Month, recorded_dir: Path, exchange: str
) -> None:
    found = compare(may_2025.settings.read_path, recorded_dir, exchange, may_2025.window)
    assert found.exact, found
    assert found.stored == {"hyperliquid": 89_034, "bybit": 25_435}[exchange]


@BOTH
def test_the_first_report_tells_what_was_stored(may_2025: Month, exchange: str) -> None:
    report = may_2025.first[exchange]
    assert (report.outcome, report.counts.changed, report.counts.quarantined) == ("complete", 0, 0)
    assert report.counts.new == {"hyperliquid": 89_034, "bybit": 25_435}[exchange]
    assert report.traffic.requests == may_2025.first_requests[exchange]["requests"]
    assert report.traffic.retries == 0


def test_hyperliquid_needs_two_history_requests_for_a_full_month_of_a_coin(
    may_2025: Month,
) -> None:
    """744 hours in pages of 500; the coins listed in the middle of the month need fewer."""
    asked = may_2025.first_requests["hyperliquid"]["endpoints"]["fundingHistory"]
    assert asked <= 2 * may_2025.first["hyperliquid"].markets_asked


@BOTH
def test_the_same_month_again_changes_nothing_and_asks_no_history(
    may_2025: Month, exchange: str
) -> None:
    report = may_2025.again[exchange]
    assert (report.outcome, report.counts.new, report.counts.changed) == ("complete", 0, 0)
    assert report.markets_asked == 0
    asked = may_2025.again_requests[exchange]["endpoints"]
    assert asked
    assert not {"fundingHistory", "funding/history"} & asked.keys()
    assert report.seconds < 5


WINDOWS = {
    "bybit January 2025: 96 interval changes": ("bybit", (2025, 1, 1), (2025, 2, 1)),
    "hyperliquid turns hourly on 2023-06-08": ("hyperliquid", (2023, 6, 5), (2023, 6, 11)),
    "hyperliquid 24 min late on 2023-05-23": ("hyperliquid", (2023, 5, 22), (2023, 5, 25)),
    "hyperliquid hole of 2023-08-23 20h": ("hyperliquid", (2023, 8, 22), (2023, 8, 25)),
    "hyperliquid hole of 2024-08-15 13h": ("hyperliquid", (2024, 8, 14), (2024, 8, 17)),
    "hyperliquid 15 min late on 2025-07-19": ("hyperliquid", (2025, 7, 18), (2025, 7, 21)),
    "hyperliquid with its HIP-3 markets": ("hyperliquid", (2026, 3, 1), (2026, 4, 1)),
}


@pytest.mark.parametrize(("exchange", "start", "end"), WINDOWS.values(), ids=WINDOWS.keys())
def test_known_traps_are_exact(
    exchange: str,
    start: tuple[int, int, int],
    end: tuple[int, int, int],
    recorded_url: str,
    recorded_dir: Path,
    tmp_path: Path,
) -> None:
    settings = sandbox_settings(tmp_path / "data", recorded_url)
    window = Window(ms(*start), ms(*end))
    report = collect(settings, window, [exchange])[exchange]
    assert report.outcome == "complete", report.summary()
    publish(Database(settings))
    found = compare(settings.read_path, recorded_dir, exchange, window)
    assert found.exact, found


def test_every_side_of_the_bybit_changes_is_right_when_collected_in_small_windows(
    recorded_url: str, recorded_dir: Path, tmp_path: Path
) -> None:
    """Three-day windows, in a mixed order: an edge near every change, contexts on both sides."""
    settings = sandbox_settings(tmp_path / "data", recorded_url)
    days = [*range(1, 31, 6), *range(28, 0, -6)]
    for day in days:
        window = Window(ms(2025, 1, day), ms(2025, 1, day) + 3 * 86_400_000)
        report = collect(settings, window, ["bybit"])["bybit"]
        assert report.outcome == "complete", report.summary()
    whole = Window(ms(2025, 1, 1), ms(2025, 1, 31))
    publish(Database(settings))
    found = compare(settings.read_path, recorded_dir, "bybit", whole)
    assert found.exact, found


def test_the_hole_has_no_row_and_the_hour_after_it_pays_one_hour(
    recorded_url: str, tmp_path: Path
) -> None:
    settings = sandbox_settings(tmp_path / "data", recorded_url)
    collect(settings, Window(ms(2024, 8, 15), ms(2024, 8, 16)), ["hyperliquid"], ["BTC"])
    with Database(settings).open() as connection:
        rows = connection.execute(
            """SELECT extract(hour FROM funding_time), interval_hours, covered_hours
            FROM settlements WHERE extract(hour FROM funding_time) BETWEEN 12 AND 14 ORDER BY 1"""
        ).fetchall()
    assert rows == [(12, 1, 1), (14, 1, 1)]


def test_late_stamps_keep_their_lateness_and_are_events(recorded_url: str, tmp_path: Path) -> None:
    settings = sandbox_settings(tmp_path / "data", recorded_url)
    collect(settings, Window(ms(2025, 7, 19), ms(2025, 7, 20)), ["hyperliquid"], ["BTC"])
    with Database(settings).open() as connection:
        late = connection.execute(
            "SELECT hour(funding_time), lag_ms // 60000 FROM settlements WHERE lag_ms > 120000"
        ).fetchall()
        events = connection.execute(
            "SELECT kind, market FROM events WHERE market IS NOT NULL"
        ).fetchall()
    assert late == [(10, 14)]
    assert events == [("late stamp", "BTC")]


def test_the_published_file_needs_no_pipeline_to_be_read(may_2025: Month) -> None:
    """Symbols unified, rates never scaled, direction named."""
    with duckdb.connect(str(may_2025.settings.read_path), read_only=True) as connection:
        rows = connection.execute(
            """SELECT DISTINCT m.exchange, m.market, m.symbol, m.multiplier, m.quote
            FROM markets m WHERE m.symbol = 'PEPE' ORDER BY ALL"""
        ).fetchall()
        odd = connection.execute(
            """SELECT count(*) FROM funding_rates WHERE direction <> CASE
            WHEN rate > 0 THEN 'long' WHEN rate < 0 THEN 'short' ELSE 'none' END
            OR rate <> CAST(raw_rate AS DOUBLE)"""
        ).fetchall()
    assert ("bybit", "1000PEPEUSDT", "PEPE", 1000, "USDT") in rows
    assert ("hyperliquid", "kPEPE", "PEPE", 1000, "USD") in rows
    assert odd == [(0,)]
