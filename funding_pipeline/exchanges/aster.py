"""Aster perpetuals.

Source: github.com/asterdex/api-docs (futures v3), recorded responses of 2026-09.

Speaks the API of binance_like, with exact settlement stamps, intervals of 1, 2, 4 and 8 h, caps as
numbers and no mark price in the history. 2400 weight a minute, then 429 and bans (418); locations
are not restricted. Besides the usual markets there are pairs in USD (BTCUSD) whose interest is 0
and whose rate therefore rests at 0.

Doubts: `symbol` is documented as optional in the history call, and nobody recorded an answer
without it; refused with 400, every market is asked for itself. Some rows of `exchangeInfo` are said
to lack `baseAsset`: the symbol without its quote stands in for it.
"""

from funding_pipeline.exchanges.base import RateLimit
from funding_pipeline.exchanges.binance_like import BinanceOfAll, declared

SPEC = declared(
    "aster",
    "Aster",
    "https://fapi.asterdex.com",
    "https://github.com/asterdex/api-docs",
    [RateLimit(2400, 60.0)],
)


class Aster(BinanceOfAll):
    """The exchange as the engine sees it."""

    spec = SPEC
    path = "/fapi/v3"
