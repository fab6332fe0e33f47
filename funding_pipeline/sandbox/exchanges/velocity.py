"""Velocity's data API, as the sandbox answers it.

Facts this module rests on: a record tells what longs pay in quote currency per base unit for the
hour, with nine decimals, beside the oracle's mean price with six; stamps are seconds, about a
minute after the hour; history comes newest first by cursor, 750 rows at most, and reaches back 31
days. The list of markets holds spot too; its running rate is percent per hour as each side's profit
and loss. No rate limit is published; the one here stands for any. Errors: success false, message.
"""

from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

NAME = "velocity"
PAGE_ROWS = 750
_DEFAULT_ROWS = 100
_KEPT_MS = 31 * DAY_MS
_ASSETS = ("SOL", "BTC", "ETH", "HYPE")
_WITHDRAWN = "XRP"
_WITHDRAWN_MS = utc_ms(2026, 8, 20)
_LATE_MS = 60_000
_SLOT_MS = 400


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base coin; everything is quoted in USDT."""
    return symbol.removesuffix("-PERP"), "USDT"


def listings() -> list[Listing]:
    """The four markets that the exchange has, and one that it has no longer."""
    tokens = {
        listing.asset: listing
        for listing in catalogue(
            NAME,
            lambda base: f"{base}-PERP",
            quote="USDT",
            count=20,
            hours=1,
            decimals=9,
            rate_cap=0.00125,
            jitter_ms=2 * _LATE_MS,
        )
    }
    gone = replace(tokens[_WITHDRAWN], delisted_ms=_WITHDRAWN_MS)
    return [*(tokens[asset] for asset in _ASSETS), gone]


def settled_rate(market: SandboxMarket, number: int) -> float:
    """The fraction that the two rounded texts of a record make."""
    per_unit, price = _amounts(market, number)
    return float(per_unit) / float(price)


def _amounts(market: SandboxMarket, number: int) -> tuple[str, str]:
    price = f"{contract_price(market.base, market.times[number] // HOUR_MS):.6f}"
    return f"{market.rates[number] * float(price):.9f}", price


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    match request.path.split("/"):
        case ["", "stats", "markets"]:
            return Call("stats/markets", None, request.query)
        case ["", "market", symbol, "fundingRates"]:
            return Call("fundingRates", symbol, request.query)
        case _:
            return Call("unknown path", None, {})


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "stats/markets":
        return _markets(moment)
    if call.endpoint == "fundingRates":
        return _history(call, moment)
    return _error("Not found", status=404)


def refuse(_: Refusal) -> Reply:
    """What an address gets that asks too often."""
    return _error("Too many requests", status=429)


def _error(message: str, status: int = 400) -> Reply:
    return Reply({"success": False, "message": message}, status=status)


def _markets(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_perpetual(number, market, moment.now_ms) for number, market in enumerate(known)]
    payload = {"success": True, "markets": [_spot("USDT"), _spot("SOL"), *rows]}
    return Reply(payload, rows=rows, rate_field="fundingRate")


def _spot(symbol: str) -> dict[str, Any]:
    nothing = {"oracle": "0.000000", "fill": "0.000000"}
    return {
        "symbol": symbol,
        "marketIndex": 0,
        "marketType": "spot",
        "status": "active",
        "precision": 6,
        "limits": {"withdraw": {"max": 9500}, "deposit": {"max": 5_000_000}},
        "oraclePrice": "1.000000",
        "baseVolume": "0",
        "quoteVolume": "0",
        "deposits": "4051073",
        "borrows": "16943",
        "price": "",
        "priceChange24h": "",
        "priceChange24hPercent": "",
        "priceHigh": nothing,
        "priceLow": nothing,
    }


def _perpetual(number: int, market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    interest = open_interest_usd(market.base, hour) / price
    volume = day_volume_usd(market.base, hour)
    percent = 100 * market.running_rate(now_ms)
    gone = market.is_delisted(now_ms)
    return {
        "symbol": market.symbol,
        "marketIndex": number,
        "marketType": "perp",
        "uiStatus": "hidden" if gone else "visible",
        "baseAsset": market.base,
        "quoteAsset": "USDT",
        "status": "settlement" if gone else "active",
        "precision": 9,
        "limits": {"leverage": {"min": 1, "max": 20}, "amount": {"min": 0.01, "max": 16_081.91}},
        "fees": {"maker": -2.5e-05, "taker": 0.0002},
        "oraclePrice": f"{price * 0.999:.6f}",
        "markPrice": f"{price:.6f}",
        "baseVolume": f"{volume / price:.6f}",
        "quoteVolume": f"{volume:.6f}",
        "openInterest": {"long": f"{interest:.4f}", "short": f"{-0.15 * interest:.4f}"},
        "fundingRate": {"long": f"{-percent:.6f}", "short": f"{percent:.6f}"},
        "fundingRate24h": f"{percent:.6f}",
        "fundingRateUpdateTs": (hour * HOUR_MS + _LATE_MS) // 1000,
        "price": f"{price:.6f}",
        "priceChange24h": f"{-0.005 * price:.6f}",
        "priceChange24hPercent": "-0.50",
        "priceHigh": {"oracle": f"{price * 1.01:.6f}", "fill": f"{price * 1.01:.6f}"},
        "priceLow": {"oracle": f"{price * 0.99:.6f}", "fill": f"{price * 0.99:.6f}"},
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error("Market not found", status=404)
    try:
        limit = parameter(call.params, "limit") or _DEFAULT_ROWS
        end_ms = _before(call.params["page"]) if call.params.get("page") else moment.now_ms
    except ValueError:
        return _error("Invalid request")
    start_ms = moment.now_ms - _KEPT_MS
    chosen = newest_first(market, start_ms, end_ms, moment, min(max(limit, 1), PAGE_ROWS))
    rows = [_record(market, i) for i in chosen]
    more = bool(chosen) and market.settled(start_ms, market.times[chosen[-1]] - 1, end_ms)
    following = _cursor(market, chosen[-1]) if more and more[0] < more[1] else None
    return Reply(
        {"success": True, "meta": {"nextPage": following}, "records": rows},
        rows=rows,
        rate_field="fundingRateLong",
        time_field="ts",
        time_unit=1000,
    )


def _cursor(market: SandboxMarket, number: int) -> str:
    key = f"MARKET#{market.symbol}|FUNDING_RATE#MS#{market.times[number]}"
    return b64encode(key.encode()).decode()


def _before(cursor: str) -> int:
    """The last millisecond before the row that a cursor names; ValueError if it is none."""
    return int(b64decode(cursor, validate=True).decode().rpartition("#")[2]) - 1


def _record(market: SandboxMarket, number: int) -> dict[str, Any]:
    time_ms = market.times[number]
    per_unit, price = _amounts(market, number)
    rate = market.rates[number]
    return {
        "ts": time_ms // 1000,
        "txSig": sha256(f"{market.symbol}|{time_ms}".encode()).hexdigest(),
        "txSigIndex": 0,
        "slot": time_ms // _SLOT_MS,
        "recordId": str(number),
        "marketIndex": market.number,
        "symbol": market.symbol,
        "fundingRate": per_unit,
        "fundingRateLong": per_unit,
        "fundingRateShort": per_unit,
        "cumulativeFundingRateLong": "4179.334179711",
        "cumulativeFundingRateShort": "4179.334179711",
        "oraclePriceTwap": price,
        "markPriceTwap": f"{float(price) * (1 + 24 * rate):.6f}",
        "periodRevenue": "0.000000",
        "baseAssetAmountWithAmm": "0.314400000",
        "baseAssetAmountWithUnsettledLp": "0.000000000",
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
    settled_rate=settled_rate,
)
