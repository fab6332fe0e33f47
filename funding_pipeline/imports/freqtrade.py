"""Funding files of freqtrade: `<base>_<quote>_<settle>-<timeframe>-funding_rate.feather`.

Belongs here: their names and columns. Does not: opening them.

Columns are those of candles: `date` is the settlement's stamp as the exchange sent it, `open` the
rate, a fraction; the others are filler. The timeframe in the name (1h, 8h) is the one that
freqtrade was configured with and says nothing about the interval.
"""

import re
from dataclasses import dataclass

import polars as pl

from funding_pipeline.imports.base import SourceError, raw_frame, usable
from funding_pipeline.imports.mapped import stamps, texts

_NAME = re.compile(r"(.+?)_([A-Za-z0-9]+)_([A-Za-z0-9]+)-\d+[a-zA-Z]+-funding_rate\.feather")
PATTERN = "*-funding_rate.feather"


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair as freqtrade's file names spell it."""

    base: str
    quote: str
    settle: str


def is_freqtrade(name: str) -> bool:
    """Whether a file is one of freqtrade's funding files, by its name."""
    return name.endswith("-funding_rate.feather")


def pair_of(name: str) -> Pair:
    """The pair in a file's name: BTC_USDT_USDT-8h-funding_rate.feather."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise SourceError(f"{name}: the name does not begin with BASE_QUOTE_SETTLE-")
    return Pair(match[1], match[2], match[3])


def freqtrade_rows(table: pl.DataFrame, *, exchange: str, market: str) -> tuple[pl.DataFrame, int]:
    """Rows of RAW with a column `exchange`, and how many others were not usable."""
    if lacking := [name for name in ("date", "open") if name not in table.columns]:
        raise SourceError(f"no column {', '.join(lacking)}: not a funding file of freqtrade")
    rows = table.select(
        pl.lit(exchange).alias("exchange"),
        *raw_frame(
            market=pl.lit(market),
            time_ms=stamps(table, "date", "ms"),
            rate_text=texts(table, "open").fill_null(""),
        ),
    )
    return usable(rows)
