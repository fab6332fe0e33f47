"""Derived assets and publication: one unpartitioned, incremental step each.

Belongs here: running the derivation and the publication, and what they report. Does not: formulas
(transforms), reading what is owed (warehouse).
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster_duckdb import DuckDBResource

from funding_pipeline.alerts.ping import ping
from funding_pipeline.alerts.sources import publication_is_good
from funding_pipeline.defs.columns import table_metadata
from funding_pipeline.defs.estimates import ESTIMATES_TABLE
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.warehouse.database import utc_now
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.publish import publish

PUBLISHED = "read_database"
TABLES = {
    "daily_stats": "Per market and UTC day: realised funding, time-weighted mean, extremes, "
    "coverage.",
    "apr": "Hourly APR per market on one grid, so that markets of different intervals line up. "
    "A view over the settlements: always up to date with them.",
    "moving_averages": "Time-weighted hourly rate and APR over 24h, 3d, 7d, 14d and 30d, at every "
    "midnight and hourly for the last week. Null below 80 % coverage.",
    "latest_rates": "The newest settlement of every market.",
}
STATISTICS = {
    "asset_averages": "Per asset and window across exchanges: plain, open-interest-weighted and "
    "volume-weighted mean, extremes, spread.",
    "market_signals": "Per market: exponential averages, and where the newest rate stands among "
    "those of 30 and 90 days.",
    "stability": "Per market and window: variation, sign changes, persistence, autocorrelation.",
    "seasonality": "Per market, by hour of day and by weekday.",
    "spreads": "Every pair of markets of one asset: long the lower, short the higher; gross, net "
    "of fees, basis, break-even, persistence. `spread_exclusions` lists what is left out, and why.",
    "opportunities": "Pairs whose net APR rose above a threshold: opened, peak, closed, realised.",
    "rate_correlations": "How alike markets pay, and each one's nearest neighbours.",
    "gaps": "Settlements that are expected and not there, each with its reason.",
}


def derived_assets(exchanges: Sequence[Exchange]) -> list[dg.AssetsDefinition]:
    """The derived tables of these exchanges' settlements, and the published database."""
    names = [exchange.spec.name for exchange in exchanges]

    @dg.multi_asset(
        name="derive_tables",
        specs=[
            dg.AssetSpec(
                table,
                deps=[exchange.spec.name for exchange in exchanges],
                description=text,
                group_name="derived",
                kinds={"polars", "duckdb"},
                owners=["team:funding"],
                metadata=table_metadata(table),
            )
            for table, text in (TABLES | STATISTICS).items()
        ],
    )
    def derive_tables(
        context: dg.AssetExecutionContext, pipeline: Pipeline
    ) -> Iterator[dg.MaterializeResult[None]]:
        done = derive(pipeline.database(), now=utc_now())
        context.log.info(
            "%d markets, %d days derived in %.1f s", done.markets, done.days, done.seconds
        )
        shared: dict[str, float] = {
            "markets": done.markets,
            "days": done.days,
            "seconds": round(done.seconds, 3),
        }
        written: dict[str, float] = {
            "daily_stats": done.daily_rows,
            "moving_averages": done.average_rows,
            "market_signals": done.signal_rows,
            **done.statistics,
        }
        for table in TABLES | STATISTICS:
            rows = {"rows_written": written[table]} if table in written else {}
            # What broke keeps its rows of before; the publication turns the run red.
            broken = {"broken": done.broken[table]} if table in done.broken else {}
            yield dg.MaterializeResult(asset_key=table, metadata={**shared, **rows, **broken})

    @dg.asset(
        name=PUBLISHED,
        deps=[*TABLES, *STATISTICS, ESTIMATES_TABLE],
        group_name="published",
        kinds={"duckdb"},
        owners=["team:funding"],
        description=(
            "`read.duckdb`: everything, for every reader, put in place by one rename. "
            "Readers never meet a lock."
        ),
    )
    def read_database(pipeline: Pipeline, published: DuckDBResource) -> dg.MaterializeResult[None]:
        publication = publish(pipeline.database())
        with published.get_connection() as connection:
            rows, markets, newest = connection.execute(
                """SELECT (SELECT count(*) FROM settlements), count(last_settlement),
                          max(last_settlement) FROM markets"""
            ).fetchall()[0]
            errors = connection.execute(
                "SELECT error FROM derivations ORDER BY ended DESC LIMIT 1"
            ).fetchall()
            good = publication_is_good(connection, names, utc_now())
        if errors and errors[0][0]:
            raise dg.Failure(f"published, but a part of the derivation broke: {errors[0][0]}")
        if good and (url := pipeline.settings().ping_url):
            ping(url)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "markets": markets,
                "newest_settlement": f"{newest} UTC" if newest else "none yet",
                "dagster/uri": dg.MetadataValue.path(publication.path.absolute()),
                "size_mb": round(publication.size_bytes / 1e6, 3),
                "seconds": round(publication.seconds, 3),
            }
        )

    return [derive_tables, read_database]
