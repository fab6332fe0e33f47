"""Making settlements of quarantined rows that a person holds for right.

Belongs here: which of them can be settlements, and their way through the merge. Does not: choosing
and listing (quarantine), asking the person (cli).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from funding_pipeline.domain.grid import HOUR_MS, slot_of
from funding_pipeline.domain.rates import fraction
from funding_pipeline.domain.records import Answered, RawSettlement, Slotted, Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds, transaction
from funding_pipeline.warehouse.ledger import end_load, start_load
from funding_pipeline.warehouse.markets import known_markets
from funding_pipeline.warehouse.merge import MergeCounts, merge
from funding_pipeline.warehouse.quarantine import Row, resolve

_NOTHING = Window(0, 0)


@dataclass(slots=True)
class Released:
    """What became of the chosen rows: `rows` are settlements now, `refused` cannot be, and why."""

    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[Row, str]] = field(default_factory=list)
    counts: MergeCounts = field(default_factory=MergeCounts)


def release(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, chosen: Sequence[Row], now: datetime
) -> Released:
    """Store rows of one exchange, as `merge` stores any others: the interval by the same rule, what
    stood in the slot kept as a revision. Call `derive` and `publish` afterwards.
    """
    found = Released()
    slotted = _slotted(connection, spec, chosen, milliseconds(now), found)
    if not slotted:
        return found
    times = [row.slot_ms for row in slotted.values()]
    window = Window(min(times), max(times) + HOUR_MS)
    answers = [Answered(key.market, _NOTHING, [row]) for key, row in slotted.items()]
    load_id = start_load(connection, spec.name, "release", window, now)
    found.counts = merge(connection, spec, answers, load_id=load_id, now=now, released=True)
    stored = _stored(connection, spec.name, slotted)
    for key in slotted:
        if key in stored:
            found.rows.append(key)
        else:
            found.refused.append((key, "nothing tells which interval it pays"))
    with transaction(connection):
        resolve(connection, "released", found.rows, now, load_id)
    end_load(
        connection,
        load_id,
        "complete",
        rows_new=found.counts.new,
        rows_changed=found.counts.changed,
        requests=0,
        error=None,
        now=now,
    )
    return found


def _slotted(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    chosen: Sequence[Row],
    now_ms: int,
    found: Released,
) -> dict[Row, Slotted]:
    """The rows that can be settlements at all; the others are noted as refused."""
    markets = known_markets(connection, spec.name)
    usable: dict[Row, Slotted] = {}
    taken: dict[tuple[str, int], Row] = {}
    for row in chosen:
        time_ms = milliseconds(row.stamp)
        slot = slot_of(time_ms)
        try:
            rate = fraction(row.raw_rate, spec.rate_unit, row.interval_hours)
        except ValueError as error:
            found.refused.append((row, str(error)))
            continue
        if row.imported:
            found.refused.append((row, "it was imported: correct the file and import it again"))
        elif row.market not in markets:
            found.refused.append((row, "its market is not known"))
        elif slot is None:
            found.refused.append((row, "its stamp is off the grid of whole hours"))
        elif time_ms > now_ms:
            found.refused.append((row, "its stamp lies in the future"))
        elif (row.market, slot) in taken:
            found.refused.append((row, "another chosen row is of the same hour: choose one"))
        else:
            taken[row.market, slot] = row
            raw = RawSettlement(
                row.market,
                time_ms,
                row.raw_rate,
                row.interval_hours,
                row.mark_price,
                row.cumulative_value,
            )
            usable[row] = Slotted(slot, rate, raw)
    return usable


def _stored(
    connection: duckdb.DuckDBPyConnection, exchange: str, slotted: dict[Row, Slotted]
) -> set[Row]:
    times = [row.stamp for row in slotted]
    rows = connection.execute(
        """SELECT m.market, epoch_ms(s.funding_time), s.rate
        FROM settlements s JOIN base.markets m USING (market_id)
        WHERE m.exchange = $exchange
          AND s.funding_time >= CAST($first AS TIMESTAMP) - INTERVAL 1 HOUR
          AND s.funding_time <= CAST($last AS TIMESTAMP) + INTERVAL 1 HOUR""",
        {"exchange": exchange, "first": min(times), "last": max(times)},
    ).fetchall()
    standing = set(rows)
    return {key for key, row in slotted.items() if (key.market, row.slot_ms, row.rate) in standing}
