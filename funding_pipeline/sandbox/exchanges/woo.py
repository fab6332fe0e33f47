"""WOO X's public endpoints, as the sandbox answers them.

Facts this module rests on (documentation samples, no recordings): decimals are text of eight
places, rates are fractions per the market's own interval of 8 or 4 hours; history comes newest
first by pages, both ends included, 25 rows unless a size is asked for. Instruments hold spot too.
Open interest is in base units. 10 requests per second, errors as {success, code, message}.
"""

from dataclasses import replace
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "woo"
PAGE_ROWS = 25
_LARGEST_PAGE = 100
_BASE_PATH = "/v3/public/"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    _, base, quote = symbol.split("_")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: tokens of 8 and 4 hours by their plain names."""
    found = catalogue(NAME, lambda base: f"PERP_{base}_USDT", quote="USDT", count=220, thousands="")
    return [
        replace(listing, eras=tuple((since, max(hours, 4)) for since, hours in listing.eras))
        for listing in found
    ]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply({"code": 503, "message": "[GW] no upstream server"})
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """429 without a word on when to come back."""
    return _error("TOO_MANY_REQUEST", code=-1003, status=429)


def _error(message: str, code: int = -1005, status: int = 400) -> Reply:
    return Reply({"success": False, "code": code, "message": message}, status=status)


def _ok(data: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return {"success": True, "data": data, "timestamp": moment.now_ms}


def _instruments(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_instrument_row(market, moment) for market in known]
    rows += [_spot_row(base) for base in ("BTC", "ETH", "WOO")]
    return Reply(_ok({"rows": rows}, moment), rows=rows)


def _instrument_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    return {
        **_spot_row(market.base),
        "symbol": market.symbol,
        "status": "SUSPENDED" if market.is_delisted(moment.now_ms) else "TRADING",
        "fundingIntervalHours": market.interval_hours_at(moment.now_ms),
        "fundingCap": plain(market.rate_cap),
        "fundingFloor": plain(-market.rate_cap),
        "impactNotional": "2000",
        "isAllowedRpi": True,
    }


def _spot_row(base: str) -> dict[str, Any]:
    return {
        "symbol": f"SPOT_{base}_USDT",
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetMultiplier": 1,
        "quoteAsset": "USDT",
        "quoteMin": "0",
        "quoteMax": "100000",
        "quoteTick": "0.01",
        "baseMin": "0.0001",
        "baseMax": "5000",
        "baseTick": "0.0001",
        "minNotional": "1",
        "bidCapRatio": "1.1",
        "bidFloorRatio": None,
        "askCapRatio": None,
        "askFloorRatio": "0.9",
        "orderMode": "NORMAL",
        "impactNotional": None,
        "isAllowedRpi": False,
        "tickGranularity": None,
    }


def _listed(call: Call, moment: Moment) -> list[SandboxMarket]:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    return [market for market in listed if call.market in (None, market.symbol)]


def _estimates(call: Call, moment: Moment) -> Reply:
    rows = [_estimate_row(market, moment) for market in _listed(call, moment)]
    if call.market and not rows:
        return _error(f"no funding rate data for {call.market}", status=500)
    return Reply(_ok({"rows": rows}, moment), rows=rows, rate_field="estFundingRate")


def _estimate_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    low, high = market.settled(0, moment.now_ms, moment.now_ms)
    last = max(low, high - 1)
    interval_hours = market.interval_hours_at(moment.now_ms)
    return {
        "symbol": market.symbol,
        "estFundingRate": plain(market.running_rate(moment.now_ms)),
        "estFundingRateTimestamp": moment.now_ms // 60_000 * 60_000,
        "lastFundingRate": plain(market.rates[last]),
        "lastFundingRateTimestamp": market.times[last],
        "nextFundingTime": market.next_settlement_ms(moment.now_ms),
        "lastFundingIntervalHours": interval_hours,
        "estFundingIntervalHours": interval_hours,
    }


def _futures(call: Call, moment: Moment) -> Reply:
    rows = [_future_row(market, moment) for market in _listed(call, moment)]
    return Reply(_ok({"rows": rows}, moment), rows=rows)


def _future_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    hour = moment.now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    volume = day_volume_usd(market.base, hour)
    estimate = _estimate_row(market, moment)
    return {
        "symbol": market.symbol,
        "indexPrice": plain(price * 1.0002),
        "markPrice": plain(price),
        "estFundingRate": estimate["estFundingRate"],
        "lastFundingRate": estimate["lastFundingRate"],
        "openInterest": plain(open_interest_usd(market.base, hour) / price),
        "24hOpen": plain(price),
        "24hClose": plain(price),
        "24hHigh": plain(price),
        "24hLow": plain(price),
        "24hVolume": plain(volume / price),
        "24hAmount": plain(volume),
        "nextFundingTime": estimate["nextFundingTime"],
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error(f"invalid symbol {call.market}")
    try:
        start = parameter(call.params, "startTime") or 0
        end = parameter(call.params, "endTime")
        number = parameter(call.params, "page") or 1
        size = parameter(call.params, "size") or PAGE_ROWS
    except ValueError:
        return _error("invalid request, please check your request")
    if size > _LARGEST_PAGE:
        return _error("invalid request, please check your request")
    end = moment.now_ms if end is None else end
    low, high = market.settled(start, end, moment.now_ms)
    skip = (number - 1) * moment.page_limit(size)
    rows = [_settled_row(market, i) for i in newest_first(market, start, end, moment, size, skip)]
    meta = {"total": high - low, "recordsPerPage": size, "currentPage": number}
    return Reply(
        _ok({"rows": rows, "meta": meta}, moment),
        rows=rows,
        rate_field="fundingRate",
        time_field="fundingRateTimestamp",
    )


def _settled_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    stamp = market.times[index]
    return {
        "symbol": market.symbol,
        "fundingRate": plain(market.rates[index]),
        "fundingRateTimestamp": stamp,
        "nextFundingTime": market.next_settlement_ms(stamp),
        "markPrice": plain(contract_price(market.base, stamp // HOUR_MS)),
    }


_ENDPOINTS = {
    "instruments": _instruments,
    "fundingRate": _estimates,
    "futures": _futures,
    "fundingRateHistory": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=10, window_s=1),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
