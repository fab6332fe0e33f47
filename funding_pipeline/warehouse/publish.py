"""Publishing: read.duckdb is an exact copy of history.duckdb, put in place by one rename.

Belongs here: the copy and its atomicity. Does not: deciding when.

Readers that hold the old file keep it until they close; new ones see the new file. A left-over WAL
beside read.duckdb would be replayed onto the new file by DuckDB, so it is removed before and after
the rename, and the file is read-only so that no reader leaves one.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from funding_pipeline.warehouse.database import Database


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published: size in bytes and seconds it took."""

    path: Path
    size_bytes: int
    seconds: float


def publish(database: Database) -> Publication:
    """Copy history.duckdb to read.duckdb. Nothing changes for readers if it fails half-way."""
    started = time.monotonic()
    target = database.read_path
    partial = target.with_name(f".{target.name}.partial")
    with database.locked():
        with database.open() as connection:
            connection.execute("CHECKPOINT")
        partial.unlink(missing_ok=True)
        try:
            shutil.copyfile(database.path, partial)
            partial.chmod(0o444)
            _sync(partial)
            wal = target.with_name(target.name + ".wal")
            wal.unlink(missing_ok=True)
            partial.replace(target)
            wal.unlink(missing_ok=True)
            _sync(target.parent)
        finally:
            partial.unlink(missing_ok=True)
    return Publication(target, target.stat().st_size, time.monotonic() - started)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
