"""Several processes at once, and processes that die."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.sandbox.faults import FaultPlan, parse_faults
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.end_to_end.support import (
    collect,
    compare,
    ms,
    sandbox_settings,
    worker,
)

pytestmark = pytest.mark.slow

# Every history answer takes a little, as on a real network, so that there is a middle to kill in.
SLOW_HISTORY = b"""[{"kind": "timeout", "endpoint": "funding/history", "seconds": 0.3}]"""


def test_two_processes_write_while_three_read_without_an_error(
    recorded_url: str, recorded_dir: Path, tmp_path: Path
) -> None:
    settings = sandbox_settings(tmp_path / "data", recorded_url)
    window = Window(ms(2025, 5, 1), ms(2025, 5, 4))
    stop = tmp_path / "stop"
    span = (str(window.start_ms), str(window.end_ms))
    folder = str(settings.data_dir)
    with ExitStack() as running:
        readers = [running.enter_context(worker("read", folder, str(stop))) for _ in range(3)]
        writers = [
            running.enter_context(worker("write", folder, recorded_url, exchange, *span, "500"))
            for exchange in ("hyperliquid", "bybit")
        ]
        for process in writers:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
        time.sleep(0.3)
        stop.touch()
        for process in readers:
            output, _ = process.communicate(timeout=30)
            assert process.returncode == 0, output
            looks, seen = map(int, output.split())
            assert looks > 20
            assert seen > 8_000
    for exchange in ("hyperliquid", "bybit"):
        found = compare(settings.read_path, recorded_dir, exchange, window)
        assert found.exact, (exchange, found)


def test_a_backfill_killed_again_and_again_resumes_to_the_exact_table(
    recorded_world: Dataset, recorded_dir: Path, tmp_path: Path
) -> None:
    window = Window(ms(2025, 5, 1), ms(2025, 6, 1))
    with running_sandbox(recorded_world, faults=FaultPlan(parse_faults(SLOW_HISTORY))) as url:
        settings = sandbox_settings(tmp_path / "data", url)
        collected: list[int] = []
        for _ in range(3):
            before = _windows(settings.data_dir, url)
            with worker(
                "backfill",
                str(settings.data_dir),
                url,
                "bybit",
                str(window.start_ms),
                str(window.end_ms),
                "500",
            ) as process:
                _wait_for(lambda before=before: _windows(settings.data_dir, url) > before)
                assert process.poll() is None, "it ended before it could be killed"
                process.send_signal(signal.SIGKILL)
                process.wait(10)
            collected.append(_windows(settings.data_dir, url))
        assert collected == sorted(set(collected)), "each attempt went further than the last"
        assert 0 < collected[-1] < 344

        httpx.post(f"{url}/_requests/reset")
        report = collect(settings, window, ["bybit"])["bybit"]
        asked = httpx.get(f"{url}/_requests").json()["bybit"]["endpoints"]["funding/history"]
    assert report.outcome == "complete", report.summary()
    assert report.markets_asked == 344 - collected[-1], "what was collected is not asked again"
    assert asked < 359
    publish(Database(settings))
    found = compare(settings.read_path, recorded_dir, "bybit", window)
    assert found.exact, found
    with Database(settings).open() as connection:
        loads = connection.execute("SELECT outcome FROM loads ORDER BY load_id").fetchall()
    assert loads == [(None,)] * 3 + [("complete",)], "a killed load has no end"


def _windows(data_dir: Path, url: str) -> int:
    settings = sandbox_settings(data_dir, url)
    if not settings.history_path.exists():
        return 0
    with Database(settings).open() as connection:
        return int(connection.execute("SELECT count(*) FROM collected_windows").fetchall()[0][0])


def _wait_for(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
