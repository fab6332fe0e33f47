"""Reya's public endpoints, as the sandbox answers them.

Facts this module rests on: the rate is percent per hour with up to 18 decimals and accrues all the
time; there is no history. The summary holds every market that ever was, a dead one with the rate it
died with, no volume and no interest; the definitions list those that are live. Open interest is in
base units per side. The sandbox shows the rate of the hour that runs: what is read in it is what
the hour settles. 1000 requests per 60 s.
"""

from dataclasses import replace
from math import ceil
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, plain

NAME = "reya"
_BASE_PATH = "/v2/"
_SUFFIX = "RUSDPERP"
_LISTED_MS = utc_ms(2024, 3, 4)
_DEAD_MS = utc_ms(2025, 5, 6)
_DEAD = frozenset({"MKR", "DOT", "TON", "SNX", "STX"})
# What a dead market shows for ever, in percent.
_LAST_PERCENT = "0.2916666666666667"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base coin and Reya's dollar."""
    return symbol.removesuffix(_SUFFIX), "RUSD"


def listings() -> list[Listing]:
    """The generated markets: tokens, some of them dead."""
    tokens = catalogue(
        NAME,
        lambda base: f"{base}{_SUFFIX}",
        quote="RUSD",
        count=75,
        hours=1,
        launch_ms=_LISTED_MS,
        thousands="k",
        decimals=15,
        rate_cap=0.00291,
    )
    return [replace(t, delisted_ms=_DEAD_MS if t.asset in _DEAD else None) for t in tokens]


def read(request: Request) -> Call:
    """Which endpoint is asked for."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, None, request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply({"error": "NOT_FOUND", "message": "no such route"}, status=404)
    return _ENDPOINTS[call.endpoint](moment)


def refuse(refusal: Refusal) -> Reply:
    """What an address gets that asks too often."""
    headers = {"Retry-After": str(max(1, ceil(refusal.wait_s)))}
    payload = {"error": "RATE_LIMIT", "message": "too many requests"}
    return Reply(payload, status=429, headers=headers)


def _definitions(moment: Moment) -> Reply:
    rows: list[dict[str, Any]] = [
        {
            "symbol": market.symbol,
            "marketId": market.number + 1,
            "minOrderQty": "0.001",
            "qtyStepSize": "0.0001",
            "tickSize": "0.001",
            "liquidationMarginParameter": "0.019235384061671346",
            "initialMarginParameter": "0.02500599928017275",
            "maxLeverage": 40,
            "oiCap": "145",
        }
        for market in moment.dataset.listed(NAME, moment.now_ms)
    ]
    return Reply(rows, rows=rows)


def _summary(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_summary_row(market, moment.now_ms) for market in known]
    return Reply(rows, rows=rows, rate_field="fundingRate")


def _summary_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price = contract_price(market.base, hour)
    units = open_interest_usd(asset, hour) / price
    row = {
        "symbol": market.symbol,
        "updatedAt": now_ms - 400,
        "longOiQty": plain(round(units, 12)),
        "shortOiQty": plain(round(units * 0.98, 12)),
        "oiQty": plain(round(units, 12)),
        "fundingRate": plain(round(100 * market.running_rate(now_ms), 15)),
        "longFundingValue": plain(round(price * 0.2, 12)),
        "shortFundingValue": plain(round(price * 0.199, 12)),
        "fundingRateVelocity": "0.001380762750452615",
        "volume24h": plain(round(day_volume_usd(asset, hour), 8)),
        "pxChange24h": plain(round(price * -0.003, 12)),
        "throttledOraclePrice": plain(price),
        "throttledPoolPrice": plain(price * 1.0002),
        "pricesUpdatedAt": now_ms - 800,
    }
    if market.is_delisted(now_ms):
        del row["pxChange24h"]
        row |= {"longOiQty": "0.01", "shortOiQty": "0", "oiQty": "0", "volume24h": "0"}
        row |= {"fundingRate": _LAST_PERCENT, "fundingRateVelocity": "0"}
    return row


_ENDPOINTS = {"marketDefinitions": _definitions, "perpMarkets/summary": _summary}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=1000, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    history="none",
)
