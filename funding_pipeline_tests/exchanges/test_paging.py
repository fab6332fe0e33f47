"""How a history ends: proven by what comes behind it, or told as unproven."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import HistoryPlan, Request
from funding_pipeline.exchanges.paging import (
    PagePlan,
    Unproven,
    ascending,
    ascending_inclusive,
    descending,
    sliced,
    walked,
)
from funding_pipeline.exchanges.registry import EXCHANGES

LIMIT = 10
ASK = Window(0, 100 * HOUR_MS)
REQUEST = Request(endpoint="history", path="/")


def hours(*span: int) -> list[RawSettlement]:
    return [RawSettlement("AAA", hour * HOUR_MS, "0.0001") for hour in range(*span)]


def served(answer: Callable[[Window], list[RawSettlement]]) -> Callable[[Window], PagePlan]:
    def page(window: Window) -> PagePlan:
        yield REQUEST
        return answer(window)

    return page


def run(plan: HistoryPlan) -> list[RawSettlement]:
    try:
        next(plan)
        while True:
            plan.send(b"")
    except StopIteration as end:
        rows: list[RawSettlement] = end.value
        return rows


def oldest(held: list[RawSettlement]) -> Callable[[Window], list[RawSettlement]]:
    return lambda w: [r for r in held if w.start_ms <= r.time_ms < w.end_ms][:LIMIT]


def newest(held: list[RawSettlement]) -> Callable[[Window], list[RawSettlement]]:
    return lambda w: [r for r in held if w.start_ms <= r.time_ms < w.end_ms][-LIMIT:]


def last_page(rows: list[RawSettlement]) -> int | None:
    return rows.last_page if isinstance(rows, Unproven) else None


def test_a_page_that_brings_nothing_is_a_proof() -> None:
    for held in (hours(0, 50), hours(40, 60), hours(0, 100)):
        for rows in (
            run(ascending(served(oldest(held)), ASK)),
            run(descending(served(newest(held)), ASK)),
        ):
            assert sorted(rows, key=lambda row: row.time_ms) == held
            assert last_page(rows) is None


def test_a_page_from_the_wrong_end_is_none() -> None:
    """Asked for the oldest, sent the newest: the window's end is reached at once."""
    rows = run(ascending(served(newest(hours(0, 100))), ASK))
    assert len(rows) == LIMIT
    assert last_page(rows) == LIMIT


def test_rows_beyond_what_was_asked_for_are_none() -> None:
    """The bounds are ignored: the same page comes whatever is asked."""
    always = hours(90, 100)
    rows = run(descending(served(lambda _: always), ASK))
    assert (len(rows), last_page(rows)) == (10, LIMIT)
    rows = run(ascending(served(lambda _: hours(0, 10)), ASK))
    assert (len(rows), last_page(rows)) == (10, LIMIT)


def test_slices_pass_on_what_is_unproven() -> None:
    always = hours(0, 10)
    rows = run(sliced(served(lambda _: always), ASK, 50))
    assert last_page(rows) == LIMIT
    rows = run(sliced(served(oldest(hours(0, 100))), ASK, 50))
    assert (len(rows), last_page(rows)) == (100, None)


def walk(pages: list[list[RawSettlement]], end: str = "empty") -> list[RawSettlement]:
    """Pages by number; past the last one an empty page, no next place, or the last one again."""

    def page(place: int) -> Generator[Request, bytes, tuple[list[RawSettlement], int | None]]:
        yield REQUEST
        if end == "again":
            place = min(place, len(pages) - 1)
        found = pages[place] if place < len(pages) else []
        return found, None if end == "none" and place == len(pages) - 1 else place + 1

    return run(walked(page, 0, Window(-HOUR_MS * 10, 100 * HOUR_MS)))


def test_a_walk_is_proven_by_an_empty_page_or_by_reaching_the_window() -> None:
    assert last_page(walk([hours(10, 20), hours(0, 10)])) is None
    assert last_page(walk([hours(0, 10), hours(-15, 0)], "none")) is None


def test_a_walk_without_a_next_place_or_over_the_same_page_is_not() -> None:
    assert last_page(walk([hours(10, 20), hours(0, 10)], "none")) == LIMIT
    assert last_page(walk([hours(10, 20), hours(0, 10)], "again")) == LIMIT
    assert last_page(walk([hours(10, 20), hours(7, 10)], "none")) == 3


# --- declared intervals longer than an hour

TOWARDS: list[tuple[Callable[..., HistoryPlan], Any]] = [(ascending, oldest), (descending, newest)]


