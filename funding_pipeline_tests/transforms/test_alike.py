"""Alike series: by hand, and against Pearson and cosine written out from their definitions."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import NamedTuple

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.alike import (
    FOUND,
    HOURLY,
    MEASURES,
    NEAREST,
    NEIGHBOURS,
    PREPARE,
    as_lists,
    bars,
    hourly_rates,
    largest_assets,
    mean_rates,
    nearest,
    similarities,
)

from .hour_by_hour import HOUR, Row, at, covered, series, settlements_frame

WINDOW = 720
AS_OF = at(WINDOW)
Rates = dict[int, Fraction]


class Pair(NamedTuple):
    hours: int
    correlation: float | None
    cosine: float | None


# --- the definition


def paid(rows: list[Row], as_of: datetime = AS_OF) -> Rates:
    """The rate of each paid hour of the window, by the hour's end: 1 to 720."""
    rates: Rates = {}
    for row, hours in zip(rows, covered(rows), strict=True):
        for back in range(hours):
            number = WINDOW - (as_of - (row.time - back * HOUR)) // HOUR
            if 1 <= number <= WINDOW:
                rates[number] = Fraction(row.rate / row.interval)
    return rates


def defined(one: Rates, two: Rates) -> Pair:
    """Pearson's r and the cosine over the hours that both have, in whole numbers up to the root."""
    common = sorted(one.keys() & two.keys())
    n = len(common)
    x, y = ([round(rates[hour] * 2**200) for hour in common] for rates in (one, two))
    if n < 576 or _constant(x) or _constant(y):
        return Pair(n, None, None)
    return Pair(n, _cosine(_from_mean(x), _from_mean(y)), _cosine(x, y))


def _constant(values: list[int]) -> bool:
    return (max(values) - min(values)) * 10**11 <= max(map(abs, values))


def _from_mean(values: list[int]) -> list[int]:
    """n times the distances from the mean."""
    total = sum(values)
    return [len(values) * value - total for value in values]


def _cosine(x: list[int], y: list[int]) -> float:
    xy = sum(a * b for a, b in zip(x, y, strict=True))
    squares = sum(a * a for a in x) * sum(b * b for b in y)
    return math.copysign(math.sqrt(Fraction(xy * xy, squares)), xy)


def compared(markets: Mapping[int, list[Row]]) -> dict[tuple[int, int], Pair]:
    """What the module makes of all pairs."""
    return asked(hourly_rates(settlements_frame(markets), as_of=AS_OF))


def asked(hourly: pl.DataFrame, *, stepped: bool = False) -> dict[tuple[int, int], Pair]:
    lists = as_lists(hourly)
    condition = "AND y.stepped" if stepped else ""
    with duckdb.connect() as connection:
        connection.register("series", lists)
        for statement in PREPARE:
            connection.execute(statement)
        query = similarities(
            f"alike x, alike y WHERE x.series <> y.series {condition}", stepped=stepped
        )
        found = connection.execute(
            f"SELECT series, other, common_hours, correlation, cosine FROM ({query})"
        ).fetchall()
    return {(one, other): Pair(*figures) for one, other, *figures in found}


def check(actual: Pair, expected: Pair) -> None:
    assert actual.hours == expected.hours
    for value, exact in zip(actual[1:], expected[1:], strict=True):
        if exact is None:
            assert value is None
        else:
            assert value == pytest.approx(exact, rel=0, abs=1e-11)


# --- by hand


def repeated(*rates: float, interval: int = 1, hours: int = WINDOW) -> list[Row]:
    """These rates over and over, each for its interval."""
    count = hours // interval
    return series(*(((i + 1) * interval, rates[i % len(rates)], interval) for i in range(count)))


def test_by_hand() -> None:
    rising = repeated(0.0001, 0.0002, 0.0003)
    figures = compared(
        {
            1: rising,
            2: repeated(0.0002, 0.0004, 0.0006),
            3: repeated(0.0003, 0.0002, 0.0001),
            4: repeated(0.0001, 0.0003, 0.0002),
            5: repeated(-0.0003, -0.0002, -0.0001),
            6: repeated(0.0011, 0.0012, 0.0013),
        }
    )
    expected = {
        2: (1.0, 1.0),
        3: (-1.0, 10 / 14),
        4: (0.5, 13 / 14),
        5: (1.0, -10 / 14),  # moves alike, pays to the other side
        6: (1.0, 74 / math.sqrt(14 * (121 + 144 + 169))),
    }
    for other, (correlation, cosine) in expected.items():
        assert figures[1, other].hours == WINDOW
        assert figures[1, other].correlation == pytest.approx(correlation, abs=1e-14)
        assert figures[1, other].cosine == pytest.approx(cosine, abs=1e-14)
        assert figures[other, 1] == pytest.approx(figures[1, other], abs=1e-14)


