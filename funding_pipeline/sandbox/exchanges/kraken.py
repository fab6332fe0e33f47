"""Kraken Futures' public endpoints, as the sandbox answers them.

Facts this module rests on: history is one answer with the last year of whole hours, oldest first,
with the relative rate (fraction per hour) and the absolute one: USD per unit of base on linear
contracts, base per USD on inverse ones. Bitcoin is XBT in symbols. Tickers hold absolute rates:
that of the hour now and the prediction of the next; indices stand among them. Errors are answers
with result "error": a word under `error` (v3) or a list under `errors` (v4). Public limits are not
published; the strictest reading is one request per 600 ms.
"""

from datetime import UTC, datetime
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.names import SHARES
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request

NAME = "kraken"
_BASE_PATH = "/derivatives/api/"
_RETENTION_MS = 366 * DAY_MS
_INVERSE = ("BTC", "ETH", "LTC", "BCH", "XRP")
_INVERSE_SINCE_MS = utc_ms(2022, 3, 22)
_DATED = ("FF_XBTUSD_261225", "FI_XBTUSD_261225")


def _coin(asset: str) -> str:
    return "XBT" if asset == "BTC" else asset


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin of a perpetual."""
    base = symbol[3:].removesuffix("USD")
    return "BTC" if base == "XBT" else base, "USD"


def listings() -> list[Listing]:
    """The generated markets: linear tokens and shares, behind them the old inverse ones."""
    linear = catalogue(
        NAME,
        lambda base: f"PF_{_coin(base)}USD",
        quote="USD",
        count=200,
        hours=1,
        thousands="",
        decimals=15,
        rate_cap=0.005,
        shares=4,
    )
    eras = ((_INVERSE_SINCE_MS, 1),)
    inverse = [
        Listing(f"PI_{_coin(asset)}USD", asset, "USD", asset, eras, 0.005, 15) for asset in _INVERSE
    ]
    return linear[:20] + inverse + linear[20:]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    version, _, endpoint = request.path.removeprefix(_BASE_PATH).partition("/")
    if request.method != "GET" or _VERSIONS.get(endpoint) != version:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _errors("NOT_FOUND", 0, "404 NOT_FOUND", moment.now_ms, status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """The word that the exchange has for it, with 429."""
    return Reply({"result": "error", "error": "apiLimitExceeded"}, status=429)


def _iso(time_ms: int, timespec: str = "seconds") -> str:
    time = datetime.fromtimestamp(time_ms / 1000, tz=UTC)
    return time.isoformat(timespec=timespec).replace("+00:00", "Z")


def _errors(status_text: str, code: int, message: str, now_ms: int, status: int = 400) -> Reply:
    payload = {
        "status": status_text,
        "result": "error",
        "errors": [{"code": code, "message": message}],
        "serverTime": _iso(now_ms, "milliseconds"),
    }
    return Reply(payload, status=status)


def _good(moment: Moment, **fields: Any) -> dict[str, Any]:
    return {"result": "success", "serverTime": _iso(moment.now_ms, "milliseconds"), **fields}


def _is_linear(market: SandboxMarket) -> bool:
    return market.symbol.startswith("PF_")


def _price(market: SandboxMarket, time_ms: int) -> float:
    return contract_price(market.base, time_ms // HOUR_MS)


def _absolute(market: SandboxMarket, rate: float, time_ms: int) -> float:
    price = _price(market, time_ms)
    return rate * price if _is_linear(market) else rate / price


def _instruments(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_instrument_row(market, moment) for market in known]
    if rows:
        rows += [_dated_row(rows[0], symbol) for symbol in _DATED]
        rows.append({"symbol": "in_xbtusd", "type": "spot index", "tradeable": False})
    return Reply(_good(moment, instruments=rows), rows=rows)


def _instrument_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    linear = _is_linear(market)
    return {
        "symbol": market.symbol,
        "pair": f"{market.base}:USD",
        "base": _coin(market.base),
        "quote": "USD",
        "type": "flexible_futures" if linear else "futures_inverse",
        "tickSize": 0.5,
        "contractSize": 1,
        "tradeable": not market.is_delisted(moment.now_ms),
        "impactMidSize": 1,
        "maxPositionSize": 1_000_000,
        "openingDate": _iso(market.launch_ms),
        "fundingRateCoefficient": 8,
        "maxRelativeFundingRate": market.rate_cap,
        "contractValueTradePrecision": 4 if linear else 0,
        "postOnly": False,
        "category": "",
        "tags": [],
        "tradfi": market.base in SHARES,
        "mtf": True,
    }


def _dated_row(perpetual: dict[str, Any], symbol: str) -> dict[str, Any]:
    row = perpetual | {"symbol": symbol, "lastTradingTime": "2026-12-25T08:00:00Z"}
    row["type"] = "flexible_futures" if symbol.startswith("FF_") else "futures_inverse"
    del row["fundingRateCoefficient"], row["maxRelativeFundingRate"]
    return row


def _tickers(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_ticker_row(market, moment.now_ms) for market in listed]
    if rows:
        kept = ("pair", "markPrice", "vol24h", "openInterest", "indexPrice", "suspended")
        dated = {key: rows[0][key] for key in kept}
        rows += [{"symbol": symbol, "tag": "quarter", **dated} for symbol in _DATED]
        last = {"last": rows[0]["last"], "lastTime": _iso(moment.now_ms, "milliseconds")}
        rows.append({"symbol": "in_xbtusd", **last})
    payload = _good(moment, tickers=rows)
    return Reply(payload, rows=rows, rate_field="fundingRatePrediction")


def _ticker_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    price = _price(market, now_ms)
    volume, interest = day_volume_usd(market.base, hour), open_interest_usd(market.base, hour)
    low, high = market.settled(0, now_ms, now_ms)
    newest = market.rates[high - 1] if high > low else 0.0
    unit = price if _is_linear(market) else 1.0
    return {
        "tag": "perpetual",
        "pair": f"{market.base}:USD",
        "symbol": market.symbol,
        "markPrice": price,
        "bid": price * 0.9999,
        "bidSize": 1.5,
        "ask": price * 1.0001,
        "askSize": 1.5,
        "vol24h": volume / unit,
        "volumeQuote": volume if _is_linear(market) else volume / price,
        "openInterest": interest / unit,
        "open24h": _price(market, now_ms - DAY_MS),
        "indexPrice": price * 1.0002,
        "last": price,
        "lastTime": _iso(now_ms, "milliseconds"),
        "lastSize": 1,
        "suspended": False,
        "fundingRate": _absolute(market, newest, now_ms),
        "fundingRatePrediction": _absolute(market, market.running_rate(now_ms), now_ms),
        "postOnly": False,
        "change24h": 0.5,
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _errors("BAD_REQUEST", 11, "Argument invalid: symbol", moment.now_ms)
    low, high = market.settled(moment.now_ms - _RETENTION_MS, moment.now_ms, moment.now_ms)
    rows: list[dict[str, Any]] = [
        {
            "timestamp": _iso(market.times[i]),
            "fundingRate": _absolute(market, market.rates[i], market.times[i]),
            "relativeFundingRate": market.rates[i],
        }
        for i in range(low, high)
    ]
    return Reply(
        _good(moment, rates=rows),
        rows=rows,
        rate_field="relativeFundingRate",
        time_field="timestamp",
    )


_VERSIONS = {"instruments": "v3", "tickers": "v3", "historicalfundingrates": "v4"}
_ENDPOINTS = {
    "instruments": _instruments,
    "tickers": _tickers,
    "historicalfundingrates": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=5, window_s=3),),
    recorded_files=("kraken",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
