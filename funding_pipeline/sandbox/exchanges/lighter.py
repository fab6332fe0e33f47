"""Lighter's public REST endpoints, as the sandbox answers them.

Facts this module rests on: `/fundings` sends unsigned percent per hour, truncated to four
decimals, with the side that pays; stamps are seconds, ascending, both ends included, and a window
of more than 750 rows gives its newest 750. All five parameters are required. `/funding-rates`
sends signed fractions per 8 hours, of other exchanges too. 60 requests a minute.
"""

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from math import ceil
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.exchanges.lighter_rows import (
    details_row,
    order_book_row,
    price_text,
    spot_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.prices import contract_price
from funding_pipeline.sandbox.relay import counterpart
from funding_pipeline.sandbox.wire import (
    Call,
    Exchange,
    Moment,
    Reply,
    Request,
    Snapshots,
    parameter,
)

NAME = "lighter"
PAGE_ROWS = 750
_LAST_TIMESTAMP = 5_000_000_000_000
_INVALID_PARAMETER = 20001
_RELAYED = ("binance", "bybit", "hyperliquid")
_START_MS = utc_ms(2025, 1, 17)
_PERCENT_STEP = Decimal("0.0001")


def split_symbol(symbol: str) -> tuple[str, str]:
    """The ticker itself; everything is quoted in USDC."""
    return symbol, "USDC"


def listings() -> list[Listing]:
    """The generated markets: tokens, some by the thousand, and shares in the same namespace."""
    tokens = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS[:120])]
    shares = [
        Listing(asset, asset, "USDC", asset, ((_START_MS, 1),), 0.005, 10, multiplier=0.5)
        for asset in names.SHARES
    ]
    return tokens[:20] + shares[:2] + tokens[20:] + shares[2:]


def _listing(asset: str, rank: int) -> Listing:
    symbol = f"1000{asset}" if asset in names.THOUSANDS else asset
    day = 0 if rank < 25 else int(uniform("lighter|launch", rank) * 60)
    launch = _START_MS + day * DAY_MS
    delisted = utc_ms(2026, 1, 20) if asset in names.WITHDRAWN else None
    return Listing(symbol, symbol, "USDC", asset, ((launch, 1),), 0.005, 10, delisted_ms=delisted)


def market_id(market: SandboxMarket) -> int:
    """The number the exchange gives; Ether is older than Bitcoin there."""
    return {0: 1, 1: 0}.get(market.number, market.number)


def percent_text(rate: float) -> str:
    """What `/fundings` shows of an hourly fraction: its size in percent, cut off."""
    # Rounded first, so that a float just below a step does not lose the whole step.
    percent = round(Decimal(repr(abs(rate))) * 100, 10)
    return f"{percent.quantize(_PERCENT_STEP, ROUND_DOWN):f}"


def settled_rate(rate: float) -> float:
    """The signed hourly fraction that is left of a rate after it went over the wire."""
    size = float(Decimal(percent_text(rate)).scaleb(-2))
    return -size if rate < 0 else size


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market id."""
    endpoint = request.path.removeprefix("/api/v1/")
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("market_id"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("404 page not found", status=404, media_type="text/plain")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """What an address gets that asks too often."""
    headers = {"Retry-After": str(max(1, ceil(refusal.wait_s)))}
    return Reply({"code": 23000, "message": "Too Many Requests!"}, status=429, headers=headers)


def _error(text: str) -> Reply:
    return Reply({"code": _INVALID_PARAMETER, "message": f"invalid param : {text}"}, status=400)


def _fundings(call: Call, moment: Moment) -> Reply:
    numbers: dict[str, int] = {}
    for name in ("market_id", "start_timestamp", "end_timestamp", "count_back"):
        try:
            value = parameter(call.params, name)
        except ValueError:
            value = None
        if value is None or not 0 <= value <= _LAST_TIMESTAMP:
            return _error(name)
        numbers[name] = value
    if call.params.get("resolution") != "1h":
        return _error("resolution")
    markets = moment.dataset.known(NAME, moment.now_ms)
    market = next((m for m in markets if market_id(m) == numbers["market_id"]), None)
    if market is None:
        return _error("market_id")
    start_ms, end_ms = numbers["start_timestamp"] * 1000, numbers["end_timestamp"] * 1000
    low, high = market.settled(start_ms, end_ms, moment.now_ms)
    wanted = min(numbers["count_back"] or PAGE_ROWS, PAGE_ROWS)
    low = max(low, high - moment.page_limit(wanted))
    rows = [_funding_row(market, index) for index in range(low, high)]
    return Reply(
        {"code": 200, "resolution": "1h", "fundings": rows},
        rows=rows,
        rate_field="rate",
        time_field="timestamp",
        time_unit=1000,
    )


def _funding_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    rate, time_ms = market.rates[index], market.times[index]
    percent = percent_text(rate)
    price = Decimal(price_text(contract_price(market.base, time_ms // HOUR_MS)))
    return {
        "timestamp": time_ms // 1000,
        "value": f"{Decimal(percent).scaleb(-2) * price:.8f}",
        "rate": percent,
        "direction": "short" if rate < 0 else "long",
    }


def _funding_rates(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [
        _estimate_row(market, exchange, other.running_rate(moment.now_ms) * per_8_hours)
        for exchange in _RELAYED
        for market in listed
        if (other := counterpart(moment.dataset, exchange, market.base, moment.now_ms))
        for per_8_hours in (8 / other.interval_hours_at(moment.now_ms),)
    ]
    for market in listed:
        rate = market.running_rate(moment.now_ms)
        percent = float(percent_text(rate))
        # In this order of steps the exchange's own floats come out, 9.599999999999999e-05.
        rows.append(_estimate_row(market, NAME, (-percent if rate < 0 else percent) / 100 * 8))
    return Reply({"code": 200, "funding_rates": rows}, rows=rows, rate_field="rate")


def _estimate_row(market: SandboxMarket, exchange: str, rate: float) -> dict[str, Any]:
    return {
        "market_id": market_id(market),
        "exchange": exchange,
        "symbol": market.symbol,
        "rate": rate + 0.0,
    }


def _selected(call: Call, moment: Moment) -> list[SandboxMarket]:
    markets = moment.dataset.known(NAME, moment.now_ms)
    if call.market is None:
        return markets
    return [m for m in markets if str(market_id(m)) == call.market]


def _order_books(call: Call, moment: Moment) -> Reply:
    rows = [order_book_row(m, market_id(m), moment.now_ms) for m in _selected(call, moment)]
    if call.market is None:
        rows.append(spot_row())
    return Reply({"code": 200, "order_books": rows}, rows=rows)


def _order_book_details(call: Call, moment: Moment) -> Reply:
    rows = [details_row(m, market_id(m), moment.now_ms) for m in _selected(call, moment)]
    spot = [spot_row()] if call.market is None else []
    payload = {"code": 200, "order_book_details": rows, "spot_order_book_details": spot}
    return Reply(payload, rows=rows)


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "orderBooks": _order_books,
    "orderBookDetails": _order_book_details,
    "fundings": _fundings,
    "funding-rates": _funding_rates,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=60, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    settled_rate=lambda market, index: settled_rate(market.rates[index]),
    snapshots=Snapshots(
        file="lighter_snapshot",
        settles_hours=1,
        # Polled per 8 hours, settled every hour.
        scale=1 / 8,
        note="each settlement is the last recorded poll of the running rate before it, divided "
        "by 8; it is not what settled",
    ),
)
