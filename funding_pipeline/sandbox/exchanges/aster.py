"""Aster's public futures endpoints, as the sandbox answers them.

Facts this module rests on: those of `binance_like`, under `/fapi/v3`; stamps are exact, history
has no mark price, caps are numbers, intervals are 1, 2, 4 and 8 h. Pairs in USD carry no interest
and rest at 0, written "0". 2400 weight a minute. The spot exchange has a host of its own; here its
list is empty.
"""

from datetime import date
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges import binance_like_rows
from funding_pipeline.sandbox.exchanges.binance_like import BinanceLike, minute_limit
from funding_pipeline.sandbox.market import Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.wire import Call, Moment, Reply, Request

_MAJORS = ("BTCUSDT", "ETHUSDT")
# The pairs without interest, and how many hours apart they settle.
_SHIELDS = {"BTC": 2, "GNS": 8}


def history_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    """One settlement."""
    return {
        "symbol": market.symbol,
        "fundingTime": market.times[index],
        "fundingRate": _rate_text(market, market.rates[index]),
    }


def funding_info_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """Interval and caps in force."""
    cap = 0.003 if market.symbol in _MAJORS else market.rate_cap
    return {
        "symbol": market.symbol,
        "interestRate": "0" if market.quote == "USD" else "0.00010000",
        "time": now_ms,
        "fundingIntervalHours": market.interval_hours_at(now_ms),
        "fundingFeeCap": cap,
        "fundingFeeFloor": -cap,
    }


def premium_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """The usual row, with the exchange's zero."""
    row = binance_like_rows.premium_row(market, now_ms)
    if market.quote == "USD":
        row["interestRate"] = "0"
        row["lastFundingRate"] = _rate_text(market, market.running_rate(now_ms))
    return row


def _rate_text(market: SandboxMarket, rate: float) -> str:
    return "0" if market.quote == "USD" and not rate else binance_like_rows.rate_text(rate)


class Aster(BinanceLike):
    """No dated contracts, rows of its own."""

    name = "aster"
    path = "/fapi/v3"
    history_row = staticmethod(history_row)
    funding_info_row = staticmethod(funding_info_row)
    premium_row = staticmethod(premium_row)

    def dated(self, moment: Moment) -> dict[str, tuple[str, date]]:
        """There are none."""
        return {}

    def read(self, request: Request) -> Call:
        """The spot list beside what others have."""
        if request.path == "/api/v3/exchangeInfo":
            return Call("spot list", None, {})
        return super().read(request)

    def answer(self, call: Call, moment: Moment) -> Reply:
        """The empty spot list beside what others have."""
        if call.endpoint == "spot list":
            return Reply({"timezone": "UTC", "serverTime": moment.now_ms, "symbols": []})
        return super().answer(call, moment)


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    quote = next((q for q in ("USDT", "USDC", "USD") if symbol.endswith(q)), "")
    return symbol.removesuffix(quote), quote


def listings() -> list[Listing]:
    """The generated markets: tokens of mixed intervals, pairs in USD, some shares and metals."""
    found = catalogue(
        "aster",
        lambda base: f"{base}USDT",
        quote="USDT",
        count=200,
        launch_ms=utc_ms(2023, 6, 1),
        shares=8,
    )
    shields = [
        Listing(f"{a}USD", a, "USD", a, ((utc_ms(2024, 6, 3), hours),), 0.02, 8, multiplier=0.0)
        for a, hours in _SHIELDS.items()
    ]
    return found[:20] + shields + found[20:]


EXCHANGE = Aster().exchange(listings, split_symbol, [minute_limit()])