def test_hours_are_compared_whatever_the_intervals() -> None:
    """8 h at 0.0008 and -0.0016 are 0.0001 and -0.0002 an hour, as 1 h and 4 h markets have it."""
    eight = repeated(0.0008, -0.0016, interval=8)
    figures = compared(
        {
            1: eight,
            2: repeated(*[0.0001] * 8, *[-0.0002] * 8),
            3: repeated(0.0004, 0.0004, -0.0008, -0.0008, interval=4),
            4: repeated(*[0.0001] * 4, *[-0.0002] * 8, *[0.0001] * 4),  # half of the hours agree
        }
    )
    assert figures[1, 2] == pytest.approx((WINDOW, 1.0, 1.0), abs=1e-14)
    assert figures[1, 3] == pytest.approx((WINDOW, 1.0, 1.0), abs=1e-14)
    assert figures[1, 4].correlation == pytest.approx(0.0, abs=1e-14)
    assert figures[1, 4].cosine == pytest.approx((1 + 4 - 4 - 4 + 8 + 0) / 10 * 0.2, abs=1e-14)


def test_settlements_that_reach_over_the_edges_count_with_their_hours_inside() -> None:
    rows = series(*((hour, 1e-5 * (hour % 5), 8) for hour in range(-12, 730, 8)))
    hourly = hourly_rates(settlements_frame({7: rows}), as_of=AS_OF)
    assert hourly["hour"].to_list() == list(range(WINDOW))
    assert hourly.schema == HOURLY
    expected = paid(rows)
    assert dict(zip(hourly["hour"] + 1, hourly["rate_hourly"], strict=True)) == {
        hour: float(rate) for hour, rate in expected.items()
    }


# --- holes


def without(rows: list[Row], *hours: int) -> list[Row]:
    """Without the settlements that end in those hours."""
    gone = {at(hour) for hour in hours}
    return [row for row in rows if row.time not in gone]


WAVE = [1e-5 + 1e-6 * ((i * i) % 17) for i in range(WINDOW)]
BEAT = [1e-5 + 1e-6 * ((i * i) % 17 + (i * 7) % 11) for i in range(WINDOW)]


@pytest.mark.parametrize(("missing", "known"), [(144, True), (145, False)])
def test_four_fifths_of_the_window_must_be_common(missing: int, known: bool) -> None:
    half = missing // 2
    figures = compared(
        {
            1: without(repeated(*WAVE), *range(1, half + 1)),
            2: without(repeated(*BEAT), *range(WINDOW - (missing - half) + 1, WINDOW + 1)),
        }
    )
    assert figures[1, 2].hours == WINDOW - missing
    assert (figures[1, 2].correlation is not None) == known
    assert (figures[1, 2].cosine is not None) == known


def test_a_market_with_less_than_that_shows_what_it_has_in_common() -> None:
    figures = compared(
        {1: repeated(*WAVE), 2: repeated(*BEAT, hours=400), 3: repeated(0, 1, hours=9)}
    )
    assert figures[1, 2] == (400, None, None)
    assert figures[2, 3] == (9, None, None)


def test_what_one_does_while_the_other_is_silent_is_nothing_to_either() -> None:
    """A spike a thousand times all else, in the other's hole."""
    spiked = repeated(*WAVE[:100], *[0.04] * 20, *WAVE[120:])
    silent = without(repeated(*BEAT), *range(101, 121))
    (actual,) = (compared({1: spiked, 2: silent})[1, 2],)
    check(actual, defined(paid(spiked), paid(silent)))
    plain = compared({1: repeated(*WAVE), 2: silent})[1, 2]
    assert actual == pytest.approx(plain, abs=1e-12)


# --- constant series


def test_a_constant_series_is_like_nothing() -> None:
    figures = compared(
        {
            1: repeated(0.0000125),
            2: repeated(0.0001, interval=8),
            3: repeated(*WAVE),
            4: repeated(0.0),
            5: repeated(0.0),
        }
    )
    for pair, found in figures.items():
        assert found == (WINDOW, None, None), pair


