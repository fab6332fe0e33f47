"""Paging through settled history until it is exhausted.

Belongs here: the page loops that exchanges share. Does not: requests or parsers of one exchange.
A documented page limit is never trusted, neither as an upper nor as a lower bound: a short page
ends nothing. A history is exhausted when a page brings nothing new, or when it reaches so near to
the window's edge that no further settlement fits, the shortest interval being one hour.
"""

from collections.abc import Callable, Generator

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import HistoryPlan, Request

PagePlan = Generator[Request, bytes, list[RawSettlement]]


def ascending(page: Callable[[Window], PagePlan], window: Window) -> HistoryPlan:
    """Oldest first: the next page starts after the newest stamp seen."""
    rows: list[RawSettlement] = []
    start = window.start_ms
    while start < window.end_ms:
        fresh = [
            row
            for row in (yield from page(Window(start, window.end_ms)))
            if start <= row.time_ms < window.end_ms
        ]
        if not fresh:
            break
        rows += fresh
        newest = max(row.time_ms for row in fresh)
        if newest // HOUR_MS == (window.end_ms - 1) // HOUR_MS:
            break
        start = newest + 1
    return rows


def descending(page: Callable[[Window], PagePlan], window: Window) -> HistoryPlan:
    """Newest first: the next page ends before the oldest stamp seen."""
    rows: list[RawSettlement] = []
    end = window.end_ms
    while end > window.start_ms:
        fresh = [
            row
            for row in (yield from page(Window(window.start_ms, end)))
            if window.start_ms <= row.time_ms < end
        ]
        if not fresh:
            break
        rows += fresh
        oldest = min(row.time_ms for row in fresh)
        if oldest - window.start_ms < HOUR_MS:
            break
        end = oldest
    return rows


def ascending_inclusive(page: Callable[[Window], PagePlan], window: Window) -> HistoryPlan:
    """Oldest first, all markets in one list: a page may end inside a group of equal stamps, so the
    next one begins at the newest stamp seen, and what is known is dropped.
    """
    rows: dict[tuple[str, int], RawSettlement] = {}
    start = window.start_ms
    while start < window.end_ms:
        known = len(rows)
        found = [
            row
            for row in (yield from page(Window(start, window.end_ms)))
            if start <= row.time_ms < window.end_ms
        ]
        rows.update(((row.market, row.time_ms), row) for row in found)
        if len(rows) == known:
            break
        newest = max(row.time_ms for row in found)
        # A page that holds a single stamp may hide more of it; another page would be the same.
        start = newest if newest > start else newest + 1
    return list(rows.values())
