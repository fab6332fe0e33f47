"""Resources: the settings of the process that runs, and the published database."""

import time

import dagster as dg
from dagster_duckdb import DuckDBResource

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database


class Pipeline(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Access to the core. Settings come from the environment when a run needs them."""

    def settings(self) -> Settings:
        """FUNDING_* of this process."""
        return Settings()

    def database(self) -> Database:
        """history.duckdb behind its lock."""
        return Database(self.settings())

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return time.time_ns() // 1_000_000


def published_database() -> DuckDBResource:
    """read.duckdb, read-only: what anybody's own assets should read from."""
    return DuckDBResource(
        database=str(Settings().read_path), connection_config={"access_mode": "READ_ONLY"}
    )
