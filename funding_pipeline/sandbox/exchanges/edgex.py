"""edgeX V2's public endpoints, as the sandbox answers them.

Facts this module rests on: every answer is {code, data, msg, ...} with numbers as text; contracts
are named by ids from 30000001 on. History comes newest first, 100 rows at most, begin included and
end not, in ms, and `nextPageOffsetData` leads on until it is ""; without
filterSettlementFundingRate=true it tells every minute's forecast. Rates are fractions per 240
minutes with eight decimals. getLatestFundingRate takes ids with commas between them, and an unknown
or missing id has an empty list. V1 paths still answer, with empty lists. Limits are not published:
300 ms between requests.
"""

from collections.abc import Callable
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.edgex_rows import (
    SETTLED_DECIMALS,
    contract_id,
    funding_row,
    metadata,
    ticker_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.wire import (
    Call,
    Exchange,
    Moment,
    Reply,
    Request,
    Snapshots,
    parameter,
)

NAME = "edgex"
PAGE_ROWS = 100
_DEFAULT_ROWS = 10
_BASE_PATH = "/api/v2/public/"
_V1_PATH = "/api/v1/public/"
_MINUTE_MS = 60_000


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin; names of V1, which were recorded, are quoted in USD."""
    for quote in ("USDC", "USD"):
        if symbol.endswith(quote):
            return symbol.removesuffix(quote), quote
    return symbol, ""


def listings() -> list[Listing]:
    """The generated markets: tokens, cheap ones by the thousand, shares and metals; all of 4 h."""
    return catalogue(
        NAME,
        lambda base: f"{base}USDC",
        quote="USDC",
        count=140,
        hours=4,
        launch_ms=utc_ms(2024, 8, 1),
        rate_cap=0.004,
        shares=8,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method == "GET" and request.path.startswith(_V1_PATH):
        return Call("v1", None, {})
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("contractId"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("NOT_FOUND", "not found", moment, status=404)
    if call.endpoint == "v1":
        return _reply([], [], moment)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """429 without a hint when to come back."""
    return Reply(
        {"code": "RATE_LIMIT_EXCEEDED", "data": None, "msg": "rate limit exceeded"}, status=429
    )


def _envelope(code: str, data: Any, msg: str | None, moment: Moment) -> dict[str, Any]:
    return {
        "code": code,
        "data": data,
        "msg": msg,
        "errorParam": None,
        "requestTime": str(moment.now_ms),
        "responseTime": str(moment.now_ms + 9),
        "traceId": "00000000000000000000000000000000",
    }


def _error(code: str, msg: str, moment: Moment, status: int = 400) -> Reply:
    return Reply(_envelope(code, None, msg, moment), status=status)


def _reply(data: Any, rows: list[dict[str, Any]], moment: Moment, **fields: Any) -> Reply:
    return Reply(_envelope("SUCCESS", data, None, moment), rows=rows, **fields)


def _market(number: str | None, moment: Moment) -> SandboxMarket | None:
    known = moment.dataset.known(NAME, moment.now_ms)
    return next((m for m in known if contract_id(m) == number), None)


def _metadata(_: Call, moment: Moment) -> Reply:
    data = metadata(moment.dataset.known(NAME, moment.now_ms), moment.now_ms)
    return _reply(data, data["contractList"], moment)


def _latest(call: Call, moment: Moment) -> Reply:
    ids = set((call.market or "").split(","))
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_latest_row(m, moment.now_ms) for m in listed if contract_id(m) in ids]
    return _reply(rows, rows, moment, rate_field="forecastFundingRate")


def _latest_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """The settlement that holds, and the forecast of the next one."""
    _, following = market.settled(0, now_ms, now_ms)
    row = funding_row(market, max(following - 1, 0), now_ms // _MINUTE_MS * _MINUTE_MS)
    forecast = round(market.running_rate(now_ms), SETTLED_DECIMALS)
    return {**row, "isSettlement": False, "forecastFundingRate": f"{forecast:.8f}"}


def _ticker(call: Call, moment: Moment) -> Reply:
    market = _market(call.market, moment)
    rows = [] if market is None else [ticker_row(market, moment.now_ms)]
    return _reply(rows, rows, moment)


def _history(call: Call, moment: Moment) -> Reply:
    if not call.market:
        return _error("GATEWAY_PARAM_REQUIRED", "contractId is required", moment)
    try:
        begin = parameter(call.params, "filterBeginTimeInclusive") or 0
        end = parameter(call.params, "filterEndTimeExclusive") or moment.now_ms + 1
        size = parameter(call.params, "size") or _DEFAULT_ROWS
        # The cursor is opaque; here it is the stamp in hexadecimal digits.
        end = min(end, int(call.params.get("offsetData") or f"{end:X}", 16))
    except ValueError:
        return _error("INVALID_ARGUMENT", "invalid argument", moment)
    market, size = _market(call.market, moment), min(size, PAGE_ROWS)
    if market is None:
        return _page([], "", moment)
    if call.params.get("filterSettlementFundingRate") != "true":
        return _forecasts(market, begin, end, size, moment)
    chosen = newest_first(market, begin, end - 1, moment, size)
    rows = [funding_row(market, i, market.times[i]) for i in chosen]
    more = chosen and chosen[-1] > 0 and market.times[chosen[-1] - 1] >= begin
    return _page(rows, f"{market.times[chosen[-1]]:X}" if more else "", moment)


def _forecasts(market: SandboxMarket, begin: int, end: int, size: int, moment: Moment) -> Reply:
    """A row for every minute, all stamped with the settlement before it."""
    newest = min(end - 1, moment.now_ms) // _MINUTE_MS * _MINUTE_MS
    minutes = range(newest, max(begin, newest - size * _MINUTE_MS + 1) - 1, -_MINUTE_MS)
    rows = [{**_latest_row(market, ms), "fundingTimestamp": str(ms)} for ms in minutes]
    return _page(rows, f"{minutes[-1]:X}" if len(rows) == size else "", moment)


def _page(rows: list[dict[str, Any]], following: str, moment: Moment) -> Reply:
    data = {"dataList": rows, "nextPageOffsetData": following}
    return _reply(data, rows, moment, rate_field="fundingRate", time_field="fundingTime")


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "meta/getMetaData": _metadata,
    "funding/getLatestFundingRate": _latest,
    "funding/getFundingRatePage": _history,
    "quote/getTicker": _ticker,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=10, window_s=3),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    settled_rate=lambda market, index: round(market.rates[index], SETTLED_DECIMALS),
    snapshots=Snapshots(
        file="edgex_snapshot",
        settles_hours=4,
        scale=1,
        note="each settlement is the last recorded poll before it, of V1; what was polled is the "
        "rate settled last, which holds for four hours, so every rate comes one settlement late",
    ),
)
