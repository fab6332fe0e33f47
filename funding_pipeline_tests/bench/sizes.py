"""What settlements take on disk, and what a publication writes.

Belongs here: bytes of history.duckdb, of exported Parquet and of publications. Does not: memory of
runs (ticks), answers (queries).
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.dataset import export_dataset
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.export import Selection
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.bench.figures import Figure
from funding_pipeline_tests.bench.long_history import LongHistory

_DAYS = 30
_BLOCK_BYTES = 262_144
_BYTES_A_ROW = f"""
SELECT (SELECT count(DISTINCT block_id) * {_BLOCK_BYTES}
        FROM pragma_storage_info('settlements') WHERE persistent)
       / (SELECT count(*) FROM settlements)"""


def size_figures(history: LongHistory, folder: Path) -> Iterator[Figure]:
    """Bytes a settlement, as stored and exported, and of publications; `folder` is for copies."""
    source = history.folder / "read.duckdb"
    with duckdb.connect(str(source), read_only=True) as connection:
        loaded = _bytes_a_row(connection)
    yield Figure("bytes a settlement, loaded in order of time", loaded, 15.0, "bytes")
    yield Figure(
        "bytes a settlement, after hourly ticks",
        _after_ticks(source, history, folder),
        15.0,
        "bytes",
        f"the last {_DAYS} days hour by hour, each merged and checkpointed by itself",
    )
    last = timestamp(history.end_ms)
    days = Selection(first=(last - timedelta(days=_DAYS)).date(), last=last.date())
    written = export_dataset(source, "funding_rates", folder / "rates", days, now=last)
    yield Figure(
        "bytes a settlement, in Parquet", written.bytes / written.rows, 9.0, "bytes", "one month"
    )


def publication_figures(history: LongHistory) -> Iterator[Figure]:
    """A publication after a derivation of all live markets, where the standby is there already."""
    database = Database(Settings(data_dir=history.folder))
    with database.open() as connection:
        connection.execute(
            """INSERT INTO dirty_days (market_id, day, since)
            SELECT market_id, CAST(last_settlement - INTERVAL 1 HOUR AS DATE), $now
            FROM markets WHERE status = 'live' AND last_settlement IS NOT NULL""",
            {"now": timestamp(history.end_ms)},
        )
    derive(database, now=timestamp(history.end_ms))
    done = publish(database)
    yield Figure(
        "bytes written by a publication",
        done.written_bytes / 1e6,
        None,
        "MB",
        f"of {done.size_bytes / 1e6:,.0f} MB, after a derivation of all live markets",
    )
    yield Figure("seconds of a publication", done.seconds, None, "s")


def _after_ticks(source: Path, history: LongHistory, folder: Path) -> float:
    """The newest settlements stored once more as hours brought them."""
    database = Database(Settings(data_dir=folder))
    with database.open() as connection:
        connection.execute(f"ATTACH '{source}' AS filled (READ_ONLY)")
        for hour in range(_DAYS * 24):
            connection.execute(
                """INSERT INTO settlements FROM filled.settlements WHERE funding_time = ?
                ORDER BY market_id""",
                [timestamp(history.end_ms - (_DAYS * 24 - hour) * 3_600_000)],
            )
            connection.execute("CHECKPOINT")
        return _bytes_a_row(connection)


def _bytes_a_row(connection: duckdb.DuckDBPyConnection) -> float:
    """Of the blocks that hold the settlements; free ones are used again and not counted."""
    return float(connection.execute(_BYTES_A_ROW).fetchall()[0][0])
