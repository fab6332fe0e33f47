"""Daily statistics: by hand, at the day's edges, and against the hour-by-hour definition."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.daily import CAPS, DAILY_STATS, daily_stats

from .hour_by_hour import (
    DAY,
    FOREVER,
    HOUR,
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

Cap = tuple[float, float | None, float | None]  # since (hours after the origin), cap, floor


def caps_frame(caps: dict[int, list[Cap]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (market, at(since), *bounds)
            for market, known in caps.items()
            for since, *bounds in known
        ],
        schema=CAPS,
        orient="row",
    )


def stats(
    rows: list[Row], life: Life = FOREVER, now: datetime = LATER, caps: Sequence[Cap] = ()
) -> pl.DataFrame:
    return daily_stats(
        settlements_frame({7: rows}), lives_frame({7: life}), caps_frame({7: list(caps)}), now=now
    )


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
    # In order: 4 h at -0.0001, 9 at 0.00001, 8 at 0.0001, 3 at 0.0003; places 1.15, 11.5, 21.85.
    assert day["rate_hourly_p05"] == -0.0001
    assert day["rate_hourly_median"] == 0.00001
    assert day["rate_hourly_p95"] == pytest.approx(0.0003, rel=1e-12, abs=0)
    squares = 4 * 0.0001**2 + 9 * 0.00001**2 + 8 * 0.0001**2 + 3 * 0.0003**2
    variance = squares / 24 - (0.00139 / 24) ** 2
    assert day["rate_hourly_std"] == pytest.approx(variance**0.5, rel=1e-12, abs=0)
    assert (day["positive_streak_hours"], day["negative_streak_hours"]) == (12, 4)
    assert day["intervals"] == "1h x 9, 4h x 2, 8h x 1"
    assert day["expected_settlements"] == 12
    assert day["pinned"] is None


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


# --- how rates are spread within a day


def test_quantiles_lie_between_the_two_nearest_hours() -> None:
    day = stats(series((1, 0.0, 1), (2, 0.0001, 1))).row(0, named=True)
    found = [day[f"rate_hourly_{name}"] for name in ("p05", "median", "p95")]
    assert found == pytest.approx([0.000005, 0.00005, 0.000095], rel=1e-12, abs=0)


def test_a_settlement_counts_as_often_as_it_has_covered_hours() -> None:
    # 1 h at 1, 3 h at 5 (in basis points): mean 4, squares 9 + 3 * 1, median 5.
    day = stats(series((1, 0.0001, 1), (4, 0.002, 4))).row(0, named=True)
    assert day["covered_hours"] == 4
    assert day["rate_hourly_mean"] == pytest.approx(0.0004, rel=1e-12, abs=0)
    assert day["rate_hourly_std"] == pytest.approx(3**0.5 * 0.0001, rel=1e-12, abs=0)
    assert day["rate_hourly_median"] == 0.0005
    # Place 0.15 between 1 and 5.
    assert day["rate_hourly_p05"] == pytest.approx(0.00016, rel=1e-12, abs=0)


def test_one_settlement_is_all_its_quantiles_and_does_not_deviate() -> None:
    day = stats(series((8, 0.0007, 8))).row(0, named=True)
    assert {day[f"rate_hourly_{name}"] for name in ("p05", "median", "p95")} == {0.0007 / 8}
    assert day["rate_hourly_std"] == 0


@pytest.mark.parametrize("scale", [1e-18, 1e-6, 1e6])
def test_deviations_of_any_size_are_exact(scale: float) -> None:
    day = stats(series((1, scale, 1), (2, 3 * scale, 1))).row(0, named=True)
    assert day["rate_hourly_std"] == pytest.approx(scale, rel=1e-12, abs=0)


def test_a_tiny_deviation_from_a_large_rate_is_seen() -> None:
    day = stats(series((1, 0.04, 1), (2, math.nextafter(0.04, 1), 1))).row(0, named=True)
    exact = (math.nextafter(0.04, 1) - 0.04) / 2
    assert day["rate_hourly_std"] == pytest.approx(exact, rel=1e-12, abs=0)


# --- streaks


def test_zero_and_a_hole_end_a_streak() -> None:
    day = stats(
        series(
            *((hour, 0.01, 1) for hour in range(1, 4)),
            (4, 0.0, 1),
            *((hour, 0.01, 1) for hour in range(5, 10)),  # 5 h
            # 10:00 is missing
            *((hour, 0.01, 1) for hour in range(11, 15)),  # 4 h
            *((hour, -0.01, 1) for hour in range(15, 17)),
        )
    ).row(0, named=True)
    assert (day["positive_streak_hours"], day["negative_streak_hours"]) == (5, 2)


def test_a_streak_ends_with_the_day_and_counts_hours_not_settlements() -> None:
    days = stats(series((8, 0.01, 8), (16, -0.01, 8), (24, -0.01, 8), (32, -0.01, 8)))
    assert days["positive_streak_hours"].to_list() == [8, 0]
    assert days["negative_streak_hours"].to_list() == [16, 8]


# --- expected settlements


def expected(rows: list[Row], life: Life = FOREVER, now: datetime = LATER) -> list[int]:
    return stats(rows, life, now)["expected_settlements"].to_list()


def test_what_a_hole_should_have_brought_goes_by_the_interval_that_ends_it() -> None:
    # 8 h to 08:00; 12 h missing; 4 h to 24:00: three of 4 h. Then none after 01:00: 23 of 1 h.
    assert expected(series((8, 0.01, 8), (24, 0.01, 4), (25, 0.01, 1))) == [2 + 3, 1 + 23]


def test_settlements_across_midnight_are_no_holes() -> None:
    grid = [(hour, 0.01, 8) for hour in range(4, 24 * 3 + 4, 8)]
    assert expected(series(*grid))[1:] == [3, 3, 3]
    assert expected(series(*(row for row in grid if row[0] != 36)))[1:] == [3, 3, 3]
    # To 1 h at 20:00: the 4 hours before 04:00 are half of an 8 h settlement, not 4 of 1 h.
    change = [(4, 0.01, 8), (12, 0.01, 8), (20, 0.01, 8), *((h, 0.01, 1) for h in range(21, 25))]
    assert expected(series(*change))[1:] == [6]


def test_a_period_that_is_not_over_is_not_expected() -> None:
    rows = series((8, 0.01, 8))
    assert [expected(rows, now=at(hour))[0] for hour in (8, 15.9, 16, 23, 24, 99)] == [
        1, 1, 2, 2, 3, 3,
    ]  # fmt: skip


def test_a_market_is_expected_to_settle_while_it_lives() -> None:
    rows = series((16, 0.01, 8), (32, 0.01, 8))
    assert expected(rows, life=(at(8), at(40))) == [2, 2]
    # Listed and delisted within an hour, and within a period.
    assert expected(rows, life=(at(9.5), at(39.5))) == [1, 1]
    # Listed after what it settled: proven to have lived, but nothing is missing.
    assert expected(rows, life=(at(40), None))[0] == 1


def test_thirds_add_up() -> None:
    # 6, 8 and 4 thirds, which as floats are a little less than 6.
    assert expected(series((9, 0.01, 3), (20, 0.01, 3))) == [2 + 6]


# --- caps


def test_settlements_at_the_cap_or_floor_are_pinned() -> None:
    rows = series(
        (1, 0.02, 1), (2, 0.02 * (1 + 9e-13), 1), (3, 0.02 * (1 + 2e-12), 1), (4, -0.01, 1),
        (5, -0.02, 1), (6, 0.01, 1),
    )  # fmt: skip
    assert stats(rows, caps=[(0, 0.02, -0.01)])["pinned"].to_list() == [3]
    assert stats(rows, caps=[(0, 0.02, None)])["pinned"].to_list() == [2]
    assert stats(rows, caps=[(0, None, -0.01)])["pinned"].to_list() == [1]
    assert stats(rows, caps=[(0, 0.5, -0.5)])["pinned"].to_list() == [0]
    assert stats(rows, caps=[(0, None, None)])["pinned"].to_list() == [None]
    assert stats(rows)["pinned"].to_list() == [None]


def test_a_rate_of_zero_is_not_pinned() -> None:
    assert stats(series((1, 0.0, 1)), caps=[(0, 0.0, 0.0)])["pinned"].to_list() == [0]


def test_a_cap_counts_from_its_declaration_on_and_the_first_one_for_ever_before() -> None:
    rows = series(*((hour, 0.01 if hour < 5 else 0.02, 1) for hour in range(1, 9)))
    assert stats(rows, caps=[(4, 0.01, None), (6, 0.02, None)])["pinned"].to_list() == [4 + 3]
    assert stats(rows, caps=[(100, 0.01, None)])["pinned"].to_list() == [4]
    assert stats(rows, caps=[(6, 0.02, None), (4, 0.01, None)])["pinned"].to_list() == [4 + 3]


def test_the_caps_of_other_markets_do_not_count() -> None:
    frame = settlements_frame({n: series((1, 0.02, 1)) for n in (1, 2, 3)})
    caps = caps_frame({1: [(0, 0.02, None)], 3: [(0, 0.01, None)]})
    found = daily_stats(frame, lives_frame({}), caps, now=LATER)
    assert found["pinned"].to_list() == [1, None, 0]


# --- against the definition

BOUNDS = st.none() | st.sampled_from([0.0, 0.04, -0.04, 1e-5, -1e-5])
CAP_LISTS = st.lists(
    st.tuples(st.integers(-100, 900), BOUNDS, BOUNDS), max_size=3, unique_by=lambda cap: cap[0]
)


@settings(max_examples=150, deadline=None)
@given(
    first=rows(),
    second=rows(),
    life=lives(),
    caps=CAP_LISTS,
    now=st.integers(0, 60 * 24 * 40).map(lambda m: m / 60),
)
def test_equals_the_definition(
    first: list[Row], second: list[Row], life: Life, caps: list[Cap], now: float
) -> None:
    markets, spans = {3: first, 9: second}, {3: life, 9: FOREVER}
    declared = {3: caps, 9: []}
    result = daily_stats(
        settlements_frame(markets), lives_frame(spans), caps_frame(declared), now=at(now)
    )
    days = {
        (market, (row.time - timedelta(hours=row.interval)).date())
        for market, series in markets.items()
        for row in series
    }
    assert result.select("market_id", "day").rows() == sorted(days)
    for row in result.iter_rows(named=True):
        market = row["market_id"]
        check_day(row, markets[market], spans[market], at(now), declared[market])


@settings(max_examples=50, deadline=None)
@given(series=rows(), seed=st.integers(0, 99))
def test_a_day_from_its_own_rows_is_bit_for_bit_that_from_all(series: list[Row], seed: int) -> None:
    frame = settlements_frame({7: series})
    whole = daily_stats(frame, lives_frame({}), now=LATER)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    assert daily_stats(shuffled, lives_frame({}), now=LATER).equals(whole)
    days = [(row.time - timedelta(hours=row.interval)).date() for row in series]
    for day in set(days):
        alone = frame.filter(pl.Series([day == other for other in days]))
        assert daily_stats(alone, lives_frame({}), now=LATER).equals(whole.filter(day=day))


def check_day(
    actual: dict[str, Any],
    rows: list[Row],
    life: Life,
    now: datetime,
    caps: Sequence[Cap] = (),
) -> None:
    day = actual["day"]
    exact = day_figure(rows, life, day, now)
    pairs = day_rows(rows, day)
    mine = [row for row, _ in pairs]
    hourly = [row.rate / row.interval for row in mine]
    positive = sum(hours for row, hours in pairs if row.rate > 0)
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
    check_spread(actual, pairs)
    assert actual["positive_streak_hours"] == longest_streak(pairs, 1)
    assert actual["negative_streak_hours"] == longest_streak(pairs, -1)
    missing = missing_settlements(pairs, life, day, now) if exact.live > exact.covered else 0
    assert actual["expected_settlements"] == exact.settlements + missing
    mix = sorted(Counter(row.interval for row in mine).items())
    assert actual["intervals"] == ", ".join(f"{hours}h x {count}" for hours, count in mix)
    assert actual["pinned"] == pinned(mine, caps)


def check_spread(actual: dict[str, Any], pairs: list[tuple[Row, int]]) -> None:
    paid = sorted(row.rate / row.interval for row, hours in pairs for _ in range(hours))
    size = max(map(abs, paid))
    for name, share in {"p05": (1, 20), "median": (1, 2), "p95": (19, 20)}.items():
        place = Fraction(*share) * (len(paid) - 1)
        low, high = Fraction(paid[math.floor(place)]), Fraction(paid[math.ceil(place)])
        value = low + (high - low) * (place - math.floor(place))
        # Between opposite rates the value may be far smaller than they are.
        assert math.isclose(
            actual[f"rate_hourly_{name}"], value, rel_tol=1e-12, abs_tol=1e-15 * size
        )
    exact = [Fraction(row.rate) / row.interval for row, hours in pairs for _ in range(hours)]
    mean = sum(exact, Fraction(0)) / len(exact)
    variance = sum(((rate - mean) ** 2 for rate in exact), Fraction(0)) / len(exact)
    assert math.isclose(
        actual["rate_hourly_std"], math.sqrt(variance), rel_tol=1e-12, abs_tol=1e-29
    )


def longest_streak(pairs: list[tuple[Row, int]], sign: int) -> int:
    """Hour by hour from the first covered to the last."""
    positive = {
        row.time - back * HOUR: row.rate * sign > 0 for row, hours in pairs for back in range(hours)
    }
    longest = run = 0
    hour = min(positive)
    while hour <= max(positive):
        run = run + 1 if positive.get(hour, False) else 0
        longest = max(longest, run)
        hour += HOUR
    return longest


def missing_settlements(pairs: list[tuple[Row, int]], life: Life, day: date, now: datetime) -> int:
    """Of a day with live hours: each hole over the interval of the row that ends it."""
    midnight = datetime.combine(day, time.min)
    ends = [midnight + n * HOUR for n in range(1, 25)]
    listed, delisted = life
    live = [
        end
        for end in ends
        if end <= now
        and (listed is None or end - HOUR >= listed)
        and (delisted is None or end <= delisted)
    ]
    spans = [(row.time - hours * HOUR, row.time, row.interval) for row, hours in pairs]
    total = Fraction((spans[0][0] - (live[0] - HOUR)) // HOUR, spans[0][2])
    for (_, end, _), (start, _, interval) in pairwise(spans):
        total += Fraction((start - end) // HOUR, interval)
    total += Fraction((live[-1] - spans[-1][1]) // HOUR, spans[-1][2])
    return max(0, math.floor(total))


def pinned(mine: list[Row], caps: Sequence[Cap]) -> int | None:
    ordered = sorted(caps)
    count, told = 0, False
    for row in mine:
        bounds: Sequence[float | None] = ordered[0][1:] if ordered else ()
        for since, *declared in ordered:
            if at(since) <= row.time:
                bounds = declared
        known = [bound for bound in bounds if bound is not None]
        told = told or bool(known)
        count += row.rate != 0 and any(abs(row.rate - b) <= 1e-12 * abs(b) for b in known)
    return count if told else None


def around(rows: list[Row], day: date) -> list[Row]:
    """The day's rows and enough before them to know what they cover."""
    midnight = datetime.combine(day, time.min)
    return [row for row in rows if midnight - 2 * DAY < row.time < midnight + 3 * DAY]
