"""The sensor that fills the last 30 days by itself: at the first start and after a long absence.

Belongs here: which backfills Dagster and the ledger know of, and asking for runs. Does not: what is
lacking and how long to wait (warehouse.absence).

Its runs are ordinary ones of the job `backfill`: seen and cancelled in the UI, and run again when
their worker dies, upon which the engine asks only for what is not collected yet.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import dagster as dg

from funding_pipeline.collection.planning import TICK_REACH_MS, kept_since
from funding_pipeline.defs.ingest import BACKFILL_TAG, REASON_TAG
from funding_pipeline.defs.jobs import BACKFILL
from funding_pipeline.defs.partitions import day_keys
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.defs.runs import ACTIVE, RANGE_END, RANGE_START, UNFINISHED_BACKFILL
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.absence import (
    decide,
    dump_tries,
    lacks,
    last_days,
    load_tries,
    open_backfills,
)
from funding_pipeline.warehouse.breakers import left_alone
from funding_pipeline.warehouse.database import milliseconds, utc_now

EXCHANGE_TAG = "funding/exchange"
# The job behind "Materialize" in the UI.
_BY_HAND = "__ASSET_JOB"


def first_days_sensor(exchanges: Sequence[Exchange]) -> dg.SensorDefinition:
    """One run for each settled exchange that lacks a part of its last 30 full days."""
    # Recorded exchanges have no past that could be asked for.
    specs = [exchange.spec for exchange in exchanges if exchange.spec.kind == "settled"]
    names = [spec.name for spec in specs]

    @dg.sensor(
        name="first_days",
        job_name=BACKFILL,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Backfills each exchange that lacks a part of its last 30 days, one at a time, "
        "waiting ever longer while that does not help.",
    )
    def first_days(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
        now = utc_now()
        with pipeline.database().open() as connection:
            lacking = lacks(
                connection,
                names,
                tick_reach_ms=TICK_REACH_MS,
                kept_since={spec.name: kept_since(spec, milliseconds(now)) for spec in specs},
                now=now,
            )
            loads = open_backfills(connection, now=now)
            alone = left_alone(connection, now)
        missing = [name for name, lack in lacking.items() if not lack.complete]
        active = _active(context.instance, missing)
        cancelled = {}
        for name in missing:
            ended, by_person = _last_end(context.instance, name)
            if ended and by_person:
                cancelled[name] = ended
            # A load without an end that began before the last run ended was that run's, killed.
            if name in loads and (ended is None or loads[name] > ended):
                active.add(name)
        tries = load_tries(context.cursor, now=now)
        asked = {name: lack for name, lack in lacking.items() if name not in alone}
        decision = decide(asked, active, cancelled, tries, now=now)
        reasons = {**{name: alone[name] for name in missing if name in alone}, **decision.waiting}
        waiting = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        days = day_keys(last_days(now))
        return dg.SensorResult(
            # No run_key: Dagster would refuse it for ever, but a hole may come again.
            run_requests=[
                dg.RunRequest(
                    asset_selection=[dg.AssetKey(name)],
                    tags={
                        RANGE_START: days[0],
                        RANGE_END: days[-1],
                        REASON_TAG: "backfill",
                        EXCHANGE_TAG: name,
                    },
                )
                for name in decision.start
            ],
            skip_reason=None if decision.start else waiting or "the last 30 days are complete",
            cursor=dump_tries(decision.tries),
        )

    return first_days


def _active(instance: dg.DagsterInstance, names: Collection[str]) -> set[str]:
    """Those of the exchanges that some backfill of Dagster's holds, queued or at work."""
    if not names:
        return set()
    found: set[str] = set()
    for record in instance.get_run_records(dg.RunsFilter(statuses=ACTIVE)):
        run = record.dagster_run
        if run.job_name in (BACKFILL, _BY_HAND) or BACKFILL_TAG in run.tags:
            found |= _held(run.asset_selection, names)
    # A partition backfill has no runs yet when it was just asked for.
    for backfill in instance.get_backfills(limit=20):
        if backfill.status.value in UNFINISHED_BACKFILL:
            found |= _held(backfill.asset_selection, names)
    return found


def _held(selection: Collection[dg.AssetKey] | None, names: Collection[str]) -> set[str]:
    if selection is None:
        return set(names)
    return set(names) & {key.to_user_string() for key in selection}


def _last_end(instance: dg.DagsterInstance, name: str) -> tuple[datetime | None, bool]:
    """When this sensor's last run for an exchange ended (naive UTC), and whether it was cancelled.

    A worker that is stopped with the whole of Dagster counts as failed, not as cancelled.
    """
    records = instance.get_run_records(
        dg.RunsFilter(job_name=BACKFILL, tags={EXCHANGE_TAG: name}), limit=1
    )
    if not records or records[0].end_time is None:
        return None, False
    ended = datetime.fromtimestamp(records[0].end_time, UTC).replace(tzinfo=None)
    return ended, records[0].dagster_run.status == dg.DagsterRunStatus.CANCELED
