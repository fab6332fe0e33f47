"""The commands that read: status, exchanges, export, and how fast the first one starts."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from funding_pipeline.cli.text import hours_minutes, interval_words, percent
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.faults import Fault
from funding_pipeline_tests.cli.conftest import Run, Serve

WEEK = ("backfill", "--days", "7")
EXCHANGE_KEYS = {
    "name", "status", "last_settlement", "lag_s", "markets_live", "coverage_30d", "last_run",
    "last_success", "last_error", "last_error_at", "total_runs", "total_records", "open_loads",
    "markets_stale", "retry_at",
}  # fmt: skip


def test_status_before_anything(run: Run) -> None:
    result = run("status")
    assert result.exit_code == 1
    assert result.output.startswith("NOT WELL: nothing is published yet\n")
    assert "Nothing is published yet" in result.output
    assert "funding backfill" in result.output
    found = json.loads(run("status", "--json").output)
    assert found["published"] is None
    assert [e["name"] for e in found["exchanges"]] == ["hyperliquid", "bybit"]
    assert not Path("data").exists()


def test_status_of_one_that_works_one_that_fails(run: Run, serve: Serve) -> None:
    serve(Fault(kind="geo_block", exchange="bybit"))
    run(*WEEK)
    found = json.loads(run("status", "--json").output)
    assert set(found) == {
        "well", "verdict", "reasons", "published", "age_s", "exchanges", "origin"
    }  # fmt: skip
    assert not found["well"]
    (reason,) = found["reasons"]
    assert reason.startswith("bybit: geo-blocked: bybit ")
    assert found["verdict"] == f"NOT WELL: {reason}"
    assert found["origin"] == "sandbox"
    assert found["published"].endswith("Z")
    good, bad = found["exchanges"]
    assert set(good) == set(bad) == EXCHANGE_KEYS
    assert (good["status"], bad["status"]) == ("ok", "geo-blocked")
    assert (good["markets_live"], good["total_runs"]) == (2, 1)
    assert 7 / 30 < good["coverage_30d"] < 8.1 / 30
    assert good["last_settlement"][14:] == "00:00.000Z"
    assert good["lag_s"] < 2 * 3600
    assert good["last_error"] is None
    assert bad["last_success"] is None
    assert "blocked from this location" in bad["last_error"]
    result = run("status")
    text = result.output
    assert result.exit_code == 1
    assert text.startswith(f"NOT WELL: {reason}\n")
    assert "SANDBOX DATA" in text
    assert "blocked from this location" in text
    assert "Coverage: hours of the last 30 days" in text


def test_status_names_what_was_never_collected(run: Run, serve: Serve) -> None:
    serve()
    run(*WEEK, "--exchange", "bybit")
    lines = run("status").output.splitlines()
    assert lines[0] == "NOT WELL: hyperliquid: never collected"
    named = [line for line in lines[1:] if line.startswith("hyperliquid  ")]
    assert len(named) == 1 and "never collected" in named[0]


def test_status_serves_as_a_health_check(run: Run, serve: Serve) -> None:
    serve()
    run(*WEEK)
    result = run("status")
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "all well")
    found = json.loads(run("status", "--json").output)
    assert (found["well"], found["verdict"], found["reasons"]) == (True, "all well", [])
    three_hours_ago = time.time() - 3 * 3600
    os.utime("data/read.duckdb", (three_hours_ago, three_hours_ago))
    result = run("status", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["reasons"] == ["published 3.0 hours ago: nothing seems to run"]


def test_a_backfill_of_what_is_left_alone_says_so_and_tries_when_it_is_named(
    run: Run, serve: Serve
) -> None:
    serve(Fault(kind="geo_block", exchange="bybit"))
    for _ in range(3):
        run("backfill", "--days", "1")
    lines = run("backfill", "--days", "1").output
    assert "bybit: not asked: breaker open until" in lines
    assert "breaker open" in run("status").output
    assert "bybit: FAILED" in run("backfill", "--days", "1", "--exchange", "bybit").output
    serve()
    assert run("backfill", "--days", "1", "--exchange", "bybit").exit_code == 0
    assert run("status").exit_code == 0


def test_status_needs_no_lock(run: Run, serve: Serve) -> None:
    serve()
    run(*WEEK, "--exchange", "bybit")
    with duckdb.connect("data/history.duckdb"):
        assert "bybit" in run("status").output


def test_a_publication_that_is_no_database(run: Run) -> None:
    Path("data").mkdir()
    Path("data/read.duckdb").write_text("nothing of the kind" * 1000)
    result = run("status")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_status_starts_without_the_heavy_libraries(run: Run, serve: Serve) -> None:
    serve()
    run(*WEEK, "--exchange", "bybit")
    check = (
        "import sys\nfrom funding_pipeline.cli import main\n"
        "main(['status'], standalone_mode=False)\n"
        "print([m for m in ('dagster', 'polars', 'httpx', 'rich', 'starlette', 'pyarrow')"
        " if m in sys.modules])"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - started < 5  # a loaded machine; alone it takes 0.3 s


def test_importing_the_command_line_imports_next_to_nothing() -> None:
    check = (
        "import sys, funding_pipeline.cli\n"
        "print([m for m in ('dagster', 'polars', 'httpx', 'duckdb', 'pydantic', 'rich')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_exchanges(run: Run) -> None:
    text = run("exchanges").output
    assert "1 h (8 h before 2023-06-08)" in text
    assert "1,200 per 60 s" in text
    declared = json.loads(run("exchanges", "--json").output)
    assert [d["name"] for d in declared] == list(EXCHANGES)
    assert set(declared[0]) == {
        "name", "title", "rate_unit", "sign", "interval", "page_rows", "limits", "experimental",
        "docs",
    }  # fmt: skip


def test_export_writes_and_counts(run: Run, serve: Serve) -> None:
    serve()
    run("backfill", "--from", "2025-05-01", "--to", "2025-05-03")
    chosen = ("--from", "2025-05-02", "--to", "2025-05-02", "--symbol", "BTC")
    result = run("export", "funding_rates", "--out", "btc.csv", *chosen)
    assert result.exit_code == 0, result.output
    assert result.output == "27 rows of funding_rates written to btc.csv\n"
    assert len(Path("btc.csv").read_text().splitlines()) == 28
    assert run("export", "funding_rates", "--out", "btc.out", *chosen).exit_code == 0
    assert duckdb.sql("SELECT count(*) FROM read_parquet('btc.out')").fetchall() == [(27,)]
    assert run("export", "loads", "--out", "l.txt", "--format", "csv").exit_code == 0
    assert Path("l.txt").read_text().startswith("load_id,")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nope", "--out", "x"), "no table nope; there are: funding_rates"),
        (("markets", "--out", "x", "--from", "2025-05-01"), "do not apply to markets"),
        (("loads", "--out", "x", "--symbol", "BTC"), "--symbol does not apply to loads"),
        (("loads", "--out", "x", "--from", "yesterday"), "yesterday"),
        (("loads", "--out", "data/read.duckdb"), "is a database of the pipeline"),
        (("loads",), "--out"),
    ],
)
def test_export_bad_usage(run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run("export", *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_export_before_anything(run: Run) -> None:
    result = run("export", "apr", "--out", "x.csv")
    assert result.exit_code == 1
    assert "nothing is published yet" in result.output


def test_the_env_file_counts_for_every_command(run: Run) -> None:
    Path(".env").write_text("FUNDING_DATA_DIR=elsewhere\n")
    assert "elsewhere/read.duckdb" in run("status").output
    assert "FUNDING_DATA_DIR" not in os.environ


def test_a_setting_that_makes_no_sense(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_LIMITS", "perhaps")
    result = run("status")
    assert result.exit_code == 1
    assert "FUNDING_LIMITS: " in result.output


@pytest.mark.parametrize("command", [(), ("backfill",), ("status",), ("sandbox",), ("export",)])
def test_help_has_an_example(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert not command or f"Example: funding {command[0]}" in result.output


def test_numbers_for_people() -> None:
    assert [hours_minutes(s) for s in (0, 59, 60, 3_599, 90_061)] == [
        "0:00", "0:00", "0:01", "0:59", "25:01",
    ]  # fmt: skip
    assert [percent(x) for x in (1.0, 0.9999, 0.999, 0.7, 0.0)] == [
        "100.0 %", "99.9 %", "99.9 %", "70.0 %", "0.0 %",
    ]  # fmt: skip
    assert interval_words(FixedInterval(((0, 1),))) == "1 h"
    assert interval_words("row") == "in each row"
