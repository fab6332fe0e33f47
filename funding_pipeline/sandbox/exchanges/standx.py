"""StandX's public endpoints, as the sandbox answers them.

Facts this module rests on: rates are fractions per hour with eight decimals, stamps are ISO times
on the hour; history comes oldest first, between start and end in ms, both taken to be included (the
exchange refuses a request without them, the sandbox answers the last day). How many rows it tells
at once is unknown, 960 were seen. Answers are bare lists and objects, errors {code, message}, and
plain text where a parameter cannot be read. The lower of the limits that are known: 20 requests a
second.
"""

from datetime import UTC, datetime
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import oldest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "standx"
PAGE_ROWS = 960
_BASE_PATH = "/api/"
_LISTED_MS = utc_ms(2025, 11, 24)
_TOKENS = ("BTC", "ETH", "HYPE", "BNB", "SOL", "ZEC", "UNI", "DOGE")
_METALS = ("XAU", "XAG")
_SHARES = tuple(share for share in names.SHARES if share not in _METALS)[:3]
_WITHDRAWN = {"DOGE": utc_ms(2026, 5, 4)}
# Per hour; the exchange declares three of them.
_TOKEN_CAP, _METAL_CAP, _SHARE_CAP = 0.000375, 0.00125, 0.0025


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and the exchange's own dollar, which symbols do not name."""
    return symbol.partition("-")[0], "DUSD"


def listings() -> list[Listing]:
    """The generated markets: few tokens, metals and shares, one of them withdrawn."""
    groups = ((_TOKENS, _TOKEN_CAP, 1.0), (_METALS, _METAL_CAP, 0.4), (_SHARES, _SHARE_CAP, 0.5))
    return [
        Listing(
            f"{asset}-USD",
            asset,
            "DUSD",
            asset,
            ((_LISTED_MS, 1),),
            cap,
            8,
            multiplier=multiplier,
            delisted_ms=_WITHDRAWN.get(asset),
        )
        for assets, cap, multiplier in groups
        for asset in assets
    ]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which symbol."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error(404, "not found")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """What an address gets that asks too often."""
    return _error(429, "too many requests")


def _error(code: int, message: str) -> Reply:
    return Reply({"code": code, "message": message}, status=code)


def _symbols(call: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_symbol(m, moment.now_ms) for m in known if call.market in (None, m.symbol)]
    return Reply(rows, rows=rows)


def _symbol(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    created = _iso(market.launch_ms)
    return {
        "base_asset": market.base,
        "base_decimals": 9,
        "created_at": created,
        "def_leverage": "10",
        "depth_ticks": "1,5,10",
        "funding_impact_notional": "20000",
        "funding_interest_rate": "0.0000125",
        "funding_rate_cap": f"{market.rate_cap:.6f}",
        "funding_rate_floor": f"{-market.rate_cap:.6f}",
        "id": market.number + 1,
        "liq_fee": "0.012",
        "liquidator": "standx_vault",
        "maker_fee": "0.0001",
        "max_leverage": "40",
        "max_open_orders": "100",
        "max_order_price": "4529764",
        "max_order_qty": "100",
        "max_position_size": "1000",
        "min_order_price": "556",
        "min_order_qty": "0.0001",
        "price_cap_ratio": "0.05",
        "price_floor_ratio": "0.05",
        "price_tick_decimals": 2,
        "qty_tick_decimals": 4,
        "quote_asset": "DUSD",
        "quote_decimals": 9,
        "status": "closed" if market.is_delisted(now_ms) else "trading",
        "symbol": market.symbol,
        "taker_fee": "0.0004",
        "updated_at": created,
    }


def _overview(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_overview_row(market, moment.now_ms) for market in known]
    summary = {
        "open_interest_notional": "58609087.078712",
        "symbol_count": len(rows),
        "volume_quote_24h": "388391060.49851627391763031480",
    }
    payload = {"summary": summary, "symbols": rows}
    return Reply(payload, rows=rows, rate_field="funding_rate")


def _overview_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    interest, volume = open_interest_usd(market.base, hour), day_volume_usd(market.base, hour)
    return {
        "base": market.base,
        "funding_rate": f"{market.running_rate(now_ms):.8f}",
        "last_price": f"{price:.2f}",
        "mark_price": f"{price:.2f}",
        "open_interest": f"{interest / price:.4f}",
        "open_interest_notional": f"{interest:.6f}",
        "open_price_24h": round(price * 1.005, 2),
        "price_change_pct": -0.4975124378109453,
        "quote": "DUSD",
        "symbol": market.symbol,
        "time": _iso(now_ms),
        "volume_24h": f"{volume / price:.9f}",
        "volume_quote_24h": f"{volume:.9f}",
    }


def _history(call: Call, moment: Moment) -> Reply:
    try:
        end_ms = parameter(call.params, "end_time") or moment.now_ms
        start_ms = parameter(call.params, "start_time") or end_ms - DAY_MS
    except ValueError:
        text = "Failed to deserialize query string"
        return Reply(text, status=400, media_type="text/plain")
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error(400, "invalid symbol")
    chosen = oldest_first(market, start_ms, end_ms, moment, PAGE_ROWS)
    rows = [_row(market, i) for i in chosen]
    return Reply(rows, rows=rows, rate_field="funding_rate", time_field="time")


def _row(market: SandboxMarket, number: int) -> dict[str, Any]:
    time_ms = market.times[number]
    price = contract_price(market.base, time_ms // HOUR_MS)
    time = _iso(time_ms)
    return {
        "created_at": time,
        "funding_rate": f"{market.rates[number]:.8f}",
        "id": 43_774 + number,
        "index_price": f"{price * 1.0004:.2f}",
        "mark_price": f"{price:.2f}",
        "premium": "-0.0004022335796835970024979184",
        "symbol": market.symbol,
        "time": time,
        "updated_at": time,
    }


def _iso(time_ms: int) -> str:
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    spec = "milliseconds" if time_ms % 1000 else "seconds"
    return time.isoformat(timespec=spec).replace("+00:00", "Z")


_ENDPOINTS = {
    "query_symbol_info": _symbols,
    "query_market_overview": _overview,
    "query_funding_rates": _history,
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
