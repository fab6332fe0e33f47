"""Which days and points a change touches: nothing outside the answer may change."""

from datetime import date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.daily import daily_stats
from funding_pipeline.transforms.moving_averages import moving_averages
from funding_pipeline.transforms.refresh import DIRTY, days_to_refresh, points_to_refresh

from .hour_by_hour import (
    DAY,
    HOUR,
    Row,
    at,
    lives_frame,
    points_frame,
    series,
    settlements_frame,
)
from .strategies import INTERVALS, RATES, rows

LONG_AFTER = at(24 * 400)
# A life of no hours asks for none: no change can hide behind a null for low coverage.
ALWAYS_COVERED = lives_frame({7: (at(0), at(0))})


def dirty(*days: tuple[int, date]) -> pl.DataFrame:
    return pl.DataFrame([(*day, None) for day in days], schema=DIRTY, orient="row")


def points(day: date, now: datetime) -> list[datetime]:
    return points_to_refresh(dirty((7, day)), now=now)["as_of"].to_list()


def changed(before: pl.DataFrame, after: pl.DataFrame, key: str) -> set[Any]:
    """Keys of rows that only one of the frames holds."""
    return set(before.join(after, on=before.columns, how="anti", nulls_equal=True)[key]) | set(
        after.join(before, on=before.columns, how="anti", nulls_equal=True)[key]
    )


def changed_points(before: list[Row], after: list[Row], now: datetime) -> set[datetime]:
    """Of all points that are kept at `now`, those whose figures differ."""
    hours = [now - n * HOUR for n in range(7 * 24)]
    midnights = [at(24 * n) for n in range(-3, 60)]
    kept = points_frame((7, t) for t in {*hours, *midnights} if t <= now)
    old, new = (
        moving_averages(settlements_frame({7: rows}), ALWAYS_COVERED, kept)
        for rows in (before, after)
    )
    return changed(old, new, "as_of")


def changed_days(before: list[Row], after: list[Row]) -> set[date]:
    old, new = (
        daily_stats(settlements_frame({7: rows}), ALWAYS_COVERED, now=LONG_AFTER)
        for rows in (before, after)
    )
    return changed(old, new, "day")


def paid_day(row: Row) -> date:
    return (row.time - row.interval * HOUR).date()


@st.composite
def change_of_a_day(draw: st.DrawFn) -> tuple[list[Row], list[Row], date]:
    """Rows before and after rows of one day came, went or changed, and that day."""
    before = draw(rows(max_size=16, first_hour=30))
    day = paid_day(draw(st.sampled_from(before)))
    kept = {row.time: row for row in before if paid_day(row) != day or draw(st.booleans())}
    midnight = datetime.combine(day, time.min)
    for start, interval, rate in draw(
        st.lists(st.tuples(st.integers(0, 23), INTERVALS, RATES), max_size=3)
    ):
        new = Row(midnight + (start + interval) * HOUR, rate, interval)
        other = kept.get(new.time)
        if other is None or paid_day(other) == day:
            kept[new.time] = new
    return before, [kept[stamp] for stamp in sorted(kept)], day


@settings(max_examples=150, deadline=None)
@given(change=change_of_a_day(), hours=st.integers(0, 24 * 45))
def test_nothing_outside_the_answer_changes(
    change: tuple[list[Row], list[Row], date], hours: int
) -> None:
    before, after, day = change
    now = at(hours)
    assert changed_points(before, after, now) <= set(points(day, now + timedelta(minutes=59)))
    assert changed_days(before, after) <= set(days_to_refresh(dirty((7, day)))["day"])


@settings(max_examples=150, deadline=None)
@given(after=rows().filter(lambda found: len(found) > 1), share=st.floats(0, 0.99))
def test_what_settles_after_the_newest_settlement_touches_no_earlier_point(
    after: list[Row], share: float
) -> None:
    before = after[: 1 + int(share * (len(after) - 1))]
    newest, now = before[-1].time, after[-1].time + 2 * HOUR
    days = {(row.time - row.interval * HOUR).date() for row in after[len(before) :]}
    owed = [(7, day, newest) for day in {*days, (newest - HOUR).date()}]
    asked = points_to_refresh(pl.DataFrame(owed, schema=DIRTY, orient="row"), now=now)["as_of"]
    # What was kept before: points up to the newest settlement.
    changed = changed_points(before, after, now)
    assert not [point for point in changed if point <= newest]
    assert {point for point in changed if point <= after[-1].time} <= set(asked)
    assert min(asked) == newest or newest < now - 7 * DAY


