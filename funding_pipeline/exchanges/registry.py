"""The list of exchanges: adding one is a module, its test payloads and a line here.

Does not belong here: anything that differs between exchanges.
"""

from collections.abc import Iterable

from funding_pipeline.exchanges.apex import Apex
from funding_pipeline.exchanges.aster import Aster
from funding_pipeline.exchanges.backpack import Backpack
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.exchanges.binance import Binance
from funding_pipeline.exchanges.binance_coinm import BinanceCoinM
from funding_pipeline.exchanges.bingx import BingX
from funding_pipeline.exchanges.bitfinex import Bitfinex
from funding_pipeline.exchanges.bitget import Bitget
from funding_pipeline.exchanges.bybit import Bybit
from funding_pipeline.exchanges.coinbase_intl import CoinbaseIntl
from funding_pipeline.exchanges.cryptocom import Cryptocom
from funding_pipeline.exchanges.deribit import Deribit
from funding_pipeline.exchanges.dydx import Dydx
from funding_pipeline.exchanges.edgex import Edgex
from funding_pipeline.exchanges.ethereal import Ethereal
from funding_pipeline.exchanges.extended import Extended
from funding_pipeline.exchanges.gate import Gate
from funding_pipeline.exchanges.grvt import Grvt
from funding_pipeline.exchanges.hibachi import Hibachi
from funding_pipeline.exchanges.htx import Htx
from funding_pipeline.exchanges.hyperliquid import Hyperliquid
from funding_pipeline.exchanges.kraken import Kraken
from funding_pipeline.exchanges.kucoin import Kucoin
from funding_pipeline.exchanges.lighter import Lighter
from funding_pipeline.exchanges.mexc import Mexc
from funding_pipeline.exchanges.nado import Nado
from funding_pipeline.exchanges.okx import Okx
from funding_pipeline.exchanges.orderly import Orderly
from funding_pipeline.exchanges.pacifica import Pacifica
from funding_pipeline.exchanges.paradex import Paradex
from funding_pipeline.exchanges.phemex import Phemex
from funding_pipeline.exchanges.reya import Reya
from funding_pipeline.exchanges.standx import StandX
from funding_pipeline.exchanges.variational import Variational
from funding_pipeline.exchanges.velocity import Velocity
from funding_pipeline.exchanges.woo import Woo
from funding_pipeline.settings import Settings

EXCHANGES: dict[str, Exchange] = {
    exchange.spec.name: exchange
    for exchange in (
        Hyperliquid(),
        Lighter(),
        Paradex(),
        Variational(),
        Binance(),
        Bybit(),
        Gate(),
        Okx(),
        Mexc(),
        Kucoin(),
        Bitget(),
        Dydx(),
        Velocity(),
        Backpack(),
        Extended(),
        Pacifica(),
        Nado(),
        Hibachi(),
        Htx(),
        Orderly(),
        Woo(),
        Cryptocom(),
        BinanceCoinM(),
        Aster(),
        Ethereal(),
        Kraken(),
        Deribit(),
        CoinbaseIntl(),
        Grvt(),
        Bitfinex(),
        StandX(),
        Reya(),
        Apex(),
        BingX(),
        Phemex(),
        Edgex(),
    )
}


def select(settings: Settings, names: Iterable[str] = ()) -> list[Exchange]:
    """The named exchanges in registry order; without names those of the settings; without any, all
    whose facts are sure, and the experimental ones too where the settings want them.

    ValueError that lists the known names on one that is unknown, in a variable's name too.
    """
    wanted = set(names) or set(settings.exchanges)
    named = wanted.union(settings.of_exchange("PROXY"), settings.of_exchange("ORIGIN"))
    if unknown := named - EXCHANGES.keys():
        raise ValueError(f"unknown exchange {sorted(unknown)}; known: {', '.join(EXCHANGES)}")
    if wanted:
        return [e for name, e in EXCHANGES.items() if name in wanted]
    everything = settings.experimental
    return [e for e in EXCHANGES.values() if everything or e.spec.experimental is None]
