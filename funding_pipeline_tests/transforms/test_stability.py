"""Stability: by hand, over interval changes and holes, against the hour-by-hour definition."""

import math
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.stability import STABILITY, stability

from .hour_by_hour import (
    FOREVER,
    Life,
    Row,
    at,
    close,
    lives_frame,
    points_frame,
    series,
    settlements_frame,
)
from .last_hours import (
    autocorrelation,
    deviation,
    grained,
    known,
    last_hours,
    mean,
    persistence,
    share_covered,
    sign_changes,
)
from .strategies import lives, rows

WINDOWS = {"7d": 168, "30d": 720, "90d": 2160}
LISTED = (at(0), None)
FIGURES = [
    "rate_hourly_mean",
    "rate_hourly_std",
    "variation",
    "sign_changes",
    "sign_persistence",
    "autocorrelation_8h",
    "autocorrelation_24h",
]


def figures(
    rows: list[Row], hour: float, life: Life = LISTED, window: str = "7d"
) -> dict[str, Any]:
    frame = stability(
        settlements_frame({7: rows}), lives_frame({7: life}), points_frame([(7, at(hour))])
    )
    return frame.filter(pl.col("window") == window).row(0, named=True)


def test_a_day_of_three_settlements_by_hand() -> None:
    """3, -1 and 1 basis points an hour, 8 h each: mean 1, variance 8/3, the sign of 16 of 24 h."""
    found = figures(series((8, 0.0024, 8), (16, -0.0008, 8), (24, 0.0008, 8)), 24)
    assert found["rate_hourly_mean"] == pytest.approx(1e-4, rel=1e-12)
    assert found["rate_hourly_std"] == pytest.approx(math.sqrt(8 / 3) * 1e-4, rel=1e-12)
    assert found["variation"] == pytest.approx(math.sqrt(8 / 3), rel=1e-12)
    assert found["sign_changes"] == 2
    assert found["sign_persistence"] == 16 / 24
    assert found["autocorrelation_8h"] is None, "16 pairs of hours are too few"
    assert (found["covered_hours"], found["coverage"]) == (24, 1)


def test_a_rhythm_of_sixteen_hours_is_opposite_after_eight() -> None:
    """8 h at 2, 8 h at -1, over and over: after 8 h the other rate, after 24 h too."""
    rows = series(*((8 * n, 0.0016 if n % 2 else -0.0008, 8) for n in range(1, 21)))
    found = figures(rows, 160)
    assert found["autocorrelation_8h"] == pytest.approx(-1, rel=1e-12)
    assert found["autocorrelation_24h"] == pytest.approx(-1, rel=1e-12)
    assert found["sign_changes"] == 19


def test_a_daily_rhythm_of_an_hourly_market_comes_back_after_a_day() -> None:
    rows = series(*((h, 1e-5 * (2 + math.cos(h * math.pi / 12)), 1) for h in range(1, 153)))
    found = figures(rows, 152)
    assert found["autocorrelation_24h"] == pytest.approx(1, rel=1e-12)
    # A cosine a third of its period later, over six whole days of pairs.
    assert found["autocorrelation_8h"] == pytest.approx(-0.5, rel=1e-12)


def test_a_pair_counts_only_where_both_hours_are_covered() -> None:
    """32 hours of 40, the 8 in the middle missing: 16 pairs eight hours apart, so none is told."""
    rates = {h: 1e-5 * (h % 5) for h in range(1, 41)}
    whole = series(*((h, r, 1) for h, r in rates.items()))
    holed = [row for row in whole if not at(16) < row.time <= at(24)]
    assert figures(holed, 40)["coverage"] == 0.8
    assert figures(holed, 40)["autocorrelation_8h"] is None
    assert figures(whole, 40)["autocorrelation_8h"] is not None
    assert figures(whole, 47)["autocorrelation_24h"] is None, "16 pairs a day apart"


def test_twenty_four_pairs_are_enough() -> None:
    rows = series(*((h, 1e-5 * (h % 5), 1) for h in range(1, 33)))
    assert figures(rows, 32)["autocorrelation_8h"] is not None
    assert figures(rows, 31)["autocorrelation_8h"] is None


def test_the_edges_of_windows_cut_the_settlements_they_meet() -> None:
    """100 days of 8 h, seen from the midst of a period: each window ends within a settlement."""
    rows = series(*((8 * n, ((n * 37) % 23 - 8) * 1e-5, 8) for n in range(1, 301)))
    check_against_definition({7: rows}, {7: LISTED}, {7: at(2395)})
    assert figures(rows, 2395, window="90d")["covered_hours"] == 2160


def test_zeros_and_holes_are_passed_over_by_the_sign() -> None:
    rates = [1, 0, 1, 0, -1, -1, 0, 1, 1, -1]
    rows = series(*((h, r * 1e-5, 1) for h, r in enumerate(rates, 1)))
    assert figures(rows, 10)["sign_changes"] == 3
    assert figures(rows, 10)["sign_persistence"] == 4 / 10, "zeros have not the mean's sign"
    del rows[2]
    assert figures(rows, 10)["sign_changes"] == 3


def test_a_change_of_sign_at_the_window_s_edge_is_none_of_it() -> None:
    before = series((1, -1e-5, 1), *((h, 1e-5, 1) for h in range(2, 170)))
    assert figures(before, 169)["sign_changes"] == 0
    assert figures(before, 168)["sign_changes"] == 1
    assert figures(before, 169, window="30d")["sign_changes"] == 1


