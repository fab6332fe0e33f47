"""Signals of the newest rate: by hand, over interval changes and holes, against the definition."""

import math
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from funding_pipeline.transforms.moving_averages import moving_averages
from funding_pipeline.transforms.signals import MARKET_SIGNALS, market_signals

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
    deviation,
    exponential,
    grained,
    known,
    last_hours,
    mean,
    percentile,
    share_covered,
)
from .strategies import lives, rows

LISTED = (at(0), None)
HALF_LIVES = {"24h": 24, "72h": 72}
WINDOWS = {"30d": 720, "90d": 2160}


def signals(rows: list[Row], life: Life = LISTED) -> dict[str, Any]:
    frame = market_signals(
        settlements_frame({7: rows}), lives_frame({7: life}), points_frame([(7, rows[-1].time)])
    )
    return frame.row(0, named=True)


def test_four_hours_by_hand() -> None:
    """1, 2, 4 and 3 basis points: mean 2.5, variance 1.25, two of four hours below the newest."""
    found = signals(series((1, 1e-4, 1), (2, 2e-4, 1), (3, 4e-4, 1), (4, 3e-4, 1)))
    assert found["as_of"] == at(4)
    assert found["rate_hourly"] == 3e-4
    assert found["rate_hourly_mean_30d"] == pytest.approx(2.5e-4, rel=1e-12)
    assert found["rate_hourly_std_90d"] == pytest.approx(math.sqrt(1.25) * 1e-4, rel=1e-12)
    assert found["zscore_30d"] == pytest.approx(0.5 / math.sqrt(1.25), rel=1e-12)
    assert found["percentile_30d"] == 2.5 / 4
    assert (found["covered_hours_30d"], found["coverage_30d"]) == (4, 1)


def test_an_hour_one_half_life_old_counts_half() -> None:
    """A day at 0, then a day at r: 24 hours weigh half of the later 24, so two thirds of r."""
    rows = series(*((h, 0.0, 1) for h in range(1, 25)), *((h, 3e-5, 1) for h in range(25, 49)))
    found = signals(rows)
    assert found["rate_hourly_ema_24h"] == pytest.approx(2e-5, rel=1e-12)
    weight = 2 ** (-1 / 3)
    assert found["rate_hourly_ema_72h"] == pytest.approx(3e-5 / (1 + weight), rel=1e-12)
    assert (found["ema_coverage_24h"], found["ema_coverage_72h"]) == (1, 1)


def test_an_eight_hour_settlement_counts_as_eight_hours() -> None:
    """0.0001 an hour for 8 h, 0.0003 for 4 h, 0.0001 for 1 h: the newest equals eight others."""
    found = signals(series((8, 0.0008, 8), (12, 0.0012, 4), (13, 0.0001, 1)))
    average = (9 * 0.0001 + 4 * 0.0003) / 13
    assert found["rate_hourly_mean_30d"] == pytest.approx(average, rel=1e-12)
    assert found["percentile_30d"] == 4.5 / 13
    spread = math.sqrt((9 * (0.0001 - average) ** 2 + 4 * (0.0003 - average) ** 2) / 13)
    assert found["zscore_30d"] == pytest.approx((0.0001 - average) / spread, rel=1e-12)
    w = [2 ** (-age / 24) for age in range(13)]
    expected = (0.0001 * (w[0] + sum(w[5:])) + 0.0003 * sum(w[1:5])) / sum(w)
    assert found["rate_hourly_ema_24h"] == pytest.approx(expected, rel=1e-12)


def test_a_rate_that_never_changes_has_no_zscore_and_ranks_in_the_middle() -> None:
    """Also over a change of the interval, which rounds the same rate differently."""
    found = signals(series((8, 0.0003 * 8, 8), (11, 0.0003 * 3, 3), (12, 0.0003, 1)))
    assert found["zscore_30d"] is None
    assert found["rate_hourly_std_30d"] == 0
    assert found["percentile_30d"] == 0.5
    assert found["rate_hourly_ema_24h"] == pytest.approx(0.0003, rel=1e-12)


def test_a_hole_is_no_zero_and_lowers_the_coverage_by_its_weight() -> None:
    """Hours 13 and 14 of 20 are missing; for the averages 7 and 8 h old."""
    rows = [
        r for r in series(*((h, 1e-5, 1) for h in range(1, 21))) if r.time not in (at(13), at(14))
    ]
    found = signals(rows)
    assert found["coverage_30d"] == 18 / 20
    assert found["rate_hourly_ema_24h"] == pytest.approx(1e-5, rel=1e-12)
    w = [2 ** (-age / 24) for age in range(20)]
    assert found["ema_coverage_24h"] == pytest.approx(1 - (w[6] + w[7]) / sum(w), rel=1e-12)


def test_below_four_fifths_of_coverage_only_the_rate_is_told() -> None:
    found = signals(series((4, 1e-5, 1), (5, 2e-5, 1)))
    told = {name for name, value in found.items() if value is not None}
    assert told == {"market_id", "as_of", "rate_hourly"} | {
        name for name in MARKET_SIGNALS if "cover" in name
    }
    assert found["coverage_30d"] == 2 / 5


def test_a_hole_long_ago_costs_the_window_but_not_the_short_average() -> None:
    recent = [(float(h), 1e-5, 1) for h in range(720 - 300, 721)]
    found = signals(series(*recent))
    assert found["zscore_30d"] is None
    assert found["coverage_30d"] < 0.5
    assert found["rate_hourly_ema_24h"] == pytest.approx(1e-5, rel=1e-12)


