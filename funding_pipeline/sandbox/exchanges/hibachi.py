"""Hibachi's public market data, as the sandbox answers it.

Facts this module rests on: rates are fractions of six decimals, paid every 8 hours until some day
(here the first of 2026) and every hour since; stamps are whole seconds on the hour. History comes
oldest first, both ends included and in seconds, 100 rows at most, and goes on by offset; without
times it is the newest rows. The inventory keeps closed markets with null in every place; metals
stand among the currencies. Errors are {errorCode, message, status}. No limit is published; ten
requests a second are let through.
"""

from dataclasses import replace
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "hibachi"
PAGE_ROWS = 100
_BASE_PATH = "/market/"
_START_MS = utc_ms(2024, 9, 1)
_HOURLY_MS = utc_ms(2026, 1, 1)
_CURRENCIES = ("EUR", "JPY", "XAG")
_METALS = ("XAG",)
_LAST_SECOND = 10**11


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.partition("/")
    return base, quote.removesuffix("-P")


def listings() -> list[Listing]:
    """The generated markets: tokens and currencies, 8 hours first and hourly later."""
    tokens = catalogue(
        NAME,
        lambda base: f"{base}/USDT-P",
        quote="USDT",
        count=110,
        hours=8,
        launch_ms=_START_MS,
        thousands="",
        decimals=6,
    )
    eras = ((_START_MS, 8), (_HOURLY_MS, 1))
    currencies = [
        replace(tokens[0], symbol=f"{base}/USDT-P", base=base, asset=base, multiplier=0.5)
        for base in _CURRENCIES
    ]
    return [
        market if market.delisted_ms else replace(market, eras=eras)
        for market in [*tokens[:8], *currencies, *tokens[8:]]
    ]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint.removeprefix("data/"), request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    match call.endpoint:
        case "inventory":
            return _inventory(moment)
        case "exchange-info":
            known = moment.dataset.known(NAME, moment.now_ms)
            return Reply({"futureContracts": [_contract(m, moment.now_ms) for m in known]})
        case "funding-rates":
            return _history(call, moment)
    return _error(3, "Not found", status=404)


def refuse(refusal: Refusal) -> Reply:
    """429 without a word on when to come back."""
    return _error(1, "Too many requests", status=429)


def _error(code: int, message: str, status: int = 400) -> Reply:
    payload = {"errorCode": code, "message": message, "status": "failed"}
    return Reply(payload, status=status)


def _inventory(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [
        {"contract": _contract(market, moment.now_ms), "info": _info(market, moment.now_ms)}
        for market in known
    ]
    infos = [row["info"] for row in rows]
    return Reply({"markets": rows}, rows=infos, rate_field="estimatedFundingRate")


def _contract(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    gone = market.is_delisted(now_ms)
    return {
        "category": "FX" if market.base in _CURRENCIES else "CRYPTO",
        "displayName": f"{market.base}/{market.quote} Perps",
        "id": market.number + 1,
        "initialMarginRate": "0.050000",
        "maintenanceMarginRate": "0.030000",
        "marketCloseTimestamp": str((market.delisted_ms or 0) // 1000) if gone else None,
        "marketCreationTimestamp": f"{market.launch_ms / 1000:.3f}",
        "marketOpenTimestamp": None,
        "minNotional": "1",
        "minOrderSize": "0.00001",
        "nextCloseTimestamp": None,
        "nextOpenTimestamp": None,
        "orderbookGranularities": ["0.01", "0.1", "1", "10"],
        "settlementDecimals": 6,
        "settlementSymbol": market.quote,
        "status": "CLOSED" if gone else "LIVE",
        "stepSize": "0.00001",
        "symbol": market.symbol,
        "symbolStatus": "OPEN",
        "tickSize": "0.01",
        "underlyingDecimals": 5,
        "underlyingSymbol": market.base,
    }


def _info(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price = contract_price(market.base, hour)
    told: dict[str, str | None] = {
        "bestAskPrice": f"{price * 1.0001:.9f}",
        "bestBidPrice": f"{price * 0.9999:.9f}",
        "estimatedFundingRate": f"{market.running_rate(now_ms):.6f}",
        "markPrice": f"{price:.9f}",
        "openInterestQuantity": f"{open_interest_usd(asset, hour) / price:.10f}",
        "price24hAgo": f"{price * 0.99:.9f}",
        "priceLatest": f"{price:.9f}",
        "spotPrice": f"{price * 0.9998:.9f}",
        "volume24h": f"{day_volume_usd(asset, hour):.6f}",
    }
    if market.is_delisted(now_ms):
        told = dict.fromkeys(told)
    tags = ["commodity"] if market.base in _METALS else []
    return {**told, "category": None, "tags": tags}


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error(4, f"Invalid input: Invalid symbol: {call.market}")
    try:
        start, end = parameter(call.params, "startTime"), parameter(call.params, "endTime")
        limit, offset = parameter(call.params, "limit"), parameter(call.params, "offset") or 0
    except ValueError:
        return _error(4, "Invalid input")
    wanted = min(max(limit or PAGE_ROWS, 1), PAGE_ROWS)
    if start is None and end is None:
        indexes = newest_first(market, 0, moment.now_ms, moment, wanted, skip=offset)[::-1]
    else:
        end_ms = (_LAST_SECOND if end is None else end) * 1000 + 999
        low, high = market.settled((start or 0) * 1000, end_ms, moment.now_ms)
        first = low + offset
        indexes = range(first, min(high, first + moment.page_limit(wanted)))
    rows: list[dict[str, Any]] = [
        {
            "contractId": market.number + 1,
            "fundingTimestamp": market.times[i] // 1000,
            "fundingRate": f"{market.rates[i]:.6f}",
            "indexPrice": f"{contract_price(market.base, market.times[i] // HOUR_MS):.5f}",
        }
        for i in indexes
    ]
    return Reply(
        {"data": rows, "pagination": {"limit": wanted, "offset": offset}},
        rows=rows,
        rate_field="fundingRate",
        time_field="fundingTimestamp",
        time_unit=1000,
    )


def settled_rate(market: SandboxMarket, index: int) -> float:
    """Six decimals."""
    return round(market.rates[index], 6)


_ENDPOINTS = ("inventory", "exchange-info", "data/funding-rates")

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=10, window_s=1),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    settled_rate=settled_rate,
)
