"""Rows of Deribit's public API v2, for both exchanges that speak it.

Belongs here: what one instrument looks like in a list, a summary, a ticker. Does not belong here:
endpoints, parameters, errors (`deribit_like`).
"""

from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd

_FOREVER_MS = 32_503_708_800_000
_DATED_MS = 1_798_185_600_000


def settle(market: SandboxMarket) -> str:
    """The settlement currency: the coin itself where the quote is USD."""
    return market.base if market.quote == "USD" else market.quote


def paid(market: SandboxMarket, end_ms: int, hours: int) -> float:
    """The sum of the hours that ended in the last so many."""
    low, high = market.settled(end_ms - hours * HOUR_MS + 1, end_ms, end_ms)
    return sum(market.rates[i] for i in range(low, high))


def instrument_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One perpetual of `get_instruments`."""
    gone = market.is_delisted(now_ms)
    inverse = market.quote == "USD"
    return {
        "instrument_name": market.symbol,
        "kind": "future",
        "instrument_type": "reversed" if inverse else "linear",
        "future_type": "reversed" if inverse else "linear",
        "settlement_period": "perpetual",
        "base_currency": market.base,
        "quote_currency": market.quote,
        "counter_currency": market.quote,
        "settlement_currency": settle(market),
        "underlying_type": "crypto",
        "price_index": f"{market.base}_{market.quote}".lower(),
        "is_active": not gone,
        "state": "closed" if gone else "open",
        "creation_timestamp": market.launch_ms,
        "expiration_timestamp": market.delisted_ms if gone else _FOREVER_MS,
        "instrument_id": 675_000 + market.number,
        "contract_size": 10.0 if inverse else 0.01,
        "tick_size": 0.5,
        "tick_size_steps": [],
        "min_trade_amount": 10.0 if inverse else 0.01,
        "max_leverage": 50,
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "block_trade_commission": 0.00025,
    }


def other_instruments(perpetual: dict[str, Any]) -> list[dict[str, Any]]:
    """A dated future, an option and a spot pair of the same coin."""
    base, settled_in = perpetual["base_currency"], perpetual["settlement_currency"]
    dated = perpetual | {
        "instrument_name": f"{base}-25DEC26" if settled_in == base else f"{base}_USDC-25DEC26",
        "settlement_period": "month",
        "expiration_timestamp": _DATED_MS,
    }
    option = dated | {
        "instrument_name": f"{base}-25DEC26-90000-C",
        "kind": "option",
        "quote_currency": base,
        "strike": 90_000.0,
        "option_type": "call",
    }
    spot = perpetual | {"instrument_name": f"{base}_USDC", "kind": "spot"}
    spot |= {"quote_currency": "USDC", "counter_currency": "USDC"}
    del spot["settlement_period"], spot["settlement_currency"]
    return [dated, option, spot]


def summary_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One perpetual of the book summary; its running funding is quoted per 8 hours."""
    hour = now_ms // HOUR_MS
    price, volume = contract_price(market.base, hour), day_volume_usd(market.base, hour)
    interest = open_interest_usd(market.base, hour)
    return {
        "instrument_name": market.symbol,
        "base_currency": market.base,
        "quote_currency": market.quote,
        "creation_timestamp": now_ms,
        "mark_price": price,
        "mid_price": price,
        "bid_price": price * 0.9999,
        "ask_price": price * 1.0001,
        "last": price,
        "high": price * 1.02,
        "low": price * 0.98,
        "price_change": -0.4,
        "estimated_delivery_price": price * 1.0002,
        "open_interest": interest if market.quote == "USD" else interest / price,
        "volume": volume / price,
        "volume_usd": volume,
        "volume_notional": volume,
        "current_funding": round(market.running_rate(now_ms) * 8, 8),
        "funding_8h": round(paid(market, now_ms, 8), 8),
    }


def ticker(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """The answer of `ticker`: the summary in other words."""
    row = summary_row(market, now_ms)
    price = row["mark_price"]
    kept = ("instrument_name", "mark_price", "open_interest", "current_funding", "funding_8h")
    traded = ("high", "low", "price_change", "volume", "volume_usd", "volume_notional")
    return {key: row[key] for key in kept} | {
        "timestamp": now_ms,
        "state": "open",
        "stats": {key: row[key] for key in traded},
        "index_price": row["estimated_delivery_price"],
        "estimated_delivery_price": row["estimated_delivery_price"],
        "last_price": price,
        "settlement_price": price,
        "min_price": price * 0.985,
        "max_price": price * 1.015,
        "interest_value": 0,
        "best_ask_price": row["ask_price"],
        "best_bid_price": row["bid_price"],
        "best_ask_amount": 1.8246,
        "best_bid_amount": 0.5106,
    }


def funding_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    """One hour of history: what it paid, what the eight hours up to it paid."""
    time_ms = market.times[index]
    hour = time_ms // HOUR_MS
    return {
        "timestamp": time_ms,
        "index_price": contract_price(market.base, hour),
        "prev_index_price": contract_price(market.base, hour - 1),
        "interest_8h": paid(market, time_ms, 8),
        "interest_1h": market.rates[index],
    }
