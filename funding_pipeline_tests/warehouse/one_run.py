"""Collects, derives and publishes a small world, then prints every table. Run: python -m … DIR

Near two changes of New York's clocks (2025-03-09 and 2024-11-03), where local time would show.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.warehouse.world import at, collect, listed, register, rows, series

TABLES = (
    "funding_rates",
    "daily_stats",
    "moving_averages",
    "latest_rates",
    "apr",
    "collected_windows",
    "markets",
    "market_intervals",
)


def main(folder: str) -> None:
    database = Database(Settings(data_dir=Path(folder)))
    history = {
        "AAA": series(range(0, 14 * 24, 8)),
        "BBB": series(range(-120 * 24, -110 * 24), "BBB"),
    }
    with database.open() as connection:
        register(connection, listed("AAA", "BBB", listed_at_ms=at(-125 * 24)), datetime(2025, 3, 1))
        for start, end in ((-125, -100), (0, 14)):
            now = datetime(2025, 3, 1) + timedelta(days=end)
            collect(connection, history, Window(at(start * 24), at(end * 24)), now=now)
    derive(database, now=datetime(2025, 3, 15, 0, 40))
    publish(database)
    with duckdb.connect(str(database.read_path), read_only=True) as connection:
        for table in TABLES:
            for row in rows(connection, f"FROM {table} ORDER BY ALL"):
                print(table, row)


if __name__ == "__main__":
    main(sys.argv[1])
