"""Hand-written stand-ins for exchange, budget and network."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.exchanges.base import (
    EstimatesPlan,
    Exchange,
    ExchangeSpec,
    HistoryPlan,
    MarketsPlan,
    Request,
)
from funding_pipeline_tests.warehouse.world import spec

Answer = Callable[[httpx.Request], httpx.Response]
REQUEST = Request(endpoint="history", path="/history", params={"market": "AAA"}, weight=3)


def no_wait(_: object) -> float:
    return 0.0


class FakeExchange:
    """Speaks JSON of its own: /markets -> [names], /history?market&start&end -> [[ms, text]]."""

    def __init__(self, name: str = "madeup", **changes: Any) -> None:
        plain = spec()
        fields = {f: getattr(plain, f) for f in plain.__slots__} | {"name": name} | changes
        self.spec = ExchangeSpec(**fields)

    def markets(self) -> MarketsPlan:
        names = self._decode((yield Request(endpoint="markets", path="/markets")), "markets")
        return [
            Market(market=n, symbol=n, quote="USD", settle="USD", interval_hours=8) for n in names
        ]

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        assert market is not None
        body = yield Request(
            endpoint="history",
            path="/history",
            params={"market": market.market, "start": window.start_ms, "end": window.end_ms},
        )
        return [
            RawSettlement(market.market, time, text) for time, text in self._decode(body, "history")
        ]

    def estimates(self) -> EstimatesPlan:
        yield Request(endpoint="estimates", path="/estimates")
        return []

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        return None

    def _decode(self, body: bytes, endpoint: str) -> Any:
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise MalformedResponseError(self.spec.name, endpoint, str(error)) from error


class CountingBudget:
    """Lets everything through and keeps the weights."""

    def __init__(self, waited_s: float = 0.0) -> None:
        self.weights: list[int] = []
        self.closed = False
        self._waited_s = waited_s

    @asynccontextmanager
    async def spend(self, weight: int, scopes: Collection[str] = ("",)) -> AsyncIterator[float]:
        self.weights.append(weight)
        yield self._waited_s

    def close(self) -> None:
        self.closed = True


class Script:
    """Answers one request after the other from a list; the last answer stays."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


async def ask(
    answer: Answer,
    exchange: Exchange | None = None,
    request: Request = REQUEST,
    budget: CountingBudget | None = None,
    back_off: Callable[[Any], float] | None = no_wait,
) -> tuple[bytes | ExchangeError, ExchangeClient]:
    """Send one request; the body or the error, and the client with its counts."""
    exchange = exchange or FakeExchange()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = ExchangeClient(
            http,
            exchange,
            budget or CountingBudget(),
            {"": f"https://{exchange.spec.name}.invalid"},
            back_off,
        )
        try:
            return await client.send(request), client
        except ExchangeError as error:
            return error, client


def markets_and_history(
    histories: Mapping[str, Sequence[tuple[int, str]]],
    broken: Mapping[str, httpx.Response | Exception] | None = None,
) -> Answer:
    """Serves FakeExchange: `broken` markets answer with that response or error."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/markets"):
            return httpx.Response(200, json=list(histories))
        asked = request.url.params
        if fault := (broken or {}).get(asked["market"]):
            if isinstance(fault, Exception):
                raise fault
            return httpx.Response(fault.status_code, content=fault.content)
        start, end = int(asked["start"]), int(asked["end"])
        rows = [row for row in histories[asked["market"]] if start <= row[0] < end]
        return httpx.Response(200, json=rows)

    return answer
