"""The rows of Bybit's `instruments-info` and `tickers`.

Belongs here: every field of those rows. Does not belong here:
parameters, paging, history, errors (`bybit`).
"""

from math import floor, log10
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import (
    asset_of,
    day_volume_usd,
    mark_price,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import plain

_MAJORS = ("BTC", "ETH", "SOL")


def status_of(market: SandboxMarket, now_ms: int) -> str:
    """`Closed` from the delisting on."""
    return "Closed" if market.is_delisted(now_ms) else "Trading"


def _tick_decimals(price: float) -> int:
    return max(2, 4 - floor(log10(price)))


def instrument_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One row of `instruments-info`."""
    asset, units = asset_of(market.base)
    price = mark_price(asset, now_ms // HOUR_MS) * units
    decimals = _tick_decimals(price)
    tick, top = 10.0**-decimals, 1999999 * 10.0**-decimals
    step = 10.0 ** -max(0, min(3, floor(log10(price))))
    cap = plain(market.rate_cap)
    closed = market.is_delisted(now_ms)
    return {
        "symbol": market.symbol,
        "contractType": "LinearPerpetual",
        "status": status_of(market, now_ms),
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "launchTime": str(market.launch_ms),
        "deliveryTime": str(market.delisted_ms) if closed else "0",
        "deliveryFeeRate": "",
        "priceScale": str(decimals),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": "100.00" if asset in _MAJORS else "25.00",
            "leverageStep": "0.01",
        },
        "priceFilter": {
            "minPrice": f"{tick:.{decimals}f}",
            "maxPrice": f"{top:.{decimals}f}",
            "tickSize": f"{tick:.{decimals}f}",
        },
        "lotSizeFilter": {
            "maxOrderQty": "100000.000",
            "minOrderQty": plain(step),
            "qtyStep": plain(step),
            "postOnlyMaxOrderQty": "100000.000",
            "maxMktOrderQty": "10000.000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": market.interval_hours_at(now_ms) * 60,
        "settleCoin": market.quote,
        "copyTrading": "both",
        "upperFundingRate": cap,
        "lowerFundingRate": f"-{cap}",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
        "displayName": f"{market.base}{market.quote}",
        "symbolType": "",
        "marketRegion": "",
        "underlyingTicker": "",
    }


def ticker_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One row of `tickers`."""
    asset, units = asset_of(market.base)
    hour = now_ms // HOUR_MS
    price = mark_price(asset, hour) * units
    day_before, hour_before = (mark_price(asset, hour - n) * units for n in (24, 1))
    decimals = _tick_decimals(price)
    single = open_interest_usd(asset, hour)
    volume = day_volume_usd(asset, hour)

    def text(value: float) -> str:
        return f"{value:.{decimals}f}"

    return {
        "symbol": market.symbol,
        "lastPrice": text(price),
        "indexPrice": text(price * 1.0003),
        "markPrice": text(price),
        "prevPrice24h": text(day_before),
        "price24hPcnt": f"{price / day_before - 1:.6f}",
        "highPrice24h": text(max(price, day_before) * 1.01),
        "lowPrice24h": text(min(price, day_before) * 0.99),
        "prevPrice1h": text(hour_before),
        # Both sides of every position; one side follows in the `single` fields.
        "openInterest": f"{2 * single / price:.3f}",
        "openInterestValue": f"{2 * single:.2f}",
        "singleOpenInterest": f"{single / price:.3f}",
        "singleOpenInterestValue": f"{single:.2f}",
        "turnover24h": f"{volume:.4f}",
        "volume24h": f"{volume / price:.4f}",
        "fundingRate": plain(market.running_rate(now_ms)),
        "nextFundingTime": str(market.next_settlement_ms(now_ms)),
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "ask1Size": "1.000",
        "bid1Price": text(price),
        "ask1Price": text(price + 10.0**-decimals),
        "bid1Size": "1.000",
        "basis": "",
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
        "fundingIntervalHour": str(market.interval_hours_at(now_ms)),
        "basisRateYear": "",
        "fundingCap": plain(market.rate_cap),
    }
