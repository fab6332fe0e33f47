"""The tables `alerts` and `alert_messages`: what is wrong, and what was told of it.

Belongs here: reading and writing them. Does not: deciding (decide). Times are naive UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import duckdb

from funding_pipeline.alerts.decide import Alert, Finding
from funding_pipeline.alerts.message import Message
from funding_pipeline.warehouse.ledger import Event, record_events

SENT: Final = "alert sent"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that a channel accepted."""

    sent: datetime
    channel: str
    title: str
    body: str


def read_alerts(connection: duckdb.DuckDBPyConnection) -> list[Alert]:
    """Those that last, and those that are over and whose end some channel was not told yet."""
    rows = connection.execute(
        """SELECT key, exchange, title, detail, severity, once, opened, missing_since, closed, told
        FROM alerts WHERE closed IS NULL OR cardinality(told) > 0 ORDER BY opened, key"""
    ).fetchall()
    return [Alert(Finding(*row[:6]), *row[6:]) for row in rows]


def write_alerts(
    connection: duckdb.DuckDBPyConnection, before: Sequence[Alert], after: Sequence[Alert]
) -> None:
    """Store what is different. Most looks find nothing new and write nothing."""
    known = set(map(_row, before))
    for alert in after:
        if _row(alert) in known:
            continue
        finding = alert.finding
        connection.execute(
            "DELETE FROM alerts WHERE key = ? AND opened = ?", [finding.key, alert.opened]
        )
        connection.execute(
            """INSERT INTO alerts BY NAME SELECT $key AS key, $exchange AS exchange,
                $severity AS severity, $title AS title, $detail AS detail, $once AS once,
                $opened AS opened, $missing_since AS missing_since, $closed AS closed,
                map(CAST($channels AS VARCHAR[]), CAST($times AS TIMESTAMP[])) AS told""",
            {
                "key": finding.key,
                "exchange": finding.exchange,
                "severity": finding.severity,
                "title": finding.title,
                "detail": finding.detail,
                "once": finding.once,
                "opened": alert.opened,
                "missing_since": alert.missing_since,
                "closed": alert.closed,
                "channels": list(alert.told),
                "times": list(alert.told.values()),
            },
        )


def record_sent(
    connection: duckdb.DuckDBPyConnection, channel: str, message: Message, now: datetime
) -> None:
    """A row in `alert_messages` and an event: a channel accepted this message."""
    connection.execute(
        "INSERT INTO alert_messages VALUES (?, ?, ?, ?)",
        [now, channel, message.title, message.body],
    )
    first = next(iter(message.body.splitlines()), "")
    record_events(
        connection, "all", [Event(SENT, None, f"{channel}: {message.title}: {first}")], None, now
    )


def read_sent(connection: duckdb.DuckDBPyConnection, limit: int) -> list[Sent]:
    """The newest messages, newest first."""
    rows = connection.execute(
        """SELECT sent, channel, title, body FROM alert_messages
        ORDER BY sent DESC, channel LIMIT ?""",
        [limit],
    ).fetchall()
    return [Sent(*row) for row in rows]


def _row(alert: Alert) -> tuple[object, ...]:
    told = tuple(sorted(alert.told.items()))
    return alert.finding, alert.opened, alert.missing_since, alert.closed, told