def test_the_same_rate_by_another_interval_is_no_change() -> None:
    """0.0003 / 24 and 0.0000125 are apart by the last bit."""
    assert 0.0003 / 24 != 0.0000125
    mixed = series(*((24 * i, 0.0003, 24) for i in range(1, 16)))
    mixed += series(*((hour, 0.0000125, 1) for hour in range(361, WINDOW + 1)))
    assert compared({1: mixed, 2: repeated(*WAVE)})[1, 2] == (WINDOW, None, None)


def test_a_series_that_is_constant_in_the_common_hours_is_constant() -> None:
    once = repeated(*[0.0000125] * 300, *[0.04, -0.03] * 10, *[0.0000125] * 400)
    other = without(repeated(*WAVE), *range(301, 321))
    assert compared({1: once, 2: other})[1, 2] == (WINDOW - 20, None, None)
    assert compared({1: once, 2: repeated(*WAVE)})[1, 2].correlation is not None


def test_a_tiny_variation_beside_a_high_level_is_one() -> None:
    one = repeated(*[0.01 + 1e-10 * (i % 3) for i in range(WINDOW)])
    two = repeated(*[0.01 + 1e-10 * (i % 3 == 1) for i in range(WINDOW)])
    check(compared({1: one, 2: two})[1, 2], defined(paid(one), paid(two)))


