"""Paging through settled history until it is exhausted.

Belongs here: the page loops that exchanges share. Does not: requests or parsers of one exchange.
A documented page limit is never trusted, neither as an upper nor as a lower bound: a short page
ends nothing. A history is exhausted when a page brings nothing new, or when it reaches so near to
the window's edge that no further settlement fits, the shortest interval being one hour. A longer
one, declared by the market, is believed where the page confirms it: no rows are closer together,
and there are fewer than a full page's.

What ends in another way is told as `Unproven`: the exchange says that there is no next page, sends
a page again, or sends rows beyond what was asked for. If that last page is full, the exchange may
have cut the rest.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from funding_pipeline.domain.errors import PageOverflowError
from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import ExchangeSpec, HistoryPlan, Request


class Unproven(list[RawSettlement]):
    """Rows after which nothing proves that there are no more; `last_page` rows came at the end."""

    def __init__(self, rows: Iterable[RawSettlement], last_page: int) -> None:
        super().__init__(rows)
        self.last_page = last_page


PagePlan = Generator[Request, bytes, list[RawSettlement]]
Place = TypeVar("Place", str, int)

LONGEST_STEP_MS = 25 * HOUR_MS


def ascending(
    page: Callable[[Window], PagePlan],
    window: Window,
    *,
    interval_hours: int | None = None,
    page_rows: int | None = None,
) -> HistoryPlan:
    """Oldest first: the next page starts after the newest stamp seen."""
    rows: list[RawSettlement] = []
    start = window.start_ms
    while start < window.end_ms:
        sent = yield from page(Window(start, window.end_ms))
        fresh = [row for row in sent if start <= row.time_ms < window.end_ms]
        if not fresh:
            return Unproven(rows, len(sent)) if sent else rows
        rows += fresh
        newest = max(row.time_ms for row in fresh)
        step_hours = _step_hours(sent, interval_hours, page_rows)
        if newest // HOUR_MS + step_hours > (window.end_ms - 1) // HOUR_MS:
            # A page that begins late may be the end of what was asked for instead of its beginning.
            late = min(row.time_ms for row in fresh) - start > LONGEST_STEP_MS
            return Unproven(rows, len(sent)) if late else rows
        start = newest + 1
    return rows


def _step_hours(
    sent: Sequence[RawSettlement], interval_hours: int | None, page_rows: int | None
) -> int:
    """Hours in which nothing settles beside a row of this page."""
    if interval_hours is None or page_rows is None or len(sent) >= page_rows:
        return 1
    hours = sorted({row.time_ms // HOUR_MS for row in sent})
    return min([interval_hours, *(after - before for before, after in pairwise(hours))])


def descending(
    page: Callable[[Window], PagePlan],
    window: Window,
    *,
    interval_hours: int | None = None,
    page_rows: int | None = None,
) -> HistoryPlan:
    """Newest first: the next page ends before the oldest stamp seen."""
    rows: list[RawSettlement] = []
    end = window.end_ms
    while end > window.start_ms:
        sent = yield from page(Window(window.start_ms, end))
        fresh = [row for row in sent if window.start_ms <= row.time_ms < end]
        if not fresh:
            return Unproven(rows, len(sent)) if sent else rows
        rows += fresh
        oldest = min(row.time_ms for row in fresh)
        if oldest - window.start_ms < _step_hours(sent, interval_hours, page_rows) * HOUR_MS:
            break
        end = oldest
    return rows


def walked(
    page: Callable[[Place], Generator[Request, bytes, tuple[list[RawSettlement], Place | None]]],
    first: Place,
    window: Window,
) -> HistoryPlan:
    """Newest first, through pages that know no times: by cursor, page number or offset, from the
    newest row down to the window. `page` tells its rows and the place of the next page, None at
    the end. Rows that arrive meanwhile push others to the next page, so one may come twice.
    """
    rows: dict[tuple[str, int], RawSettlement] = {}
    place = first
    oldest = None
    while window.start_ms < window.end_ms:
        found, following = yield from page(place)
        if not found:
            break
        rows.update(_distinct(found, window.start_ms, window.end_ms))
        reached = min(row.time_ms for row in found)
        if reached - window.start_ms < HOUR_MS:
            break
        if following is None or (oldest is not None and reached >= oldest):
            return Unproven(rows.values(), len(found))
        place, oldest = following, reached
    return list(rows.values())


def sliced(page: Callable[[Window], PagePlan], window: Window, hours: int) -> HistoryPlan:
    """One page for every so many hours, for exchanges that refuse or cut a wider window."""
    rows: list[RawSettlement] = []
    last_page = 0
    for start in range(window.start_ms, window.end_ms, hours * HOUR_MS):
        piece = Window(start, min(start + hours * HOUR_MS, window.end_ms))
        found = yield from ascending(page, piece)
        if isinstance(found, Unproven):
            last_page = max(last_page, found.last_page)
        rows += found
    return Unproven(rows, last_page) if last_page else rows


def ascending_inclusive(
    page: Callable[[Window], PagePlan], window: Window, spec: ExchangeSpec
) -> HistoryPlan:
    """Oldest first, all markets in one list: a page may end inside a group of equal stamps, so the
    next one begins at the newest stamp seen, and what is known is dropped. A group that fills a
    page by itself hides what lies behind it: PageOverflowError, never a silent loss.

    A page that reaches the window's last hour and is smaller than another one was the last; were it
    cut all the same, the rest would be found as gaps.
    """
    rows: dict[tuple[str, int], RawSettlement] = {}
    start, largest, pages = window.start_ms, 0, 0
    while start < window.end_ms:
        sent = yield from page(Window(start, window.end_ms))
        found = _distinct(sent, start, window.end_ms)
        if not found:
            break
        rows.update(found)
        times = [time_ms for _, time_ms in found]
        newest = max(times)
        if len(sent) < largest and newest // HOUR_MS == (window.end_ms - 1) // HOUR_MS:
            break
        if min(times) == newest:
            # Fewer than the only page before, which was not full: that page was the last already.
            if not (pages == 1 and len(found) < largest < spec.page_rows):
                yield from _assert_exhausted(page, window, spec, newest, len(found), largest)
            break
        start, largest, pages = newest, max(largest, len(found)), pages + 1
    return list(rows.values())


def _assert_exhausted(
    page: Callable[[Window], PagePlan],
    window: Window,
    spec: ExchangeSpec,
    newest: int,
    count: int,
    largest: int,
) -> Generator[Request, bytes, None]:
    """Whether a page of one stamp alone was the last. Is there a page that holds more rows, it was
    not full; and nothing may come after it.
    """
    fits = count < largest
    if not fits:
        before = newest - DAY_MS
        earlier = _distinct((yield from page(Window(before, newest + 1))), before, newest + 1)
        if len(earlier) > count:
            return
        nothing_to_compare_with = all(time_ms == newest for _, time_ms in earlier)
        fits = nothing_to_compare_with and count < spec.page_rows
    if fits and newest + 1 < window.end_ms:
        later = yield from page(Window(newest + 1, window.end_ms))
        fits = not _distinct(later, newest + 1, window.end_ms)
    if not fits:
        raise PageOverflowError(
            spec.name,
            "history of all markets",
            f"{count} settlements at {newest} ms fill a page; more of them cannot be asked for",
        )


def _distinct(
    rows: Iterable[RawSettlement], start_ms: int, end_ms: int
) -> dict[tuple[str, int], RawSettlement]:
    return {(row.market, row.time_ms): row for row in rows if start_ms <= row.time_ms < end_ms}
