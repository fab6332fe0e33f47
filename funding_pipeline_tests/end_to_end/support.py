"""What whole runs share: running a job, and comparing its tables with the recording.

The comparison is written in SQL of its own and snaps stamps its own way, so that it shares no rule
with the pipeline.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database

RECORDED_FILES = {"hyperliquid": ("hyperliquid", "hyperliquid_xyz"), "bybit": ("bybit",)}
PROJECT = Path(__file__).resolve().parents[2]


def ms(*when: int) -> int:
    """UTC milliseconds of a date and time."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc]


def sandbox_settings(data_dir: Path, url: str) -> Settings:
    return Settings(data_dir=data_dir, sandbox_url=url, limits=False)


def collect(
    settings: Settings,
    window: Window,
    exchanges: Iterable[str] = (),
    markets: Iterable[str] = (),
    *,
    refetch: bool = False,
) -> dict[str, LoadReport]:
    """Collect a window as `funding backfill` does; reports by exchange."""
    job = Job("backfill", window, frozenset(markets), refetch)
    reports = collect_each(
        select(settings, exchanges),
        job,
        settings,
        Database(settings),
        now_ms=int(time.time() * 1000),
    )
    return {report.exchange: report for report in reports}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A table against the recording: all but the first two should be nothing."""

    recorded: int
    stored: int
    missing: int
    extra: int
    repeated: int
    wrong_rate: int
    wrong_interval: int
    wrong_apr: int

    @property
    def exact(self) -> bool:
        faults = (self.missing, self.extra, self.repeated, self.wrong_rate, self.wrong_interval)
        return self.recorded == self.stored > 0 and not any((*faults, self.wrong_apr))


def compare(database: Path, recorded_dir: Path, exchange: str, window: Window) -> Comparison:
    """`funding_rates` of one exchange against every recorded settlement of the window."""
    files = [str(recorded_dir / f"{stem}.parquet") for stem in RECORDED_FILES[exchange]]
    start, end = (
        datetime.fromtimestamp(t / 1000, UTC).replace(tzinfo=None)
        for t in (window.start_ms, window.end_ms)
    )
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            """WITH recorded AS (
                SELECT market, rate, interval_hours, date_trunc('hour',
                    CAST(time AT TIME ZONE 'UTC' AS TIMESTAMP) + INTERVAL 5 SECOND) AS hour
                FROM read_parquet(?)
            ), r AS (FROM recorded WHERE hour >= ? AND hour < ?),
            s AS (FROM funding_rates WHERE exchange = ?),
            both_sides AS (
                SELECT r.market AS rm, s.market AS sm, r.rate, s.rate AS stored_rate,
                       r.interval_hours, s.interval_hours AS stored_hours, s.apr
                FROM r FULL JOIN s ON r.market = s.market AND r.hour = s.funding_time)
            SELECT (SELECT count(*) FROM r), (SELECT count(*) FROM s),
                count(*) FILTER (sm IS NULL), count(*) FILTER (rm IS NULL),
                (SELECT count(*) - count(DISTINCT (market, funding_time)) FROM s),
                count(*) FILTER (rate <> stored_rate),
                count(*) FILTER (interval_hours <> stored_hours),
                count(*) FILTER (abs(apr - rate * (8760 / interval_hours))
                                 > 1e-12 * abs(rate * (8760 / interval_hours)))
            FROM both_sides""",
            [files, start, end, exchange],
        ).fetchall()[0]
    return Comparison(*row)


@contextmanager
def worker(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`workers.py` in a process of its own; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "funding_pipeline_tests.end_to_end.workers", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
