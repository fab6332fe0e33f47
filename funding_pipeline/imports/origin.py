"""SQLite tables of the project that this one follows: `lighter_funding_v2` and `unified_v3`.

Belongs here: their columns, and which of their rows are settlements. Does not: opening the file.

lighter_funding_v2: `rate` is what Lighter's API sent: percent per hour without a sign, although
its comments call it a fraction; `direction` is who pays; stamps in seconds. `cumulative_value` is
the API's `value` of that hour and accumulates nothing: left alone.

unified_v3 holds settlements and running estimates side by side, told apart by `exchange` and
`source` only, because its collectors differ (source: dhaussmann/defi_api, v3_collectors):
hyperliquid, aster: settled history. extended, lighter: history where source is 'import'; what they
call 'api' is the running rate at its next settlement, and the newest rate repeated under the
current hour. edgex 'import': hourly means of running rates. Every 'tracker_export': likewise.
All others stamp the time of collection. Only settlements are taken. `rate_raw` is what the API
sent, with its sign, in the API's unit; the columns made from it were computed with other units at
other times, and `interval_hours` with a default of 8: not used. Stamps in seconds, at times in ms.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.imports.base import RAW, UNUSABLE, raw_frame, usable
from funding_pipeline.imports.mapped import texts

LIGHTER = "lighter_funding_v2"
LIGHTER_COLUMNS = ("symbol", "timestamp", "rate", "direction")
UNIFIED = "unified_v3"
UNIFIED_COLUMNS = ("exchange", "original_symbol", "funding_time", "rate_raw", "source")
UNITS = {"lighter": RateUnit.PERCENT}  # all others: fraction
_SETTLED = {
    "hyperliquid": ("api", "import"),
    "aster": ("api", "import"),
    "extended": ("import",),
    "lighter": ("import",),
}
NOT_SETTLED = "no settlements but running rates"
# A number of seconds with as many digits lies centuries ahead.
_MILLISECONDS_FROM = 10_000_000_000

Rows = Sequence[tuple[Any, ...]]


def lighter_rows(found: Rows) -> tuple[pl.DataFrame, Counter[str]]:
    """LIGHTER_COLUMNS to rows of RAW with a column `exchange`; what was left out, by reason."""
    table = _table(found, LIGHTER_COLUMNS)
    size, payer = texts(table, "rate").fill_null(""), pl.col("direction")
    signed = size.str.starts_with("-")
    rows = table.select(
        pl.lit("lighter").alias("exchange"),
        *raw_frame(
            market=pl.col("symbol"),
            time_ms=_milliseconds("timestamp"),
            rate_text=pl.when((payer == "short") & ~signed).then("-" + size).otherwise(size),
            problem=pl.when(~payer.is_in(["long", "short"]).fill_null(False))
            .then(pl.lit("direction: neither long nor short"))
            .when(signed & (payer == "long"))
            .then(pl.lit("direction: long pays, but the rate is negative")),
        ),
    )
    return _counted(rows, Counter())


def unified_rows(found: Rows) -> tuple[pl.DataFrame, Counter[str]]:
    """UNIFIED_COLUMNS to rows of RAW with a column `exchange`; what was left out, by reason."""
    table = _table(found, UNIFIED_COLUMNS)
    settled = pl.lit(False)
    for exchange, sources in _SETTLED.items():
        settled |= (pl.col("exchange") == exchange) & pl.col("source").is_in(list(sources))
    taken = settled.fill_null(False)
    left_out = Counter[str]()
    for exchange, source, rows in (
        table.filter(~taken).group_by("exchange", "source").len().sort("exchange", "source").rows()
    ):
        left_out[f"{exchange} {source!r}: {NOT_SETTLED}"] = rows
    table = table.filter(taken)
    rows = table.select(
        pl.col("exchange"),
        *raw_frame(
            market=pl.col("original_symbol"),
            time_ms=_milliseconds("funding_time"),
            rate_text=texts(table, "rate_raw").fill_null(""),
        ),
    )
    return _counted(rows, left_out)


def _table(found: Rows, names: Sequence[str]) -> pl.DataFrame:
    """SQLite types its values, not its columns: every column as what it is for, or null."""
    columns = list(zip(*found, strict=True)) or [()] * len(names)
    numbers = {"timestamp": int, "funding_time": int, "rate": float, "rate_raw": float}
    frame = {}
    for name, values in zip(names, columns, strict=True):
        kind = numbers.get(name, str)
        dtype = {int: pl.Int64, float: pl.Float64, str: pl.String}[kind]
        frame[name] = pl.Series(name, [_as(kind, value) for value in values], dtype=dtype)
    return pl.DataFrame(frame)


def _as(kind: type, value: object) -> object:
    try:
        found = None if value is None else kind(value)
    except (ValueError, OverflowError):
        return None
    return None if isinstance(found, int) and abs(found) >= 1 << 63 else found


def _milliseconds(name: str) -> pl.Expr:
    """Stamps in seconds, or in milliseconds where they are that large."""
    column = pl.col(name)
    bounded = pl.when(column.is_between(0, 1000 * _MILLISECONDS_FROM)).then(column)
    return pl.when(bounded > _MILLISECONDS_FROM).then(bounded).otherwise(bounded * 1000)


def _counted(rows: pl.DataFrame, left_out: Counter[str]) -> tuple[pl.DataFrame, Counter[str]]:
    kept, unusable = usable(rows)
    if unusable:
        left_out[UNUSABLE] += unusable
    return kept.select("exchange", *RAW), left_out
