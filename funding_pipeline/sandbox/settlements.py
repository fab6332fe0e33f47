"""Settlements of several markets in order of time, as one long list cut at either end.

Belongs here: merging without reading more than is asked for. Does not belong here: rows of any
exchange.
"""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice

from funding_pipeline.sandbox.market import SandboxMarket

# Time, number of the market, index of the settlement: what the list is ordered by.
Place = tuple[int, int, int, SandboxMarket]


def oldest(
    markets: list[SandboxMarket], start_ms: int, end_ms: int, now_ms: int, limit: int
) -> list[Place]:
    """The first `limit` settlements of the window, cut even among equal stamps."""
    windows = [(market, market.settled(start_ms, end_ms, now_ms)) for market in markets]
    parts = [_places(market, range(low, high)) for market, (low, high) in windows]
    return list(islice(merge(*parts), limit))


def newest(markets: list[SandboxMarket], end_ms: int, now_ms: int, limit: int) -> list[Place]:
    """The last `limit` settlements up to then, ascending."""
    windows = [(market, market.settled(0, end_ms, now_ms)) for market in markets]
    parts = [_places(market, range(high - 1, low - 1, -1)) for market, (low, high) in windows]
    return list(islice(merge(*parts, reverse=True), limit))[::-1]


def _places(market: SandboxMarket, indexes: Iterable[int]) -> Iterator[Place]:
    return ((market.times[index], market.number, index, market) for index in indexes)
