"""Listings of the usual kind: the most traded tokens, some shares, one that was withdrawn.

Belongs here: what exchanges list alike. Does not belong here: how one of them writes symbols, and
listings of exchanges that differ in more than that (their own modules).
"""

from collections.abc import Callable

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.market import Listing, utc_ms
from funding_pipeline.sandbox.schedules import DELISTED_MS, mixed_eras


def catalogue(
    exchange: str,
    symbol: Callable[[str], str],
    *,
    quote: str,
    count: int,
    hours: int | None = None,
    launch_ms: int = utc_ms(2023, 6, 1),
    thousands: str = "1000",
    decimals: int = 8,
    rate_cap: float = 0.02,
    jitter_ms: int = 0,
    shares: int = 0,
) -> list[Listing]:
    """`count` tokens by rank, then `shares` shares and metals. `symbol` makes the native symbol of
    a base coin; `thousands` is put before cheap tokens. `hours` None: 8, 4 and 1 h mixed, some
    changing. PIXEL is withdrawn where `launch_ms` is before that.
    """
    found = []
    for rank, asset in enumerate(names.ASSETS[:count]):
        base = f"{thousands}{asset}" if asset in names.THOUSANDS else asset
        eras = mixed_eras(exchange, rank) if hours is None else ((launch_ms, hours),)
        withdrawn = asset in names.WITHDRAWN and eras[0][0] < DELISTED_MS
        found.append(
            Listing(
                symbol(base),
                base,
                quote,
                asset,
                eras,
                rate_cap,
                decimals,
                jitter_ms,
                delisted_ms=DELISTED_MS if withdrawn else None,
            )
        )
    opened = utc_ms(2024, 6, 3)
    found += [
        Listing(symbol(s), s, quote, s, ((opened, hours or 4),), rate_cap, decimals, jitter_ms, 0.5)
        for s in names.SHARES[:shares]
    ]
    return found
