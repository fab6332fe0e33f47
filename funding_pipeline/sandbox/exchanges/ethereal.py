"""Ethereal's trading API, as the sandbox answers it.

Facts this module rests on (documentation only): rates are fractions per hour with nine decimals,
stamps ms just after the hour; history is by product id and range (DAY, WEEK, MONTH: the sandbox
takes a month to be 31 days), in either order, newest first unless asked otherwise, 50 rows by
default and 100 at most, by cursor. Open interest counts both sides in base units. Errors are
statusCode, message and error. No rate limit is published; the one here stands for any.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first, oldest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "ethereal"
PAGE_ROWS = 100
_DEFAULT_ROWS = 50
_BASE_PATH = "/v1/"
_RANGE_DAYS = {"DAY": 1, "WEEK": 7, "MONTH": 31}
_LISTED_MS = utc_ms(2025, 10, 15)
_WITHDRAWN = {"TON": utc_ms(2026, 6, 1)}
# 200 % a year.
_CAP_APR = 2.0


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote."""
    return symbol.removesuffix("USD"), "USD"


def listings() -> list[Listing]:
    """The generated markets: tokens, hourly, one of them withdrawn."""
    tokens = catalogue(
        NAME,
        lambda base: f"{base}USD",
        quote="USD",
        count=30,
        hours=1,
        launch_ms=_LISTED_MS,
        thousands="",
        decimals=9,
        rate_cap=round(_CAP_APR / 8760, 9),
        jitter_ms=3,
    )
    return [replace(listing, delisted_ms=_WITHDRAWN.get(listing.asset)) for listing in tokens]


def product_id(symbol: str) -> str:
    """The UUID that requests name a product by."""
    return str(uuid5(NAMESPACE_DNS, f"{symbol}.sandbox"))


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which product."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("productId"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("Cannot GET", 404, "Not Found")
    try:
        return _ENDPOINTS[call.endpoint](call, moment)
    except ValueError as error:
        return _error(str(error), 400, "Bad Request")


def refuse(_: Refusal) -> Reply:
    """What an address gets that asks too often."""
    return _error("ThrottlerException: Too Many Requests", 429, "Too Many Requests")


def _error(message: str, status: int, error: str) -> Reply:
    return Reply({"statusCode": status, "message": message, "error": error}, status=status)


def _products(call: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    if call.params.get("order", "desc") == "desc":
        known.reverse()
    first = _place(call.params) or 0
    last = first + _limit(call.params)
    rows = [_product(market, moment.now_ms) for market in known[first:last]]
    payload: dict[str, Any] = {"data": rows, "hasNext": last < len(known)}
    if payload["hasNext"]:
        payload["nextCursor"] = _cursor(last)
    return Reply(payload, rows=rows)


def _product(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    low, high = market.settled(0, now_ms, now_ms)
    charged = high > low
    return {
        "id": product_id(market.symbol),
        "ticker": market.symbol,
        "displayTicker": f"{market.base}-{market.quote}",
        "engineType": 0,
        "onchainId": market.number + 1,
        "status": "CLOSED" if market.is_delisted(now_ms) else "ACTIVE",
        "blockNumber": "18539",
        "baseTokenAddress": "0x0000000000000000000000000000000000000000",
        "quoteTokenAddress": "0xb6fc4b1bff391e5f6b4a3d2c7bda1fee3524692d",
        "baseTokenName": market.base,
        "quoteTokenName": market.quote,
        "lotSize": "0.00001",
        "tickSize": "1",
        "makerFee": "0",
        "takerFee": "0.0003",
        "maxQuantity": "5",
        "minQuantity": "0.00008",
        "minPrice": "1",
        "maxPrice": "10112491",
        "volume24h": plain(round(day_volume_usd(market.base, hour) / price, 9)),
        "createdAt": market.launch_ms,
        "cumulativeFundingUsd": "-73.074331773",
        "fundingUpdatedAt": market.times[high - 1] if charged else market.launch_ms,
        "fundingRate1h": plain(market.rates[high - 1]) if charged else "0",
        "openInterest": plain(round(2 * open_interest_usd(market.base, hour) / price, 9)),
        "maxLeverage": 20,
        "maxOpenInterestUsd": "25000000",
        "maxPositionNotionalUsd": "2500000",
        "pythFeedId": market.number + 1,
        "fundingClampApr": "0.05",
        "fundingBaselineApr": "0.1",
        "fundingMaxApr": plain(_CAP_APR),
    }


def _history(call: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    market = next((m for m in known if product_id(m.symbol) == call.market), None)
    if market is None:
        return _error("Product not found", 404, "Not Found")
    days = _RANGE_DAYS.get(call.params.get("range", ""))
    order = call.params.get("order") or "desc"
    if days is None or order not in ("asc", "desc"):
        raise ValueError("range must be one of DAY, WEEK, MONTH; order one of asc, desc")
    start_ms, end_ms = moment.now_ms - days * DAY_MS, moment.now_ms
    place = _place(call.params)
    if order == "desc":
        end_ms = end_ms if place is None else place - 1
        chosen = newest_first(market, start_ms, end_ms, moment, _limit(call.params))
    else:
        start_ms = start_ms if place is None else place + 1
        chosen = oldest_first(market, start_ms, end_ms, moment, _limit(call.params))
    low, high = market.settled(start_ms, end_ms, moment.now_ms)
    rows = [{"createdAt": market.times[i], "fundingRate1h": plain(market.rates[i])} for i in chosen]
    payload: dict[str, Any] = {"data": rows, "hasNext": high - low > len(rows)}
    if rows and payload["hasNext"]:
        payload["nextCursor"] = _cursor(market.times[chosen[-1]])
    return Reply(payload, rows=rows, rate_field="fundingRate1h", time_field="createdAt")


def _limit(params: Mapping[str, str]) -> int:
    return min(max(parameter(params, "limit") or _DEFAULT_ROWS, 1), PAGE_ROWS)


def _cursor(place: int) -> str:
    return urlsafe_b64encode(f"at:{place}".encode()).decode()


def _place(params: Mapping[str, str]) -> int | None:
    """What a cursor stands for; ValueError if it is none of ours."""
    if not (cursor := params.get("cursor")):
        return None
    return int(urlsafe_b64decode(cursor).decode().removeprefix("at:"))


_ENDPOINTS = {"product": _products, "funding": _history}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=20, window_s=1),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