def counted(
    towards: Callable[..., HistoryPlan],
    answer: Callable[[Window], list[RawSettlement]],
    window: Window,
    hours: int | None,
    page_rows: int = LIMIT,
) -> tuple[list[int], int]:
    """Hours of the rows, ascending, and the number of requests."""
    asked: list[Window] = []

    def noted(wanted: Window) -> list[RawSettlement]:
        asked.append(wanted)
        return answer(wanted)

    plan = towards(served(noted), window, interval_hours=hours, page_rows=page_rows)
    return sorted(row.time_ms // HOUR_MS for row in run(plan)), len(asked)


@pytest.mark.parametrize(("towards", "side"), TOWARDS)
def test_nothing_is_asked_for_where_by_the_declared_interval_nothing_settles(
    towards: Callable[..., HistoryPlan], side: Any
) -> None:
    held = hours(0, 100, 8)
    tick = Window(38 * HOUR_MS + 45, 47 * HOUR_MS)  # 40 is due, 32 and 48 lie outside
    assert counted(towards, side(held), tick, 8) == ([40], 1)
    assert counted(towards, side(held), tick, None) == ([40], 2)
    wider = Window(31 * HOUR_MS, 49 * HOUR_MS)
    assert counted(towards, side(held), wider, 8) == ([32, 40, 48], 1)


@pytest.mark.parametrize(("towards", "side"), TOWARDS)
def test_a_declared_interval_is_believed_only_where_the_page_confirms_it(
    towards: Callable[..., HistoryPlan], side: Any
) -> None:
    fours, window = hours(0, 100, 4), Window(27 * HOUR_MS, 41 * HOUR_MS)

    def cut(wanted: Window) -> list[RawSettlement]:
        held = [r for r in fours if wanted.start_ms <= r.time_ms < wanted.end_ms]
        return held[:3] if towards is ascending else held[-3:]

    assert counted(towards, cut, window, 8) == ([28, 32, 36, 40], 2)
    # As many rows as a page holds: what is behind them may have been cut.
    eights = hours(0, 400, 8)
    full = Window(1 * HOUR_MS, 87 * HOUR_MS)
    assert counted(towards, side(eights), full, 8) == ([*range(8, 81, 8)], 2)
    assert counted(towards, side(eights), full, 8, page_rows=LIMIT + 1) == ([*range(8, 81, 8)], 1)


@given(data=st.data())
def test_a_market_that_keeps_its_interval_is_read_whole_whatever_a_page_holds(
    data: st.DataObject,
) -> None:
    interval = data.draw(st.sampled_from([1, 2, 4, 8, 24]))
    start, length = data.draw(st.integers(-30, 200)), data.draw(st.integers(0, 150))
    window = Window(start * HOUR_MS - 5_000, (start + length) * HOUR_MS)
    cap = data.draw(st.integers(1, 40))
    late = data.draw(st.sampled_from([0, 1, 90_000, 1_700_000]))
    held = [RawSettlement("AAA", row.time_ms + late, "0.1") for row in hours(0, 200, interval)]
    inside = [r for r in held if window.start_ms <= r.time_ms < window.end_ms]
    for towards, side in ((ascending, slice(cap)), (descending, slice(-cap, None))):

        def answer(wanted: Window, side: slice = side) -> list[RawSettlement]:
            return [r for r in held if wanted.start_ms <= r.time_ms < wanted.end_ms][side]

        found, _ = counted(towards, answer, window, interval, page_rows=1000)
        assert found == [row.time_ms // HOUR_MS for row in inside]


def test_a_smaller_page_in_the_last_hour_was_the_last_of_all_markets() -> None:
    """Smaller elsewhere, it may have been cut."""
    spec = EXCHANGES["binance"].spec
    rows = [
        RawSettlement(f"M{number}", hour * HOUR_MS + number, "0.1")
        for hour in range(10)
        for number in range(4)
    ]

    def requests(limits: list[int], last_hour: int) -> int:
        asked = 0

        def answer(wanted: Window) -> list[RawSettlement]:
            nonlocal asked
            asked += 1
            limit = limits[min(asked, len(limits)) - 1]
            return [r for r in rows if wanted.start_ms <= r.time_ms < wanted.end_ms][:limit]

        window = Window(0, last_hour * HOUR_MS + HOUR_MS // 2)
        found = run(ascending_inclusive(served(answer), window, spec))
        assert len({(row.market, row.time_ms) for row in found}) == 4 * (last_hour + 1)
        return asked

    assert requests([30], 9) == 2, "30 rows, then 11"
    assert requests([30, 4, 30], 9) == 3, "cut before the last hour"
    assert requests([40], 9) == 2, "all in one page: compared with the next"
