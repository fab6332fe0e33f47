"""Processes that write and read while a test watches. Run: python -m <this module> ROLE ARGUMENTS

write DATA_DIR URL EXCHANGE FROM_MS END_MS ROWS    collect day by day, publish each day
backfill DATA_DIR URL EXCHANGE FROM_MS END_MS ROWS collect in one job, ROWS rows a batch
limited DATA_DIR URL EXCHANGE FROM_MS END_MS       the same, within the exchange's rate limits
read DATA_DIR STOP_FILE                            read read.duckdb until STOP_FILE exists
"""

import sys
import time
from pathlib import Path

import duckdb

from funding_pipeline.collection import load
from funding_pipeline.domain.grid import DAY_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.end_to_end.support import collect, sandbox_settings


def write(folder: str, url: str, exchange: str, start: str, end: str, rows: str) -> None:
    load.BATCH_ROWS = int(rows)
    settings = sandbox_settings(Path(folder), url)
    for day in range(int(start), int(end), DAY_MS):
        report = collect(settings, Window(day, day + DAY_MS), [exchange])[exchange]
        assert report.outcome == "complete", report.summary()
        publish(Database(settings))


def backfill(folder: str, url: str, exchange: str, start: str, end: str, rows: str) -> None:
    load.BATCH_ROWS = int(rows)
    settings = sandbox_settings(Path(folder), url)
    collect(settings, Window(int(start), int(end)), [exchange])


def limited(folder: str, url: str, exchange: str, start: str, end: str) -> None:
    settings = Settings(data_dir=Path(folder), sandbox_url=url)
    report = collect(settings, Window(int(start), int(end)), [exchange])[exchange]
    print(f"{report.outcome} {report.traffic.requests} {report.traffic.retries}", flush=True)


def read(folder: str, stop: str) -> None:
    """Every look must succeed, and find at least what the look before found, each row once."""
    path = Path(folder) / "read.duckdb"
    looks = seen = 0
    while not Path(stop).exists():
        if not path.exists():
            time.sleep(0.01)
            continue
        with duckdb.connect(str(path), read_only=True) as connection:
            rows, keys = connection.execute(
                """SELECT count(*), count(DISTINCT (exchange, market, funding_time))
                FROM funding_rates"""
            ).fetchall()[0]
        assert rows == keys, f"{rows - keys} rows twice"
        assert rows >= seen, f"{rows} rows after {seen}"
        looks, seen = looks + 1, rows
        time.sleep(0.01)
    print(looks, seen)


if __name__ == "__main__":
    roles = {"write": write, "backfill": backfill, "limited": limited, "read": read}
    roles[sys.argv[1]](*sys.argv[2:])
