"""history.duckdb: lock, migrations, time zone, storage format."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse.database import (
    Database,
    migrate,
    migrations,
    milliseconds,
    timestamp,
    transaction,
)

STORAGE_OF_DUCKDB_1_2 = 65  # the number in the file's header, 2.0 writes 999 by itself


@contextmanager
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def schema(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns ORDER BY ALL"
    ).fetchall()


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    numbers = [number for number, _ in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


_BARS = """
import sys
from pathlib import Path
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database

with Database(Settings(data_dir=Path(sys.argv[1]))).open() as connection:
    print(connection.execute("SELECT current_setting('enable_progress_bar')").fetchall())
"""


def test_no_progress_bars_in_the_log_of_a_run(tmp_path: Path) -> None:
    # As runs are started: without a script, which DuckDB takes for a person at a prompt.
    told = subprocess.run(
        [sys.executable, "-c", _BARS, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[(False,)]", told.stderr


def test_migrating_twice_does_nothing_the_second_time() -> None:
    with empty() as connection:
        migrate(connection)
        before = (schema(connection), connection.execute("FROM schema_migrations").fetchall())
        migrate(connection)
        after = (schema(connection), connection.execute("FROM schema_migrations").fetchall())
    assert before == after
    assert [number for number, _ in after[1]] == [number for number, _ in migrations()]


def test_only_the_missing_migrations_run(monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    with empty() as connection:
        monkeypatch.setattr(database_module, "migrations", lambda: known[:1])
        migrate(connection)
        assert ("daily_stats", "day") not in schema(connection)
        monkeypatch.setattr(database_module, "migrations", lambda: known)
        migrate(connection)
        assert ("daily_stats", "day") in schema(connection)


def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    with database.open() as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, now()::TIMESTAMP)")
    fresh = Database(Settings(data_dir=database.path.parent))
    with pytest.raises(RuntimeError, match=r"\[9999\].*newer version"), fresh.open():
        pass
    with duckdb.connect(str(database.path), read_only=True) as connection:
        assert connection.execute("SELECT max(number) FROM schema_migrations").fetchall() == [
            (9999,)
        ]


def test_a_migration_that_fails_leaves_nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (len(migrations()) + 1, "CREATE TABLE half (i INTEGER); SELECT no_such_function()")
    known = migrations()
    with empty() as connection:
        migrate(connection)
        monkeypatch.setattr(database_module, "migrations", lambda: [*known, bad])
        with pytest.raises(duckdb.Error):
            migrate(connection)
        assert ("half", "i") not in schema(connection)
        done = connection.execute("SELECT max(number) FROM schema_migrations").fetchall()
        assert done == [(len(known),)]


def test_a_transaction_is_all_or_nothing() -> None:
    with empty() as connection:
        connection.execute("CREATE TABLE t (i INTEGER)")
        with pytest.raises(KeyboardInterrupt), transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            raise KeyboardInterrupt
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (2)")
        assert connection.execute("FROM t").fetchall() == [(2,)]


def test_the_file_is_in_the_storage_format_of_duckdb_1_2(database: Database) -> None:
    with database.open() as connection:
        tags = connection.execute(
            "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
        ).fetchall()
    assert tags[0][0].startswith("v1.2.0")
    header = database.path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") <= STORAGE_OF_DUCKDB_1_2


def test_connections_are_in_utc_whatever_the_machine_says(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with database.open() as connection:
        zone = connection.execute("SELECT current_setting('TimeZone')").fetchall()
    assert zone == [("UTC",)]


def test_times_survive_the_way_into_the_database_and_back() -> None:
    for time_ms in (0, 1, 1_741_000_000_123, 4_102_444_800_000):
        assert milliseconds(timestamp(time_ms)) == time_ms


def test_the_connection_is_closed_and_the_lock_free_after_an_error(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.open():
        raise ZeroDivisionError
    with database.open() as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_threads_take_turns_so_that_no_increment_is_lost(database: Database) -> None:
    """Read, then write, each in its own connection: without the lock counts would be lost."""
    with database.open() as connection:
        connection.execute("CREATE TABLE counter AS SELECT 0 AS n")

    def count() -> None:
        for _ in range(5):
            with database.locked():
                with database.open() as connection:
                    (n,) = connection.execute("SELECT n FROM counter").fetchall()[0]
                with database.open() as connection:
                    connection.execute("UPDATE counter SET n = ?", [n + 1])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.open() as connection:
        assert connection.execute("SELECT n FROM counter").fetchall() == [(20,)]


def test_a_connection_goes_to_the_thread_that_waits_and_no_further(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening and closing costs more than most work; at the end the file is closed and free."""
    opened = []
    connect = duckdb.connect

    def counted(*arguments: object, **options: object) -> duckdb.DuckDBPyConnection:
        opened.append(1)
        return connect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(database_module.duckdb, "connect", counted)
    found = []

    def use() -> None:
        with database.open() as connection:
            found.append(connection)

    with database.open() as connection:
        found.append(connection)
        other = threading.Thread(target=use)
        other.start()
        while not database._waiting:
            time.sleep(0.001)
    other.join(60)
    assert found[0] is found[1] and len(opened) == 1
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        found[1].execute("SELECT 1")
    with FileLock(database._lock.lock_file, timeout=0):
        pass


def test_what_holds_the_lock_alone_finds_the_file_closed(database: Database) -> None:
    """A copy is made of it then."""
    found = []

    def copy() -> None:
        with database.locked():
            with pytest.raises(duckdb.ConnectionException, match="closed"):
                found[0].execute("SELECT 1")
            found.append(database.path.with_name("history.duckdb.wal").exists())

    with database.open() as connection:
        found.append(connection)
        connection.execute("CREATE TABLE t AS SELECT 1 AS i")
        other = threading.Thread(target=copy)
        other.start()
        while not database._waiting:
            time.sleep(0.001)
    other.join(60)
    assert found[1:] == [False]


def test_after_an_error_no_connection_is_handed_on(database: Database) -> None:
    found = []

    def use() -> None:
        with database.open() as connection, transaction(connection):
            found.append(connection.execute("SELECT 1").fetchall())

    with pytest.raises(ZeroDivisionError), database.open() as connection:
        other = threading.Thread(target=use)
        other.start()
        while not database._waiting:
            time.sleep(0.001)
        connection.execute("BEGIN")
        raise ZeroDivisionError
    other.join(60)
    assert found == [[(1,)]]


@pytest.mark.parametrize("busy_threads", [1, 3])
def test_other_processes_get_their_turn_in_between(
    database: Database, monkeypatch: pytest.MonkeyPatch, busy_threads: int
) -> None:
    """Another `Database` stands for another process: it shares no more than the file."""
    monkeypatch.setattr(database_module, "TURN_S", 0.2)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            with database.open() as connection:
                connection.execute("SELECT 1")

    threads = [threading.Thread(target=busy) for _ in range(busy_threads)]
    for thread in threads:
        thread.start()
    try:
        other = Database(Settings(data_dir=database.path.parent))
        other._lock.timeout = 10
        for _ in range(5):
            with other.open() as connection:
                connection.execute("SELECT 1")
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def test_the_data_folder_is_made_when_it_is_missing(tmp_path: Path) -> None:
    database = Database(Settings(data_dir=tmp_path / "deep" / "down"))
    with database.open():
        pass
    assert database.path.exists()
