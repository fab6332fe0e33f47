"""Rates against their market's caps, its past and its end: what fails, and what must not."""

from collections.abc import Sequence
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.domain import plausible
from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.plausible import (
    CAP_MARGIN,
    LONGEST_RUN,
    Cap,
    caps_in_force,
    implausible,
    is_distinctive,
)
from funding_pipeline.domain.records import RawSettlement, Slotted

TEN = 1_700_000_000_000 // HOUR_MS * HOUR_MS
CAPS = (Cap(TEN, 0.003, -0.002),)


def row(hour: int, rate: float) -> Slotted:
    slot = TEN + hour * HOUR_MS
    return Slotted(slot, rate, RawSettlement("AAA", slot + 7, repr(rate)))


def series(rates: Sequence[float], every: int = 1) -> list[Slotted]:
    return [row(n * every, rate) for n, rate in enumerate(rates)]


def failed(rows: Sequence[Slotted], **known: object) -> list[int]:
    """Hours of the rows that fail."""
    found = implausible(rows, known.pop("before", ()), **known)  # type: ignore[arg-type]
    return [(q.raw.time_ms - TEN) // HOUR_MS for q in found]


# --- caps


def test_beyond_a_cap_or_floor_by_the_margin_fails_and_up_to_it_passes() -> None:
    rows = series([CAP_MARGIN * 0.003, CAP_MARGIN * 0.003001, CAP_MARGIN * -0.002, -0.0121])
    assert failed(rows, caps=CAPS) == [1, 3]
    assert implausible(rows, (), CAPS)[1].reason == (
        "beyond the cap: -0.0121, 6 times outside -0.002 .. 0.003"
    )


def test_a_cap_says_nothing_about_the_time_before_it_was_seen() -> None:
    assert failed([row(-2, 0.04)], caps=CAPS) == []
    assert failed([row(2, 0.04)], caps=CAPS) == [2]


def test_between_two_looks_the_wider_cap_holds_whichever_came_first() -> None:
    first, second = Cap(0, 0.003, -0.003), Cap(10, 0.02, -0.001)
    assert caps_in_force((first, second), 5) == (-0.003, 0.02)
    assert caps_in_force((first, second), 10) == (-0.001, 0.02)
    assert caps_in_force((second,), 9) is None


@pytest.mark.parametrize("nothing", [None, 0.0])
def test_no_cap_is_no_bound(nothing: float | None) -> None:
    assert failed(series([0.04, -0.04]), caps=(Cap(0, nothing, -0.003),)) == [1]


# --- standing still


@pytest.mark.parametrize(
    ("rate", "distinctive"),
    [
        (0.0, False),
        (0.0001, False),
        (0.0000125, False),  # 0.01 % per 8 h, in hours
        (0.1 / 8760, False),  # 10 % a year, in hours
        (-0.005025, False),  # a cap of 2020: 1.5075 % a day... in a rounder quote
        (0.00013813, True),
        (-1.8143e-05, True),
        (0.00010000000021, False),  # a baseline with the noise of a computation
    ],
)
def test_only_particular_rates_may_not_stand_still(rate: float, distinctive: bool) -> None:
    assert is_distinctive(rate) is distinctive


def test_a_particular_rate_that_stands_still_fails_after_a_day_and_eight_times() -> None:
    assert failed(series([0.00013813] * 30)) == [25, 26, 27, 28, 29]
    assert failed(series([0.00013813] * 12, every=8)) == [8 * n for n in range(8, 12)]
    assert LONGEST_RUN == 8


def test_round_rates_and_rates_at_their_cap_stand_still_for_ever() -> None:
    assert failed(series([0.0001] * 100)) == []
    assert failed(series([0.0031417] * 100), caps=(Cap(0, 0.0031417, None),)) == []
    assert failed(series([0.0031417] * 100), caps=(Cap(0, 0.0031418, None),)) != []


def test_another_rate_in_between_begins_anew() -> None:
    rates = [0.00013813] * 20 + [0.0002] + [0.00013813] * 20
    assert failed(series(rates)) == []


def test_what_was_known_before_counts() -> None:
    before = [(row(hour, 0.00013813).slot_ms, 0.00013813) for hour in range(-25, 0)]
    assert failed([row(0, 0.00013813)], before=before) == [0]
    assert failed([row(0, 0.00013814)], before=before) == []
    assert failed([row(0, 0.00013813)], before=[*before[:-1], (TEN - HOUR_MS, 0.0)]) == []


# --- after delisting


def test_rows_stamped_more_than_a_day_after_the_delisting_fail() -> None:
    rows = [row(0, 0.0002), row(24, 0.0003), row(25, 0.0004)]
    assert failed(rows, delisted_ms=TEN) == [25]
    assert "25 h after the market left its list" in implausible(rows, (), (), TEN)[0].reason


def test_within_that_day_a_particular_rate_may_not_come_again() -> None:
    rows = [row(0, 0.00013813), row(1, 0.00013813), row(2, 0.0001), row(3, 0.0001)]
    assert failed(rows, delisted_ms=TEN) == [1]
    assert failed(rows) == []


# --- the quick look before


@settings(max_examples=300)
@given(
    # Repetitions of particular and of round rates, and rates around the caps.
    rates=st.lists(
        st.tuples(
            st.sampled_from([0.000012345, 0.0000125, 0.0, 0.0029, 0.019, -0.0123456, 0.1]),
            st.integers(1, 14),
        ),
        max_size=5,
    ),
    every=st.sampled_from([1, 8]),
    caps=st.sampled_from([(), CAPS, (*CAPS, Cap(TEN + 5 * HOUR_MS, 0.02, None))]),
    delisted=st.sampled_from([None, TEN, TEN + 20 * HOUR_MS]),
)
def test_a_quick_look_misses_nothing(
    rates: list[tuple[float, int]], every: int, caps: Sequence[Cap], delisted: int | None
) -> None:
    rows = series([rate for rate, times in rates for _ in range(times)], every)
    quick = implausible(rows, (), caps, delisted)
    with mock.patch.object(plausible, "_may_fail", return_value=True):
        assert quick == implausible(rows, (), caps, delisted)
