"""Ingest: one asset per exchange, all collected side by side by one step.

Belongs here: turning a run's partitions into a job for the engine and reports into materialisations
and check results. Does not: collecting (collection), the figures of checks (warehouse).

An exchange that fails is not materialised and turns the run red at its end; the others are. One
that is left alone after failures is not materialised either, but turns nothing red: its status and
its events have told already.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from pydantic import Field

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.defs.columns import table_metadata
from funding_pipeline.defs.partitions import DAYS, day_window
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange, ExchangeSpec
from funding_pipeline.warehouse.checks import WindowFacts, window_facts
from funding_pipeline.warehouse.database import timestamp
from funding_pipeline.warehouse.ledger import Reason

COLLECTION = "collect_settlements"
REASON_TAG = "funding/reason"
BACKFILL_TAG = "dagster/backfill"

# A check costs Dagster three events a run and exchange, more than the question: hence few.
_CHECKS = {
    "sound": "No market has two settlements at one funding_time; every stamp lies on the hourly "
    "grid, -5 s to +30 min; every rate is finite and within the exchange's bound.",
    "volume": "Something settled in the window; as many rows and markets came as were due and as "
    "in the last 7 days, none cut off.",
}


class CollectConfig(dg.Config):
    """`refetch`: ask again what was collected. `markets`: native symbols, empty means all."""

    refetch: bool = False
    markets: list[str] = Field(default_factory=list)


def ingest_assets(exchanges: Sequence[Exchange]) -> dg.AssetsDefinition:
    """One asset and its checks per exchange, partitioned by UTC day."""
    by_name = {exchange.spec.name: exchange for exchange in exchanges}

    @dg.multi_asset(
        name=COLLECTION,
        specs=[_spec(exchange.spec) for exchange in exchanges],
        check_specs=[
            dg.AssetCheckSpec(name, asset=exchange, description=text)
            for exchange in by_name
            for name, text in _CHECKS.items()
        ],
        can_subset=True,
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def collect_settlements(
        context: dg.AssetExecutionContext, config: CollectConfig, pipeline: Pipeline
    ) -> Iterator[dg.MaterializeResult[None]]:
        chosen = [by_name[key.to_user_string()] for key in context.selected_asset_keys]
        reason = _reason(context.run.tags)
        job = Job(
            reason=reason,
            window=day_window(context.partition_keys),
            markets=frozenset(config.markets),
            refetch=config.refetch,
            # A person's: "Materialize" in the UI, of one partition or of many.
            insist=reason == "manual" or BACKFILL_TAG in context.run.tags,
        )
        now_ms = pipeline.now_ms()
        database = pipeline.database()
        failed = []
        for report in collect_each(chosen, job, pipeline.settings(), database, now_ms=now_ms):
            if report.nothing_new:
                context.log.warning("%s", report.summary())
                continue
            if report.outcome == "failed":
                failed.append(report)
                context.log.error("%s", report.summary())
                continue
            if report.outcome == "partial":
                context.log.warning("%s", report.summary())
            with database.open() as connection:
                facts = window_facts(connection, by_name[report.exchange].spec, job.window, now_ms)
            yield dg.MaterializeResult(
                asset_key=report.exchange,
                metadata=load_metadata(report, facts, now_ms),
                check_results=_check_results(report, facts),
            )
        if failed:
            names = ", ".join(report.exchange for report in failed)
            raise dg.Failure(
                f"{len(failed)} of {len(chosen)} exchanges failed ({names}); the others are stored",
                metadata={report.exchange: str(report.error) for report in failed},
                allow_retries=False,
            )

    return collect_settlements


def _spec(spec: ExchangeSpec) -> dg.AssetSpec:
    limits = ", ".join(f"{limit.weight} per {limit.seconds:g} s" for limit in spec.limits)
    interval = spec.interval if isinstance(spec.interval, str) else "fixed, with dated eras"
    return dg.AssetSpec(
        spec.name,
        description=(
            f"Settled funding of every perpetual market on {spec.title}, in `funding_rates`.\n\n"
            f"* unit as sent: {spec.rate_unit.name.lower()}, {spec.sign}\n"
            f"* interval: {interval}\n* rate limit: {limits}\n"
            f"* doubt: {spec.experimental or 'none'}\n\n"
            f"[API documentation]({spec.api_docs})"
        ),
        group_name="exchanges",
        kinds={"python", "duckdb"},
        owners=["team:funding"],
        partitions_def=DAYS,
        skippable=True,
        metadata=table_metadata("funding_rates", whole=False),
    )


def _reason(tags: Mapping[str, str]) -> Reason:
    if BACKFILL_TAG in tags:
        return "backfill"
    match tags.get(REASON_TAG):
        case "tick" | "sweep" | "backfill" as reason:
            return reason
        case _:
            return "manual"


def load_metadata(
    report: LoadReport, facts: WindowFacts | None, now_ms: int
) -> dict[str, dg.MetadataValue]:
    """What a materialisation shows; small, since a range run copies it to each of its days."""
    newest = report.newest_ms
    window = report.window
    values: dict[str, object] = {
        "rows_new": report.counts.new,
        "rows_changed": report.counts.changed,
        "rows_unchanged": report.counts.unchanged,
        "rows_quarantined": report.counts.quarantined,
        "markets_listed": report.markets_listed,
        "markets_asked": report.markets_asked,
        "markets_failed": len(report.failures),
        "window": f"{timestamp(window.start_ms)} .. {timestamp(window.end_ms)} UTC",
        "requests": report.traffic.requests,
        "retries": report.traffic.retries,
        "waited_s": round(report.traffic.waited_s, 3),
        "seconds": round(report.seconds, 3),
        "load_id": report.load_id,
    }
    if newest is not None:
        values["newest_settlement"] = f"{timestamp(newest)} UTC"
        values["lag_minutes"] = round((now_ms - newest) / 60_000, 1)
    if facts is not None:
        values["rows_in_window"] = facts.rows
        values["markets_in_window"] = facts.markets
        values["coverage"] = facts.coverage
    if report.volume:
        values["volume"] = "\n".join(report.volume)
    if report.failures:
        values["failures"] = "\n".join(list(report.failures.values())[:10])
    return {name: _value(value) for name, value in values.items()}


def _value(value: object) -> dg.MetadataValue:
    match value:
        case None:
            return dg.MetadataValue.null()
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case _:
            return dg.MetadataValue.text(str(value))


def _check_results(report: LoadReport, facts: WindowFacts) -> list[dg.AssetCheckResult]:
    """Reports for a person; nothing waits for them. The description is what a message tells."""
    wrong = {
        "duplicates": facts.duplicates,
        "off_grid": facts.off_grid,
        "out_of_bounds": facts.out_of_bounds,
    }
    findings = list(report.volume)
    # Without a live market there is nothing to settle.
    if facts.rows == 0 and facts.coverage is not None:
        findings.append("nothing settled in the window")
    return [
        dg.AssetCheckResult(
            asset_key=report.exchange,
            check_name="sound",
            passed=not any(wrong.values()),
            description=", ".join(f"{name} {n}" for name, n in wrong.items() if n) or None,
            metadata={**wrong, "quarantined": facts.quarantined},
        ),
        dg.AssetCheckResult(
            asset_key=report.exchange,
            check_name="volume",
            passed=not findings,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(findings) or None,
            metadata={"rows": facts.rows},
        ),
    ]
