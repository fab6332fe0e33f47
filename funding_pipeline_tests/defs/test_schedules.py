"""Sweep and estimates: when they run, over what, and when they rather do not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import yaml

from funding_pipeline.defs.ingest import _reason
from funding_pipeline.defs.jobs import BACKFILL, ESTIMATES, HOURLY, SWEEP
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.sandbox.faults import FaultPlan, parse_faults
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.warehouse.database import milliseconds
from funding_pipeline_tests.defs.ticks import days_of, execute, tick

AT = datetime(2026, 3, 10, 6, 27, tzinfo=UTC)
CONFIG = Path(__file__).resolve().parents[2] / "dagster.yaml"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time at which ticks are evaluated; change its one element."""
    now = [AT]
    monkeypatch.setattr(Pipeline, "now_ms", lambda self: milliseconds(now[0].replace(tzinfo=None)))
    return now


def test_a_sweep_asks_again_for_the_days_of_the_last_48_hours(
    definitions: dg.Definitions, instance: dg.DagsterInstance, clock: list[datetime]
) -> None:
    request = tick(definitions, instance, "sweep", AT)
    assert isinstance(request, dg.RunRequest)
    assert days_of(request) == ("2026-03-08", "2026-03-10")
    assert request.tags["funding/reason"] == "sweep"
    config = {"collect_settlements": {"config": {"refetch": True, "markets": []}}}
    assert request.run_config["ops"] == config


def test_no_sweep_while_another_runs_nor_one_that_the_next_has_overtaken(
    definitions: dg.Definitions, instance: dg.DagsterInstance, clock: list[datetime]
) -> None:
    clock[0] = AT + timedelta(hours=6)
    assert "due already" in str(tick(definitions, instance, "sweep", AT))
    clock[0] = AT + timedelta(hours=5)
    assert isinstance(tick(definitions, instance, "sweep", AT), dg.RunRequest)
    job = definitions.resolve_job_def(SWEEP)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert "still sweeping" in str(tick(definitions, instance, "sweep", AT))


@pytest.mark.parametrize("job", [SWEEP, BACKFILL, ESTIMATES])
def test_neither_sweep_nor_backfill_nor_sample_makes_the_hourly_tick_skip(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str
) -> None:
    instance.create_run_for_job(
        definitions.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED
    )
    assert isinstance(tick(definitions, instance, "hourly", AT), dg.RunRequest)


@pytest.mark.slow
def test_a_sweep_sees_a_correction_and_logs_it(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    now = datetime.now(UTC)
    request = tick(definitions, instance, "hourly", now)
    assert isinstance(request, dg.RunRequest)
    assert execute(definitions, instance, HOURLY, request).success
    with duckdb.connect(str(data_dir / "history.duckdb")) as connection:
        connection.execute(
            """UPDATE settlements SET rate = rate + 1, raw_rate = 'wrong'
            WHERE funding_time = (SELECT max(funding_time) FROM settlements
                                  WHERE funding_time < ?)""",
            [now.replace(tzinfo=None) - timedelta(hours=1)],
        )
    request = tick(definitions, instance, "sweep", now)
    assert isinstance(request, dg.RunRequest)
    assert execute(definitions, instance, SWEEP, request).success
    with duckdb.connect(str(data_dir / "history.duckdb"), read_only=True) as connection:
        assert connection.sql(
            "SELECT count(*) FROM settlements WHERE raw_rate = 'wrong'"
        ).fetchall() == [(0,)]
        revised = connection.sql(
            """SELECT DISTINCT l.reason, r.raw_rate FROM rate_revisions r
            JOIN loads l ON l.load_id = r.revised_by"""
        ).fetchall()
    assert revised == [("sweep", "wrong")]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "manual"),
        ({"funding/reason": "nonsense"}, "manual"),
        ({"dagster/backfill": "x"}, "backfill"),
        *[({"funding/reason": reason}, reason) for reason in ("tick", "sweep", "backfill")],
    ],
)
def test_a_load_knows_why_it_ran(tags: dict[str, str], reason: str) -> None:
    assert _reason(tags) == reason


def test_a_sample_is_taken_before_the_hour_or_not_at_all(
    definitions: dg.Definitions, instance: dg.DagsterInstance, clock: list[datetime]
) -> None:
    due = datetime(2026, 3, 10, 6, 56, tzinfo=UTC)
    clock[0] = due + timedelta(minutes=3, seconds=59)
    assert isinstance(tick(definitions, instance, "estimates", due), dg.RunRequest)
    clock[0] = due + timedelta(minutes=4)
    assert "has begun" in str(tick(definitions, instance, "estimates", due))
    clock[0] = due
    job = definitions.resolve_job_def(ESTIMATES)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert "still sampling" in str(tick(definitions, instance, "estimates", due))


def sample(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(ESTIMATES).execute_in_process(
        instance=instance, raise_on_error=False
    )


@pytest.mark.slow
def test_a_sample_is_stored_told_and_published_at_once(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    result = sample(definitions, instance)
    assert result.success
    event, published = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["markets"] == 10
    assert metadata["markets_by_exchange"] == {"hyperliquid": 5, "bybit": 5}
    assert metadata["requests"] > 0  # type: ignore[operator]
    assert metadata["exchanges_failed"] == 0
    assert published.materialization.metadata["newest_settlement"].value == "none yet"
    with duckdb.connect(str(data_dir / "read.duckdb"), read_only=True) as connection:
        rows = connection.sql(
            "SELECT exchange, count(*) FROM predicted_rates GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert rows == [("bybit", 5), ("hyperliquid", 5)]


@pytest.mark.slow
def test_one_exchange_without_estimates_is_a_warning(
    bybit_down: str, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = sample(definitions, instance)
    assert result.success
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["exchanges_failed"].value == 1
    assert "blocked from this location" in str(metadata["failures"].value)
    assert metadata["markets"].value == 5


@pytest.mark.slow
def test_no_estimates_from_anybody_is_a_failure_and_nothing_is_published(
    data_dir: Path,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = FaultPlan(
        parse_faults(
            '[{"kind": "geo_block", "exchange": "bybit"},'
            ' {"kind": "geo_block", "exchange": "hyperliquid"}]'
        )
    )
    with running_sandbox(load_dataset(None, markets=5), faults=faults) as url:
        monkeypatch.setenv("FUNDING_SANDBOX_URL", url)
        result = sample(definitions, instance)
    assert not result.success
    assert result.get_asset_materialization_events() == []
    assert not (data_dir / "read.duckdb").exists()


def test_the_instance_configuration_is_valid_and_keeps_slots_free_for_ticks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text(CONFIG.read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        limits = queue.tag_concurrency_limits
        backfills = [x["limit"] for x in limits if "backfill" in (x["key"] + x.get("value", ""))]
        assert len(backfills) == 2
        # A tick, a derivation and a sample beside every backfill that can be.
        assert queue.max_concurrent_runs - sum(backfills) >= 3
        assert {"key": "funding/reason", "value": "sweep", "limit": 1} in limits
        kept = instance.get_tick_retention_settings
        from dagster._core.definitions.run_request import InstigatorType
        from dagster._core.scheduler.instigation import TickStatus

        assert set(kept(InstigatorType.SCHEDULE).values()) == {30}
        sensors = kept(InstigatorType.SENSOR)
        assert sensors[TickStatus.SKIPPED] == 1
        assert all(days > 0 for days in sensors.values()), "-1 would keep them for ever"
        assert instance.run_monitoring_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
    assert yaml.safe_load(CONFIG.read_text())["telemetry"] == {"enabled": False}
