"""Any table of rates, with a mapping that says what its columns are.

Belongs here: the mapping's language, and from a table of texts or numbers to rows. Does not:
guessing: what the mapping does not declare is not assumed, units least of all.

A mapping is "name=column" pairs: "market=coin,time=ts,rate=funding,unit=percent,time_unit=ms".
market, time, rate: columns; time is the end of the paid period, a rate is positive where longs pay.
unit: fraction, percent, x18 or annual_fraction, per interval but for the last. time_unit: s, ms,
us, ns or iso (a time without an offset is UTC). Optional: exchange, mark_price: columns;
interval_hours: a whole number of hours for all rows, or a column; direction: a column of "long"
and "short" (who pays) where the rate itself has no sign.
"""

from dataclasses import dataclass

import polars as pl

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.imports.base import UsageError, raw_frame, usable

UNITS = {
    "fraction": RateUnit.FRACTION,
    "percent": RateUnit.PERCENT,
    "x18": RateUnit.X18,
    "annual_fraction": RateUnit.ANNUAL_FRACTION,
}
TIME_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_COLUMNS = ("exchange", "market", "time", "rate", "direction", "mark_price")
_NAMES = (*_COLUMNS, "interval_hours", "unit", "time_unit")
LONGEST_HOURS = 24 * 7


@dataclass(frozen=True, slots=True)
class Mapping:
    """The mapping, read. `columns`: by what they mean. `hours`: for all rows, None: by column."""

    columns: dict[str, str]
    unit: RateUnit
    time_unit: str
    hours: int | None = None


def parse_mapping(text: str, *, market: str | None, exchange: str | None) -> Mapping:
    """Read a mapping. `market` and `exchange`: given for the whole file, so no column is needed."""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not value:
            raise UsageError(f"--map: {part.strip()!r} is not of the form name=column")
        if name not in _NAMES:
            raise UsageError(f"--map: no {name}; there are: {', '.join(_NAMES)}")
        if name in pairs:
            raise UsageError(f"--map: {name} is given twice")
        pairs[name] = value
    needed = ["time", "rate", "unit", "time_unit"]
    needed += ["market"] if market is None else []
    if missing := [name for name in needed if name not in pairs]:
        raise UsageError(f"--map: {', '.join(missing)} is missing")
    if exchange is None and "exchange" not in pairs:
        raise UsageError("which exchange? give --exchange, or exchange=column in --map")
    unit, time_unit = pairs["unit"], pairs["time_unit"]
    if unit not in UNITS:
        raise UsageError(f"--map: no unit {unit}; there are: {', '.join(UNITS)}")
    if time_unit not in (*TIME_UNITS, "iso"):
        raise UsageError(
            f"--map: no time_unit {time_unit}; there are: {', '.join(TIME_UNITS)}, iso"
        )
    columns = {name: pairs[name] for name in _COLUMNS if name in pairs}
    if market is not None:
        columns.pop("market", None)
    if exchange is not None:
        columns.pop("exchange", None)
    hours = pairs.get("interval_hours")
    if hours is not None and hours.isdecimal():
        return Mapping(columns, UNITS[unit], time_unit, checked_hours(int(hours)))
    if hours is not None:
        columns["interval_hours"] = hours
    return Mapping(columns, UNITS[unit], time_unit)


def checked_hours(hours: int) -> int:
    """The hours, if an interval can have so many."""
    if not 1 <= hours <= LONGEST_HOURS:
        raise UsageError(f"--map: interval_hours is 1 to {LONGEST_HOURS}, not {hours}")
    return hours


