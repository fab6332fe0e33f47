"""Bounded growth, on a real instance: files go, and what the UI shows stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from funding_pipeline.defs.maintenance import maintenance
from funding_pipeline.defs.pruning import FAILED_AFTER, SUPERSEDED_AFTER, prune

DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-11")
RANGE = "dagster/asset_partition_range_"
NOW = datetime.now(UTC)  # when the module is imported: the tests may run many minutes later
LATER = NOW + SUPERSEDED_AFTER + timedelta(hours=1)
MUCH_LATER = NOW + FAILED_AFTER + timedelta(hours=1)


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def rates(context: dg.AssetExecutionContext) -> None:
    print("something for the compute logs")


@dg.asset
def table() -> None: ...


@dg.asset
def broken() -> None:
    raise ValueError("no")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(home)) as temporary:
        yield temporary


def run(
    instance: dg.DagsterInstance, asset: dg.AssetsDefinition, first: str = "", last: str = ""
) -> str:
    tags = {f"{RANGE}start": first, f"{RANGE}end": last or first} if first else {}
    job = dg.Definitions(assets=[asset]).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id


def runs(instance: dg.DagsterInstance) -> set[str]:
    return {record.dagster_run.run_id for record in instance.get_run_records()}


def files_of(home: Path, run_id: str) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob(f"*{run_id}*"))


def shown(instance: dg.DagsterInstance) -> object:
    """What the UI shows of the assets."""
    latest = [
        instance.get_latest_materialization_event(dg.AssetKey(name)) for name in ("rates", "table")
    ]
    return (
        instance.get_materialized_partitions(dg.AssetKey("rates")),
        [(event.run_id, event.timestamp) for event in latest if event],
        [
            instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey("rates"), asset_partitions=[day]), limit=1
            )
            .records[0]
            .run_id
            for day in ("2026-03-01", "2026-03-02", "2026-03-03")
        ],
    )


def test_superseded_runs_go_with_their_files_and_the_ui_shows_the_same(
    instance: dg.DagsterInstance, home: Path
) -> None:
    superseded = {
        run(instance, rates, "2026-03-01", "2026-03-02"),
        run(instance, rates, "2026-03-02"),
        run(instance, table),
    }
    # Its first day is replaced below, its last one is not.
    half = run(instance, rates, "2026-03-01", "2026-03-03")
    last = {half, run(instance, rates, "2026-03-01", "2026-03-02"), run(instance, table)}
    before = shown(instance)
    for run_id in superseded:
        assert any(name.endswith(f"{run_id}.db") for name in files_of(home, run_id))
    logs = [p for run_id in superseded for p in home.rglob(f"{run_id}/compute_logs/*.out")]
    assert logs

    pruned = prune(instance, now=LATER)

    assert pruned.runs == 3
    assert pruned.bytes > 3 * 50_000
    assert runs(instance) == last
    assert shown(instance) == before
    for run_id in superseded:
        assert files_of(home, run_id) == []
    for run_id in last:
        assert files_of(home, run_id)
    assert prune(instance, now=MUCH_LATER).runs == 0


def test_young_runs_stay(instance: dg.DagsterInstance) -> None:
    made = {run(instance, table), run(instance, table)}
    assert prune(instance, now=NOW + SUPERSEDED_AFTER - timedelta(minutes=5)).runs == 0
    assert runs(instance) == made


def test_runs_that_are_not_finished_stay_and_so_does_what_they_retry(
    instance: dg.DagsterInstance,
) -> None:
    job = dg.Definitions(assets=[table]).resolve_implicit_global_asset_job_def()
    retried, last = run(instance, table), run(instance, table)
    started = instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.STARTED,
        parent_run_id=retried,
        root_run_id=retried,
        tags={"dagster/parent_run_id": retried, "dagster/root_run_id": retried},
    )
    prune(instance, now=MUCH_LATER)
    assert runs(instance) == {retried, last, started.run_id}
    instance.report_run_canceled(started)
    prune(instance, now=MUCH_LATER)
    assert runs(instance) == {last}


def test_a_failed_run_stays_for_a_fortnight(instance: dg.DagsterInstance) -> None:
    failed = run(instance, broken)
    prune(instance, now=LATER)
    assert runs(instance) == {failed}
    prune(instance, now=MUCH_LATER)
    assert runs(instance) == set()


def test_runs_of_a_partition_backfill_stay_until_it_has_ended(
    instance: dg.DagsterInstance,
) -> None:
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    job = dg.Definitions(assets=[table]).resolve_implicit_global_asset_job_def()
    first = job.execute_in_process(instance=instance, tags={"dagster/backfill": "x"}).run_id
    last = run(instance, table)
    backfill = PartitionBackfill("x", BulkActionStatus.REQUESTED, False, {}, 0.0)
    instance.add_backfill(backfill)
    prune(instance, now=LATER)
    assert runs(instance) == {first, last}
    instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    prune(instance, now=LATER)
    assert runs(instance) == {last}


def test_more_materialisations_than_a_page_holds(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funding_pipeline.defs.pruning._PAGE", 3)
    kept = {run(instance, rates, "2026-03-01", "2026-03-10")}
    superseded = {run(instance, rates, "2026-03-02", "2026-03-05") for _ in range(2)}
    kept.add(run(instance, rates, "2026-03-02", "2026-03-05"))
    assert prune(instance, now=LATER).runs == len(superseded)
    assert runs(instance) == kept


def test_the_job_prunes_and_leaves_nothing_but_its_run(
    instance: dg.DagsterInstance, home: Path
) -> None:
    result = maintenance.execute_in_process(instance=instance)
    assert result.success
    assert not list(home.rglob("prune_runs/result"))
    prune(instance, now=LATER)
    assert runs(instance) == set()
