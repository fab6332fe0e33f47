"""Variational's only public endpoint, `GET /metadata/stats`, as the sandbox answers it.

Facts this module rests on: all listings in one answer; `funding_rate` is an annualised fraction
whatever the interval, with six decimals at most; there is no history and no time of the next
payment, which falls on the UTC grid of the interval; an interval of 0 means no funding at all. The
value in force just before a boundary is what that boundary settles. 10 requests per 10 s.
"""

from bisect import bisect_right
from datetime import UTC, datetime
from math import ceil
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, plain

NAME = "variational"
_PATH = "/metadata/stats"
_HOURS_PER_YEAR = 8760
_START_MS = utc_ms(2025, 2, 1)
# How often the shown rate changes; the last change before a boundary brings what is settled.
_STEP_MS = HOUR_MS // 6
# Swaps without funding; they carry the ticker of the metal, stock or index.
_SWAPS = {"XAUS": "Gold Spot", "SPXS": "S&P 500", "NDXS": "Nasdaq 100", "WTIS": "Crude Oil"}


def split_symbol(symbol: str) -> tuple[str, str]:
    """The ticker itself; everything is quoted in USDC."""
    return symbol, "USDC"


def listings() -> list[Listing]:
    """The generated markets; most settle every 4 or 8 hours, few every hour, some never."""
    tokens = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS)]
    shares = [_listing(asset, 9, multiplier=0.5) for asset in names.SHARES]
    swaps = [_listing(ticker, 9, multiplier=0.0) for ticker in _SWAPS]
    return tokens[:20] + swaps[:1] + shares[:1] + tokens[20:] + shares[1:] + swaps[1:]


def _listing(asset: str, rank: int, multiplier: float = 1.0) -> Listing:
    ticker = f"1000{asset}" if asset in names.THOUSANDS else asset
    chance = uniform("variational|interval", rank)
    hours = 8 if rank < 10 or chance > 0.6 else 4 if chance > 0.05 else 1
    # The cap is 2 % an hour.
    cap = 0.02 * hours
    return Listing(
        ticker, ticker, "USDC", asset, ((_START_MS, hours),), cap, 12, multiplier=multiplier
    )


def _annualised(market: SandboxMarket, number: int) -> float:
    """A settlement of the market as the exchange shows it."""
    time = market.times[number]
    return market.rates[number] * _HOURS_PER_YEAR / market.interval_hours_at(time - 1)


def published_rate(market: SandboxMarket, ms: int) -> float:
    """The annualised fraction shown at that moment; it moves from one settlement to the next."""
    following = min(bisect_right(market.times, ms), len(market.times) - 1)
    target = _annualised(market, following)
    if following == 0:
        return round(target, 6)
    before = market.times[following - 1]
    steps = (market.times[following] - before) // _STEP_MS
    step = min((ms - before) // _STEP_MS, steps - 1)
    start = _annualised(market, following - 1)
    return round(target if step == steps - 1 else start + (target - start) * step / steps, 6)


def settled_rate(market: SandboxMarket, boundary_ms: int) -> float:
    """The fraction that the boundary settles: what is shown just before, for one interval."""
    hours = market.interval_hours_at(boundary_ms - 1)
    return published_rate(market, boundary_ms - 1) * hours / _HOURS_PER_YEAR


def read(request: Request) -> Call:
    """The one endpoint, or an unknown path."""
    if request.method != "GET" or request.path != _PATH:
        return Call("unknown path", None, {})
    return Call("metadata/stats", None, request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """Everything there is to know."""
    if call.endpoint == "unknown path":
        return Reply({"error": "not found"}, status=404)
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_listing_row(market, moment.now_ms) for market in listed]
    hour = moment.now_ms // HOUR_MS
    volume = sum(day_volume_usd(asset_of(market.base)[0], hour) for market in listed)
    interest = sum(open_interest_usd(asset_of(market.base)[0], hour) for market in listed)
    payload = {
        "total_volume_24h": f"{volume:.6f}",
        "cumulative_volume": f"{volume * 500:.6f}",
        "tvl": f"{interest / 8:.18f}",
        "open_interest": f"{2 * interest:.19f}",
        "num_markets": len(rows),
        "loss_refund": {"pool_size": "0", "refunded_24h": "0"},
        "listings": rows,
    }
    return Reply(payload, rows=rows, rate_field="funding_rate")


def refuse(refusal: Refusal) -> Reply:
    """What an address gets that asks too often."""
    headers = {"Retry-After": str(max(1, ceil(refusal.wait_s)))}
    return Reply({"error": "too many requests"}, status=429, headers=headers)


def _listing_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price = contract_price(market.base, hour)
    interest = open_interest_usd(asset, hour)
    swap = _SWAPS.get(market.base)
    hours = 0 if swap else market.interval_hours_at(now_ms)
    updated = datetime.fromtimestamp(now_ms // 60_000 * 60, UTC)

    def quote(half_spread: float) -> dict[str, str]:
        bid, ask = price * (1 - half_spread), price * (1 + half_spread)
        return {"bid": plain(float(f"{bid:.6g}")), "ask": plain(float(f"{ask:.6g}"))}

    deep = {"size_1m": quote(0.0002)} if interest > 1e8 and not swap else {}
    return {
        "ticker": market.symbol,
        "name": f"Swap on {swap}" if swap else asset.capitalize(),
        "mark_price": plain(price),
        "volume_24h": f"{day_volume_usd(asset, hour):.6f}",
        "open_interest": {
            "long_open_interest": f"{interest * 1.1:.20f}",
            "short_open_interest": f"{interest * 0.9:.20f}",
        },
        "funding_rate": "0" if swap else plain(published_rate(market, now_ms)),
        "funding_interval_s": hours * 3600,
        "base_spread_bps": "1.0811950761854030298845160000",
        "quotes": {
            "updated_at": f"{updated:%Y-%m-%dT%H:%M:%S}.684094484Z",
            "base": quote(0.00005),
            "size_1k": quote(0.00006),
            "size_100k": quote(0.0001),
            **deep,
        },
    }


EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=10, window_s=10),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    unfunded=lambda market: market.base in _SWAPS,
    history="none",
)
