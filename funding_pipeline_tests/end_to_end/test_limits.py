"""The rate budget against a sandbox that enforces the published limits on sliding windows."""

import time
from pathlib import Path

import httpx
import pytest

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.grid import DAY_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.end_to_end.support import worker

pytestmark = pytest.mark.slow


def test_a_tick_gets_through_two_backfills_and_nobody_is_ever_refused(tmp_path: Path) -> None:
    """Bybit, 600 requests in 5 s; the backfills need some 1,600 requests, 13 s at the limit."""
    today = int(time.time() * 1000) // DAY_MS * DAY_MS
    windows = [(today - 360 * DAY_MS, today - 180 * DAY_MS), (today - 180 * DAY_MS, today)]
    with running_sandbox(load_dataset(None, markets=200), limits=True) as url:
        started = time.monotonic()
        with (
            worker("limited", str(tmp_path), url, "bybit", *map(str, windows[0])) as first,
            worker("limited", str(tmp_path), url, "bybit", *map(str, windows[1])) as second,
        ):
            time.sleep(8)
            settings = Settings(data_dir=tmp_path, sandbox_url=url)
            now_ms = int(time.time() * 1000)
            job = Job("tick", Window(now_ms - DAY_MS // 4, now_ms))
            (tick,) = collect_each(
                select(settings, ["bybit"]), job, settings, Database(settings), now_ms=now_ms
            )
            busy = [first.poll(), second.poll()]
            said = [process.communicate(timeout=120)[0].split() for process in (first, second)]
        seconds = time.monotonic() - started
        counted = httpx.get(f"{url}/_requests").json()["bybit"]
    assert counted["refusals"] == 0
    assert [outcome for outcome, _, _ in said] == ["complete", "complete"]
    assert None in busy, "the tick came through before the backfills were done"
    assert tick.outcome == "complete"
    assert tick.traffic.retries == 0
    requests = sum(int(number) for _, number, _ in said)
    assert requests > 1200
    assert seconds < 60, "the budget is used, not merely kept"
