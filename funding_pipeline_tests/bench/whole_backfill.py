"""Memory of the first thing that anybody runs: thirty days of everything.

Run: python -m funding_pipeline_tests.bench.whole_backfill STEP URL FOLDER     (each a process)

Belongs here: a sandbox, collecting, and deriving with publication, in a process each, so that the
largest resident memory of each is its own. Does not: time (pace), ticks.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Event

from funding_pipeline.collection.engine import collect
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.grid import DAY_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.registry import EXCHANGES as SPOKEN
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, milliseconds, utc_now
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.bench.figures import Figure
from funding_pipeline_tests.bench.small_process import from_small_process

_MODULE = "funding_pipeline_tests.bench.whole_backfill"
_DAYS = 30
_MIB = 2**20
# Their counterparts build an answer for every hour, or large ones: seconds, not memory.
_FEWER_MARKETS = {"kraken": 40, "bitfinex": 20, "paradex": 10}


def memory_figures() -> Iterator[Figure]:
    """The largest resident memory of collecting, and of deriving what was collected."""
    with tempfile.TemporaryDirectory() as folder, _sandbox() as url:
        for step, what in (("collect", "collection"), ("derive", "derivation and publication")):
            yield Figure(
                f"memory of a {_DAYS}-day backfill of everything: {what}",
                from_small_process(partial(_largest_mib, [step, url, folder])),
                1024.0,
                "MiB",
                f"without limits, so that all exchanges have full batches at once; {_told()}",
            )


def _told() -> str:
    fewer = ", ".join(f"{name} {count}" for name, count in _FEWER_MARKETS.items())
    return f"all markets of the generator, but of {fewer}"


def _largest_mib(arguments: list[str]) -> float:
    process = Popen([sys.executable, "-m", _MODULE, *arguments], stderr=PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments[0]}: {told[-2_000:]}")
    return usage.ru_maxrss * 1024 / _MIB


@contextmanager
def _sandbox() -> Iterator[str]:
    process = Popen([sys.executable, "-m", _MODULE, "serve"], stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            # Without one the exchanges themselves would be asked.
            raise RuntimeError("the sandbox did not start")
        yield url
    finally:
        process.terminate()
        process.communicate()


def _dataset() -> Dataset:
    whole = {}
    for exchange in select(Settings()):
        name = exchange.spec.name
        whole |= generate([SPOKEN[name]], markets=_FEWER_MARKETS.get(name)).markets
    return Dataset(whole, source="generated")


def _serve() -> None:
    with running_sandbox(_dataset()) as url:
        print(url, flush=True)
        Event().wait()


async def _collect(settings: Settings) -> None:
    now_ms = milliseconds(utc_now())
    job = Job("backfill", Window((now_ms // DAY_MS - _DAYS) * DAY_MS, now_ms))
    reports = collect(select(settings), job, settings, Database(settings), now_ms=now_ms)
    failed = [r.summary() async for r in reports if r.outcome not in ("complete", "skipped")]
    if failed:
        raise RuntimeError("; ".join(failed))


def main(step: str, url: str = "", folder: str = "") -> None:
    """One of the steps, to its end."""
    if step == "serve":
        _serve()
        return
    settings = Settings(data_dir=Path(folder), sandbox_url=url, limits=False)
    if step == "collect":
        asyncio.run(_collect(settings))
    else:
        derive(Database(settings), now=utc_now())
        publish(Database(settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
