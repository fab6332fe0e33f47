"""BingX's public perpetual endpoints, as the sandbox answers them.

Facts this module rests on: rates are fractions per the contract's interval with six significant
decimals, written with eight; stamps are exact. History brings the newest rows of the window, newest
first, both ends included, 100 unless asked for up to 1000, more is refused; no row is `null`. A
share outside its trading hours is suspended (25): it stands in both lists, has no ticker and its
history is refused. What was withdrawn is unknown. Errors are codes in answers of status 200. 500
requests per 10 s. Coin-settled contracts and spot pairs have lists of their own, empty here.
"""

from math import ceil
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.bingx_rows import (
    contract_row,
    history_row,
    premium_row,
    ticker_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import asset_of, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "bingx"
PAGE_ROWS = 1000
_DEFAULT_ROWS = 100
_BASE_PATH = "/openApi/swap/v2/quote/"
_ELSEWHERE: dict[str, Any] = {
    "/openApi/cswap/v1/market/contracts": [],
    "/openApi/spot/v1/common/symbols": {"symbols": []},
}
# What is no coin: the kind and the asset, from which the code is made.
_CODED = (
    ("SK", "TSLA"), ("SK", "NVDA"), ("SK", "AAPL"), ("SK", "COIN"), ("SI", "SP500"),
    ("SI", "NASDAQ100"), ("CO", "GOLD"), ("FX", "EUR"), ("FX", "GBP"),
)  # fmt: skip
_SUSPENDED = ("SK", "COIN")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.rpartition("-")
    return base, quote


def _code(kind: str, asset: str) -> str:
    return f"NC{kind}{asset}2USD"


def listings() -> list[Listing]:
    """The generated markets: tokens of mixed intervals, some in USDC, shares and the like."""
    tokens = catalogue(
        NAME,
        lambda base: f"{base}-USDT",
        quote="USDT",
        count=230,
        decimals=6,
        launch_ms=utc_ms(2023, 6, 1),
    )
    usdc = [
        Listing(f"{a}-USDC", a, "USDC", a, ((utc_ms(2024, 6, 3), 8),), 0.003, 6)
        for a in names.ASSETS[:4]
    ]
    coded = [
        Listing(
            f"{_code(kind, asset)}-USDT",
            _code(kind, asset),
            "USDT",
            asset,
            ((utc_ms(2024, 6, 3), 4 if kind == "CO" else 8),),
            rate_cap=0.005 if kind == "CO" else 0.02,
            decimals=6,
            multiplier=0.5,
            delisted_ms=utc_ms(2026, 3, 20) if (kind, asset) == _SUSPENDED else None,
        )
        for kind, asset in _CODED
    ]
    return tokens[:20] + usdc[:1] + coded + tokens[20:] + usdc[1:]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    if request.path in _ELSEWHERE:
        return Call("elsewhere", None, {"path": request.path})
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "elsewhere":
        return _answered(_ELSEWHERE[call.params["path"]])
    if call.endpoint == "unknown path":
        return _error(100400, "this api is not exist,please refer to the API docs")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429 with the window's state in headers."""
    reply = _error(100410, "rate limited", status=429)
    reply.headers["x-ratelimit-requests-remain"] = "0"
    reply.headers["x-ratelimit-requests-expire"] = str(ceil(refusal.wait_s * 1000))
    return reply


def _answered(data: Any, **more: Any) -> Reply:
    return Reply({"code": 0, "msg": "", "data": data}, **more)


def _error(code: int, message: str, status: int = 200) -> Reply:
    return Reply({"code": code, "msg": message, "data": {}}, status=status)


def _there(moment: Moment) -> list[SandboxMarket]:
    """What trades and what is suspended."""
    known = moment.dataset.known(NAME, moment.now_ms)
    return [m for m in known if not m.is_delisted(moment.now_ms) or m.base == _code(*_SUSPENDED)]


def _contracts(_: Call, moment: Moment) -> Reply:
    rows = [contract_row(number, m, moment) for number, m in enumerate(_there(moment))]
    return _answered(rows, rows=rows)


def _of_one_or_all(call: Call, moment: Moment, row: Any, markets: list[SandboxMarket]) -> Reply:
    if call.market is None:
        rows = [row(market, moment) for market in markets]
        return _answered(rows, rows=rows, rate_field="lastFundingRate")
    found = next((m for m in markets if m.symbol == call.market), None)
    if found is None:
        return _unknown(call)
    return _answered(row(found, moment))


def _unknown(call: Call) -> Reply:
    return _error(
        109425, f"{call.market} not exist, please verify it in api: {_BASE_PATH}contracts"
    )


def _premium_index(call: Call, moment: Moment) -> Reply:
    return _of_one_or_all(call, moment, premium_row, _there(moment))


def _ticker(call: Call, moment: Moment) -> Reply:
    reply = _of_one_or_all(call, moment, ticker_row, moment.dataset.listed(NAME, moment.now_ms))
    reply.rate_field = None
    return reply


def _open_interest(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _unknown(call)
    value = open_interest_usd(asset_of(market.base)[0], moment.now_ms // HOUR_MS)
    return _answered(
        {"openInterest": f"{value:.1f}", "symbol": market.symbol, "time": moment.now_ms}
    )


def _history(call: Call, moment: Moment) -> Reply:
    if not call.market:
        return _error(109400, "Invalid parameters, err:symbol: This field is required.")
    market = next((m for m in _there(moment) if m.symbol == call.market), None)
    if market is None:
        return _unknown(call)
    if market.is_delisted(moment.now_ms):
        return _error(109415, f"{market.symbol} is pause currently")
    try:
        start, end = parameter(call.params, "startTime"), parameter(call.params, "endTime")
        limit = parameter(call.params, "limit") or _DEFAULT_ROWS
    except ValueError:
        return _error(109400, "Invalid parameters")
    if not 0 < limit <= PAGE_ROWS:
        text = f"limit: This field must be less than or equal to {PAGE_ROWS}."
        return _error(109400, f"Invalid parameters, err:{text}")
    end_ms = moment.now_ms if end is None else end
    rows = [history_row(market, i) for i in newest_first(market, start or 0, end_ms, moment, limit)]
    if not rows:
        return _answered(None, rows=None, rate_field="fundingRate", time_field="fundingTime")
    return _answered(rows, rows=rows, rate_field="fundingRate", time_field="fundingTime")


_ENDPOINTS = {
    "contracts": _contracts,
    "premiumIndex": _premium_index,
    "ticker": _ticker,
    "openInterest": _open_interest,
    "fundingRate": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=500, window_s=10),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
