"""Series of a batch with their intervals decided, stored neighbours taken into account.

Belongs here: joining what was collected with what is stored next to it, so that the interval rule
sees both sides. Does not: the rule itself (domain), writing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
# A new row decides the one before it anew; the rule starts from the one before that.
_NEIGHBOURS = """
WITH firsts AS (
    SELECT unnest(CAST($ids AS INTEGER[])) AS market_id,
           unnest(CAST($firsts AS TIMESTAMP[])) AS first
), starts AS (
    SELECT market_id, coalesce(
        list_min(max(funding_time, 2) FILTER (funding_time < first)), any_value(first)) AS start
    FROM settlements JOIN firsts USING (market_id)
    WHERE funding_time BETWEEN $from AND $to GROUP BY market_id
)
SELECT market_id, funding_time, rate, base.sent_text(raw_rate, rate), lag_ms, cumulative_value,
       mark_price, interval_hours, covered_hours
FROM settlements JOIN starts USING (market_id)
WHERE funding_time BETWEEN $from AND $to AND funding_time >= start"""

STORED = [
    "market_id",
    "funding_time",
    "rate",
    "interval_hours",
    "covered_hours",
    "raw_rate",
    "lag_ms",
    "cumulative_value",
    "mark_price",
]

Rejected = list[tuple[str, Quarantined]]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A settlement as it stands in the table."""

    row: Slotted
    hours: int
    covered: int


@dataclass(slots=True)
class _Decided:
    """Rows to merge, column by column: they come by the hundred thousand."""

    market_ids: list[int] = field(default_factory=list)
    rows: list[Slotted] = field(default_factory=list)
    hours: list[int] = field(default_factory=list)
    covered: list[int] = field(default_factory=list)
    neighbours: list[bool] = field(default_factory=list)

    def hourly(self, market_id: int, rows: Sequence[Slotted]) -> None:
        """Rows of a market each of which pays for its own hour."""
        ones = [1] * len(rows)
        self.market_ids += [market_id] * len(rows)
        self.rows += rows
        self.hours += ones
        self.covered += ones
        self.neighbours += [False] * len(rows)

    def append(self, market_id: int, row: Slotted, hours: int, covered: int, stored: bool) -> None:
        """One row; `stored`: it is not new, but its interval is decided anew."""
        self.market_ids.append(market_id)
        self.rows.append(row)
        self.hours.append(hours)
        self.covered.append(covered)
        self.neighbours.append(stored)

    def frame(self) -> pl.DataFrame:
        """STORED, with `neighbour`."""
        raws = [row.raw for row in self.rows]
        slots = pl.Series([row.slot_ms for row in self.rows], dtype=pl.Int64)
        stamps = pl.Series([raw.time_ms for raw in raws], dtype=pl.Int64)
        columns = {
            "market_id": pl.Series(self.market_ids, dtype=pl.Int32),
            "funding_time": (slots * 1000).cast(pl.Datetime("us")),
            "rate": pl.Series([row.rate for row in self.rows], dtype=pl.Float64),
            "interval_hours": pl.Series(self.hours, dtype=pl.Int16),
            "covered_hours": pl.Series(self.covered, dtype=pl.Int16),
            "raw_rate": pl.Series([raw.rate_text for raw in raws], dtype=pl.String),
            "lag_ms": (stamps - slots).cast(pl.Int32),
            "cumulative_value": pl.Series([raw.cumulative_value for raw in raws], dtype=pl.Float64),
            "mark_price": pl.Series([raw.mark_price for raw in raws], dtype=pl.Float64),
            "neighbour": pl.Series(self.neighbours, dtype=pl.Boolean),
        }
        return pl.DataFrame(columns)


def decided_series(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, answers: Iterable[Answered]
) -> tuple[pl.DataFrame, Rejected]:
    """Rows to merge (STORED; funding_time naive UTC) and those without evidence of an interval.

    Besides the collected rows the frame holds stored ones, marked `neighbour`, whose interval or
    weight a new row has decided anew.
    """
    markets = known_markets(connection, spec.name)
    decided = _Decided()
    rejected: Rejected = []
    by_market: dict[str, list[Answered]] = {}
    for answer in answers:
        if answer.rows or answer.context:
            by_market.setdefault(answer.market, []).append(answer)
    if _hourly(spec, by_market):
        for market, parts in by_market.items():
            rows = parts[0].rows if len(parts) == 1 else _unique(p.rows for p in parts).values()
            decided.hourly(markets[market].market_id, list(rows))
    else:
        stored = _neighbours(connection, spec, markets, by_market)
        declared = observations(connection, spec.name)
        for market, parts in by_market.items():
            known = markets[market]
            rejected += _decide(
                decided,
                spec,
                known,
                _unique(part.rows for part in parts),
                _unique(part.context for part in parts),
                stored.get(known.market_id, {}),
                declared.get(known.market_id, []),
            )
    return decided.frame(), rejected


