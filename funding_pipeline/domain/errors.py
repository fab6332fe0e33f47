"""Typed errors of collection: what went wrong, at which exchange, endpoint and field.

Belongs here: the classes that decide whether a request is retried and what a person reads.
Does not: recognising them in a response (exchanges and the HTTP client do).
An empty answer is not an error; an error is never turned into an empty answer.
"""


class ExchangeError(Exception):
    """A request to an exchange did not give a usable answer."""

    word = "failed"

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


class RateLimitedError(ExchangeError):
    """The exchange refused because of its rate limit. Worth another try after `retry_after_s`."""

    word = "rate limited"

    def __init__(
        self, exchange: str, endpoint: str, detail: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(exchange, endpoint, detail)
        self.retry_after_s = retry_after_s


class GeoBlockedError(ExchangeError):
    """403, 451 or an HTML page where JSON belongs: this address may not ask. Never retried."""

    word = "blocked from this location"


class MalformedResponseError(ExchangeError):
    """The answer is not what the exchange documents. Never retried."""

    word = "malformed answer"

    def __init__(self, exchange: str, endpoint: str, detail: str, field: str = "$") -> None:
        super().__init__(exchange, endpoint, f"{detail} (field {field})")
        self.field = field


class PageOverflowError(MalformedResponseError):
    """More settlements at one moment than a page holds: all markets cannot be asked at once."""


class PermanentError(ExchangeError):
    """The exchange understood and refuses: bad parameter, unknown market. Never retried."""

    word = "refused"


class ExchangeFailedError(Exception):
    """A whole exchange counts as failed: its market list, or more than a fifth of its markets."""
