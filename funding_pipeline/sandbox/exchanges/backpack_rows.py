"""Rows of Backpack's answers: markets, tickers, funding.

Belongs here: their fields. Does not belong here: endpoints, paging, errors.
"""

from datetime import UTC, datetime
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket, utc_ms
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd
from funding_pipeline.sandbox.wire import Moment, plain

OPENED_MS = utc_ms(2025, 1, 21)
_LIST_REBUILT = "2025-01-21T06:34:54.691858"


def price(market: SandboxMarket, moment: Moment) -> float:
    """Mark price of one contract unit."""
    return contract_price(market.base, moment.now_ms // HOUR_MS)


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).replace(tzinfo=None).isoformat()


def spot_row() -> dict[str, Any]:
    """A market of the list that is no perpetual."""
    return {
        "baseSymbol": "SOL",
        "createdAt": _LIST_REBUILT,
        "filters": {"price": {"tickSize": "0.01"}, "quantity": {"stepSize": "0.01"}},
        "fundingInterval": None,
        "fundingRateLowerBound": None,
        "fundingRateUpperBound": None,
        "imfFunction": None,
        "marketType": "SPOT",
        "mmfFunction": None,
        "openInterestLimit": "0",
        "orderBookState": "Open",
        "positionLimitWeight": None,
        "quoteSymbol": "USDC",
        "rwaMarketType": None,
        "symbol": "SOL_USDC",
        "visible": True,
    }


def perpetual_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """A perpetual of the list; what is as old as the exchange shares one `createdAt`."""
    native_base = market.symbol.rsplit("_", 2)[0]
    points = plain(round(market.rate_cap * 10_000, 6))
    old = market.launch_ms <= OPENED_MS
    return {
        **spot_row(),
        "baseSymbol": native_base,
        "createdAt": _LIST_REBUILT if old else _iso(market.launch_ms),
        "fundingInterval": market.interval_hours_at(moment.now_ms) * HOUR_MS,
        "fundingRateLowerBound": f"-{points}",
        "fundingRateUpperBound": points,
        "imfFunction": {"base": "0.02", "factor": "0.00004214", "type": "sqrt"},
        "marketType": "PERP",
        "mmfFunction": {"base": "0.0125", "factor": "0.00002528", "type": "sqrt"},
        "openInterestLimit": "4000000",
        "orderBookState": "Closed" if market.is_delisted(moment.now_ms) else "Open",
        "positionLimitWeight": "1",
        "quoteSymbol": market.quote,
        "rwaMarketType": "STOCK" if native_base.endswith(".US") else None,
        "symbol": market.symbol,
    }


def ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """The last day's figures of one market."""
    mark = price(market, moment)
    volume = day_volume_usd(market.base, moment.now_ms // HOUR_MS)
    last = plain(round(mark, 8))
    return {
        "firstPrice": last,
        "high": last,
        "lastPrice": last,
        "low": last,
        "priceChange": "0",
        "priceChangePercent": "0",
        "quoteVolume": plain(round(volume, 6)),
        "symbol": market.symbol,
        "trades": "1000",
        "volume": plain(round(volume / mark, 6)),
    }


def funding_row(market: SandboxMarket, time_ms: int, rate: float) -> dict[str, Any]:
    """One interval by its end."""
    return {
        "fundingRate": plain(rate),
        "intervalEndTimestamp": _iso(time_ms),
        "symbol": market.symbol,
    }