# --- any series


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Full but for a few holes, intervals that change, some markets off the 4 h grid."""
    random = Random(draw(st.integers(0, 2**32)))
    hour = draw(st.integers(-30, 0))
    rows: list[Row] = []
    level = draw(st.sampled_from([0.0, 1.25e-5, -3e-5, 0.01]))
    noise = draw(st.sampled_from([0.0, 1e-7, 1e-5, 0.02]))
    interval = draw(st.sampled_from([1, 2, 3, 4, 8, 24]))
    changes = draw(st.booleans())
    holes = draw(st.sampled_from([0, 0.005, 0.03]))
    while hour < WINDOW + 24:
        if changes and random.random() < 0.02:
            interval = random.choice([1, 4, 8])
        hour += interval
        if random.random() >= holes:
            change = noise * random.choice([0, 1, -1, random.random(), 40 * random.random()])
            rows.append(Row(at(hour), (level + change) * interval, interval))
    return rows or series((0, 0.0, 1))


@settings(max_examples=30)
@given(markets=st.lists(histories(), min_size=2, max_size=4))
def test_equals_the_definition(markets: list[list[Row]]) -> None:
    hourly = hourly_rates(settlements_frame(dict(enumerate(markets))), as_of=AS_OF)
    by_hours, by_steps = asked(hourly), asked(hourly, stepped=True)
    exact = [paid(rows) for rows in markets]
    for one, two in combinations(range(len(markets)), 2):
        if not exact[one] or not exact[two]:
            continue
        expected = defined(exact[one], exact[two])
        for pair in ((one, two), (two, one)):
            check(by_hours[pair], expected)
            if pair in by_steps:
                check(by_steps[pair], expected)


def test_a_market_on_the_four_hour_grid_is_stepped_and_no_other() -> None:
    four = repeated(*WAVE[:180], interval=4)
    markets = {
        1: four,
        2: repeated(*WAVE[:90], interval=8),
        3: repeated(*WAVE),
        4: series(*((hour, WAVE[hour % 90], 8) for hour in range(6, WINDOW + 8, 8))),
        5: without(four, 40, 80),
        6: [*four[:-1], *series((719, four[-1].rate, 4))],
        7: repeated(0.0000125),
    }
    lists = as_lists(hourly_rates(settlements_frame(markets), as_of=AS_OF))
    stepped = dict(lists.select("series", "stepped").iter_rows())
    assert stepped == {1: True, 2: True, 3: False, 4: False, 5: True, 6: False, 7: True}


def test_nothing_gives_nothing() -> None:
    empty = hourly_rates(settlements_frame({}), as_of=AS_OF)
    assert empty.is_empty()
    assert asked(empty) == {}
    assert nearest(pl.DataFrame(schema=NEAREST), pl.DataFrame(schema=FOUND)).is_empty()
    old = hourly_rates(settlements_frame({1: series((-5, 0.1, 1))}), as_of=AS_OF)
    assert asked(old) == {}


# --- assets


def test_an_asset_is_the_mean_of_the_markets_that_cover_the_hour() -> None:
    markets = {
        1: repeated(0.0001, 0.0003),
        2: repeated(0.0008, interval=8),
        3: without(repeated(0.0006), 5, 6),
        4: repeated(0.5, hours=575),
        5: repeated(0.7),
    }
    hourly = hourly_rates(settlements_frame(markets), as_of=AS_OF)
    assets = pl.DataFrame(
        {"market_id": [1, 2, 3, 4, 5, 6], "asset": ["B", "B", "B", "B", "A", "A"]},
        schema={"market_id": pl.Int32, "asset": pl.String},
    )
    members = largest_assets(hourly, assets, 2)
    assert set(members.rows()) == {(5, "A", 0), (1, "B", 1), (2, "B", 1), (3, "B", 1)}
    means = mean_rates(hourly, members)
    assert means.schema == HOURLY
    b = dict(means.filter(pl.col("series") == 1).select("hour", "rate_hourly").iter_rows())
    assert len(b) == WINDOW
    assert b[0] == pytest.approx((0.0001 + 0.0001 + 0.0006) / 3, rel=1e-15)
    assert b[1] == pytest.approx((0.0003 + 0.0001 + 0.0006) / 3, rel=1e-15)
    assert b[4] == pytest.approx((0.0001 + 0.0001) / 2, rel=1e-15)
    assert b[5] == pytest.approx((0.0003 + 0.0001) / 2, rel=1e-15)
    assert set(means.filter(pl.col("series") == 0)["rate_hourly"]) == {0.7}


def test_of_equally_large_assets_the_first_of_the_alphabet_count() -> None:
    hourly = hourly_rates(settlements_frame({i: repeated(0.1) for i in range(1, 5)}), as_of=AS_OF)
    assets = pl.DataFrame(
        {"market_id": [1, 2, 3, 4], "asset": ["D", "C", "B", "D"]},
        schema={"market_id": pl.Int32, "asset": pl.String},
    )
    members = largest_assets(hourly, assets, 2)
    assert set(members.rows()) == {(3, "B", 0), (1, "D", 1), (4, "D", 1)}


# --- neighbours


@settings(max_examples=60)
@given(data=st.data())
def test_neighbours_are_the_ten_highest_of_all_however_they_come(data: st.DataObject) -> None:
    number = data.draw(st.integers(2, 30))
    value = st.none() | st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]) | st.floats(-1, 1)
    random = Random(data.draw(st.integers(0, 2**32)))
    pool = data.draw(st.lists(value, min_size=5, max_size=20))
    pairs = [
        (one, other, random.randint(576, 720), random.choice(pool), random.choice(pool))
        for one, other in combinations(range(number), 2)
    ]
    random.shuffle(pairs)
    known = pl.DataFrame(schema=NEAREST)
    for start in range(0, len(pairs), 50):
        part = pl.DataFrame(pairs[start : start + 50], schema=FOUND, orient="row")
        bar = [bars(known, measure, number - 1) for measure in MEASURES]
        worth = [
            any(
                value is not None and value >= min(least[one], least[other])
                for value, least in zip(values, bar, strict=True)
            )
            for one, other, _, *values in part.rows()
        ]
        known = nearest(known, part.filter(worth))
    expected = []
    for column, measure in enumerate(MEASURES, start=3):
        for mine in range(number):
            mates = [
                (-row[column], row[1] if row[0] == mine else row[0], row[2])
                for row in pairs
                if mine in row[:2] and (row[column] or 0) > 0
            ]
            expected += [
                (measure, mine, other, -negative, hours)
                for negative, other, hours in sorted(mates)[:NEIGHBOURS]
            ]
    assert known.rows() == expected


def test_hours_of_a_day_later_do_not_matter() -> None:
    """The settlements that the window needs give the same bits as all."""
    rows = series(*((hour, 1e-5 * (hour % 7), 8) for hour in range(-100, 900, 8)))
    frame = settlements_frame({1: rows})
    stamp = pl.col("funding_time")
    needed = frame.filter(stamp > AS_OF - timedelta(hours=720), stamp < AS_OF + timedelta(hours=24))
    assert hourly_rates(needed, as_of=AS_OF).equals(hourly_rates(frame, as_of=AS_OF))
