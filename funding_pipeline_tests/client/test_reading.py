"""Opening what is published: errors that say what to do, no lock, nothing stale, no local time."""

import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funding_pipeline import client
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.client.made_up import END, answers
from funding_pipeline_tests.warehouse.world import time_of

PROJECT = Path(__file__).resolve().parents[2]


def test_nothing_published_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(client.NotPublishedError, match=r"there is no .*data/read.duckdb.*backfill"):
        client.latest()
    assert not (tmp_path / "data").exists()


def test_a_publication_without_data_is_no_error(database: Database) -> None:
    with database.open():
        pass
    publish(database)
    path = database.read_path
    assert client.rates(database=path).is_empty()
    assert client.coverage(database=path).is_empty()
    assert client.spreads(database=path).is_empty()
    assert client.moving_averages(window="7d", newest=True, database=path).is_empty()
    assert client.rates(since=timedelta(days=1), database=path).is_empty()
    with pytest.raises(client.UnknownNameError, match="there is none yet"):
        client.rates(exchange="bybit", database=path)


@pytest.mark.parametrize("location", ["folder", "file", "environment", "working directory"])
def test_where_the_database_is(
    location: str, made_up_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Any = {"folder": made_up_dir, "file": str(made_up_dir / "read.duckdb")}.get(location)
    if location == "environment":
        monkeypatch.setenv("FUNDING_DATA_DIR", str(made_up_dir))
    if location == "working directory":
        (tmp_path / "data").symlink_to(made_up_dir)
        monkeypatch.chdir(tmp_path)
    assert not client.latest(database=database).is_empty()


def test_a_path_with_a_quote(made_up_dir: Path, tmp_path: Path) -> None:
    link = tmp_path / "it's here"
    link.symlink_to(made_up_dir)
    assert not client.latest(database=link).is_empty()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"exchange": "Bybit"}, client.UnknownNameError, "no exchange 'Bybit'; there are: bybit, "),
        ({"asset": ["BTC", "DOGE"]}, client.UnknownNameError, "no asset 'DOGE'"),
        ({"market": ""}, client.UnknownNameError, "no market ''"),
        ({"symbol": []}, ValueError, "symbol: name at least one"),
        ({"since": "last week"}, ValueError, "since: expected text such as '2026-03-01'"),
        ({"until": 5}, TypeError, "until: expected a time"),
        ({"since": "2025-03-05", "until": "2025-03-04"}, ValueError, "must lie before until"),
        ({"coin": "BTC"}, TypeError, "unexpected keyword argument 'coin'"),
    ],
)
def test_arguments_that_are_wrong(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        client.rates(**arguments)


@pytest.mark.usefixtures("published")
def test_other_arguments_that_are_wrong() -> None:
    with pytest.raises(client.UnknownNameError, match="no window '8d'; there are: 3d, 7d"):
        client.moving_averages(window="8d")
    with pytest.raises(client.UnknownNameError, match="no window '1h'; there are: 3d, 7d"):
        client.spreads(window="1h")
    with pytest.raises(ValueError, match="by: exchange or market"):
        client.coverage(by="day")  # type: ignore[arg-type]
    with pytest.raises(duckdb.CatalogException, match="no_such_table"):
        client.query("FROM no_such_table")


def test_close_names_are_proposed(made_up_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funding_pipeline.client.filters._SHOWN", 2)
    with pytest.raises(client.UnknownNameError, match="there are 6 others; similar: BTCUSDT, "):
        client.rates(market="btcusd", database=made_up_dir)


def test_what_an_older_version_published(database: Database) -> None:
    with database.open() as connection:
        connection.execute("DROP VIEW stability")
    publish(database)
    with pytest.raises(client.NotPublishedError, match="older version"):
        client.stability(database=database.read_path)


def test_nothing_can_be_written(made_up_dir: Path) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        client.query("DELETE FROM settlements", database=made_up_dir)


def change(database: Database) -> None:
    """Write one more event, and publish."""
    with database.open() as connection:
        connection.execute(
            "INSERT INTO events VALUES (?, 'test', 'okx', NULL, 'x', NULL)", [time_of(0)]
        )
    publish(database)


def changes(database: Database) -> int:
    found = client.query(
        "SELECT count(*) FROM events WHERE kind = 'test'", database=database.read_path
    )
    return int(found.item())


def test_a_connection_that_is_held_elsewhere_does_not_keep_the_old_file(own: Database) -> None:
    """DuckDB opens a path once per process; a notebook may hold it for days."""
    with duckdb.connect(str(own.read_path), read_only=True) as held:
        held.execute("SELECT count(*) FROM settlements").fetchall()
        assert changes(own) == 0
        change(own)
        assert changes(own) == 1


def test_readers_work_while_a_writer_publishes(own: Database) -> None:
    """Threads of this process; history is open and locked most of the time."""
    done = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(15):
                change(own)
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    while not done.is_set():
        counts.append(changes(own))
        newest = client.latest(database=own.read_path)["funding_time"].max()
        assert newest == time_of(END)
    writer.join()
    assert failed == []
    assert counts == sorted(counts), "never an older publication after a newer one"
    assert len(set(counts)) > 2, "publications were seen while they came"


def test_a_process_that_holds_history_is_not_in_the_way(own: Database) -> None:
    script = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("BEGIN; DELETE FROM settlements")
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(own.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not client.rates(database=own.read_path).is_empty()
        holder.communicate(timeout=30)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_the_time_zone_of_the_machine_changes_nothing(
    zone: str, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "funding_pipeline_tests.client.made_up"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "TZ": zone,
            "PYTHONPATH": str(PROJECT),
            "FUNDING_DATA_DIR": str(published),
        },
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "\n".join(answers()) + "\n"
    assert "2025-03-09T00:00:00.000000" in run.stdout
