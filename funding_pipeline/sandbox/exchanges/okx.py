"""OKX's public endpoints for perpetual swaps, as the sandbox answers them.

Facts this module rests on: everything is text, rates have up to 16 decimals, stamps are exact ms.
History comes newest first, `before` and `after` exclude the stamp they name, 100 rows at most, and
nothing is older than three months. Withdrawn swaps are listed no longer. `funding-rate?instId=ANY`
tells of all swaps and of dated futures with funding. Errors are {code, msg, data}; 10 requests
per 2 s, here of all instruments together.
"""

from math import ceil
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges import okx_rows
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "okx"
PAGE_ROWS = 100
_RETENTION_MS = 90 * DAY_MS
_BASE_PATH = "/api/v5/"
_LEADING = 10


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin: BTC-USDT-SWAP, BTC-USD-SWAP, BTC-USD_UM-SWAP."""
    base, _, quote = symbol.removesuffix("-SWAP").rpartition("-")
    return base, quote.removesuffix("_UM")


def listings() -> list[Listing]:
    """The generated markets: USDT swaps with some shares, and a few of the other kinds."""
    linear = _swaps("USDT", "USDT", 200, shares=4)
    others = [
        *_swaps("USD", "USD", 6),
        *_swaps("USDC", "USDC", 3),
        *_swaps("USD_UM", "USD", 2),
    ]
    return [*linear[:_LEADING], *others, *linear[_LEADING:]]


def _swaps(suffix: str, quote: str, count: int, shares: int = 0) -> list[Listing]:
    return catalogue(
        NAME,
        lambda base: f"{base}-{suffix}-SWAP",
        quote=quote,
        count=count,
        thousands="",
        decimals=16,
        shares=shares,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which instrument."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("instId"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("404", "Not Found", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429 with a code of its own."""
    reply = _error("50011", "Too Many Requests", status=429)
    reply.headers["Retry-After"] = str(ceil(refusal.wait_s))
    return reply


def _error(code: str, message: str, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": message, "data": []}, status=status)


def _reply(
    rows: list[dict[str, Any]], rate_field: str | None = None, time_field: str | None = None
) -> Reply:
    return Reply(
        {"code": "0", "msg": "", "data": rows},
        rows=rows,
        rate_field=rate_field,
        time_field=time_field,
    )


def _swaps_asked(call: Call, moment: Moment) -> list[SandboxMarket] | None:
    """All swaps, or the one that is named; None where instType is missing or another."""
    if call.params.get("instType") != "SWAP":
        return None
    listed = moment.dataset.listed(NAME, moment.now_ms)
    return [m for m in listed if call.market in (None, m.symbol)]


def _instruments(call: Call, moment: Moment) -> Reply:
    swaps = _swaps_asked(call, moment)
    if swaps is None:
        return _bad_type()
    rows = [okx_rows.instrument(market) for market in swaps]
    return _reply([*rows, okx_rows.UNOPENED] if call.market is None else rows)


def _bad_type() -> Reply:
    return _error("51000", "Parameter instType error")


def _funding_rate(call: Call, moment: Moment) -> Reply:
    if not call.market:
        return _error("50014", "Parameter instId can not be empty.")
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [
        okx_rows.funding_rate(market, moment.now_ms)
        for market in listed
        if call.market in ("ANY", market.symbol)
    ]
    if not rows and call.market != "ANY":
        return _no_instrument()
    if call.market == "ANY":
        rows.append(okx_rows.dated_future(moment.now_ms))
    return _reply(rows, rate_field="fundingRate")


def _no_instrument() -> Reply:
    return _error("51001", "Instrument ID does not exist", status=200)


def _open_interest(call: Call, moment: Moment) -> Reply:
    swaps = _swaps_asked(call, moment)
    if swaps is None:
        return _bad_type()
    return _reply([okx_rows.open_interest(market, moment.now_ms) for market in swaps])


def _mark_price(call: Call, moment: Moment) -> Reply:
    swaps = _swaps_asked(call, moment)
    if swaps is None:
        return _bad_type()
    return _reply([okx_rows.mark_price(market, moment.now_ms) for market in swaps])


def _tickers(call: Call, moment: Moment) -> Reply:
    swaps = _swaps_asked(call, moment)
    if swaps is None:
        return _bad_type()
    return _reply([okx_rows.ticker(market, moment.now_ms) for market in swaps])


def _history(call: Call, moment: Moment) -> Reply:
    if not call.market:
        return _error("50014", "Parameter instId can not be empty.")
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    if market is None:
        return _no_instrument()
    try:
        newer_than = parameter(call.params, "before")
        older_than = parameter(call.params, "after")
        limit = parameter(call.params, "limit")
    except ValueError:
        return _error("51000", "Parameter before, after or limit error")
    oldest = moment.now_ms - _RETENTION_MS
    start = oldest if newer_than is None else max(oldest, newer_than + 1)
    end = moment.now_ms if older_than is None else older_than - 1
    wanted = min(max(PAGE_ROWS if limit is None else limit, 1), PAGE_ROWS)
    rows = [
        {
            "formulaType": "withRate",
            "fundingRate": plain(market.rates[i]),
            "fundingTime": str(market.times[i]),
            "instId": market.symbol,
            "instType": "SWAP",
            "method": "current_period",
            "realizedRate": plain(market.rates[i]),
        }
        for i in newest_first(market, start, end, moment, wanted)
    ]
    return _reply(rows, rate_field="realizedRate", time_field="fundingTime")


_ENDPOINTS = {
    "public/instruments": _instruments,
    "public/funding-rate": _funding_rate,
    "public/funding-rate-history": _history,
    "public/open-interest": _open_interest,
    "public/mark-price": _mark_price,
    "market/tickers": _tickers,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=10, window_s=2),),
    recorded_files=("okx",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
