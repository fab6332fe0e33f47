"""Bitfinex's public status of derivatives, as the sandbox answers it.

Facts this module rests on: rows are arrays, those of the list of all begin with the symbol. One
sample a minute is kept as history, newest first unless sorted the other way, 100 unless asked for
up to 5000, both ends included, `end` as whole seconds. CURRENT_FUNDING is what the next boundary of
8 hours pays, the same all through its period. Contracts of paper trading stand in the list, some
are quoted in bitcoin, three coins have codes of their own. An unknown market has an empty history.
90 requests a minute, then a minute of refusals; errors are ["error", code, text] with status 500.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.prices import contract_price, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "bitfinex"
PAGE_ROWS = 5000
_DEFAULT_ROWS = 100
_PERIOD_MS = 8 * HOUR_MS
_MINUTE_MS = 60_000
_SECOND_IN_MINUTE_MS = 24_000
_HISTORY = ("/v2/status/deriv/", "/hist")
_SINCE_MS = utc_ms(2023, 6, 1)
_CODES = {"ALGO": "ALG", "ATOM": "ATO", "IOTA": "IOT"}
_COINS = {code: coin for coin, code in _CODES.items()}
_CAP = 0.0025


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.removeprefix("t").partition(":")
    base = base.removesuffix("F0")
    return _COINS.get(base, base), quote.removesuffix("F0")


def listings() -> list[Listing]:
    """The generated markets: tokens in USDt, two in bitcoin behind the first of them."""
    in_usdt = catalogue(
        NAME,
        lambda base: f"t{_CODES.get(base, base)}F0:USTF0",
        quote="UST",
        count=90,
        hours=8,
        launch_ms=_SINCE_MS,
        thousands="",
        rate_cap=_CAP,
    )
    in_bitcoin = [
        Listing(f"t{asset}F0:BTCF0", asset, "BTC", asset, ((_SINCE_MS, 8),), _CAP, 8)
        for asset in ("ETH", "LTC")
    ]
    return in_usdt[:20] + in_bitcoin + in_usdt[20:]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    path = request.path
    if request.method == "GET" and path == "/v2/status/deriv":
        return Call("status/deriv", request.query.get("keys"), request.query)
    if request.method == "GET" and path.startswith(_HISTORY[0]) and path.endswith(_HISTORY[1]):
        key = path.removeprefix(_HISTORY[0]).removesuffix(_HISTORY[1])
        return Call("status/deriv/hist", key, request.query)
    if request.method == "GET" and path.startswith("/v2/conf/"):
        return Call("conf", path.removeprefix("/v2/conf/"), request.query)
    return Call("unknown path", None, {})


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("<pre>Cannot GET</pre>", status=404, media_type="text/html")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """What an address gets for a minute after an excess."""
    return Reply({"error": "ERR_RATE_LIMIT"}, status=429)


def _row(market: SandboxMarket, time_ms: int, rate: float) -> list[Any]:
    """The fields of a sample, without the symbol."""
    hour = time_ms // HOUR_MS
    price = contract_price(market.base, hour)
    boundary = (time_ms // _PERIOD_MS + 1) * _PERIOD_MS
    return [
        time_ms,
        None,
        round(price * 1.0003, 8),
        round(price * 0.9999, 8),
        None,
        36950860.76010306,
        None,
        boundary,
        round(market.running_rate(boundary) * 0.6 + 0.0005, 8),
        (time_ms - boundary + _PERIOD_MS) // 3000,
        None,
        rate,
        None,
        None,
        round(price, 8),
        None,
        None,
        round(open_interest_usd(market.base, hour) / price, 8),
        None,
        None,
        None,
        0.0005,
        market.rate_cap,
    ]


def _paid_next(market: SandboxMarket) -> Callable[[int], float]:
    """The rate that the boundary after a time pays; looked up once per period."""
    rates: dict[int, float] = {}

    def rate(time_ms: int) -> float:
        boundary = (time_ms // _PERIOD_MS + 1) * _PERIOD_MS
        if boundary not in rates:
            late = boundary + HOUR_MS // 2
            low, high = market.settled(boundary, late, late)
            rates[boundary] = market.rates[low] if high > low else market.running_rate(time_ms)
        return rates[boundary]

    return rate


def _status(call: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    keys = (call.market or "").split(",")
    now_ms = moment.now_ms // 3000 * 3000
    rows: list[list[Any]] = [
        [market.symbol, *_row(market, now_ms, _paid_next(market)(now_ms))]
        for market in listed
        if "ALL" in keys or market.symbol in keys
    ]
    if rows and "ALL" in keys:
        rows.append(["tTESTBTCF0:TESTUSDTF0", *rows[0][1:]])
    return Reply(rows, rows=rows, rate_field=12)


def _history(call: Call, moment: Moment) -> Reply:
    try:
        start, end = parameter(call.params, "start"), parameter(call.params, "end")
        limit, sort = parameter(call.params, "limit"), parameter(call.params, "sort")
    except ValueError:
        return Reply(["error", 10020, "limit: invalid"], status=500)
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    rows: list[list[Any]] = []
    if market is not None:
        end_ms = moment.now_ms if end is None else min(end // 1000 * 1000 + 999, moment.now_ms)
        if market.is_delisted(moment.now_ms) and market.delisted_ms is not None:
            end_ms = min(end_ms, market.delisted_ms)
        start_ms = max(start or 0, market.launch_ms)
        wanted = moment.page_limit(min(max(limit or _DEFAULT_ROWS, 1), PAGE_ROWS))
        times = _sampled(start_ms, end_ms, oldest_first=sort == 1)
        rate = _paid_next(market)
        rows = [_row(market, time_ms, rate(time_ms)) for time_ms in islice(times, wanted)]
    return Reply(rows, rows=rows, rate_field=11, time_field=0)


def _sampled(start_ms: int, end_ms: int, *, oldest_first: bool) -> Iterator[int]:
    """The times of samples in [start, end]."""
    low = -((_SECOND_IN_MINUTE_MS - start_ms) // _MINUTE_MS)
    high = (end_ms - _SECOND_IN_MINUTE_MS) // _MINUTE_MS
    minutes = range(low, high + 1)
    chosen = minutes if oldest_first else reversed(minutes)
    return (minute * _MINUTE_MS + _SECOND_IN_MINUTE_MS for minute in chosen)


def _conf(call: Call, moment: Moment) -> Reply:
    """One list per label; only those of pairs are filled."""
    pairs = [m.symbol.removeprefix("t") for m in moment.dataset.listed(NAME, moment.now_ms)]
    pairs.append("TESTBTCF0:TESTUSDTF0")
    size = [None, None, None, "0.02", "5000.0", None, None, None, 0.01, 0.005]
    lists = {
        "pub:list:pair:futures": pairs,
        "pub:info:pair:futures": [[pair, size] for pair in pairs],
        "pub:info:pair": [["BTCUSD", size], ["AVAX:USD", size]],
        "pub:list:pair:margin": ["BTCUSD"],
    }
    return Reply([lists.get(label, []) for label in (call.market or "").split(",")])


_ENDPOINTS = {"status/deriv": _status, "status/deriv/hist": _history, "conf": _conf}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=90, window_s=60, penalty_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    history="boundaries",
)
