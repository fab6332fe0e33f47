"""Binance's public futures endpoints (COIN-M), as the sandbox answers them.

Facts this module rests on: those of `binance_like`, under `/dapi/v1`; contracts are inverse, of a
fixed size in USD, named BTCUSD_PERP and settled in their base coin. Volume is told in contracts and
in base coins, open interest in contracts. Dated contracts have an empty rate. 2400 weight a minute.
The history wants a symbol, as the reference has it.
"""

from datetime import date
from typing import Any

from funding_pipeline.sandbox.exchanges import binance_like_contracts, binance_like_rows
from funding_pipeline.sandbox.exchanges.binance_like import (
    BinanceLike,
    minute_limit,
    missing_symbol,
)
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.prices import open_interest_usd
from funding_pipeline.sandbox.schedules import DELISTED_MS
from funding_pipeline.sandbox.wire import Call, Moment, Reply

_TEXT = """
BTC ETH SOL XRP DOGE BNB ADA LINK AVAX LTC BCH TRX DOT UNI NEAR AAVE APT OP WIF ETC FIL ATOM
XLM ALGO SAND EOS THETA EGLD ICX KNC RUNE GALA
"""
_COINS = tuple(_TEXT.split())
_WITHDRAWN = {"EOS", "ICX"}
# Some settle more often than every 8 hours.
_FOUR_HOURS = {"WIF", "KNC"}
_OTHERWISE_NAMED = {"status": "contractStatus"}
_NOT_SENT = ("settlePlan",)


def contract_usd(base: str) -> int:
    """What one contract is worth."""
    return 100 if base == "BTC" else 10


def history_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    """One settlement."""
    row = binance_like_rows.history_row(market, index)
    del row["rateType"]
    return row


def premium_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """The running estimate of a perpetual."""
    return _paired(binance_like_rows.premium_row(market, now_ms))


def dated_premium_row(symbol: str, now_ms: int, base: str | None = None) -> dict[str, Any]:
    """A contract without funding."""
    row = _paired(binance_like_rows.dated_premium_row(symbol, now_ms, base))
    return row | {"lastFundingRate": "", "interestRate": ""}


def ticker_row(symbol: str, base: str, now_ms: int) -> dict[str, Any]:
    """Volume in contracts and in base coins."""
    row = _paired(binance_like_rows.ticker_row(symbol, base, now_ms))
    usd = float(row.pop("quoteVolume"))
    price = float(row["weightedAvgPrice"])
    return row | {
        "volume": str(int(usd / contract_usd(base))),
        "baseVolume": f"{usd / price:.8f}",
    }


def open_interest_row(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    """One side, in contracts."""
    usd = open_interest_usd(market.base, now_ms // HOUR_MS)
    return {
        "symbol": market.symbol,
        "pair": market.symbol.partition("_")[0],
        "openInterest": str(int(usd / contract_usd(market.base))),
        "contractType": "PERPETUAL",
        "time": now_ms,
    }


def _paired(row: dict[str, Any]) -> dict[str, Any]:
    symbol = row.pop("symbol")
    return {"symbol": symbol, "pair": symbol.partition("_")[0]} | row


class BinanceCoinM(BinanceLike):
    """Rows of its own, and contracts that name some fields otherwise."""

    name = "binance_coinm"
    path = "/dapi/v1"
    history_row = staticmethod(history_row)
    premium_row = staticmethod(premium_row)
    dated_premium_row = staticmethod(dated_premium_row)
    ticker_row = staticmethod(ticker_row)
    open_interest_row = staticmethod(open_interest_row)

    def answer(self, call: Call, moment: Moment) -> Reply:
        """The usual one, but no history of all symbols."""
        if call.endpoint == "fundingRate" and call.market is None:
            return missing_symbol()
        return super().answer(call, moment)

    def dated(self, moment: Moment) -> dict[str, tuple[str, date]]:
        """Quarterlies; their pairs are perpetuals as well."""
        return binance_like_contracts.quarterly_symbols(self.name, moment, "USD", "_PERP")

    def exchange_info(self, moment: Moment) -> dict[str, Any]:
        """Contracts sized in USD, with the base coin as collateral."""
        answer = super().exchange_info(moment)
        del answer["assets"]
        rows = [_contract(row) for row in answer["symbols"]]
        return answer | {"symbols": rows}


def _contract(row: dict[str, Any]) -> dict[str, Any]:
    named = {_OTHERWISE_NAMED.get(k, k): v for k, v in row.items() if k not in _NOT_SENT}
    own = {"contractSize": contract_usd(row["baseAsset"]), "equalQtyPrecision": 4}
    return named | own | {"marginAsset": row["baseAsset"], "quantityPrecision": 0}


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    return symbol.partition("_")[0].removesuffix("USD"), "USD"


def listings() -> list[Listing]:
    """The generated markets: the coins that people keep, most settling every 8 hours."""
    return [
        Listing(
            f"{coin}USD_PERP",
            coin,
            "USD",
            coin,
            ((utc_ms(2021, 1, 1), 4 if coin in _FOUR_HOURS else 8),),
            rate_cap=0.02,
            decimals=8,
            jitter_ms=6,
            delisted_ms=DELISTED_MS if coin in _WITHDRAWN else None,
        )
        for coin in _COINS
    ]


EXCHANGE = BinanceCoinM().exchange(listings, split_symbol, [minute_limit()])
