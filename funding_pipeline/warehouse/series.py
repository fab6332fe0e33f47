"""Series of a batch with their intervals decided, stored neighbours taken into account.

Belongs here: joining what was collected with what is stored next to it, so that the interval rule
sees both sides. Does not: the rule itself (domain), writing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.intervals import (
    FixedInterval,
    Observation,
    Slot,
    covered_hours,
    intervals,
)
from funding_pipeline.domain.records import Answered, Quarantined, RawSettlement, Slotted
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds, timestamp
from funding_pipeline.warehouse.markets import KnownMarket, known_markets, observations

NEIGHBOUR_MS = 48 * HOUR_MS

_SCHEMA = {
    "market_id": pl.Int32,
    "slot_ms": pl.Int64,
    "rate": pl.Float64,
    "interval_hours": pl.Int16,
    "covered_hours": pl.Int16,
    "raw_rate": pl.String,
    "lag_ms": pl.Int32,
    "cumulative_value": pl.Float64,
    "mark_price": pl.Float64,
    "neighbour": pl.Boolean,
}
STORED = ["funding_time" if name == "slot_ms" else name for name in _SCHEMA if name != "neighbour"]

Rejected = list[tuple[str, Quarantined]]
# A row with its interval in hours, the hours it covers, and whether it was stored before.
Decided = tuple[Slotted, int, int, bool]


def decided_series(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, answers: Iterable[Answered]
) -> tuple[pl.DataFrame, Rejected]:
    """Rows to merge (STORED; funding_time naive UTC) and those without evidence of an interval.

    Besides the collected rows the frame holds stored ones, marked `neighbour`, whose interval a new
    row may have decided anew.
    """
    markets = known_markets(connection, spec.name)
    columns: list[list[Any]] = [[] for _ in _SCHEMA]
    rejected: Rejected = []
    by_market: dict[str, list[Answered]] = {}
    for answer in answers:
        if answer.rows or answer.context:
            by_market.setdefault(answer.market, []).append(answer)
    if _hourly(spec, by_market):
        for market, parts in by_market.items():
            own = _unique(part.rows for part in parts).values()
            _extend(columns, markets[market].market_id, [(row, 1, 1, False) for row in own])
    else:
        stored = _neighbours(connection, spec, markets, by_market)
        declared = observations(connection, spec.name)
        for market, parts in by_market.items():
            known = markets[market]
            rejected += _decide(
                columns,
                spec,
                known,
                _unique(part.rows for part in parts),
                _unique(part.context for part in parts),
                stored.get(known.market_id, {}),
                declared.get(known.market_id, []),
            )
    frame = pl.DataFrame(dict(zip(_SCHEMA, columns, strict=True)), schema=_SCHEMA)
    times = pl.from_epoch("slot_ms", time_unit="ms").cast(pl.Datetime("us")).alias("funding_time")
    return frame.with_columns(times).select(*STORED, "neighbour"), rejected


def _hourly(spec: ExchangeSpec, by_market: dict[str, list[Answered]]) -> bool:
    """Whether the batch needs no neighbours: an hour is always paid by one settlement alone."""
    return isinstance(spec.interval, FixedInterval) and all(
        spec.interval.at(part.rows[0].slot_ms) == 1
        for parts in by_market.values()
        for part in parts
        if part.rows
    )


def _decide(
    columns: list[list[Any]],
    spec: ExchangeSpec,
    known: KnownMarket,
    rows: dict[int, Slotted],
    context: dict[int, Slotted],
    stored: dict[int, tuple[Slotted, int]],
    declared: Sequence[Observation],
) -> Rejected:
    """Append a market's decided rows; returns those for which nothing tells the interval."""
    rejected: Rejected = []
    merged: list[Decided] = []
    slots = sorted(rows.keys() | context.keys() | stored.keys())
    newest = max(slots[-1], known.last_settlement_ms or 0) if slots else 0
    evidence = []
    for slot in slots:
        # What is stored carries its own hours where every row does.
        own = rows.get(slot) or context.get(slot) or stored[slot][0]
        hours = own.raw.interval_hours
        if isinstance(spec.interval, FixedInterval):
            hours = spec.interval.at(slot)
        seed = stored[slot][1] if slot in stored else None
        if slot == slots[-1] and slot < newest:
            hours = hours or seed  # its follower is stored too far off to be seen here
        evidence.append(Slot(slot, hours, seed))
    decided = intervals(evidence, declared)
    for index, (slot, hours) in enumerate(zip(slots, decided, strict=True)):
        row = rows.get(slot) or (stored[slot][0] if slot in stored else None)
        if row is None or (index == 0 and slot not in rows):
            continue
        if hours is None:
            rejected.append(
                (
                    known.market,
                    Quarantined(row.raw, "no interval: nothing tells which period it pays"),
                )
            )
            continue
        gap = (slot - slots[index - 1]) // HOUR_MS if index else None
        covered = covered_hours(hours, gap)
        merged.append((row, hours, covered, slot not in rows))
    _extend(columns, known.market_id, merged)
    return rejected


def _neighbours(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    markets: dict[str, KnownMarket],
    by_market: dict[str, list[Answered]],
) -> dict[int, dict[int, tuple[Slotted, int]]]:
    """Stored rows of the batch's markets within two days around it, with their intervals."""
    slots = [row.slot_ms for parts in by_market.values() for part in parts for row in part.rows]
    if not slots:
        return {}
    names = {known.market_id: market for market, known in markets.items()}
    bounds: list[datetime] = [
        timestamp(min(slots) - NEIGHBOUR_MS),
        timestamp(max(slots) + NEIGHBOUR_MS),
    ]
    rows = connection.execute(
        """SELECT market_id, funding_time, rate, base.sent_text(raw_rate, rate), lag_ms,
                  cumulative_value, mark_price, interval_hours
        FROM settlements WHERE funding_time BETWEEN ? AND ?
          AND market_id IN (SELECT unnest(CAST(? AS INTEGER[])))""",
        [*bounds, [markets[market].market_id for market in by_market]],
    ).fetchall()
    found: dict[int, dict[int, tuple[Slotted, int]]] = {}
    for market_id, time, rate, text, lag, cumulative, mark, hours in rows:
        slot = milliseconds(time)
        own = hours if spec.interval == "row" else None
        raw = RawSettlement(names[market_id], slot + lag, text, own, mark, cumulative)
        found.setdefault(market_id, {})[slot] = (Slotted(slot, rate, raw), hours)
    return found


def _unique(parts: Iterable[Sequence[Slotted]]) -> dict[int, Slotted]:
    return {row.slot_ms: row for rows in parts for row in rows}


def _extend(columns: list[list[Any]], market_id: int, rows: Sequence[Decided]) -> None:
    """Column by column: rows come by the hundred thousand."""
    values: tuple[list[Any], ...] = (
        [market_id] * len(rows),
        [row.slot_ms for row, *_ in rows],
        [row.rate for row, *_ in rows],
        [hours for _, hours, _, _ in rows],
        [covered for _, _, covered, _ in rows],
        [row.raw.rate_text for row, *_ in rows],
        [row.lag_ms for row, *_ in rows],
        [row.raw.cumulative_value for row, *_ in rows],
        [row.raw.mark_price for row, *_ in rows],
        [neighbour for *_, neighbour in rows],
    )
    for column, more in zip(columns, values, strict=True):
        column.extend(more)
