"""Our own `funding_rates` as exported: a single Parquet, CSV or Feather file, or a dataset.

Belongs here: from a table with our columns to rows, the markets that a dataset's manifest names.
Does not: opening files (sources), verifying a dataset (warehouse.manifest).

The column `rate` counts: it is a signed fraction whatever the text beside it was sent in. The text
is kept.
"""

from collections.abc import Iterable

import polars as pl

from funding_pipeline.domain.records import Market
from funding_pipeline.imports.base import SourceError, raw_frame, usable
from funding_pipeline.imports.mapped import LONGEST_HOURS, stamps, texts, whole_hours
from funding_pipeline.imports.naming import market_of

NEEDED = ("exchange", "market", "funding_time", "rate", "interval_hours")


def is_own(columns: Iterable[str]) -> bool:
    """Whether a table has our columns."""
    return set(NEEDED) <= set(columns)


def own_rows(table: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Rows of RAW with a column `exchange`, and how many others were not usable."""
    if lacking := [name for name in NEEDED if name not in table.columns]:
        raise SourceError(f"no column {', '.join(lacking)}: not our funding_rates")
    there = set(table.columns)

    def number(name: str) -> pl.Expr | None:
        return pl.col(name).cast(pl.Float64, strict=False) if name in there else None

    lag = pl.col("lag_ms").cast(pl.Int64, strict=False) if "lag_ms" in there else pl.lit(0)
    hours = whole_hours(pl.col("interval_hours"))
    believed = hours.is_between(1, LONGEST_HOURS).fill_null(False)
    rows = table.select(
        pl.col("exchange").cast(pl.String),
        *raw_frame(
            market=pl.col("market").cast(pl.String),
            time_ms=stamps(table, "funding_time", "iso") + lag.fill_null(0),
            rate_text=texts(table, "rate").fill_null(""),
            kept_text=texts(table, "raw_rate") if "raw_rate" in there else None,
            interval_hours=pl.when(believed).then(hours),
            mark_price=number("mark_price"),
            cumulative_value=number("cumulative_value"),
            kind=pl.col("kind").cast(pl.String) if "kind" in there else None,
            problem=pl.when(~believed).then(pl.lit("interval: no whole number of hours")),
        ),
    )
    return usable(rows)


def own_markets(table: pl.DataFrame) -> dict[tuple[str, str], Market]:
    """Identities by (exchange, native symbol): the unified symbol as the table has it."""
    if not {"exchange", "market", "symbol"} <= set(table.columns):
        return {}
    told = (
        table.select(pl.col("exchange", "market", "symbol").cast(pl.String))
        .drop_nulls()
        .unique(["exchange", "market"], keep="last", maintain_order=True)
    )
    return {(e, m): market_of(e, m, symbol) for e, m, symbol in told.iter_rows()}
