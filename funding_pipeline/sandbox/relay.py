"""The same asset on another exchange, for exchanges that relay the rates of others.

Belongs here: finding the market. Does not belong here: what is told about it.
"""

from collections.abc import Sequence

from funding_pipeline.sandbox.market import Dataset, SandboxMarket
from funding_pipeline.sandbox.prices import asset_of


def counterpart(dataset: Dataset, exchange: str, base: str, now_ms: int) -> SandboxMarket | None:
    """The other exchange's market of the asset behind a base coin, if it is traded there now."""
    asset, units = asset_of(base)
    spellings: Sequence[str]
    if exchange == "hyperliquid":
        spellings = (asset,) if units == 1 else (f"k{asset}",)
    elif units == 1:
        spellings = (f"{asset}USDT",)
    else:
        spellings = (f"{units}{asset}USDT", f"{asset}{units}USDT")
    for symbol in spellings:
        market = dataset.market(exchange, symbol, now_ms)
        if market is not None and not market.is_delisted(now_ms):
            return market
    return None
