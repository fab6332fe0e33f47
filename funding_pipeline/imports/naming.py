"""What a native name stands for where no list tells, and how exchanges spell a pair.

Belongs here: guesses from names alone, used for markets that the registry does not know. Does not:
the symbol rule (domain.symbols), corrections: they apply to these guesses as to any list.
"""

import re
from collections.abc import Iterable

from funding_pipeline.domain.records import Market
from funding_pipeline.domain.symbols import unify

# No coins: WBTC and STETH are no pairs.
_PAIR = re.compile(r"(.+?)[-_/]?(USDT|USDC|USDE|USD1|FDUSD|BUSD|RUSD|USD|DAI)M?")
_PERPETUAL = re.compile(
    r"^(?:PERP_|P[IF]_)(?=.)|(?<=.)(?:[-_]?(?:PERPETUAL|PERP|SWAP)|-P)$", re.IGNORECASE
)
# What the exchange settles everything in, and quotes in where its names do not say.
_SETTLES = {"hyperliquid": "USDC", "lighter": "USDC", "extended": "USDC", "dydx": "USDC"}
_COIN_SETTLED = {"binance_coinm"}
_QUOTED = {"hyperliquid": "USD", "lighter": "USDC"}
_SPELLING = {
    "binance": "{base}{quote}",
    "aster": "{base}{quote}",
    "bitget": "{base}{quote}",
    "bybit": "{base}{quote}",
    "okx": "{base}-{quote}-SWAP",
    "gate": "{base}_{quote}",
    "mexc": "{base}_{quote}",
    "htx": "{base}-{quote}",
    "bingx": "{base}-{quote}",
    "lighter": "{base}",
}
_DEX = re.compile(r"([A-Z]+)-(.+)")


def market_of(exchange: str, native: str, symbol: str | None = None) -> Market:
    """An unlisted market, as its native name (and the unified symbol, where a source tells it)
    has it: "1000PEPEUSDT" is 1000 PEPE, quoted and settled in USDT.
    """
    dexless = native.rpartition(":")[2] if exchange == "hyperliquid" else native
    name = _PERPETUAL.sub("", dexless)
    quote = _QUOTED.get(exchange)
    if quote is None:
        match = _PAIR.fullmatch(name)
        name, quote = (match[1], match[2]) if match else (name, "USD")
    found, multiplier = unify(name)
    if symbol is not None and symbol != found:
        found, multiplier = symbol, 1
    return Market(
        market=native,
        symbol=found,
        multiplier=multiplier,
        quote=quote,
        settle=found if exchange in _COIN_SETTLED else _SETTLES.get(exchange, quote),
        live=False,
    )


def spelled(
    exchange: str, base: str, quote: str, settle: str, known: Iterable[Market]
) -> str | None:
    """The native name of a pair: of a known market, whatever the case of its letters (some
    libraries write KPEPE for kPEPE), else as the exchange spells its names; None where neither
    tells. Only markets settled in their quote are told by spelling.
    """
    markets = list(known)
    name = _native(exchange, base, quote, settle)
    by_name = {market.market.casefold(): market.market for market in markets}
    if name is not None:
        return by_name.get(name.casefold(), name)
    symbol, multiplier = unify(base)
    same = [
        market.market
        for market in markets
        if (market.symbol, market.multiplier, market.quote, market.settle)
        == (symbol, multiplier, quote, settle)
    ]
    return same[0] if len(same) == 1 else None


def _native(exchange: str, base: str, quote: str, settle: str) -> str | None:
    if exchange == "hyperliquid":
        dex = _DEX.fullmatch(base)  # XYZ-NVDA is xyz:NVDA
        return f"{dex[1].lower()}:{dex[2]}" if dex else base
    if quote != settle:
        return None
    if exchange == "bybit" and quote == "USDC":
        return f"{base}PERP"
    form = _SPELLING.get(exchange)
    return form.format(base=base, quote=quote) if form else None
