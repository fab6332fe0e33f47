"""The sensor that tells a person: alerts.

Belongs here: reading check results out of Dagster, and looking once a minute. Does not: what is a
finding, whom to tell and how (alerts).

A failing check leaves its run green, so nobody who waits for red runs would hear of it. Check
results are read from runs that ended since the last look, each one once: Dagster's own tables of
check results grow for ever, and asking them for the latest of each check costs more every month.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from funding_pipeline.alerts.channels import channels
from funding_pipeline.alerts.look import Looked, look
from funding_pipeline.alerts.sources import CheckResult
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.defs.runs import FINISHED
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.database import timestamp, utc_now

# Without a cursor, or with one that is not ours.
FIRST_LOOK = timedelta(hours=2)
# Runs that end within one moment may become visible out of order.
OVERLAP = timedelta(seconds=5)
# In one look; after a longer pause several looks catch up.
MOST_RUNS = 50


def alerts_sensor(exchanges: Sequence[Exchange]) -> dg.SensorDefinition:
    """Looks at everything that can be wrong and tells FUNDING_ALERT_URLS what is new."""
    names = [exchange.spec.name for exchange in exchanges]

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells FUNDING_ALERT_URLS of failing checks, failed runs, stale data and "
        "collectors in trouble: once, again after six hours, and when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
        now = utc_now()
        since = _since(context.cursor, now)
        results, until = ended_checks(context.instance, since, now)
        settings = pipeline.settings()
        looked = look(
            pipeline.database(),
            channels(settings.alert_urls),
            timedelta(hours=settings.alert_cool_down_hours),
            exchanges=names,
            checks=results,
            known_checks=_known_checks(context),
            now=now,
        )
        for channel, error in looked.failed.items():
            context.log.error("%s did not accept an alert: %s", channel, error)
        return dg.SensorResult(
            skip_reason=_words(looked, configured=bool(settings.alert_urls)),
            cursor=until.isoformat(),
        )

    return alerts


def ended_checks(
    instance: dg.DagsterInstance, since: datetime, now: datetime
) -> tuple[list[CheckResult], datetime]:
    """Results of runs that ended after `since`, and up to when they were read (naive UTC)."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED, updated_after=since.replace(tzinfo=UTC)),
        limit=MOST_RUNS,
        order_by="update_timestamp",
        ascending=True,
    )
    results = [
        result for record in records for result in _results(instance, record.dagster_run.run_id)
    ]
    if not records:
        return results, since
    newest = records[-1].update_timestamp.astimezone(UTC).replace(tzinfo=None)
    return results, max(since, min(newest, now - OVERLAP))


def _results(instance: dg.DagsterInstance, run_id: str) -> Iterator[CheckResult]:
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    for record in found.records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        counted = (f"{name} {value.value}" for name, value in evaluation.metadata.items())
        yield CheckResult(
            evaluation.asset_key.to_user_string(),
            evaluation.check_name,
            evaluation.passed,
            "error" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "warning",
            evaluation.description or ", ".join(counted),
            timestamp(int(record.timestamp * 1000)),
        )


def _known_checks(context: dg.SensorEvaluationContext) -> set[tuple[str, str]]:
    repository = context.repository_def
    # Without it every failing check would be taken for one that is gone.
    assert repository is not None, "a sensor of a code location knows its repository"
    keys = repository.asset_graph.asset_check_keys
    return {(key.asset_key.to_user_string(), key.name) for key in keys}


def _since(cursor: str | None, now: datetime) -> datetime:
    try:
        since = datetime.fromisoformat(cursor or "")
    except ValueError:
        return now - FIRST_LOOK
    return since if since.tzinfo is None else now - FIRST_LOOK


def _words(looked: Looked, *, configured: bool) -> str:
    """Why no run is asked for, which is all that a look tells Dagster."""
    lasting = f"{looked.open} findings open"
    if not configured:
        return f"nobody is told: FUNDING_ALERT_URLS is not set; {lasting}"
    parts = [lasting]
    if looked.told:
        parts.append(f"told {', '.join(looked.told)}")
    if looked.failed:
        parts.append(f"to be tried again: {', '.join(looked.failed)}")
    return "; ".join(parts)
