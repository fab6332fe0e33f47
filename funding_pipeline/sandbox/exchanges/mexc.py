"""MEXC's public contract endpoints, as the sandbox answers them.

Facts this module rests on: rates are JSON numbers with six decimals, fractions per `collectCycle`
hours, which each settled row tells; stamps are exact ms. History comes newest first by page number,
20 rows unless asked for up to 100. Withdrawn contracts stay in the list under another state, and in
tickers and running rates too. Positions are counted in contracts, of coin-margined ones in dollars.
20 requests per 2 s; the refusal is an error code in an answer of status 200.
"""

from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import numbered_page
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "mexc"
PAGE_ROWS = 100
_DEFAULT_ROWS = 20
_BASE_PATH = "/api/v1/contract/"
_SPOT_LIST = "/api/v3/exchangeInfo"
_SIZES = {"BTC": 0.0001, "ETH": 0.01}
_COIN_MARGINED_SIZE = 100  # dollars


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin: BTC_USDT; recorded markets are called BTC-USDT."""
    base, _, quote = symbol.replace("-", "_").rpartition("_")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: USDT perpetuals with some shares, a few coin-margined ones."""
    linear = catalogue(
        NAME,
        lambda base: f"{base}_USDT",
        quote="USDT",
        count=240,
        thousands="",
        decimals=6,
        shares=len(names.SHARES),
    )
    coin_margined = catalogue(NAME, lambda base: f"{base}_USD", quote="USD", count=3, decimals=6)
    return [*linear[:10], *coin_margined, *linear[10:]]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract, in the path or as a parameter."""
    if request.path == _SPOT_LIST:
        return Call("exchangeInfo", None, {})
    endpoint = request.path.removeprefix(_BASE_PATH)
    market = request.query.get("symbol")
    if endpoint.startswith("funding_rate/") and endpoint != "funding_rate/history":
        endpoint, _, market = endpoint.partition("/")
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, market, request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "exchangeInfo":
        return Reply({"symbols": []})
    if call.endpoint == "unknown path":
        return _error(404, "Not Found", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """An answer like any other, but for its code."""
    return _error(510, "Requests are too frequent, please try again later!")


def _error(code: int, message: str, status: int = 200) -> Reply:
    return Reply({"success": False, "code": code, "message": message}, status=status)


def _good(
    data: Any,
    rows: list[dict[str, Any]],
    rate_field: str | None = None,
    time_field: str | None = None,
) -> Reply:
    body = {"success": True, "code": 0, "data": data}
    return Reply(body, rows=rows, rate_field=rate_field, time_field=time_field)


def _known(call: Call, moment: Moment) -> list[SandboxMarket]:
    known = moment.dataset.known(NAME, moment.now_ms)
    return [m for m in known if call.market in (None, m.symbol)]


def _is_coin_margined(market: SandboxMarket) -> bool:
    return market.quote == "USD"


def _size(market: SandboxMarket) -> float:
    """Dollars of coin-margined contracts, else base units."""
    return _COIN_MARGINED_SIZE if _is_coin_margined(market) else _SIZES.get(market.base, 1)


def _detail(call: Call, moment: Moment) -> Reply:
    rows = [_detail_row(market, moment.now_ms) for market in _known(call, moment)]
    return _good(rows, rows)


def _detail_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    gone = market.is_delisted(now_ms)
    return {
        "symbol": market.symbol,
        "displayName": f"{market.symbol} PERPETUAL",
        "displayNameEn": f"{market.symbol} PERPETUAL",
        "positionOpenType": 3,
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "settleCoin": market.base if _is_coin_margined(market) else market.quote,
        "contractSize": _size(market),
        "minLeverage": 1,
        "maxLeverage": 125,
        "priceScale": 2,
        "volScale": 0,
        "amountScale": 4,
        "priceUnit": 0.5,
        "volUnit": 1,
        "minVol": 1,
        "maxVol": 1_000_000,
        "takerFeeRate": 0.0006,
        "makerFeeRate": 0.0002,
        "maintenanceMarginRate": 0.004,
        "initialMarginRate": 0.008,
        "indexOrigin": ["BINANCE", "MEXC"],
        # 0 trades, 1 to 4 are steps of its end.
        "state": 3 if gone else 0,
        "isNew": False,
        "isHot": False,
        "isHidden": gone,
        "apiAllowed": True,
        "createTime": market.launch_ms,
        "futureType": 1,
    }


def _funding_rate(call: Call, moment: Moment) -> Reply:
    rows = [_rate_row(market, moment.now_ms) for market in _known(call, moment)]
    if call.market is not None and not rows:
        return _no_contract()
    return _good(rows[0] if call.market else rows, rows, rate_field="fundingRate")


def _no_contract() -> Reply:
    return _error(1001, "Contract does not exist!")


def _rate_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    price = contract_price(market.base, now_ms // HOUR_MS)
    return {
        "symbol": market.symbol,
        "fundingRate": market.running_rate(now_ms),
        "maxFundingRate": market.rate_cap,
        "minFundingRate": -market.rate_cap,
        "collectCycle": market.interval_hours_at(now_ms),
        "nextSettleTime": market.next_settlement_ms(now_ms),
        "timestamp": now_ms,
        "idxPrice": round(price * 1.0002, 10),
        "fairPrice": round(price, 10),
    }


def _ticker(call: Call, moment: Moment) -> Reply:
    rows = [_ticker_row(market, moment.now_ms) for market in _known(call, moment)]
    return _good(rows, rows)


def _ticker_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    gone = market.is_delisted(now_ms)
    price = contract_price(market.base, hour)
    volume = 0.0 if gone else day_volume_usd(market.base, hour)
    value = 0.0 if gone else open_interest_usd(market.base, hour)
    worth = _size(market) * (1 if _is_coin_margined(market) else price)
    return {
        "symbol": market.symbol,
        "lastPrice": 0 if gone else round(price, 10),
        "fundingRate": market.running_rate(now_ms),
        "fairPrice": round(price, 10),
        "indexPrice": round(price * 1.0002, 10),
        "holdVol": int(value / worth),
        "volume24": int(volume / worth),
        "amount24": round(volume / price if _is_coin_margined(market) else volume, 4),
        "timestamp": now_ms,
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _no_contract()
    try:
        size, number = parameter(call.params, "page_size"), parameter(call.params, "page_num")
    except ValueError:
        return _error(600, "Parameter error!")
    size = moment.page_limit(min(max(size or _DEFAULT_ROWS, 1), PAGE_ROWS))
    number = max(number or 1, 1)
    _, count = market.settled(0, moment.now_ms, moment.now_ms)
    rows: list[dict[str, Any]] = [
        {
            "symbol": market.symbol,
            "fundingRate": market.rates[i],
            "settleTime": market.times[i],
            "collectCycle": market.interval_hours_at(market.times[i] - 1),
        }
        for i in numbered_page(market, number, size, moment)
    ]
    data = {
        "pageSize": size,
        "totalCount": count,
        "totalPage": -(-count // size),
        "currentPage": number,
        "resultList": rows,
    }
    return _good(data, rows, rate_field="fundingRate", time_field="settleTime")


_ENDPOINTS = {
    "detail": _detail,
    "ticker": _ticker,
    "funding_rate": _funding_rate,
    "funding_rate/history": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=20, window_s=2),),
    recorded_files=("mexc",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
