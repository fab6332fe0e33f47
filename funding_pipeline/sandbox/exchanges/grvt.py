"""GRVT's market data endpoints, as the sandbox answers them.

Facts this module rests on: POST with JSON bodies; rates are percent with four decimals per the
instrument's interval, which every row carries; stamps are nanoseconds as text, both ends included;
history comes newest first, 500 rows unless asked for up to 1000, `next` is a cursor that tells the
stamp to go on from (base64 of JSON); another `agg_type` than FUNDING_INTERVAL adds settlements up
and is not served. Only instruments that trade are listed, thousands with a capital K. 1500 light
requests a minute, history costs three. Errors are {request_id, code, message, status}.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, plain

NAME = "grvt"
PAGE_ROWS = 1000
_DEFAULT_ROWS = 500
_BASE_PATH = "/full/v1/"
_NS_PER_MS = 1_000_000
_HISTORY_WEIGHT = 3
_THOUSANDS = ("PEPE", "BONK", "SHIB", "FLOKI")
# Every instrument tells the same moment: the list was rebuilt then.
_CREATED_NS = 1_787_802_370_345_408_848


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, quote, _ = symbol.rsplit("_", 2)
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: tokens of mixed intervals, shares and metals."""
    found = catalogue(NAME, _native, quote="USDT", count=180, thousands="", decimals=6, shares=8)
    return [
        replace(listing, symbol=_native(f"K{listing.base}"), base=f"K{listing.base}")
        if listing.base in _THOUSANDS
        else listing
        for listing in found
    ]


def _native(base: str) -> str:
    return f"{base}_USDT_Perp"


def _priced(base: str) -> str:
    """The spelling that prices are known under: a capital K is a thousand only before some."""
    return f"k{base[1:]}" if base[0] == "K" and base[1:] in _THOUSANDS else base


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which instrument."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "POST" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    asked = request.body if isinstance(request.body, dict) else {}
    return Call(endpoint, asked.get("instrument"), asked)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("404 page not found", status=404, media_type="text/plain")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """429 with the exchange's own code."""
    return _error(1006, "You have surpassed the allocated rate limit for your tier", status=429)


def _error(code: int, message: str, status: int = 400) -> Reply:
    return Reply(
        {"request_id": 1, "code": code, "message": message, "status": status}, status=status
    )


def _malformed() -> Reply:
    return _error(1003, "Request could not be processed due to malformed syntax")


def percent_text(rate: float) -> str:
    """A fraction as percent with four decimals."""
    return plain(round(rate * 100, 4))


def settled_rate(rate: float) -> float:
    """The fraction that is left of a rate after it went over the wire."""
    return round(round(rate * 100, 4) / 100, 6)


def _instruments(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_instrument_row(market, moment) for market in listed]
    return Reply({"result": rows}, rows=rows)


def _instrument_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    cap = percent_text(market.rate_cap)
    return {
        "instrument": market.symbol,
        "instrument_hash": f"0x03{market.number:02x}01",
        "base": market.base,
        "quote": market.quote,
        "kind": "PERPETUAL",
        "venues": ["ORDERBOOK", "RFQ"],
        "settlement_period": "PERPETUAL",
        "base_decimals": 9,
        "quote_decimals": 6,
        "tick_size": "0.1",
        "min_size": "0.001",
        "create_time": str(_CREATED_NS + market.number),
        "max_position_size": "1000.0",
        "funding_interval_hours": market.interval_hours_at(moment.now_ms),
        "adjusted_funding_rate_cap": cap,
        "adjusted_funding_rate_floor": f"-{cap}",
        "min_notional": "5.0",
        "asset_class": "UNSPECIFIED",
    }


def _ticker(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _malformed()
    hour = moment.now_ms // HOUR_MS
    price = contract_price(_priced(market.base), hour)
    rate = percent_text(market.running_rate(moment.now_ms))
    volume = plain(round(day_volume_usd(market.base, hour) / 2, 2))
    row = {
        "event_time": str(moment.now_ms * _NS_PER_MS),
        "instrument": market.symbol,
        "mark_price": plain(round(price, 9)),
        "index_price": plain(round(price * 1.0002, 9)),
        "funding_rate": rate,
        "funding_rate_8h_curr": rate,
        "funding_rate_8h_avg": rate,
        "buy_volume_24h_q": volume,
        "sell_volume_24h_q": volume,
        "open_interest": plain(round(open_interest_usd(market.base, hour) / price, 3)),
        "next_funding_time": str(market.next_settlement_ms(moment.now_ms) * _NS_PER_MS),
    }
    return Reply({"result": row}, rows=[row], rate_field="funding_rate")


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    try:
        start_ns = int(call.params.get("start_time") or 0)
        end_ns = int(call.params.get("end_time") or moment.now_ms * _NS_PER_MS)
        if cursor := call.params.get("cursor"):
            end_ns = min(end_ns, json.loads(b64decode(cursor + "=="))["fundingTime"])
        limit = int(call.params.get("limit") or _DEFAULT_ROWS)
    except (ValueError, TypeError, KeyError):
        return _malformed()
    aggregation = call.params.get("agg_type") or "FUNDING_INTERVAL"
    if market is None or aggregation != "FUNDING_INTERVAL" or not 0 < limit <= PAGE_ROWS:
        return _malformed()
    start_ms, end_ms = -(-start_ns // _NS_PER_MS), end_ns // _NS_PER_MS
    chosen = newest_first(market, start_ms, end_ms, moment, limit)
    rows = [_funding_row(market, i, moment) for i in chosen]
    following = chosen[-1] - 1 if chosen else -1
    more = following >= 0 and market.times[following] >= start_ms
    return Reply(
        {"result": rows, "next": _cursor(market.times[following]) if more else ""},
        rows=rows,
        rate_field="funding_rate",
        time_field="funding_time",
        time_unit=1 / _NS_PER_MS,
        weight=_HISTORY_WEIGHT,
    )


def _cursor(time_ms: int) -> str:
    text = json.dumps({"fundingTime": time_ms * _NS_PER_MS}, separators=(",", ":"))
    return b64encode(text.encode()).decode().rstrip("=")


def _funding_row(market: SandboxMarket, index: int, moment: Moment) -> dict[str, Any]:
    time_ms = market.times[index]
    rate = percent_text(market.rates[index])
    price = contract_price(_priced(market.base), time_ms // HOUR_MS)
    return {
        "instrument": market.symbol,
        "funding_rate": rate,
        "funding_time": str(time_ms * _NS_PER_MS),
        "mark_price": plain(round(price, 9)),
        "funding_rate_8_h_avg": rate,
        "funding_interval_hours": market.interval_hours_at(time_ms - 1),
    }


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "all_instruments": _instruments,
    "ticker": _ticker,
    "funding": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=1500, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    settled_rate=lambda market, index: settled_rate(market.rates[index]),
)
