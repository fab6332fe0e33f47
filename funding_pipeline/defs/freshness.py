"""Freshness: one check per exchange, evaluated hourly from the database, and what starts it.

Belongs here: the verdicts as checks, their job and schedule. Does not: what is overdue
(warehouse.freshness).

A job of its own, since the check must fail where nothing collects at all; and from the database,
since Dagster's freshness policy is content with any materialisation, one of an old partition too.
At minute 20: the tick of minute 3 is over by then.

A warning where single markets are overdue: a market that silently stops is what nobody notices. An
error where the exchange is late, which is a tenth of its markets: that is no market's own affair. A
warning, too, where nothing was ever collected: the first days of a database look so.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.database import timestamp
from funding_pipeline.warehouse.freshness import FRESH, Freshness, exchange_freshness

FRESHNESS = "freshness"


def freshness_checks(exchanges: Sequence[Exchange]) -> dg.AssetChecksDefinition:
    """The check `fresh` of each of these exchanges; one look at the database for all."""
    names = [exchange.spec.name for exchange in exchanges]

    @dg.multi_asset_check(
        name="check_freshness",
        specs=[
            dg.AssetCheckSpec(
                FRESH,
                asset=name,
                description="Every live market's newest settlement is younger than its interval "
                "and an hour. Evaluated each hour, whether anything was collected or not.",
            )
            for name in names
        ],
        can_subset=True,
    )
    def check_freshness(
        context: dg.AssetCheckExecutionContext, pipeline: Pipeline
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = [key.asset_key.to_user_string() for key in context.selected_asset_check_keys]
        with pipeline.database().open() as connection:
            found = exchange_freshness(connection, chosen, timestamp(pipeline.now_ms()))
        for name in chosen:
            yield result(name, found.get(name))

    return check_freshness


def result(exchange: str, found: Freshness | None) -> dg.AssetCheckResult:
    """The verdict; None where the exchange has no live market."""
    if found is None:
        return dg.AssetCheckResult(
            asset_key=exchange,
            check_name=FRESH,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description="no live market is known",
        )
    return dg.AssetCheckResult(
        asset_key=exchange,
        check_name=FRESH,
        passed=found.stale == 0,
        severity=dg.AssetCheckSeverity.ERROR if found.late else dg.AssetCheckSeverity.WARN,
        description=f"{found.stale:,} of {found.markets:,} live markets are overdue",
        metadata={
            "markets": found.markets,
            "stale": found.stale,
            "worst_decile_overdue_hours": round(found.worst_decile_overdue_hours, 2),
            "newest_settlement": f"{found.newest_settlement} UTC"
            if found.newest_settlement
            else "none yet",
            **({"overdue": "\n".join(found.named)} if found.named else {}),
        },
    )


def freshness_schedule(checks: dg.AssetChecksDefinition) -> dg.ScheduleDefinition:
    """The checks of all exchanges in one run, at minute 20 of every hour."""
    return dg.ScheduleDefinition(
        name=FRESHNESS,
        job=dg.define_asset_job(
            FRESHNESS,
            selection=dg.AssetSelection.checks(checks),
            description="Looks for overdue markets; fails where nothing collects, too.",
        ),
        cron_schedule="20 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Looks for markets whose settlements are overdue, at minute 20.",
    )