def test_one_change_of_something_older_asks_for_the_whole_reach() -> None:
    day = date(2025, 1, 10)
    both = pl.DataFrame([(7, day, at(24 * 9 + 2)), (7, day, None)], schema=DIRTY, orient="row")
    found = points_to_refresh(both, now=at(24 * 9 + 5))["as_of"].to_list()
    assert found == points(day, at(24 * 9 + 5))


def test_the_last_midnight_and_hour_are_really_touched() -> None:
    one, other = series((47, 0.01, 24)), series((47, 0.02, 24))  # of 1 January, ends on the 2nd
    assert max(changed_points(one, other, LONG_AFTER)) == at(24 * 31)
    assert max(points(date(2025, 1, 1), LONG_AFTER)) == at(24 * 31)
    now = at(24 * 31 + 22)
    assert max(changed_points(one, other, now)) == now
    assert now in points(date(2025, 1, 1), now)


def test_a_new_row_moves_the_start_of_the_next_which_began_the_day_before() -> None:
    # The 24 h row to 00:00 + 26 h began on 1 January; a row to 25 h takes all but an hour of it.
    before = series((26, 0.01, 24))
    after = series((25, 0.0, 1), (26, 0.01, 24))
    assert date(2025, 1, 1) in changed_days(before, after)
    assert min(changed_points(before, after, at(27))) == at(3)
    assert days_to_refresh(dirty((7, date(2025, 1, 2))))["day"][0] == date(2025, 1, 1)
    assert {at(3), at(24)} <= set(points(date(2025, 1, 2), at(27)))


def test_a_new_row_that_ends_after_midnight_changes_the_next_day() -> None:
    before = series((29, 0.01, 2))
    after = series((28, 0.0, 8), (29, 0.01, 2))
    assert changed_days(before, after) == {date(2025, 1, 1), date(2025, 1, 2)}
    assert date(2025, 1, 2) in days_to_refresh(dirty((7, date(2025, 1, 1))))["day"].to_list()


def test_long_ago_only_midnights_to_the_end_of_the_longest_window() -> None:
    assert points(date(2025, 1, 1), LONG_AFTER) == [at(24 * n) for n in range(32)]


def test_today_every_hour_up_to_now_and_none_after() -> None:
    assert points(date(2025, 1, 10), at(24 * 9 + 2.9)) == [at(24 * 8 + n) for n in range(1, 27)]


def test_hours_are_kept_for_seven_days() -> None:
    now = at(24 * 20)
    hourly = [t for t in points(date(2025, 1, 10), now) if t.hour]
    assert min(hourly) == now - 7 * DAY + HOUR
    assert max(hourly) == now - HOUR


def test_a_day_in_the_future_touches_nothing_yet() -> None:
    assert points(date(2025, 1, 10), at(24)) == []


@settings(max_examples=100, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 150)), max_size=8),
    now=st.integers(24 * 5, 24 * 200),
)
def test_many_days_touch_what_each_of_them_touches(days: list[tuple[int, int]], now: int) -> None:
    every = [(market, at(24 * day).date()) for market, day in days]
    one_by_one = {
        point for day in every for point in points_to_refresh(dirty(day), now=at(now)).rows()
    }
    assert points_to_refresh(dirty(*every), now=at(now)).rows() == sorted(one_by_one)


@pytest.mark.parametrize(("apart", "between"), [(32, []), (33, [at(24 * 32)])])
def test_between_dirty_days_far_apart_lie_untouched_midnights(
    apart: int, between: list[datetime]
) -> None:
    two = dirty((7, at(0).date()), (7, at(24 * apart).date()))
    touched = set(points_to_refresh(two, now=LONG_AFTER)["as_of"])
    assert [t for t in (at(24 * n) for n in range(apart)) if t not in touched] == between


def test_nothing_dirty_gives_empty_frames_of_the_schema() -> None:
    none = points_to_refresh(dirty(), now=LONG_AFTER)
    assert none.is_empty()
    assert none.schema == {"market_id": pl.Int32(), "as_of": pl.Datetime("us")}
    assert days_to_refresh(dirty()).is_empty()
    assert days_to_refresh(dirty()).schema == {"market_id": pl.Int32(), "day": pl.Date()}


def test_now_with_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="naive UTC"):
        points_to_refresh(dirty(), now=datetime.fromisoformat("2025-01-01T00:00:00+00:00"))
