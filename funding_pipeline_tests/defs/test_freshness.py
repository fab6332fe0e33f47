"""The check `fresh`: from the database, whatever was materialised or not."""

from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from funding_pipeline.defs.freshness import FRESH, FRESHNESS
from funding_pipeline.defs.jobs import BACKFILL, HOURLY, SWEEP
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, milliseconds
from funding_pipeline_tests.defs.ticks import live_market

NOW = datetime(2026, 3, 10, 12, 20)
HOUR = timedelta(hours=1)


def settled(exchange: str, market: str, hours: int, last: datetime | None) -> None:
    live_market(exchange, market)
    with Database(Settings()).open() as connection:
        connection.execute(
            "UPDATE base.markets SET interval_hours = ?, last_settlement = ? WHERE market = ?",
            [hours, last, market],
        )


def looked_at(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[bool, str, Any]]:
    """Passed, severity and the named markets, by exchange; the job of the schedule."""
    monkeypatch.setattr(Pipeline, "now_ms", lambda self: milliseconds(NOW))
    job = definitions.resolve_job_def(FRESHNESS)
    result = job.execute_in_process(instance=instance)
    assert result.success, "a failing check leaves its run green"
    assert not result.get_asset_materialization_events()
    return {
        e.asset_key.to_user_string(): (
            e.passed,
            e.severity.value,
            e.metadata["overdue"].value if "overdue" in e.metadata else None,
        )
        for e in result.get_asset_check_evaluations()
        if e.check_name == FRESH
    }


def test_fresh_markets_pass_and_a_stopped_one_warns(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled("bybit", "A", 8, NOW.replace(hour=8, minute=0))
    for n in range(10):
        settled("hyperliquid", f"H{n}", 1, NOW.replace(minute=0))
    settled("hyperliquid", "STOPPED", 1, NOW.replace(hour=9, minute=0))
    assert looked_at(definitions, instance, monkeypatch) == {
        "bybit": (True, "WARN", None),
        "hyperliquid": (False, "WARN", "STOPPED since 2026-03-10 11:00:00"),
    }


def test_where_nothing_runs_at_all_the_check_fails(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old partitions materialised just now do not help."""
    instance.report_runless_asset_event(
        dg.AssetMaterialization("hyperliquid", partition="2026-01-01")
    )
    settled("hyperliquid", "H", 1, NOW - 30 * HOUR)
    found = looked_at(definitions, instance, monkeypatch)
    assert found["hyperliquid"][:2] == (False, "ERROR")
    assert found["bybit"][:2] == (False, "WARN"), "never collected"


def test_runs_that_collect_do_not_judge_freshness(definitions: dg.Definitions) -> None:
    for name in (HOURLY, SWEEP, BACKFILL):
        keys = definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        names = {key.name for key in keys}
        assert names and FRESH not in names
    keys = definitions.resolve_job_def(FRESHNESS).asset_layer.asset_graph.asset_check_keys
    assert {key.name for key in keys} == {FRESH}
    assert len(keys) == 2
