"""The sensor that notes failed runs in the database, where people look who never open the UI.

Belongs here: from a failed run to lines of `events`. Does not: alarms, retries.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import dagster as dg
import duckdb

from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.ledger import Event, record_events

KIND: Final = "run failed"


def failures_sensor(exchanges: Sequence[Exchange]) -> dg.SensorDefinition:
    """One event per failed exchange, or one for `all` where the run as a whole failed."""
    names = {exchange.spec.name for exchange in exchanges}

    @dg.run_failure_sensor(
        name="failures",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes every failed run into the table `events`, kind 'run failed'.",
    )
    def failures(context: dg.RunFailureSensorContext, pipeline: Pipeline) -> None:
        note(pipeline.database(), failure_lines(context, names), context.log)

    return failures


def failure_lines(context: dg.RunFailureSensorContext, names: Collection[str]) -> dict[str, str]:
    """Exchange, or `all`, and what to say of it: the job and the first line of the error."""
    run = context.dagster_run
    told: dict[str, str] = {}
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        for name, value in (failure.metadata if failure else {}).items():
            # The steps that ask exchanges put each failing one with its words into the metadata.
            if name in names:
                told[name] = str(value.value)
        if not told:
            error = event.step_failure_data.error
            # The user's exception is the cause of Dagster's own.
            while error and error.cause:
                error = error.cause
            told["all"] = error.message if error else event.message or ""
    if not told:
        # No step failed: the worker died, or never started.
        chosen = {key.to_user_string() for key in run.asset_selection or ()} & set(names)
        told = dict.fromkeys(chosen or {"all"}, context.failure_event.message or "")
    return {name: f"{run.job_name}: {_first_line(text)}" for name, text in told.items()}


def note(database: Database, lines: Mapping[str, str], log: logging.Logger) -> None:
    """Store the lines. A database that cannot be opened is told in the sensor's log and hurts
    nothing else; the run itself stays red in the UI.
    """
    now = utc_now()
    try:
        with database.open() as connection:
            for name, detail in sorted(lines.items()):
                record_events(connection, name, [Event(KIND, None, detail)], None, now)
    except (OSError, RuntimeError, duckdb.Error) as error:
        log.error("not noted (%s): %s", error, "; ".join(lines.values()))


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no error was told")
