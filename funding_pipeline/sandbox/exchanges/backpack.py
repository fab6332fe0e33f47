"""Backpack's public market endpoints, as the sandbox answers them.

Facts this module rests on: history comes newest first and is paged by offset, 100 rows unless asked
for up to 1000, no times; stamps are ISO 8601 without an offset, the end of the interval in UTC. The
newest row is the running hour, an average so far that becomes final after its end. Rates are
fractions with nine decimals, per hour since 2025-08-20 08:00 and per 8 hours before. Bounds are
basis points, positions base units. The list holds spot and closed markets; an unknown symbol has
an empty history. 2000 requests a minute are published, 20 a second kept to. Errors are {code,
message}.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.backpack_rows import (
    OPENED_MS,
    funding_row,
    perpetual_row,
    price,
    spot_row,
    ticker_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "backpack"
PAGE_ROWS = 1000
_DEFAULT_ROWS = 100
_BASE_PATH = "/api/v1/"
_HOURLY_MS = utc_ms(2025, 8, 20) + 8 * HOUR_MS
_CLOSED_MS = utc_ms(2026, 3, 2)
_SHARES = names.SHARES[:6]


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin, shares without their .US."""
    base, quote, _ = symbol.rsplit("_", 2)
    return base.removesuffix(".US"), quote


def _native(base: str) -> str:
    return f"{base}.US_USDC_PERP" if base in _SHARES else f"{base}_USDC_PERP"


def listings() -> list[Listing]:
    """The generated markets: tokens, cheap ones by the thousand, shares; all hourly now."""
    found = catalogue(
        NAME,
        _native,
        quote="USDC",
        count=90,
        hours=1,
        launch_ms=OPENED_MS,
        thousands="k",
        decimals=9,
        rate_cap=0.015,
        shares=len(_SHARES),
    )
    return [
        replace(
            listing,
            eras=((OPENED_MS, 8), (_HOURLY_MS, 1)),
            delisted_ms=_CLOSED_MS if listing.asset in names.WITHDRAWN else None,
        )
        for listing in found
    ]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply("not found", status=404, media_type="text/plain")
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """429 without a hint when to come back."""
    return _error("TOO_MANY_REQUESTS", "Too many requests.", status=429)


def _error(code: str, message: str, status: int = 400) -> Reply:
    return Reply({"code": code, "message": message}, status=status)


def _markets(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [perpetual_row(market, moment) for market in known]
    rows.insert(1, spot_row())
    return Reply(rows, rows=rows)


def _mark_prices(_: Call, moment: Moment) -> Reply:
    rows = [
        {
            "fundingRate": plain(market.running_rate(moment.now_ms)),
            "indexPrice": plain(round(price(market, moment) * 1.0002, 8)),
            "markPrice": plain(round(price(market, moment), 8)),
            "nextFundingTimestamp": market.next_settlement_ms(moment.now_ms),
            "symbol": market.symbol,
        }
        for market in moment.dataset.listed(NAME, moment.now_ms)
    ]
    return Reply(rows, rows=rows, rate_field="fundingRate")


def _open_interest(_: Call, moment: Moment) -> Reply:
    hour = moment.now_ms // HOUR_MS
    rows: list[dict[str, Any]] = [
        {
            "openInterest": plain(
                round(open_interest_usd(market.base, hour) / price(market, moment), 5)
            ),
            "symbol": market.symbol,
            "timestamp": moment.now_ms,
        }
        for market in moment.dataset.listed(NAME, moment.now_ms)
    ]
    election = "FDVEXTD1B_USDC_PREDICTION"
    rows.append({"openInterest": "10", "symbol": election, "timestamp": moment.now_ms})
    return Reply(rows, rows=rows)


def _tickers(_: Call, moment: Moment) -> Reply:
    rows = [ticker_row(m, moment) for m in moment.dataset.listed(NAME, moment.now_ms)]
    return Reply(rows, rows=rows)


def _securities(_: Call, __: Moment) -> Reply:
    """Shares as tokens, bought by quote: none here, but other clients ask for them."""
    return Reply([], rows=[])


def _history(call: Call, moment: Moment) -> Reply:
    if not call.market:
        text = "failed to parse parameter `symbol`: parameter is required"
        return Reply(text, status=400, media_type="text/plain")
    try:
        limit, offset = parameter(call.params, "limit"), parameter(call.params, "offset")
    except ValueError:
        text = 'failed to parse parameter `limit`: failed to parse "integer(uint64)"'
        return Reply(text, status=400, media_type="text/plain")
    if (limit or 0) > PAGE_ROWS:
        return _error("INVALID_CLIENT_REQUEST", f"limit is greater than {PAGE_ROWS}")
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    rows = [] if market is None else _page(market, limit or _DEFAULT_ROWS, offset or 0, moment)
    return Reply(rows, rows=rows, rate_field="fundingRate", time_field="intervalEndTimestamp")


def _page(market: SandboxMarket, limit: int, skip: int, moment: Moment) -> list[dict[str, Any]]:
    """The running hour, where the data know how it ends, and the settlements below it."""
    size, now_ms = moment.page_limit(limit), moment.now_ms
    _, following = market.settled(0, now_ms, now_ms)
    rows = []
    if following < len(market.times) and not market.is_delisted(now_ms):
        if skip == 0:
            length_ms = market.interval_hours_at(now_ms) * HOUR_MS
            share = 1 - (market.times[following] - now_ms) / length_ms
            so_far = round(market.rates[following] * share, 9)
            rows.append(funding_row(market, market.times[following], so_far))
        skip = max(skip - 1, 0)
    size -= len(rows)
    rows += [
        funding_row(market, market.times[i], market.rates[i])
        for i in newest_first(market, 0, now_ms, moment, size, skip)
    ]
    return rows


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "markets": _markets,
    "markPrices": _mark_prices,
    "openInterest": _open_interest,
    "tickers": _tickers,
    "securities": _securities,
    "fundingRates": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=20, window_s=1), Limit(weight=2000, window_s=60)),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
