"""Channels: Telegram, Slack, Discord, e-mail, a webhook ... as Apprise knows them, by URL.

Belongs here: names of channels, sending, what failed. Does not: what is told, and when (decide).

A URL is a secret: it holds tokens and passwords. Apprise writes the URL into its log where it
cannot read it, hence its log goes nowhere, and what it says of a failure is cleared of every part
of the URL.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import SecretStr

from funding_pipeline.alerts.message import Message

# Of a channel that does not answer; the sensor must not be held up for long.
TIMEOUT_S = 15
_SHORTEST_SECRET = 3


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages go. `name` is its kind, numbered from the second on: slack, slack 2."""

    name: str
    url: SecretStr


def channels(urls: Sequence[SecretStr]) -> tuple[Channel, ...]:
    """A channel for each URL."""
    seen: dict[str, int] = {}
    found = []
    for url in urls:
        kind, separator, _ = url.get_secret_value().partition("://")
        # Without a scheme the text might be anything, a token as well.
        kind = kind.lower() if separator and re.fullmatch(r"[\w+.-]{1,20}", kind) else "unknown"
        seen[kind] = seen.get(kind, 0) + 1
        found.append(Channel(kind if seen[kind] == 1 else f"{kind} {seen[kind]}", url))
    return tuple(found)


def send(channel: Channel, message: Message) -> str | None:
    """Hand the message over; None, or in a few words why the channel did not take it."""
    import apprise  # a tenth of a second, and only when there is something to say

    logging.getLogger("apprise").propagate = False
    url = channel.url.get_secret_value()
    moods = {
        "error": apprise.NotifyType.FAILURE,
        "warning": apprise.NotifyType.WARNING,
        "over": apprise.NotifyType.SUCCESS,
        "test": apprise.NotifyType.INFO,
    }
    service = apprise.Apprise(asset=apprise.AppriseAsset(service_timeout=TIMEOUT_S))
    if not service.add(url):
        return "its address in FUNDING_ALERT_URLS is not one that Apprise understands"
    result = service.notify(
        body=message.body,
        title=message.title,
        notify_type=moods[message.mood],
        body_format=apprise.NotifyFormat.TEXT,
    )
    if result:
        return None
    told = "; ".join(dict.fromkeys(entry.message for entry in result.logs()))
    return _without(url, told) or "it did not answer in time"


def _without(url: str, text: str) -> str:
    """The text with every part of the URL but its kind blotted out."""
    secrets = re.split(r"[/:@?&=,\s]+", url)[1:]
    for secret in sorted({*secrets, *map(unquote, secrets)}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text
