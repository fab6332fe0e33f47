"""Writing a published table to a file: Parquet, CSV or Feather, whole or filtered, complete or not
at all.

Belongs here: which tables there are, which columns filter them, the copy. Does not: options and
messages of the command line, publication, datasets of many files (warehouse.dataset).

Identifiers come from the list below only; everything that a person types is a bound parameter.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

PARQUET = "FORMAT parquet, COMPRESSION zstd"
FORMATS = ("parquet", "csv", "feather")
ORIGIN_KEY = "funding_pipeline_origin"  # live or sandbox, in the metadata of Parquet and Feather
_APR_REACH = timedelta(days=1)


class ExportError(ValueError):
    """The request does not fit the tables; the message says what would."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a table: UTC days, both included, exchanges and unified symbols; empty means all."""

    first: date | None = None
    last: date | None = None
    exchanges: Sequence[str] = ()
    symbols: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """`time`: the column that days select; `span_end` where a row is a span of time from there;
    `exchanges`: the columns of which one is an exchange that was asked for.
    """

    source: str
    time: str | None
    has_symbol: bool = True
    exchanges: tuple[str, ...] = ("exchange",)
    span_end: str | None = None
    narrowing: str | None = None


_LEGS = ("long_exchange", "short_exchange")
_PAIR = ("exchange", "other_exchange")
TABLES = {
    "funding_rates": Table("funding_rates", "funding_time"),
    "daily_stats": Table("daily_stats", "day"),
    "moving_averages": Table("moving_averages", "as_of"),
    "latest_averages": Table("latest_averages", "as_of"),
    "latest_rates": Table("latest_rates", "funding_time"),
    # An hour is paid at most a day later; the bound on funding_time narrows the scan.
    "apr": Table("apr", "hour", narrowing="funding_time"),
    "predicted_rates": Table("predicted_rates", "observed_at"),
    "funding_latest": Table("funding_latest", "timestamp"),
    "funding_daily_stats": Table("funding_daily_stats", "date"),
    "carry_windows": Table("carry_windows", "as_of"),
    "market_signals": Table("market_signals", "as_of"),
    "stability": Table("stability", "as_of"),
    "seasonality": Table("seasonality", "as_of"),
    "asset_averages": Table("asset_averages", "as_of", has_symbol=False, exchanges=()),
    "asset_seasonality": Table("asset_seasonality", "as_of", has_symbol=False, exchanges=()),
    "spreads": Table("spreads", "as_of", exchanges=_LEGS),
    "top_spreads": Table("top_spreads", "as_of", exchanges=_LEGS),
    "spread_exclusions": Table("spread_exclusions", "as_of", exchanges=_LEGS),
    "opportunities": Table("opportunities", "opened", span_end="until", exchanges=_LEGS),
    "fees": Table("fees", None, has_symbol=False),
    "forecast_errors": Table("forecast_errors", None, has_symbol=False),
    "market_forecast_errors": Table("market_forecast_errors", None),
    "rate_correlations": Table("rate_correlations", "as_of", has_symbol=False, exchanges=_PAIR),
    "asset_correlations": Table("asset_correlations", "as_of", has_symbol=False, exchanges=()),
    "neighbours": Table("neighbours", "as_of"),
    "relations": Table("relations", "since", has_symbol=False),
    "gaps": Table("gaps", "first_missing"),
    "coverage_by_day": Table("coverage_by_day", "day", has_symbol=False),
    "market_coverage_by_day": Table("market_coverage_by_day", "day"),
    "markets": Table("markets", None),
    "market_intervals": Table(
        """(SELECT m.exchange, m.market, m.symbol, i.* EXCLUDE (market_id)
        FROM market_intervals i JOIN markets m USING (market_id))""",
        "observed_from",
    ),
    "symbol_registry": Table("symbol_registry", None),
    "symbol_collisions": Table("symbol_collisions", None),
    "rate_revisions": Table(
        """(SELECT m.exchange, m.market, m.symbol, r.* EXCLUDE (market_id)
        FROM rate_revisions r JOIN markets m USING (market_id))""",
        "funding_time",
    ),
    "quarantine": Table("quarantine", "stamp", has_symbol=False),
    "events": Table("events", "happened", has_symbol=False),
    "collected_windows": Table(
        "collected_windows", "from_time", has_symbol=False, span_end="to_time"
    ),
    "loads": Table("loads", "started", has_symbol=False),
    "collector_status": Table("collector_status", None, has_symbol=False),
    "breakers": Table("breakers", None, has_symbol=False),
    "holds": Table("holds", "held_at", has_symbol=False),
    "freshness": Table("freshness", None),
    "exchange_freshness": Table("exchange_freshness", None, has_symbol=False),
    "alerts": Table("alerts", "opened", has_symbol=False),
    "alert_messages": Table("alert_messages", "sent", has_symbol=False, exchanges=()),
}


