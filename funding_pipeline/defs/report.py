"""Telling Dagster what the command line collected, so that its UI shows the same days as done."""

import time
from collections.abc import Sequence

import dagster as dg

from funding_pipeline.collection.report import LoadReport
from funding_pipeline.defs.derived import PUBLISHED, STATISTICS, TABLES
from funding_pipeline.defs.ingest import load_metadata
from funding_pipeline.defs.partitions import DAYS, day_keys
from funding_pipeline.domain.records import Window


def report_backfill(reports: Sequence[LoadReport], window: Window) -> int:
    """Record a materialisation per collected exchange and day in the instance of DAGSTER_HOME, and
    of what was derived and published from them.

    Exchanges that failed are left out, and so are days that have no partition. Returns how many
    days were recorded. Raises what Dagster raises when there is no usable instance.
    """
    known = set(DAYS.get_partition_keys())
    days = [day for day in day_keys(window) if day in known]
    now_ms = time.time_ns() // 1_000_000
    recorded = 0
    with dg.DagsterInstance.get() as instance:
        for report in reports:
            if report.outcome in ("failed", "skipped"):
                continue
            metadata = load_metadata(report, None, now_ms)
            for day in days:
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(report.exchange, partition=day, metadata=metadata)
                )
                recorded += 1
        for asset in (*TABLES, *STATISTICS, PUBLISHED):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset))
    return recorded
