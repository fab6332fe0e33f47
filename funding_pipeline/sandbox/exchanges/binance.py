"""Binance's public futures endpoints (USDⓈ-M), as the sandbox answers them.

Facts this module rests on: those of `binance_like`; stamps are milliseconds late. 2400 weight a
minute for everything, 500 requests per 5 minutes for `fundingRate` and `fundingInfo` together.
"""

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.exchanges.binance_like import BinanceLike, minute_limit
from funding_pipeline.sandbox.limits import Limit
from funding_pipeline.sandbox.market import Listing, utc_ms
from funding_pipeline.sandbox.schedules import DELISTED_MS, mixed_eras, restless_eras

_END_MS = utc_ms(2040, 1, 1)
# Every so many markets one changes its interval again and again.
_RESTLESS_EVERY = 12
_QUOTES = ("USDT", "USDC")


class Binance(BinanceLike):
    """The exchange whose rows are the usual ones."""

    name = "binance"
    path = "/fapi/v1"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    for quote in _QUOTES:
        if symbol.endswith(quote):
            return symbol.removesuffix(quote), quote
    return symbol, "USDT"


def listings() -> list[Listing]:
    """The generated markets: USDT perpetuals, some in USDC, some shares and metals."""
    usdt = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS)]
    usdc = [
        Listing(f"{asset}USDC", asset, "USDC", asset, ((utc_ms(2024, 1, 4), 8),), 0.02, 8, 6)
        for asset in ("BTC", "ETH", "SOL", "XRP", "DOGE")
    ]
    tradfi = [
        Listing(f"{asset}USDT", asset, "USDT", asset, ((utc_ms(2024, 6, 3), 4),), 0.02, 8, 6, 0.0)
        for asset in names.SHARES
    ]
    return usdt[:20] + usdc[:1] + tradfi[:2] + usdt[20:] + usdc[1:] + tradfi[2:]


def _listing(asset: str, rank: int) -> Listing:
    base = f"1000{asset}" if asset in names.THOUSANDS else asset
    eras = mixed_eras("binance", rank)
    if rank >= 10 and rank % _RESTLESS_EVERY == 0:
        eras = restless_eras(eras[0][0], 20 + rank, _END_MS)
    return Listing(
        f"{base}USDT",
        base,
        "USDT",
        asset,
        eras,
        rate_cap=0.003 if rank < 10 else 0.02,
        decimals=8,
        jitter_ms=6,
        delisted_ms=DELISTED_MS if asset in names.DELISTED else None,
    )


EXCHANGE = Binance().exchange(
    listings,
    split_symbol,
    [
        minute_limit(),
        Limit(
            weight=500,
            window_s=300,
            endpoints=frozenset({"fundingRate", "fundingInfo"}),
            ban_after=10,
            ban_s=120,
        ),
    ],
    recorded_files=("binance",),
)
