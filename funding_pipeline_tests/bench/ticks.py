"""What an hour costs: CPU, wall and memory of its runs, each a process as `dagster dev` starts it.

Belongs here: running the jobs of an hour on a long history and on a short one, and their ratio.
Does not: the histories (long_history), the size of files (sizes).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb

from funding_pipeline.defs.ingest import REASON_TAG
from funding_pipeline.defs.jobs import DERIVATION, ESTIMATES, HOURLY
from funding_pipeline.defs.runs import RANGE_END, RANGE_START
from funding_pipeline.defs.schedules import tick_days
from funding_pipeline.warehouse.database import timestamp
from funding_pipeline_tests.bench.figures import Figure
from funding_pipeline_tests.bench.long_history import LongHistory
from funding_pipeline_tests.bench.served import sandbox
from funding_pipeline_tests.bench.small_process import from_small_process

MIB = 2**20
_PROJECT = Path(__file__).resolve().parents[2]
_RUN = "import sys; from dagster._cli import main; sys.argv[0] = 'dagster'; main()"


class RunFailedError(RuntimeError):
    """A run of an hour did not succeed; the message is the end of its log."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds of CPU and wall, its largest resident memory."""

    job: str
    cpu_s: float
    wall_s: float
    memory_mib: float


def hour(history: LongHistory) -> list[Run]:
    """The runs of one hour on the history, which they change: tick, derivation with publication,
    estimates with publication.
    """
    home = history.folder / "home"
    home.mkdir(exist_ok=True)
    text = (_PROJECT / "dagster.yaml").read_text("utf-8")
    (home / "dagster.yaml").write_text(text.replace("data/.dagster", ".dagster"), "utf-8")
    now = datetime.now(UTC).replace(tzinfo=None)
    first, last = tick_days(timestamp(history.end_ms - 8 * 3_600_000), now)
    tags = {RANGE_START: first, RANGE_END: last, REASON_TAG: "tick"}
    with sandbox(history) as url:
        return [
            _run(HOURLY, home, history, url, tags),
            _run(DERIVATION, home, history, url, {}),
            _run(ESTIMATES, home, history, url, {}),
        ]


def _run(job: str, home: Path, history: LongHistory, url: str, tags: dict[str, str]) -> Run:
    command = ["job", "execute", "-m", "funding_pipeline.definitions", "-j", job]
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(_PROJECT),
        "FUNDING_DATA_DIR": str(history.folder),
        "FUNDING_SANDBOX_URL": url,
        "FUNDING_LIMITS": "off",
    }
    started = time.monotonic()
    with (home / f"{job}.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *command, "--tags", json.dumps(tags)],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RunFailedError(f"{job}: {log.read()[-2_000:]}")
    return Run(
        job,
        usage.ru_utime + usage.ru_stime,
        time.monotonic() - started,
        usage.ru_maxrss * 1024 / MIB,
    )


def tick_figures(long: LongHistory, short: LongHistory) -> Iterator[Figure]:
    """CPU, wall and memory of an hour on the long history, and what it costs more than on the
    short.
    """
    runs, before = (from_small_process(partial(hour, history)) for history in (long, short))
    collected, derived, _ = runs
    cpu = collected.cpu_s + derived.cpu_s
    parts = ", ".join(f"{run.job} {run.cpu_s:.1f}" for run in runs)
    yield Figure(
        "hourly tick of all exchanges, CPU",
        cpu,
        20.0,
        "s",
        f"{long.markets} markets, every live one settles; collection, derivation and publication, "
        f"two processes with their imports, Kraken answering a month instead of a year. "
        f"All of the hour: {parts}",
    )
    slowest = _slowest_exchange_s(long)
    yield Figure(
        "hourly tick, wall beyond the slowest exchange",
        collected.wall_s + derived.wall_s - slowest,
        30.0,
        "s",
        f"the slowest took {slowest:.1f} s",
    )
    yield Figure(
        "tick with 3 years ÷ with 30 days, CPU",
        cpu / sum(run.cpu_s for run in before[:2]),
        1.2,
        note="publication included; statements, rows and bytes: test_flat.py",
    )
    for run in runs:
        yield Figure(f"memory of {run.job}", run.memory_mib, 500.0, "MiB")


def _slowest_exchange_s(history: LongHistory) -> float:
    with duckdb.connect(str(history.folder / "history.duckdb"), read_only=True) as connection:
        longest: float = connection.execute(
            "SELECT max(epoch(ended - started)) FROM loads WHERE started >= ?",
            [timestamp(history.end_ms)],
        ).fetchall()[0][0]
    return longest
