"""Who is told of what, and when: pure, from what is found now and what was told before.

Belongs here: de-duplication, cool-down, when something is over. Does not: what is found (sources),
words (message), storing (state), sending (channels). Times are naive UTC.

Every channel is decided for by itself, from what it was told. So a channel that was dead hears what
is true when it works again, and the others are not told twice meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

Severity = Literal["error", "warning"]

# A finding that is gone for so long is over; one that comes and goes tells nobody anything.
SETTLED = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong that a person should know.

    `key` stays the same as long as it is the same trouble, while title ("412 of 560 markets stale")
    and detail may change. `exchange` is 'all' where it concerns none alone. `once`: an occurrence
    rather than a state; it is told once and never over.
    """

    key: str
    exchange: str
    title: str
    detail: str = ""
    severity: Severity = "error"
    once: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding through time. `told`: by channel, when it was told last that the finding lasts."""

    finding: Finding
    opened: datetime
    missing_since: datetime | None = None
    closed: datetime | None = None
    told: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def lasts(self) -> bool:
        """Whether it was found at the last look."""
        return self.missing_since is None and self.closed is None


@dataclass(frozen=True, slots=True)
class Due:
    """What one channel is to be told in one message; nothing is due where all three are empty."""

    new: tuple[Alert, ...] = ()
    reminders: tuple[Alert, ...] = ()
    over: tuple[Alert, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.reminders or self.over)


def after_look(
    alerts: Iterable[Alert], findings: Iterable[Finding], channels: Sequence[str], now: datetime
) -> list[Alert]:
    """The alerts as they stand after these findings, new ones at the end.

    What got worse counts as untold. Channels that are no longer configured are forgotten.
    """
    found = {finding.key: finding for finding in findings}
    after = []
    for alert in alerts:
        told = {name: at for name, at in alert.told.items() if name in channels}
        finding = None if alert.closed else found.pop(alert.finding.key, None)
        if finding is not None:
            worse = alert.finding.severity == "warning" and finding.severity == "error"
            told = {} if worse else told
            after.append(replace(alert, finding=finding, missing_since=None, told=told))
        elif alert.closed is None and alert.missing_since is None:
            after.append(replace(alert, missing_since=now, told=told))
        elif alert.missing_since and not alert.closed and now - alert.missing_since >= SETTLED:
            # Of an occurrence nobody is told that it is over.
            told = {} if alert.finding.once else told
            after.append(replace(alert, closed=alert.missing_since, told=told))
        else:
            after.append(replace(alert, told=told))
    return [_end_withdrawn(alert, found) for alert in after] + [
        Alert(finding, now, told=_believing(after, finding)) for finding in found.values()
    ]


def _believing(alerts: Iterable[Alert], finding: Finding) -> dict[str, datetime]:
    """Channels that were never told that it had ended, for which it lasts as before."""
    return {
        name: at
        for alert in alerts
        if alert.finding.key == finding.key and alert.finding.severity == finding.severity
        for name, at in alert.told.items()
    }


def _end_withdrawn(alert: Alert, found: Mapping[str, Finding]) -> Alert:
    """An end of which nobody need be told any more, since the same is found again."""
    return replace(alert, told={}) if alert.finding.key in found else alert


def due(alerts: Iterable[Alert], channel: str, now: datetime, cool_down: timedelta) -> Due:
    """What this channel has to be told now.

    As soon as one finding is due for a reminder the channel is reminded of all, so that reminders
    come together.
    """
    new, known, over = [], [], []
    for alert in alerts:
        at = alert.told.get(channel)
        if at is None and alert.lasts:
            new.append(alert)
        elif at is not None and alert.closed:
            over.append(alert)
        elif at is not None and alert.lasts and not alert.finding.once:
            known.append((at, alert))
    remind = any(now - at >= cool_down for at, _ in known)
    return Due(tuple(new), tuple(alert for _, alert in known) if remind else (), tuple(over))


def after_telling(alerts: Iterable[Alert], told: Due, channel: str, now: datetime) -> list[Alert]:
    """The alerts as they stand once the channel accepted the message."""
    lasting, over = {*map(_id, told.new), *map(_id, told.reminders)}, {*map(_id, told.over)}
    return [
        replace(alert, told={**alert.told, channel: now})
        if _id(alert) in lasting
        else replace(alert, told={n: at for n, at in alert.told.items() if n != channel})
        if _id(alert) in over
        else alert
        for alert in alerts
    ]


def _id(alert: Alert) -> tuple[str, datetime]:
    return alert.finding.key, alert.opened
