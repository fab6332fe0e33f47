"""From a path and options to a source: what the file is, opened and parsed.

Belongs here: recognising, and from files to portions. Does not: formats (the parsers), how a file
is read (files), storing.

A dataset is verified as a whole before anything of it is used, then read file by file; a single
file is held in memory.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.imports import freqtrade, mapped, origin, own
from funding_pipeline.imports.base import (
    UNUSABLE,
    Portion,
    Source,
    SourceError,
    UsageError,
    monthly,
)
from funding_pipeline.imports.files import is_sqlite, read_feather, read_table
from funding_pipeline.imports.naming import spelled
from funding_pipeline.warehouse import manifest
from funding_pipeline.warehouse.database import milliseconds

Known = Callable[[str], Sequence[Market]]


@dataclass(frozen=True, slots=True)
class Options:
    """What a person said about the source. `known`: markets of an exchange that are known."""

    known: Known
    exchange: str | None = None
    market: str | None = None
    mapping: str | None = None


def open_source(path: Path, options: Options) -> Source:
    """The source at a path. SourceError or UsageError in words for a person, OSError as it is."""
    if path.is_dir():
        if (path / manifest.NAME).exists():
            _no_options(options, "a dataset")
            return _dataset(path)
        files = sorted(path.rglob(freqtrade.PATTERN))
        if not files:
            raise SourceError(
                f"{path}: neither a dataset of ours (no {manifest.NAME}) nor funding files of "
                f"freqtrade ({freqtrade.PATTERN})"
            )
        return _freqtrade(files, options)
    if freqtrade.is_freqtrade(path.name):
        return _freqtrade([path], options)
    if is_sqlite(path):
        _no_options(options, "an SQLite file")
        return _sqlite(path)
    table, told = read_table(path)
    if options.mapping is not None:
        return _mapped(path, table, options)
    if own.is_own(table.columns):
        _no_options(options, "a table of ours")
        return _own(table, told)
    raise UsageError(
        f"{path} has not our columns ({', '.join(own.NEEDED)}) but "
        f"{', '.join(table.columns) or 'none'}: say with --map what they are"
    )


def _no_options(options: Options, what: str) -> None:
    given = {
        "--exchange": options.exchange,
        "--market": options.market,
        "--map": options.mapping,
    }
    if used := [name for name, value in given.items() if value is not None]:
        raise UsageError(f"{' and '.join(used)} does not go with {what}: it says it all itself")


def _own(table: pl.DataFrame, told: str | None) -> Source:
    rows, unusable = own.own_rows(table)
    return Source(
        "our funding_rates",
        _portions(rows, lambda _: RateUnit.FRACTION),
        own.own_markets(table),
        _unusable(unusable),
        told,
    )


def _mapped(path: Path, table: pl.DataFrame, options: Options) -> Source:
    assert options.mapping is not None
    named = {"market": options.market, "exchange": options.exchange}
    mapping = mapped.parse_mapping(options.mapping, **named)
    rows, unusable = mapped.mapped_rows(table, mapping, **named)
    if unusable and not len(rows):
        raise SourceError(
            f"{path}: in none of {unusable:,} rows stamp and names can be read; "
            f"is time_unit={mapping.time_unit} right?"
        )
    name = f"table, rates in {mapping.unit.value}"
    return Source(name, _portions(rows, lambda _: mapping.unit), {}, _unusable(unusable))


def _freqtrade(files: Sequence[Path], options: Options) -> Source:
    if options.mapping is not None:
        raise UsageError("--map does not go with files of freqtrade: their columns are known")
    exchange = options.exchange
    if exchange is None:
        raise UsageError(
            "files of freqtrade do not say of which exchange they are: give --exchange"
        )
    if options.market is not None and len(files) > 1:
        raise UsageError(f"--market names one market, but there are {len(files)} files")
    if len(folders := {file.parent for file in files}) > 1:
        raise UsageError(
            f"funding files lie in {len(folders)} folders; freqtrade keeps one for each exchange: "
            "import them one by one"
        )
    known = options.known(exchange)
    frames: list[pl.DataFrame] = []
    unusable = 0
    of_market: dict[str, str] = {}
    for file in files:
        pair = freqtrade.pair_of(file.name)
        market = options.market or spelled(exchange, pair.base, pair.quote, pair.settle, known)
        if market is None:
            raise UsageError(
                f"{file.name}: how {exchange} names this market is not known; collect its list "
                "first, or give --market"
            )
        if market in of_market:
            raise SourceError(f"{of_market[market]} and {file.name} both hold {market}")
        of_market[market] = file.name
        table, _ = read_feather(file)
        try:
            rows, lost = freqtrade.freqtrade_rows(table, exchange=exchange, market=market)
        except SourceError as error:
            raise SourceError(f"{file}: {error}") from None
        frames.append(rows)
        unusable += lost
    portions = _portions(pl.concat(frames), lambda _: RateUnit.FRACTION)
    return Source("funding files of freqtrade", portions, {}, _unusable(unusable))


def _sqlite(path: Path) -> Source:
    """Rows of both tables where both are there."""
    parsers = (
        (origin.LIGHTER, origin.LIGHTER_COLUMNS, origin.lighter_rows),
        (origin.UNIFIED, origin.UNIFIED_COLUMNS, origin.unified_rows),
    )
    frames: list[pl.DataFrame] = []
    names: list[str] = []
    left_out = Counter[str]()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            tables = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            there = {name for (name,) in database.execute(tables)}
            for name, columns, parse in parsers:
                if name in there:
                    found = database.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall()
                    rows, lost = parse(found)
                    names.append(name)
                    frames.append(rows)
                    left_out += lost
    except sqlite3.Error as error:
        raise SourceError(f"{path} cannot be read: {error}") from None
    if not frames:
        raise SourceError(f"{path} has neither a table {origin.LIGHTER} nor {origin.UNIFIED}")
    portions = _portions(
        pl.concat(frames), lambda exchange: origin.UNITS.get(exchange, RateUnit.FRACTION)
    )
    return Source(" and ".join(names), portions, {}, left_out)


def _portions(rows: pl.DataFrame, unit: Callable[[str], RateUnit]) -> list[Portion]:
    """Rows with a column `exchange`, exchange by exchange and month by month."""
    parts = rows.partition_by("exchange", as_dict=True, include_key=False)
    return [
        portion
        for (exchange,), part in sorted(parts.items())
        for portion in monthly(exchange, unit(exchange), part)
    ]


def _dataset(folder: Path) -> Source:
    try:
        contents = manifest.read(folder)
        if contents.table != "funding_rates":
            raise SourceError(f"{folder} holds {contents.table}; only funding_rates is imported")
        manifest.verify(folder, contents)
    except manifest.ManifestError as error:
        raise SourceError(str(error)) from None
    portions = []
    for file in sorted(contents.files, key=lambda file: (_exchange(file), file.min_time)):
        exchange = _exchange(file)
        # Stamps may be late by half an hour, or early by seconds.
        window = Window(milliseconds(file.min_time), milliseconds(file.max_time) + 1)
        rows = partial(_file_rows, folder / file.path, exchange, file.rows)
        portions.append(Portion(exchange, window, file.rows, RateUnit.FRACTION, rows))
    markets: Iterable[manifest.ListedMarket] = contents.markets
    return Source(
        "dataset of ours",
        portions,
        {(market.exchange, market.market): market for market in markets},
        Counter(),
        contents.origin,
    )


def _exchange(file: manifest.DataFile) -> str:
    folder, sign, exchange = file.path.partition("/")[0].partition("=")
    if folder != "exchange" or not sign:
        raise SourceError(f"{file.path} does not lie in a folder exchange=...")
    return unquote(exchange)


def _file_rows(path: Path, exchange: str, expected: int) -> pl.DataFrame:
    table, _ = read_table(path)
    rows, unusable = own.own_rows(table.with_columns(exchange=pl.lit(exchange)))
    if unusable or len(rows) != expected:
        raise SourceError(f"{path} holds {len(rows):,} usable rows, not {expected:,}")
    return rows.sort("market", "time_ms").drop("exchange")


def _unusable(rows: int) -> Counter[str]:
    return Counter({UNUSABLE: rows}) if rows else Counter()
