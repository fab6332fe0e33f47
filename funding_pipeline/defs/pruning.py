"""Old runs: which may go, and deleting them with all their files.

Belongs here: bounding what Dagster keeps of runs. Does not: ticks of schedules and sensors, which
Dagster purges itself (dagster.yaml, retention), settlements, which are never deleted.

Every run leaves about 150 KB behind, the hourly ones alone 1.3 GB a year. What the UI shows of an
asset, its materialised days and the last materialisation, hangs on the last run of each (asset,
partition); all others are superseded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from funding_pipeline.defs.ingest import BACKFILL_TAG
from funding_pipeline.defs.runs import ACTIVE, FINISHED, UNFINISHED_BACKFILL

SUPERSEDED_AFTER = timedelta(days=2)
FAILED_AFTER = timedelta(days=14)
_PAGE = 500


@dataclass(slots=True)
class Pruned:
    """What went."""

    runs: int = 0
    bytes: int = 0


def prune(instance: dg.DagsterInstance, *, now: datetime) -> Pruned:
    """Delete what `prunable` finds. May be stopped at any moment and run again."""
    pruned = Pruned()
    for run_id in list(prunable(instance, now=now)):
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        pruned.runs += 1
        pruned.bytes += _remove_event_files(instance, run_id)
    return pruned


def prunable(instance: dg.DagsterInstance, *, now: datetime) -> Iterator[str]:
    """Finished runs that are the last one of nothing: two days after their end, or a fortnight if
    they failed without having materialised anything, for then they are all that tells why.
    """
    last = last_runs(instance)
    related = _relatives_of_active(instance)
    for record in instance.get_run_records(dg.RunsFilter(statuses=FINISHED)):
        run = record.dagster_run
        # A run that never started has no end.
        ended = record.end_time or record.update_timestamp.timestamp()
        age = now - datetime.fromtimestamp(ended, UTC)
        if age < SUPERSEDED_AFTER or run.run_id in last or run.run_id in related:
            continue
        if run.status == dg.DagsterRunStatus.FAILURE and age < FAILED_AFTER:
            materialised = instance.get_records_for_run(
                run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1
            )
            if not materialised.records:
                continue
        if not _in_backfill(instance, run):
            yield run.run_id


def last_runs(instance: dg.DagsterInstance) -> set[str]:
    """The runs that materialised some (asset, partition) last.

    Through the public API event by event, newest first: what is kept is about one event per day and
    asset, so that this stays a matter of seconds.
    """
    found = set()
    for asset in instance.get_asset_keys():
        seen: set[str | None] = set()
        cursor: str | None = None
        while True:
            page = instance.fetch_materializations(asset, limit=_PAGE, cursor=cursor)
            for record in page.records:
                if record.partition_key not in seen:
                    seen.add(record.partition_key)
                    found.add(record.run_id)
            if not page.has_more:
                break
            cursor = page.cursor
    return found


def _relatives_of_active(instance: dg.DagsterInstance) -> set[str | None]:
    """Runs that a retry at work goes back to: Dagster looks them up when it ends."""
    active = [r.dagster_run for r in instance.get_run_records(dg.RunsFilter(statuses=ACTIVE))]
    return {run.root_run_id for run in active} | {run.parent_run_id for run in active}


def _in_backfill(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run is part of a partition backfill that still counts its runs."""
    backfill_id = run.tags.get(BACKFILL_TAG)
    if backfill_id is None:
        return False
    backfill = instance.get_backfill(backfill_id)
    return backfill is not None and backfill.status.value in UNFINISHED_BACKFILL


def _remove_event_files(instance: dg.DagsterInstance, run_id: str) -> int:
    """Below the public API: `delete_run` empties the run's own SQLite file but leaves it in place.

    Other storages (PostgreSQL) have no such file and no `path_for_shard`.
    """
    path_for_shard = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_for_shard is None:
        return 0
    freed = 0
    for suffix in ("", "-wal", "-shm", "-journal"):
        path = Path(path_for_shard(run_id) + suffix)
        if path.exists():
            freed += path.stat().st_size
            path.unlink()
    return freed
