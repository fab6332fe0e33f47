"""Bybit's public v5 market endpoints for linear perpetuals, as the sandbox answers them.

Facts this module rests on: rates are fractions per the market's funding interval, stamps are exact;
history comes newest first, both ends included, at most 200 rows, and a start without an end is
refused; errors come with status 200 and a `retCode`. Instruments are paged by an opaque cursor.
600 requests per 5 s and address, then 403 for ten minutes.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.exchanges.bybit_rows import instrument_row, status_of, ticker_row
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.schedules import DELISTED_MS, mixed_eras
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "bybit"
PAGE_ROWS = 200
INSTRUMENTS_PAGE = 1000
_DEFAULT_INSTRUMENTS_PAGE = 500
_PARAMS_ERROR = 10001
_CATEGORIES = ("linear", "inverse", "spot", "option")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin; what ends in PERP is quoted in USDC."""
    for suffix, quote_coin in (("USDT", "USDT"), ("PERP", "USDC")):
        if symbol.endswith(suffix):
            return symbol.removesuffix(suffix), quote_coin
    return symbol, "USDT"


def listings() -> list[Listing]:
    """The generated markets: USDT perpetuals with a few USDC ones among them."""
    usdt = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS)]
    usdc = [
        Listing(f"{asset}PERP", asset, "USDC", asset, ((utc_ms(2022, 9, 1), 8),), 0.02, 8)
        for asset in ("BTC", "ETH", "SOL", "XRP", "DOGE")
    ]
    return usdt[:20] + usdc[:1] + usdt[20:] + usdc[1:]


def _listing(asset: str, rank: int) -> Listing:
    base = asset
    if asset == "SHIB":
        base = "SHIB1000"
    elif asset in names.THOUSANDS:
        base = f"1000{asset}"
    eras = mixed_eras(NAME, rank)
    cap = 0.005 if rank < 10 else 0.02
    delisted = DELISTED_MS if asset in names.DELISTED else None
    return Listing(f"{base}USDT", base, "USDT", asset, eras, cap, 8, delisted_ms=delisted)


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which symbol."""
    endpoint = request.path.removeprefix("/v5/market/")
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("404 page not found", status=404, media_type="text/plain")
    if call.endpoint != "time" and call.params.get("category") not in _CATEGORIES:
        return _error(moment, "Illegal category")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """What an address gets that asks too often."""
    return Reply("403, access too frequent", status=403, media_type="text/plain; charset=utf-8")


def _envelope(moment: Moment, result: Mapping[str, Any], code: int = 0, text: str = "OK") -> Any:
    return {
        "retCode": code,
        "retMsg": text,
        "result": result,
        "retExtInfo": {},
        "time": moment.now_ms,
    }


def _error(moment: Moment, text: str) -> Reply:
    return Reply(_envelope(moment, {}, _PARAMS_ERROR, text))


def _listed(moment: Moment, rows: list[dict[str, Any]], call: Call, **more: Any) -> Reply:
    result = {"category": call.params["category"], "list": rows, **more}
    return Reply(_envelope(moment, result), rows=rows)


def _time(_: Call, moment: Moment) -> Reply:
    seconds = moment.now_ms // 1000
    result = {"timeSecond": str(seconds), "timeNano": f"{moment.now_ms}000000"}
    return Reply(_envelope(moment, result))


def _funding_history(call: Call, moment: Moment) -> Reply:
    if call.params["category"] != "linear":
        return _listed(moment, [], call)
    try:
        start, end = parameter(call.params, "startTime"), parameter(call.params, "endTime")
        limit = parameter(call.params, "limit")
    except ValueError:
        return _error(moment, "params error: time or limit is not a number")
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error(moment, "params error: symbol invalid")
    if start is not None and (end is None or start > end):
        return _error(moment, "Time is invalid")
    end_ms = moment.now_ms if end is None else end
    low, high = market.settled(start or 0, end_ms, moment.now_ms)
    wanted = PAGE_ROWS if limit is None else min(max(limit, 1), PAGE_ROWS)
    low = max(low, high - moment.page_limit(wanted))
    rows: list[dict[str, Any]] = [
        {
            "symbol": market.symbol,
            "fundingRate": plain(rate),
            "fundingRateTimestamp": str(time),
        }
        for time, rate in zip(market.times[low:high], market.rates[low:high], strict=True)
    ]
    rows.reverse()
    reply = _listed(moment, rows, call)
    reply.rate_field, reply.time_field = "fundingRate", "fundingRateTimestamp"
    return reply


def _selected(call: Call, moment: Moment) -> list[SandboxMarket] | None:
    """The linear markets asked for; None when the symbol does not exist."""
    if call.params["category"] != "linear":
        return []
    if call.market:
        market = moment.dataset.market(NAME, call.market, moment.now_ms)
        return None if market is None else [market]
    return moment.dataset.known(NAME, moment.now_ms)


def _instruments(call: Call, moment: Moment) -> Reply:
    markets = _selected(call, moment)
    if markets is None:
        return _error(moment, "params error: symbol invalid")
    status = call.params.get("status") or "Trading"
    markets = [m for m in markets if status_of(m, moment.now_ms) == status]
    if base := call.params.get("baseCoin"):
        markets = [m for m in markets if m.base == base]
    try:
        limit = parameter(call.params, "limit") or _DEFAULT_INSTRUMENTS_PAGE
    except ValueError:
        return _error(moment, "params error: limit is not a number")
    start = _after_cursor(call.params.get("cursor") or "", markets)
    if start is None:
        return _error(moment, "params error: cursor invalid")
    limit = moment.page_limit(min(max(limit, 1), INSTRUMENTS_PAGE))
    page = markets[start : start + limit]
    cursor = ""
    if start + limit < len(markets):
        cursor = quote(f"first={page[0].symbol}&last={page[-1].symbol}", safe="")
    rows = [instrument_row(m, moment.now_ms) for m in page]
    return _listed(moment, rows, call, nextPageCursor=cursor)


def _after_cursor(cursor: str, markets: list[SandboxMarket]) -> int | None:
    if not cursor:
        return 0
    last = parse_qs(unquote(cursor)).get("last", [""])[0]
    symbols = [market.symbol for market in markets]
    return symbols.index(last) + 1 if last in symbols else None


def _tickers(call: Call, moment: Moment) -> Reply:
    markets = _selected(call, moment)
    if markets is None:
        return _error(moment, "params error: symbol invalid")
    rows = [ticker_row(m, moment.now_ms) for m in markets if not m.is_delisted(moment.now_ms)]
    reply = _listed(moment, rows, call)
    reply.rate_field = "fundingRate"
    return reply


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "time": _time,
    "instruments-info": _instruments,
    "tickers": _tickers,
    "funding/history": _funding_history,
}

EXCHANGE = Exchange(
    name=NAME,
    # The exchange lifts its ban by itself after ten minutes.
    limits=(Limit(weight=600, window_s=5, penalty_s=600),),
    recorded_files=("bybit",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
