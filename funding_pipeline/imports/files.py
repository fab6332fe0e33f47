"""Reading table files: Parquet, Feather (Arrow IPC) and CSV, told apart by their content.

Belongs here: bytes to a table, with the origin that a file of ours tells. Does not: what columns
mean.
"""

from pathlib import Path

import polars as pl

from funding_pipeline.imports.base import SourceError
from funding_pipeline.warehouse.export import ORIGIN_KEY

_SQLITE = b"SQLite format 3\0"
_PARQUET = b"PAR1"
_ARROW = b"ARROW1"


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database, by how it begins."""
    return _beginning(path, len(_SQLITE)) == _SQLITE


def read_table(path: Path) -> tuple[pl.DataFrame, str | None]:
    """A table file by its content, and the origin in its metadata; what is neither Parquet nor
    Feather is taken for CSV.
    """
    magic = _beginning(path, len(_ARROW))
    try:
        if magic.startswith(_PARQUET):
            told = pl.read_parquet_metadata(path).get(ORIGIN_KEY)
            return pl.read_parquet(path, hive_partitioning=False, glob=False), told
        if magic == _ARROW:
            return read_feather(path)
        # Texts as they are: a number that is read and written again may not be the same text.
        table = pl.read_csv(path, infer_schema=False, glob=False, encoding="utf8")
        table = table.rename(str.strip)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        words = str(error).strip().splitlines()
        raise SourceError(f"{path} cannot be read: {words[0] if words else 'broken'}") from None
    if any(ord(letter) < 32 for name in table.columns for letter in name):
        raise SourceError(f"{path} is neither Parquet, Feather, SQLite nor CSV")
    return table, None


def read_feather(path: Path) -> tuple[pl.DataFrame, str | None]:
    """A Feather file, and the origin in its metadata."""
    import pyarrow as pa

    try:
        with pa.OSFile(str(path), "rb") as file, pa.ipc.open_file(file) as reader:
            found = reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    told = (found.schema.metadata or {}).get(ORIGIN_KEY.encode())
    frame = pl.from_arrow(found)
    assert isinstance(frame, pl.DataFrame)
    return frame, told.decode() if told else None


def _beginning(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)
