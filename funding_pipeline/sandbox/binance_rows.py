"""The rows of Binance's `exchangeInfo`, `fundingInfo`, `premiumIndex`, `ticker/24hr` and others.

Belongs here: every field of those rows, and the quarterly contracts, which have no funding. Does
not belong here: parameters, history, errors (`binance`).
"""

from datetime import UTC, date, datetime, timedelta
from math import floor, log10
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import Moment

_NEVER_DELIVERED_MS = 4_133_404_800_000
_QUARTERLY_BASES = ("BTC", "ETH")
_ORDER_TYPES = (
    "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)  # fmt: skip


def rate_text(rate: float) -> str:
    """Eight decimals; zero has no sign."""
    return f"{round(rate, 8) + 0.0:.8f}"


def _price_decimals(price: float) -> int:
    return max(2, 4 - floor(log10(price)))


def _delivery_days(now_ms: int) -> list[date]:
    """The last Fridays of this quarter (of the next, once it is over) and of the one after it."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    quarter = now.year * 4 + (now.month - 1) // 3
    days = []
    for number in range(quarter, quarter + 3):
        year, index = divmod(number + 1, 4)
        last = date(year, index * 3 + 1, 1) - timedelta(days=1)
        days.append(last - timedelta(days=(last.weekday() - 4) % 7))
    return [day for day in days if day > now.date()][:2]


def quarterly_symbols(exchange: str, moment: Moment) -> dict[str, tuple[str, date]]:
    """Contract type and delivery day of each quarterly; their pairs are perpetuals as well."""
    types = ("CURRENT_QUARTER", "NEXT_QUARTER")
    return {
        f"{base}USDT_{day:%y%m%d}": (kind, day)
        for base in _QUARTERLY_BASES
        if moment.dataset.market(exchange, f"{base}USDT", moment.now_ms) is not None
        for kind, day in zip(types, _delivery_days(moment.now_ms), strict=True)
    }


def exchange_info(exchange: str, moment: Moment) -> dict[str, Any]:
    """The whole answer: limits, collateral, every contract."""
    rows = [_perpetual(market, moment) for market in moment.dataset.known(exchange, moment.now_ms)]
    for symbol, (kind, day) in quarterly_symbols(exchange, moment).items():
        delivery = int(datetime(day.year, day.month, day.day, 8, tzinfo=UTC).timestamp()) * 1000
        base = symbol.split("USDT_")[0]
        row = _symbol_row(symbol, base, "USDT", moment.now_ms // HOUR_MS)
        onboard = delivery - 182 * DAY_MS
        rows.append(row | _contract(f"{base}USDT", kind, delivery, onboard, "TRADING"))
    return {
        "exchangeFilters": [],
        "rateLimits": [
            {
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": limit,
                "rateLimitType": kind,
            }
            for kind, limit in (("REQUEST_WEIGHT", 2400), ("ORDERS", 1200))
        ],
        "serverTime": moment.now_ms,
        "assets": [
            {"asset": coin, "marginAvailable": True, "autoAssetExchange": "0"}
            for coin in ("USDT", "USDC")
        ],
        "symbols": rows,
        "timezone": "UTC",
    }


def _perpetual(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    row = _symbol_row(market.symbol, market.base, market.quote, moment.now_ms // HOUR_MS)
    delisted = market.is_delisted(moment.now_ms)
    kind, delivery, status = "PERPETUAL", _NEVER_DELIVERED_MS, "TRADING"
    if market.base in names.SHARES:
        kind = "TRADIFI_PERPETUAL"
        row["underlyingType"] = "EQUITY"
    if delisted:
        delivery, status = market.delisted_ms or 0, "SETTLING"
    return row | _contract(market.symbol, kind, delivery, market.launch_ms, status)


def _contract(
    pair: str, kind: str, delivery_ms: int, onboard_ms: int, status: str
) -> dict[str, Any]:
    return {
        "pair": pair,
        "contractType": kind,
        "deliveryDate": delivery_ms,
        "onboardDate": onboard_ms,
        "status": status,
    }


def _symbol_row(symbol: str, base: str, quote: str, hour: int) -> dict[str, Any]:
    price = contract_price(base, hour)
    decimals = _price_decimals(price)
    tick = f"{10.0**-decimals:.{decimals}f}"
    size_decimals = max(0, min(3, floor(log10(price))))
    step = f"{10.0**-size_decimals:.{size_decimals}f}"
    sizes = {"maxQty": "10000000", "minQty": step, "stepSize": step}
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_DELIVERED_MS,
        "onboardDate": 0,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": decimals,
        "quantityPrecision": size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.15",
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "maxPrice": f"{price * 100:.{decimals}f}",
                "minPrice": tick,
                "tickSize": tick,
            },
            {"filterType": "LOT_SIZE", **sizes},
            {"filterType": "MARKET_LOT_SIZE", **sizes},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 100},
            {"filterType": "MIN_NOTIONAL", "notional": "5.0"},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.1500",
                "multiplierDown": "0.8500",
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": list(_ORDER_TYPES),
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "liquidationFee": "0.010000",
        "marketTakeBound": "0.30",
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
    row = quarterly_premium_row(market.symbol, now_ms, market.base)
    if not delisted:
        row["lastFundingRate"] = rate_text(market.running_rate(now_ms))
        row["interestRate"] = rate_text(0.0 if market.base in names.SHARES else 0.0001)
        row["nextFundingTime"] = market.next_settlement_ms(now_ms)
    return row


def quarterly_premium_row(symbol: str, now_ms: int, base: str | None = None) -> dict[str, Any]:
    """A contract without funding."""
    price = contract_price(base or symbol.split("USDT_")[0], now_ms // HOUR_MS)
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
    decimals = _price_decimals(price)
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
