"""The rows of Phemex's products, running rates and tickers.

Belongs here: every field of those rows, and the funding symbol. Does not belong here: parameters,
history, errors (`phemex`).
"""

from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Moment, plain

_OLDER = ("LINKUSD", "LTCUSD")


def coin_settled(market: SandboxMarket) -> bool:
    """Settled in its base coin; the older model in USD shares its lists and paths."""
    return market.quote == "USD"


def funding_symbol(market: SandboxMarket) -> str:
    """What its history is asked by."""
    name = market.base if coin_settled(market) and market.symbol not in _OLDER else market.symbol
    return f".{name}FR8H"


def product_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """A perpetual, in either of the two forms."""
    row: dict[str, Any] = {
        "symbol": market.symbol,
        "code": 40_000 + market.number,
        "type": "PerpetualV2",
        "displaySymbol": f"{market.base} / {market.quote}",
        "indexSymbol": f".{market.symbol}",
        "markSymbol": f".M{market.symbol}",
        "fundingRateSymbol": funding_symbol(market).removesuffix("8H"),
        "fundingRate8hSymbol": funding_symbol(market),
        "contractUnderlyingAssets": _spaced(market.base),
        "settleCurrency": market.quote,
        "quoteCurrency": market.quote,
        "tickSize": "0.1",
        "priceScale": 0,
        "ratioScale": 0,
        "pricePrecision": 1,
        "baseCurrency": _spaced(market.base),
        "status": "Delisted" if market.is_delisted(moment.now_ms) else "Listed",
        "tipOrderQty": 0,
        "listTime": market.launch_ms,
        "majorSymbol": market.number < 10,
        "defaultLeverage": "-10",
        "fundingInterval": market.interval_hours_at(moment.now_ms) * 3600,
        "maxLeverage": 100,
        "perpProductSubType": "TradFi" if market.base in names.SHARES else "Normal",
    }
    if coin_settled(market):
        older = market.symbol in _OLDER
        del row["baseCurrency"], row["perpProductSubType"]
        row |= {
            "type": "Perpetual",
            "contractUnderlyingAssets": market.base if older else "USD",
            "settleCurrency": "USD" if older else market.base,
            "contractSize": 1.0,
            "priceScale": 4,
            "ratioScale": 8,
        }
    return row


def spot_row(coin: str) -> dict[str, Any]:
    """A pair of the spot exchange, which stands among the older perpetuals."""
    return {
        "symbol": f"s{coin}USDT",
        "code": 1000,
        "type": "Spot",
        "displaySymbol": f"{coin} / USDT",
        "quoteCurrency": "USDT",
        "priceScale": 8,
        "ratioScale": 8,
        "pricePrecision": 2,
        "baseCurrency": coin,
        "baseTickSize": f"0.000001 {coin}",
        "quoteTickSize": "0.01 USDT",
        "status": "Listed",
        "listTime": 1_589_338_800_000,
    }


def running_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """The running estimate of one contract."""
    return {
        "symbol": market.symbol,
        "fundingRate": plain(market.running_rate(moment.now_ms)),
        "fundingInterval": market.interval_hours_at(moment.now_ms) * 3600,
        "nextfundingTime": market.next_settlement_ms(moment.now_ms),
        "interestRate": "0.0001",
        "fundingRateCap": plain(market.rate_cap),
        "fundingRateFloor": plain(-market.rate_cap),
    }


def ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """Prices and sizes of one contract; its interest in base units."""
    hour = moment.now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price, volume = contract_price(market.base, hour), day_volume_usd(asset, hour)
    rate = plain(market.running_rate(moment.now_ms))
    return {
        "symbol": market.symbol,
        "lastRp": plain(round(price, 8)),
        "markRp": plain(round(price, 8)),
        "indexRp": plain(round(price * 1.0002, 8)),
        "fundingRateRr": rate,
        "predFundingRateRr": rate,
        "openInterestRv": plain(round(open_interest_usd(asset, hour) / price, 4)),
        "turnoverRv": plain(round(volume, 4)),
        "volumeRq": plain(round(volume / price, 4)),
        "timestamp": moment.now_ms * 1_000_000,
    }


def _spaced(base: str) -> str:
    """1000PEPE reads "1000 PEPE"."""
    return f"1000 {base.removeprefix('1000')}" if base.startswith("1000") else base
