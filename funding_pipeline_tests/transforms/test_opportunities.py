"""The log of opportunities: by hand, against the slow log, and hour by hour as for a whole span."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.known_windows import PAIRS, TAKER_FEES
from funding_pipeline.transforms.opportunities import OPPORTUNITIES, Rule, follow

from .hour_by_hour import HOUR, Row, at, series, settlements_frame
from .pairs_hour_by_hour import slow_log
from .strategies import rows

RULE = Rule(open_above=0.25, close_below=0.0)
FEE = 0.0005
NOTHING = pl.DataFrame(schema=OPPORTUNITIES)
FIRST = at(80)


def fees_frame(ids: Sequence[int], *eras: tuple[datetime, float]) -> pl.DataFrame:
    eras = eras or ((datetime(1970, 1, 1), FEE),)
    return pl.DataFrame(
        [(market, *era) for market in ids for era in eras], schema=TAKER_FEES, orient="row"
    )


def log_of(
    markets: Mapping[int, list[Row]],
    first: datetime,
    until: datetime,
    *,
    carried: pl.DataFrame = NOTHING,
    pairs: Sequence[tuple[int, int]] | None = None,
    fees: pl.DataFrame | None = None,
    rule: Rule = RULE,
) -> pl.DataFrame:
    ids = sorted(markets)
    pairs = pairs or [(a, b) for a in ids for b in ids if a < b]
    frame = settlements_frame(markets).filter(
        pl.col("funding_time") > first - 72 * HOUR, pl.col("funding_time") <= until
    )
    result = follow(
        frame,
        pl.DataFrame([(*pair, first) for pair in pairs], schema=PAIRS, orient="row"),
        carried,
        fees=fees_frame(ids) if fees is None else fees,
        until=until,
        rule=rule,
    )
    assert result.schema == pl.Schema(OPPORTUNITIES)
    return result


def hourly(*spans: tuple[int, int, float]) -> list[Row]:
    """(first hour, last hour, rate) of hourly settlements."""
    return series(*((h, rate, 1) for first, last, rate in spans for h in range(first, last + 1)))


FLAT = hourly((1, 240, 0.0))


def test_by_hand() -> None:
    """Four fees of 5 bps are 0.002, over 24 h 0.73 a year; it opens above 0.98, that is a mean of
    more than 0.000111872 an hour. With 0.0002 from hour 100 on that is the 14th hour, h = 113:
    14 / 24 * 0.0002 = 0.00011667. The mean falls below 0.73 / 8760 = 0.00008333 when fewer than 10
    of 24 hours have it: at 120 the rate goes, 119 was its last hour, so at 119 + 15 = 134.
    """
    rich = hourly((1, 99, 0.0), (100, 119, 0.0002), (120, 240, 0.0))
    (row,) = log_of({1: FLAT, 2: rich}, FIRST, at(200)).rows(named=True)
    assert (row["long_id"], row["short_id"]) == (1, 2)
    assert (row["opened"], row["closed"], row["closed_by"]) == (at(113), at(134), "net")
    assert row["opened_net_apr"] == pytest.approx(14 / 24 * 0.0002 * 8760 - 0.73, rel=1e-12)
    assert row["peak"] == at(119)
    assert row["peak_net_apr"] == pytest.approx(20 / 24 * 0.0002 * 8760 - 0.73, rel=1e-12)
    # It is paid 114 to 119: what settled at 113 made it known.
    assert row["funding_steps"] / 2**100 == pytest.approx(6 * 0.0002, rel=1e-12)
    assert row["fees"] == pytest.approx(0.002, rel=1e-12)
    assert row["until"] == at(134)


def test_an_8_hour_leg_is_known_and_paid_when_it_settles() -> None:
    """The slow leg's hours to 104 are known at 104, not before; its settlements pay whole."""
    slow = series(*((h, 0.0 if h <= 96 else 0.004, 8) for h in range(8, 240, 8)))
    (row,) = log_of({1: FLAT, 2: slow}, FIRST, at(118)).rows(named=True)
    # At 104 the window holds 8 hours of 0.0005: 0.00016667 an hour.
    assert (row["opened"], row["closed"]) == (at(104), None)
    assert row["opened_net_apr"] == pytest.approx(8 / 24 * 0.0005 * 8760 - 0.73, rel=1e-12)
    assert row["peak"] == at(112)
    assert row["funding_steps"] / 2**100 == pytest.approx(0.004, rel=1e-12), "that of 112 alone"
    assert row["until"] == at(118)


