"""Reading the published database: a connection per question, in UTC, without any lock.

Belongs here: finding and opening read.duckdb, running a statement, what is said when nothing is
there. Does not: which tables are asked (tables), what filters mean (filters).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from funding_pipeline.settings import Settings

Location = str | PathLike[str] | None


class NotPublishedError(FileNotFoundError):
    """There is nothing to read yet, or a table that this version reads is not published yet."""


def published_file(database: Location = None) -> Path:
    """The file that is read: `database` (the file, or a data folder), else that of
    FUNDING_DATA_DIR. NotPublishedError if it is not there.
    """
    path = Settings().read_path if database is None else Path(fspath(database))
    if path.is_dir():
        path = path / "read.duckdb"
    path = path.absolute()
    if not path.exists():
        raise NotPublishedError(
            f"nothing is published yet: there is no {path}. Fill it with `make start`, `make demo` "
            "or `funding backfill`; if your data are elsewhere, set FUNDING_DATA_DIR or pass "
            "database=."
        )
    return path


@contextmanager
def opened(database: Location = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to what is published now; closed at the end.

    Attached to an empty database instead of opened: DuckDB opens a path once per process, so that a
    connection held elsewhere in a notebook would keep showing what was published at its time.
    """
    path = published_file(database)
    with duckdb.connect() as connection:
        _attach(connection, str(path).replace("'", "''"))
        connection.execute("USE published")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@retry(retry=retry_if_exception_type(duckdb.IOException), stop=stop_after_attempt(3), reraise=True)
def _attach(connection: duckdb.DuckDBPyConnection, quoted: str) -> None:
    """Once more where a publication came between DuckDB's first look at the file and the next."""
    connection.execute(f"ATTACH '{quoted}' AS published (READ_ONLY)")


def frame(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """The rows of one of this package's own statements."""
    try:
        return rows(connection, sql, parameters)
    except duckdb.CatalogException as error:
        raise NotPublishedError(
            "what is published was written by an older version of the pipeline; it will be there "
            f"after the next derivation ({error})"
        ) from None


def rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """The rows of any statement."""
    found: pl.DataFrame = connection.sql(sql, params=dict(parameters or {})).pl()
    return found
