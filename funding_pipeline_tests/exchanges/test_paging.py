"""How a history ends: proven by what comes behind it, or told as unproven."""

from collections.abc import Callable, Generator

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import HistoryPlan, Request
from funding_pipeline.exchanges.paging import (
    PagePlan,
    Unproven,
    ascending,
    descending,
    sliced,
    walked,
)

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