def test_between_the_thresholds_what_is_open_stays_open_and_nothing_opens() -> None:
    between = 0.0001  # 0.876 a year less 0.73
    rich = hourly((1, 99, 0.0), (100, 130, 0.0002), (131, 240, between))
    (row,) = log_of({1: FLAT, 2: rich}, FIRST, at(220)).rows(named=True)
    assert row["closed"] is None
    assert log_of({1: FLAT, 2: rich}, at(200), at(220)).is_empty()


def test_the_other_direction_is_another_opportunity() -> None:
    rich = hourly((1, 99, 0.0), (100, 130, 0.0004), (131, 240, -0.0004))
    log = log_of({1: FLAT, 2: rich}, FIRST, at(200))
    assert log.select("long_id", "short_id").rows() == [(1, 2), (2, 1)]
    assert log["closed"][0] < log["opened"][1]


def test_a_leg_that_stops_settling_closes_it_as_stale() -> None:
    rich = hourly((1, 99, 0.0), (100, 130, 0.0004))
    (row,) = log_of({1: FLAT, 2: rich}, FIRST, at(200)).rows(named=True)
    assert (row["closed"], row["closed_by"]) == (at(133), "stale")


def test_a_window_with_holes_says_nothing() -> None:
    """108 and 116 never settled: from 120 to 128 the day lacks 8 of its 24 hours, and what is left
    of it would close. At 132 it lacks 4.
    """
    rates = {100: 0.0016, 104: 0.0016, 112: 0.0, 120: -0.04}
    slow = series(*((h, 0.0, 4) for h in range(4, 100, 4)), *((h, r, 4) for h, r in rates.items()))
    slow += series(*((h, 0.0, 4) for h in range(124, 200, 4)))
    row, reverse = log_of({1: FLAT, 2: slow}, FIRST, at(190)).rows(named=True)
    assert (row["opened"], row["closed"], row["closed_by"]) == (at(104), at(132), "net")
    assert reverse["opened"] == at(132)


def test_legs_that_settle_past_each_other_are_stale_after_two_days() -> None:
    """Both settle every other hour after 110, never the same: the pair's day ends with 110."""
    rich = hourly((1, 89, 0.0), (90, 240, 0.0004))
    even = [row for row in FLAT if row.time <= at(110) or row.time.hour % 2 == 0]
    odd = [row for row in rich if row.time <= at(110) or row.time.hour % 2 == 1]
    (row,) = log_of({1: even, 2: odd}, FIRST, at(200)).rows(named=True)
    assert (row["closed"], row["closed_by"]) == (at(158), "stale")


def test_fees_are_those_of_the_day() -> None:
    rich = hourly((1, 99, 0.0), (100, 119, 0.0002), (120, 240, 0.0))
    fees = fees_frame([1, 2], (datetime(1970, 1, 1), FEE), (at(115), 0.0004))
    (row,) = log_of({1: FLAT, 2: rich}, FIRST, at(200), fees=fees).rows(named=True)
    assert row["opened"] == at(113)
    assert row["fees"] == pytest.approx(2 * 0.0005 + 2 * 0.0004, rel=1e-12)
    # Four fees of 4 bps: below 8 of 24 hours.
    assert row["closed"] == at(136)
    assert row["peak_net_apr"] == pytest.approx(20 / 24 * 0.0002 * 8760 - 0.584, rel=1e-12)


