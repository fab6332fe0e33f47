"""Deribit's markets and limits; what it answers is in `deribit_like`.

Facts this module rests on: Bitcoin and Ether have inverse perpetuals settled in the coin, they and
some twenty others linear ones settled in USDC; none trades by the thousand. 20 requests a second.
"""

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.deribit_like import SUFFIX, exchange
from funding_pipeline.sandbox.limits import Limit
from funding_pipeline.sandbox.market import Listing, utc_ms
from funding_pipeline.sandbox.schedules import DELISTED_MS

NAME = "deribit"
_CAP = 0.00625
_INVERSE_SINCE_MS = utc_ms(2019, 3, 14)
_LINEAR_SINCE_MS = utc_ms(2022, 6, 15)


def listings() -> list[Listing]:
    """The generated markets, inverse ones first, a linear one that was withdrawn at the end."""
    inverse = [
        Listing(f"{a}{SUFFIX}", a, "USD", a, ((_INVERSE_SINCE_MS, 1),), _CAP, 16)
        for a in ("BTC", "ETH")
    ]
    linear = catalogue(
        NAME,
        lambda base: f"{base}_USDC{SUFFIX}",
        quote="USDC",
        count=24,
        hours=1,
        launch_ms=_LINEAR_SINCE_MS,
        thousands="",
        decimals=16,
        rate_cap=_CAP,
    )
    gone = Listing(
        f"MATIC_USDC{SUFFIX}",
        "MATIC",
        "USDC",
        "MATIC",
        ((_LINEAR_SINCE_MS, 1),),
        _CAP,
        16,
        delisted_ms=DELISTED_MS,
    )
    return [*inverse, *linear, gone]


EXCHANGE = exchange(NAME, listings, Limit(weight=20, window_s=1))
