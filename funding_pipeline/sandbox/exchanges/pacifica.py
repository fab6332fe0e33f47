"""Pacifica's public market endpoints, as the sandbox answers them.

Facts this module rests on: rates are hourly fractions; history comes newest first, 100 rows unless
asked for up to 4000, goes on by cursor and knows no times; stamps are up to half a second late.
Every row and price tells two rates: a row the settled one and the one of the next hour, a price
those of the next two hours. Open interest is in base units. Spot stands among the perpetuals, what
is withdrawn is gone. 100 credits a minute, of which history costs 12 whatever its length; headers
count in tenths of them.
"""

from collections.abc import Sequence
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

NAME = "pacifica"
PAGE_ROWS = 4000
_DEFAULT_ROWS = 100
_BASE_PATH = "/api/v1/"
_START_MS = utc_ms(2025, 6, 10)
_TENTHS = 1000
_CALL_WEIGHT = 10
_HISTORY_WEIGHT = 120
_CURSOR_PREFIX = "1111"
_SPOT_PRICE = "150.25"


def split_symbol(symbol: str) -> tuple[str, str]:
    """The ticker itself; margin is in USDC."""
    return symbol, "USDC"


def listings() -> list[Listing]:
    """The generated markets: tokens, shares and metals in one namespace, every hour."""
    return catalogue(
        NAME,
        lambda base: base,
        quote="USDC",
        count=70,
        hours=1,
        launch_ms=_START_MS,
        thousands="k",
        rate_cap=0.04,
        jitter_ms=500,
        shares=8,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("Not found", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429, the wait only in the headers of every answer."""
    return _error("Rate limit exceeded", status=429)


def usage(used: Sequence[int]) -> dict[str, str]:
    """What is left of the credits, in tenths."""
    return {
        "ratelimit": f'"credits";r={_TENTHS - used[0]};t=60',
        "ratelimit-policy": f'"credits";q={_TENTHS};w=60',
    }


def _error(message: str, status: int = 400) -> Reply:
    payload = {"success": False, "data": None, "error": message, "code": status}
    return Reply(payload, status=status, weight=_CALL_WEIGHT)


def _following(market: SandboxMarket, now_ms: int) -> tuple[str, str]:
    """The rates of the next settlement and of the one after it."""
    after = market.next_settlement_ms(now_ms) + HOUR_MS // 2
    return plain(market.running_rate(now_ms)), plain(market.running_rate(after))


def _info(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_info_row(market, moment.now_ms) for market in listed]
    spot = {
        **rows[0],
        "symbol": "SOL-USDC",
        "max_leverage": 1,
        "funding_rate": "0",
        "next_funding_rate": "0",
        "instrument_type": "spot",
        "base_asset": "SOL",
    }
    rows.append(spot)
    payload = {"success": True, "data": rows, "error": None, "code": None}
    return Reply(payload, rows=rows, weight=_CALL_WEIGHT)


def _info_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    rate, later = _following(market, now_ms)
    return {
        "symbol": market.symbol,
        "tick_size": "0.0001",
        "min_tick": "0",
        "max_tick": "1000000",
        "lot_size": "0.001",
        "max_leverage": 10,
        "isolated_only": False,
        "min_order_size": "10",
        "max_order_size": "1000000",
        "funding_rate": rate,
        "next_funding_rate": later,
        "created_at": market.launch_ms,
        "instrument_type": "perpetual",
        "base_asset": market.base,
        "execution_modes": ["orderbook"],
    }


def _prices(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_price_row(market, moment.now_ms) for market in listed]
    spot = {
        **rows[0],
        "symbol": "SOL-USDC",
        "funding": "0",
        "next_funding": "0",
        "mark": _SPOT_PRICE,
        "open_interest": "0",
    }
    rows.append(spot)
    payload = {"success": True, "data": rows, "error": None, "code": None}
    return Reply(payload, rows=rows, rate_field="funding", weight=_CALL_WEIGHT)


def _price_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price = contract_price(market.base, hour)
    rate, later = _following(market, now_ms)
    return {
        "funding": rate,
        "mark": plain(float(f"{price:.8g}")),
        "mid": plain(float(f"{price:.6g}")),
        "next_funding": later,
        "open_interest": plain(float(f"{open_interest_usd(asset, hour) / price:.9g}")),
        "oracle": plain(float(f"{price * 1.0004:.8g}")),
        "symbol": market.symbol,
        "timestamp": now_ms,
        "volume_24h": plain(round(day_volume_usd(asset, hour), 6)),
        "yesterday_price": plain(float(f"{price * 0.99:.6g}")),
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error("Market not found", status=404)
    cursor = str(call.params.get("cursor") or "")
    try:
        limit = parameter(call.params, "limit")
        # The place of a page: the stamp of its first row, plus one.
        below = int(cursor.removeprefix(_CURSOR_PREFIX), 36) if cursor else moment.now_ms + 1
    except ValueError:
        return _error("Invalid parameter")
    wanted = min(max(limit or _DEFAULT_ROWS, 1), PAGE_ROWS)
    indexes = newest_first(market, 0, below - 1, moment, wanted)
    rows = [_history_row(market, index) for index in indexes]
    more = bool(indexes) and indexes[-1] > 0
    payload = {
        "success": True,
        "data": rows,
        "next_cursor": _cursor(market.times[indexes[-1]]) if more else None,
        "has_more": more,
    }
    return Reply(
        payload,
        rows=rows,
        rate_field="funding_rate",
        time_field="created_at",
        weight=_HISTORY_WEIGHT,
    )


def _cursor(time_ms: int) -> str:
    """A stamp in base 36: what looks like the exchange's opaque text."""
    digits = ""
    while time_ms:
        time_ms, digit = divmod(time_ms, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return _CURSOR_PREFIX + digits


def _history_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    following = min(index + 1, len(market.times) - 1)
    price = contract_price(market.base, market.times[index] // HOUR_MS)
    return {
        "oracle_price": plain(float(f"{price:.9g}")),
        "bid_impact_price": plain(float(f"{price * 0.9995:.8g}")),
        "ask_impact_price": plain(float(f"{price * 0.9997:.8g}")),
        "funding_rate": plain(market.rates[index]),
        "next_funding_rate": plain(market.rates[following]),
        "created_at": market.times[index],
    }


_ENDPOINTS = {"info": _info, "info/prices": _prices, "funding_rate/history": _history}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=_TENTHS, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    usage=usage,
)
