"""Windows of pairs against the definition, hour by hour in whole steps, on grids made by chance."""

import math
from fractions import Fraction
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms import pair_windows as module
from funding_pipeline.transforms.hourly_grid import HourlyGrid
from funding_pipeline.transforms.pair_windows import GRID_HOURS, PAIR_WINDOWS, pair_windows

from .hour_by_hour import at
from .pairs_hour_by_hour import WINDOWS, half_life

STEPS = 2**100
NOISE_STEPS = math.floor(Fraction(1e-15) * STEPS)
# What two hourly rates differ by, in steps: about the bound of what is taken for rounding.
EDGES = [sign * (NOISE_STEPS + step) for sign in (1, -1) for step in (-1, 0, 1, 10**6)]
Hours = list[int | None]
# Not hypothesis' own: thousands of rates are too many for it to draw one by one.
CHANCES = st.integers(0, 2**32).map(Random)


def grid_of(markets: list[Hours]) -> HourlyGrid:
    ids = pl.Series(range(len(markets)), dtype=pl.Int32())
    rates = pl.Series([rate for hours in markets for rate in hours], dtype=pl.Int128())
    return HourlyGrid(at(0), GRID_HOURS, ids, rates)


def pairs_of(rows: list[tuple[int, int, int, int]]) -> pl.DataFrame:
    names = ("first", "second", "settled", "block_hours")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int32()), orient="row")


