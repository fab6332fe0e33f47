"""Crypto.com's public endpoints, as the sandbox answers them.

Facts this module rests on (documentation samples, no recordings): every market settles hourly,
rates are text of nine decimals, stamps the whole hour in ms; valuations come newest first, both
ends included, 25 rows unless a count is asked for; without a start the last 30 days. Instruments
hold spot pairs and dated futures too. 100 requests per second, errors as {code, message}.
"""

from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.names import SHARES
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "cryptocom"
PAGE_ROWS = 500
_DEFAULT_ROWS = 25
_BASE_PATH = "/exchange/v1/public/"
_METALS = ("XAU", "XAG")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    return symbol.removesuffix("USD-PERP"), "USD"


def listings() -> list[Listing]:
    """The generated markets: tokens by their plain names, shares, metals, all hourly."""
    return catalogue(
        NAME,
        lambda base: f"{base}USD-PERP",
        quote="USD",
        count=240,
        hours=1,
        thousands="",
        decimals=9,
        shares=8,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which instrument."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {"path": request.path})
    return Call(endpoint, request.query.get("instrument_name"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        body = {"status": 404, "error": "Not Found", "path": call.params["path"]}
        return Reply(body, status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """429 without a word on when to come back."""
    return _error(42901, "TOO_MANY_REQUESTS", status=429)


def _error(code: int, message: str, status: int = 400) -> Reply:
    return Reply({"code": code, "message": message}, status=status)


def _ok(endpoint: str, result: dict[str, Any]) -> dict[str, Any]:
    return {"id": -1, "method": f"public/{endpoint}", "code": 0, "result": result}


def _instruments(call: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_perpetual_row(market, moment) for market in known]
    rows += [_row(f"{base}_USD", "CCY_PAIR", base, "Spot") for base in ("BTC", "ETH", "CRO")]
    dated = _row("BTCUSD-261225", "FUTURE", "BTC", "Futures")
    rows.append({**dated, "expiry_timestamp_ms": 1_798_185_600_000})
    return Reply(_ok(call.endpoint, {"data": rows}), rows=rows)


def _perpetual_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    kind = "DIGITAL_CURRENCIES"
    if market.base in SHARES:
        kind = "COMMODITIES" if market.base in _METALS else "EQUITY"
    return {
        **_row(market.symbol, "PERPETUAL_SWAP", market.base, "Perpetual"),
        "tradable": not market.is_delisted(moment.now_ms),
        "underlying_symbol": f"{market.base}USD-INDEX",
        "contract_size": "1",
        "product_type": kind,
    }


def _row(symbol: str, kind: str, base: str, word: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "inst_type": kind,
        "display_name": f"{base}USD {word}",
        "base_ccy": base,
        "quote_ccy": "USD",
        "quote_decimals": 2,
        "quantity_decimals": 4,
        "price_tick_size": "0.1",
        "qty_tick_size": "0.0001",
        "max_leverage": "50",
        "tradable": True,
        "expiry_timestamp_ms": 0,
        "beta_product": False,
        "margin_buy_enabled": False,
        "margin_sell_enabled": False,
    }


def _tickers(call: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_ticker_row(m, moment) for m in listed if call.market in (None, m.symbol)]
    if not rows:
        return _error(40004, "Invalid instrument_name")
    return Reply(_ok(call.endpoint, {"data": rows}), rows=rows)


def _ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    hour = moment.now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    volume = day_volume_usd(market.base, hour)
    return {
        "i": market.symbol,
        "h": plain(price),
        "l": plain(price),
        "a": plain(price),
        "v": plain(volume / price),
        "vv": plain(volume),
        "c": "0.001",
        "b": plain(price),
        "k": plain(price),
        "oi": plain(open_interest_usd(market.base, hour) / price),
        "t": moment.now_ms,
    }


def _valuations(call: Call, moment: Moment) -> Reply:
    if not call.market:
        return _error(40004, "Missing instrument_name param")
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    if market is None:
        return _error(40004, "Invalid instrument_name")
    if call.params.get("valuation_type") != "funding_hist":
        return _error(40004, "Invalid valuation_type")
    try:
        start, end = parameter(call.params, "start_ts"), parameter(call.params, "end_ts")
        count = min(parameter(call.params, "count") or _DEFAULT_ROWS, PAGE_ROWS)
    except ValueError:
        return _error(40004, "Invalid request")
    end = moment.now_ms if end is None else end
    start = moment.now_ms - 30 * DAY_MS if start is None else start
    rows: list[dict[str, Any]] = [
        {"v": plain(market.rates[i]), "t": market.times[i]}
        for i in newest_first(market, start, end, moment, count)
    ]
    result = {"data": rows, "instrument_name": market.symbol}
    return Reply(_ok(call.endpoint, result), rows=rows, rate_field="v", time_field="t")


_ENDPOINTS = {
    "get-instruments": _instruments,
    "get-tickers": _tickers,
    "get-valuations": _valuations,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=100, window_s=1),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
