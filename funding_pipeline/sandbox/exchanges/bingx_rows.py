"""The rows of BingX's `contracts`, `premiumIndex`, `ticker` and `fundingRate`.

Belongs here: every field of those rows. Does not belong here: parameters, errors (`bingx`).
"""

from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import asset_of, contract_price, day_volume_usd
from funding_pipeline.sandbox.wire import Moment, plain


def contract_row(number: int, market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """One row of `contracts`."""
    suspended = market.is_delisted(moment.now_ms)
    return {
        "contractId": str(100 + number),
        "symbol": market.symbol,
        "size": "0",
        "quantityPrecision": 4,
        "pricePrecision": 5,
        "feeRate": 0.0005,
        "makerFeeRate": 0.0002,
        "takerFeeRate": 0.0005,
        "tradeMinLimit": 0,
        "tradeMinQuantity": 0.0001,
        "tradeMinUSDT": 2,
        "maxLongLeverage": 125,
        "maxShortLeverage": 125,
        "currency": market.quote,
        "asset": market.base,
        "status": 25 if suspended else 1,
        "apiStateOpen": "false" if suspended else "true",
        "apiStateClose": "true",
        "ensureTrigger": True,
        "triggerFeeRate": "0.00020000",
        "brokerState": False,
        "launchTime": market.launch_ms,
        "maintainTime": 0,
        "offTime": 0,
        "displayName": market.symbol,
    }


def premium_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """One row of `premiumIndex`: the running estimate."""
    price = contract_price(market.base, moment.now_ms // HOUR_MS)
    hours = market.interval_hours_at(moment.now_ms)
    following = market.next_settlement_ms(moment.now_ms)
    return {
        "symbol": market.symbol,
        "markPrice": plain(round(price, 8)),
        "indexPrice": plain(round(price * 1.0002, 8)),
        "lastFundingRate": f"{market.running_rate(moment.now_ms) + 0.0:.8f}",
        "nextFundingTime": following,
        "fundingIntervalHours": hours,
        "minFundingRate": f"{-market.rate_cap:.6f}",
        "maxFundingRate": f"{market.rate_cap:.6f}",
        "updateTime": following - hours * HOUR_MS,
    }


def ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """One row of `ticker`."""
    hour = moment.now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    volume = day_volume_usd(asset_of(market.base)[0], hour)
    return {
        "symbol": market.symbol,
        "priceChangePercent": "0.50",
        "lastPrice": plain(round(price, 8)),
        "volume": f"{volume / price:.4f}",
        "quoteVolume": f"{volume:.2f}",
        "openTime": moment.now_ms - 24 * HOUR_MS,
        "closeTime": moment.now_ms,
    }


def history_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    """One settlement."""
    time_ms = market.times[index]
    return {
        "symbol": market.symbol,
        "fundingRate": f"{market.rates[index] + 0.0:.8f}",
        "fundingTime": time_ms,
        "markPrice": plain(round(contract_price(market.base, time_ms // HOUR_MS), 8)),
    }
