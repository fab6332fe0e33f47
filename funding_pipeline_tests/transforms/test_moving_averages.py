"""Moving averages: by hand, against the hour-by-hour definition, and bit for bit from parts."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.moving_averages import MOVING_AVERAGES, moving_averages

from .hour_by_hour import (
    FOREVER,
    HOUR,
    WINDOWS,
    Life,
    Row,
    at,
    close,
    lives_frame,
    points_frame,
    series,
    settlements_frame,
    window_figure,
)
from .strategies import lives, rows


def averages(rows: list[Row], *hours: float, life: Life = FOREVER) -> pl.DataFrame:
    points = points_frame((7, at(hour)) for hour in hours)
    return moving_averages(settlements_frame({7: rows}), lives_frame({7: life}), points)


def window(frame: pl.DataFrame, name: str = "24h") -> dict[str, float | None]:
    return frame.filter(pl.col("window") == name).row(0, named=True)


CHANGING = series(
    (8, 0.0008, 8),  # 0.0001 an hour
    (16, -0.0016, 8),  # -0.0002
    (19, 0.0012, 4),  # 0.0003 over the 3 h of an odd step
    (23, 0.0004, 4),  # 0.0001
    (24, 0.0005, 1),
)


def test_a_window_over_interval_changes_and_an_odd_step() -> None:
    figures = window(averages(CHANGING, 24))
    total = 8 * 0.0001 - 8 * 0.0002 + 3 * 0.0003 + 4 * 0.0001 + 0.0005
    assert figures["rate_hourly_mean"] == pytest.approx(total / 24, rel=1e-12, abs=0)
    assert figures["apr"] == pytest.approx(total / 24 * 8760, rel=1e-12, abs=0)
    assert (figures["covered_hours"], figures["coverage"], figures["settlements"]) == (24, 1, 5)


def test_a_window_s_edges_cut_the_settlements_they_meet() -> None:
    # (-3, 21] holds all of the first two rows and the odd step, and 2 of the 4 hours to 23:00.
    figures = window(averages(CHANGING, 21, life=(at(0), None)))
    total = 8 * 0.0001 - 8 * 0.0002 + 3 * 0.0003 + 2 * 0.0001
    assert figures["rate_hourly_mean"] == pytest.approx(total / 21, rel=1e-12, abs=0)
    assert (figures["covered_hours"], figures["settlements"]) == (21, 4)
    # (6, 30] holds 2 of the first row's hours, but the 6 h after the last stamp are a hole.
    figures = window(averages(CHANGING, 30))
    assert (figures["covered_hours"], figures["settlements"]) == (18, 5)
    assert (figures["coverage"], figures["rate_hourly_mean"], figures["apr"]) == (0.75, None, None)


@pytest.mark.parametrize(("covered", "mean"), [(576, 0.0001), (575, None)])
def test_the_least_coverage_is_four_fifths(covered: int, mean: float | None) -> None:
    hourly = series(*((hour, 0.0001, 1) for hour in range(1, covered + 1)))
    figures = window(averages(hourly, 720), "30d")
    assert (figures["rate_hourly_mean"], figures["coverage"]) == (mean, covered / 720)


def test_a_hole_is_no_zero() -> None:
    rows = series((8, 0.0008, 8), (12, 0.0004, 4), (24, 0.0008, 8))  # 12..16 is missing
    figures = window(averages(rows, 24))
    assert figures["covered_hours"] == 20
    assert figures["rate_hourly_mean"] == pytest.approx(0.0001, rel=1e-12, abs=0)


def test_a_listing_within_the_window_shortens_what_has_to_be_covered() -> None:
    rows = series((48, 0.0008, 8), (56, 0.0008, 8))
    listed = averages(rows, 56, life=(at(40), None))
    assert listed.select("window", "coverage").rows() == [(name, 1.0) for name in WINDOWS]
    unknown = averages(rows, 56)
    assert window(unknown, "3d")["coverage"] == 16 / 72
    assert window(unknown, "3d")["rate_hourly_mean"] is None


def test_a_delisting_ends_what_has_to_be_covered() -> None:
    rows = series((8, 0.0008, 8), (16, 0.0008, 8))
    figures = window(averages(rows, 24, life=(at(0), at(16.5))))
    assert (figures["covered_hours"], figures["coverage"]) == (16, 1.0)
    assert window(averages(rows, 24))["coverage"] == 16 / 24


def test_a_window_without_a_covered_hour_has_no_row() -> None:
    rows = series((8, 0.0008, 8))
    assert averages(rows, 0).is_empty()
    assert averages(rows, 1).height == len(WINDOWS)
    assert averages(rows, 8 + 23).height == len(WINDOWS)
    assert averages(rows, 8 + 24)["window"].to_list() == [name for name in WINDOWS if name != "24h"]
    assert averages(rows, 8 + 720).is_empty()
    stranger = moving_averages(
        settlements_frame({7: rows}), lives_frame({}), points_frame([(8, at(8))])
    )
    assert stranger.is_empty()


def test_a_huge_rate_elsewhere_does_not_blur_a_tiny_mean() -> None:
    rows = series(
        (1, 0.04, 1),
        *((hour, 1e-13, 1) for hour in range(2, 60)),
        (60, -0.04, 1),
    )
    figures = window(averages(rows, 59))
    assert figures["rate_hourly_mean"] == pytest.approx(1e-13, rel=1e-12, abs=0)


def test_opposite_rates_leave_what_they_differ_by() -> None:
    rows = series(
        *((hour, 0.04 if hour % 2 else -0.04, 3) for hour in range(1, 24)), (24, 1e-12, 1)
    )
    exact = window_figure(rows, FOREVER, at(24), 24)
    mean = window(averages(rows, 24))["rate_hourly_mean"]
    assert exact is not None
    assert mean is not None
    assert close(mean, exact.mean)


def test_repeated_and_unsorted_points_count_once() -> None:
    assert averages(CHANGING, 24, 16, 24).equals(averages(CHANGING, 16, 24))


def test_no_settlements_or_no_points_give_an_empty_frame_of_the_schema() -> None:
    schema = pl.Schema(MOVING_AVERAGES)
    for empty in (averages([], 24), averages(CHANGING)):
        assert empty.is_empty()
        assert empty.schema == schema
    assert averages(CHANGING, 24).schema == schema


@settings(max_examples=100, deadline=None)
@given(
    first=rows(),
    second=rows(first_hour=900),
    life=lives(),
    hours=st.lists(st.integers(0, 1900), min_size=1, max_size=3),
)
def test_equals_the_definition(
    first: list[Row], second: list[Row], life: Life, hours: list[int]
) -> None:
    markets, spans = {3: first, 9: second}, {3: life, 9: FOREVER}
    wanted = [(market, at(hour)) for market in markets for hour in set(hours)]
    wanted += [(3, first[-1].time - HOUR), (9, second[-1].time)]
    check_against_definition(markets, spans, sorted(set(wanted)))


def check_against_definition(
    markets: dict[int, list[Row]], spans: dict[int, Life], points: list[tuple[int, datetime]]
) -> None:
    """Compare every figure at `points` with the hour-by-hour computation."""
    result = moving_averages(settlements_frame(markets), lives_frame(spans), points_frame(points))
    rows = iter(result.iter_rows(named=True))
    for name, length in WINDOWS.items():
        for market, as_of in points:
            exact = window_figure(markets[market], spans[market], as_of, length)
            if exact is None:
                continue
            actual = next(rows)
            assert (actual["window"], actual["market_id"], actual["as_of"]) == (name, market, as_of)
            assert actual["covered_hours"] == exact.covered
            assert actual["settlements"] == exact.settlements
            assert actual["coverage"] == exact.coverage
            if exact.coverage < 0.8:
                assert actual["rate_hourly_mean"] is None
                assert actual["apr"] is None
            else:
                assert close(actual["rate_hourly_mean"], exact.mean)
                assert close(actual["apr"] / 8760, exact.mean)
    assert next(rows, None) is None


@settings(max_examples=60, deadline=None)
@given(series=rows(max_size=120), hour=st.integers(0, 1500))
def test_the_settlements_a_point_needs_give_the_same_bits_as_all(
    series: list[Row], hour: int
) -> None:
    frame, point = settlements_frame({7: series}), points_frame([(7, at(hour))])
    needed = frame.filter(
        pl.col("funding_time") > at(hour) - timedelta(hours=720),
        pl.col("funding_time") < at(hour) + timedelta(hours=24),
    )
    expected = moving_averages(frame, lives_frame({}), point)
    assert moving_averages(needed, lives_frame({}), point).equals(expected)
