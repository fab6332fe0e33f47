"""Orderly's public endpoints, as the sandbox answers them.

Facts this module rests on: rates are JSON numbers of eight decimals, fractions per the market's own
funding period of 8 or 4 hours; history comes newest first by pages, both ends included, 25 rows
unless asked for up to 500, and a larger size is cut; an unknown symbol has no rows and is no error.
Brokers list shares with their own name behind the symbol. Open interest is in base units, one side.
10 requests per second, errors as {success, code, message}.
"""

from dataclasses import replace
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.names import SHARES
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "orderly"
PAGE_ROWS = 500
_DEFAULT_ROWS = 25
_BASE_PATH = "/v1/public/"
_BROKER = "mythos"
_METALS = ("XAU", "XAG")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin; a broker's name may follow."""
    _, base, quote, *_ = symbol.split("_")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: tokens of 8 and 4 hours, metals, shares that a broker listed."""
    found = catalogue(NAME, _symbol, quote="USDC", count=130, shares=8)
    return [
        replace(listing, eras=tuple((since, max(hours, 4)) for since, hours in listing.eras))
        for listing in found
    ]


def _symbol(base: str) -> str:
    broker = f"_{_BROKER}" if base in SHARES and base not in _METALS else ""
    return f"PERP_{base}_USDC{broker}"


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error(-1000, "path not found")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """429 without a word on when to come back."""
    return _error(-1003, "Rate limit exceed.", status=429)


def _error(code: int, message: str, status: int = 400) -> Reply:
    return Reply({"success": False, "code": code, "message": message}, status=status)


def _ok(data: dict[str, Any], moment: Moment) -> dict[str, Any]:
    return {"success": True, "data": data, "timestamp": moment.now_ms}


def _info(_: Call, moment: Moment) -> Reply:
    rows = [_info_row(market, moment) for market in moment.dataset.known(NAME, moment.now_ms)]
    return Reply(_ok({"rows": rows}, moment), rows=rows)


def _info_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "display_symbol_name": market.base,
        "broker_id": _BROKER if market.symbol.endswith(_BROKER) else None,
        "quote_min": 0,
        "quote_max": 200000,
        "quote_tick": 0.1,
        "base_min": 0.00001,
        "base_max": 27,
        "base_tick": 0.00001,
        "min_notional": 10,
        "price_range": 0.03,
        "price_scope": 0.6,
        "std_liquidation_fee": 0.012,
        "liquidator_fee": 0.006,
        "claim_insurance_fund_discount": 0.006,
        "funding_period": market.interval_hours_at(moment.now_ms),
        "cap_funding": market.rate_cap,
        "floor_funding": -market.rate_cap,
        "interest_rate": 0.0001,
        "created_time": market.launch_ms,
        "updated_time": market.launch_ms,
        "liquidation_tier": 2,
        "cap_ir": 0.0001,
        "floor_ir": -0.0001,
        "mark_index_price_deviation_floor": 0.9475,
        "mark_index_price_deviation_cap": 1.0525,
        "global_max_oi_cap": 1000000000,
        "status": "REDUCE_ONLY" if market.is_delisted(moment.now_ms) else "ACTIVE",
        "base_mmr": 0.025,
        "base_imr": 0.05,
        "imr_factor": 2e-06,
        "deviation_factor": 2.625,
        "is_pretge": False,
    }


def _estimates(_: Call, moment: Moment) -> Reply:
    rows = [_estimate_row(market, moment) for market in moment.dataset.listed(NAME, moment.now_ms)]
    return Reply(_ok({"rows": rows}, moment), rows=rows, rate_field="est_funding_rate")


def _estimate_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    low, high = market.settled(0, moment.now_ms, moment.now_ms)
    last = max(low, high - 1)
    return {
        "symbol": market.symbol,
        "est_funding_rate": market.running_rate(moment.now_ms),
        "est_funding_rate_timestamp": moment.now_ms // 15_000 * 15_000,
        "last_funding_rate": market.rates[last],
        "last_funding_rate_timestamp": market.times[last],
        "next_funding_time": market.next_settlement_ms(moment.now_ms),
        "sum_unitary_funding": 0.0,
    }


def _futures(_: Call, moment: Moment) -> Reply:
    rows = [_future_row(market, moment) for market in moment.dataset.listed(NAME, moment.now_ms)]
    return Reply(_ok({"rows": rows}, moment), rows=rows)


def _future_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    hour = moment.now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    volume = day_volume_usd(market.base, hour)
    estimate = _estimate_row(market, moment)
    return {
        "symbol": market.symbol,
        "display_symbol_name": market.base,
        "broker_id": _BROKER if market.symbol.endswith(_BROKER) else None,
        "status": "ACTIVE",
        "index_price": price * 1.0002,
        "mark_price": price,
        "sum_unitary_funding": 0.0,
        "est_funding_rate": estimate["est_funding_rate"],
        "last_funding_rate": estimate["last_funding_rate"],
        "next_funding_time": estimate["next_funding_time"],
        "open_interest": open_interest_usd(market.base, hour) / price,
        "is_pretge": False,
        "24h_open": price,
        "24h_close": price,
        "24h_high": price,
        "24h_low": price,
        "24h_volume": volume / price,
        "24h_amount": volume,
    }


def _history(call: Call, moment: Moment) -> Reply:
    try:
        start = parameter(call.params, "start_t") or 0
        end = parameter(call.params, "end_t")
        number = parameter(call.params, "page") or 1
        size = min(parameter(call.params, "size") or _DEFAULT_ROWS, PAGE_ROWS)
    except ValueError:
        return _error(-1005, "parameter invalid")
    if not call.market:
        return _error(-1005, "symbol is required")
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    rows: list[dict[str, Any]] = []
    total = 0
    if market is not None:
        end = moment.now_ms if end is None else end
        low, high = market.settled(start, end, moment.now_ms)
        total = high - low
        skip = (number - 1) * moment.page_limit(size)
        rows = [
            _settled_row(market, i) for i in newest_first(market, start, end, moment, size, skip)
        ]
    meta = {"total": total, "records_per_page": size, "current_page": number}
    return Reply(
        _ok({"rows": rows, "meta": meta}, moment),
        rows=rows,
        rate_field="funding_rate",
        time_field="funding_rate_timestamp",
    )


def _settled_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    stamp = market.times[index]
    return {
        "symbol": market.symbol,
        "funding_rate": market.rates[index],
        "funding_rate_timestamp": stamp,
        "next_funding_time": market.next_settlement_ms(stamp),
    }


_ENDPOINTS = {
    "info": _info,
    "funding_rates": _estimates,
    "futures": _futures,
    "funding_rate_history": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=10, window_s=1),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
