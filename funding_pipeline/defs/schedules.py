"""The schedules that collect: hourly tick, correction sweep, estimates before each hour.

Belongs here: when, over which days, and when not. Does not: what a run does (ingest, estimates).

Tick at minute 3: exchanges publish within seconds, rarely minutes, after the hour; what comes later
is caught by the next tick, which asks from each market's watermark. Estimates at minute 56: where
there is no history a settlement is made of the last sample of the ten minutes before its hour, and
four minutes are enough for a run to wait, start and ask. Sweep at minute 27, clear of both.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from funding_pipeline.collection.planning import TICK_REACH_MS
from funding_pipeline.defs.ingest import COLLECTION, REASON_TAG, CollectConfig
from funding_pipeline.defs.jobs import ESTIMATES, HOURLY, SWEEP
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.defs.runs import RANGE_END, RANGE_START, URGENT, active_run
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.database import timestamp
from funding_pipeline.warehouse.windows import oldest_watermark

SWEEP_SPAN = timedelta(hours=48)
SWEEP_PERIOD = timedelta(hours=6)
SAMPLE_LATEST = timedelta(minutes=4)


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
        if run_id := active_run(context.instance, HOURLY):
            return dg.SkipReason(f"run {run_id} is still collecting")
        now = _scheduled(context)
        with pipeline.database().open() as connection:
            first, last = tick_days(oldest_watermark(connection, names), now)
        return dg.RunRequest(
            run_key=f"{now:%Y-%m-%dT%H}",
            tags={RANGE_START: first, RANGE_END: last, REASON_TAG: "tick", **URGENT},
        )

    return hourly


def sweep_schedule() -> dg.ScheduleDefinition:
    """Every six hours the days of the last 48 hours anew; never two sweeps at once."""

    @dg.schedule(
        name="sweep",
        job_name=SWEEP,
        cron_schedule="27 */6 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Asks again for the last 48 hours, so that corrections are seen and logged.",
    )
    def sweep(
        context: dg.ScheduleEvaluationContext, pipeline: Pipeline
    ) -> dg.RunRequest | dg.SkipReason:
        if run_id := active_run(context.instance, SWEEP):
            return dg.SkipReason(f"run {run_id} is still sweeping")
        now = _scheduled(context)
        if _late(pipeline, now) >= SWEEP_PERIOD:
            return dg.SkipReason("the sweep after this one is due already")
        return dg.RunRequest(
            run_key=f"{now:%Y-%m-%dT%H}",
            tags={
                RANGE_START: str((now - SWEEP_SPAN).date()),
                RANGE_END: str(now.date()),
                REASON_TAG: "sweep",
            },
            run_config=dg.RunConfig(ops={COLLECTION: CollectConfig(refetch=True)}),
        )

    return sweep


def estimates_schedule() -> dg.ScheduleDefinition:
    """A sample of all markets shortly before each hour, or none: a late one helps nobody."""

    @dg.schedule(
        name="estimates",
        job_name=ESTIMATES,
        cron_schedule="56 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Samples what every market is about to pay, four minutes before the hour.",
    )
    def estimates(
        context: dg.ScheduleEvaluationContext, pipeline: Pipeline
    ) -> dg.RunRequest | dg.SkipReason:
        if run_id := active_run(context.instance, ESTIMATES):
            return dg.SkipReason(f"run {run_id} is still sampling")
        now = _scheduled(context)
        # After a pause the scheduler makes up for up to five ticks that it missed.
        if _late(pipeline, now) >= SAMPLE_LATEST:
            return dg.SkipReason(f"the hour that the sample of {now:%H:%M} was for has begun")
        return dg.RunRequest(run_key=f"{now:%Y-%m-%dT%H}", tags=URGENT)

    return estimates


def _scheduled(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time.astimezone(UTC).replace(tzinfo=None)


def _late(pipeline: Pipeline, scheduled: datetime) -> timedelta:
    return timestamp(pipeline.now_ms()) - scheduled
