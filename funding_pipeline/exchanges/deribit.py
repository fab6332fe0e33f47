"""Deribit: inverse perpetuals settled in their coin, linear ones settled in USDC.

Source: docs.deribit.com, ccxt's notes; wire and parsers are those of `deribit_like`. 20 requests a
second from a pool of 500-credit calls; the limit without a key is not published. Experimental:
nothing recorded says that `interest_1h` is a fraction per hour, only that eight of them make the
`interest_8h` of an example, and the edge of the stamps is unknown.
"""

from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.exchanges.base import ExchangeSpec, RateLimit
from funding_pipeline.exchanges.deribit_like import PAGE_ROWS, DeribitLike

SPEC = ExchangeSpec(
    name="deribit",
    title="Deribit",
    origins={"": "https://www.deribit.com"},
    api_docs="https://docs.deribit.com/api-reference/market-data/public-get_funding_rate_history",
    rate_unit=RateUnit.FRACTION,
    stamp_edge="unknown",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.02,
    page_rows=PAGE_ROWS,
    limits=(RateLimit(20, 1.0),),
    experimental=(
        "Unit of interest_1h (fraction per hour) and edge of the stamps rest on documentation and "
        "examples, not on recordings."
    ),
)


class Deribit(DeribitLike):
    """The exchange as the engine sees it."""

    def __init__(self) -> None:
        super().__init__(SPEC, of_all={"currency": "any"})