def _hourly(spec: ExchangeSpec, by_market: dict[str, list[Answered]]) -> bool:
    """Whether the batch needs no neighbours: an hour is always paid by one settlement alone."""
    return isinstance(spec.interval, FixedInterval) and all(
        spec.interval.at(part.rows[0].slot_ms) == 1
        for parts in by_market.values()
        for part in parts
        if part.rows
    )


def _decide(
    decided: _Decided,
    spec: ExchangeSpec,
    known: KnownMarket,
    rows: dict[int, Slotted],
    context: dict[int, Slotted],
    stored: dict[int, _Stored],
    declared: Sequence[Observation],
) -> Rejected:
    """Append a market's decided rows; returns those for which nothing tells the interval."""
    rejected: Rejected = []
    slots = sorted(rows.keys() | context.keys() | stored.keys())
    newest = max(slots[-1], known.last_settlement_ms or 0) if slots else 0
    fixed = spec.interval if isinstance(spec.interval, FixedInterval) else None
    evidence = []
    for slot in slots:
        seed = stored[slot].hours if slot in stored else None
        # What is stored carries its own hours where every row does.
        own = rows.get(slot) or context.get(slot) or stored[slot].row
        hours = fixed.at(slot) if fixed is not None else own.raw.interval_hours
        if slot == slots[-1] and slot < newest:
            hours = hours or seed  # its follower is stored too far off to be seen here
        evidence.append(Slot(slot, hours, seed))
    previous: int | None = None
    for slot, hours in zip(slots, intervals(evidence, declared), strict=True):
        gap = None if previous is None else (slot - previous) // HOUR_MS
        previous = slot
        row, before = rows.get(slot), stored.get(slot)
        if row is None and (before is None or gap is None):
            continue
        if hours is None:
            raw = row.raw if row is not None else stored[slot].row.raw
            words = "no interval: nothing tells which period it pays"
            rejected.append((known.market, Quarantined(raw, words)))
            continue
        covered = covered_hours(hours, gap)
        if row is not None:
            decided.append(known.market_id, row, hours, covered, stored=False)
        elif before is not None and (before.hours, before.covered) != (hours, covered):
            decided.append(known.market_id, before.row, hours, covered, stored=True)
    return rejected


def _neighbours(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    markets: dict[str, KnownMarket],
    by_market: dict[str, list[Answered]],
) -> dict[int, dict[int, _Stored]]:
    """Stored rows around the batch's, by market_id and slot: in each market from the second before
    its first row on. None is farther than two days from the batch.
    """
    slots = [row.slot_ms for parts in by_market.values() for part in parts for row in part.rows]
    if not slots:
        return {}
    names = {known.market_id: market for market, known in markets.items()}
    firsts = {
        markets[market].market_id: timestamp(
            min(row.slot_ms for part in parts for row in (*part.rows, *part.context))
        )
        for market, parts in by_market.items()
    }
    parameters = {
        "from": timestamp(min(slots) - NEIGHBOUR_MS),
        "to": timestamp(max(slots) + NEIGHBOUR_MS),
        "ids": list(firsts),
        "firsts": list(firsts.values()),
    }
    found: dict[int, dict[int, _Stored]] = {}
    for market_id, time, rate, text, lag, cumulative, mark, hours, covered in connection.execute(
        _NEIGHBOURS, parameters
    ).fetchall():
        slot = milliseconds(time)
        own = hours if spec.interval == "row" else None
        raw = RawSettlement(names[market_id], slot + lag, text, own, mark, cumulative)
        row = _Stored(Slotted(slot, rate, raw), hours, covered)
        found.setdefault(market_id, {})[slot] = row
    return found


def _unique(parts: Iterable[Sequence[Slotted]]) -> dict[int, Slotted]:
    return {row.slot_ms: row for rows in parts for row in rows}