def mapped_rows(
    table: pl.DataFrame, mapping: Mapping, *, market: str | None, exchange: str | None
) -> tuple[pl.DataFrame, int]:
    """Rows of RAW with a column `exchange`, and how many others were not usable."""
    if lacking := sorted(set(mapping.columns.values()) - set(table.columns)):
        there = ", ".join(table.columns)
        raise UsageError(f"--map: no column {', '.join(lacking)}; there are: {there}")
    columns = mapping.columns

    def given(name: str, constant: str | None) -> pl.Expr:
        return pl.lit(constant) if constant is not None else texts(table, columns[name])

    rate = texts(table, columns["rate"])
    problem = pl.lit(None, pl.String)
    if "direction" in columns:
        payer = texts(table, columns["direction"]).str.to_lowercase()
        problem = (
            pl.when(~payer.is_in(["long", "short"]).fill_null(False))
            .then(pl.lit("direction: neither long nor short"))
            .when(rate.str.starts_with("-"))
            .then(pl.lit("direction: the rate has a sign of its own"))
        )
        rate = pl.when(payer == "short").then(pl.lit("-") + rate).otherwise(rate)
    if mapping.hours is not None:
        hours: pl.Expr = pl.lit(mapping.hours)
    elif "interval_hours" in columns:
        hours = whole_hours(texts(table, columns["interval_hours"]))
        outside = hours.is_null() | ~hours.is_between(1, LONGEST_HOURS)
        problem = pl.coalesce(
            pl.when(outside).then(pl.lit("interval: no whole number of hours")), problem
        )
        hours = pl.when(~outside).then(hours)
    else:
        hours = pl.lit(None)
    mark = columns.get("mark_price")
    rows = table.select(
        given("exchange", exchange).cast(pl.String).alias("exchange"),
        *raw_frame(
            market=given("market", market),
            time_ms=stamps(table, columns["time"], mapping.time_unit),
            rate_text=rate.fill_null(""),
            interval_hours=hours,
            mark_price=None if mark is None else texts(table, mark).cast(pl.Float64, strict=False),
            problem=problem,
        ),
    )
    return usable(rows)


def texts(table: pl.DataFrame, name: str) -> pl.Expr:
    """A column as texts: numbers as Python writes them, so that they read back the same."""
    series = table[name]
    if series.dtype.is_float():
        return pl.lit(pl.Series(name, [_text(v) for v in series.to_list()], dtype=pl.String))
    if series.dtype != pl.String:
        return pl.col(name).cast(pl.String)
    return pl.col(name).str.strip_chars()


def _text(value: float | None) -> str | None:
    return None if value is None else repr(value)


def whole_hours(column: pl.Expr) -> pl.Expr:
    """Hours told as 8, 8.0 or "8"; null for anything else."""
    number = column.cast(pl.Float64, strict=False)
    return pl.when(number == number.round()).then(number).cast(pl.Int32, strict=False)


def stamps(table: pl.DataFrame, name: str, unit: str) -> pl.Expr:
    """A column of stamps as UTC milliseconds, null where it cannot be read.

    Columns of a time type need no unit; without a zone they are UTC.
    """
    dtype = table.schema[name]
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.epoch("ms")
    if dtype == pl.Date:
        return column.cast(pl.Datetime("ms")).dt.epoch("ms")
    if unit == "iso":
        return _iso_ms(table[name].cast(pl.String))
    factor = TIME_UNITS[unit]
    whole = column if dtype.is_integer() else column.cast(pl.String).str.strip_chars()
    exact = whole.cast(pl.Int64, strict=False)
    if not dtype.is_integer():
        # 1.7e9 or 1700000000.25: seconds may have decimals, and spreadsheets write exponents.
        number = whole.cast(pl.Float64, strict=False)
        rounded = (number * (factor / 1_000_000)).round().cast(pl.Int64, strict=False)
        return pl.coalesce(_scaled(exact, factor), rounded)
    return _scaled(exact, factor)


def _scaled(whole: pl.Expr, factor: int) -> pl.Expr:
    if factor >= 1_000_000:
        # A number of another unit would overflow: it is no stamp in this one.
        times = factor // 1_000_000
        return pl.when(whole.abs() < 1 << 44).then(whole * times)
    return whole // (1_000_000 // factor)


def _iso_ms(column: pl.Series) -> pl.Expr:
    text = pl.lit(column).str.strip_chars()
    zoned = text.str.to_datetime(time_unit="us", time_zone="UTC", strict=False, format="%+")
    naive = [
        text.str.to_datetime(form, time_unit="us", strict=False)
        for form in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
    ]
    return pl.coalesce(zoned.dt.epoch("ms"), *(form.dt.epoch("ms") for form in naive))
