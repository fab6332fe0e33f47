"""The web application: `/<exchange>/...` is that exchange, a few pages of its own describe it.

    GET  /                  what is served
    GET  /_requests         counters per exchange: requests, weight, refusals, by endpoint
    POST /_requests/reset   sets them to zero and empties the rate-limit windows

Belongs here: routing, limits and faults around an answer, encoding. Does not belong here: any
exchange's format, reading data, starting a server.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as WebRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from funding_pipeline.sandbox.faults import FaultPlan, Strikes
from funding_pipeline.sandbox.limits import Gate
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.market_faults import reshape
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.wire import Exchange, Moment, Reply, Request

_HTML = "text/html"
_JSON = "application/json"
_PAGES = {
    "http_500": (500, "Internal Server Error"),
    "http_502": (502, "Bad Gateway"),
    "http_503": (503, "Service Temporarily Unavailable"),
    "geo_block": (403, "ERROR: The request could not be satisfied"),
    "legal_block": (451, "Unavailable For Legal Reasons"),
    "html_200": (200, "Just a moment..."),
}


@dataclass(slots=True)
class _Counters:
    requests: int = 0
    weight: int = 0
    refusals: int = 0
    endpoints: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Origin:
    """One exchange with what the server remembers of its clients."""

    exchange: Exchange
    gate: Gate
    counters: _Counters = field(default_factory=_Counters)


def create_app(
    dataset: Dataset,
    *,
    limits: bool,
    faults: FaultPlan | None,
    now: Callable[[], int],
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """`now` is the sandbox's time in ms; `clock` (seconds) measures the rate-limit windows."""
    plan = faults or FaultPlan()
    dataset = reshape(dataset, plan.events, EXCHANGES)
    origins = {
        name: _Origin(EXCHANGES[name], Gate(EXCHANGES[name].limits, clock))
        for name in dataset.markets
    }

    async def exchange_page(web: WebRequest) -> Response:
        origin = origins.get(web.path_params["exchange"])
        if origin is None:
            return _json_response({"error": "no such exchange", "served": list(origins)}, 404)
        call = origin.exchange.read(await _request(web))
        strikes = plan.strikes(origin.exchange.name, call)
        moment = Moment(dataset, now(), strikes.page_cap)
        reply = origin.exchange.answer(call, moment)
        counters = origin.counters
        counters.requests += 1
        counters.endpoints[call.endpoint] += 1
        if limits:
            refusal = origin.gate.admit(call.endpoint, reply.weight)
            if refusal is not None:
                counters.refusals += 1
                reply = origin.exchange.refuse(refusal)
            reply.headers |= origin.exchange.usage(origin.gate.used())
            if refusal is not None:
                return _response(reply)
        counters.weight += reply.weight
        return await _struck_response(reply, strikes)

    async def description(_: WebRequest) -> Response:
        return _json_response(_describe(dataset, now(), limits=limits, faults=len(plan)))

    async def request_counters(_: WebRequest) -> Response:
        return _json_response({name: origin.counters for name, origin in origins.items()})

    async def reset_counters(_: WebRequest) -> Response:
        for origin in origins.values():
            origin.counters = _Counters()
            origin.gate.clear()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", description),
            Route("/_requests", request_counters),
            Route("/_requests/reset", reset_counters, methods=["POST"]),
            Route("/{exchange}/{path:path}", exchange_page, methods=["GET", "POST"]),
        ]
    )


async def _request(web: WebRequest) -> Request:
    raw = await web.body()
    try:
        body = msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError:
        body = None
    return Request(web.method, f"/{web.path_params['path']}", web.query_params, body)


async def _struck_response(reply: Reply, strikes: Strikes) -> Response:
    if (fault := strikes.get("timeout")) is not None:
        await asyncio.sleep(fault.seconds)
    if (fault := strikes.get("rate_limited")) is not None:
        headers = {"Retry-After": str(fault.retry_after)}
        return Response("Too Many Requests", 429, headers, "text/plain")
    if (fault := strikes.get(*_PAGES)) is not None:
        status, title = _PAGES[fault.kind]
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return Response(page, status, media_type=_HTML)
    strikes.spoil_rows(reply)
    response = _response(reply)
    if strikes.get("truncated_json") is not None:
        return Response(_half(response.body), response.status_code, media_type=_JSON)
    if strikes.get("reset") is not None:
        return _CutShort(response.body, response.status_code, media_type=_JSON)
    return response


class _CutShort(Response):
    """Announces the whole body, sends half of it and ends, which closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        half = _half(self.body)
        await send({"type": "http.response.body", "body": half, "more_body": True})


def _half(body: bytes | memoryview) -> bytes:
    return bytes(body)[: len(body) // 2]


def _response(reply: Reply) -> Response:
    if reply.media_type is None:
        return _json_response(reply.payload, reply.status, reply.headers)
    return Response(reply.payload, reply.status, reply.headers, reply.media_type)


def _json_response(
    payload: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(msgspec.json.encode(payload), status, headers, _JSON)


def _describe(dataset: Dataset, now_ms: int, *, limits: bool, faults: int) -> dict[str, Any]:
    exchanges = {}
    for name in dataset.markets:
        markets = dataset.known(name, now_ms)
        exchanges[name] = {
            "origin": f"/{name}",
            "markets": len(markets),
            "first_settlement_ms": min((m.times[0] for m in markets), default=None),
            "shift_days": dataset.shift_days.get(name, 0),
            "note": dataset.notes.get(name),
        }
    return {
        "service": "funding-rate sandbox",
        "source": dataset.source,
        "now_ms": now_ms,
        "limits": limits,
        "fault_rules": faults,
        "exchanges": exchanges,
    }
