"""The answer of `exchangeInfo`, and the quarterly contracts, which have no funding.

Belongs here: every field of a contract as Binance USD-M writes it. Does not belong here: what
others write otherwise (their modules), the rows of other endpoints (`binance_like_rows`).
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from math import floor, log10
from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import contract_price
from funding_pipeline.sandbox.wire import Moment

_NEVER_DELIVERED_MS = 4_133_404_800_000
_QUARTERLY_BASES = ("BTC", "ETH")
_ORDER_TYPES = (
    "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)  # fmt: skip


def price_decimals(price: float) -> int:
    """Enough to show five digits."""
    return max(2, 4 - floor(log10(price)))


def base_of(symbol: str) -> str:
    """The base coin of a quarterly contract."""
    return re.sub(r"USDT?_\d+$", "", symbol)


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


def quarterly_symbols(
    exchange: str, moment: Moment, quote: str, perpetual: str = ""
) -> dict[str, tuple[str, date]]:
    """Contract type and delivery day of each quarterly; their pairs are perpetuals as well."""
    types = ("CURRENT_QUARTER", "NEXT_QUARTER")
    return {
        f"{base}{quote}_{day:%y%m%d}": (kind, day)
        for base in _QUARTERLY_BASES
        if moment.dataset.market(exchange, f"{base}{quote}{perpetual}", moment.now_ms) is not None
        for kind, day in zip(types, _delivery_days(moment.now_ms), strict=True)
    }


def exchange_info(
    exchange: str, moment: Moment, dated: Mapping[str, tuple[str, date]]
) -> dict[str, Any]:
    """The whole answer: limits, collateral, every contract."""
    rows = [_perpetual(market, moment) for market in moment.dataset.known(exchange, moment.now_ms)]
    for symbol, (kind, day) in dated.items():
        delivery = int(datetime(day.year, day.month, day.day, 8, tzinfo=UTC).timestamp()) * 1000
        pair = symbol.partition("_")[0]
        quote = pair.removeprefix(base_of(symbol))
        row = _symbol_row(symbol, base_of(symbol), quote, moment.now_ms // HOUR_MS)
        onboard = delivery - 182 * DAY_MS
        rows.append(row | _contract(pair, kind, delivery, onboard, "TRADING"))
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
        row["underlyingType"] = "COMMODITY" if market.base in ("XAU", "XAG") else "EQUITY"
    if delisted:
        delivery, status = market.delisted_ms or 0, "SETTLING"
    pair = market.symbol.partition("_")[0]
    return row | _contract(pair, kind, delivery, market.launch_ms, status)


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
    decimals = price_decimals(price)
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
