"""What every source of an import becomes, and the one shape of its rows.

Belongs here: the types that parsers fill. Does not: any format.

Rows are a polars frame of RAW, one row per settlement:
market      native symbol
time_ms     stamp as recorded, UTC milliseconds; the end of the paid period
rate_text   the rate in the portion's unit, as decimal text
kept_text   the text to keep beside the number; null: rate_text
interval_hours  where the row itself tells it
kind        settled, or recorded from estimates; null: as the exchange is
problem     why the parser would not have this row; it goes to quarantine with these words
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Market, Window

RAW: dict[str, pl.DataType] = {
    "market": pl.String(),
    "time_ms": pl.Int64(),
    "rate_text": pl.String(),
    "kept_text": pl.String(),
    "interval_hours": pl.Int32(),
    "mark_price": pl.Float64(),
    "cumulative_value": pl.Float64(),
    "kind": pl.String(),
    "problem": pl.String(),
}
_FIRST_MS = 1_262_304_000_000  # 2010-01-01
_LAST_MS = 4_102_444_800_000  # 2100-01-01
UNUSABLE = "no readable stamp or name"


class SourceError(ValueError):
    """The source cannot be read as what it should be; the message says what is wrong with it."""


class UsageError(ValueError):
    """The source can be read, but not with these options; the message says with which."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of one exchange's rows, read when its turn comes.

    `window` holds all its stamps. Portions of an exchange follow each other in time. Rows are
    sorted by market, then stamp.
    """

    exchange: str
    window: Window
    size: int
    unit: RateUnit
    rows: Callable[[], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be imported. `origin`: of live or sandbox data, None where nothing tells.

    `markets`: identities by (exchange, native symbol), for markets that are not known yet.
    `left_out`: rows that hold no settlement, or no readable stamp, by reason.
    """

    name: str
    portions: Sequence[Portion]
    markets: Mapping[tuple[str, str], Market] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=Counter)
    origin: str | None = None


def raw_frame(**columns: pl.Expr | pl.Series | None) -> list[pl.Expr]:
    """The columns of RAW from those given; the others are null. For `DataFrame.select`."""
    found = []
    for name, dtype in RAW.items():
        column = columns.get(name)
        value = pl.lit(None) if column is None else column
        expression = pl.lit(value) if isinstance(value, pl.Series) else value
        found.append(expression.cast(dtype).alias(name))
    return found


def usable(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The rows that can be stored or quarantined at all, and how many others there were: without
    a name, without a stamp, or with one that no perpetual future can have (a wrong unit).
    """
    named = [pl.col(name).fill_null("") != "" for name in ("exchange", "market")]
    kept = rows.filter(*named, pl.col("time_ms").is_between(_FIRST_MS, _LAST_MS).fill_null(False))
    return kept, len(rows) - len(kept)


def monthly(exchange: str, unit: RateUnit, rows: pl.DataFrame) -> list[Portion]:
    """A frame of RAW as portions, month by month, so that the database grows in time order.

    Within a month by market, then stamp, then as given.
    """
    month = pl.from_epoch("time_ms", time_unit="ms").dt.truncate("1mo").alias("month")
    parts = (
        rows.with_columns(month)
        .sort("month", "market", "time_ms", maintain_order=True)
        .partition_by("month", maintain_order=True, include_key=False)
    )
    return [
        Portion(exchange, span(part), len(part), unit, partial(_itself, part)) for part in parts
    ]


def _itself(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def span(rows: pl.DataFrame) -> Window:
    """The window that holds all stamps of a frame that has some."""
    first, last = rows.select(pl.col("time_ms").min(), pl.col("time_ms").max().alias("l")).row(0)
    return Window(first, last + 1)
