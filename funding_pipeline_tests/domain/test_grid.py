"""Snapping: stamps become whole hours, from 5 s early to 30 min late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.grid import HOUR_MS, slot_of

TEN = 1_700_000_000_000 // HOUR_MS * HOUR_MS
MINUTE = 60_000
stamps = st.integers(0, 4_102_444_800_000)


@pytest.mark.parametrize(
    ("offset_ms", "slot"),
    [
        (0, TEN),
        (1, TEN),
        (47, TEN),
        (-1, TEN),
        (-5_000, TEN),
        (-5_001, None),
        (15 * MINUTE, TEN),
        (24 * MINUTE, TEN),
        (30 * MINUTE, TEN),
        (30 * MINUTE + 1, None),
        (45 * MINUTE, None),
        (60 * MINUTE - 5_001, None),
        (60 * MINUTE - 5_000, TEN + HOUR_MS),
    ],
)
def test_edges(offset_ms: int, slot: int | None) -> None:
    assert slot_of(TEN + offset_ms) == slot


def test_the_recorded_late_stamps() -> None:
    """Hyperliquid 2025-07-19 10:14:47 and 2023-05-23 08:23:53."""
    assert slot_of(1_752_920_087_000) == 1_752_919_200_000
    assert slot_of(1_684_830_233_040) == 1_684_828_800_000


@given(stamps)
def test_a_slot_is_a_whole_hour_within_the_limits(stamp: int) -> None:
    slot = slot_of(stamp)
    if slot is not None:
        assert slot % HOUR_MS == 0
        assert -5_000 <= stamp - slot <= 30 * MINUTE


@given(stamps)
def test_a_stamp_without_a_slot_is_within_the_limits_of_no_hour(stamp: int) -> None:
    if slot_of(stamp) is None:
        below = stamp // HOUR_MS * HOUR_MS
        for hour in (below, below + HOUR_MS):
            assert not -5_000 <= stamp - hour <= 30 * MINUTE


@given(st.integers(0, 400_000))
def test_a_whole_hour_is_its_own_slot(hour: int) -> None:
    assert slot_of(hour * HOUR_MS) == hour * HOUR_MS


@given(stamps, st.integers(0, 3 * HOUR_MS))
def test_later_stamps_never_fall_into_earlier_slots(stamp: int, later: int) -> None:
    first, second = slot_of(stamp), slot_of(stamp + later)
    if first is not None and second is not None:
        assert first <= second
