"""The hourly schedule.

Minute 3: exchanges publish within seconds, rarely minutes, after the hour; what comes later is
caught by the next tick, which asks from each market's watermark.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from funding_pipeline.collection.planning import TICK_REACH_MS
from funding_pipeline.defs.ingest import REASON_TAG
from funding_pipeline.defs.jobs import HOURLY
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.windows import oldest_watermark

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def tick_days(watermark: datetime | None, now: datetime) -> tuple[str, str]:
    """First and last day key of a tick at `now` (both naive UTC): from the watermark, 7 days back
    at most, to today. At 00:03 these are yesterday and today.
    """
    reach = now - timedelta(milliseconds=TICK_REACH_MS)
    start = reach if watermark is None else min(max(watermark, reach), now)
    return str(start.date()), str(now.date())


def hourly_schedule(exchanges: Sequence[Exchange]) -> dg.ScheduleDefinition:
    """One run an hour over the days that lack something; skipped while its predecessor runs."""
    names = [exchange.spec.name for exchange in exchanges]

    @dg.schedule(
        name="hourly",
        job_name=HOURLY,
        cron_schedule="3 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Collects what settled since each market's watermark, at minute 3.",
    )
    def hourly(
        context: dg.ScheduleEvaluationContext, pipeline: Pipeline
    ) -> dg.RunRequest | dg.SkipReason:
        running = context.instance.get_run_records(
            dg.RunsFilter(job_name=HOURLY, statuses=ACTIVE), limit=1
        )
        if running:
            return dg.SkipReason(f"run {running[0].dagster_run.run_id} is still collecting")
        now = context.scheduled_execution_time.astimezone(UTC).replace(tzinfo=None)
        with pipeline.database().open() as connection:
            first, last = tick_days(oldest_watermark(connection, names), now)
        return dg.RunRequest(
            run_key=f"{now:%Y-%m-%dT%H}",
            tags={RANGE_START: first, RANGE_END: last, REASON_TAG: "tick"},
        )

    return hourly
