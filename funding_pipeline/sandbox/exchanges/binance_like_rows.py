"""The rows of `fundingRate`, `fundingInfo`, `premiumIndex`, `ticker/24hr` and `openInterest`.

Belongs here: every field of those rows as Binance USD-M writes them. Does not belong here: what
others write otherwise (their modules), contracts (`binance_like_contracts`), parameters.
"""

from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.exchanges.binance_like_contracts import base_of, price_decimals
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)


def rate_text(rate: float) -> str:
    """Eight decimals; zero has no sign."""
    return f"{round(rate, 8) + 0.0:.8f}"


def history_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    """One settlement."""
    time_ms = market.times[index]
    return {
        "symbol": market.symbol,
        "fundingTime": time_ms,
        "fundingRate": rate_text(market.rates[index]),
        "markPrice": f"{contract_price(market.base, time_ms // HOUR_MS):.8f}",
        "rateType": "Regular",
    }


def funding_info_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """Interval and caps in force; the most traded have narrower caps, written shorter."""
    narrow = market.rate_cap < 0.01
    cap = f"{market.rate_cap:.5f}" if narrow else f"{market.rate_cap:.8f}"
    return {
        "symbol": market.symbol,
        "adjustedFundingRateCap": cap,
        "adjustedFundingRateFloor": f"-{cap}",
        "fundingIntervalHours": market.interval_hours_at(now_ms),
        "disclaimer": narrow,
        "updateTime": None if narrow else market.launch_ms,
    }


def premium_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """`lastFundingRate` is the running estimate; a delisted market has none any more."""
    delisted = market.is_delisted(now_ms)
    row = dated_premium_row(market.symbol, now_ms, market.base)
    if not delisted:
        row["lastFundingRate"] = rate_text(market.running_rate(now_ms))
        row["interestRate"] = rate_text(0.0 if market.base in names.SHARES else 0.0001)
        row["nextFundingTime"] = market.next_settlement_ms(now_ms)
    return row


def dated_premium_row(symbol: str, now_ms: int, base: str | None = None) -> dict[str, Any]:
    """A contract without funding."""
    price = contract_price(base or base_of(symbol), now_ms // HOUR_MS)
    return {
        "symbol": symbol,
        "markPrice": f"{price:.8f}",
        "indexPrice": f"{price * 1.0003:.8f}",
        "estimatedSettlePrice": f"{price * 1.0002:.8f}",
        "lastFundingRate": "0.00000000",
        "interestRate": "0.00000000",
        "nextFundingTime": 0,
        "time": now_ms,
    }


def ticker_row(symbol: str, base: str, now_ms: int) -> dict[str, Any]:
    """One row of `ticker/24hr`."""
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(base)
    price, before = contract_price(base, hour), contract_price(base, hour - 24)
    decimals = price_decimals(price)
    volume = day_volume_usd(asset, hour)

    def text(value: float) -> str:
        return f"{value:.{decimals}f}"

    return {
        "symbol": symbol,
        "priceChange": text(price - before),
        "priceChangePercent": f"{100 * (price / before - 1):.3f}",
        "weightedAvgPrice": text((price + before) / 2),
        "lastPrice": text(price),
        "lastQty": "1.000",
        "openPrice": text(before),
        "highPrice": text(max(price, before) * 1.01),
        "lowPrice": text(min(price, before) * 0.99),
        "volume": f"{volume / price:.3f}",
        "quoteVolume": f"{volume:.2f}",
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": 1,
        "lastId": 100_000,
        "count": 100_000,
    }


def open_interest_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One side, in contract units."""
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    interest = open_interest_usd(asset, hour) / contract_price(market.base, hour)
    return {"openInterest": f"{interest:.3f}", "symbol": market.symbol, "time": now_ms}
