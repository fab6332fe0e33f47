"""The settlement calendar: holes are found at the head, in the middle, at the tail, and only they.

The property tests count hour by hour, or punch holes into a history that is known to be whole.
"""

from itertools import groupby

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from funding_pipeline.domain.calendar import (
    Gap,
    Life,
    Settled,
    between,
    expected,
    from_slot,
    gaps,
    head,
    joined,
    kept_since,
    span,
    tail,
)
from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.records import Window

BASE = 20_000 * DAY_MS


def at(hour: float) -> int:
    return BASE + round(hour * HOUR_MS)


def settled(*hours: int, every: int) -> list[Settled]:
    return [Settled(at(hour), every) for hour in hours]


def missing(found: list[Gap]) -> list[int]:
    """Hours of the missing settlements."""
    return [(slot - BASE) // HOUR_MS for gap in found for slot in gap.slots]


@pytest.mark.parametrize(
    ("before", "after", "lacking"),
    [
        ((0, 1), (1, 1), []),
        ((0, 1), (2, 1), [1]),
        ((0, 8), (8, 8), []),
        ((0, 8), (24, 8), [8, 16]),
        # HTX: a settlement comes 1 to 3 h late, or twice within one period.
        ((8, 8), (18, 8), []),
        ((18, 8), (24, 8), []),
        ((8, 8), (19, 8), []),
        ((0, 8), (3, 8), []),
        ((3, 8), (8, 8), []),
        ((0, 8), (9, 8), []),
        # The interval changes, with whole and with odd steps.
        ((0, 8), (8, 4), []),
        ((0, 4), (8, 8), []),
        ((18, 1), (24, 8), []),
        ((4, 4), (7, 1), []),
        ((4, 4), (10, 1), []),
        # It changes across a hole: the longer one counts, from the side whose interval it is.
        ((0, 4), (24, 8), [8, 16]),
        ((0, 8), (25, 1), [8, 16]),
        ((2, 1), (24, 8), [16]),
        ((0, 1), (10, 8), []),
    ],
)
def test_between_two_neighbours(
    before: tuple[int, int], after: tuple[int, int], lacking: list[int]
) -> None:
    pair = (Settled(at(hour), every) for hour, every in (before, after))
    assert missing(between(*pair)) == lacking


def test_no_settlement_is_owed_while_a_market_was_not_listed() -> None:
    before, after = settled(0, 40, every=1)
    away = Window(at(5.5), at(30.2))
    found = between(before, after, [away])
    assert missing(found) == [1, 2, 3, 4, *range(32, 40)]
    twice = [Window(at(5.5), at(10)), Window(at(12), at(39.5))]
    assert missing(between(before, after, twice)) == [1, 2, 3, 4, 11]
    assert missing(between(before, after, [Window(at(50), at(60))])) == list(range(1, 40))


def test_the_head_is_cut_at_the_listing_and_at_the_beginning_of_collection() -> None:
    first = Settled(at(24), 8)
    assert head(first, Life()) is None
    assert missing([head(first, Life(at(0)))]) == [8, 16]  # type: ignore[list-item]
    # Listed at 23:30, 00:00 or 07:59: the first period may be cut short.
    for listed, lacking in ((-0.5, [8, 16]), (0.5, [16]), (8, [16]), (8.1, []), (24, [])):
        gap = head(first, Life(at(listed)))
        assert missing([gap] if gap else []) == lacking
    # Collected from 00:00 on, and it had lived before: that hour is owed too.
    whole = head(first, Life(at(0), lived_before=True))
    assert whole == Gap(at(0), 3, 8)


def test_the_tail_ends_with_the_life_and_takes_the_longer_interval() -> None:
    last = Settled(at(0), 1)
    assert tail(last, Life()) is None
    assert tail(last, Life(end_ms=at(0.99))) is None
    assert tail(last, Life(end_ms=at(3))) == Gap(at(1), 3, 1)
    assert tail(last, Life(end_ms=at(23), hours=8)) == Gap(at(8), 2, 8)


def test_a_market_that_never_settled_owes_what_its_interval_says() -> None:
    assert gaps([], Life(at(1), at(30), 8)) == [Gap(at(16), 2, 8)]
    assert gaps([], Life(at(1), at(30))) == []
    assert gaps([], Life(None, at(30), 8)) == []
    assert gaps([], Life(at(1), at(2), 8)) == []


def test_expected_are_the_stored_and_the_missing_ones() -> None:
    history = settled(0, 8, 32, every=8)
    life = Life(at(-16), at(41))
    found = expected(history, life, Window(at(-100), at(100)))
    assert found == [at(h) for h in (-8, 0, 8, 16, 24, 32, 40)]
    assert expected(history, life, Window(at(8), at(32))) == [at(h) for h in (8, 16, 24)]


def test_where_to_look_reaches_up_to_the_neighbours_and_no_further() -> None:
    (gap,) = between(*settled(0, 24, every=8))
    assert span(gap) == Window(at(1), at(24))
    (gap,) = between(*settled(0, 2, every=1))
    assert span(gap) == Window(at(1), at(2))


def test_the_part_of_a_gap_from_a_moment_on() -> None:
    gap = Gap(at(8), 3, 8)
    assert from_slot(gap, at(0)) == gap
    assert from_slot(gap, at(8)) == gap
    assert from_slot(gap, at(8.1)) == Gap(at(16), 2, 8)
    assert from_slot(gap, at(24.1)) is None


def test_what_an_exchange_keeps() -> None:
    assert kept_since(None, at(5)) == 0
    assert kept_since(30, at(5.5)) == at(5 - 30 * 24 + 2)


def test_windows_closer_than_a_page_are_asked_for_as_one() -> None:
    windows = [Window(at(10), at(11)), Window(at(0), at(1)), Window(at(3), at(4))]
    assert list(joined(windows, 3 * HOUR_MS)) == [Window(at(0), at(4)), Window(at(10), at(11))]
    assert list(joined(windows, HOUR_MS)) == sorted(windows)
    assert list(joined([Window(0, 9), Window(2, 3)], 1)) == [Window(0, 9)]
    assert list(joined([], 1)) == []


# --- properties

intervals = st.sampled_from([1, 2, 4, 8])


@st.composite
def histories(draw: st.DrawFn) -> list[Settled]:
    """Whole histories on the grid of UTC, whose interval changes now and then."""
    rows, hour = [], 0
    for _ in range(draw(st.integers(1, 4))):
        every = draw(intervals)
        for _ in range(draw(st.integers(3, 12))):
            hour = (hour // every + 1) * every
            rows.append(Settled(at(hour), every))
    return rows


@given(histories())
def test_a_whole_history_has_no_gap(history: list[Settled]) -> None:
    life = Life(history[0].slot_ms - 1, history[-1].slot_ms + HOUR_MS - 1)
    assert gaps(history, life) == []


@given(histories(), st.data())
def test_holes_are_never_invented_and_found_where_the_interval_is_certain(
    history: list[Settled], data: st.DataObject
) -> None:
    count = len(history)
    lost = data.draw(st.sets(st.integers(1, max(1, count - 2)), max_size=count))
    kept = [row for n, row in enumerate(history) if n not in lost]
    # Of an interval that came and went within one hole, nothing stored could tell.
    assume(_eras(kept) == _eras(history))
    real = {row.slot_ms for n, row in enumerate(history) if n in lost}
    found = [slot for gap in gaps(kept, Life()) for slot in gap.slots]
    assert len(found) <= len(real)
    assert len(found) == len(set(found))
    stored = {row.slot_ms for row in kept}
    assert not stored.intersection(found)
    if len({row.hours for row in history}) == 1:
        assert set(found) == real


def _eras(history: list[Settled]) -> list[int]:
    return [every for every, _ in groupby(row.hours for row in history)]


@given(
    every=intervals,
    stored=st.sets(st.integers(0, 60), min_size=1),
    start=st.integers(-20, 70),
    end=st.integers(-20, 90),
)
def test_one_interval_hour_by_hour(every: int, stored: set[int], start: int, end: int) -> None:
    """Each period number between start and end that is not stored is missing."""
    history = settled(*(n * every for n in sorted(stored)), every=every)
    life = Life(at(start * every), at(end * every), lived_before=True)
    found = missing(gaps(history, life))
    low, high = min(start, *stored, max(stored)), max(end, *stored, min(stored))
    assert found == [n * every for n in range(low, high + 1) if n not in stored]


@given(histories(), st.data())
def test_gaps_lie_apart_ascending_and_a_filled_one_is_gone(
    history: list[Settled], data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(history), min_size=1, unique=True))
    kept.sort(key=lambda row: row.slot_ms)
    life = Life(at(-30), at(200), data.draw(st.none() | intervals))
    found = gaps(kept, life)
    ends = [edge for gap in found for edge in (gap.first_ms, gap.last_ms)]
    assert ends == sorted(ends)
    for gap in found:
        filled = sorted(
            [*kept, *(Settled(slot, gap.hours) for slot in gap.slots)], key=lambda r: r.slot_ms
        )
        again = [s for other in gaps(filled, life) for s in other.slots]
        assert not set(gap.slots).intersection(again)
