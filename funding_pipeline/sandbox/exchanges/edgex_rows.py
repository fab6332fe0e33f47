"""Rows of edgeX's answers: metadata, funding, tickers.

Belongs here: their fields. Does not belong here: endpoints, paging, errors.
"""

from collections.abc import Sequence
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.names import SHARES
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import plain

SETTLED_DECIMALS = 8
_FIRST_CONTRACT = 30_000_001
_FIRST_COIN = 1000
_METALS = ("XAU", "XAG")


def contract_id(market: SandboxMarket) -> str:
    """The number that requests name the contract by."""
    return str(_FIRST_CONTRACT + market.number)


def metadata(markets: Sequence[SandboxMarket], now_ms: int) -> dict[str, Any]:
    """Coins and contracts; a contract names its coins by their ids."""
    quote = markets[0].quote if markets else "USDC"
    coins = [{"coinId": str(_FIRST_COIN), "coinName": quote}]
    coins += [{"coinId": _coin_id(market), "coinName": market.base} for market in markets]
    return {
        "global": {"collateralCoinId": str(_FIRST_COIN), "maxFundingRate": 12000},
        "coinList": coins,
        "contractList": [_contract_row(market, now_ms) for market in markets],
    }


def _coin_id(market: SandboxMarket) -> str:
    return str(_FIRST_COIN + 1 + market.number)


def _contract_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    trades = not market.is_delisted(now_ms)
    cap = plain(market.rate_cap)
    return {
        "contractId": contract_id(market),
        "contractName": market.symbol,
        "baseCoinId": _coin_id(market),
        "quoteCoinId": str(_FIRST_COIN),
        "tickSize": "0.1",
        "stepSize": "0.001",
        "minOrderSize": "0.001",
        "maxOrderSize": "100",
        "enableTrade": trades,
        "enableDisplay": trades,
        "enableOpenPosition": trades,
        "fundingInterestRate": "0.0003",
        "fundingImpactMarginNotional": "10",
        "fundingMaxRate": cap,
        "fundingMinRate": f"-{cap}",
        "fundingRateIntervalMin": str(market.interval_hours_at(now_ms) * 60),
        "displayMaxLeverage": "50",
        "isStock": market.base in SHARES and market.base not in _METALS,
        "isFx": False,
    }


def funding_row(market: SandboxMarket, index: int, told_ms: int) -> dict[str, Any]:
    """The settlement of that index as it was told at a moment."""
    time_ms = market.times[index]
    mark = plain(round(contract_price(market.base, told_ms // HOUR_MS), 18))
    before = round(market.rates[max(index - 1, 0)], SETTLED_DECIMALS)
    return {
        "contractId": contract_id(market),
        "fundingTime": str(time_ms),
        "fundingTimestamp": str(told_ms),
        "oraclePrice": mark,
        "markPrice": mark,
        "indexPrice": mark,
        "fundingRate": f"{round(market.rates[index], SETTLED_DECIMALS):.8f}",
        "isSettlement": True,
        "forecastFundingRate": "",
        "previousFundingRate": f"{before:.8f}",
        "previousFundingTimestamp": str(time_ms - 60_000),
        "premiumIndex": "0.00000000",
        "avgPremiumIndex": "0.00000000",
        "premiumIndexTimestamp": str(told_ms),
        "impactMarginNotional": "100",
        "impactAskPrice": mark,
        "impactBidPrice": mark,
        "interestRate": "0.0003",
        "predictedFundingRate": "0.00005000",
        "fundingRateIntervalMin": str(market.interval_hours_at(time_ms - 1) * 60),
        "fundingIndex": mark,
    }


def ticker_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """Day's figures of one contract; its rate is the forecast."""
    hour = now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    volume = day_volume_usd(market.base, hour)
    last = plain(round(price, 8))
    following_ms = market.next_settlement_ms(now_ms)
    interval_ms = market.interval_hours_at(now_ms) * HOUR_MS
    return {
        "contractId": contract_id(market),
        "contractName": market.symbol,
        "priceChange": "0",
        "priceChangePercent": "0",
        "trades": "1000",
        "size": plain(round(volume / price, 3)),
        "value": plain(round(volume, 4)),
        "high": last,
        "low": last,
        "open": last,
        "close": last,
        "highTime": str(now_ms),
        "lowTime": str(now_ms),
        "startTime": str(now_ms - 24 * HOUR_MS),
        "endTime": str(now_ms),
        "lastPrice": last,
        "indexPrice": last,
        "oraclePrice": last,
        "markPrice": last,
        "openInterest": plain(round(open_interest_usd(market.base, hour) / price, 3)),
        "fundingRate": f"{round(market.running_rate(now_ms), SETTLED_DECIMALS):.8f}",
        "fundingTime": str(following_ms - interval_ms),
        "nextFundingTime": str(following_ms),
    }
