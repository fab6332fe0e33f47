"""Repair: a job that asks again for what is missing, and the sensor that starts it.

Belongs here: which exchanges are asked now, and what a run tells. Does not: which gaps are due and
when they are given up (warehouse.repairs), what is asked (collection.planning).

A job of an op, not of assets: holes lie on few hours of many days, and a run over partitions would
report every day between the oldest and the newest one as collected.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import TICK_REACH_MS, Job, kept_since
from funding_pipeline.defs.first_days import EXCHANGE_TAG
from funding_pipeline.defs.ingest import REASON_TAG
from funding_pipeline.defs.jobs import BACKFILL
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.defs.runs import ACTIVE
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.absence import open_backfills
from funding_pipeline.warehouse.breakers import left_alone
from funding_pipeline.warehouse.database import Database, timestamp, utc_now
from funding_pipeline.warehouse.repairs import Due, due

REPAIR = "repair"
# Between two runs of one exchange: what failed in the last one is not asked again at once.
PAUSE = timedelta(hours=1)


def repair_job(exchanges: Sequence[Exchange]) -> dg.JobDefinition:
    """Asks for the due gaps of the exchange that the run's tag names, else of all."""
    settled = {e.spec.name: e for e in exchanges if e.spec.kind == "settled"}

    @dg.op(description="Asks for missing settlements, the newest first.", out=dg.Out(dg.Nothing))
    def repair_gaps(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
        name = context.run.tags.get(EXCHANGE_TAG)
        chosen = [e for e in settled.values() if name in (None, e.spec.name)]
        database, now_ms = pipeline.database(), pipeline.now_ms()
        wanted = due_of(chosen, database, now_ms)
        asked = [e for e in chosen if e.spec.name in wanted.holes]
        if not asked:
            context.log.info("no gap is due")
            return
        job = Job("repair", wanted.window(), holes=wanted.holes)
        failed = []
        for report in collect_each(asked, job, pipeline.settings(), database, now_ms=now_ms):
            context.log.info(
                "%d gaps, %d settlements: %s",
                wanted.gaps[report.exchange],
                wanted.missing[report.exchange],
                report.summary(),
            )
            if report.outcome == "failed" and not report.nothing_new:
                failed.append(report)
        if failed:
            names = ", ".join(report.exchange for report in failed)
            raise dg.Failure(
                f"{len(failed)} of {len(asked)} exchanges failed ({names})",
                metadata={report.exchange: str(report.error) for report in failed},
                allow_retries=False,
            )

    @dg.job(
        name=REPAIR,
        tags={REASON_TAG: REPAIR},
        description="Asks again for missing settlements; given up after three empty answers.",
    )
    def repair() -> None:
        repair_gaps()

    return repair


def due_of(exchanges: Sequence[Exchange], database: Database, now_ms: int) -> Due:
    """What the gaps of these exchanges have due now."""
    with database.open() as connection:
        return due(
            connection,
            kept_since={e.spec.name: kept_since(e.spec, now_ms) for e in exchanges},
            tick_reach_ms=TICK_REACH_MS,
            now=timestamp(now_ms),
        )


def repair_sensor(exchanges: Sequence[Exchange]) -> dg.SensorDefinition:
    """One run for each exchange with gaps that are due."""
    settled = [exchange for exchange in exchanges if exchange.spec.kind == "settled"]

    @dg.sensor(
        name=REPAIR,
        job_name=REPAIR,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks again for missing settlements, one run per exchange, an hour apart.",
    )
    def repair(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
        now_ms = pipeline.now_ms()
        database = pipeline.database()
        wanted = due_of(settled, database, now_ms)
        if not wanted.holes:
            return dg.SensorResult(skip_reason="no gap is due")
        with database.open() as connection:
            loading = open_backfills(connection, now=utc_now())
            alone = left_alone(connection, timestamp(now_ms))
        held = _held(context.instance)
        waiting, requests = [], []
        for name in wanted.holes:
            if name in alone:
                waiting.append(f"{name}: {alone[name]}")
            elif name in loading or {name, None} & held.keys():
                waiting.append(f"{name}: {held.get(name) or held.get(None) or 'a backfill runs'}")
            elif again := _pause(context.instance, name, timestamp(now_ms)):
                waiting.append(f"{name}: the next run is at {again:%H:%M} UTC")
            else:
                # No run_key: Dagster would refuse it for ever, but a hole may come again.
                requests.append(dg.RunRequest(tags={EXCHANGE_TAG: name}))
        skip = None if requests else "; ".join(waiting)
        return dg.SensorResult(run_requests=requests, skip_reason=skip)

    return repair


def _held(instance: dg.DagsterInstance) -> dict[str | None, str]:
    """Exchanges with an active backfill or repair, None for one that holds all, and why."""
    held: dict[str | None, str] = {}
    for job in (BACKFILL, REPAIR):
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ACTIVE)):
            run = record.dagster_run
            name = run.tags.get(EXCHANGE_TAG)
            held[name] = f"run {run.run_id} of {job} is active"
    return held


def _pause(instance: dg.DagsterInstance, name: str, now: datetime) -> datetime | None:
    """Until when the exchange is left alone; None where it may be asked."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=REPAIR, tags={EXCHANGE_TAG: name}), limit=1
    )
    if not records or records[0].end_time is None:
        return None
    again = datetime.fromtimestamp(records[0].end_time, UTC).replace(tzinfo=None) + PAUSE
    return again if now < again else None
