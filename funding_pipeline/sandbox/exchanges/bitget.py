"""Bitget's public endpoints for USDT and USDC perpetuals, as the sandbox answers them.

Facts this module rests on: everything is text, rates are fractions with six decimals, stamps are
exact ms. History comes newest first by page number, 20 rows unless asked for up to 100, and knows
no times. Running rates are also told of test symbols that are no instruments. Errors are
{code, msg, requestTime, data}; 20 requests per second.
"""

from math import ceil
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import numbered_page
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "bitget"
PAGE_ROWS = 100
_DEFAULT_ROWS = 20
_V2 = "/api/v2/mix/market/"
_V3 = "/api/v3/market/"
# Of the categories only these two hold anything here.
_QUOTES = {"USDT-FUTURES": "USDT", "USDC-FUTURES": "USDC"}
_EMPTY = {"COIN-FUTURES", "SUSDT-FUTURES", "SCOIN-FUTURES", "SUSDC-FUTURES"}
_TEST_SYMBOL = {
    "symbol": "BGTESTMEUSDT",
    "fundingRate": "0.0001",
    "fundingRateInterval": "8",
    "minFundingRate": None,
    "maxFundingRate": None,
    "cashDividend": "",
    "cashDividendNextUpdate": "null",
}


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin: BTCUSDT, BTCPERP (quoted in USDC)."""
    if symbol.endswith("PERP"):
        return symbol.removesuffix("PERP"), "USDC"
    return symbol.removesuffix("USDT"), "USDT"


def listings() -> list[Listing]:
    """The generated markets: USDT perpetuals with some shares, a few in USDC."""
    tether = catalogue(
        NAME,
        lambda base: f"{base}USDT",
        quote="USDT",
        count=230,
        thousands="",
        decimals=6,
        shares=len(names.SHARES),
    )
    circle = catalogue(NAME, lambda base: f"{base}PERP", quote="USDC", count=20, decimals=6)
    return [*tether[:20], *circle, *tether[20:]]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    if request.method != "GET" or request.path not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(request.path, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("40404", "Request URL NOT FOUND", moment.now_ms, status=404)
    name = "category" if call.endpoint.startswith(_V3) else "productType"
    category = (call.params.get(name) or "").upper()
    if category not in _QUOTES and category not in _EMPTY:
        return _error("400172", f"Parameter verification failed: {name}", moment.now_ms)
    return _ENDPOINTS[call.endpoint](call, _QUOTES.get(category), moment)


def refuse(refusal: Refusal) -> Reply:
    """429 in status and code."""
    reply = _error("429", "Too Many Requests", 0, status=429)
    reply.headers["Retry-After"] = str(ceil(refusal.wait_s))
    return reply


def _error(code: str, message: str, now_ms: int, status: int = 400) -> Reply:
    body = {"code": code, "msg": message, "requestTime": now_ms, "data": None}
    return Reply(body, status=status)


def _reply(
    rows: list[dict[str, Any]],
    moment: Moment,
    rate_field: str | None = None,
    time_field: str | None = None,
) -> Reply:
    body = {"code": "00000", "msg": "success", "requestTime": moment.now_ms, "data": rows}
    return Reply(body, rows=rows, rate_field=rate_field, time_field=time_field)


def _of(quote: str | None, call: Call, moment: Moment, *, gone: bool) -> list[SandboxMarket]:
    """The markets of a category, with or without those that are withdrawn."""
    dataset = moment.dataset
    found = (dataset.known if gone else dataset.listed)(NAME, moment.now_ms)
    return [m for m in found if m.quote == quote and call.market in (None, m.symbol)]


def _instruments(call: Call, quote: str | None, moment: Moment) -> Reply:
    found = _of(quote, call, moment, gone=True)
    return _reply([_instrument_row(market, moment) for market in found], moment)


def _instrument_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    share = market.base in names.SHARES
    metal = market.base in ("XAU", "XAG")
    return {
        "symbol": market.symbol,
        "category": f"{market.quote}-FUTURES",
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "symbolType": "metal" if metal else "stock" if share else "crypto",
        "isRwa": "YES" if share else "NO",
        "makerFeeRate": "0.0002",
        "takerFeeRate": "0.0006",
        "priceMultiplier": "0.1",
        "quantityMultiplier": "0.0001",
        "type": "perpetual",
        "status": "offline" if market.is_delisted(moment.now_ms) else "online",
        "offTime": "-1",
        "limitOpenTime": "-1",
        "deliveryTime": "",
        "deliveryStartTime": "",
        # The oldest contracts have none.
        "launchTime": "0" if market.number < 3 else str(market.launch_ms),
        "fundInterval": str(market.interval_hours_at(moment.now_ms)),
        "minLeverage": "1",
        "maxLeverage": "75",
    }


def _current_fund_rate(call: Call, quote: str | None, moment: Moment) -> Reply:
    now_ms = moment.now_ms
    rows: list[dict[str, Any]] = [
        {
            "symbol": market.symbol,
            "fundingRate": plain(market.running_rate(now_ms)),
            "fundingRateInterval": str(market.interval_hours_at(now_ms)),
            "nextUpdate": str(market.next_settlement_ms(now_ms)),
            "minFundingRate": plain(-market.rate_cap),
            "maxFundingRate": plain(market.rate_cap),
            "cashDividend": "",
            "cashDividendNextUpdate": "null",
        }
        for market in _of(quote, call, moment, gone=False)
    ]
    if quote == "USDT":
        rows.append({**_TEST_SYMBOL, "nextUpdate": str((now_ms // HOUR_MS + 1) * HOUR_MS)})
    return _reply(rows, moment, rate_field="fundingRate")


def _tickers(call: Call, quote: str | None, moment: Moment) -> Reply:
    found = _of(quote, call, moment, gone=False)
    return _reply([_ticker_row(market, moment) for market in found], moment)


def _ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    hour = moment.now_ms // HOUR_MS
    price, volume = contract_price(market.base, hour), day_volume_usd(market.base, hour)
    last = plain(round(price, 10))
    return {
        "category": f"{market.quote}-FUTURES",
        "symbol": market.symbol,
        "ts": str(moment.now_ms),
        "lastPrice": last,
        "ask1Price": last,
        "bid1Price": last,
        "volume24h": plain(round(volume / price, 2)),
        "turnover24h": plain(round(volume, 4)),
        "indexPrice": plain(round(price * 1.0002, 10)),
        "markPrice": last,
        "fundingRate": plain(market.running_rate(moment.now_ms)),
        "openInterest": plain(round(open_interest_usd(market.base, hour) / price, 4)),
        "deliveryStartTime": "",
        "deliveryTime": "",
        "deliveryStatus": "",
    }


def _contracts(call: Call, quote: str | None, moment: Moment) -> Reply:
    """The list of contracts in the older format."""
    rows = [
        {
            "symbol": market.symbol,
            "baseCoin": market.base,
            "quoteCoin": market.quote,
            "supportMarginCoins": [market.quote],
            "priceEndStep": "1",
            "volumePlace": "2",
            "pricePlace": "1",
            "sizeMultiplier": "0.01",
            "symbolType": "perpetual",
            "symbolStatus": "normal",
            "launchTime": "",
            "fundInterval": str(market.interval_hours_at(moment.now_ms)),
        }
        for market in _of(quote, call, moment, gone=False)
    ]
    return _reply(rows, moment)


def _history(call: Call, quote: str | None, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None or market.quote != quote:
        return _error("40034", f"Parameter {call.market} does not exist", moment.now_ms)
    try:
        size, number = parameter(call.params, "pageSize"), parameter(call.params, "pageNo")
    except ValueError:
        return _error("40017", "Parameter verification failed", moment.now_ms)
    wanted = min(max(size or _DEFAULT_ROWS, 1), PAGE_ROWS)
    rows = [
        {
            "symbol": market.symbol,
            "fundingRate": plain(market.rates[i]),
            "fundingTime": str(market.times[i]),
        }
        for i in numbered_page(market, max(number or 1, 1), wanted, moment)
    ]
    return _reply(rows, moment, rate_field="fundingRate", time_field="fundingTime")


_ENDPOINTS = {
    f"{_V3}instruments": _instruments,
    f"{_V3}current-fund-rate": _current_fund_rate,
    f"{_V3}tickers": _tickers,
    f"{_V2}contracts": _contracts,
    f"{_V2}history-fund-rate": _history,
}

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
