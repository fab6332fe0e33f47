"""The one way into history.duckdb: lock, connection, migrations.

Belongs here: opening and closing. Does not: tables' content.

DuckDB lets one process write and shuts all others out meanwhile, readers included. Hence one file
lock for everybody, held only as long as a short transaction; readers use the published copy.
Files are created in the storage format of DuckDB 1.2, so that every later version reads them.

Opening the file and closing it, which writes a checkpoint, takes ten times as long as a tick's
merge. A thread whose process has others waiting therefore leaves its connection to the next one.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from funding_pipeline.domain.windows import windows_hours
from funding_pipeline.settings import Settings

LOCK_TIMEOUT_S = 600.0
# So long may a process use the file while others wait, however often it opens it; so long is the
# file then free, which is more than the lock's polling interval.
TURN_S = 2.0
FREE_S = 0.1
_EPOCH = datetime(1970, 1, 1)


def timestamp(time_ms: int) -> datetime:
    """Naive UTC, as the database keeps times."""
    return _EPOCH + timedelta(milliseconds=time_ms)


def milliseconds(time: datetime) -> int:
    """UTC milliseconds of a time that the database gave (naive UTC)."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def utc_now() -> datetime:
    """Now, naive UTC, to the millisecond."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Database:
    """history.duckdb of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.history_path
        self.read_path = settings.read_path
        self.windows = windows_hours(settings.windows)
        # Threads queue here, without polling; the file lock is between processes.
        self._turn = threading.RLock()
        self._lock = FileLock(f"{self.path}.lock", timeout=LOCK_TIMEOUT_S, thread_local=False)
        self._counting = threading.Lock()
        self._waiting = 0
        self._depth = 0
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._taken_at = self._left_at = float("-inf")
        self._migrated = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that threads and processes have together, the file being closed; one thread
        may nest it.
        """
        with self._held():
            if self._depth == 1:
                self._close()
            yield

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection under the lock, migrated, in UTC; closed at the end whatever happens, or
        left to a thread that waits for it.
        """
        with self._held():
            nested = self._connection is not None and self._depth > 1
            try:
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except BaseException:
                self._close()
                raise
            if not nested and not self._is_handed_on():
                self._close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._counting:
            self._waiting += 1
        mine = self._turn.acquire(timeout=LOCK_TIMEOUT_S)
        with self._counting:
            self._waiting -= 1
        if not mine:
            raise Timeout(self._lock.lock_file)
        try:
            if not self._lock.is_locked:
                self._lock.acquire()
                if time.monotonic() >= self._left_at + FREE_S:
                    self._taken_at = time.monotonic()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._connection is None:
                    self._left_at = time.monotonic()
                    self._lock.release()
                    if not self._in_time():
                        time.sleep(FREE_S)
        finally:
            self._turn.release()

    def _is_handed_on(self) -> bool:
        return self._depth == 1 and self._waiting > 0 and self._in_time()

    def _in_time(self) -> bool:
        return time.monotonic() < self._taken_at + TURN_S

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            str(self.path), config={"storage_compatibility_version": "v1.2.0"}
        )
        try:
            # A run's process looks interactive to DuckDB, which would draw bars into its log.
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            if not self._migrated:
                migrate(connection)
                self._migrated = True
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All statements of the block or none."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the schema to the newest number, in one transaction."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER, applied_at TIMESTAMP)"
    )
    done = {n for (n,) in connection.execute("SELECT number FROM schema_migrations").fetchall()}
    if missing := done - {number for number, _ in migrations()}:
        raise RuntimeError(
            f"the database has migrations {sorted(missing)} that this version does not know: "
            "it was written by a newer version of the pipeline"
        )
    with transaction(connection):
        for number, sql in migrations():
            if number not in done:
                connection.execute(sql)
                connection.execute(
                    "INSERT INTO schema_migrations VALUES (?, ?)", [number, utc_now()]
                )


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) in order; the number is the file name's first four digits."""
    folder = files("funding_pipeline.warehouse") / "migrations"
    found = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name
    )
    return [(int(entry.name[:4]), entry.read_text()) for entry in found]


@contextmanager
def visible(
    connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame
) -> Iterator[None]:
    """Let SQL see a frame under a name for the length of the block."""
    connection.register(name, frame)
    try:
        yield
    finally:
        connection.unregister(name)
