"""Binance COIN-M perpetuals: inverse contracts, quoted in USD and settled in their base coin.

Source: developers.binance.com (COIN-M futures, market data), a recorded history of 2023-10.

Speaks the API of binance_like. Contracts are of a fixed size in USD (100 for BTC, 10 for others)
and most settle every 8 h. A rate is a fraction of notional here as well, paid in the coin. The 24 h
volume is told in base coins and valued at the day's mean price. 2400 weight a minute; no limit of
its own is known for history. 451 or 403 where the location is restricted.

Unlike at its sister, the reference marks `symbol` as mandatory in the history call: every market is
asked for itself.
"""

from funding_pipeline.exchanges.base import RateLimit
from funding_pipeline.exchanges.binance_like import BinanceLike, declared

SPEC = declared(
    "binance_coinm",
    "Binance COIN-M",
    "https://dapi.binance.com",
    "https://developers.binance.com/docs/derivatives/coin-margined-futures/market-data",
    [RateLimit(2400, 60.0)],
    history_of_all=False,
)


class BinanceCoinM(BinanceLike):
    """The exchange as the engine sees it."""

    spec = SPEC
    path = "/dapi/v1"
