"""The rows of Lighter's `orderBooks` and `orderBookDetails`.

Belongs here: every field of those rows. Does not belong here: rates, parameters, errors
(`lighter`).
"""

from math import floor, log10
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)

_SPOT_ID = 2048


def _price_decimals(price: float) -> int:
    return max(1, 4 - floor(log10(price)))


def price_text(price: float) -> str:
    """A price with the decimals of its size."""
    return f"{price:.{_price_decimals(price)}f}"


def _size_decimals(price: float) -> int:
    return max(0, min(5, floor(log10(price)) + 1))


def order_book_row(market: SandboxMarket, market_id: int, now_ms: int) -> dict[str, Any]:
    """One row of `orderBooks`; a delisted market stays, inactive."""
    price = contract_price(market.base, now_ms // HOUR_MS)
    return {
        "symbol": market.symbol,
        "market_id": market_id,
        "market_type": "perp",
        "base_asset_id": 0,
        "quote_asset_id": 0,
        "status": "inactive" if market.is_delisted(now_ms) else "active",
        "taker_fee": "0.0000",
        "maker_fee": "0.0000",
        "liquidation_fee": "1.0000",
        "min_base_amount": f"{10.0 / price:.{_size_decimals(price)}f}",
        "min_quote_amount": "10.000000",
        "order_quote_limit": "281474976.710655",
        "supported_size_decimals": _size_decimals(price),
        "supported_price_decimals": _price_decimals(price),
        "supported_quote_decimals": 6,
    }


def spot_row() -> dict[str, Any]:
    """A spot market among the perpetuals, as on the exchange."""
    return {
        "symbol": "ETH/USDC",
        "market_id": _SPOT_ID,
        "market_type": "spot",
        "base_asset_id": 1,
        "quote_asset_id": 3,
        "status": "active",
        "taker_fee": "0.0000",
        "maker_fee": "0.0000",
        "liquidation_fee": "0.0000",
        "min_base_amount": "0.0010",
        "min_quote_amount": "10.000000",
        "order_quote_limit": "281474976.710655",
        "supported_size_decimals": 4,
        "supported_price_decimals": 2,
        "supported_quote_decimals": 6,
    }


def details_row(market: SandboxMarket, market_id: int, now_ms: int) -> dict[str, Any]:
    """One row of `orderBookDetails`: interest in base units, one side; volumes are numbers."""
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price, before = contract_price(market.base, hour), contract_price(market.base, hour - 24)
    delisted = market.is_delisted(now_ms)
    volume = 0.0 if delisted else round(day_volume_usd(asset, hour), 6)
    decimals = _size_decimals(price)
    book = order_book_row(market, market_id, now_ms)
    return {
        **book,
        "size_decimals": decimals,
        "price_decimals": _price_decimals(price),
        "quote_multiplier": 1,
        "last_trade_price": float(price_text(price)),
        "mark_price": price_text(price),
        "index_price": price_text(price * 1.0004),
        "open_interest": round(open_interest_usd(asset, hour) / price, decimals),
        "daily_quote_token_volume": volume,
        "daily_base_token_volume": round(volume / price, decimals),
        "daily_price_low": float(price_text(min(price, before) * 0.99)),
        "daily_price_high": float(price_text(max(price, before) * 1.01)),
        "daily_price_change": 100 * (price / before - 1),
    }