def test_what_settles_later_changes_nothing() -> None:
    rich = hourly((1, 99, 0.0), (100, 119, 0.0002), (120, 240, 0.0))
    changed = hourly((1, 99, 0.0), (100, 115, 0.0002), (116, 240, 0.7))
    fees, pairs = fees_frame([1, 2]), pl.DataFrame([(1, 2, FIRST)], schema=PAIRS, orient="row")
    for later in (rich, changed):
        frame = settlements_frame({1: FLAT, 2: later})
        log = follow(frame, pairs, NOTHING, fees=fees, until=at(115), rule=RULE)
        assert log.equals(log_of({1: FLAT, 2: rich}, FIRST, at(115)))


def carried_over(
    markets: Mapping[int, list[Row]], first: datetime, until: datetime, steps: Sequence[int]
) -> pl.DataFrame:
    """The log put together from pieces of so many hours, as it is kept up to date."""
    closed, carried = [], NOTHING
    turn = 0
    while first <= until:
        end = min(first + (steps[turn % len(steps)] - 1) * HOUR, until)
        log = log_of(markets, first, end, carried=carried)
        closed.append(log.filter(pl.col("closed").is_not_null()))
        carried = log.filter(pl.col("closed").is_null())
        first = end + HOUR
        turn += 1
    return pl.concat([*closed, carried]).sort("opened", "long_id", "short_id")


BIG = st.sampled_from([0.0, 0.0001, 0.0004, 0.002, -0.0004, -0.002])


STRETCHES = st.lists(
    st.tuples(st.sampled_from([1, 4, 8]), BIG, st.integers(1, 40), st.sampled_from([0, 3, 10])),
    min_size=1,
    max_size=12,
)


def rich_rows(stretches: list[tuple[int, float, int, int]]) -> list[Row]:
    """Stretches of one interval and hourly rate, with holes: opportunities open and close."""
    hour, found = 0, []
    for interval, rate, count, hole in stretches:
        for _ in range(count):
            hour += interval
            found.append(Row(at(hour), rate * interval, interval))
        hour += hole
    return found


@settings(max_examples=8, deadline=None)
@given(st.tuples(STRETCHES, STRETCHES, STRETCHES), st.lists(st.integers(1, 30), min_size=1))
def test_from_pieces_as_for_the_whole_span_and_as_the_slow_log(
    drawn: tuple[list[tuple[int, float, int, int]], ...], steps: list[int]
) -> None:
    markets = dict(zip((2, 5, 9), map(rich_rows, drawn), strict=True))
    first, until = at(75), at(160)
    whole = log_of(markets, first, until)
    assert carried_over(markets, first, until, steps).equals(whole)
    check(whole, markets, first, until)


@settings(max_examples=5, deadline=None)
@given(rows(max_size=150), rows(max_size=150))
def test_hour_by_hour_as_for_the_whole_span(a: list[Row], b: list[Row]) -> None:
    markets = {2: a, 5: b}
    whole = log_of(markets, at(75), at(120))
    assert carried_over(markets, at(75), at(120), [1]).equals(whole)


def check(
    log: pl.DataFrame, markets: Mapping[int, list[Row]], first: datetime, until: datetime
) -> None:
    """Row by row against the slow log."""
    ids = sorted(markets)
    pairs = [(a, b) for a in ids for b in ids if a < b]
    slow = slow_log(markets, pairs, FEE, first, until, RULE.open_above, RULE.close_below)
    slow.sort(key=lambda one: (one.opened, one.long, one.short))
    assert len(log) == len(slow)
    for row, one in zip(log.iter_rows(named=True), slow, strict=True):
        assert (row["long_id"], row["short_id"], row["opened"]) == (one.long, one.short, one.opened)
        assert (row["closed"], row["closed_by"], row["until"]) == (
            one.closed,
            one.closed_by,
            one.until,
        )
        assert row["peak_net_apr"] == pytest.approx(one.peak_net, rel=1e-9)
        assert abs(Fraction(row["funding_steps"], 2**100) - one.funding) < Fraction(1, 10**15)


def test_nothing_to_look_at() -> None:
    assert log_of({}, FIRST, at(90)).is_empty()
