"""Housekeeping once a day.

Belongs here: the job, its schedule and what it reports. Does not: what may go (pruning).
"""

from datetime import UTC, datetime

import dagster as dg

from funding_pipeline.defs.pruning import prune

MAINTENANCE = "maintenance"


@dg.op(
    description="Deletes superseded runs of Dagster, never the last one of an asset's day.",
    out=dg.Out(dg.Nothing),
)
def prune_runs(context: dg.OpExecutionContext) -> None:
    """Prune and say how much went."""
    pruned = prune(context.instance, now=datetime.now(UTC))
    context.log.info("%d runs pruned, %.1f MB freed", pruned.runs, pruned.bytes / 1e6)
    context.add_output_metadata(
        {"runs_pruned": pruned.runs, "freed_mb": round(pruned.bytes / 1e6, 3)}
    )


@dg.job(name=MAINTENANCE, description="Bounds what Dagster keeps: superseded runs go.")
def maintenance() -> None:
    """One op."""
    prune_runs()


def maintenance_schedule() -> dg.ScheduleDefinition:
    """Daily, at a minute when nothing else starts."""
    return dg.ScheduleDefinition(
        name=MAINTENANCE,
        job_name=MAINTENANCE,
        cron_schedule="41 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Prunes superseded runs, once a day.",
    )
