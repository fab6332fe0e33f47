"""Extended's public info endpoints, as the sandbox answers them.

Facts this module rests on: rates are hourly fractions of six decimals, stamps up to 1.7 s late;
history comes newest first, both ends required and included, at most 1000 rows, and goes on by a
cursor. The list of markets holds shares with their session in the name, spot, and markets that are
not listed yet or any more. Open interest is in USD. 1000 requests a minute, errors as
{status, error}. The real one refuses requests without a User-Agent; headers are not seen here.
"""

from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "extended"
PAGE_ROWS = 1000
_BASE_PATH = "/api/v1/info/"
_START_MS = utc_ms(2024, 8, 1)
_METALS = ("XAU", "XAG")
_SHARES = ("NVDA", "TSLA", "AAPL", "COIN", "HOOD", "PLTR")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base coin, without its session, and quote coin."""
    base, _, quote = symbol.rpartition("-")
    return base.removesuffix("_24_5"), quote


def listings() -> list[Listing]:
    """The generated markets: all settle every hour."""
    return catalogue(
        NAME,
        lambda base: f"{base}_24_5-USD" if base in _SHARES else f"{base}-USD",
        quote="USD",
        count=220,
        hours=1,
        launch_ms=_START_MS,
        decimals=6,
        rate_cap=0.01,
        jitter_ms=1700,
        shares=len(_SHARES + _METALS),
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for; the market of a history stands in the path."""
    inside = request.path.removeprefix(_BASE_PATH)
    if request.method == "GET" and inside == "markets":
        return Call("info/markets", None, request.query)
    if request.method == "GET" and inside.endswith("/funding") and inside != request.path:
        return Call("info/funding", inside.removesuffix("/funding"), request.query)
    return Call("unknown path", None, {})


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    match call.endpoint:
        case "info/markets":
            return _markets(moment)
        case "info/funding":
            return _history(call, moment)
    return _error(404, "Not found", status=404)


def refuse(refusal: Refusal) -> Reply:
    """429 without a word on when to come back."""
    return _error(429, "Too many requests", status=429)


def _error(code: int, message: str, status: int = 400) -> Reply:
    return Reply({"status": "ERROR", "error": {"code": code, "message": message}}, status=status)


def _markets(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    perpetuals = [_row(market, moment.now_ms) for market in known]
    stats = [row["marketStats"] for row in perpetuals]
    rows = perpetuals + _others(moment.now_ms)
    return Reply({"status": "OK", "data": rows}, rows=stats, rate_field="fundingRate")


def _others(now_ms: int) -> list[dict[str, Any]]:
    """What is no perpetual, or none yet."""
    frame = {
        "assetPrecision": 5,
        "collateralAssetName": "USD",
        "category": "Crypto",
        "subCategory": "L1",
        "active": False,
        "createdAt": now_ms,
    }
    spot = {"name": "BTCSPOT-USD", "type": "SPOT", "assetName": "BTCSPOT", "status": "ACTIVE"}
    soon = {"name": "SOON-USD", "type": "PERPETUAL", "assetName": "SOON", "status": "PRELISTED"}
    return [{**frame, **spot, "marketStats": {}}, {**frame, **soon, "marketStats": {}}]


def _row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    gone = market.is_delisted(now_ms)
    shares, metal = market.base in _SHARES, market.base in _METALS
    asset = market.symbol.removesuffix("-USD")
    return {
        "name": market.symbol,
        "type": "PERPETUAL",
        "uiName": f"{market.base}-USD",
        "category": "RWA" if shares or metal else "Crypto",
        "subCategory": "Equity" if shares else "Commodity" if metal else "L1",
        "assetName": asset,
        "assetPrecision": 3,
        "collateralAssetName": "USD",
        "collateralAssetPrecision": 6,
        "description": asset,
        "active": not gone,
        "isRfq": False,
        "isOffHours": shares,
        "status": "DELISTED" if gone else "ACTIVE",
        "tradingHours": "CONTINUOUS",
        "marketStats": _stats(market, now_ms),
        "tradingConfig": {
            "minOrderSize": "0.001",
            "minOrderSizeChange": "0.001",
            "minPriceChange": "0.01",
            "maxLeverage": "10.00",
            "hourlyFundingRateCap": plain(market.rate_cap * 100),
        },
        "visibleOnUi": not gone,
        "referenceMarket": "us_equity" if shares else "null",
        "createdAt": market.launch_ms,
    }


def _stats(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    asset, _ = asset_of(market.base)
    gone = market.is_delisted(now_ms)
    interest = 0.0 if gone else open_interest_usd(asset, hour)
    volume = 0.0 if gone else day_volume_usd(asset, hour)
    last = plain(float(f"{price:.6g}"))
    return {
        "dailyVolume": f"{volume:.6f}",
        "dailyVolumeBase": f"{volume / price:.5f}",
        "dailyPriceChange": "0",
        "dailyPriceChangePercentage": "0.0000",
        "dailyLow": plain(float(f"{price * 0.99:.6g}")),
        "dailyHigh": plain(float(f"{price * 1.01:.6g}")),
        "lastPrice": last,
        "askPrice": last,
        "bidPrice": last,
        "markPrice": f"{price:.12f}",
        "indexPrice": f"{price * 1.0005:.12f}",
        "fundingRate": f"{market.running_rate(now_ms):.6f}",
        "nextFundingRate": market.next_settlement_ms(now_ms),
        "openInterest": f"{interest:.6f}",
        "openInterestBase": f"{interest / price:.5f}",
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error(1001, "Market not found", status=404)
    try:
        start, end = parameter(call.params, "startTime"), parameter(call.params, "endTime")
        limit, cursor = parameter(call.params, "limit"), parameter(call.params, "cursor")
    except ValueError:
        return _error(400, "Bad request")
    if start is None or end is None:
        return _error(400, "startTime and endTime are required")
    # A page's cursor is the stamp of its last row: the next page begins below it.
    end = end if cursor is None else min(end, cursor - 1)
    wanted = min(max(limit or PAGE_ROWS, 1), PAGE_ROWS)
    rows: list[dict[str, Any]] = [
        {"m": market.symbol, "f": f"{market.rates[i]:.6f}", "T": market.times[i]}
        for i in newest_first(market, start, end, moment, wanted)
    ]
    pagination = {"cursor": rows[-1]["T"], "count": len(rows)} if rows else {"count": 0}
    payload = {"status": "OK", "data": rows, "pagination": pagination}
    return Reply(payload, rows=rows, rate_field="f", time_field="T")


def settled_rate(market: SandboxMarket, index: int) -> float:
    """Six decimals."""
    return round(market.rates[index], 6)


EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=1000, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    settled_rate=settled_rate,
)
