"""`funding release`: what is held is told, let go, derived and published."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from funding_pipeline.cli import backfill
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.cli.conftest import Run
from funding_pipeline_tests.warehouse.test_holds import FAULTY, NOW, X100, fill, history


@pytest.fixture
def held_database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr("funding_pipeline.warehouse.database.utc_now", lambda: NOW)
    monkeypatch.setattr(backfill, "utc_now", lambda: NOW + timedelta(minutes=5))
    database = Database(Settings(data_dir=Path("data")))
    fill(database, history(9, {FAULTY: 100.0}), NOW)
    derive(database, now=NOW)
    return database


def test_what_is_held_is_told_with_its_reason(held_database: Database, run: Run) -> None:
    result = run("release")
    assert result.exit_code == 0
    assert f"{FAULTY}: held since 2025-03-10 01:00 UTC" in result.output
    assert X100 in result.output and "100 times the interest" in result.output


def test_released_it_is_published(held_database: Database, run: Run) -> None:
    result = run("release", FAULTY, "--note", "looked at")
    assert result.exit_code == 0, result.output
    assert f"{FAULTY}: released ({X100})" in result.output
    with duckdb.connect(str(held_database.read_path), read_only=True) as published:
        found = published.execute("SELECT DISTINCT exchange FROM latest_rates").fetchall()
        assert (FAULTY,) in found
        assert published.execute("SELECT note FROM holds").fetchall() == [("looked at",)]
    assert "nothing is held" in run("release").output


def test_another_exchange_is_refused(held_database: Database, run: Run) -> None:
    result = run("release", "two")
    assert result.exit_code == 2
    assert "two is not held" in result.output
