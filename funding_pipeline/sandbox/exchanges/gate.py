"""Gate's public futures endpoints (USDT), as the sandbox answers them.

Facts this module rests on: rates are fractions per the contract's interval with six decimals,
stamps are seconds, 1-3 s late; history comes newest first, both ends included, 100 rows unless
asked for up to 1000, and a start older than 180 days is refused; without times the last 30 days.
Positions are counted in contracts. 200 requests per 10 s, errors as {label, message}.
"""

from math import ceil
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "gate"
PAGE_ROWS = 1000
_DEFAULT_ROWS = 100
_RETENTION_MS = 180 * DAY_MS
_BASE_PATH = "/api/v4/futures/usdt/"
# One contract of Bitcoin is 0.0001 of it; of others about ten dollars' worth.
_LOTS = {"BTC_USDT": 0.0001, "ETH_USDT": 0.01}


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.rpartition("_")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: tokens of mixed intervals, some shares."""
    return catalogue(
        NAME,
        lambda base: f"{base}_USDT",
        quote="USDT",
        count=240,
        thousands="",
        decimals=6,
        jitter_ms=3000,
        shares=4,
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which contract."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("contract"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("NOT_FOUND", "Request path not found", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """429 with the window's state in headers."""
    reply = _error("TOO_MANY_REQUESTS", "Request Rate limit Exceeded", status=429)
    reply.headers["X-Gate-RateLimit-Reset-Timestamp"] = str(ceil(refusal.wait_s))
    return reply


def _error(label: str, message: str, status: int = 400) -> Reply:
    return Reply({"label": label, "message": message}, status=status)


def _lot(market: SandboxMarket) -> float:
    return _LOTS.get(market.symbol, 10.0)


def _price(market: SandboxMarket, moment: Moment) -> float:
    return contract_price(market.base, moment.now_ms // HOUR_MS)


def _contracts(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_contract_row(market, moment) for market in known]
    return Reply(rows, rows=rows, rate_field="funding_rate")


def _contract_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    price = _price(market, moment)
    gone = market.is_delisted(moment.now_ms)
    rate = plain(market.running_rate(moment.now_ms))
    lots = open_interest_usd(market.base, moment.now_ms // HOUR_MS) / price / _lot(market)
    return {
        "funding_rate_indicative": rate,
        "funding_offset": 0,
        "in_delisting": gone,
        "interest_rate": "0.0003",
        "index_price": plain(round(price * 1.0002, 8)),
        "name": market.symbol,
        "mark_type": "index",
        "funding_interval": market.interval_hours_at(moment.now_ms) * 3600,
        "type": "direct",
        "funding_rate": rate,
        "last_price": plain(round(price, 8)),
        "mark_price": plain(round(price, 8)),
        "funding_next_apply": market.next_settlement_ms(moment.now_ms) // 1000,
        "create_time": market.launch_ms // 1000,
        "trade_size": 1_000_000,
        "position_size": int(lots),
        "quanto_multiplier": plain(_lot(market)),
        "funding_cap_ratio": "0.75",
        "is_pre_market": False,
        "status": "delisting" if gone else "trading",
        "launch_time": market.launch_ms // 1000,
        "funding_rate_limit": plain(market.rate_cap),
        "contract_type": "",
        "leverage_min": "1",
        "leverage_max": "100",
        "order_size_min": 1,
        "order_size_max": 1_000_000,
        "order_price_round": "0.00001",
        "mark_price_round": "0.00001",
        "maker_fee_rate": "-0.00005",
        "taker_fee_rate": "0.00075",
        "maintenance_rate": "0.005",
    }


def _tickers(call: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    chosen = [m for m in listed if call.market in (None, m.symbol)]
    rows = [_ticker_row(market, moment) for market in chosen]
    return Reply(rows, rows=rows)


def _ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    hour = moment.now_ms // HOUR_MS
    price = _price(market, moment)
    volume = day_volume_usd(market.base, hour)
    rate = plain(market.running_rate(moment.now_ms))
    return {
        "contract": market.symbol,
        "last": plain(round(price, 8)),
        "change_percentage": "0.5",
        "total_size": str(int(open_interest_usd(market.base, hour) / price / _lot(market))),
        "volume_24h_base": plain(round(volume / price, 2)),
        "volume_24h_quote": plain(round(volume, 2)),
        "volume_24h_settle": plain(round(volume, 2)),
        "mark_price": plain(round(price, 8)),
        "funding_rate": rate,
        "funding_rate_indicative": rate,
        "index_price": plain(round(price * 1.0002, 8)),
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error("CONTRACT_NOT_FOUND", "contract not found")
    try:
        start, end = parameter(call.params, "from"), parameter(call.params, "to")
        limit = parameter(call.params, "limit")
    except ValueError:
        return _error("INVALID_PARAM_VALUE", "Invalid request parameter value")
    end_ms = moment.now_ms if end is None else end * 1000 + 999
    start_ms = moment.now_ms - 30 * DAY_MS if start is None else start * 1000
    if start_ms < moment.now_ms - _RETENTION_MS:
        return _error("INVALID_PARAM_VALUE", "from is too old, at most 180 days ago")
    wanted = min(max(limit or _DEFAULT_ROWS, 1), PAGE_ROWS)
    rows: list[dict[str, Any]] = [
        {"r": plain(market.rates[i]), "t": market.times[i] // 1000}
        for i in newest_first(market, start_ms, end_ms, moment, wanted)
    ]
    return Reply(rows, rows=rows, rate_field="r", time_field="t", time_unit=1000)


_ENDPOINTS = {"contracts": _contracts, "tickers": _tickers, "funding_rate": _history}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=200, window_s=10),),
    recorded_files=("gate",),
    split_symbol=split_symbol,
    listings=listings,
    native=lambda recorded: recorded.replace("-", "_"),
    read=read,
    answer=answer,
    refuse=refuse,
)