def export_table(
    published: Path, table: str, out: Path, file_format: str, selection: Selection
) -> int:
    """Write the selected rows of a published table to `out`; returns their number.

    `out` appears, or is replaced, only when it is complete. ExportError when the selection does not
    fit, OSError or duckdb.IOException when it cannot be written.
    """
    chosen = table_to_export(published, table, out, selection)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    with duckdb.connect(str(published), read_only=True) as connection:
        check_names(connection, selection)
        conditions, parameters = where(chosen, selection)
        query = f"SELECT * FROM {chosen.source}{conditions}"
        origin = origin_of(connection)
        try:
            if file_format == "feather":
                rows = _write_feather(connection, query, parameters, partial, origin)
            else:
                options = "FORMAT csv, HEADER true"
                if file_format == "parquet":
                    options = PARQUET + metadata(origin)
                ((rows,),) = connection.execute(
                    f"COPY ({query}) TO $out ({options})", {**parameters, "out": str(partial)}
                ).fetchall()
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    return int(rows)


def table_to_export(published: Path, table: str, out: Path, selection: Selection) -> Table:
    """The table, once it is clear that it can be exported so: there is something, and a place."""
    chosen = TABLES.get(table)
    if chosen is None:
        raise ExportError(f"no table {table}; there are: {', '.join(TABLES)}")
    _check_filters(table, chosen, selection)
    if not published.exists():
        raise FileNotFoundError(
            errno.ENOENT, "nothing is published yet, start with `funding backfill`", str(published)
        )
    if not out.parent.is_dir():
        raise ExportError(f"no folder {out.parent}")
    return chosen


def origin_of(connection: duckdb.DuckDBPyConnection) -> str | None:
    """live or sandbox; None where nothing was collected yet."""
    found = connection.execute("SELECT origin FROM provenance").fetchall()
    return found[0][0] if found else None


def metadata(origin: str | None) -> str:
    """Options of a Parquet COPY that let the file tell its origin."""
    assert origin in (None, "live", "sandbox"), "it becomes part of a statement"
    return f", KV_METADATA {{{ORIGIN_KEY}: '{origin}'}}" if origin else ""


def _write_feather(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: dict[str, Any],
    path: Path,
    origin: str | None,
) -> int:
    """Batch by batch, so that a table larger than memory can be written."""
    import pyarrow as pa

    relation = connection.sql(query, params=parameters)
    reader = pa.RecordBatchReader.from_stream(relation)
    schema = reader.schema.with_metadata({ORIGIN_KEY: origin} if origin else None)
    rows = 0
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema, options=options) as out:
        for batch in reader:
            out.write_batch(batch)
            rows += batch.num_rows
    return rows


def _check_filters(name: str, table: Table, selection: Selection) -> None:
    if (selection.first or selection.last) and table.time is None:
        raise ExportError(f"--from and --to do not apply to {name}: its rows have no time")
    if selection.symbols and not table.has_symbol:
        raise ExportError(f"--symbol does not apply to {name}: it has no column symbol")
    if selection.exchanges and not table.exchanges:
        raise ExportError(f"--exchange does not apply to {name}: its rows are of all exchanges")
    if selection.first and selection.last and selection.first > selection.last:
        raise ExportError(f"--from {selection.first} is after --to {selection.last}")


def check_names(connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    """A misspelt name is an error, not an empty file."""
    for wanted, column in ((selection.exchanges, "exchange"), (selection.symbols, "symbol")):
        if not wanted:
            continue
        source = "(FROM markets UNION ALL BY NAME SELECT exchange FROM loads)"
        rows = connection.execute(
            f"SELECT DISTINCT {column} FROM {source} WHERE {column} IS NOT NULL ORDER BY ALL"
        ).fetchall()
        there = [name for (name,) in rows]
        if missing := sorted(set(wanted) - set(there)):
            hint = f"; there are: {', '.join(there)}" if column == "exchange" else ""
            raise ExportError(f"nothing collected has the {column} {', '.join(missing)}{hint}")


def where(table: Table, selection: Selection) -> tuple[str, dict[str, Any]]:
    """The condition, made of whitelisted identifiers, and the values bound to it."""
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    if selection.first:
        # A span is chosen when any part of it lies in the days asked for.
        conditions.append(
            f"{table.span_end} > $first" if table.span_end else f'"{table.time}" >= $first'
        )
        if table.narrowing:
            conditions.append(f"{table.narrowing} >= $first")
        parameters["first"] = selection.first
    if selection.last:
        conditions.append(f'"{table.time}" < $end')
        parameters["end"] = selection.last + timedelta(days=1)
        if table.narrowing:
            conditions.append(f"{table.narrowing} < $reach")
            parameters["reach"] = parameters["end"] + _APR_REACH
    if selection.exchanges:
        asked = "(SELECT unnest(CAST($exchanges AS VARCHAR[])))"
        conditions.append(f"({' OR '.join(f'{name} IN {asked}' for name in table.exchanges)})")
        parameters["exchanges"] = list(selection.exchanges)
    if selection.symbols:
        conditions.append("symbol IN (SELECT unnest(CAST($symbols AS VARCHAR[])))")
        parameters["symbols"] = list(selection.symbols)
    return (" WHERE " + " AND ".join(conditions) if conditions else ""), parameters
