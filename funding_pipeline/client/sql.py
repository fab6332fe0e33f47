"""Anything else: a statement of one's own."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from funding_pipeline.client.published import Location, opened, rows


def query(
    sql: str, parameters: Mapping[str, Any] | None = None, *, database: Location = None
) -> pl.DataFrame:
    """The rows of a SELECT on any published table or view; `$name` stands for parameters["name"].

    docs/queries.md has examples. Columns and units are those of the tables.
    """
    with opened(database) as connection:
        return rows(connection, sql, parameters)
