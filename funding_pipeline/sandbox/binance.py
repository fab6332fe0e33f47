"""Binance's public futures endpoints (USDⓈ-M), as the sandbox answers them.

Facts this module rests on: rates are fractions per the symbol's interval, stamps are milliseconds
late; history is ascending, both ends included, 100 rows unless asked for up to 1000, the oldest
first when the window holds more. Without a symbol it holds every symbol's rows by time, and a page
may end inside a group of equal stamps. 2400 weight a minute for everything, 500 requests per 5
minutes for `fundingRate` and `fundingInfo` together; who goes on after 429 is banned with 418.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.binance_rows import (
    exchange_info,
    funding_info_row,
    open_interest_row,
    premium_row,
    quarterly_premium_row,
    quarterly_symbols,
    rate_text,
    ticker_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.prices import contract_price
from funding_pipeline.sandbox.schedules import DELISTED_MS, mixed_eras, restless_eras
from funding_pipeline.sandbox.settlements import newest, oldest
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "binance"
PAGE_ROWS = 1000
_DEFAULT_ROWS = 100
# What comes without symbol, times and limit, as documented.
_RECENT_ROWS = 200
_END_MS = utc_ms(2040, 1, 1)
# Every so many markets one changes its interval again and again.
_RESTLESS_EVERY = 12
_QUOTES = ("USDT", "USDC")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    for quote in _QUOTES:
        if symbol.endswith(quote):
            return symbol.removesuffix(quote), quote
    return symbol, "USDT"


def listings() -> list[Listing]:
    """The generated markets: USDT perpetuals, some in USDC, some shares and metals."""
    usdt = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS)]
    usdc = [
        Listing(f"{asset}USDC", asset, "USDC", asset, ((utc_ms(2024, 1, 4), 8),), 0.02, 8, 6)
        for asset in ("BTC", "ETH", "SOL", "XRP", "DOGE")
    ]
    tradfi = [
        Listing(f"{asset}USDT", asset, "USDT", asset, ((utc_ms(2024, 6, 3), 4),), 0.02, 8, 6, 0.0)
        for asset in names.SHARES
    ]
    return usdt[:20] + usdc[:1] + tradfi[:2] + usdt[20:] + usdc[1:] + tradfi[2:]


def _listing(asset: str, rank: int) -> Listing:
    base = f"1000{asset}" if asset in names.THOUSANDS else asset
    eras = mixed_eras(NAME, rank)
    if rank >= 10 and rank % _RESTLESS_EVERY == 0:
        eras = restless_eras(eras[0][0], 20 + rank, _END_MS)
    return Listing(
        f"{base}USDT",
        base,
        "USDT",
        asset,
        eras,
        rate_cap=0.003 if rank < 10 else 0.02,
        decimals=8,
        jitter_ms=6,
        delisted_ms=DELISTED_MS if asset in names.DELISTED else None,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which symbol."""
    endpoint = request.path.removeprefix("/fapi/v1/")
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {"path": request.path, "method": request.method})
    return Call(endpoint, request.query.get("symbol") or None, request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        path, method = call.params["path"], call.params["method"]
        return _error(-5000, f"Path {path}, Method {method} is invalid", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429 with the seconds to wait; 418 for who did not heed it."""
    headers = {"Retry-After": str(max(1, ceil(refusal.wait_s)))}
    if refusal.banned:
        text = f"Way too many requests; IP banned for {headers['Retry-After']} s."
        return Reply({"code": -1003, "msg": text}, status=418, headers=headers)
    limit = refusal.limit
    text = f"Too many requests; current limit is {limit.weight} per {limit.window_s:.0f} s."
    return Reply({"code": -1003, "msg": text}, status=429, headers=headers)


def usage(used: Sequence[int]) -> dict[str, str]:
    """The weight of the last minute."""
    return {"X-MBX-USED-WEIGHT-1M": str(used[0])}


def _error(code: int, text: str, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": text}, status=status)


def _invalid_symbol() -> Reply:
    return _error(-1121, "Invalid symbol.")


def _markets(call: Call, moment: Moment) -> list[SandboxMarket] | None:
    """The perpetuals asked for, none for a quarterly; None when the symbol does not exist."""
    if call.market is None:
        return moment.dataset.known(NAME, moment.now_ms)
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    if market is not None:
        return [market]
    return [] if call.market in quarterly_symbols(NAME, moment) else None


def _funding_rate(call: Call, moment: Moment) -> Reply:
    try:
        start, end = parameter(call.params, "startTime"), parameter(call.params, "endTime")
        limit = parameter(call.params, "limit")
    except ValueError:
        return _error(-1102, "Parameter 'startTime', 'endTime' or 'limit' was malformed.")
    if limit is not None and not 1 <= limit <= PAGE_ROWS:
        return _error(-1130, "Data sent for parameter 'limit' is not valid.")
    if start is not None and end is not None and start > end:
        return _error(-1130, "Data sent for parameter 'startTime' is not valid.")
    markets = _markets(call, moment)
    if markets is None:
        return _invalid_symbol()
    if limit is None:
        limit = _RECENT_ROWS if start is None and end is None else _DEFAULT_ROWS
    limit = moment.page_limit(limit)
    end_ms = moment.now_ms if end is None else end
    found = (
        newest(markets, end_ms, moment.now_ms, limit)
        if start is None
        else oldest(markets, start, end_ms, moment.now_ms, limit)
    )
    rows = [_history_row(market, index) for _, _, index, market in found]
    return Reply(rows, rows=rows, rate_field="fundingRate", time_field="fundingTime")


def _history_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    time_ms = market.times[index]
    return {
        "symbol": market.symbol,
        "fundingTime": time_ms,
        "fundingRate": rate_text(market.rates[index]),
        "markPrice": f"{contract_price(market.base, time_ms // HOUR_MS):.8f}",
        "rateType": "Regular",
    }


def _premium_index(call: Call, moment: Moment) -> Reply:
    markets = _markets(call, moment)
    if markets is None:
        return _invalid_symbol()
    rows = [premium_row(market, moment.now_ms) for market in markets]
    asked = (call.market,) if call.market else quarterly_symbols(NAME, moment)
    rows += [quarterly_premium_row(s, moment.now_ms) for s in asked if s and "_" in s]
    reply = Reply(rows, rows=rows, rate_field="lastFundingRate", weight=1 if call.market else 10)
    if call.market:
        reply.payload = rows[0]
    return reply


def _ticker(call: Call, moment: Moment) -> Reply:
    markets = _markets(call, moment)
    if markets is None:
        return _invalid_symbol()
    rows = [ticker_row(market.symbol, market.base, moment.now_ms) for market in markets]
    asked = (call.market,) if call.market else quarterly_symbols(NAME, moment)
    rows += [ticker_row(s, s.split("USDT_")[0], moment.now_ms) for s in asked if s and "_" in s]
    weight = 1 if call.market else 40
    return Reply(rows[0] if call.market else rows, rows=rows, weight=weight)


def _open_interest(call: Call, moment: Moment) -> Reply:
    if call.market is None:
        return _error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null.")
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    if market is None:
        return _invalid_symbol()
    if market.is_delisted(moment.now_ms):
        return _error(-4108, "Symbol is on delivering or delivered or settling or closed.")
    return Reply(open_interest_row(market, moment.now_ms))


def _funding_info(_: Call, moment: Moment) -> Reply:
    markets = moment.dataset.listed(NAME, moment.now_ms)
    rows = [funding_info_row(market, moment.now_ms) for market in markets]
    return Reply(rows, rows=rows)


def _exchange_info(_: Call, moment: Moment) -> Reply:
    payload = exchange_info(NAME, moment)
    return Reply(payload, rows=payload["symbols"])


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "ping": lambda _, __: Reply({}),
    "time": lambda _, moment: Reply({"serverTime": moment.now_ms}),
    "exchangeInfo": _exchange_info,
    "fundingInfo": _funding_info,
    "fundingRate": _funding_rate,
    "premiumIndex": _premium_index,
    "ticker/24hr": _ticker,
    "openInterest": _open_interest,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(
        Limit(weight=2400, window_s=60, ban_after=10, ban_s=120),
        Limit(
            weight=500,
            window_s=300,
            endpoints=frozenset({"fundingRate", "fundingInfo"}),
            ban_after=10,
            ban_s=120,
        ),
    ),
    recorded_files=("binance",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    usage=usage,
)
