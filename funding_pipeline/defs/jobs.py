"""Jobs: what is run together, by whom it is started and why it is apart from the others.

Belongs here: selections of assets and the tags that tell a run's reason. Does not: when (schedules,
sensors), housekeeping, which is no asset (maintenance).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from funding_pipeline.defs.derived import PUBLISHED
from funding_pipeline.defs.estimates import ESTIMATES_TABLE
from funding_pipeline.defs.ingest import REASON_TAG
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.freshness import FRESH

HOURLY = "hourly_collection"
SWEEP = "correction_sweep"
BACKFILL = "backfill"
ESTIMATES = "estimates"
DERIVATION = "derivation"


def jobs(exchanges: Sequence[Exchange]) -> list[Any]:
    """All asset jobs; Dagster does not export their type.

    Those that collect hold the exchanges alone, so that a failing one cannot hold up derived
    tables; they differ in name so that neither a sweep nor a backfill makes the hourly tick skip.
    """
    every = _collected(exchanges)
    # What is recorded from samples has no past to ask for.
    settled = _collected([exchange for exchange in exchanges if exchange.spec.kind == "settled"])
    return [
        dg.define_asset_job(
            HOURLY,
            selection=every,
            description="Settlements since each market's watermark, all exchanges side by side.",
        ),
        dg.define_asset_job(
            SWEEP,
            selection=every,
            tags={REASON_TAG: "sweep"},
            description="Asks again for the last 48 hours; what came back different is a revision.",
        ),
        dg.define_asset_job(
            BACKFILL,
            selection=settled,
            # On the job as well as on requests: one started by hand is a backfill too.
            tags={REASON_TAG: "backfill"},
            description="The past, one run per exchange; what is collected is not asked again.",
        ),
        dg.define_asset_job(
            ESTIMATES,
            # Published at once: an estimate is worth nothing when its hour is over.
            selection=dg.AssetSelection.assets(ESTIMATES_TABLE, PUBLISHED),
            description="Running estimates of all markets, published at once.",
        ),
        dg.define_asset_job(
            DERIVATION,
            selection=dg.AssetSelection.groups("derived", "published"),
            description="Derived tables brought up to date and read.duckdb published.",
        ),
    ]


def _collected(exchanges: Sequence[Exchange]) -> dg.AssetSelection:
    """The exchanges, but not their freshness: it is looked at whether anything collects or not."""
    keys = [dg.AssetKey(exchange.spec.name) for exchange in exchanges]
    fresh = (dg.AssetCheckKey(key, FRESH) for key in keys)
    return dg.AssetSelection.assets(*keys) - dg.AssetSelection.checks(*fresh)
