"""The rows of Paradex's `markets`, `markets/summary` and `funding/data`.

Belongs here: every field of those rows, and the options among them. Does not belong here:
integration (`paradex_index`), parameters, paging, errors (`paradex`).
"""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from math import floor, log10
from typing import Any

from funding_pipeline.sandbox.exchanges.paradex_index import FundingIndex, funding_index
from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket, utc_ms
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.wire import plain

TRADFI = ("NVDA", "TSLA", "XAG")
# Rows written before then show no period, and before that not even the field.
_PERIOD_SHOWN_MS = utc_ms(2026, 6, 1)
_PERIOD_FIELD_MS = utc_ms(2025, 7, 1)
_OPTION_EXPIRY_MS = utc_ms(2027, 6, 25) + 8 * HOUR_MS
# Symbol, kind, strike; one of them never expires and has funding of its own.
_OPTIONS = (
    ("BTC-USD-25JUN27-86000-C", "OPTION", "86000"),
    ("BTC-USD-96000-C", "PERP_OPTION", "96000"),
)


def rate_text(rate: float) -> str:
    """Fourteen decimals; zero has no sign."""
    return f"{round(rate, 14) + 0.0:.14f}"


def sample_row(symbol: str, index: FundingIndex, time_ms: int) -> dict[str, Any]:
    """One row of `funding/data`, in the form of its time."""
    step = index.step_at(time_ms)
    if step is None:
        raise ValueError(f"no sample at {time_ms}")
    rate = step.rate
    row: dict[str, Any] = {
        "market": symbol,
        "funding_index": f"{index.index_at(time_ms):.14f}",
        "funding_premium": f"{rate * step.price(time_ms) + 0.0:.17f}",
        "funding_rate": rate_text(rate),
    }
    if time_ms >= _PERIOD_SHOWN_MS:
        cut = Decimal(rate_text(rate)).quantize(Decimal("1e-8"), ROUND_DOWN)
        row |= {"funding_rate_8h": f"{cut:f}", "funding_period_hours": 8}
    elif time_ms >= _PERIOD_FIELD_MS:
        row |= {"funding_rate_8h": "", "funding_period_hours": 0}
    row["created_at"] = time_ms
    if time_ms >= _PERIOD_SHOWN_MS:
        row["impact_premium_rate"] = f"{rate - 0.0001:.16f}"
    return row


def _fees(rate: str) -> dict[str, Any]:
    return {"maker_fee": {"fee": "0"}, "taker_fee": {"fee": rate}}


def market_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One perpetual of `markets`."""
    price = contract_price(market.base, now_ms // HOUR_MS)
    decimals = max(1, 4 - floor(log10(price)))
    size_decimals = max(0, min(5, floor(log10(price)) + 1))
    multiplier = 0.5 if market.base in TRADFI else 1
    return {
        "symbol": market.symbol,
        "base_currency": market.base,
        "quote_currency": market.quote,
        "settlement_currency": "USDC",
        "order_size_increment": f"{10.0**-size_decimals:.{size_decimals}f}",
        "price_tick_size": f"{10.0**-decimals:.{decimals}f}",
        "min_notional": "10",
        "open_at": market.launch_ms,
        "expiry_at": 0,
        "asset_kind": "PERP",
        "market_kind": "cross",
        "position_limit": "2000000",
        "price_bands_width": "0.05",
        "max_slippage": "0.001",
        "max_open_orders": 150,
        "max_funding_rate": plain(market.rate_cap),
        "delta1_cross_margin_params": {
            "imf_base": "0.02",
            "imf_shift": "0",
            "imf_factor": "0",
            "mmf_factor": "0.5",
        },
        "price_feed_id": "GVXRSBjFk6e6J3NbVPXohDJetcTjaeeuykUpbQF8UoMU",
        "oracle_ewma_factor": "0.12945779635696708",
        "max_order_size": "500000",
        "max_funding_rate_change": "0.0002",
        "max_tob_spread": "0.01",
        "interest_rate": "0.0001",
        "clamp_rate": "0.0005",
        "funding_period_hours": 8,
        "funding_multiplier": multiplier,
        "tags": ["TRADFI"] if market.base in TRADFI else ["LAYER-1"],
        "fee_config": {
            "interactive_fee": _fees("0"),
            "api_fee": _fees("0.0002"),
            "rpi_fee": _fees("0.0002"),
        },
        "trading_mode": "STANDARD",
    }


def _underlying(listed: Sequence[SandboxMarket]) -> SandboxMarket | None:
    return next((market for market in listed if market.base == "BTC"), None)


def option_rows(listed: Sequence[SandboxMarket]) -> list[dict[str, Any]]:
    """Options of `markets`, there as soon as their underlying is."""
    bitcoin = _underlying(listed)
    if bitcoin is None:
        return []
    template = market_row(bitcoin, bitcoin.launch_ms)
    for name in ("delta1_cross_margin_params", "funding_multiplier"):
        del template[name]
    return [
        template
        | {
            "symbol": symbol,
            "expiry_at": _OPTION_EXPIRY_MS if kind == "OPTION" else 0,
            "asset_kind": kind,
            "option_type": "CALL",
            "strike_price": strike,
            "funding_period_hours": 0 if kind == "OPTION" else 24,
        }
        for symbol, kind, strike in _OPTIONS
    ]


def summary_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One perpetual of `markets/summary`."""
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    index = funding_index(market)
    step = index.step_at(now_ms)
    before = contract_price(market.base, hour - 24)
    price = contract_price(market.base, hour) if step is None else step.price(now_ms)
    volume = day_volume_usd(asset, hour)
    return {
        "symbol": market.symbol,
        "mark_price": f"{price:.8f}",
        "delta": "1.00000000",
        "greeks": {"delta": "1.00000000000000", "gamma": "0", "vega": "0"},
        "last_traded_price": plain(round(price, 6)),
        "bid": plain(round(price * 0.9999, 6)),
        "bid_size": "1.5",
        "ask": plain(round(price * 1.0001, 6)),
        "ask_size": "1.5",
        "volume_24h": f"{volume:.9f}",
        "total_volume": f"{volume * 400:.9f}",
        "created_at": now_ms,
        "underlying_price": f"{price:.8f}",
        "open_interest": f"{open_interest_usd(asset, hour) / price:.4f}",
        "funding_rate": "" if step is None else rate_text(step.rate),
        "price_change_rate_24h": f"{price / before - 1:.6f}",
        "external_fair_price": f"{price * 0.9995:.8f}",
        "risk_free_rate": "0",
    }


def option_summaries(listed: Sequence[SandboxMarket], now_ms: int) -> list[dict[str, Any]]:
    """Options of `markets/summary`: no funding, or a rate that is none of a perpetual's."""
    bitcoin = _underlying(listed)
    if bitcoin is None:
        return []
    template = summary_row(bitcoin, now_ms)
    del template["external_fair_price"]
    greeks = dict.fromkeys(("delta", "gamma", "vega", "theta", "rho", "vanna", "volga"), "0")
    return [
        {
            "symbol": symbol,
            "mark_price": "9531.85719990",
            "mark_iv": "0.40740974",
            **{
                key: value for key, value in template.items() if key not in ("symbol", "mark_price")
            },
            "greeks": greeks,
            **dict.fromkeys(("last_traded_price", "bid", "bid_size", "ask", "ask_size"), ""),
            "volume_24h": "0",
            "total_volume": "0",
            "open_interest": "0",
            "funding_rate": "" if kind == "OPTION" else "0.00123400000000",
        }
        for symbol, kind, _ in _OPTIONS
    ]
