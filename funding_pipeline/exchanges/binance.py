"""Binance USD-M perpetuals.

Source: developers.binance.com (USD-M futures, market data), recorded responses of 2026-09.

Speaks the API of binance_like; `symbol` is documented as optional in the history call. Stamps are
0-5 ms late. 500 requests per 5 minutes for funding history and info together; 2400 weight a minute
for everything. 451 or 403 where the location is restricted.
"""

from funding_pipeline.exchanges.base import RateLimit
from funding_pipeline.exchanges.binance_like import FUNDING, BinanceOfAll, declared

SPEC = declared(
    "binance",
    "Binance USD-M",
    "https://fapi.binance.com",
    "https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data",
    [RateLimit(2400, 60.0), RateLimit(500, 300.0, scope=FUNDING)],
)


class Binance(BinanceOfAll):
    """The exchange as the engine sees it."""

    spec = SPEC
    path = "/fapi/v1"
