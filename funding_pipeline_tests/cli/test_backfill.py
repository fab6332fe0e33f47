"""`funding backfill` against the sandbox: what it stores, says and returns."""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from funding_pipeline.collection import client
from funding_pipeline.domain.records import Window
from funding_pipeline.sandbox.faults import Fault
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.cli.conftest import Run, Serve, requests, start

MAY = ("backfill", "--from", "2025-05-01", "--to", "2025-05-03")


def published(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect("data/read.duckdb", read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_collects_derives_publishes_and_says_so(run: Run, serve: Serve) -> None:
    serve()
    result = run(*MAY)
    assert result.exit_code == 0, result.output
    assert published(
        """SELECT exchange, market, count(*), min(funding_time)::VARCHAR, max(funding_time)::VARCHAR
        FROM funding_rates GROUP BY ALL ORDER BY ALL"""
    ) == [
        ("bybit", "BTCUSDT", 9, "2025-05-01 00:00:00", "2025-05-03 16:00:00"),
        ("bybit", "ETHUSDT", 9, "2025-05-01 00:00:00", "2025-05-03 16:00:00"),
        ("hyperliquid", "BTC", 72, "2025-05-01 00:00:00", "2025-05-03 23:00:00"),
        ("hyperliquid", "ETH", 72, "2025-05-01 00:00:00", "2025-05-03 23:00:00"),
    ]
    assert published("SELECT count(*) > 0 FROM daily_stats") == [(True,)]
    assert "2025-05-01 to 2025-05-03, both included" in result.output
    assert "hyperliquid: 2 market windows to collect, at least 2 requests" in result.output
    assert "limit" not in result.output  # there is none here, so no minutes
    assert "hyperliquid: 144 new, 0 changed" in result.output
    assert "duckdb -readonly data/read.duckdb" in result.output


def test_the_same_again_asks_only_for_the_market_lists(run: Run, serve: Serve) -> None:
    url = serve()
    assert run(*MAY).exit_code == 0
    before = requests(url)
    result = run(*MAY)
    assert result.exit_code == 0
    after = requests(url)
    assert after["hyperliquid"]["fundingHistory"] == before["hyperliquid"]["fundingHistory"]
    assert after["bybit"]["funding/history"] == before["bybit"]["funding/history"]
    assert "hyperliquid: nothing to ask: collected already, or without a history" in result.output
    assert "derived: nothing had changed" in result.output


def test_only_what_was_chosen(run: Run, serve: Serve) -> None:
    serve()
    result = run(*MAY, "--exchange", "bybit", "--market", "ETHUSDT")
    assert result.exit_code == 0, result.output
    assert published("SELECT DISTINCT exchange, market FROM funding_rates") == [
        ("bybit", "ETHUSDT")
    ]


def test_the_environment_chooses_the_exchanges(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    monkeypatch.setenv("FUNDING_EXCHANGES", "hyperliquid")
    assert run(*MAY).exit_code == 0
    assert published("SELECT DISTINCT exchange FROM loads") == [("hyperliquid",)]
    assert run(*MAY, "--exchange", "bybit").exit_code == 0
    assert ("bybit",) in published("SELECT DISTINCT exchange FROM loads")


def test_a_blocked_exchange_fails_and_the_other_is_published(run: Run, serve: Serve) -> None:
    serve(Fault(kind="geo_block", exchange="bybit"))
    result = run(*MAY)
    assert result.exit_code == 1
    assert "bybit: FAILED: bybit" in result.output
    assert "blocked from this location" in result.output
    assert "Traceback" not in result.output
    assert published("SELECT DISTINCT exchange FROM funding_rates") == [("hyperliquid",)]


def test_a_market_that_fails_makes_the_run_incomplete(run: Run, serve: Serve) -> None:
    serve(Fault(kind="geo_block", exchange="bybit", market="BTCUSDT"), markets=6)
    result = run(*MAY, "--exchange", "bybit")
    assert result.exit_code == 1
    assert "1 markets failed" in result.output
    assert published("SELECT count(DISTINCT market) FROM funding_rates") == [(5,)]


def test_without_a_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    monkeypatch.setenv("FUNDING_SANDBOX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("FUNDING_LIMITS", "off")
    result = run(*MAY)
    assert result.exit_code == 1
    for name in ("hyperliquid", "bybit"):
        assert f"{name}: FAILED: {name}" in result.output
    assert "unreachable" in result.output
    assert "Traceback" not in result.output


def test_a_market_that_nobody_has_is_bad_usage(run: Run, serve: Serve) -> None:
    serve()
    result = run(*MAY, "--market", "eth")
    assert result.exit_code == 2
    assert "no asked exchange has a market eth; there is ETH, ETHUSDT" in result.output


def test_a_market_that_one_exchange_has_is_enough(run: Run, serve: Serve) -> None:
    serve()
    assert run(*MAY, "--market", "BTC", "--market", "BTCUSDT").exit_code == 0


def test_a_market_is_not_called_unknown_where_a_list_is_missing(run: Run, serve: Serve) -> None:
    serve(Fault(kind="geo_block", exchange="bybit"))
    result = run(*MAY, "--market", "ETHUSDT")
    assert result.exit_code == 1
    assert "no asked exchange" not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--exchange", "nope"), "--exchange: unknown exchange ['nope']; known: hyperliquid"),
        (("--from", "2025-05-03", "--to", "2025-05-01"), "is after --to"),
        (("--days", "3", "--from", "2025-05-01"), "--days goes without"),
        (("--days", "3", "--to", "2025-05-01"), "--days goes without"),
        (("--to", "2025-05-01"), "--to needs --from"),
        (("--from", "2999-01-01"), "2999-01-01 is in the future"),
        (("--from", "2025-05-01", "--to", "2999-01-01"), "2999-01-01 is in the future"),
        (("--from", "2025-13-01"), "2025-13-01"),
        (("--from", "1999-01-01"), "no perpetual future existed"),
        (("--days", "999999999"), "no perpetual future existed"),
        (("--days", "0"), "--days"),
    ],
)
def test_bad_usage_touches_nothing(run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run("backfill", *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert not Path("data").exists()


def test_an_unknown_exchange_in_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_EXCHANGES", "bybit,nope")
    result = run(*MAY)
    assert result.exit_code == 2
    assert "FUNDING_EXCHANGES: unknown exchange ['nope']" in result.output


def test_a_data_folder_that_cannot_be(run: Run) -> None:
    Path("data").write_text("a file")
    result = run(*MAY)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "data" in result.output


def test_a_database_of_a_newer_version(run: Run, serve: Serve) -> None:
    serve()
    assert run(*MAY).exit_code == 0
    with duckdb.connect("data/history.duckdb") as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, now())")
    result = run(*MAY)
    assert result.exit_code == 1
    assert "newer version" in result.output


def test_sandbox_and_live_data_do_not_mix(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    assert run(*MAY).exit_code == 0
    monkeypatch.delenv("FUNDING_SANDBOX_URL")
    result = run(*MAY)
    assert result.exit_code == 2
    assert "holds sandbox data" in result.output


def test_a_lock_that_is_never_released(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.05)
    Path("data").mkdir()
    with FileLock("data/history.duckdb.lock"):
        result = run(*MAY)
    assert result.exit_code == 1
    assert "another process keeps writing" in result.output


def test_a_full_disk_in_the_middle_is_a_sentence(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "data/history.duckdb")

    serve()
    monkeypatch.setattr("funding_pipeline.collection.load.merge", full)
    result = run(*MAY)
    assert result.exit_code == 1
    assert "the disk is full: data/history.duckdb" in result.output
    assert "Traceback" not in result.output


class Told:
    """Stands for the module that reports to Dagster."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failure: Exception | None = None) -> None:
        self.calls: list[tuple[list[str], Window]] = []
        self._failure = failure
        module = ModuleType("funding_pipeline.defs.report")
        module.report_backfill = self._report  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def _report(self, reports: Any, window: Window) -> int:
        self.calls.append((sorted(report.exchange for report in reports), window))
        if self._failure:
            raise self._failure
        return 6


def test_dagster_is_told_where_it_has_a_home(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(monkeypatch)
    serve()
    assert run(*MAY).exit_code == 0
    assert told.calls == []
    Path(".env").write_text("DAGSTER_HOME=/somewhere\n")
    assert run(*MAY, "--market", "BTC").exit_code == 0
    assert told.calls == []  # a day with one market is no collected day
    result = run(*MAY)
    assert result.exit_code == 0
    assert "told Dagster of 6 collected days" in result.output
    assert told.calls == [(["bybit", "hyperliquid"], Window(1_746_057_600_000, 1_746_316_800_000))]
    assert "DAGSTER_HOME" not in os.environ  # in force for the command only


def test_dagster_cannot_fail_a_backfill(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    Told(monkeypatch, ValueError("no such instance"))
    serve()
    monkeypatch.setenv("DAGSTER_HOME", "/somewhere")
    result = run(*MAY)
    assert result.exit_code == 0
    assert "warning: Dagster was not told: ValueError: no such instance" in result.output


def test_it_waits_for_others_and_says_so(
    run: Run, serve: Serve, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funding_pipeline.cli.backfill._PATIENCE_S", 0.0)
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.5)
    with database.locked():
        result = run(*MAY)
    assert "waiting: another process is writing to data/history.duckdb" in result.output


@pytest.mark.slow
def test_interrupted_it_keeps_what_it_has_and_resumes(serve: Serve, run: Run) -> None:
    serve(Fault(kind="timeout", exchange="bybit", endpoint="funding/history", seconds=20, after=1))
    process = start(*MAY)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("hyperliquid:") and "new" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 130, errors
    assert "the same command goes on where it stopped" in errors
    assert "Traceback" not in errors
    serve()
    result = run(*MAY)
    assert result.exit_code == 0
    assert "hyperliquid: nothing to ask" in result.output
    # One of bybit's two markets was answered before the interruption.
    assert "bybit: 1 market windows to collect" in result.output
    assert published("SELECT count(*) FROM funding_rates") == [(162,)]
