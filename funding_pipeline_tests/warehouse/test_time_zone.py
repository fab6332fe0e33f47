"""The machine's time zone changes nothing: not a row, not a day, not a bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def tables(zone: str, folder: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "funding_pipeline_tests.warehouse.one_run", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TZ": zone, "PYTHONPATH": str(PROJECT)},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def in_utc(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tables("UTC", tmp_path_factory.mktemp("utc"))


def test_the_run_holds_what_the_comparison_needs(in_utc: str) -> None:
    assert in_utc.count("funding_rates (") == 14 * 3 + 240
    assert in_utc.count("daily_stats (") == 15 + 11
    assert "moving_averages (" in in_utc


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_another_time_zone_gives_identical_tables(zone: str, in_utc: str, tmp_path: Path) -> None:
    assert tables(zone, tmp_path) == in_utc
