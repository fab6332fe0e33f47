"""`make bench`: every figure beside its target, and docs/benchmarks.md of it.

Run: python -m funding_pipeline_tests.bench [PART]...      parts: pace, side-by-side,
floor, memory, start-up, long

Belongs here: which figures there are, the table, the exit code: 1 where a target is missed. Does
not: measuring.
"""

import importlib.metadata
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline_tests.bench.figures import Figure
from funding_pipeline_tests.bench.long_history import LongHistory, long_and_short
from funding_pipeline_tests.bench.pace import Pace, measure, measure_tick

_PROJECT = Path(__file__).resolve().parents[2]
_SHARED = _PROJECT.parent / "shared"
_PAGE = _PROJECT / "docs" / "benchmarks.md"
_SHORT_WAIT_S = 10.0
# On this clock a minute of them takes a minute: their counterparts build large answers.
_FEWER_MARKETS = {"kraken": 40, "bitfinex": 20, "paradex": 30}
_TICK_MARKETS = {"paradex": 8}


def pace_figures() -> Iterator[Figure]:
    """Thirty days of every exchange that has a history, with an hourly run in the middle."""
    names = [name for name, e in EXCHANGES.items() if e.spec.kind == "settled"]
    keys = [(name, tick) for name in names for tick in (False, True)]
    calls = [partial(measure, n, markets=_FEWER_MARKETS.get(n), tick=tick) for n, tick in keys]
    done = dict(zip(keys, _in_processes(calls), strict=True))
    refused = [f"{p.exchange} {p.refusals}" for p in done.values() if p.refusals]
    yield Figure(
        "refusals (429) of all backfills",
        float(sum(p.refusals for p in done.values())),
        0.0,
        "",
        ", ".join(refused),
    )
    for tick in (False, True):
        paced = [p for (_, t), p in done.items() if t is tick and p.floor_s >= _SHORT_WAIT_S]
        slowest = sorted(paced, key=lambda p: -p.ratio)
        told = ", ".join(f"{p.exchange} {p.ratio:.3f}" for p in slowest)
        how = ", an hourly run in its middle" if tick else ""
        yield Figure(
            f"backfill of 30 days ÷ ideal client{how}",
            slowest[0].ratio,
            1.05,
            "",
            f"worst of {told}",
        )
    alone = [p for (_, tick), p in done.items() if not tick]
    wasteful = sorted(alone, key=lambda p: -p.thrift)
    yield Figure(
        "history requests ÷ cheapest exact plan",
        wasteful[0].thrift,
        1.02,
        "",
        ", ".join(f"{p.exchange} {p.thrift:.3f}" for p in wasteful[:8])
        + ", all others less; StandX's page limit is not documented, so that a history that ends "
        "early is confirmed once",
    )
    yield from tick_request_figures(names)


def tick_request_figures(names: Sequence[str]) -> Iterator[Figure]:
    """The hour in which all markets settle."""
    done = _in_processes(
        [partial(measure_tick, name, markets=_TICK_MARKETS.get(name, 25)) for name in names]
    )
    wasteful = sorted(done, key=lambda p: -p.thrift)
    yield Figure(
        "requests of a tick ÷ cheapest exact plan",
        wasteful[0].thrift,
        1.02,
        "",
        ", ".join(f"{p.exchange} {p.thrift:.3f}" for p in wasteful[:4])
        + ", all others less or alike, market lists apart; KuCoin is asked market by market on "
        "purpose, since what its list tells has no stamp; Paradex for its index at both ends of "
        "the hour, though the older one is stored",
    )


