"""When each market lived, as far as it is known: what coverage is measured against.

Belongs here: reading it. Does not: how it is known (the view `base.lives`), which hours of a life
count (transforms.measures).
"""

from collections.abc import Sequence

import duckdb
import polars as pl


def market_lives(connection: duckdb.DuckDBPyConnection, markets: Sequence[int]) -> pl.DataFrame:
    """market_id, live_from, live_to (naive UTC) of these markets; null where it is not known."""
    frame: pl.DataFrame = connection.sql(
        "FROM base.lives WHERE market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))",
        params={"markets": list(markets)},
    ).pl()
    return frame
