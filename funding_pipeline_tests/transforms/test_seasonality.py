"""Seasonality: by hand, at the window's edges, and against the hour-by-hour definition."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.measures import with_live_span
from funding_pipeline.transforms.seasonality import SEASONALITY, window

from .hour_by_hour import (
    FOREVER,
    HOUR,
    Life,
    Row,
    at,
    close,
    covered,
    lives_frame,
    series,
    settlements_frame,
)
from .strategies import lives, rows

Slot = tuple[int, str, int]
JAN_1 = date(2025, 1, 1)  # a Wednesday


def figures(
    markets: Mapping[int, list[Row]], lives: Mapping[int, Life], as_of: date, days: int
) -> dict[Slot, dict[str, Any]]:
    """What the SQL gives, by market, kind and slot."""
    since, until = window(as_of, days)
    chosen = pl.DataFrame({"market_id": list(markets)}, schema={"market_id": pl.Int32})
    bounds = (pl.lit(bound, dtype=pl.Datetime("us")) for bound in (since, until))
    with duckdb.connect() as connection:
        connection.register("settlements", settlements_frame(markets))
        connection.register("spans", with_live_span(chosen, lives_frame(lives), *bounds))
        frame = connection.sql(SEASONALITY, params={"since": since, "until": until}).pl()
    return {(r["market_id"], r["kind"], r["slot"]): r for r in frame.iter_rows(named=True)}


def check_slots(
    actual: Mapping[Slot, Mapping[str, Any]], rows: list[Row], life: Life, as_of: date, days: int
) -> None:
    """One market's figures are those of its hours, one by one."""
    until = datetime.combine(as_of, time.min) + timedelta(days=1)
    starts = [until - n * HOUR for n in range(days * 24, 0, -1)]
    listed, delisted = life
    paid = {
        row.time - (back + 1) * HOUR: Fraction(row.rate) / row.interval
        for row, hours in zip(rows, covered(rows), strict=True)
        for back in range(hours)
    }
    market = next(iter(actual), (0,))[0]
    expected: dict[Slot, list[datetime]] = {}
    for start in starts:
        for kind, slot in (("hour", start.hour), ("weekday", start.isoweekday())):
            expected.setdefault((market, kind, slot), []).append(start)
    for key, hours in expected.items():
        rates = [paid[start] for start in hours if start in paid]
        if not rates:
            assert key not in actual
            continue
        found = actual[key]
        live = sum(
            (listed is None or listed <= start) and (delisted is None or start + HOUR <= delisted)
            for start in hours
        )
        assert found["hours"] == len(rates)
        assert found["coverage"] == len(rates) / max(live, len(rates))
        if found["coverage"] < 0.8:
            assert (found["rate_hourly_mean"], found["positive_share"]) == (None, None)
        else:
            assert close(found["rate_hourly_mean"], sum(rates, Fraction(0)) / len(rates))
            assert found["positive_share"] == sum(rate > 0 for rate in rates) / len(rates)
    assert actual.keys() <= expected.keys()


def test_hours_count_where_they_begin() -> None:
    # 8 h to 08:00 on Wednesday, 1 h to 09:00, and 4 h across the next midnight.
    found = figures(
        {7: series((8, 0.0008, 8), (9, -0.0003, 1), (26, 0.0002, 4))},
        {7: (at(0), at(9))},
        JAN_1,
        1,
    )
    hours = {slot: row for (_, kind, slot), row in found.items() if kind == "hour"}
    assert sorted(hours) == [*range(9), 22, 23], "from 22:00; what follows midnight is tomorrow's"
    assert hours[0]["rate_hourly_mean"] == hours[7]["rate_hourly_mean"] == 0.0001
    assert hours[8]["rate_hourly_mean"] == -0.0003
    assert (hours[8]["positive_share"], hours[23]["positive_share"]) == (0.0, 1.0)
    ((key, day),) = ((key, row) for key, row in found.items() if key[1] == "weekday")
    assert key == (7, "weekday", 3)
    assert (day["hours"], day["coverage"]) == (11, 1.0)
    total = 8 * 0.0001 - 0.0003 + 2 * 0.00005
    assert day["rate_hourly_mean"] == pytest.approx(total / 11, rel=1e-12, abs=0)
    assert day["positive_share"] == 10 / 11


def test_the_window_cuts_the_settlement_that_reaches_into_it() -> None:
    found = figures({7: series((26, 0.0004, 4))}, {7: FOREVER}, date(2025, 1, 2), 1)
    assert {slot for _, kind, slot in found if kind == "hour"} == {0, 1}
    assert found[7, "weekday", 4]["hours"] == 2


def test_a_mean_needs_four_fifths_of_the_slot_s_live_hours() -> None:
    five_days = date(2025, 1, 5)
    hourly = [(24 * day + 1, 0.0001, 1) for day in range(4)]
    found = figures({7: series(*hourly)}, {7: FOREVER}, five_days, 5)
    assert found[7, "hour", 0]["coverage"] == 0.8
    assert found[7, "hour", 0]["rate_hourly_mean"] == 0.0001
    found = figures({7: series(*hourly[:3])}, {7: FOREVER}, five_days, 5)
    assert (found[7, "hour", 0]["coverage"], found[7, "hour", 0]["hours"]) == (0.6, 3)
    assert found[7, "hour", 0]["rate_hourly_mean"] is None
    assert found[7, "hour", 0]["positive_share"] is None
    # Listed on the third day at 00:30, it could have paid for 00:00 twice.
    found = figures({7: series(*hourly[3:])}, {7: (at(48.5), None)}, five_days, 5)
    assert found[7, "hour", 0]["coverage"] == 0.5


def test_opposite_rates_leave_what_they_differ_by() -> None:
    rates = series((1, 0.04, 1), (25, 1e-18, 1), (49, -0.04, 1))
    found = figures({7: rates}, {7: FOREVER}, date(2025, 1, 3), 3)
    mean = found[7, "hour", 0]["rate_hourly_mean"]
    assert mean == pytest.approx(1e-18 / 3, rel=1e-12, abs=0)


def test_only_the_named_markets_are_computed() -> None:
    since, until = window(JAN_1, 1)
    frame = settlements_frame({n: series((8, 0.01, 8)) for n in (1, 2, 3)})
    spans = pl.DataFrame(
        [(2, since, until)], schema=["market_id", "live_start", "live_end"], orient="row"
    )
    with duckdb.connect() as connection:
        connection.register("settlements", frame)
        connection.register("spans", spans)
        found = connection.sql(SEASONALITY, params={"since": since, "until": until}).pl()
    assert found["market_id"].unique().to_list() == [2]


@settings(max_examples=60, deadline=None)
@given(
    first=rows(),
    second=rows(),
    life=lives(),
    last=st.integers(0, 60),
    days=st.sampled_from([1, 3, 7, 30]),
)
def test_equals_the_definition(
    first: list[Row], second: list[Row], life: Life, last: int, days: int
) -> None:
    as_of = JAN_1 + timedelta(days=last)
    markets, spans = {3: first, 9: second}, {3: life, 9: FOREVER}
    found = figures(markets, spans, as_of, days)
    for market, settled in markets.items():
        mine = {key: row for key, row in found.items() if key[0] == market}
        check_slots(mine, settled, spans[market], as_of, days)
