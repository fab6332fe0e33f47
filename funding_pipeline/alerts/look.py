"""One look: what is found, who must be told, telling them, and remembering that they were told.

Belongs here: the order of these, and holding the database's lock only while it is read or written,
never while a channel is waited for. Does not: when to look (defs.alerts).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from funding_pipeline.alerts.channels import Channel, send
from funding_pipeline.alerts.decide import Alert, Due, after_look, after_telling, due
from funding_pipeline.alerts.message import Message, compose
from funding_pipeline.alerts.sources import CheckResult, findings, record_checks
from funding_pipeline.alerts.state import read_alerts, record_sent, write_alerts
from funding_pipeline.warehouse.database import Database, transaction


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of it: findings that last, channels that accepted a message, and why others did
    not; those are told at the next look.
    """

    open: int
    told: tuple[str, ...]
    failed: dict[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a channel is to be told, and in which words."""

    channel: Channel
    due: Due
    message: Message


def look(
    database: Database,
    channels: Sequence[Channel],
    cool_down: timedelta,
    *,
    exchanges: Collection[str],
    checks: Sequence[CheckResult],
    known_checks: Collection[tuple[str, str]],
    now: datetime,
) -> Looked:
    """Look once. A process that dies between sending and remembering tells the same again."""
    with database.open() as connection, transaction(connection):
        record_checks(connection, checks, known_checks)
        before = read_alerts(connection)
        found = findings(connection, exchanges, now)
        alerts = after_look(before, found, [channel.name for channel in channels], now)
        write_alerts(connection, before, alerts)
    told, failed = [], {}
    for draft in drafts(alerts, channels, cool_down, now):
        name = draft.channel.name
        if error := send(draft.channel, draft.message):
            failed[name] = error
            continue
        before, alerts = alerts, after_telling(alerts, draft.due, name, now)
        # At once: what one channel accepted must not be told again because another hangs.
        with database.open() as connection, transaction(connection):
            write_alerts(connection, before, alerts)
            record_sent(connection, name, draft.message, now)
        told.append(name)
    return Looked(sum(alert.lasts for alert in alerts), tuple(told), failed)


def drafts(
    alerts: Sequence[Alert], channels: Sequence[Channel], cool_down: timedelta, now: datetime
) -> list[Draft]:
    """One message for each channel that has something to hear."""
    wanted = [(channel, due(alerts, channel.name, now, cool_down)) for channel in channels]
    return [Draft(channel, told, compose(told, now)) for channel, told in wanted if told]


def preview(
    database: Database,
    channels: Sequence[Channel],
    cool_down: timedelta,
    *,
    exchanges: Collection[str],
    now: datetime,
) -> tuple[list[Alert], list[Draft]]:
    """What a look would find and tell now; nothing is sent or stored. Checks as they were known at
    the last look.
    """
    with database.open() as connection:
        before = read_alerts(connection)
        found = findings(connection, exchanges, now)
    alerts = after_look(before, found, [channel.name for channel in channels], now)
    return alerts, drafts(alerts, channels, cool_down, now)