def _in_processes(calls: Sequence[Callable[[], Pace]]) -> list[Pace]:
    """What they measure, side by side; AssertionError where an exchange was not complete."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        done = [waiting.result() for waiting in [pool.submit(call) for call in calls]]
    if incomplete := [p.exchange for p in done if p.outcome != "complete"]:
        raise AssertionError(f"incomplete: {incomplete}")
    return done


def side_by_side_figures() -> Iterator[Figure]:
    """All exchanges at once."""
    from funding_pipeline_tests.bench import side_by_side

    yield from side_by_side.side_by_side_figures()


def memory_figures() -> Iterator[Figure]:
    """Thirty days of everything."""
    from funding_pipeline_tests.bench import whole_backfill

    yield from whole_backfill.memory_figures()


def floor_figures() -> Iterator[Figure]:
    """A month without limits."""
    from funding_pipeline_tests.bench import floor

    recorded = _SHARED / "recorded"
    yield from floor.floor_figures(recorded if recorded.is_dir() else None)


def start_up_figures() -> Iterator[Figure]:
    """On a published database of a few markets."""
    from funding_pipeline_tests.bench.start_up import filled, start_up_figures

    with tempfile.TemporaryDirectory() as folder:
        filled(Path(folder))
        yield from start_up_figures(Path(folder))


def long_figures(place: Path, long: LongHistory, short: LongHistory) -> Iterator[Figure]:
    """What a reader, a disk and an hour see of the two histories."""
    from funding_pipeline_tests.bench import queries, sizes, ticks

    yield from queries.query_figures(long)
    yield from sizes.size_figures(long, place / "sizes")
    yield from sizes.publication_figures(long)
    yield from ticks.tick_figures(long, short)


# What is measured in seconds has the machine for itself; beside the others the histories are made.
TIMED: dict[str, Callable[[], Iterator[Figure]]] = {
    "start-up": start_up_figures,
    "floor": floor_figures,
}
UNTIMED: dict[str, Callable[[], Iterator[Figure]]] = {
    "pace": pace_figures,
    "side-by-side": side_by_side_figures,
    "memory": memory_figures,
}
LONG = "long"


def measured(chosen: Sequence[str]) -> Iterator[Figure]:
    """The figures of these parts, as they are there."""
    for name, part in TIMED.items():
        if name in chosen:
            yield from part()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside,
    ):
        now_ms = time.time_ns() // 1_000_000
        histories = beside.submit(long_and_short, Path(folder), now_ms) if LONG in chosen else None
        for name, part in UNTIMED.items():
            if name in chosen:
                yield from part()
        if histories is not None:
            yield from long_figures(Path(folder), *histories.result())


def main(chosen: Sequence[str]) -> int:
    """Measure the chosen parts, or all; 1 where a target is missed."""
    started, figures, yardsticks = time.monotonic(), [], [_yardstick_s()]
    for figure in measured(chosen or [*TIMED, *UNTIMED, LONG]):
        figures.append(figure)
        print(_line(figure), flush=True)
    yardsticks.append(_yardstick_s())
    page = _page(figures, time.monotonic() - started, yardsticks)
    if not chosen:
        _PAGE.write_text(page, "utf-8")
    return int(not all(figure.met for figure in figures))


def _yardstick_s() -> float:
    """What five million additions take: machines differ, and so do the hours of one."""
    started = time.perf_counter()
    total = 0
    for number in range(5_000_000):
        total += number
    return time.perf_counter() - started


def _line(figure: Figure) -> str:
    target = "" if figure.target is None else f" (at most {figure.target:g})"
    verdict = "" if figure.met else "  MISSED"
    return f"{figure.name}: {figure.measured:.4g} {figure.unit}{target}{verdict}"


def _page(figures: Sequence[Figure], seconds: float, yardsticks: Sequence[float]) -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("dagster", "duckdb", "polars", "httpx", "aiohttp", "ccxt")
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rows = "\n".join(
        f"| {f.name} | {'' if f.target is None else f'{f.target:g}'} | {f.measured:.4g} {f.unit} | "
        f"{'yes' if f.met else '**no**'} | {f.note} |"
        for f in figures
    )
    return f"""# Benchmarks

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, in {seconds / 60:.0f} minutes.

{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python \
{platform.python_version()}, {versions}. Five million additions in Python took \
{yardsticks[0]:.2f} s before and {yardsticks[1]:.2f} s after: seconds here compare only so far.

No network: exchanges are stood in for by the local sandbox, in their wire formats. Pace is
measured on a simulated clock (`bench/pace.py` says how), start-up and ticks in CPU seconds of whole
processes. Ratios are taken within this one run.

| figure | at most | measured | met | |
|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
