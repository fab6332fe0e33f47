"""Driving schedules and sensors by hand, as the daemon would."""

from datetime import datetime

import dagster as dg

from funding_pipeline.defs.runs import RANGE_END, RANGE_START
from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.windows import record_windows


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, schedule: str, at: datetime
) -> dg.RunRequest | str:
    """The one run that a schedule asks for, or why it does not."""
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=definitions.get_repository_def(),
        resources={"pipeline": definitions.resources["pipeline"]},
    )
    result = definitions.resolve_schedule_def(schedule).evaluate_tick(context)
    if result.skip_message:
        return result.skip_message
    (request,) = result.run_requests
    return request


def sense(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    sensor: str,
    cursor: str | None = None,
) -> tuple[list[dg.RunRequest], str | None, str | None]:
    """The runs that a sensor asks for, its new cursor, and why it asks for none."""
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=definitions.get_repository_def(),
        resources={"pipeline": definitions.resources["pipeline"]},
    )
    result = definitions.resolve_sensor_def(sensor).evaluate_tick(context)
    return list(result.run_requests), result.cursor, result.skip_message


def execute(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    """The run that was asked for, here and now."""
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=dict(request.tags),
        run_config=request.run_config,
        asset_selection=request.asset_selection,
        raise_on_error=False,
    )


def days_of(request: dg.RunRequest) -> tuple[str, str]:
    """First and last day of its range."""
    return request.tags[RANGE_START], request.tags[RANGE_END]


def live_market(
    exchange: str, market: str, *covered: tuple[datetime, datetime], listed_at: str | None = None
) -> None:
    """A live market, collected over these spans (naive UTC)."""
    with Database(Settings()).open() as connection:
        connection.execute(
            """INSERT INTO base.markets (market_id, exchange, market, symbol, multiplier, quote,
                settle, status, listed_at, first_seen, last_seen)
            VALUES (nextval('market_ids'), ?, ?, 'BTC', 1, 'USDT', 'USDT', 'live', ?, now(), now())
            """,
            [exchange, market, listed_at],
        )
        epoch = timestamp(0)
        windows = [
            Window(*(int((t - epoch).total_seconds() * 1000) for t in span)) for span in covered
        ]
        record_windows(connection, exchange, [(market, window, 1) for window in windows], 1)
