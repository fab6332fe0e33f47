"""Running estimates of all markets: one asset, sampled shortly before each hour.

Belongs here: what a sample reports, and which failures count. Does not: asking (collection), what
becomes of samples where an exchange has no history (warehouse.estimates).
"""

from collections.abc import Sequence

import dagster as dg

from funding_pipeline.collection.estimates import sample_estimates
from funding_pipeline.defs.columns import table_metadata
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange

ESTIMATES_TABLE = "predicted_rates"


def estimates_asset(exchanges: Sequence[Exchange]) -> dg.AssetsDefinition:
    """`predicted_rates` of these exchanges; a failing one is a warning unless all fail."""

    @dg.asset(
        name=ESTIMATES_TABLE,
        group_name="estimates",
        kinds={"python", "duckdb"},
        owners=["team:funding"],
        metadata=table_metadata(ESTIMATES_TABLE),
        description=(
            "What every market is about to pay: the running estimate with mark and index price, "
            "open interest and volume, sampled four minutes before each hour. Estimates never "
            "enter the settled history; exchanges without one have theirs recorded from here."
        ),
    )
    def predicted_rates(
        context: dg.AssetExecutionContext, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        reports = sample_estimates(exchanges, pipeline.settings(), pipeline.database())
        failed = {report.exchange: report.error for report in reports if report.error is not None}
        for error in failed.values():
            context.log.warning("no estimates: %s", error)
        # Of those that are left alone after failures, status and events tell.
        asked = [report.exchange for report in reports if report.asked]
        if asked and failed.keys() >= set(asked):
            raise dg.Failure(
                f"no estimates: all {len(asked)} exchanges failed",
                metadata={name: failed[name] for name in asked},
                allow_retries=False,
            )
        return dg.MaterializeResult(
            metadata={
                "markets": sum(report.markets for report in reports),
                "requests": sum(report.requests for report in reports),
                # They are asked side by side.
                "seconds": round(max((report.seconds for report in reports), default=0.0), 3),
                "markets_by_exchange": {report.exchange: report.markets for report in reports},
                "exchanges_failed": len(failed),
                **({"failures": "\n".join(failed.values())} if failed else {}),
            }
        )

    return predicted_rates
