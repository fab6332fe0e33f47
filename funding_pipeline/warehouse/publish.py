"""Publishing: read.duckdb is an exact copy of history.duckdb, put in place by one rename.

Belongs here: the copy and its atomicity. Does not: deciding when, comparing blocks (standby).

Readers that hold the old file keep it until they close; new ones see the new file. A left-over WAL
beside read.duckdb would be replayed onto the new file by DuckDB, so it is removed before and after
the rename, and the file is read-only so that no reader leaves one.

The file of the publication before is kept under another name. When no reader has it open any more
it takes the blocks that changed since, and becomes the next one; else the whole file is copied.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from funding_pipeline.warehouse import standby
from funding_pipeline.warehouse.database import Database

FOLDER = ".publish"


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published: its size, the bytes written for it, and the seconds that it took."""

    path: Path
    size_bytes: int
    written_bytes: int
    seconds: float


def publish(database: Database) -> Publication:
    """Make read.duckdb what history.duckdb is. Nothing changes for readers if it fails half-way."""
    started = time.monotonic()
    target = database.read_path
    folder = target.parent / FOLDER
    partial, kept = folder / "syncing.duckdb", folder / "standby.duckdb"
    with database.locked():
        with database.open() as connection:
            connection.execute("CHECKPOINT")
        folder.mkdir(exist_ok=True)
        partial.unlink(missing_ok=True)
        if target.exists() and kept.exists() and kept.samefile(target):
            kept.unlink()  # a publication ended before its rename: readers have this file
        try:
            written = None
            if kept.exists():
                kept.replace(partial)
                written = standby.update(database.path, partial)
            if written is None:
                partial.unlink(missing_ok=True)
                shutil.copyfile(database.path, partial)
                written = database.path.stat().st_size
            partial.chmod(0o444)
            _sync(partial)
            wal = target.with_name(target.name + ".wal")
            wal.unlink(missing_ok=True)
            if target.exists():
                os.link(target, kept)
            partial.replace(target)
            wal.unlink(missing_ok=True)
            _sync(target.parent)
            _sync(folder)
        finally:
            partial.unlink(missing_ok=True)
    return Publication(target, target.stat().st_size, written, time.monotonic() - started)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
