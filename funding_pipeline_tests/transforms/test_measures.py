"""The inputs' contract, and that the process's time zone plays no part."""

import time
from collections.abc import Iterator
from datetime import datetime

import polars as pl
import pytest

from funding_pipeline.transforms.daily import daily_stats
from funding_pipeline.transforms.measures import TIME, checked_settlements
from funding_pipeline.transforms.moving_averages import moving_averages
from funding_pipeline.transforms.refresh import points_to_refresh

from .hour_by_hour import at, lives_frame, points_frame, series, settlements_frame

GOOD = settlements_frame({7: series((8, 0.0008, 8), (12, 0.0004, 4))})


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("rate", None, "null"),
        ("covered_hours", None, "null"),
        ("rate", float("nan"), "not finite"),
        ("rate", float("-inf"), "not finite"),
        ("covered_hours", 0, "covered_hours is outside"),
        ("covered_hours", 9, "covered_hours is outside"),
        ("funding_time", at(12.5), "no whole hour"),
        ("funding_time", at(8), "cover the same hour"),  # the same stamp twice
        ("funding_time", at(11), "cover the same hour"),
    ],
)
def test_rows_that_would_spoil_a_figure_are_refused(
    column: str, value: object, reason: str
) -> None:
    bad = pl.Series(column, [value], dtype=GOOD.schema[column])
    frame = pl.concat([GOOD.head(1), GOOD.tail(1).with_columns(bad)])
    with pytest.raises(ValueError, match=reason):
        checked_settlements(frame)


@pytest.mark.parametrize(
    "change",
    [
        pl.col("funding_time").dt.replace_time_zone("UTC"),
        pl.col("funding_time").cast(pl.Datetime("ms")),
        pl.col("rate").cast(pl.String),
    ],
)
def test_other_types_are_refused(change: pl.Expr) -> None:
    with pytest.raises(pl.exceptions.SchemaError):
        checked_settlements(GOOD.with_columns(change))


def test_a_missing_column_is_refused_and_another_ignored() -> None:
    with pytest.raises(pl.exceptions.SchemaError):
        checked_settlements(GOOD.drop("rate"))
    assert checked_settlements(GOOD.with_columns(kind=pl.lit("settled"))).equals(GOOD)


def test_two_lives_of_a_market_are_refused() -> None:
    twice = pl.concat([lives_frame({7: (None, None)})] * 2)
    with pytest.raises(pl.exceptions.ComputeError):
        daily_stats(GOOD, twice, now=at(24))


def test_points_off_the_hour_are_refused() -> None:
    with pytest.raises(ValueError, match="as_of"):
        moving_averages(GOOD, lives_frame({}), points_frame([(7, at(8.5))]))


def test_now_with_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="naive UTC"):
        daily_stats(GOOD, lives_frame({}), now=datetime.fromisoformat("2025-01-01T00:00:00+00:00"))


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the process a local time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati"], indirect=True
)
@pytest.mark.usefixtures("zone")
def test_the_local_time_zone_plays_no_part() -> None:
    # 2025-03-09 07:00 UTC is when New York's clocks change.
    hours = 24 * 67
    rows = series((hours + 4, 0.0008, 8), (hours + 8, 0.0004, 4))
    frame, lives = settlements_frame({7: rows}), lives_frame({7: (at(hours), None)})
    days = daily_stats(frame, lives, now=at(hours + 9))
    assert days.select(pl.col("day").cast(pl.String), "live_hours").rows() == [
        ("2025-03-08", 0),
        ("2025-03-09", 9),
    ]
    figures = moving_averages(frame, lives, points_frame([(7, at(hours + 8))])).row(0, named=True)
    assert str(figures["as_of"]) == "2025-03-09 08:00:00"
    assert (figures["covered_hours"], figures["coverage"]) == (12, 1.0)
    owed = days.select("market_id", "day", settled_until=pl.lit(None, dtype=TIME))
    last = points_to_refresh(owed, now=at(hours + 9.5))["as_of"][-1]
    assert str(last) == "2025-03-09 09:00:00"
