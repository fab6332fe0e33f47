"""The watermark sensor: derive and publish when something was merged, by whomever.

It reads the database, not the event log, and so sees command-line loads as well, needs every
exchange no more than any other, and asks for one run however many partitions a backfill touched.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from funding_pipeline.defs.jobs import DERIVATION
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.defs.runs import ACTIVE
from funding_pipeline.warehouse.database import utc_now
from funding_pipeline.warehouse.owed import owed

AFTER_FAILURE = timedelta(minutes=10)


def watermark_sensor() -> dg.SensorDefinition:
    """Requests the derivation job when its tables lag behind, never twice at once."""

    @dg.sensor(
        name="watermark",
        job_name=DERIVATION,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Derives and publishes when settlements were merged since the last time.",
    )
    def watermark(
        context: dg.SensorEvaluationContext, pipeline: Pipeline
    ) -> dg.RunRequest | dg.SkipReason:
        if reason := _held_up(context.instance):
            return dg.SkipReason(reason)
        now = utc_now()
        with pipeline.database().open() as connection:
            state = owed(connection, now=now)
        if not state.due(now):
            return dg.SkipReason(
                f"{state.days} days owed, {state.loads_running} loads running"
                if state.days
                else "derived tables are up to date"
            )
        return dg.RunRequest()

    return watermark


def _held_up(instance: dg.DagsterInstance) -> str | None:
    """Why no run may be asked for now. After a failure it waits, lest a defect storm."""
    last = instance.get_run_records(dg.RunsFilter(job_name=DERIVATION), limit=1)
    if not last:
        return None
    run = last[0].dagster_run
    if run.status in ACTIVE:
        return f"run {run.run_id} is deriving"
    ended = last[0].end_time
    if run.status == dg.DagsterRunStatus.FAILURE and ended is not None:
        again = datetime.fromtimestamp(ended, UTC) + AFTER_FAILURE
        if datetime.now(UTC) < again:
            return f"run {run.run_id} failed; the next try is at {again:%H:%M:%S} UTC"
    return None
