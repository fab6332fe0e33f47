"""Writing a published table as a dataset: hive-partitioned Parquet files with a manifest.

Belongs here: cutting into exchange and month, writing, reading back, putting in place. Does not:
which tables there are and how they are filtered (export), the manifest's form (manifest).

DIR/exchange=<e>/month=<YYYY-MM>/part.parquet, sorted by market, then time. Dictionaries and zstd,
no delta encodings: sorted like this, repeated series compress better whole (bybit 4.2 against 4.6
bytes a settlement, hyperliquid 5.3 against 5.4, binance 7.1 against 8.1).

The folder appears complete or not at all: it is written beside, every file is read back and
compared with the database, then it is renamed.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb

from funding_pipeline.warehouse.export import (
    ExportError,
    Selection,
    Table,
    check_names,
    metadata,
    origin_of,
    table_to_export,
    where,
)
from funding_pipeline.warehouse.manifest import (
    NAME,
    Column,
    DataFile,
    Filters,
    ListedMarket,
    Manifest,
    ManifestError,
    encode,
    read,
    sha256,
)
from funding_pipeline.warehouse.units import DERIVED, unit_of

_PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 12, PARQUET_VERSION v1"


@dataclass(frozen=True, slots=True)
class Written:
    """What a dataset holds."""

    rows: int
    files: int
    bytes: int


def export_dataset(
    published: Path, table: str, out: Path, selection: Selection, *, now: datetime
) -> Written:
    """Write the selected rows of a published table to the folder `out`; `now` is naive UTC.

    A dataset of ours that lies there is replaced; anything else is left alone. ExportError when
    the request does not fit, OSError or duckdb.IOException when it cannot be written.
    """
    chosen = table_to_export(published, table, out, selection)
    if chosen.time is None:
        raise ExportError(f"--partitioned does not apply to {table}: its rows have no time")
    if "exchange" not in chosen.exchanges:
        raise ExportError(f"--partitioned does not apply to {table}: no row is of one exchange")
    if not _replaceable(out):
        raise ExportError(f"{out} exists and is no dataset of ours; choose another folder")
    with (
        _beside(out) as partial,
        duckdb.connect(str(published), read_only=True) as connection,
    ):
        check_names(connection, selection)
        manifest = _write(connection, table, chosen, partial, selection, now)
        (partial / NAME).write_bytes(encode(manifest))
        _sync(partial)
        _put_in_place(partial, out)
    return Written(manifest.rows, len(manifest.files), manifest.bytes)


def _write(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    table: Table,
    folder: Path,
    selection: Selection,
    now: datetime,
) -> Manifest:
    conditions, parameters = where(table, selection)
    origin = origin_of(connection)
    derived = DERIVED.get(name, {})
    time = table.time
    assert time is not None, "checked by the caller"
    left_out = ", ".join(["exchange", *derived])
    source = f"(SELECT * FROM {table.source}{conditions})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {table.source}").fetchall()
    columns = [Column(column, kind, unit_of(column)) for column, kind, *_ in described]
    order = ["market", time] if "market" in {c.name for c in columns} else [time]
    by_hand = ", ".join(f'"{column}"' for column in order)
    files = []
    markets: set[tuple[str, str]] = set()
    for exchange, month, following in _partitions(connection, source, time, parameters):
        # Materialised, so that what is written and what is compared is the same.
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE part AS
            SELECT * EXCLUDE ({left_out}) FROM {source}
            WHERE exchange = $exchange AND "{time}" >= $month AND "{time}" < $following""",
            {**parameters, "exchange": exchange, "month": month, "following": following},
        )
        path = folder / f"exchange={quote(exchange, safe='')}" / f"month={month:%Y-%m}"
        path.mkdir(parents=True)
        path /= "part.parquet"
        connection.execute(
            f"COPY (FROM part ORDER BY {by_hand}) TO $path ({_PARQUET}{metadata(origin)})",
            {"path": str(path)},
        )
        files.append(_read_back(connection, path, folder, time))
        if "market" in order:
            found = connection.execute("SELECT DISTINCT market FROM part").fetchall()
            markets |= {(exchange, market) for (market,) in found}
    return Manifest(
        created=now,
        origin=origin,
        table=name,
        partitioned_by=("exchange", "month"),
        sorted_by=tuple(order),
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        columns=tuple(column for column in columns if column.name not in derived),
        derived=derived,
        filters=Filters(
            first_day=selection.first.isoformat() if selection.first else None,
            last_day=selection.last.isoformat() if selection.last else None,
            exchanges=tuple(selection.exchanges),
            symbols=tuple(selection.symbols),
        ),
        files=tuple(files),
        markets=_markets(connection, markets),
    )