def in_small_chunks(grid: HourlyGrid, pairs: pl.DataFrame) -> dict[tuple[int, int, str], dict]:
    """Two pairs and two markets at a time, so that places within chunks matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", 2)
        frame = pair_windows(grid, pairs)
    assert frame.schema == pl.Schema(PAIR_WINDOWS)
    rows = {(r["first"], r["second"], r["window"]): r for r in frame.iter_rows(named=True)}
    assert len(rows) == len(frame)
    return rows


def newest_common(first: Hours, second: Hours, settled: int) -> int | None:
    hours = range(settled, GRID_HOURS - 48 - 1, -1)
    return next((h for h in hours if first[h] is not None and second[h] is not None), None)


def signs(first: Hours, second: Hours, newest: int) -> list[int | None]:
    """-1, 0 or 1 for the 720 hours back from `newest`, None where one has no rate."""
    found: list[int | None] = []
    for hour in range(newest, newest - 720, -1):
        a, b = first[hour], second[hour]
        if a is None or b is None:
            found.append(None)
        else:
            found.append((b - a > NOISE_STEPS) - (b - a < -NOISE_STEPS))
    return found


def run(found: list[int | None], sign: int) -> int:
    return next((i for i, one in enumerate(found) if one != sign), len(found))


def expected(first: Hours, second: Hours, newest: int, length: int) -> dict[str, object]:
    window = slice(newest - length + 1, newest + 1)
    both = [
        b - a
        for a, b in zip(first[window], second[window], strict=True)
        if a is not None and b is not None
    ]
    found = signs(first, second, newest)
    return {
        "newest": newest,
        "rate_hourly": float(sum(both)) / STEPS / len(both),
        "hours": len(both),
        "higher_hours": found[:length].count(1),
        "lower_hours": found[:length].count(-1),
        "higher_run": run(found, 1),
        "lower_run": run(found, -1),
    }


def a_market(chance: Random, scale: float, beside: Hours | None) -> Hours:
    """Hours of one market; `beside`: one that it may follow at the edge of noise."""
    born = chance.choice([0, 0, 40, 400, GRID_HOURS - 60])
    holes = chance.choice([0.0, 0.0, 0.01, 0.5])
    follow = beside is not None and chance.random() < 0.7
    shift = chance.choice(EDGES)
    hours: Hours = []
    for hour in range(GRID_HOURS):
        near = beside[hour] if beside is not None else None
        if chance.random() < 0.01:
            shift = chance.choice(EDGES)
        if hour < born or chance.random() < holes:
            hours.append(None)
        elif follow and near is not None:
            hours.append(near + shift)
        else:
            hours.append(int(chance.uniform(0.5, 1) * scale * STEPS) + chance.randrange(1000))
    return hours


@settings(max_examples=40, deadline=None)
@given(chance=CHANCES, count=st.integers(2, 5))
def test_all_but_half_lives_are_exact(chance: Random, count: int) -> None:
    """Also for rates whose last bit as a double is more than the bound of noise, and for markets
    whose sums together overflow what holds each one's.
    """
    scale = chance.choice([1e-15, 1e-5, 0.04, 9.0, 1.5e5]) * chance.choice([1, -1])
    markets: list[Hours] = []
    for _ in range(count):
        markets.append(a_market(chance, scale, chance.choice(markets) if markets else None))
    asked = [
        (a, b, chance.choice([GRID_HOURS - 1, GRID_HOURS - 4, 725, 600]), chance.choice([1, 8]))
        for a in range(count)
        for b in range(a + 1, count)
    ]
    rows = in_small_chunks(grid_of(markets), pairs_of(asked))
    told = 0
    for a, b, settled, _ in asked:
        newest = newest_common(markets[a], markets[b], settled)
        for window, length in WINDOWS.items():
            row = rows.get((a, b, window))
            assert (row is None) == (newest is None)
            if row is not None and newest is not None:
                told += 1
                exact = expected(markets[a], markets[b], newest, length)
                assert {name: row[name] for name in exact} == exact
    assert told == len(rows)


@settings(max_examples=15, deadline=None)
@given(chance=CHANCES, block=st.sampled_from([1, 2, 3, 7, 8, 24]))
def test_half_lives_are_those_of_whole_blocks(chance: Random, block: int) -> None:
    markets: list[Hours] = []
    for _ in range(3):
        keep, rate = chance.choice([0.3, 0.9, 0.99]), 0.0
        holes = chance.choice([0.0, 0.005, 0.05])
        hours: Hours = []
        for _ in range(GRID_HOURS):
            rate = keep * rate + chance.gauss(0, 1e-5)
            hours.append(None if chance.random() < holes else int((rate + 1e-5) * STEPS))
        markets.append(hours)
    asked = [(0, 1, 765, block), (0, 2, 767, block), (1, 2, 765, block)]
    rows = in_small_chunks(grid_of(markets), pairs_of(asked))
    for (a, b, window), row in rows.items():
        both = {
            at(hour): Fraction(second - first, STEPS)
            for hour, (first, second) in enumerate(zip(markets[a], markets[b], strict=True))
            if first is not None and second is not None
        }
        ends = [at(row["newest"] - back) for back in range(WINDOWS[window])]
        slow = half_life({end: both[end] for end in ends if end in both}, ends, block)
        assert row["half_life_hours"] == (
            slow if slow is None else pytest.approx(slow, rel=1e-9, abs=0)
        )


def test_what_varies_by_rounding_has_no_half_life() -> None:
    """Twelve hours up, twelve down, by 4e-16 and by 4e-15 from the middle."""
    flat: Hours = [0] * GRID_HOURS
    small: Hours = [int(4e-16 * STEPS) * (-1) ** (hour // 12) for hour in range(GRID_HOURS)]
    large: Hours = [int(4e-15 * STEPS) * (-1) ** (hour // 12) for hour in range(GRID_HOURS)]
    rows = in_small_chunks(
        grid_of([flat, small, large]), pairs_of([(0, 1, 767, 1), (0, 2, 767, 1)])
    )
    assert rows[0, 1, "30d"]["half_life_hours"] is None
    assert rows[0, 2, "30d"]["half_life_hours"] == pytest.approx(
        math.log(2) / -math.log(601 / 719), rel=1e-9
    )


def test_more_pairs_than_one_chunk_holds() -> None:
    """Market m pays m steps of 2**-20 an hour, the odd ones not in the hour 700."""
    markets: list[Hours] = [
        [None if m % 2 and hour == 700 else m * 2**80 for hour in range(GRID_HOURS)]
        for m in range(60)
    ]
    asked = [(a, b, 767, 8) for a in range(60) for b in range(a + 1, 60)]
    frame = pair_windows(grid_of(markets), pairs_of(asked))
    assert len(frame) == len(asked) * len(WINDOWS) > module._CHUNK * len(WINDOWS)
    odd = (pl.col("first") % 2 == 1) | (pl.col("second") % 2 == 1)
    length = pl.col("window").replace_strict(WINDOWS)
    lacking = (odd & (length > 67)).cast(pl.Int16)
    wrong = frame.filter(
        (pl.col("rate_hourly") != (pl.col("second") - pl.col("first")) / 2**20)
        | (pl.col("hours") != length - lacking)
        | (pl.col("higher_hours") != pl.col("hours"))
        | (pl.col("higher_run") != pl.when(odd).then(67).otherwise(720))
        | (pl.col("lower_hours") != 0)
        | (pl.col("lower_run") != 0)
        | pl.col("half_life_hours").is_not_null()
    )
    assert wrong.is_empty()


def test_no_pairs_and_pairs_without_a_common_hour() -> None:
    lone: Hours = [1] * (GRID_HOURS - 48) + [None] * 48
    grid = grid_of([lone, [2] * GRID_HOURS])
    for pairs in ([], [(0, 1, 767, 1)], [(0, 1, 700, 1)]):
        frame = pair_windows(grid, pairs_of(pairs))
        assert (frame.schema, len(frame)) == (pl.Schema(PAIR_WINDOWS), 0)
