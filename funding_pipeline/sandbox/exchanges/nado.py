"""Nado's archive, and of its gateway the list of symbols, as the sandbox answers them.

Facts this module rests on: the contracts tell the rate of 24 hours, as a number, of all perpetuals,
traded or not; the gateway tells the trading status. History is asked for by product id, comes
oldest first with both ends included, times in seconds, rates as hourly fractions times 1e18, stamps
and rates as text, 100 rows unless asked for up to 1000. 400 weight per 10 s and 2400 a minute, of
which history costs 2 and one for each 100 rows. The real gateway wants compression accepted;
headers are not seen here.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import oldest_first
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "nado"
PAGE_ROWS = 1000
_DEFAULT_ROWS = 100
_START_MS = utc_ms(2025, 6, 1)
_CLOSED_MS = utc_ms(2026, 7, 1)
_CLOSED = "AXS"
_CALL_WEIGHT = 2
_LAST_SECOND = 10**11


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.rpartition("_")
    return base.removesuffix("-PERP"), quote


def listings() -> list[Listing]:
    """The generated markets, every hour; one of them is no longer tradable."""
    found = catalogue(
        NAME,
        lambda base: f"{base}-PERP_USDT0",
        quote="USDT0",
        count=75,
        hours=1,
        launch_ms=_START_MS,
        thousands="k",
        decimals=10,
        shares=8,
    )
    return [replace(m, delisted_ms=_CLOSED_MS) if m.asset == _CLOSED else m for m in found]


def product_id(market: SandboxMarket) -> int:
    """The number the exchange gives: even ones are perpetuals."""
    return 2 * market.number + 2


def read(request: Request) -> Call:
    """Which endpoint of which host is asked for, and about which product."""
    match request.method, request.path, request.body:
        case "GET", "/v2/contracts", _:
            return Call("contracts", None, request.query)
        case "GET", "/gateway/v1/query", _ if request.query.get("type") == "symbols":
            return Call("symbols", None, request.query)
        case "POST", "/v1", {"funding_rate_history": {"product_id": product}}:
            asked = request.body["funding_rate_history"]
            return Call("funding_rate_history", str(product), asked)
    return Call("unknown path", None, {})


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    match call.endpoint:
        case "contracts":
            return _contracts(moment)
        case "symbols":
            return _symbols(moment)
        case "funding_rate_history":
            return _history(call, moment)
    return _error(1005, "Invalid request")


def refuse(refusal: Refusal) -> Reply:
    """429 without a word on when to come back."""
    return _error(1000, "Too many requests", status=429)


def _error(code: int, message: str, status: int = 400) -> Reply:
    payload = {"status": "failure", "error": message, "error_code": code}
    return Reply(payload, status=status)


def _contracts(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    payload = {market.symbol: _contract_row(market, moment.now_ms) for market in known}
    rows = list(payload.values())
    return Reply(payload, rows=rows, rate_field="funding_rate", weight=_CALL_WEIGHT)


def _contract_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price = contract_price(market.base, hour)
    gone = market.is_delisted(now_ms)
    interest = 0.0 if gone else open_interest_usd(asset, hour)
    volume = 0.0 if gone else day_volume_usd(asset, hour)
    return {
        "product_id": product_id(market),
        "ticker_id": market.symbol,
        "base_currency": f"{market.base}-PERP",
        "quote_currency": market.quote,
        "last_price": price,
        "base_volume": volume / price,
        "quote_volume": volume,
        "product_type": "perpetual",
        "contract_price": price,
        "contract_price_currency": "USD",
        "open_interest": interest / price,
        "open_interest_usd": interest,
        "index_price": price * 0.9999,
        "mark_price": price,
        "funding_rate": round(24 * market.running_rate(now_ms), 18),
        "next_funding_rate_timestamp": market.next_settlement_ms(now_ms) // 1000,
        "price_change_percent_24h": 0.5,
    }


def _symbols(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_symbol_row(market, moment.now_ms) for market in known]
    spot = {**rows[0], "type": "spot", "product_id": 1, "symbol": "WBTC"}
    payload = {
        "status": "success",
        "data": {"symbols": {row["symbol"]: row for row in [*rows, spot]}},
        "request_type": "query_symbols",
    }
    return Reply(payload, rows=rows, weight=_CALL_WEIGHT)


def _symbol_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    return {
        "type": "perp",
        "product_id": product_id(market),
        "symbol": f"{market.base}-PERP",
        "price_increment_x18": "100000000000000000",
        "size_increment": "1000000000000000",
        "min_size": "100000000000000000000",
        "maker_fee_rate_x18": "100000000000000",
        "taker_fee_rate_x18": "350000000000000",
        "long_weight_initial_x18": "980000000000000000",
        "long_weight_maintenance_x18": "990000000000000000",
        "max_open_interest_x18": "100000000000000000000000000",
        "trading_status": "not_tradable" if market.is_delisted(now_ms) else "live",
        "isolated_only": False,
    }


def _history(call: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    market = next((m for m in known if str(product_id(m)) == call.market), None)
    if market is None:
        return _error(2015, "Invalid product id")
    try:
        start, end = parameter(call.params, "start_time"), parameter(call.params, "end_time")
        limit = parameter(call.params, "limit")
    except ValueError:
        return _error(1005, "Invalid request")
    start_ms, end_ms = (start or 0) * 1000, (_LAST_SECOND if end is None else end) * 1000
    wanted = min(max(limit or _DEFAULT_ROWS, 1), PAGE_ROWS)
    rows: list[dict[str, Any]] = [
        {
            "product_id": product_id(market),
            "timestamp": str(market.times[i] // 1000),
            "funding_rate_x18": str(round(Decimal(repr(market.rates[i])).scaleb(18))),
        }
        for i in oldest_first(market, start_ms, end_ms + 999, moment, wanted)
    ]
    return Reply(
        {"funding_rates": rows},
        rows=rows,
        rate_field="funding_rate_x18",
        time_field="timestamp",
        time_unit=1000,
        weight=_CALL_WEIGHT + -(-wanted // 100),
    )


EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=2400, window_s=60), Limit(weight=400, window_s=10)),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
