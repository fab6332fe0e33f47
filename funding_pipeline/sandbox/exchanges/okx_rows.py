"""Rows of OKX's lists: instruments, running rates, open interest, prices.

Belongs here: fields and their texts. Does not belong here: which rows an answer holds.
"""

from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import plain

# Announced swaps are listed with hardly any field filled.
UNOPENED: dict[str, Any] = {
    "instId": "NEXT-USDT-SWAP",
    "instType": "SWAP",
    "state": "preopen",
    "settleCcy": "",
    "listTime": "",
}
_METALS = ("XAU", "XAG")
# Dollars that one contract of a coin-margined swap is worth.
_INVERSE_VALUE = {"BTC": 100}


def instrument(market: SandboxMarket) -> dict[str, Any]:
    """An open swap."""
    inverse = _is_inverse(market)
    family = market.symbol.removesuffix("-SWAP")
    return {
        "alias": "",
        "baseCcy": "",
        "category": "1",
        "contTdSwTime": str(market.launch_ms),
        "ctMult": "1",
        "ctType": "inverse" if inverse else "linear",
        "ctVal": plain(_contract_value(market)),
        "ctValCcy": "USD" if inverse else market.base,
        "expTime": "",
        "futureSettlement": False,
        "instCategory": _category(market.base),
        "instFamily": family,
        "instId": market.symbol,
        "instType": "SWAP",
        "lever": "50",
        "listTime": str(market.launch_ms),
        "lotSz": "1",
        "minSz": "1",
        "quoteCcy": "",
        "ruleType": "normal",
        "settleCcy": market.base if inverse else market.quote,
        "state": "live",
        "stk": "",
        "tickSz": "0.00001",
        "uly": family.removesuffix("_UM"),
    }


def _is_inverse(market: SandboxMarket) -> bool:
    return market.symbol.endswith("-USD-SWAP")


def _contract_value(market: SandboxMarket) -> float:
    """Dollars of inverse swaps, else base units."""
    if _is_inverse(market):
        return _INVERSE_VALUE.get(market.base, 10)
    return {"BTC": 0.01, "ETH": 0.1}.get(market.base, 1)


def _category(base: str) -> str:
    if base in _METALS:
        return "4"
    return "3" if base in names.SHARES else "1"


def funding_rate(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """The running rate with the settlements before and after it."""
    upcoming = market.next_settlement_ms(now_ms)
    following = upcoming + market.interval_hours_at(upcoming) * HOUR_MS
    _, settled = market.settled(0, now_ms, now_ms)
    return {
        "formulaType": "withRate",
        "fundingRate": plain(market.running_rate(now_ms)),
        "fundingTime": str(upcoming),
        "impactValue": "10000.0000000000000000",
        "instId": market.symbol,
        "instType": "SWAP",
        "interestRate": "0.0001000000000000",
        "maxFundingRate": plain(market.rate_cap),
        "method": "current_period",
        "minFundingRate": plain(-market.rate_cap),
        "nextFundingRate": "",
        "nextFundingTime": str(following),
        "premium": "-0.0004036342508084",
        "prevFundingTime": str(market.times[settled - 1]) if settled else "",
        "settFundingRate": plain(market.rates[settled - 1]) if settled else "",
        "settState": "settled",
        "ts": str(now_ms),
    }


def dated_future(now_ms: int) -> dict[str, Any]:
    """A future that expires and yet pays funding."""
    upcoming = (now_ms // (8 * HOUR_MS) + 1) * 8 * HOUR_MS
    return {
        "formulaType": "withRate",
        "fundingRate": "0.0003449666511615",
        "fundingTime": str(upcoming),
        "impactValue": "10000.0000000000000000",
        "instId": "XAU-USD_UM_XPERP-310502",
        "instType": "FUTURES",
        "interestRate": "0.0000000000000000",
        "maxFundingRate": "0.0075",
        "method": "current_period",
        "minFundingRate": "-0.0075",
        "nextFundingRate": "",
        "nextFundingTime": str(upcoming + 8 * HOUR_MS),
        "premium": "0.0012526822744313",
        "prevFundingTime": str(upcoming - 8 * HOUR_MS),
        "settFundingRate": "0.0002932359805851",
        "settState": "settled",
        "ts": str(now_ms),
    }


def open_interest(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """In contracts, coins and dollars."""
    hour = now_ms // HOUR_MS
    value, price = open_interest_usd(market.base, hour), contract_price(market.base, hour)
    worth = _contract_value(market) * (1 if _is_inverse(market) else price)
    return {
        "instId": market.symbol,
        "instType": "SWAP",
        "oi": plain(round(value / worth, 2)),
        "oiCcy": plain(round(value / price, 4)),
        "oiUsd": plain(round(value, 2)),
        "ts": str(now_ms),
    }


def mark_price(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """The mark price alone."""
    price = contract_price(market.base, now_ms // HOUR_MS)
    return {
        "instId": market.symbol,
        "instType": "SWAP",
        "markPx": plain(round(price, 10)),
        "ts": str(now_ms),
    }


def ticker(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """Last price and volume: `vol24h` in contracts, `volCcy24h` in coins."""
    hour = now_ms // HOUR_MS
    volume, price = day_volume_usd(market.base, hour), contract_price(market.base, hour)
    worth = _contract_value(market) * (1 if _is_inverse(market) else price)
    last = plain(round(price, 10))
    return {
        "instType": "SWAP",
        "instId": market.symbol,
        "last": last,
        "lastSz": "1",
        "askPx": last,
        "askSz": "1",
        "bidPx": last,
        "bidSz": "1",
        "open24h": last,
        "high24h": last,
        "low24h": last,
        "volCcy24h": plain(round(volume / price, 4)),
        "vol24h": plain(round(volume / worth, 2)),
        "ts": str(now_ms),
        "sodUtc0": last,
        "sodUtc8": last,
    }
