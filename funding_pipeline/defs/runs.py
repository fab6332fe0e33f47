"""Runs of the instance: which are active, and the tags that runs are asked for with.

Belongs here: questions about runs that several schedules and sensors have. Does not: decisions.
"""

import dagster as dg

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
# Out of the queue before all others: short runs that are worth little when late.
URGENT = {"dagster/priority": "10"}
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
# States of a partition backfill (BulkActionStatus, which Dagster does not export).
UNFINISHED_BACKFILL = {"REQUESTED", "CANCELING", "FAILING"}


def active_run(instance: dg.DagsterInstance, job: str) -> str | None:
    """The id of a run of the job that is queued or at work."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ACTIVE), limit=1)
    return records[0].dagster_run.run_id if records else None
