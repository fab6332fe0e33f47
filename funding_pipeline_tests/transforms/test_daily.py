"""Daily statistics: by hand, at the day's edges, and against the hour-by-hour definition."""

from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.daily import DAILY_STATS, daily_stats

from .hour_by_hour import (
    FOREVER,
    Life,
    Row,
    at,
    close,
    day_figure,
    day_rows,
    lives_frame,
    series,
    settlements_frame,
)
from .strategies import lives, rows

LATER = at(24 * 60)
JAN_1 = date(2025, 1, 1)


def stats(rows: list[Row], life: Life = FOREVER, now: datetime = LATER) -> pl.DataFrame:
    return daily_stats(settlements_frame({7: rows}), lives_frame({7: life}), now=now)


def test_a_day_whose_interval_changes_8_4_1_with_an_odd_step() -> None:
    day = stats(
        series(
            (0, 0.5, 8),  # pays for 31 December
            (8, 0.0008, 8),
            (12, -0.0004, 4),
            (15, 0.0012, 4),  # odd step: covers 3 of its 4 hours
            *((hour, 0.00001, 1) for hour in range(16, 25)),  # 24:00 is the day's last stamp
        )
    ).row(1, named=True)
    assert day["day"] == JAN_1
    assert day["settlements"] == 12
    assert day["covered_hours"] == day["live_hours"] == 24
    assert day["coverage"] == 1.0
    # 8 h at 0.0001, 4 h at -0.0001, 3 h at 0.0003, 9 h at 0.00001
    assert day["rate_hourly_mean"] == pytest.approx(0.00139 / 24, rel=1e-12, abs=0)
    assert day["apr_mean"] == pytest.approx(0.00139 / 24 * 8760, rel=1e-12, abs=0)
    assert day["rate_sum"] == pytest.approx(0.0008 - 0.0004 + 0.0012 + 0.00009, rel=1e-12, abs=0)
    assert day["rate_hourly_open"] == 0.0001
    assert day["rate_hourly_close"] == 0.00001
    assert day["rate_hourly_min"] == -0.0001
    assert day["rate_hourly_max"] == pytest.approx(0.0003, rel=1e-12, abs=0)
    assert day["positive_share"] == 20 / 24


def test_an_8_hour_settlement_at_04_belongs_wholly_to_the_day_before() -> None:
    days = stats(series((12, 0.001, 8), (20, 0.002, 8), (28, 0.004, 8), (36, 0.008, 8)))
    assert days["day"].to_list() == [JAN_1, date(2025, 1, 2)]
    assert days["rate_sum"].to_list() == pytest.approx([0.007, 0.008], rel=1e-12, abs=0)
    assert days["covered_hours"].to_list() == [24, 8]


@pytest.mark.parametrize(
    ("hour", "interval", "day"),
    [
        (24, 8, JAN_1),
        (24, 1, JAN_1),
        (25, 1, date(2025, 1, 2)),
        (47, 24, JAN_1),
        (48, 24, date(2025, 1, 2)),
    ],
)
def test_the_day_is_that_of_the_period_s_start(hour: int, interval: int, day: date) -> None:
    assert stats(series((hour, 0.001, interval)))["day"].to_list() == [day]


def test_the_day_goes_by_the_quoted_interval_not_by_the_covered_hours() -> None:
    days = stats(series((23, 0.001, 1), (26, 0.008, 8)))
    assert days["day"].to_list() == [JAN_1]
    assert days["covered_hours"].to_list() == [1 + 3]


def test_a_hole_lowers_the_coverage_and_leaves_the_mean_to_the_rest() -> None:
    day = stats(series((8, 0.0008, 8), (24, 0.0016, 8))).row(0, named=True)
    assert day["coverage"] == 16 / 24
    assert day["rate_hourly_mean"] == pytest.approx(0.00015, rel=1e-12, abs=0)


def test_live_hours_end_with_now_floored_to_the_hour() -> None:
    rows = series((8, 0.0008, 8))
    day = stats(rows, now=at(9.99)).row(0, named=True)
    assert (day["live_hours"], day["coverage"]) == (9, 8 / 9)
    assert stats(rows, now=at(8))["coverage"].to_list() == [1.0]


