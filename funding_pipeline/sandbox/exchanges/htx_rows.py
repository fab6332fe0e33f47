"""Rows of HTX's answers: contracts, running estimates, open interest, settlements.

Belongs here: fields of one row each. Does not belong here: endpoints, their parameters and order.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.names import SHARES
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Moment, plain

_LISTED, _SUSPENDED = 1, 3
_LABELS = {"XAU": "commodities", "XAG": "commodities"}
# Quarterly futures trade beside the swaps and pay no funding.
_DATED = "BTC-USDT-261225"


def _digits(rate: float) -> str:
    """Eighteen decimals; the exchange's numbers write a zero of that scale with an exponent."""
    return format(Decimal(plain(rate)), ".18f") if rate else "0E-18"


def contract_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """A swap of the list, withdrawn or not."""
    day = datetime.fromtimestamp(market.launch_ms / 1000, UTC).strftime("%Y%m%d")
    label = _LABELS.get(market.base, "stock" if market.base in SHARES else "")
    return {
        "symbol": market.base,
        "contract_code": market.symbol,
        "contract_size": 0.001,
        "price_tick": 0.1,
        "delivery_date": "",
        "delivery_time": "",
        "create_date": day,
        "contract_status": _SUSPENDED if market.is_delisted(moment.now_ms) else _LISTED,
        "settlement_date": _next_ms(market, moment),
        "support_margin_mode": "all",
        "settlement_period": str(market.interval_hours_at(moment.now_ms)),
        "labels": ["tradfi", label, "common"] if label else ["hot", "common"],
        "tradfi_labels": [],
        "business_type": "swap",
        "pair": market.symbol,
        "contract_type": "swap",
        "trade_partition": "USDT",
    }


def dated_row(moment: Moment) -> dict[str, Any]:
    """A quarterly future of the list."""
    return {
        "symbol": "BTC",
        "contract_code": _DATED,
        "contract_size": 0.001,
        "price_tick": 0.1,
        "delivery_date": "20261225",
        "delivery_time": "1798185600000",
        "create_date": "20260612",
        "contract_status": _LISTED,
        "settlement_date": str(moment.now_ms),
        "support_margin_mode": "cross",
        "settlement_period": "8",
        "labels": [],
        "tradfi_labels": [],
        "business_type": "futures",
        "pair": "BTC-USDT",
        "contract_type": "quarter",
        "trade_partition": "USDT",
    }


def _next_ms(market: SandboxMarket, moment: Moment) -> str:
    """The next settlement; a delisted swap keeps the last time it had."""
    if market.is_delisted(moment.now_ms):
        _, high = market.settled(0, moment.now_ms, moment.now_ms)
        return str(market.times[max(high - 1, 0)])
    return str(market.next_settlement_ms(moment.now_ms))


def estimate_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """The running rate of a swap."""
    return {
        "estimated_rate": None,
        "funding_rate": _digits(market.running_rate(moment.now_ms)),
        "contract_code": market.symbol,
        "symbol": market.base,
        "fee_asset": "USDT",
        "funding_time": _next_ms(market, moment),
        "next_funding_time": None,
        "trade_partition": "USDT",
    }


def dated_estimate_row() -> dict[str, Any]:
    """The future stands in the list of rates, too."""
    return {
        "estimated_rate": None,
        "funding_rate": None,
        "contract_code": _DATED,
        "symbol": "BTC",
        "fee_asset": "USDT",
        "funding_time": None,
        "next_funding_time": None,
        "trade_partition": "USDT",
    }


def open_interest_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    """Positions and turnover, of both sides."""
    hour = moment.now_ms // HOUR_MS
    value = 2 * open_interest_usd(market.base, hour)
    turnover = 2 * day_volume_usd(market.base, hour)
    price = contract_price(market.base, hour)
    return {
        "volume": int(value / price / 0.001),
        "amount": round(value / price, 3),
        "symbol": market.base,
        "value": round(value, 4),
        "contract_code": market.symbol,
        "trade_amount": round(turnover / price, 3),
        "trade_volume": int(turnover / price / 0.001),
        "trade_turnover": round(turnover, 4),
        "business_type": "swap",
        "pair": market.symbol,
        "contract_type": "swap",
        "trade_partition": "USDT",
    }


def settled_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    """A settlement of the paged history."""
    return {
        "avg_premium_index": "0.000000000000000000",
        "trade_partition": "USDT",
        "funding_rate": _digits(market.rates[index]),
        "realized_rate": None,
        "funding_time": str(market.times[index]),
        "contract_code": market.symbol,
        "symbol": market.base,
        "fee_asset": "USDT",
    }
