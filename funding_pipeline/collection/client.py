"""One exchange's HTTP: budget, retries, typed errors, counts.

Belongs here: turning a `Request` into the bytes of a usable answer, or a typed error. Does not:
what the bytes mean, paging.

Only transient failures and rate limits are tried again, here and nowhere else, with exponential
back-off and jitter; a `Retry-After` is honoured.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar

import httpx
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from funding_pipeline.collection.access import broken_ways
from funding_pipeline.collection.budget import Budget
from funding_pipeline.domain.errors import (
    ExchangeError,
    GeoBlockedError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from funding_pipeline.exchanges.base import Exchange, Request

T = TypeVar("T")

ATTEMPTS = 5
_BACK_OFF = wait_random_exponential(multiplier=0.5, max=20.0)
_RATE_LIMIT_BACK_OFF = wait_random_exponential(multiplier=2.0, max=60.0)
_RETRY_AFTER_MAX_S = 120.0
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_TRANSIENT_STATUS = {408, 425}

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Traffic:
    """What one run asked of an exchange."""

    requests: int = 0
    retries: int = 0
    weight: int = 0
    waited_s: float = 0.0


class ExchangeClient:
    """Sends the requests of one exchange. `origins` overrides the declared ones (sandbox)."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        exchange: Exchange,
        budget: Budget,
        origins: dict[str, str],
        back_off: Callable[[RetryCallState], float] | None = None,
    ) -> None:
        self._http = http
        self._exchange = exchange
        self._budget = budget
        self._origins = origins
        self._back_off = back_off or _wait
        self.traffic = Traffic()

    async def run(self, plan: Any, attempts: int = ATTEMPTS) -> Any:
        """Drive a plan to its result: send what it yields, hand it the answers."""
        try:
            request = next(plan)
            while True:
                request = plan.send(await self.send(request, attempts))
        except StopIteration as done:
            return done.value
        finally:
            plan.close()

    async def send(self, request: Request, attempts: int = ATTEMPTS) -> bytes:
        """The body of a successful answer, or an ExchangeError."""
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(attempts),
            wait=self._back_off,
            retry=retry_if_exception_type((TransientError, RateLimitedError)),
            before_sleep=self._note_retry,
            reraise=True,
        ):
            with attempt:
                return await self._once(request)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, request: Request) -> bytes:
        async with self._budget.spend(request.weight, request.scopes) as waited_s:
            self.traffic.waited_s += waited_s
            self.traffic.requests += 1
            self.traffic.weight += request.weight
            response = await self._response(request)
        if refusal := self._refusal(request, response):
            raise refusal
        return response.content

    async def _response(self, request: Request) -> httpx.Response:
        try:
            return await self._http.request(
                request.method,
                self._origins[request.origin] + request.path,
                params=dict(request.params) or None,
                content=None if request.body is None else msgspec.json.encode(request.body),
                headers=self._headers(request),
                timeout=_TIMEOUT,
            )
        except broken_ways() as error:
            # What was translated into httpx's errors calls a name that is not known a time-out.
            said = (isinstance(error, httpx.TransportError) and error.__cause__) or error
            detail = f"{type(said).__name__}: {str(said) or 'no answer'}"
            host = httpx.URL(self._origins[request.origin]).host
            name = self._exchange.spec.name
            raise TransientError(name, request.endpoint, f"{host}: {detail}") from error

    def _headers(self, request: Request) -> dict[str, str]:
        content = {} if request.body is None else {"Content-Type": "application/json"}
        return {**self._exchange.spec.headers, **content}

    def _refusal(self, request: Request, response: httpx.Response) -> ExchangeError | None:
        name, endpoint, status = self._exchange.spec.name, request.endpoint, response.status_code
        body = response.content
        if own := self._exchange.refusal(request, status, body):
            return own
        excerpt = f"HTTP {status} {body[:120].decode(errors='replace')!r}"
        if status in (429, 418):
            return RateLimitedError(name, endpoint, excerpt, _retry_after_s(response))
        if status in (403, 451):
            return GeoBlockedError(name, endpoint, excerpt)
        if status >= 500 or status in _TRANSIENT_STATUS:
            return TransientError(name, endpoint, excerpt)
        if status >= 300:
            return PermanentError(name, endpoint, excerpt)
        start, end = body.lstrip()[:1], body.rstrip()[-1:]
        if start == b"<":
            return GeoBlockedError(name, endpoint, f"a web page instead of JSON: {excerpt}")
        if (start, end) not in ((b"{", b"}"), (b"[", b"]")):
            return TransientError(name, endpoint, f"the answer is cut short: {excerpt}")
        return None

    def _note_retry(self, state: RetryCallState) -> None:
        self.traffic.retries += 1
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        self.traffic.waited_s += pause
        logger.info("%s; again in %.1f s", error, pause)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimitedError):
        if error.retry_after_s is not None:
            return min(error.retry_after_s, _RETRY_AFTER_MAX_S)
        return _RATE_LIMIT_BACK_OFF(state)
    return _BACK_OFF(state)


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date."""
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time())
        except ValueError:
            return None