def _partitions(
    connection: duckdb.DuckDBPyConnection, source: str, time: str, parameters: dict[str, Any]
) -> list[tuple[str, datetime, datetime]]:
    """(exchange, month's start, the next one's) of everything selected, in order."""
    return connection.execute(
        f"""SELECT exchange, CAST(month AS TIMESTAMP), CAST(month + INTERVAL 1 MONTH AS TIMESTAMP)
        FROM (SELECT DISTINCT exchange, date_trunc('month', "{time}") AS month FROM {source})
        ORDER BY ALL""",
        parameters,
    ).fetchall()


def _read_back(
    connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, time: str
) -> DataFile:
    """The file's entry, made of what a reader finds in it; OSError unless that is what was
    written, row by row.
    """
    content = "SELECT count(*), sum(CAST(hash(p) AS HUGEINT)) FROM"
    written = connection.execute(f"{content} part p").fetchall()
    # One file is no dataset: the folders it lies in are no columns here.
    reader = "read_parquet($path, hive_partitioning = false)"
    place = {"path": str(path)}
    if connection.execute(f"{content} {reader} p", place).fetchall() != written:
        raise OSError(errno.EIO, "what was written does not read back the same", str(path))
    first, last = connection.execute(
        f"""SELECT CAST(min({time}) AS TIMESTAMP), CAST(max({time}) AS TIMESTAMP)
        FROM {reader}""",
        place,
    ).fetchall()[0]
    _sync(path)
    relative = path.relative_to(folder).as_posix()
    size = path.stat().st_size
    return DataFile(relative, written[0][0], first, last, sha256(path), size)


def _markets(
    connection: duckdb.DuckDBPyConnection, wanted: set[tuple[str, str]]
) -> tuple[ListedMarket, ...]:
    found = connection.execute(
        """SELECT exchange, market, symbol, multiplier, quote, settle, asset_class,
                  status = 'live' AS live, epoch_ms(listed_at) AS listed_at_ms
        FROM markets ORDER BY exchange, market"""
    )
    names = [name for name, *_ in found.description or ()]
    markets = [ListedMarket(**dict(zip(names, row, strict=True))) for row in found.fetchall()]
    return tuple(market for market in markets if (market.exchange, market.market) in wanted)


def _replaceable(out: Path) -> bool:
    """Nothing there, an empty folder, or a dataset of ours without anything else in it."""
    if not out.exists() and not out.is_symlink():
        return True
    if out.is_symlink() or not out.is_dir():
        return False
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    if not files:
        return True
    try:
        manifest = read(out)
    except ManifestError:
        return False
    return files <= {NAME, *(file.path for file in manifest.files)}


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is gone at the end, unless it was renamed."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, out: Path) -> None:
    """Rename; what was there gives way first and comes back if that fails."""
    if not out.exists():
        partial.rename(out)
    else:
        former = out.with_name(f".{out.name}.{os.getpid()}.former")
        out.rename(former)
        try:
            partial.rename(out)
        except BaseException:
            former.rename(out)
            raise
        shutil.rmtree(former)
    _sync(out.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
