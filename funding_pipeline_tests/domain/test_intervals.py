"""The interval rule: against an independent statement of it, and against the recorded labels."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.intervals import (
    FixedInterval,
    Observation,
    Slot,
    covered_hours,
    intervals,
)
from funding_pipeline.exchanges.hyperliquid import SPEC as HYPERLIQUID

BASE = 480_000  # an hour number, divisible by 24


def slots(hours: list[int]) -> list[Slot]:
    return [Slot((BASE + h) * HOUR_MS) for h in hours]


def seen(start: float, end: float, hours: int) -> Observation:
    return Observation(round((BASE + start) * HOUR_MS), round((BASE + end) * HOUR_MS), hours)


def decide(hours: list[int], *observations: Observation) -> list[int | None]:
    return intervals(slots(hours), observations)


def straightforward(hours: list[int]) -> list[int | None]:
    """The rule of the design, word by word, without declarations.

    p = previous row's interval, gp and gn = gaps before and after, A = {1, 2, 4, 8, 24}:
    gp in A and (gp <= p or gn >= gp) -> gp; else gn in A -> gn; else p; first row: gn. The newest
    row with gp > p: the interval declared now; here none is, so p.
    """
    allowed = (1, 2, 4, 8, 24)
    found: list[int | None] = []
    for i, hour in enumerate(hours):
        p = next((x for x in reversed(found) if x is not None), None)
        gp = hour - hours[i - 1] if i > 0 else None
        gn = hours[i + 1] - hour if i + 1 < len(hours) else None
        if p is None or gp is None:
            # No previous interval is known: what comes after, else what came before.
            found.append(gn if gn in allowed else gp if gp in allowed else None)
        elif gn is None and gp > p:
            found.append(p)
        elif gp in allowed and (gp <= p or (gn is not None and gn >= gp)):
            found.append(gp)
        elif gn in allowed:
            found.append(gn)
        else:
            found.append(p)
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Hours and true intervals: eras on their own grids, odd first steps."""
    hours, truth = [draw(st.integers(0, 24))], []
    for era in range(draw(st.integers(1, 5))):
        step = draw(st.sampled_from([1, 2, 4, 8, 24]))
        if era == 0:
            truth.append(step)
        else:
            hours.append((hours[-1] // step + 1) * step)
            truth.append(step)
        for _ in range(draw(st.integers(2, 12))):
            hours.append(hours[-1] + step)
            truth.append(step)
    return hours, truth


@given(histories(), st.data())
def test_the_code_is_the_rule(history: tuple[list[int], list[int]], data: st.DataObject) -> None:
    hours, _ = history
    holes = data.draw(st.sets(st.integers(0, len(hours) - 1), max_size=len(hours) // 2))
    left = [h for i, h in enumerate(hours) if i not in holes]
    assert decide(left) == straightforward(left)


@given(st.lists(st.integers(0, 400), unique=True).map(sorted))
def test_the_code_is_the_rule_on_any_rows_at_all(hours: list[int]) -> None:
    assert decide(hours) == straightforward(hours)


@given(st.sampled_from([1, 2, 4, 8]), st.integers(3, 40), st.data())
def test_a_hole_in_a_steady_history_changes_no_interval(
    step: int, count: int, data: st.DataObject
) -> None:
    """Whatever is missing in the middle, as long as two neighbours stand on each side of it."""
    hours = [i * step for i in range(count + 4)]
    start = data.draw(st.integers(2, count))
    end = data.draw(st.integers(start, count + 1))
    left = hours[:start] + hours[end:]
    assert decide(left) == [step] * len(left)


@given(histories())
def test_without_holes_every_row_but_those_at_a_change_is_certain(
    history: tuple[list[int], list[int]],
) -> None:
    hours, truth = history
    decided = decide(hours)
    for i in range(1, len(hours) - 1):
        steady = truth[i - 1] == truth[i] == truth[i + 1]
        if steady and hours[i] - hours[i - 1] == truth[i] == hours[i + 1] - hours[i]:
            assert decided[i] == truth[i]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([0, 8, 16, 24], [8, 8, 8, 8]),
        ([0, 8, 16, 20, 24], [8, 8, 8, 4, 4]),
        ([0, 4, 8, 16, 24], [4, 4, 4, 8, 8]),
        ([0, 8, 11, 12, 13], [8, 8, 1, 1, 1]),  # an odd first step of 3 h
        ([0, 8, 14, 16, 18], [8, 8, 2, 2, 2]),  # … of 6 h
        ([0, 1, 2, 4, 5], [1, 1, 1, 1, 1]),  # one hour missing
        ([0, 8, 24, 32], [8, 8, 8, 8]),  # one settlement missing
        ([0, 8, 16, 64, 72], [8, 8, 8, 8, 8]),  # two days missing
        ([0, 1, 2, 2000, 2001], [1, 1, 1, 1, 1]),
        ([0], [None]),
        ([0, 7], [None, None]),
        ([], []),
    ],
)
def test_by_hand(hours: list[int], expected: list[int | None]) -> None:
    assert decide(hours) == expected


def test_there_is_never_a_silent_eight() -> None:
    assert decide([0]) == [None]
    assert decide([0, 5, 11]) == [None, None, None]
    assert 8 not in decide([0, 4, 8, 12, 19])


def test_the_row_s_own_field_beats_everything() -> None:
    rows = [Slot((BASE + h) * HOUR_MS, hours=2) for h in (0, 8, 16)]
    assert intervals(rows, [seen(0, 24, 4)]) == [2, 2, 2]


def test_a_declaration_beats_spacing_inside_its_span_only() -> None:
    hours = [0, 8, 16, 24, 32, 40]
    assert decide(hours, seen(16, 24, 4)) == [8, 8, 4, 4, 8, 8]
    assert decide(hours, seen(16.5, 23.5, 4)) == [8] * 6, "no row stands inside"
    assert decide(hours, seen(100, 200, 4)) == [8] * 6, "observed much later"


def test_two_declarations_leave_the_time_between_them_to_spacing() -> None:
    """8 h until hour 16 seen, 4 h from hour 28 on seen; between them the rows themselves tell."""
    hours = [0, 8, 16, 20, 24, 28, 32]
    assert decide(hours, seen(0, 16, 8), seen(28, 32, 4)) == [8, 8, 8, 4, 4, 4, 4]


def test_the_first_row_takes_the_gap_after_it() -> None:
    assert decide([0, 4, 8])[0] == 4


def test_a_seed_holds_for_the_first_row_only() -> None:
    rows = [Slot((BASE + h) * HOUR_MS, seed=2) for h in (0, 4, 8)]
    assert intervals(rows, []) == [2, 4, 4]


def test_the_newest_row_after_a_longer_gap_takes_what_is_declared_now() -> None:
    hours = [0, 4, 8, 16]
    assert decide(hours) == [4, 4, 4, 4]
    assert decide(hours, seen(16.5, 17, 8)) == [4, 4, 4, 8]
    assert decide(hours, seen(16 + 25, 50, 8)) == [4, 4, 4, 4], "declared too much later"


def test_the_newest_row_after_a_shorter_gap_is_certain() -> None:
    assert decide([0, 8, 16, 20], seen(20.5, 21, 8)) == [8, 8, 8, 4]


def test_a_lone_row_takes_a_declaration_of_the_same_day_or_nothing() -> None:
    assert decide([0], seen(0.1, 1, 8)) == [8]
    assert decide([0], seen(24.1, 25, 8)) == [None]


def test_fixed_intervals_have_dated_eras() -> None:
    fixed = HYPERLIQUID.interval
    assert isinstance(fixed, FixedInterval)
    change = 1_686_186_000_000  # 2023-06-08 01:00, the first settlement of one hour
    assert [fixed.at(change + h * HOUR_MS) for h in (-9, -1, 0, 1, 20_000)] == [8, 8, 1, 1, 1]


def test_covered_hours_are_bounded_by_the_gap() -> None:
    assert covered_hours(8, 6) == 6
    assert covered_hours(8, 16) == 8
    assert covered_hours(1, None) == 1


# --- the recorded labels


def recorded(file: Path) -> list[tuple[str, list[int], list[int], list[int]]]:
    """(market, hours, labels, months) of each market, ascending."""
    frame = (
        pl.read_parquet(file)
        .with_columns(
            hour=(pl.col("time").dt.epoch("ms") + 5_000) // HOUR_MS,
            month=pl.col("time").dt.strftime("%Y%m").cast(pl.Int64),
            label=pl.col("interval_hours").cast(pl.Int64),
        )
        .sort("market", "hour")
    )
    return [
        (part["market"][0], *(part[c].to_list() for c in ("hour", "label", "month")))
        for part in frame.partition_by("market")
    ]


@pytest.mark.slow
def test_every_recorded_label_of_bybit_is_reproduced(recorded_dir: Path) -> None:
    """Rows that nothing tells (a lone one, an odd first gap) may stay undecided, never wrong."""
    wrong, undecided, rows, changes = [], 0, 0, 0
    for market, hours, labels, months in recorded(recorded_dir / "bybit.parquet"):
        decided = intervals([Slot(h * HOUR_MS) for h in hours], [])
        for i, (found, label) in enumerate(zip(decided, labels, strict=True)):
            rows += 1
            undecided += found is None
            changes += months[i] == 202501 and i > 0 and labels[i - 1] != label
            if found not in (None, label):
                wrong.append((market, hours[i], found, label))
    assert wrong == []
    assert undecided == 0
    assert (rows, changes) == (603_987, 96)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["hyperliquid", "hyperliquid_xyz"])
def test_every_recorded_label_of_hyperliquid_is_reproduced(recorded_dir: Path, stem: str) -> None:
    """By the declared eras, and by spacing alone as if nothing were declared."""
    fixed = HYPERLIQUID.interval
    assert isinstance(fixed, FixedInterval)
    by_eras, by_spacing = [], []
    for market, hours, labels, _ in recorded(recorded_dir / f"{stem}.parquet"):
        by_eras += [
            (market, h)
            for h, label in zip(hours, labels, strict=True)
            if fixed.at(h * HOUR_MS) != label
        ]
        spaced = intervals([Slot(h * HOUR_MS) for h in hours], [])
        by_spacing += [
            (market, h) for h, s, label in zip(hours, spaced, labels, strict=True) if s != label
        ]
    assert by_eras == []
    assert by_spacing == []
