"""Carry: by hand, at the span's edges, with holes, and against the definition."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.carry import CARRY, carry

from .cash_by_hand import agrees, cash
from .hour_by_hour import FOREVER, Life, Row, at, lives_frame, series, settlements_frame
from .strategies import lives, rows

MARKET = 7


def result(
    rows: list[Row], start: float, end: float | None = None, life: Life = FOREVER
) -> dict[str, Any]:
    """The one row, from and to hours after the origin."""
    to_time = None if end is None else at(end)
    frame = settlements_frame({MARKET: rows})
    return carry(frame, lives_frame({MARKET: life}), from_time=at(start), to_time=to_time).row(
        0, named=True
    )


EIGHT = series((8, 0.0001, 8), (16, -0.0003, 8), (24, 0.0005, 8), (32, 0.0009, 8))


def test_a_long_pays_positive_rates_and_a_short_gets_them() -> None:
    day = result(EIGHT, 0, 24)
    assert day["long_carry"] == pytest.approx(-0.0003, rel=1e-12)
    assert day["short_carry"] == pytest.approx(0.0003, rel=1e-12)
    assert day["annualised"] == pytest.approx(-0.0003 / 24 * 8760, rel=1e-12)
    assert (day["settlements"], day["covered_hours"], day["coverage"]) == (3, 24, 1.0)
    assert (day["first_stamp"], day["last_stamp"]) == (at(8), at(24))


def test_the_settlement_at_the_opening_is_not_got_and_that_at_the_end_is() -> None:
    assert result(EIGHT, 8, 24)["short_carry"] == pytest.approx(-0.0003 + 0.0005, rel=1e-12)
    assert result(EIGHT, 7.999, 24)["short_carry"] == pytest.approx(0.0003, rel=1e-12)
    assert result(EIGHT, 8, 23.999)["short_carry"] == pytest.approx(-0.0003, rel=1e-12)


def test_a_position_opened_within_a_period_gets_its_settlement_whole() -> None:
    opened = result(EIGHT, 13, 24)
    assert opened["short_carry"] == pytest.approx(-0.0003 + 0.0005, rel=1e-12)
    assert opened["covered_hours"] == 16, "of which 5 lie before the opening"
    assert opened["annualised"] == pytest.approx(-0.0002 / 16 * 8760, rel=1e-12)
    assert opened["coverage"] == 1.0


def test_an_interval_that_changes_8_4_1_with_an_odd_step() -> None:
    changing = series(
        (8, 0.0008, 8),
        (12, -0.0004, 4),
        (15, 0.0012, 4),  # odd step: covers 3 of its 4 hours
        *((hour, 0.00001, 1) for hour in range(16, 25)),
    )
    day = result(changing, 0, 24)
    assert day["short_carry"] == pytest.approx(0.0008 - 0.0004 + 0.0012 + 0.00009, rel=1e-12)
    assert (day["settlements"], day["covered_hours"], day["coverage"]) == (12, 24, 1.0)


def test_hours_in_which_nothing_was_due_are_no_hole() -> None:
    assert result(EIGHT, 0, 31)["coverage"] == 1.0
    later = [*EIGHT[:3], Row(at(33), 0.1, 1)]  # nothing at 32: by 32:00 it was due
    assert result(later, 0, 31.999)["coverage"] == 1.0
    assert result(later, 0, 32)["coverage"] == 24 / 32
    assert result(later, 0, 32)["annualised"] is None


def test_a_sum_with_holes_is_not_told_but_what_it_rests_on_is() -> None:
    # 24 h at 8 h, then 8 h missing: 24 of 32 h; with 40 h, 32 of 40 is just enough.
    holed = [*EIGHT[:3], Row(at(40), 0.0002, 8)]
    assert result(holed, 8, 40)["coverage"] == 24 / 32
    assert result(holed, 8, 40)["long_carry"] is result(holed, 8, 40)["short_carry"] is None
    assert result(holed, 8, 40)["annualised"] is None
    assert result(holed, 8, 40)["settlements"] == 3
    assert result(holed, 0, 40)["coverage"] == 0.8
    assert result(holed, 0, 40)["short_carry"] == pytest.approx(0.0005, rel=1e-12)


def test_listing_and_delisting_bound_what_could_be_covered() -> None:
    known = (at(-0.5), at(33.7))
    assert result(EIGHT, -100, life=known)["coverage"] == 1.0
    assert result(EIGHT, -100)["coverage"] == 32 / 132
    other = settlements_frame({MARKET: EIGHT, 8: series((80, 0.1, 8))})
    ended = carry(other, lives_frame({MARKET: known}), from_time=at(0))
    assert ended["coverage"].to_list() == [32 / 33, 8 / 80]


def test_the_span_ends_with_the_newest_settlement_of_all_markets() -> None:
    frame = settlements_frame({MARKET: EIGHT, 8: series((39, 0.1, 1))})
    for to_time in (None, at(39), at(400)):
        spans = carry(frame, lives_frame({}), from_time=at(24), to_time=to_time)
        assert spans["coverage"].to_list() == [1.0, 1 / 15]
    frame = settlements_frame({MARKET: EIGHT, 8: series((40, 0.1, 1))})
    assert carry(frame, lives_frame({}), from_time=at(24))["coverage"][0] == 8 / 16


def test_a_span_without_a_whole_hour_lacks_nothing() -> None:
    moment = result(series((8, 0.0001, 1)), 7.5, 8)
    assert (moment["coverage"], moment["covered_hours"]) == (1.0, 1)
    assert moment["short_carry"] == 0.0001


def test_no_settlement_no_row() -> None:
    frame = settlements_frame({MARKET: EIGHT})
    for start, end in ((32, None), (9, 15), (24, 8), (24, 24)):
        to_time = None if end is None else at(end)
        none = carry(frame, lives_frame({}), from_time=at(start), to_time=to_time)
        assert none.is_empty()
        assert none.schema == pl.Schema(CARRY)
    assert carry(settlements_frame({}), lives_frame({}), from_time=at(0)).is_empty()


def test_the_order_of_rows_changes_not_one_bit() -> None:
    frame = settlements_frame(
        {n: series((1, 0.04, 1), (2, 1e-18, 1), (3, -0.04, 1)) for n in (2, 1)}
    )
    there = carry(frame, lives_frame({}), from_time=at(0))
    assert there.equals(carry(frame.reverse(), lives_frame({}), from_time=at(0)))
    assert there["short_carry"].to_list() == pytest.approx([1e-18] * 2, rel=1e-12)
    assert there["market_id"].to_list() == [1, 2]


def test_times_with_a_zone_are_refused() -> None:
    frame, aware = settlements_frame({MARKET: EIGHT}), datetime(2025, 1, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="naive UTC"):
        carry(frame, lives_frame({}), from_time=aware)
    with pytest.raises(ValueError, match="naive UTC"):
        carry(frame, lives_frame({}), from_time=at(0), to_time=aware)


MINUTES = st.integers(-60 * 24, 60 * 24 * 30).map(
    lambda minutes: at(0) + timedelta(minutes=minutes)
)


@settings(max_examples=200, deadline=None)
@given(first=rows(), second=rows(), life=lives(), start=MINUTES, end=st.none() | MINUTES)
def test_equals_the_definition(
    first: list[Row], second: list[Row], life: Life, start: datetime, end: datetime | None
) -> None:
    markets, spans = {3: first, 9: second}, {3: life, 9: FOREVER}
    newest = max(first[-1].time, second[-1].time)
    expected = {
        market: cash(rows, spans[market], start, min(end or newest, newest))
        for market, rows in markets.items()
    }
    found = carry(settlements_frame(markets), lives_frame(spans), from_time=start, to_time=end)
    assert found["market_id"].to_list() == [market for market, cash in expected.items() if cash]
    for row in found.iter_rows(named=True):
        exact = expected[row["market_id"]]
        assert exact is not None
        assert agrees(row, exact), (row, exact)
