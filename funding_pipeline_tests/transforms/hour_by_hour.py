"""The definition of the figures, written out slowly and exactly: the tests' second opinion.

Belongs here: series for the tests and figures from them, hour by hour in fractions. Does not:
anything from the package: sharing code would share mistakes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction

import polars as pl

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WINDOWS = {"24h": 24, "3d": 72, "7d": 168, "14d": 336, "30d": 720}
ORIGIN = datetime.fromisoformat("2025-01-01")

Life = tuple[datetime | None, datetime | None]
FOREVER: Life = (None, None)


@dataclass(frozen=True)
class Row:
    """A settlement: its stamp, its rate for the interval, the interval in hours."""

    time: datetime
    rate: float
    interval: int


@dataclass(frozen=True)
class Figure:
    """A window's or a day's exact mean per hour with its weights."""

    mean: Fraction
    covered: int
    live: int
    settlements: int

    @property
    def coverage(self) -> float:
        return min(1.0, self.covered / self.live) if self.live else 1.0


def at(hours: float) -> datetime:
    """`hours` after 2025-01-01 00:00."""
    return ORIGIN + hours * HOUR


def series(*rows: tuple[float, float, int]) -> list[Row]:
    """Rows from (hours after the origin, rate, interval)."""
    return [Row(at(hours), rate, interval) for hours, rate, interval in rows]


def covered(rows: list[Row]) -> list[int]:
    """min(interval, gap to the row before) of each row."""
    hours = []
    previous: datetime | None = None
    for row in rows:
        gap = row.interval if previous is None else (row.time - previous) // HOUR
        hours.append(min(row.interval, gap))
        previous = row.time
    return hours


def settlements_frame(markets: Mapping[int, list[Row]]) -> pl.DataFrame:
    records = [
        (market, row.time, row.rate, row.interval, hours)
        for market, rows in sorted(markets.items())
        for row, hours in zip(rows, covered(rows), strict=True)
    ]
    schema: dict[str, pl.DataType] = {
        "market_id": pl.Int32(),
        "funding_time": pl.Datetime("us"),
        "rate": pl.Float64(),
        "interval_hours": pl.Int16(),
        "covered_hours": pl.Int16(),
    }
    return pl.DataFrame(records, schema=schema, orient="row")


def lives_frame(lives: Mapping[int, Life]) -> pl.DataFrame:
    time = pl.Datetime("us")
    return pl.DataFrame(
        [(market, *life) for market, life in lives.items()],
        schema={"market_id": pl.Int32, "live_from": time, "live_to": time},
        orient="row",
    )


def points_frame(points: Iterable[tuple[int, datetime]]) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {"market_id": pl.Int32(), "as_of": pl.Datetime("us")}
    return pl.DataFrame(list(points), schema=schema, orient="row")


def live_hours(start: datetime, end: datetime, life: Life) -> int:
    """Count the hours between `start` and `end` that begin and end within the life."""
    listed, delisted = life
    count = 0
    while start + HOUR <= end:
        begun = listed is None or listed <= start
        ended = delisted is not None and start + HOUR > delisted
        count += begun and not ended
        start += HOUR
    return count


def window_figure(rows: list[Row], life: Life, as_of: datetime, window: int) -> Figure | None:
    """The figure of the hours that end in (as_of - window, as_of]; None without a covered hour."""
    paid: dict[datetime, tuple[Fraction, int]] = {}
    for index, (row, hours) in enumerate(zip(rows, covered(rows), strict=True)):
        for back in range(hours):
            assert row.time - back * HOUR not in paid
            paid[row.time - back * HOUR] = (Fraction(row.rate) / row.interval, index)
    ends = [as_of - back * HOUR for back in range(window)]
    hit = [paid[end] for end in ends if end in paid]
    if not hit:
        return None
    return Figure(
        mean=sum((rate for rate, _ in hit), Fraction(0)) / len(hit),
        covered=len(hit),
        live=live_hours(as_of - window * HOUR, as_of, life),
        settlements=len({index for _, index in hit}),
    )


def day_rows(rows: list[Row], day: date) -> list[tuple[Row, int]]:
    """The rows, with covered hours, whose quoted period begins on `day`."""
    pairs = zip(rows, covered(rows), strict=True)
    return [(row, hours) for row, hours in pairs if (row.time - row.interval * HOUR).date() == day]


def day_figure(rows: list[Row], life: Life, day: date, now: datetime) -> Figure:
    """The figure of a day that has rows."""
    mine = day_rows(rows, day)
    paid = (Fraction(row.rate) / row.interval * hours for row, hours in mine)
    weight = sum(hours for _, hours in mine)
    midnight = datetime.combine(day, time.min)
    return Figure(
        mean=sum(paid, Fraction(0)) / weight,
        covered=weight,
        live=live_hours(midnight, min(midnight + DAY, now), life),
        settlements=len(mine),
    )


def close(actual: float, exact: Fraction) -> bool:
    """Within 1e-12 of the exact value; 1e-29 is what a sum that cancels to nothing may leave."""
    return math.isclose(actual, float(exact), rel_tol=1e-12, abs_tol=1e-29)
