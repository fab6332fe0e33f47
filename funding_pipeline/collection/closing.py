"""How a load ends in the database: its events, a repair's answers, the ledger, the breaker.

Belongs here: what an ended load leaves behind, and which failure counts against an exchange. Does
not: collecting (load), SQL (warehouse).

Against the breaker counts a market list that could not be had; and, in a tick or a sweep, which ask
all markets for their newest hours, that more than a fifth of the markets failed. Backfills, repairs
and whatever a person asks for want odd things, whose refusal says nothing of the exchange; nor does
a defect of ours.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.breakers import note_failure, note_success
from funding_pipeline.warehouse.ledger import Event, end_load, record_events
from funding_pipeline.warehouse.repairs import record_answers
from funding_pipeline.warehouse.volume import Volume, judge


def close(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    job: Job,
    report: LoadReport,
    answered: Sequence[tuple[str, Window]],
    volume: Volume,
    load_id: int,
    now: datetime,
) -> None:
    """Write what the load of `report` did; `answered`: what its exchange told of,
    `volume`: how much it was answered."""
    counts, failures = report.counts, report.failures
    events = [Event("market failed", market, text) for market, text in failures.items()]
    if counts.new:
        words = f"{counts.new:,} new settlements ({job.reason})"
        events.append(Event("collected", None, words))
    record_events(connection, spec.name, events, load_id, now)
    if job.reason == "repair":
        record_answers(connection, spec, answered, report.unknown_markets, load_id=load_id, now=now)
    if report.outcome != "failed":
        report.volume = judge(
            connection,
            spec,
            volume,
            load_id=load_id,
            reason=job.reason,
            listed=report.markets_listed,
            now=now,
        )
    end_load(
        connection,
        load_id,
        report.outcome,
        rows_new=counts.new,
        rows_changed=counts.changed,
        requests=report.traffic.requests,
        error=report.error or next(iter(failures.values()), None),
        error_kind=report.error_kind,
        now=now,
    )
    if report.outcome in ("complete", "partial"):
        note_success(connection, spec.name, now, load_id)
    elif report.error_kind and (not report.markets_listed or job.reason in ("tick", "sweep")):
        note_failure(
            connection,
            spec.name,
            report.error or report.error_kind,
            now,
            tried=report.trying,
            load_id=load_id,
        )
