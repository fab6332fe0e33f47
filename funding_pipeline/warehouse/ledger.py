"""The book of loads: what ran, how it ended, what each collector's state is, what happened.

Belongs here: writing `loads`, `base.collectors` and `events`. Does not: settlements, the words of
a status, which the view `collector_status` finds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import polars as pl

from funding_pipeline.domain.errors import ErrorKind
from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import timestamp, transaction, visible
from funding_pipeline.warehouse.event_kinds import EventKind
from funding_pipeline.warehouse.quarantine import tell_quarantined

Reason = Literal["tick", "sweep", "backfill", "manual", "import", "repair", "release"]
Origin = Literal["live", "sandbox"]
# Of a load; what is skipped opens none.
Outcome = Literal["complete", "partial", "failed", "interrupted", "skipped"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth knowing later; `market` None where it concerns the whole exchange."""

    kind: EventKind
    market: str | None
    detail: str


class MixedOriginError(RuntimeError):
    """Live and sandbox data may not share a database."""


def claim_origin(connection: duckdb.DuckDBPyConnection, origin: Origin) -> None:
    """Make the database one of live or of sandbox data; MixedOriginError if it is the other."""
    claimed = connection.execute("SELECT origin FROM provenance").fetchall()
    if not claimed:
        connection.execute("INSERT INTO provenance VALUES (?)", [origin])
    elif claimed[0][0] != origin:
        raise MixedOriginError(
            f"this data folder holds {claimed[0][0]} data and the run would add {origin} data: "
            "choose another FUNDING_DATA_DIR, or set or unset FUNDING_SANDBOX_URL"
        )


def start_load(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    reason: Reason,
    window: Window,
    now: datetime,
) -> int:
    """A new load's number; its row stays without an end if the process dies."""
    load_id: int = connection.execute("SELECT nextval('load_ids')").fetchall()[0][0]
    connection.execute(
        """INSERT INTO loads (load_id, exchange, reason, window_from, window_to, started)
        VALUES (?, ?, ?, ?, ?, ?)""",
        [load_id, exchange, reason, timestamp(window.start_ms), timestamp(window.end_ms), now],
    )
    return load_id


def end_load(
    connection: duckdb.DuckDBPyConnection,
    load_id: int,
    outcome: Outcome,
    *,
    rows_new: int,
    rows_changed: int,
    requests: int,
    error: str | None,
    now: datetime,
    error_kind: ErrorKind | None = None,
) -> None:
    """Close a load and keep how it ended as its exchange's state.

    An import or a release tells nothing about how collecting goes: that stays as it was.
    error_kind: of a load that failed because of its exchange.
    """
    with transaction(connection):
        connection.execute(
            """UPDATE loads SET ended = ?, outcome = ?, rows_new = ?, rows_changed = ?,
            requests = ?, error = ?, error_kind = ? WHERE load_id = ?""",
            [now, outcome, rows_new, rows_changed, requests, error, error_kind, load_id],
        )
        exchange, reason = connection.execute(
            "SELECT exchange, reason FROM loads WHERE load_id = ?", [load_id]
        ).fetchall()[0]
        tell_quarantined(connection, load_id, now)
        if reason in ("import", "release"):
            return
        previous = connection.execute(
            """SELECT last_success, last_error, last_error_at, total_runs, total_records
            FROM base.collectors WHERE exchange = ?""",
            [exchange],
        ).fetchall()
        success, last_error, error_at, runs, records = (
            previous[0] if previous else (None, None, None, 0, 0)
        )
        connection.execute("DELETE FROM base.collectors WHERE exchange = ?", [exchange])
        connection.execute(
            "INSERT INTO base.collectors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                exchange,
                outcome,
                error_kind,
                now,
                success if outcome == "failed" else now,
                error or last_error,
                now if error else error_at,
                runs + 1,
                records + rows_new,
            ],
        )


def record_events(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    events: Sequence[Event],
    load_id: int | None,
    now: datetime,
) -> None:
    """Append events of a load, or of none."""
    if not events:
        return
    frame = pl.DataFrame(
        [(event.kind, event.market, event.detail) for event in events],
        schema={"kind": pl.String, "market": pl.String, "detail": pl.String},
        orient="row",
    )
    with visible(connection, "news", frame):
        connection.execute(
            """INSERT INTO events BY NAME
            SELECT *, ? AS exchange, ? AS load_id, ? AS happened FROM news""",
            [exchange, load_id, now],
        )
