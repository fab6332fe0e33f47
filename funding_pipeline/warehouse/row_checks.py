"""Rows checked against what is known of their markets, before they are merged.

Belongs here: looking up caps, delistings and neighbours, and taking failed rows out of a batch.
Does not: the rules (domain.plausible), keeping what failed (quarantine).

A row that stands in the table already, released by a person or older than a rule, is not judged
again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from operator import attrgetter

import duckdb
import msgspec
import polars as pl

from funding_pipeline.domain.grid import slot_of
from funding_pipeline.domain.plausible import LONGEST_RUN, Cap, implausible, is_distinctive
from funding_pipeline.domain.rates import fraction
from funding_pipeline.domain.records import Answered, Quarantined, RawSettlement, Slotted
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import milliseconds, timestamp, visible

_SLOT = attrgetter("slot_ms")
# Back to the settlement before, and to the longest believable run; the longest interval is a day.
_PREVIOUS = timedelta(hours=25)
_RUN = timedelta(days=LONGEST_RUN + 1)

Known = list[tuple[int, float]]  # slot in ms, rate
Rows = Mapping[str, Sequence[Slotted]]  # by market, ascending


@dataclass(slots=True)
class _Declared:
    market_id: int
    delisted_ms: int | None
    caps: list[Cap] = field(default_factory=list)


def screened(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, answers: Sequence[Answered]
) -> list[Answered]:
    """The answers, with implausible rows moved from `rows` to `rejected`."""
    collected: dict[str, list[Slotted]] = {}
    for answer in answers:
        if answer.rows:
            collected.setdefault(answer.market, []).extend(answer.rows)
    rows = {market: sorted(own, key=_SLOT) for market, own in collected.items()}
    declared = _declared(connection, spec.name) if rows else {}
    before = _before(connection, spec, rows, declared)
    failed = {}
    for market, own in rows.items():
        told = declared[market]
        for row in implausible(own, before.get(market, ()), told.caps, told.delisted_ms):
            failed[row.raw] = row
    for raw in _stored(connection, declared, list(failed)):
        del failed[raw]
    return [_without(answer, failed) for answer in answers] if failed else list(answers)


def _without(answer: Answered, failed: Mapping[RawSettlement, Quarantined]) -> Answered:
    rows = [row for row in answer.rows if row.raw not in failed]
    bad = [failed[row.raw] for row in answer.rows if row.raw in failed]
    return msgspec.structs.replace(answer, rows=rows, rejected=[*answer.rejected, *bad])


def _declared(connection: duckdb.DuckDBPyConnection, exchange: str) -> dict[str, _Declared]:
    """By market: what it declared since when, the newest list included, and when it left."""
    found: dict[str, _Declared] = {}
    for market_id, market, delisted, *cap in connection.execute(
        """SELECT m.market_id, m.market, m.delisted_at, c.since, c.rate_cap, c.rate_floor
        FROM base.markets m LEFT JOIN (
            FROM base.rate_caps
            UNION ALL SELECT market_id, last_seen, rate_cap, rate_floor FROM base.markets
            WHERE exchange = $exchange AND (rate_cap IS NOT NULL OR rate_floor IS NOT NULL)
        ) c USING (market_id)
        WHERE m.exchange = $exchange ORDER BY m.market_id, c.since""",
        {"exchange": exchange},
    ).fetchall():
        left = None if delisted is None else milliseconds(delisted)
        told = found.setdefault(market, _Declared(market_id, left))
        since, high, low = cap
        if since is not None:
            told.caps.append(Cap(milliseconds(since), high, low))
    return found


def _before(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    rows: Rows,
    declared: Mapping[str, _Declared],
) -> dict[str, Known]:
    """What is known before and between the rows, of those markets whose first row comes again."""
    doubted = {m: own for m, own in rows.items() if is_distinctive(own[0].rate)}
    if not doubted:
        return {}
    refused = _refused(connection, spec)
    previous = _previous(connection, doubted, declared, refused)
    again = {m: own for m, own in doubted.items() if m in previous and previous[m] == own[0].rate}
    return _known(connection, again, declared, refused) if again else {}


def _previous(
    connection: duckdb.DuckDBPyConnection,
    rows: Rows,
    declared: Mapping[str, _Declared],
    refused: Mapping[str, Known],
) -> dict[str, float]:
    """The rate before the first row of these markets, stored or frozen."""
    names = {declared[market].market_id: market for market in rows}
    firsts = [timestamp(own[0].slot_ms) for own in rows.values()]
    found: dict[str, Known] = {}
    for market_id, time, rate in connection.execute(
        """SELECT market_id, max(funding_time), arg_max(rate, funding_time)
        FROM settlements JOIN (
            SELECT unnest(CAST($ids AS INTEGER[])) AS market_id,
                   unnest(CAST($firsts AS TIMESTAMP[])) AS first
        ) USING (market_id)
        WHERE funding_time BETWEEN $from AND $to
          AND funding_time >= first - CAST($reach AS INTERVAL) AND funding_time < first
        GROUP BY market_id""",
        {
            "ids": list(names),
            "firsts": firsts,
            "reach": _PREVIOUS,
            "from": min(firsts) - _PREVIOUS,
            "to": max(firsts),
        },
    ).fetchall():
        found[names[market_id]] = [(milliseconds(time), rate)]
    for market, own in rows.items():
        first = own[0].slot_ms
        since = first - _PREVIOUS // timedelta(milliseconds=1)
        near = [one for one in refused.get(market, ()) if since <= one[0] < first]
        if near:
            found.setdefault(market, []).extend(near)
    return {market: max(known)[1] for market, known in found.items()}


def _known(
    connection: duckdb.DuckDBPyConnection,
    rows: Rows,
    declared: Mapping[str, _Declared],
    refused: Mapping[str, Known],
) -> dict[str, Known]:
    """Settlements and frozen rows of these markets, from the longest run before their first row up
    to their last.
    """
    frame = pl.DataFrame(
        [
            (
                declared[market].market_id,
                market,
                timestamp(own[0].slot_ms) - _RUN,
                timestamp(own[-1].slot_ms),
            )
            for market, own in rows.items()
        ],
        schema={
            "market_id": pl.Int32,
            "market": pl.String,
            "low": pl.Datetime("us"),
            "high": pl.Datetime("us"),
        },
        orient="row",
    )
    found: dict[str, Known] = {}
    with visible(connection, "spans", frame):
        for market, time, rate in connection.execute(
            """SELECT p.market, s.funding_time, s.rate FROM settlements s JOIN spans p
            ON s.market_id = p.market_id AND s.funding_time >= p.low AND s.funding_time < p.high
            WHERE s.funding_time >= (SELECT min(low) FROM spans)
              AND s.funding_time < (SELECT max(high) FROM spans)"""
        ).fetchall():
            found.setdefault(market, []).append((milliseconds(time), rate))
    for _, market, low, high in frame.iter_rows():
        span = range(milliseconds(low), milliseconds(high))
        for slot, rate in refused.get(market, ()):
            if slot in span:
                found.setdefault(market, []).append((slot, rate))
    return found


def _refused(connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec) -> dict[str, Known]:
    """Frozen rows that were refused: a standstill goes on behind them."""
    found: dict[str, Known] = {}
    for market, stamp, text, hours in connection.execute(
        """SELECT market, stamp, raw_rate, interval_hours FROM quarantine
        WHERE exchange = ? AND reason LIKE 'frozen:%' AND resolution IS DISTINCT FROM 'released'""",
        [spec.name],
    ).fetchall():
        slot = slot_of(milliseconds(stamp))
        assert slot is not None, "what is off the grid fails before"
        found.setdefault(market, []).append((slot, fraction(text, spec.rate_unit, hours)))
    return found


def _stored(
    connection: duckdb.DuckDBPyConnection,
    declared: Mapping[str, _Declared],
    failed: Sequence[RawSettlement],
) -> list[RawSettlement]:
    """Those that stand in the table as they are sent."""
    if not failed:
        return []
    frame = pl.DataFrame(
        [
            (n, declared[raw.market].market_id, timestamp(slot_of(raw.time_ms) or 0), raw.rate_text)
            for n, raw in enumerate(failed)
        ],
        schema={
            "n": pl.Int64,
            "market_id": pl.Int32,
            "funding_time": pl.Datetime("us"),
            "raw_rate": pl.String,
        },
        orient="row",
    )
    with visible(connection, "suspects", frame):
        found = connection.execute(
            """SELECT n FROM suspects JOIN (
                SELECT market_id, funding_time, base.sent_text(raw_rate, rate) AS raw_rate
                FROM settlements WHERE funding_time >= (SELECT min(funding_time) FROM suspects)
                                   AND funding_time <= (SELECT max(funding_time) FROM suspects)
            ) USING (market_id, funding_time, raw_rate)"""
        ).fetchall()
    return [failed[n] for (n,) in found]
