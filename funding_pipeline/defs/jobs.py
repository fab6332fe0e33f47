"""Jobs: the hourly collection and the derivation that follows it."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from funding_pipeline.exchanges.base import Exchange

HOURLY = "hourly_collection"
DERIVATION = "derivation"


def jobs(exchanges: Sequence[Exchange]) -> list[Any]:
    """Both jobs; Dagster does not export their type.

    The hourly one holds the exchanges alone, so that a failing one cannot hold up derived tables.
    """
    names = [exchange.spec.name for exchange in exchanges]
    return [
        dg.define_asset_job(
            HOURLY,
            selection=dg.AssetSelection.assets(*names),
            description="Settlements since each market's watermark, all exchanges side by side.",
        ),
        dg.define_asset_job(
            DERIVATION,
            selection=dg.AssetSelection.groups("derived", "published"),
            description="Derived tables brought up to date and read.duckdb published.",
        ),
    ]
