"""What a person waits for before anything happens: imports, and `funding status` from cold.

Belongs here: whole processes, measured from outside by their CPU and wall time.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.grid import DAY_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.bench.figures import Figure

_ROUNDS = 5


def start_up_figures(data_dir: Path) -> Iterator[Figure]:
    """Seconds of a process that imports the definitions, and of `funding status` over `data_dir`,
    less what an empty interpreter takes.
    """
    nothing = _seconds("pass", data_dir)
    definitions = _seconds("import funding_pipeline.definitions", data_dir)
    status = _seconds(
        "from funding_pipeline.cli import main; main(['status'], standalone_mode=False)", data_dir
    )
    note = f"median of {_ROUNDS} processes, CPU; an interpreter alone takes {nothing:.2f} s"
    yield Figure("import of funding_pipeline.definitions", definitions, 1.5, "s", note)
    yield Figure("funding status, cold", status, 0.5, "s", note)


def filled(folder: Path) -> None:
    """A database of two exchanges' last days, collected from a sandbox, derived and published."""
    now_ms = time.time_ns() // 1_000_000
    with running_sandbox(load_dataset(None, markets=10)) as url:
        settings = Settings(data_dir=folder, sandbox_url=url, limits=False)
        database = Database(settings)
        job = Job("backfill", Window(now_ms - 2 * DAY_MS, now_ms))
        exchanges = select(settings, ["bybit", "hyperliquid"])
        list(collect_each(exchanges, job, settings, database, now_ms=now_ms))
        derive(database, now=utc_now())
        publish(database)


def _seconds(script: str, data_dir: Path) -> float:
    """CPU seconds, the interpreter's own included: unlike wall time they bear company."""
    environment = {**os.environ, "FUNDING_DATA_DIR": str(data_dir)}
    found = []
    for _ in range(_ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)
