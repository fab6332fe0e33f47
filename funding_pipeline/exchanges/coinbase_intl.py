"""Coinbase International: linear perpetuals settled in USDC, on Deribit's API since 2026.

Source: docs.cdp.coinbase.com (market data), ccxt's notes, recorded responses of 2026-09; wire and
parsers are those of `deribit_like`. Without a currency the instruments of all are listed. Limits
are not published; ccxt makes 10 requests a second. Experimental: no history was recorded, how far
back it reaches is unknown, unit and edge are Deribit's.
"""

from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.exchanges.base import ExchangeSpec, RateLimit
from funding_pipeline.exchanges.deribit_like import PAGE_ROWS, DeribitLike

SPEC = ExchangeSpec(
    name="coinbase_intl",
    title="Coinbase International",
    origins={"": "https://drb.coinbase.com"},
    api_docs="https://docs.cdp.coinbase.com/api-reference/market-data/public-get_funding_rate_history",
    rate_unit=RateUnit.FRACTION,
    stamp_edge="unknown",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.02,
    page_rows=PAGE_ROWS,
    limits=(RateLimit(10, 1.0),),
    experimental=(
        "No history was recorded: unit and edge are taken from Deribit, whose API this is, and how "
        "far back it reaches is unknown."
    ),
)


class CoinbaseIntl(DeribitLike):
    """The exchange as the engine sees it."""

    def __init__(self) -> None:
        super().__init__(SPEC, of_all={})
