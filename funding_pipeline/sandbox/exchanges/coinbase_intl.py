"""Coinbase International's markets and limits; what it answers is in `deribit_like`.

Facts this module rests on: its perpetuals are linear and settled in USDC, cheap tokens trade by
the thousand (1000PEPE). Limits are not published; the strictest use known is 10 requests a second.
"""

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.exchanges.deribit_like import SUFFIX, exchange
from funding_pipeline.sandbox.limits import Limit
from funding_pipeline.sandbox.market import Listing

NAME = "coinbase_intl"


def listings() -> list[Listing]:
    """The generated markets."""
    return catalogue(
        NAME,
        lambda base: f"{base}_USDC{SUFFIX}",
        quote="USDC",
        count=120,
        hours=1,
        decimals=16,
        rate_cap=0.01,
    )


EXCHANGE = exchange(NAME, listings, Limit(weight=10, window_s=1))
