"""What the command line collected shows in Dagster."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from funding_pipeline.collection.report import LoadReport
from funding_pipeline.defs.partitions import day_window
from funding_pipeline.defs.report import report_backfill


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    yield tmp_path


def test_collected_days_count_as_materialised_and_failed_exchanges_do_not(home: Path) -> None:
    window = day_window(["2026-03-01", "2026-03-02"])
    good = LoadReport("bybit", window)
    bad = LoadReport("hyperliquid", window, outcome="failed", error="unreachable")
    assert report_backfill([good, bad], window) == 2
    with dg.DagsterInstance.get() as instance:
        days = instance.get_materialized_partitions(dg.AssetKey("bybit"))
        assert days == {"2026-03-01", "2026-03-02"}
        assert not instance.get_materialized_partitions(dg.AssetKey("hyperliquid"))
        assert instance.get_latest_materialization_event(dg.AssetKey("read_database"))
