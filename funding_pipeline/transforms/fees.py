"""What trading costs: the dated fee file, and what four legs of a pair make of a spread.

Belongs here: the form of a fee entry, eras, the formulas that take fees off. Does not: reading the
file and storing it (warehouse.spreads), which rates a pair has (`spreads`).

The view `spreads` (migration 0008) has the same formulas; tests hold it against these.
"""

import tomllib
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
import polars as pl

from funding_pipeline.domain.rates import HOURS_PER_YEAR

_BASIS_POINT = 1e-4
FEES: dict[str, pl.DataType] = {
    "exchange": pl.String(),
    "valid_from": pl.Date(),
    "valid_to": pl.Date(),
    "maker": pl.Float64(),
    "taker": pl.Float64(),
    "assumed": pl.Boolean(),
    "source": pl.String(),
}


class FeeError(ValueError):
    """The fee file is wrong; the message says where."""


class Default(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fees of exchanges without an entry, in basis points of notional."""

    maker_bps: float
    taker_bps: float
    source: str


class Fee(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exchange's fees from a day (`start`, in the file: from) to its next entry."""

    exchange: str
    start: date = msgspec.field(name="from")
    maker_bps: float
    taker_bps: float
    source: str
    assumed: bool = False


class FeeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All fees."""

    default: Default
    fee: tuple[Fee, ...] = ()


def parse(text: str) -> FeeFile:
    """The fee file from TOML text; FeeError names what is wrong."""
    try:
        parsed = msgspec.convert(tomllib.loads(text), FeeFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise FeeError(f"fees: {error}") from None
    days = [(fee.exchange, fee.start) for fee in parsed.fee]
    for exchange, start in days:
        if days.count((exchange, start)) > 1:
            raise FeeError(f"fees: {exchange} has two entries from {start}")
    return parsed


def fee_eras(file: FeeFile, exchanges: Iterable[str]) -> pl.DataFrame:
    """One row per exchange and era with the schema `FEES`, sorted; fees are fractions of notional.

    An era holds in [valid_from, valid_to), UTC days; null is open: the earliest entry stands for
    all time before it, the newest for all after. Exchanges that only the file knows are left out.
    """
    rows = []
    for exchange in sorted(set(exchanges)):
        entries = sorted((f for f in file.fee if f.exchange == exchange), key=lambda f: f.start)
        rows += _eras(exchange, entries) if entries else [_default(exchange, file.default)]
    return pl.DataFrame(rows, schema=FEES, orient="row")


def _eras(exchange: str, entries: Sequence[Fee]) -> list[tuple[object, ...]]:
    starts = [None, *(fee.start for fee in entries[1:])]
    ends = [*starts[1:], None]
    return [
        (
            exchange,
            start,
            end,
            fee.maker_bps * _BASIS_POINT,
            fee.taker_bps * _BASIS_POINT,
            fee.assumed,
            fee.source,
        )
        for fee, start, end in zip(entries, starts, ends, strict=True)
    ]


def _default(exchange: str, fee: Default) -> tuple[object, ...]:
    maker, taker = fee.maker_bps * _BASIS_POINT, fee.taker_bps * _BASIS_POINT
    return (exchange, None, None, maker, taker, True, fee.source)


def round_trip(long_fee: pl.Expr, short_fee: pl.Expr) -> pl.Expr:
    """Four orders, two to open and two to close: a fraction of one leg's notional."""
    return 2 * (long_fee + short_fee)


def break_even_hours(rate_hourly: pl.Expr, fees: pl.Expr) -> pl.Expr:
    """Hours until a spread (fraction per hour) has paid the fees; null where it never does."""
    return pl.when(rate_hourly > 0).then(fees / rate_hourly)


def net_apr(rate_hourly: pl.Expr, fees: pl.Expr, hours: float | pl.Expr) -> pl.Expr:
    """What is left in a year's terms (fraction) of holding a spread for `hours` once, fees paid:
    (rate_hourly - fees / hours) * 8760, on one leg's notional, simple.
    """
    return (rate_hourly - fees / hours) * HOURS_PER_YEAR