def test_what_lies_before_the_windows_plays_no_part() -> None:
    old = series((1, 0.05, 1), *((h, (h % 7) * 1e-5, 1) for h in range(2, 2163)))
    life = (at(1), None)
    assert signals(old, life) == signals(old[1:], life)
    longer = signals(old, LISTED)
    assert longer["covered_hours_90d"] == 2160


def test_the_mean_is_that_of_the_moving_average_to_the_last_bit() -> None:
    rows = series(*((h, ((h * 37) % 101 - 40) * 1.37e-6, 1) for h in range(1, 800)))
    frame, lives_, point = (
        settlements_frame({7: rows}),
        lives_frame({}),
        points_frame([(7, at(799))]),
    )
    moving = moving_averages(frame, lives_, point).filter(pl.col("window") == "30d")
    found = market_signals(frame, lives_, point)
    assert found["rate_hourly_mean_30d"].to_list() == moving["rate_hourly_mean"].to_list()
    assert found["coverage_30d"].to_list() == moving["coverage"].to_list()


def test_a_market_without_a_rate_at_its_point_has_no_row() -> None:
    frame = settlements_frame({7: series((8, 1e-4, 8)), 8: series((9, 1e-4, 8))})
    found = market_signals(
        frame, lives_frame({}), points_frame([(7, at(9)), (8, at(9)), (9, at(9))])
    )
    assert found["market_id"].to_list() == [8]


def test_two_points_of_one_market_are_refused() -> None:
    frame = settlements_frame({7: series((8, 1e-4, 8), (16, 1e-4, 8))})
    with pytest.raises(pl.exceptions.ComputeError):
        market_signals(frame, lives_frame({}), points_frame([(7, at(8)), (7, at(16))]))


def test_nothing_gives_an_empty_frame_of_the_schema() -> None:
    empty = market_signals(settlements_frame({}), lives_frame({}), points_frame([]))
    assert empty.is_empty()
    assert empty.schema == pl.Schema(MARKET_SIGNALS)


@settings(max_examples=50, deadline=None)
@given(first=rows(max_size=60).map(grained), second=rows(first_hour=900).map(grained), life=lives())
def test_equals_the_definition(first: list[Row], second: list[Row], life: Life) -> None:
    check_against_definition({3: first, 9: second}, {3: life, 9: FOREVER})


def check_against_definition(markets: dict[int, list[Row]], spans: dict[int, Life]) -> None:
    """Compare every figure at the newest settlements with the hour-by-hour computation."""
    points = {market: rows[-1].time for market, rows in markets.items()}
    found = market_signals(
        settlements_frame(markets), lives_frame(spans), points_frame(points.items())
    )
    assert found["market_id"].to_list() == sorted(markets)
    for row in found.iter_rows(named=True):
        market = row["market_id"]
        check_market(row, markets[market], spans[market], points[market])


def check_market(actual: dict[str, Any], rows: list[Row], life: Life, as_of: datetime) -> None:
    for window, length in WINDOWS.items():
        hours = last_hours(rows, as_of, length)
        rates = known(hours)
        newest = hours[-1]
        assert newest is not None
        assert close(actual["rate_hourly"], newest)
        share = share_covered(hours, as_of, life)
        assert actual[f"covered_hours_{window}"] == len(rates)
        assert actual[f"coverage_{window}"] == share
        figures = [
            actual[f"{name}_{window}"]
            for name in ("rate_hourly_mean", "rate_hourly_std", "zscore", "percentile")
        ]
        if share < 0.8:
            assert figures == [None] * 4
            continue
        spread = deviation(rates)
        assert close(figures[0], mean(rates))
        assert math.isclose(figures[1], spread, rel_tol=1e-12)
        assert figures[3] == pytest.approx(percentile(rates, newest), rel=1e-12)
        if not spread:
            assert figures[2] is None
            continue
        # The newest rate and the mean are doubles: what their last bit is worth in deviations.
        blur = float(max(map(abs, rates))) / spread * 1e-15
        exact = float(newest - mean(rates)) / spread
        assert math.isclose(figures[2], exact, rel_tol=1e-12, abs_tol=blur)
    for name, half_life in HALF_LIVES.items():
        hours = last_hours(rows, as_of, 30 * half_life)
        average, weight = exponential(hours, half_life)
        live = live_weight(as_of, life, half_life)
        share = weight / max(weight, live)
        assert actual[f"ema_coverage_{name}"] == pytest.approx(share, rel=1e-12)
        value = actual[f"rate_hourly_ema_{name}"]
        if share < 0.8 - 1e-12:
            assert value is None
        elif share > 0.8 + 1e-12:
            blur = float(max(map(abs, known(hours)))) * 1e-14
            assert math.isclose(value, average, rel_tol=1e-12, abs_tol=blur)


def live_weight(as_of: datetime, life: Life, half_life: int) -> float:
    """Weights of as many hours back from as_of as the market lived within the average's span."""
    listed, delisted = life
    ends = [as_of - timedelta(hours=age) for age in range(30 * half_life)]
    lived = [
        end
        for end in ends
        if (listed is None or end - timedelta(hours=1) >= listed)
        and (delisted is None or end <= delisted)
    ]
    return math.fsum(2 ** (-age / half_life) for age in range(len(lived)))
