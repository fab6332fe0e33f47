"""Other windows than the usual: the same definition, and the reach of a change."""

from datetime import date, datetime

import polars as pl
import pytest

from funding_pipeline.transforms.moving_averages import moving_averages
from funding_pipeline.transforms.refresh import DIRTY, points_to_refresh

from .hour_by_hour import (
    FOREVER,
    Row,
    at,
    close,
    lives_frame,
    points_frame,
    series,
    settlements_frame,
    window_figure,
)

ROWS = series(*((8 * n, ((n * 37) % 23 - 8) * 1e-5, 8) for n in range(1, 400)))


@pytest.mark.parametrize("windows", [{"5h": 5}, {"36h": 36, "45d": 1080, "90d": 2160}])
def test_equals_the_definition(windows: dict[str, int]) -> None:
    found = moving_averages(
        settlements_frame({7: ROWS}), lives_frame({}), points_frame([(7, at(3003))]), windows
    )
    assert found["window"].to_list() == list(windows)
    for row, hours in zip(found.iter_rows(named=True), windows.values(), strict=True):
        exact = window_figure(ROWS, FOREVER, at(3003), hours)
        assert exact is not None
        assert close(row["rate_hourly_mean"], exact.mean)
        assert row["settlements"] == exact.settlements


def touched(now: datetime, window: dict[str, int]) -> set[datetime]:
    """Hours up to now whose figures differ by the rate of one settlement, of 1 and 2 January."""
    points = points_frame((7, at(n)) for n in range(int((now - at(0)).total_seconds() // 3600) + 1))
    one, other = (figures(series((47, rate, 24)), points, window) for rate in (0.01, 0.02))
    return set(one.join(other, on=one.columns, how="anti", nulls_equal=True)["as_of"])


def figures(rows: list[Row], points: pl.DataFrame, window: dict[str, int]) -> pl.DataFrame:
    lived_never = lives_frame({7: (at(0), at(0))})  # asks for no coverage
    return moving_averages(settlements_frame({7: rows}), lived_never, points, window)


@pytest.mark.parametrize("hours", [1, 8, 24, 25, 36, 48, 100])
def test_a_change_reaches_to_the_end_of_the_longest_window(hours: int) -> None:
    last = at(46 + hours)
    dirty = pl.DataFrame(
        {"market_id": [7], "day": [date(2025, 1, 1)], "settled_until": [None]}, schema=DIRTY
    )
    asked = points_to_refresh(dirty, now=at(200), longest_hours=hours)["as_of"]
    changed = touched(at(200), {"w": hours})
    assert max(changed) == last
    kept = {point for point in changed if point > at(200 - 168) or point.hour == 0}
    assert kept <= set(asked)
    assert max(asked) < at(46 + hours + 48), "and not much further"