def test_a_settlement_after_the_point_counts_with_its_hours_before_it() -> None:
    rows = series((8, 0.0008, 8), (16, 0.0016, 8), (24, -0.0008, 8))
    found = figures(rows, 20)
    assert found["covered_hours"] == 20
    assert found["rate_hourly_mean"] == pytest.approx((8 * 1 + 8 * 2 - 4) * 1e-4 / 20, rel=1e-12)
    assert found["sign_changes"] == 1


def test_a_mean_of_zero_has_no_sign_and_no_variation() -> None:
    found = figures(series((8, 0.0008, 8), (16, -0.0008, 8)), 16)
    assert (found["rate_hourly_mean"], found["variation"], found["sign_persistence"]) == (
        0,
        None,
        None,
    )
    assert found["sign_changes"] == 1


def test_what_never_varies_has_no_autocorrelation() -> None:
    rows = series(*((3 * n, 0.0003, 3) for n in range(1, 30)), (88, 0.0001, 1))
    found = figures(rows, 88)
    assert (found["rate_hourly_std"], found["variation"]) == (0, 0)
    assert (found["autocorrelation_8h"], found["autocorrelation_24h"]) == (None, None)
    assert found["sign_persistence"] == 1


def test_below_four_fifths_of_coverage_nothing_is_told() -> None:
    rows = series(*((h, 1e-5 * (h % 3), 1) for h in range(1, 96)))
    found = figures(rows, 120)
    assert found["coverage"] == 95 / 120
    assert [found[name] for name in FIGURES] == [None] * len(FIGURES)


def test_windows_without_a_covered_hour_have_no_row() -> None:
    frame = stability(
        settlements_frame({7: series((8, 1e-4, 8))}), lives_frame({}), points_frame([(7, at(400))])
    )
    assert frame["window"].to_list() == ["30d", "90d"]


def test_other_markets_change_no_bit() -> None:
    mine = series(*((h, math.sin(h) * 1e-5, 1) for h in range(1, 900) if h % 50))
    others = {n: series(*((h, math.cos(h * n) * 1e-5, 1) for h in range(n, 600))) for n in (3, 9)}
    alone = stability(settlements_frame({7: mine}), lives_frame({}), points_frame([(7, at(890))]))
    points = points_frame([(n, at(590)) for n in others] + [(7, at(890))])
    together = stability(settlements_frame({7: mine, **others}), lives_frame({}), points)
    assert together.filter(pl.col("market_id") == 7).equals(alone)
    assert together["market_id"].to_list() == [3, 3, 3, 7, 7, 7, 9, 9, 9]


def test_nothing_gives_an_empty_frame_of_the_schema() -> None:
    empty = stability(settlements_frame({}), lives_frame({}), points_frame([]))
    assert empty.is_empty()
    assert empty.schema == pl.Schema(STABILITY)


@settings(max_examples=50, deadline=None)
@given(
    first=rows(max_size=60).map(grained),
    second=rows(first_hour=900).map(grained),
    life=lives(),
    before=st.integers(0, 30),
)
def test_equals_the_definition(
    first: list[Row], second: list[Row], life: Life, before: int
) -> None:
    markets = {3: first, 9: second}
    points = {market: at(0) + (rows[-1].time - at(before)) for market, rows in markets.items()}
    check_against_definition(markets, {3: life, 9: FOREVER}, points)


def check_against_definition(
    markets: dict[int, list[Row]], spans: dict[int, Life], points: dict[int, datetime]
) -> None:
    """Compare every figure at `points` with the hour-by-hour computation."""
    found = stability(settlements_frame(markets), lives_frame(spans), points_frame(points.items()))
    rows = iter(found.iter_rows(named=True))
    for market in sorted(markets):
        for window, length in WINDOWS.items():
            hours = last_hours(markets[market], points[market], length)
            if not known(hours):
                continue
            actual = next(rows)
            assert (actual["market_id"], actual["window"]) == (market, window)
            assert actual["as_of"] == points[market]
            assert actual["covered_hours"] == len(known(hours))
            share = share_covered(hours, points[market], spans[market])
            assert actual["coverage"] == share
            if share < 0.8:
                assert [actual[name] for name in FIGURES] == [None] * len(FIGURES)
            else:
                check_window(actual, hours)
    assert next(rows, None) is None


def check_window(actual: dict[str, Any], hours: list[Any]) -> None:
    rates = known(hours)
    middle, spread = mean(rates), deviation(rates)
    assert close(actual["rate_hourly_mean"], middle)
    assert math.isclose(actual["rate_hourly_std"], spread, rel_tol=1e-12)
    if actual["rate_hourly_mean"] == 0:
        assert actual["variation"] is None
    else:
        exact = spread / abs(actual["rate_hourly_mean"])
        assert math.isclose(actual["variation"], exact, rel_tol=1e-12)
    assert actual["sign_changes"] == sign_changes(hours)
    if abs(middle) > 1e-28:  # what the steps of a sum cannot tell from zero
        assert actual["sign_persistence"] == persistence(rates)
    for lag in (8, 24):
        value = actual[f"autocorrelation_{lag}h"]
        exact_pair = autocorrelation(hours, lag)
        if exact_pair is None or not spread:
            assert value is None
            continue
        exact, condition = exact_pair
        if condition < 1e-13:
            assert value is None
        elif condition > 1e-11:
            assert math.isclose(value, exact, rel_tol=1e-12, abs_tol=1e-12 / condition)
