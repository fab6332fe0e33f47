"""The list of exchanges: adding one is a module, its test payloads and a line here.

Does not belong here: anything that differs between exchanges.
"""

from collections.abc import Iterable

from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.exchanges.binance import Binance
from funding_pipeline.exchanges.bybit import Bybit
from funding_pipeline.exchanges.hyperliquid import Hyperliquid
from funding_pipeline.exchanges.lighter import Lighter
from funding_pipeline.exchanges.paradex import Paradex
from funding_pipeline.exchanges.variational import Variational

EXCHANGES: dict[str, Exchange] = {
    exchange.spec.name: exchange
    for exchange in (Hyperliquid(), Lighter(), Paradex(), Variational(), Binance(), Bybit())
}


def select(names: Iterable[str]) -> list[Exchange]:
    """The named exchanges in registry order, all where no name is given.

    Raises ValueError that lists the known names on one that is unknown.
    """
    wanted = set(names)
    if unknown := wanted - EXCHANGES.keys():
        raise ValueError(f"unknown exchange {sorted(unknown)}; known: {', '.join(EXCHANGES)}")
    return [e for name, e in EXCHANGES.items() if not wanted or name in wanted]
