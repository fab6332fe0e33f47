"""The quarantine: rows that failed a check, kept with their reason until a person decides.

Belongs here: keeping, choosing, summing up and dropping them. Does not: the checks (domain), making
settlements of them (release). Nothing is deleted: a decision is written beside the row, and a row
that was decided upon is not quarantined again.

A reason names the check up to its colon and the figures behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from funding_pipeline.domain.records import Quarantined
from funding_pipeline.warehouse.database import timestamp, visible

CHECK = "split_part(reason, ':', 1)"
_EXAMPLE = "arg_max(market || ' ' || stamp || ' ' || raw_rate || ': ' || reason, (stamp, market))"
_TELL = f"""INSERT INTO events
    SELECT $now, $kind, exchange, CASE WHEN count(DISTINCT market) = 1 THEN any_value(market) END,
           count(*) || ' row(s) of ' || count(DISTINCT market) || ' market(s), e.g. '
           || {_EXAMPLE}, $load_id
    FROM {{rows}} GROUP BY exchange, {CHECK} ORDER BY exchange, {CHECK}"""

_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "stamp": pl.Datetime("us"),
    "raw_rate": pl.String(),
    "reason": pl.String(),
    "interval_hours": pl.Int16(),
    "mark_price": pl.Float64(),
    "cumulative_value": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which undecided rows: all of these hold, None holds always. `check` is what a reason begins
    with; `stamp` and `since` are naive UTC.
    """

    exchange: str | None = None
    market: str | None = None
    check: str | None = None
    since: datetime | None = None
    stamp: datetime | None = None
    raw_rate: str | None = None

    def sql(self) -> tuple[str, dict[str, object]]:
        """A condition on `quarantine` and its parameters."""
        conditions = {
            "exchange = $exchange": self.exchange,
            "market = $market": self.market,
            "starts_with(reason, $check)": self.check,
            "stamp >= $since": self.since,
            "stamp = $stamp": self.stamp,
            "raw_rate = $raw_rate": self.raw_rate,
        }
        used = {text: value for text, value in conditions.items() if value is not None}
        parameters: dict[str, object] = {
            text.rpartition("$")[2].strip(")"): value for text, value in used.items()
        }
        return " AND ".join(["resolution IS NULL", *used]), parameters


@dataclass(frozen=True, slots=True)
class Summary:
    """The undecided rows of one exchange and check, with the newest as example."""

    exchange: str
    check: str
    rows: int
    markets: int
    first: datetime
    last: datetime
    example: str


@dataclass(frozen=True, slots=True)
class Row:
    """One undecided row; stamp as sent, UTC. `imported`: it came from a file."""

    exchange: str
    market: str
    stamp: datetime
    raw_rate: str
    reason: str
    interval_hours: int | None
    mark_price: float | None
    cumulative_value: float | None
    quarantined_at: datetime
    imported: bool


def keep(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    rejected: Sequence[tuple[str, Quarantined]],
    load_id: int,
    now: datetime,
) -> int:
    """Keep rows that failed, by market; returns how many are undecided. A row lies here once."""
    frame = pl.DataFrame(
        [
            (
                market,
                timestamp(q.raw.time_ms),
                q.raw.rate_text,
                q.reason,
                q.raw.interval_hours,
                q.raw.mark_price,
                q.raw.cumulative_value,
            )
            for market, q in rejected
        ],
        schema=_SCHEMA,
        orient="row",
    ).unique(["market", "stamp", "raw_rate"], keep="first", maintain_order=True)
    if frame.is_empty():
        return 0
    with visible(connection, "failed", frame):
        connection.execute(
            """INSERT INTO quarantine BY NAME
            SELECT ? AS exchange, f.*, ? AS load_id, ? AS quarantined_at
            FROM failed f ANTI JOIN (FROM quarantine WHERE exchange = ?) q
            USING (market, stamp, raw_rate)""",
            [exchange, load_id, now, exchange],
        )
        undecided: int = connection.execute(
            """SELECT count(*) FROM failed f SEMI JOIN (
                FROM quarantine WHERE exchange = ? AND resolution IS NULL
            ) q USING (market, stamp, raw_rate)""",
            [exchange],
        ).fetchall()[0][0]
    return undecided


def tell_quarantined(connection: duckdb.DuckDBPyConnection, load_id: int, now: datetime) -> None:
    """One event for each check that rows of this load failed for the first time."""
    connection.execute(
        _TELL.format(rows="quarantine WHERE load_id = $load_id"),
        {"now": now, "kind": "quarantined", "load_id": load_id},
    )


def summaries(connection: duckdb.DuckDBPyConnection, choice: Choice) -> list[Summary]:
    """Undecided rows by exchange and check, most rows first."""
    condition, parameters = choice.sql()
    rows = connection.execute(
        f"""SELECT exchange, {CHECK}, count(*), count(DISTINCT market), min(stamp), max(stamp),
                   {_EXAMPLE}
        FROM quarantine WHERE {condition}
        GROUP BY exchange, {CHECK} ORDER BY count(*) DESC, exchange, {CHECK}""",
        parameters,
    ).fetchall()
    return [Summary(*row) for row in rows]


def rows_of(connection: duckdb.DuckDBPyConnection, choice: Choice) -> list[Row]:
    """Undecided rows, newest first."""
    condition, parameters = choice.sql()
    rows = connection.execute(
        f"""SELECT exchange, market, stamp, raw_rate, reason, interval_hours, mark_price,
                   cumulative_value, quarantined_at,
                   load_id IN (SELECT load_id FROM loads WHERE reason = 'import')
        FROM quarantine WHERE {condition} ORDER BY stamp DESC, exchange, market, raw_rate""",
        parameters,
    ).fetchall()
    return [Row(*row) for row in rows]


def resolve(
    connection: duckdb.DuckDBPyConnection,
    resolution: str,
    rows: Sequence[Row],
    now: datetime,
    load_id: int | None = None,
) -> None:
    """Write a person's decision beside the rows, and one event for each exchange and check."""
    frame = pl.DataFrame(
        [(row.exchange, row.market, row.stamp, row.raw_rate) for row in rows],
        schema={
            "exchange": pl.String,
            "market": pl.String,
            "stamp": pl.Datetime("us"),
            "raw_rate": pl.String,
        },
        orient="row",
    )
    same = (
        "(q.exchange, q.market, q.stamp, q.raw_rate) = (d.exchange, d.market, d.stamp, d.raw_rate)"
    )
    with visible(connection, "decided", frame):
        undecided = (
            f"(SELECT q.* FROM quarantine q JOIN decided d ON {same} AND resolution IS NULL)"
        )
        connection.execute(
            _TELL.format(rows=undecided), {"now": now, "kind": resolution, "load_id": load_id}
        )
        connection.execute(
            f"""UPDATE quarantine AS q SET resolution = ?, resolved_at = ?
            FROM decided d WHERE {same} AND q.resolution IS NULL""",
            [resolution, now],
        )
