"""Phemex's public perpetual endpoints, as the sandbox answers them.

Facts this module rests on: history is asked by funding symbol (.BTCUSDTFR8H); rows ascend, 100 at
most, the newest of the window; each carries its interval in seconds. An unknown symbol has no rows.
Contracts settled in coins have their history under /v1 only. Products keep delisted contracts, spot
pairs and the older model in USD; what trades is in `real-funding-rates`, 20 rows unless asked for
more, and, unless it is settled in coins, in the ticker. 300 requests a minute.
"""

from math import ceil
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.phemex_rows import (
    coin_settled,
    funding_symbol,
    product_row,
    running_row,
    spot_row,
    ticker_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.schedules import DELISTED_MS
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "phemex"
PAGE_ROWS = 100
_DEFAULT_ROWS = 20
_HISTORY = "/api-data/public/data/funding-rate-history"
_COINS = ("BTC", "ETH", "SOL", "XRP", "ADA")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    quote = next((q for q in ("USDT", "USDC", "USD") if symbol.endswith(q)), "")
    base = symbol.removesuffix(quote)
    return (base.lstrip("uc") if quote == "USD" or base.startswith("u1") else base), quote


def listings() -> list[Listing]:
    """The generated markets: tokens and shares in USDT, some in USDC, some settled in coins."""
    tokens = catalogue(
        NAME,
        lambda base: f"u{base}USDT" if base.startswith("1000") else f"{base}USDT",
        quote="USDT",
        count=110,
        shares=8,
    )
    since = utc_ms(2023, 6, 1)
    usdc = [
        Listing(f"{a}USDC", a, "USDC", a, ((since, 8),), 0.02, 8) for a in ("BTC", "ETH", "SOL")
    ]
    coins = [
        Listing(f"{'' if a == 'BTC' else 'c'}{a}USD", a, "USD", a, ((since, 8),), 0.02, 8)
        for a in _COINS
    ]
    # Of the older model, settled in USD, all are gone.
    gone = [
        Listing(f"{a}USD", a, "USD", a, ((since, 8),), 0.02, 8, delisted_ms=DELISTED_MS)
        for a in ("LINK", "LTC")
    ]
    return tokens[:20] + usdc + coins + gone + tokens[20:]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which funding symbol."""
    if request.method != "GET" or request.path not in _ENDPOINTS:
        return Call("unknown path", None, {})
    query = {**request.query, "settled in coins": request.path.startswith("/v1")}
    name = request.path.rsplit("/", 1)[-1] if "/data/" in request.path else request.path
    return Call(name, _contract(request.query.get("symbol")), query)


def _contract(symbol: str | None) -> str | None:
    """The contract behind a funding symbol; of coin-settled ones it names the coin alone."""
    if symbol is None:
        return None
    name = symbol.removeprefix(".").removesuffix("FR8H")
    if name in _COINS:
        return f"{'' if name == 'BTC' else 'c'}{name}USD"
    return name


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("", status=403, media_type="text/html")
    endpoint = _history if call.endpoint == "funding-rate-history" else _ENDPOINTS[call.endpoint]
    return endpoint(call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429 with the seconds to wait."""
    reply = Reply({"code": 39995, "msg": "Too many requests.", "data": None}, status=429)
    reply.headers["x-ratelimit-remaining"] = "0"
    reply.headers["x-ratelimit-retry-after"] = str(ceil(refusal.wait_s))
    return reply


def _answered(data: Any, **more: Any) -> Reply:
    return Reply({"code": 0, "msg": "OK", "data": data}, **more)


def _products(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    in_quote = [product_row(m, moment) for m in known if m.quote != "USD"]
    in_usd = [product_row(m, moment) for m in known if m.quote == "USD"]
    data = {
        "ratioScale": 8,
        "currencies": [],
        "products": [*in_usd, spot_row("BTC"), spot_row("ETH")],
        "perpProductsV2": in_quote,
        "perpProductsPilot": None,
        "riskLimits": [],
        "leverages": [],
        "riskLimitsV2": [],
        "leveragesV2": [],
    }
    return _answered(data, rows=in_quote)


def _older_products(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [
        {"symbol": m.symbol, "baseCurrency": m.base, "quoteCurrency": "USD", "type": "Perpetual"}
        for m in known
        if coin_settled(m)
    ]
    return _answered(rows)


def _running(call: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    size = parameter(call.params, "pageSize") or _DEFAULT_ROWS
    first = ((parameter(call.params, "pageNum") or 1) - 1) * size
    rows = [running_row(m, moment) for m in listed[first : first + size]]
    return _answered({"total": len(listed), "rows": rows}, rows=rows, rate_field="fundingRate")


def _tickers(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [ticker_row(m, moment) for m in listed if not coin_settled(m)]
    return Reply({"error": None, "id": 0, "result": rows}, rows=rows)


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None or coin_settled(market) != call.params["settled in coins"]:
        return _answered({"rows": []})
    try:
        start, end = parameter(call.params, "start"), parameter(call.params, "end")
        limit = parameter(call.params, "limit")
    except ValueError:
        return Reply({"code": 30000, "msg": "Please double check input arguments", "data": None})
    end_ms = moment.now_ms if end is None else end
    wanted = min(max(limit or _DEFAULT_ROWS, 1), PAGE_ROWS)
    found = newest_first(market, start or 0, end_ms, moment, wanted)
    rows = [
        {
            "symbol": funding_symbol(market),
            "fundingRate": plain(market.rates[i]),
            "fundingTime": market.times[i],
            "intervalSeconds": market.interval_hours_at(market.times[i] - HOUR_MS) * 3600,
        }
        for i in reversed(found)
    ]
    more = {"rate_field": "fundingRate", "time_field": "fundingTime"}
    return _answered({"rows": rows}, rows=rows, **more)


_ENDPOINTS = {
    "/public/products": _products,
    "/v1/exchange/public/products": _older_products,
    "/contract-biz/public/real-funding-rates": _running,
    "/md/v3/ticker/24hr/all": _tickers,
    _HISTORY: _history,
    f"/v1{_HISTORY}": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=300, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
