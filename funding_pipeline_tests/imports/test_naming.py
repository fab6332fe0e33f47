"""Names of markets that no list has told of, and how exchanges spell a pair."""

import pytest

from funding_pipeline.domain.records import Market
from funding_pipeline.imports.base import SourceError
from funding_pipeline.imports.freqtrade import Pair, pair_of
from funding_pipeline.imports.naming import market_of, spelled


@pytest.mark.parametrize(
    ("exchange", "native", "meaning"),
    [
        ("bybit", "1000PEPEUSDT", ("PEPE", 1000, "USDT", "USDT")),
        ("bybit", "BTCPERP", ("BTC", 1, "USD", "USD")),
        ("binance_coinm", "BTCUSD_PERP", ("BTC", 1, "USD", "BTC")),
        ("okx", "BTC-USDT-SWAP", ("BTC", 1, "USDT", "USDT")),
        ("kucoin", "XBTUSDTM", ("BTC", 1, "USDT", "USDT")),
        ("kraken", "PF_XBTUSD", ("BTC", 1, "USD", "USD")),
        ("gate", "BTC_USDT", ("BTC", 1, "USDT", "USDT")),
        ("grvt", "BTC_USDT_Perp", ("BTC", 1, "USDT", "USDT")),
        ("hibachi", "BTC/USDT-P", ("BTC", 1, "USDT", "USDT")),
        ("woo", "PERP_BTC_USDT", ("BTC", 1, "USDT", "USDT")),
        ("paradex", "BTC-USD-PERP", ("BTC", 1, "USD", "USD")),
        ("extended", "BTC-USD", ("BTC", 1, "USD", "USDC")),
        ("hyperliquid", "kPEPE", ("PEPE", 1000, "USD", "USDC")),
        ("hyperliquid", "xyz:NVDA", ("NVDA", 1, "USD", "USDC")),
        ("hyperliquid", "PERP", ("PERP", 1, "USD", "USDC")),
        ("lighter", "1000BONK", ("BONK", 1000, "USDC", "USDC")),
        ("pacifica", "STETH", ("STETH", 1, "USD", "USD")),
        ("bitfinex", "tBTCF0:USTF0", ("tBTCF0:USTF0", 1, "USD", "USD")),
    ],
)
def test_what_a_native_name_means(
    exchange: str, native: str, meaning: tuple[str, int, str, str]
) -> None:
    market = market_of(exchange, native)
    assert (market.symbol, market.multiplier, market.quote, market.settle) == meaning
    assert market.market == native
    assert not market.live


def test_a_symbol_that_the_source_tells_wins() -> None:
    assert market_of("bitfinex", "tBTCF0:USTF0", "BTC").symbol == "BTC"
    told = market_of("bybit", "1000PEPEUSDT", "PEPE")
    assert (told.symbol, told.multiplier) == ("PEPE", 1000)
    assert market_of("bybit", "1000PEPEUSDT", "FROG").multiplier == 1


def _known(market: str, symbol: str, multiplier: int = 1, quote: str = "USDT") -> Market:
    return Market(market=market, symbol=symbol, multiplier=multiplier, quote=quote, settle=quote)


def test_how_exchanges_spell_a_pair() -> None:
    def native(exchange: str, base: str, quote: str = "USDT", *known: Market) -> str | None:
        return spelled(exchange, base, quote, quote, known)

    assert native("bybit", "1000PEPE") == "1000PEPEUSDT"
    assert native("bybit", "BTC", "USDC") == "BTCPERP"
    assert native("okx", "BTC") == "BTC-USDT-SWAP"
    assert native("gate", "BTC") == "BTC_USDT"
    assert native("hyperliquid", "XYZ-NVDA", "USDC") == "xyz:NVDA"
    assert native("hyperliquid", "KPEPE", "USDC", _known("kPEPE", "PEPE", 1000)) == "kPEPE"
    assert native("hyperliquid", "kPEPE", "USDC") == "kPEPE"
    assert native("kucoin", "BTC") is None
    assert native("kucoin", "BTC", "USDT", _known("XBTUSDTM", "BTC")) == "XBTUSDTM"
    assert native("kucoin", "BTC", "USDC", _known("XBTUSDTM", "BTC")) is None
    assert native("kucoin", "BTC", "USDT", _known("A", "BTC"), _known("B", "BTC")) is None
    assert spelled("binance", "BTC", "USD", "BTC", []) is None


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("BTC_USDT_USDT-8h-funding_rate.feather", Pair("BTC", "USDT", "USDT")),
        ("kPEPE_USDC_USDC-1h-funding_rate.feather", Pair("kPEPE", "USDC", "USDC")),
        ("XYZ-NVDA_USDC_USDC-1h-funding_rate.feather", Pair("XYZ-NVDA", "USDC", "USDC")),
    ],
)
def test_pairs_in_file_names(name: str, pair: Pair) -> None:
    assert pair_of(name) == pair


def test_file_names_without_a_pair() -> None:
    with pytest.raises(SourceError, match=r"BTCUSDT-1h-funding_rate\.feather: the name does not"):
        pair_of("BTCUSDT-1h-funding_rate.feather")
