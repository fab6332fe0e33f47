"""Typed errors of collection: what went wrong, at which exchange, endpoint and field.

Belongs here: the classes that decide whether a request is retried and what a person reads.
Does not: recognising them in a response (exchanges and the HTTP client do).
An empty answer is not an error; an error is never turned into an empty answer.
"""

from typing import Literal

# What a status is made of; stored with the load that it ended.
ErrorKind = Literal[
    "unreachable", "rate limited", "geo-blocked", "malformed", "refused", "markets failed"
]


class ExchangeError(Exception):
    """A request to an exchange did not give a usable answer."""

    word = "failed"
    kind: ErrorKind

    def __init__(self, exchange: str, endpoint: str, detail: str) -> None:
        super().__init__(exchange, endpoint, detail)
        self.exchange = exchange
        self.endpoint = endpoint
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.exchange} {self.endpoint}: {self.word}: {self.detail}"


class TransientError(ExchangeError):
    """Time-out, refused or reset connection, 408, 5xx, a body cut short. Worth another try."""

    word = "unreachable"
    kind = "unreachable"


class RateLimitedError(ExchangeError):
    """The exchange refused because of its rate limit. Worth another try after `retry_after_s`."""

    word = "rate limited"
    kind = "rate limited"

    def __init__(
        self, exchange: str, endpoint: str, detail: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(exchange, endpoint, detail)
        self.retry_after_s = retry_after_s


class GeoBlockedError(ExchangeError):
    """403, 451 or an HTML page where JSON belongs: this address may not ask. Never retried."""

    word = "blocked from this location"
    kind = "geo-blocked"


class MalformedResponseError(ExchangeError):
    """The answer is not what the exchange documents. Never retried."""

    word = "malformed answer"
    kind = "malformed"

    def __init__(self, exchange: str, endpoint: str, detail: str, field: str = "$") -> None:
        super().__init__(exchange, endpoint, f"{detail} (field {field})")
        self.field = field


class PageOverflowError(MalformedResponseError):
    """More settlements at one moment than a page holds: all markets cannot be asked at once."""


class PermanentError(ExchangeError):
    """The exchange understood and refuses: bad parameter, unknown market. Never retried."""

    word = "refused"
    kind = "refused"


class ExchangeFailedError(Exception):
    """More than a fifth of an exchange's markets failed; it counts as failed. `last`: with what."""

    def __init__(self, message: str, last: ExchangeError) -> None:
        super().__init__(message)
        blocked = isinstance(last, GeoBlockedError)
        # That single markets are unreachable does not make the exchange so: it gave its list.
        self.kind: ErrorKind = "geo-blocked" if blocked else "markets failed"
