"""The client: what is tried again and what never, what an error says, what is counted."""

import asyncio
import gzip
from email.utils import formatdate
from time import time
from typing import Any

import httpx
import pytest

from funding_pipeline.collection import client as client_module
from funding_pipeline.collection.client import ATTEMPTS, ExchangeClient
from funding_pipeline.domain.errors import (
    ExchangeError,
    GeoBlockedError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from funding_pipeline.exchanges.base import Request
from funding_pipeline_tests.collection.fakes import (
    REQUEST,
    CountingBudget,
    FakeExchange,
    Script,
    ask,
)

OK = httpx.Response(200, content=b'{"fine": true}')
HTML = b"<!DOCTYPE html><html><body>Just a moment...</body></html>"


def run(*answers: httpx.Response | Exception, **more: Any) -> tuple[Any, ExchangeClient, Script]:
    script = Script(*answers)
    result, client = asyncio.run(ask(script, **more))
    return result, client, script


TRANSIENT = {
    "500": httpx.Response(500, content=b"oops"),
    "502 with a page": httpx.Response(502, content=HTML),
    "503": httpx.Response(503),
    "408": httpx.Response(408),
    "425": httpx.Response(425),
    "cut short": httpx.Response(200, content=b'{"rows": [1, 2'),
    "empty body": httpx.Response(200, content=b""),
    "time-out": httpx.ReadTimeout("slow"),
    "refused": httpx.ConnectError("All connection attempts failed"),
    "reset": httpx.ReadError("reset"),
    "ends early": httpx.RemoteProtocolError("peer closed connection"),
}


@pytest.mark.parametrize("answer", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_transient_failures_are_tried_again_and_heal(answer: httpx.Response | Exception) -> None:
    body, client, script = run(answer, answer, OK)
    assert body == b'{"fine": true}'
    assert len(script.seen) == 3
    assert (client.traffic.requests, client.traffic.retries, client.traffic.weight) == (3, 2, 9)


@pytest.mark.parametrize("answer", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_transient_failures_that_stay_end_after_the_last_attempt(
    answer: httpx.Response | Exception,
) -> None:
    error, client, script = run(answer)
    assert type(error) is TransientError
    assert len(script.seen) == client.traffic.requests == ATTEMPTS
    assert client.traffic.retries == ATTEMPTS - 1
    assert (error.exchange, error.endpoint) == ("madeup", "history")


FINAL = {
    "403": (httpx.Response(403, content=b"Forbidden"), GeoBlockedError),
    "451": (httpx.Response(451), GeoBlockedError),
    "403 page": (httpx.Response(403, content=HTML), GeoBlockedError),
    "a page with 200": (httpx.Response(200, content=b"\n  " + HTML), GeoBlockedError),
    "404": (httpx.Response(404, content=b'{"error": "no such path"}'), PermanentError),
    "400": (httpx.Response(400), PermanentError),
    "422": (httpx.Response(422), PermanentError),
    "redirect": (httpx.Response(302, headers={"Location": "/login"}), PermanentError),
}


@pytest.mark.parametrize(("answer", "kind"), FINAL.values(), ids=FINAL.keys())
def test_what_cannot_heal_is_asked_once(answer: httpx.Response, kind: type[ExchangeError]) -> None:
    error, client, script = run(answer, OK)
    assert type(error) is kind
    assert len(script.seen) == client.traffic.requests == 1
    assert client.traffic.retries == 0


@pytest.mark.parametrize("status", [429, 418])
def test_a_rate_limit_is_tried_again(status: int) -> None:
    body, _client, script = run(httpx.Response(status), OK)
    assert body == OK.content
    assert len(script.seen) == 2
    error, *_ = run(httpx.Response(status))
    assert type(error) is RateLimitedError


def test_a_body_that_cannot_be_decompressed_is_transient() -> None:
    broken = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(b'{"fine": true}')
    )

    class Torn(Script):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            if len(self.seen) < 2:
                return httpx.Response(200, headers=broken.headers, content=b"no gzip at all")
            return httpx.Response(200, content=OK.content)

    script = Torn()
    body, _ = asyncio.run(ask(script))
    assert body == OK.content


def pauses(monkeypatch: pytest.MonkeyPatch, *answers: httpx.Response) -> list[float]:
    """How long the client's own back-off waits; nothing is really waited for."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        asyncio.run(ask(Script(*answers), back_off=None))
    return slept


def test_retry_after_in_seconds_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = httpx.Response(429, headers={"Retry-After": "7"})
    assert pauses(monkeypatch, limited, limited, OK) == [7.0, 7.0]


def test_retry_after_as_a_date_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    date = formatdate(time() + 30, usegmt=True)
    (pause,) = pauses(monkeypatch, httpx.Response(429, headers={"Retry-After": date}), OK)
    assert 28 <= pause <= 30


def test_a_date_that_has_passed_means_now(monkeypatch: pytest.MonkeyPatch) -> None:
    date = formatdate(time() - 30, usegmt=True)
    assert pauses(monkeypatch, httpx.Response(429, headers={"Retry-After": date}), OK) == [0.0]


@pytest.mark.parametrize("text", ["soon", "", "12 apples", "31 Feb"])
def test_a_retry_after_that_says_nothing_falls_back(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (pause,) = pauses(monkeypatch, httpx.Response(429, headers={"Retry-After": text}), OK)
    assert 0 <= pause <= 60


def test_an_absurd_retry_after_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pauses(monkeypatch, httpx.Response(429, headers={"Retry-After": "86400"}), OK) == [120.0]


def test_back_off_grows_with_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = httpx.Response(500)
    runs = [pauses(monkeypatch, bad, bad, bad, bad, OK) for _ in range(20)]
    assert len({tuple(run) for run in runs}) > 10, "jitter"
    assert all(len(run) == 4 for run in runs)
    for step, bound in enumerate([0.5, 1.0, 2.0, 4.0]):
        assert max(run[step] for run in runs) <= bound
    assert max(run[3] for run in runs) > 1.0, "later pauses are longer"


def test_errors_name_exchange_endpoint_host_and_cause() -> None:
    error, *_ = run(httpx.ConnectError("All connection attempts failed"))
    assert str(error) == (
        "madeup history: unreachable: madeup.invalid: ConnectError: All connection attempts failed"
    )
    error, *_ = run(httpx.ReadTimeout(""))
    assert "ReadTimeout: no answer" in str(error)
    error, *_ = run(httpx.Response(404, content=b'{"error": "gone"}'))
    assert str(error) == """madeup history: refused: HTTP 404 '{"error": "gone"}'"""
    error, *_ = run(httpx.Response(403, content=HTML))
    assert "blocked from this location" in str(error)


def test_the_excerpt_in_an_error_is_short() -> None:
    error, *_ = run(httpx.Response(404, content=b"x" * 100_000))
    assert len(str(error)) < 250


class Refusing(FakeExchange):
    """Finds an error in answers of status 200, as some exchanges send them."""

    def __init__(self, error: ExchangeError) -> None:
        super().__init__()
        self._error = error

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        return self._error if b"refused" in body else None


def test_the_exchange_itself_may_call_an_answer_a_rate_limit() -> None:
    refused = httpx.Response(200, content=b'{"refused": 1}')
    exchange = Refusing(RateLimitedError("madeup", "history", "code 10006"))
    body, _, script = run(refused, OK, exchange=exchange)
    assert (body, len(script.seen)) == (OK.content, 2)
    exchange = Refusing(PermanentError("madeup", "history", "unknown market"))
    error, _, script = run(refused, OK, exchange=exchange)
    assert (type(error), len(script.seen)) == (PermanentError, 1)


def test_every_attempt_pays_its_weight_and_waits_are_summed() -> None:
    budget = CountingBudget(waited_s=0.5)
    _, client, _ = run(httpx.Response(500), OK, budget=budget)
    assert budget.weights == [3, 3]
    assert client.traffic.waited_s == 1.0


def test_a_request_is_sent_as_planned() -> None:
    _, _, script = run(OK)
    assert str(script.seen[0].url) == "https://madeup.invalid/history?market=AAA"
    assert script.seen[0].method == "GET"
    post = Request(endpoint="info", path="/info", method="POST", body={"type": "x", "n": 1})
    _, _, script = run(OK, request=post)
    sent = script.seen[0]
    assert (sent.method, sent.content) == ("POST", b'{"type":"x","n":1}')
    assert sent.headers["Content-Type"] == "application/json"
    assert str(sent.url) == "https://madeup.invalid/info"


def test_plans_are_driven_to_their_result_and_closed_on_errors() -> None:
    closed: list[bool] = []

    def plan() -> Any:
        try:
            first = yield REQUEST
            second = yield REQUEST
            return [first, second]
        finally:
            closed.append(True)

    async def drive(*answers: httpx.Response) -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(Script(*answers))) as http:
            exchange = FakeExchange()
            client = ExchangeClient(http, exchange, CountingBudget(), {"": "https://x.invalid"})
            return await client.run(plan())

    two = httpx.Response(200, content=b"[2]")
    assert asyncio.run(drive(OK, two)) == [OK.content, b"[2]"]
    with pytest.raises(PermanentError):
        asyncio.run(drive(OK, httpx.Response(404)))
    assert closed == [True, True]


def test_there_is_a_time_out() -> None:
    assert client_module._TIMEOUT.connect is not None
    assert client_module._TIMEOUT.read is not None