def test_listing_and_delisting_bound_the_live_hours() -> None:
    rows = series((16, 0.0008, 8), (24, 0.0008, 8), (32, 0.0008, 8))
    days = stats(rows, life=(at(9.5), at(34.5)))
    assert days["live_hours"].to_list() == [14, 10]
    assert days["coverage"].to_list() == [1.0, 8 / 10]  # 16 of 14 is capped


def test_settlements_outside_the_declared_life_count_as_covered() -> None:
    day = stats(series((8, 0.0008, 8)), life=(at(24), None)).row(0, named=True)
    assert (day["live_hours"], day["coverage"]) == (0, 1.0)


def test_a_market_without_a_known_life_is_live_for_ever() -> None:
    frame = settlements_frame({7: series((8, 0.0008, 8))})
    assert daily_stats(frame, lives_frame({}), now=LATER)["live_hours"].to_list() == [24]


def test_opposite_rates_leave_what_they_differ_by() -> None:
    day = stats(series((1, 0.04, 1), (2, 1e-18, 1), (3, -0.04, 1))).row(0, named=True)
    assert day["rate_sum"] == pytest.approx(1e-18, rel=1e-12, abs=0)
    assert day["rate_hourly_mean"] == pytest.approx(1e-18 / 3, rel=1e-12, abs=0)


def test_input_order_does_not_matter() -> None:
    frame = settlements_frame({n: series((8, 0.01, 8), (9, -0.02, 1)) for n in (2, 1)})
    expected = daily_stats(frame, lives_frame({}), now=LATER)
    assert daily_stats(frame.reverse(), lives_frame({}), now=LATER).equals(expected)
    assert expected["market_id"].to_list() == [1, 2]


def test_no_settlements_give_an_empty_frame_of_the_schema() -> None:
    empty = daily_stats(settlements_frame({}), lives_frame({}), now=LATER)
    assert empty.schema == pl.Schema(DAILY_STATS)
    assert empty.is_empty()
    assert stats(series((8, 0.01, 8))).schema == pl.Schema(DAILY_STATS)


@settings(max_examples=150, deadline=None)
@given(
    first=rows(),
    second=rows(),
    life=lives(),
    now=st.integers(0, 60 * 24 * 40).map(lambda m: m / 60),
)
def test_equals_the_definition(first: list[Row], second: list[Row], life: Life, now: float) -> None:
    markets, spans = {3: first, 9: second}, {3: life, 9: FOREVER}
    result = daily_stats(settlements_frame(markets), lives_frame(spans), now=at(now))
    expected = {
        (market, (row.time - timedelta(hours=row.interval)).date())
        for market, series in markets.items()
        for row in series
    }
    assert result.select("market_id", "day").rows() == sorted(expected)
    for row in result.iter_rows(named=True):
        check_day(row, markets[row["market_id"]], spans[row["market_id"]], at(now))


def check_day(actual: dict[str, Any], rows: list[Row], life: Life, now: datetime) -> None:
    day = actual["day"]
    exact = day_figure(rows, life, day, now)
    mine = [row for row, _ in day_rows(rows, day)]
    hourly = [row.rate / row.interval for row in mine]
    positive = sum(hours for row, hours in day_rows(rows, day) if row.rate > 0)
    assert close(actual["rate_hourly_mean"], exact.mean)
    assert close(actual["apr_mean"] / 8760, exact.mean)
    assert close(actual["rate_sum"], sum((Fraction(row.rate) for row in mine), Fraction(0)))
    assert actual["rate_hourly_open"] == hourly[0]
    assert actual["rate_hourly_close"] == hourly[-1]
    assert actual["rate_hourly_min"] == min(hourly)
    assert actual["rate_hourly_max"] == max(hourly)
    assert actual["positive_share"] == positive / exact.covered
    assert actual["covered_hours"] == exact.covered
    assert actual["live_hours"] == exact.live
    assert actual["coverage"] == exact.coverage
    assert actual["settlements"] == exact.settlements
