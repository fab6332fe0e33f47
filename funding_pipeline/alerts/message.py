"""The words of a message: short enough for a phone, understood without a manual.

Belongs here: one text from what is due. Does not: deciding what is due (decide), how a channel
dresses text up (channels).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

from funding_pipeline.alerts.decide import Alert, Due

Mood = Literal["error", "warning", "over", "test"]

_MOST_LINES = 12
_LONGEST_LINE = 240


@dataclass(frozen=True, slots=True)
class Message:
    """Plain text. `mood` becomes the icon or colour that a channel has for it."""

    title: str
    body: str
    mood: Mood


def compose(told: Due, now: datetime) -> Message:
    """One message for all that is due; findings of one exchange share a line."""
    lasting = (*told.new, *told.reminders)
    errors = any(alert.finding.severity == "error" for alert in lasting)
    parts = [
        _part("", told.new, now),
        _part("Still open:", told.reminders, now),
        _part("Over:", told.over, now),
    ]
    return Message(
        f"Funding rates: {_headline(told)}",
        "\n\n".join(filter(None, parts)),
        "error" if errors else "warning" if lasting else "over",
    )


def lines(alerts: Sequence[Alert], now: datetime) -> Iterator[str]:
    """A line per exchange, the most severe first: what is wrong with it and since when."""

    def order(alert: Alert) -> tuple[bool, str]:
        return alert.finding.severity != "error", alert.finding.exchange

    first: dict[str, tuple[bool, str]] = {}
    for alert in sorted(alerts, key=order):
        first.setdefault(alert.finding.exchange, order(alert))
    ordered = sorted(alerts, key=lambda alert: first[alert.finding.exchange])
    for exchange, group in groupby(ordered, key=lambda alert: alert.finding.exchange):
        members = list(group)
        name = "" if exchange == "all" else f"{exchange}: "
        words = "; ".join(dict.fromkeys(map(_words, members)))
        yield _cut(name + words) + _since(members, now)


def _part(head: str, alerts: Sequence[Alert], now: datetime) -> str:
    found = list(lines(alerts, now))
    if rest := found[_MOST_LINES:]:
        found = [*found[:_MOST_LINES], f"and {len(rest)} more: funding alerts tells all"]
    return "\n".join(filter(None, [head, *found])) if found else ""


def _headline(told: Due) -> str:
    counted = [
        (len(told.new), "new problem"),
        (0 if told.new else len(told.reminders), "problem"),
        (0 if told.new or told.reminders else len(told.over), "problem"),
    ]
    number, noun = next(item for item in counted if item[0])
    words = f"{number} {noun}{'' if number == 1 else 's'}"
    if told.new:
        return words
    return f"{words} still open" if told.reminders else f"{words} over"


def _words(alert: Alert) -> str:
    finding = alert.finding
    return f"{finding.title}, {finding.detail}" if finding.detail else finding.title


def _since(alerts: Iterable[Alert], now: datetime) -> str:
    """How long it lasted where it is over, since when where it was told before."""
    members = list(alerts)
    opened = min(alert.opened for alert in members)
    if closed := max((alert.closed for alert in members if alert.closed), default=None):
        return f" (after {_span(closed - opened)})"
    if any(alert.told for alert in members):
        return f" (since {_moment(opened, now)})"
    return ""


def _moment(time: datetime, now: datetime) -> str:
    return f"{time:%H:%M} UTC" if now - time < timedelta(hours=20) else f"{time:%d %b %H:%M} UTC"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1].rstrip() + "…"
