"""The sandbox of the long history, in a process of its own, so that its CPU counts for nobody.

Belongs here: starting and ending it. Does not: what it serves (generated_history).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from subprocess import PIPE, Popen
from threading import Event

from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing
from funding_pipeline.sandbox.server import running_sandbox, system_now_ms
from funding_pipeline.sandbox.wire import Exchange
from funding_pipeline.settings import Settings
from funding_pipeline_tests.bench.generated_history import dataset, world
from funding_pipeline_tests.bench.long_history import LongHistory

# Answers every question with the last year. Making such answers takes the sandbox longer than the
# tick, and requests of other exchanges would wait for half a minute: here it tells of fewer days.
_TELLS_ALL = "kraken"
_TOLD_DAYS = 30


@contextmanager
def sandbox(history: LongHistory) -> Iterator[str]:
    """The URL of a sandbox without limits, whose markets and rates are those of the history."""
    arguments = [str(history.listed_from_ms), str(history.end_ms)]
    command = [sys.executable, "-m", __name__, *arguments]
    process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def _since(exchange: Exchange, start_ms: int) -> Exchange:
    def listings() -> list[Listing]:
        return [
            replace(one, eras=tuple((max(since, start_ms), hours) for since, hours in one.eras))
            if one.delisted_ms is None or one.delisted_ms > start_ms
            else one
            for one in exchange.listings()
        ]

    return replace(exchange, listings=listings)


def main(start_ms: int, end_ms: int) -> None:
    """Serve until killed."""
    names = [exchange.spec.name for exchange in select(Settings())]
    served = [
        _since(exchange, end_ms - _TOLD_DAYS * DAY_MS) if exchange.name == _TELLS_ALL else exchange
        for exchange in world(names, start_ms, end_ms)
    ]
    # However long the bench took so far, one hour is to be collected.
    until = end_ms + HOUR_MS - 1
    with running_sandbox(dataset(served), now=lambda: min(system_now_ms(), until)) as url:
        print(url, flush=True)
        Event().wait()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
