"""The one entry point of Dagster: everything the code location holds."""

import dagster as dg

from funding_pipeline.defs.alerts import alerts_sensor
from funding_pipeline.defs.derived import derived_assets
from funding_pipeline.defs.estimates import estimates_asset
from funding_pipeline.defs.failures import failures_sensor
from funding_pipeline.defs.first_days import first_days_sensor
from funding_pipeline.defs.freshness import freshness_checks, freshness_schedule
from funding_pipeline.defs.ingest import ingest_assets
from funding_pipeline.defs.jobs import jobs
from funding_pipeline.defs.lost_runs import lost_runs_sensor
from funding_pipeline.defs.maintenance import maintenance, maintenance_schedule
from funding_pipeline.defs.pictures import pictures_asset
from funding_pipeline.defs.repair import repair_job, repair_sensor
from funding_pipeline.defs.resources import Pipeline, published_database
from funding_pipeline.defs.schedules import estimates_schedule, hourly_schedule, sweep_schedule
from funding_pipeline.defs.sensors import watermark_sensor
from funding_pipeline.exchanges.registry import select
from funding_pipeline.settings import Settings


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of the exchanges chosen by FUNDING_EXCHANGES, and what drives them."""
    exchanges = select(Settings())
    checks = freshness_checks(exchanges)
    return dg.Definitions(
        assets=[
            ingest_assets(exchanges),
            estimates_asset(exchanges),
            *derived_assets(exchanges),
            pictures_asset(exchanges),
        ],
        asset_checks=[checks],
        jobs=[*jobs(exchanges), repair_job(exchanges), maintenance],
        schedules=[
            hourly_schedule(exchanges),
            sweep_schedule(),
            estimates_schedule(),
            freshness_schedule(checks),
            maintenance_schedule(),
        ],
        sensors=[
            watermark_sensor(),
            first_days_sensor(exchanges),
            repair_sensor(exchanges),
            failures_sensor(exchanges),
            lost_runs_sensor(),
            alerts_sensor(exchanges),
        ],
        resources={"pipeline": Pipeline(), "published": published_database()},
        # Steps are asynchronous inside or short; processes of their own would only cost.
        executor=dg.in_process_executor,
    )
