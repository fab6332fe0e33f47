"""HTX's public endpoints of linear swaps, as the sandbox answers them.

Facts this module rests on: rates are fractions per the settlement period with eighteen decimals
(zero is "0E-18"), times are text; history comes newest first by page number, 20 rows unless asked
for up to 100, and more are refused; the v5 history has times instead, both ends included. Open
interest and turnover count both sides. 240 requests per 3 s, errors as {status, err_code, err_msg}.
"""

from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.htx_rows import (
    contract_row,
    dated_estimate_row,
    dated_row,
    estimate_row,
    open_interest_row,
    settled_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first, numbered_page
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "htx"
PAGE_ROWS = 100
_DEFAULT_ROWS = 20
_FOLDER = "/linear-swap-api/v1/"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.rpartition("-")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: tokens of mixed intervals by their plain names, shares, metals."""
    return catalogue(
        NAME,
        lambda base: f"{base}-USDT",
        quote="USDT",
        count=200,
        thousands="",
        decimals=12,
        shares=8,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    endpoint = request.path.removeprefix(_FOLDER)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("contract_code"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("404 page not found", status=404, media_type="text/plain")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """The exchange answers 200 and tells the excess in the body."""
    return _error(1032, "The number of access exceeded the limit.")


def _error(code: int, message: str) -> Reply:
    return Reply({"status": "error", "err_code": code, "err_msg": message, "ts": 0})


def _ok(data: Any, moment: Moment) -> dict[str, Any]:
    return {"status": "ok", "data": data, "ts": moment.now_ms}


def _chosen(call: Call, moment: Moment) -> list[SandboxMarket]:
    known = moment.dataset.known(NAME, moment.now_ms)
    return [market for market in known if call.market in (None, "", market.symbol)]


def _contracts(call: Call, moment: Moment) -> Reply:
    swaps = [contract_row(market, moment) for market in _chosen(call, moment)]
    dated = [dated_row(moment)] if call.params.get("business_type") == "all" else []
    return Reply(_ok(rows := swaps + dated, moment), rows=rows)


def _estimates(call: Call, moment: Moment) -> Reply:
    rows = [estimate_row(market, moment) for market in _chosen(call, moment)]
    rows += [] if call.market else [dated_estimate_row()]
    return Reply(_ok(rows, moment), rows=rows, rate_field="funding_rate")


def _open_interest(call: Call, moment: Moment) -> Reply:
    rows = [open_interest_row(market, moment) for market in _chosen(call, moment)]
    return Reply(_ok(rows, moment), rows=rows)


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error(1332, "The contract doesn't exist.")
    try:
        number = parameter(call.params, "page_index") or 1
        size = parameter(call.params, "page_size") or _DEFAULT_ROWS
    except ValueError:
        return _error(1030, "Input error.")
    if number < 1 or not 1 <= size <= PAGE_ROWS:
        return _error(1030, "Input error.")
    low, high = market.settled(0, moment.now_ms, moment.now_ms)
    rows = [settled_row(market, i) for i in numbered_page(market, number, size, moment)]
    page = {
        "total_page": -(-(high - low) // moment.page_limit(size)),
        "current_page": number,
        "total_size": high - low,
        "data": rows,
    }
    return Reply(_ok(page, moment), rows=rows, rate_field="funding_rate", time_field="funding_time")


def _history_by_time(call: Call, moment: Moment) -> Reply:
    """The v5 sibling: other libraries ask it. Its order without `direct` is not documented."""
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return Reply({"code": 1332, "message": "The contract doesn't exist.", "ts": 0})
    limit = parameter(call.params, "limit") or _DEFAULT_ROWS
    start = parameter(call.params, "start_time") or 0
    end = parameter(call.params, "end_time") or moment.now_ms
    if limit > PAGE_ROWS:
        return Reply({"code": 1067, "message": "The limit field is invalid", "ts": 0})
    rows = [
        {
            "id": str(i),
            "contract_code": market.symbol,
            "funding_rate": plain(market.rates[i]),
            "funding_time": str(market.times[i]),
        }
        for i in newest_first(market, start, end, moment, limit)
    ]
    return Reply({"code": 200, "message": "Success", "data": rows, "ts": moment.now_ms}, rows=rows)


_ENDPOINTS = {
    "swap_contract_info": _contracts,
    "swap_batch_funding_rate": _estimates,
    "swap_open_interest": _open_interest,
    "swap_historical_funding_rate": _history,
    "/v5/market/funding_rate_history": _history_by_time,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=240, window_s=3),),
    recorded_files=("htx",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
