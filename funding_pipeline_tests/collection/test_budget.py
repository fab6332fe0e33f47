"""The shared rate budget, measured over the times at which requests really went out."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from funding_pipeline.collection.budget import Budget, Priority, SharedBudget, Unlimited
from funding_pipeline.exchanges.base import RateLimit

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def spender(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "funding_pipeline_tests.collection.spender",
            str(folder),
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
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


def times(output: str) -> list[float]:
    return [float(line) for line in output.split() if line != "ready"]


def most_in_any_window(sent: list[float], seconds: float) -> int:
    """The largest number of times within any window of that length."""
    ordered = sorted(sent)
    most = start = 0
    for index, moment in enumerate(ordered):
        while moment - ordered[start] >= seconds:
            start += 1
        most = max(most, index - start + 1)
    return most


def acquire(budget: SharedBudget, weight: int, times_: int = 1) -> float:
    async def run() -> float:
        return sum([await spent(budget, weight) for _ in range(times_)])

    return asyncio.run(run())


async def spent(budget: Budget, weight: int) -> float:
    async with budget.spend(weight) as waited_s:
        return waited_s


@contextmanager
def shared(folder: Path, *limits: RateLimit, tick: bool = False) -> Iterator[SharedBudget]:
    priority = Priority.TICK if tick else Priority.BACKFILL
    budget = SharedBudget(folder, "madeup", limits, priority)
    try:
        yield budget
    finally:
        budget.close()


@pytest.mark.slow
@pytest.mark.parametrize("weight", [1, 2])
def test_two_processes_together_never_exceed_the_limit(tmp_path: Path, weight: int) -> None:
    limit, seconds, count = 10, 2.0, 20 // weight
    with ExitStack() as running:
        pair = [
            running.enter_context(spender(tmp_path, "backfill", limit, seconds, weight, count))
            for _ in range(2)
        ]
        outputs = [process.communicate(timeout=60)[0] for process in pair]
    sent = [moment for output in outputs for moment in times(output)]
    assert len(sent) == 2 * count
    # The exchange sees requests in its own time; a loaded machine may blur them by 0.2 s.
    assert most_in_any_window(sent, seconds - 0.2) * weight <= limit
    assert max(sent) - min(sent) < 14, "the budget is used, not merely kept"


def test_within_the_limit_nobody_waits(tmp_path: Path) -> None:
    with shared(tmp_path, RateLimit(20, 60.0)) as budget:
        assert acquire(budget, 2, 10) < 0.5


def test_beyond_the_limit_one_waits_until_the_first_falls_out(tmp_path: Path) -> None:
    with shared(tmp_path, RateLimit(4, 0.6)) as budget:
        started = time.monotonic()
        acquire(budget, 2, 3)
        assert 0.6 <= time.monotonic() - started < 2.0


def test_every_one_of_several_limits_holds(tmp_path: Path) -> None:
    with shared(tmp_path, RateLimit(2, 0.2), RateLimit(4, 1.0)) as budget:
        started = time.monotonic()
        acquire(budget, 1, 4)
        assert 0.2 <= time.monotonic() - started < 0.9
        acquire(budget, 1)
        assert time.monotonic() - started >= 1.0


def test_a_weight_beyond_the_limit_is_an_error_and_no_endless_wait(tmp_path: Path) -> None:
    with shared(tmp_path, RateLimit(4, 60.0)) as budget:
        with pytest.raises(ValueError, match="madeup: weight 5 exceeds the limit"):
            acquire(budget, 5)
        assert acquire(budget, 4) < 0.5, "the refused one has spent nothing"


def test_exchanges_do_not_share_their_budgets(tmp_path: Path) -> None:
    limit = RateLimit(1, 60.0)
    for name in ("one", "two"):
        budget = SharedBudget(tmp_path, name, [limit], Priority.BACKFILL)
        assert acquire(budget, 1) < 0.5
        budget.close()


def test_what_was_spent_outlives_the_process(tmp_path: Path) -> None:
    with shared(tmp_path, RateLimit(2, 1.0)) as budget:
        acquire(budget, 2)
    started = time.monotonic()
    with shared(tmp_path, RateLimit(2, 1.0)) as budget:
        acquire(budget, 1)
    assert time.monotonic() - started > 0.7


@pytest.mark.slow
def test_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    for _ in range(3):
        with spender(tmp_path, "backfill", 50, 0.5, 1, "forever") as process:
            assert process.stdout is not None
            for _ in range(30):
                assert process.stdout.readline()
            process.kill()
            process.wait(10)
    started = time.monotonic()
    with shared(tmp_path, RateLimit(50, 0.5)) as budget:
        acquire(budget, 1, 5)
    assert time.monotonic() - started < 3


@pytest.mark.slow
def test_a_tick_goes_before_backfills(tmp_path: Path) -> None:
    """Two backfills would take every share that falls free; the tick gets the next ones."""
    limit, seconds = 6, 0.5
    with ExitStack() as running:
        backfills = [
            running.enter_context(spender(tmp_path, "backfill", limit, seconds, 1, "forever"))
            for _ in range(2)
        ]
        for process in backfills:
            assert process.stdout is not None
            for _ in range(6):
                assert process.stdout.readline()
        started = time.time()
        with shared(tmp_path, RateLimit(limit, seconds), tick=True) as budget:
            acquire(budget, 3, 4)
        took = time.time() - started
        for process in backfills:
            process.kill()
        outputs = [process.communicate(timeout=10)[0] for process in backfills]
    # Twelve of weight, six in half a second: a second, had it the whole budget to itself.
    assert took < 3
    meanwhile = [
        t for output in outputs for t in times(output) if started + 0.3 < t < started + took
    ]
    assert len(meanwhile) <= 3, "backfills hold back while a tick waits"


@pytest.mark.slow
def test_backfills_go_on_when_the_tick_is_done(tmp_path: Path) -> None:
    with shared(tmp_path, RateLimit(2, 0.4), tick=True) as tick:
        acquire(tick, 1, 4)
    started = time.monotonic()
    with shared(tmp_path, RateLimit(2, 0.4)) as budget:
        acquire(budget, 1)
    assert time.monotonic() - started < 4


def test_unlimited_never_waits() -> None:
    async def run() -> float:
        budget = Unlimited()
        waited = sum([await spent(budget, 10**9) for _ in range(100)])
        budget.close()
        return waited

    assert asyncio.run(run()) == 0.0


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ([RateLimit(1500, 60.0)], [60.01]),
        ([RateLimit(1500, 60.0), RateLimit(50, 1.0)], [1.01, 60.25]),
        ([RateLimit(1500, 60.0), RateLimit(50, 1.0, "history")], [60.01]),
    ],
)
def test_windows_are_stretched_where_a_request_may_have_come_earlier_than_it_counts(
    tmp_path: Path, limits: list[RateLimit], seconds: list[float]
) -> None:
    with shared(tmp_path, *limits) as budget:
        rates = budget._buckets[""].rates
        assert [rate.interval / 1000 for rate in rates] == seconds


@pytest.mark.parametrize(
    ("limit", "counted"),
    [
        # The fastest answer's way is taken off; a failure is none.
        (RateLimit(100, 4.0), [(-2, 150), (-2, 50), (-2, 150), (800, 1_200)]),
        (RateLimit(100, 5.0), [(200, 450), (-2, 50), (200, 450), (1_200, 1_500)]),
    ],
    ids=["short", "long"],
)
def test_a_request_counts_from_when_it_has_arrived_for_sure(
    tmp_path: Path, limit: RateLimit, counted: list[tuple[int, int]]
) -> None:
    """Stamps in the shared log, whole milliseconds, after each request was let through."""
    moved: list[float] = []

    async def run(budget: SharedBudget, seconds: float, error: Exception | None = None) -> None:
        before = time.time() * 1000
        with suppress(ConnectionError):
            async with budget.spend(1):
                await asyncio.sleep(seconds)
                if error:
                    raise error
        with closing(sqlite3.connect(tmp_path / "madeup.sqlite")) as log:
            stamps = log.execute("SELECT max(item_timestamp) FROM requests").fetchall()
        moved.append(stamps[0][0] - before)

    with shared(tmp_path, limit) as budget:
        asyncio.run(run(budget, 0.2))
        asyncio.run(run(budget, 0.0, ConnectionError("refused at once")))
        asyncio.run(run(budget, 0.2))
        asyncio.run(run(budget, 1.2))
    assert all(low <= ms < high for ms, (low, high) in zip(moved, counted, strict=True)), moved
