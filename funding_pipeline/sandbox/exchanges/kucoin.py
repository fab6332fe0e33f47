"""KuCoin's public futures endpoints, as the sandbox answers them.

Facts this module rests on: rates are JSON numbers, fractions per interval with six decimals, stamps
are exact ms. History comes newest first, both ends included, 100 rows; an empty window is null.
Bitcoin is XBT; perpetuals are of type FFWCSX, dated futures of another without rates. Positions are
counted in lots of `multiplier` base units, of inverse contracts in dollars. 2000 weights per 30 s.
"""

from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "kucoin"
PAGE_ROWS = 100
_BASE_PATH = "/api/v1/"
_HISTORY_WEIGHT = 5
_LIST_WEIGHT = 3
_LOTS = {"BTC": 0.001, "ETH": 0.01, "DOGE": 100}
# The interval is told in the older field alone.
_NO_CURRENT_GRANULARITY = {"DOGEUSDTM"}


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin: XBTUSDTM, XBTUSDM; recorded markets are called BTC-USDT."""
    if "-" in symbol:
        base, _, quote = symbol.partition("-")
        return base, quote
    quote = "USDT" if symbol.endswith("USDTM") else "USD"
    base = symbol.removesuffix(f"{quote}M")
    return ("BTC" if base == "XBT" else base), quote


def listings() -> list[Listing]:
    """The generated markets: USDT perpetuals with some shares and metals, a few inverse ones."""
    linear = catalogue(
        NAME,
        lambda base: f"{_told(base)}USDTM",
        quote="USDT",
        count=220,
        thousands="",
        decimals=6,
        shares=len(names.SHARES),
    )
    inverse = catalogue(
        NAME, lambda base: f"{_told(base)}USDM", quote="USD", count=4, thousands="", decimals=6
    )
    return [*linear[:10], *inverse, *linear[10:]]


def _told(base: str) -> str:
    return "XBT" if base == "BTC" else base


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("404", "Not Found", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429 with a code of its own and the milliseconds until the window's end."""
    reply = _error("429000", "Too many requests", status=429)
    reply.headers["gw-ratelimit-limit"] = str(refusal.limit.weight)
    reply.headers["gw-ratelimit-remaining"] = "0"
    reply.headers["gw-ratelimit-reset"] = str(round(refusal.wait_s * 1000))
    return reply


def _error(code: str, message: str, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": message}, status=status)


def _contracts(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_contract_row(market, moment.now_ms) for market in listed]
    return Reply(
        {"code": "200000", "data": [*rows, _dated_future(moment.now_ms)]},
        rows=rows,
        rate_field="fundingFeeRate",
        weight=_LIST_WEIGHT,
    )


def _contract_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    price, volume = contract_price(market.base, hour), day_volume_usd(market.base, hour)
    value = open_interest_usd(market.base, hour)
    inverse = market.quote == "USD"
    lot = -1 if inverse else _LOTS.get(market.base, 1)
    upcoming = market.next_settlement_ms(now_ms)
    granularity = market.interval_hours_at(now_ms) * HOUR_MS
    current = None if market.symbol in _NO_CURRENT_GRANULARITY else granularity
    _, settled = market.settled(0, now_ms, now_ms)
    return {
        "symbol": market.symbol,
        "displaySymbol": market.symbol,
        "rootSymbol": _told(market.base) if inverse else market.quote,
        "type": "FFWCSX",
        "firstOpenDate": market.launch_ms,
        "expireDate": None,
        "settleDate": None,
        "baseCurrency": _told(market.base),
        "quoteCurrency": market.quote,
        "settleCurrency": _told(market.base) if inverse else market.quote,
        "lotSize": 1,
        "tickSize": 0.00001,
        "multiplier": lot,
        "isQuanto": market.base in _LOTS,
        "isInverse": inverse,
        "fundingRateSymbol": f".{market.symbol}FPI8H",
        "status": "Open",
        "fundingFeeRate": market.running_rate(now_ms),
        "predictedFundingFeeRate": None,
        "dailyInterestRate": 0.0003,
        "fundingRateGranularity": granularity,
        "fundingRateCap": market.rate_cap,
        "fundingRateFloor": -market.rate_cap,
        "period": 1,
        "effectiveFundingRateCycleStartTime": None if current is None else market.launch_ms,
        "currentFundingRateGranularity": current,
        "openInterest": str(int(value if inverse else value / price / lot)),
        "turnoverOf24h": round(volume / price if inverse else volume, 4),
        "volumeOf24h": round(volume if inverse else volume / price, 2),
        "markPrice": round(price, 10),
        "indexPrice": round(price * 1.0002, 10),
        "lastTradePrice": round(price, 10),
        "nextFundingRateTime": upcoming - now_ms,
        "nextFundingRateDateTime": upcoming,
        "maxLeverage": 75,
        "marketStage": "NORMAL",
        "marketType": "CRYPTO",
        "assetClass": _asset_class(market.base),
        "lastTimeFundingRate": market.rates[settled - 1] if settled else None,
    }


def _asset_class(base: str) -> str:
    if base in ("XAU", "XAG", "PAXG"):
        return "METAL"
    return "STOCK" if base in names.SHARES else "CRYPTO"


def _dated_future(now_ms: int) -> dict[str, Any]:
    """Listed beside the perpetuals, without anything about funding."""
    hour = now_ms // HOUR_MS
    return {
        "symbol": "XBTMU28",
        "rootSymbol": "XBT",
        "type": "FFICSX",
        "firstOpenDate": now_ms - 720 * HOUR_MS,
        "expireDate": now_ms + 720 * HOUR_MS,
        "baseCurrency": "XBT",
        "quoteCurrency": "USD",
        "settleCurrency": "XBT",
        "multiplier": -1,
        "isInverse": True,
        "status": "Open",
        "fundingFeeRate": None,
        "fundingRateGranularity": None,
        "currentFundingRateGranularity": None,
        "openInterest": "240301",
        "turnoverOf24h": 16.01448521,
        "markPrice": contract_price("BTC", hour),
        "indexPrice": contract_price("BTC", hour),
        "nextFundingRateTime": None,
        "nextFundingRateDateTime": None,
        "lastTimeFundingRate": None,
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    try:
        start, end = parameter(call.params, "from"), parameter(call.params, "to")
    except ValueError:
        start = end = None
    if market is None or start is None or end is None:
        return _error("100001", "Parameter error")
    rows: list[dict[str, Any]] = [
        {
            "symbol": market.symbol,
            "fundingRate": market.rates[i],
            "timepoint": market.times[i],
        }
        for i in newest_first(market, start, end, moment, PAGE_ROWS)
    ]
    return Reply(
        {"code": "200000", "data": rows or None},
        rows=rows,
        rate_field="fundingRate",
        time_field="timepoint",
        weight=_HISTORY_WEIGHT,
    )


_ENDPOINTS = {"contracts/active": _contracts, "contract/funding-rates": _history}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=2000, window_s=30),),
    recorded_files=("kucoin",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
