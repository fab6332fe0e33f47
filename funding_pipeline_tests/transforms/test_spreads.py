"""Spreads: by hand over different intervals, gaps and changes; against the definition; reasons."""

import math
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.measures import TIME
from funding_pipeline.transforms.moving_averages import moving_averages
from funding_pipeline.transforms.spreads import MARKETS, SPREADS, Floors, spreads

from .hour_by_hour import Row, at, close, lives_frame, points_frame, series, settlements_frame
from .pairs_hour_by_hour import WINDOWS, Spread, is_stale
from .pairs_hour_by_hour import spreads as slow_spreads
from .strategies import rows

FLOORS = Floors()


def markets_frame(ids: list[int], **changes: dict[int, Any]) -> pl.DataFrame:
    """Markets 1, 2, … on exchanges of their own, of one asset; `changes`: column, id, value."""
    facts = []
    for market in ids:
        row = {
            "market_id": market,
            "exchange": f"exchange{market}",
            "symbol": "AAA",
            "asset": "AAA",
            "quote": "USDT",
            "listed": True,
            "doubted": False,
            "held": False,
            "unit_price": None,
            "priced_at": None,
            "open_interest_usd": None,
            "volume_24h_usd": None,
        }
        facts.append(
            row | {name: by_id[market] for name, by_id in changes.items() if market in by_id}
        )
    return pl.DataFrame(facts, schema=MARKETS)


def found(markets: dict[int, list[Row]], now: float, **changes: dict[int, Any]) -> pl.DataFrame:
    result = spreads(
        settlements_frame(markets),
        markets_frame(list(markets), **changes),
        now=at(now) + timedelta(minutes=10),
        floors=FLOORS,
    )
    assert result.schema == pl.Schema(SPREADS)
    return result


def one(frame: pl.DataFrame, window: str) -> dict[str, Any]:
    return frame.filter(pl.col("window") == window).row(0, named=True)


HOURLY = series(*((hour, 0.00001, 1) for hour in range(1, 25)), (25, 0.9, 1), (26, 0.9, 1))
EIGHT = series((8, 0.0008, 8), (16, -0.0016, 8), (24, 0.0008, 8))


def test_an_8_hour_and_a_1_hour_market_are_compared_over_the_same_hours() -> None:
    """Eight hours at 0.0001, eight at -0.0002, eight at 0.0001 against 0.00001 throughout; what the
    hourly one settled after 24:00 is not compared with anything.
    """
    frame = found({1: HOURLY, 2: EIGHT}, 26)
    day = one(frame, "24h")
    assert (day["long_id"], day["short_id"], day["as_of"]) == (2, 1, at(24))
    assert day["rate_hourly"] == pytest.approx(0.00001, rel=1e-12, abs=0)
    assert (day["hours"], day["same_direction_hours"], day["alive_hours"]) == (24, 8, 0)
    latest = one(frame, "latest")
    assert (latest["long_id"], latest["short_id"], latest["as_of"]) == (1, 2, at(24))
    assert latest["rate_hourly"] == pytest.approx(0.00009, rel=1e-12, abs=0)
    assert (latest["hours"], latest["same_direction_hours"], latest["alive_hours"]) == (1, 1, 8)
    assert [row["reason"] for row in frame.iter_rows(named=True)] == [
        None if window in ("24h", "latest") else "coverage" for window in frame["window"]
    ]


def test_an_interval_change_weighs_by_hours() -> None:
    """0.0002 an hour for 16 hours, then 0.0001 for 8 in two steps of four: 1/6 of 0.001 each."""
    changing = series((8, 0.0016, 8), (16, 0.0016, 8), (20, 0.0004, 4), (24, 0.0004, 4))
    frame = found({1: HOURLY[:24], 2: changing}, 24)
    day = one(frame, "24h")
    assert day["rate_hourly"] == pytest.approx(0.004 / 24 - 0.00001, rel=1e-12, abs=0)
    assert (day["long_id"], day["hours"], day["alive_hours"]) == (1, 24, 24)


def test_hours_that_only_one_covers_do_not_count() -> None:
    """The hourly one lacks 4 of the first 8 hours, when it would have been the other way round."""
    holed = [row for row in HOURLY[:24] if row.time not in (at(3), at(4), at(5), at(6))]
    day = one(found({1: holed, 2: EIGHT}, 24), "24h")
    total = 4 * 0.0001 - 8 * 0.0002 + 8 * 0.0001 - 20 * 0.00001
    assert day["hours"] == 20
    assert day["rate_hourly"] == pytest.approx(-total / 20, rel=1e-12, abs=0)
    assert day["reason"] is None
    fewer = [row for row in holed if row.time != at(7)]
    day = one(found({1: fewer, 2: EIGHT}, 24), "24h")
    assert (day["hours"], day["rate_hourly"], day["reason"]) == (19, None, "coverage")


def test_the_newest_common_hour_may_lie_before_what_both_have_settled() -> None:
    holed = [row for row in HOURLY[:25] if row.time not in (at(22), at(23), at(24))]
    latest = one(found({1: holed, 2: EIGHT}, 25), "latest")
    assert latest["as_of"] == at(21)
    assert (latest["alive_hours"], latest["reason"]) == (5, None)


def test_of_equal_rates_the_smaller_id_is_long_and_no_hour_has_a_direction() -> None:
    """0.0003 for 24 hours is 0.0000125 per hour but for the last bit."""
    day = one(
        found(
            {
                1: series((24, 0.0003, 24)),
                2: series((8, 0.0001, 8), (16, 0.0001, 8), (24, 0.0001, 8)),
            },
            24,
        ),
        "24h",
    )
    assert (day["same_direction_hours"], day["alive_hours"]) == (0, 0)
    assert day["rate_hourly"] == pytest.approx(0, abs=1e-19)
    flat = [Row(row.time, 0.00001, 1) for row in HOURLY[:24]]
    day = one(found({1: flat, 2: HOURLY[:24]}, 24), "24h")
    assert (day["long_id"], day["short_id"], day["rate_hourly"]) == (1, 2, 0.0)


def test_markets_of_one_exchange_or_of_two_assets_are_no_pairs() -> None:
    rows = {1: HOURLY[:24], 2: EIGHT}
    assert found(rows, 24, exchange={2: "exchange1"}).is_empty()
    assert found(rows, 24, asset={2: "AAA#2"}).is_empty()
    assert found({1: EIGHT}, 24).is_empty()


def reasons(frame: pl.DataFrame) -> set[str | None]:
    return set(frame.filter(pl.col("window") == "24h")["reason"])


SEEN = at(23.9)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"held": {2: True}}, "held"),
        ({"listed": {1: False}}, "not listed"),
        ({"doubted": {2: True}}, "ticker collision"),
        ({"asset": {2: None}}, "ticker collision"),
        ({"asset": {1: None, 2: None}}, "ticker collision"),
        ({"quote": {1: "BTC"}}, "quotes differ"),
        ({"quote": {1: "USDC", 2: "DAI"}}, None),
        ({"quote": {1: "EUR", 2: "EUR"}}, None),
        ({"unit_price": {1: 100.0, 2: 102.9}, "priced_at": {1: SEEN, 2: SEEN}}, None),
        ({"unit_price": {1: 100.0, 2: 103.1}, "priced_at": {1: SEEN, 2: SEEN}}, "price apart"),
        ({"unit_price": {1: 103.1, 2: 100.0}, "priced_at": {1: SEEN, 2: SEEN}}, "price apart"),
        ({"unit_price": {1: 1.0, 2: 9.0}, "priced_at": {1: SEEN, 2: at(23.5)}}, None),
        ({"unit_price": {1: 1.0}, "priced_at": {1: SEEN}}, None),
        ({"open_interest_usd": {1: 199_999.0}}, "thin"),
        ({"open_interest_usd": {1: 200_000.0, 2: 1e9}}, None),
        ({"volume_24h_usd": {1: 1e9, 2: 199_999.0}}, "thin"),
        ({"held": {2: True}, "volume_24h_usd": {2: 1.0}}, "held"),
    ],
)
def test_what_is_left_out_is_listed_with_its_first_reason_and_its_figures(
    changes: dict[str, dict[int, Any]], reason: str | None
) -> None:
    frame = found({1: HOURLY[:24], 2: EIGHT}, 24, **changes)
    assert frame["window"].to_list() == sorted(WINDOWS)
    assert reasons(frame) == {reason}
    assert one(frame, "24h")["rate_hourly"] == pytest.approx(0.00001, rel=1e-12, abs=0)


@pytest.mark.parametrize(("now", "reason"), [(26, None), (27, "stale")])
def test_stale_is_more_than_an_interval_and_a_half_and_an_hour(
    now: float, reason: str | None
) -> None:
    long_eight = [*EIGHT, *series((32, 0.0008, 8))]
    assert reasons(found({1: HOURLY[:24], 2: long_eight}, now)) == {reason}


def test_a_pair_without_a_common_hour_is_listed_without_figures() -> None:
    frame = found({1: series((1, 0.1, 1)), 2: series((40, 0.1, 1))}, 40)
    assert set(frame["reason"]) == {"stale"}
    assert frame.select("rate_hourly", "as_of", "hours").unique().rows() == [(None, None, 0)]


def test_two_fresh_markets_without_a_common_hour_are_stale_as_a_pair() -> None:
    frame = found({1: series((20, 0.1, 8)), 2: series((21, 0.1, 1))}, 21)
    assert set(frame["reason"]) == {"stale"}


def test_an_extreme_is_listed_like_any_other() -> None:
    wild = series(*((hour, 0.0254, 1) for hour in range(1, 25)))
    day = one(found({1: wild, 2: EIGHT}, 24), "24h")
    assert day["reason"] is None
    assert day["rate_hourly"] * 8760 > 222


def test_windows_without_holes_are_differences_of_moving_averages() -> None:
    a = series(*((h, ((h * 37) % 11 - 5) * 1e-5, 1) for h in range(1, 721)))
    b = series(*((h, ((h * 17) % 7 - 3) * 1e-4, 8) for h in range(8, 721, 8)))
    frame = found({1: a, 2: b}, 720)
    means = moving_averages(
        settlements_frame({1: a, 2: b}), lives_frame({}), points_frame([(1, at(720)), (2, at(720))])
    )
    for (window,), part in means.group_by("window"):
        first, second = part.sort("market_id")["rate_hourly_mean"]
        row = one(frame, str(window))
        assert row["rate_hourly"] == pytest.approx(abs(second - first), rel=1e-12, abs=0)
        assert row["reason"] is None


def test_the_half_life_by_hand() -> None:
    """Signs that change every 12 hours: of 719 neighbours 59 differ, r = 601 / 719. Against one
    that settles every 8 hours and changes its sign every third time, 29 of 89 neighbouring blocks
    differ. What changes its sign every hour keeps nothing.
    """
    hours = range(1, 721)
    flat = series(*((h, 0.0, 1) for h in hours))
    slow = series(*((h, 1e-5 * (-1) ** ((h - 1) // 12), 1) for h in hours))
    eight = series(*((h, 8e-5 * (-1) ** ((h - 8) // 24), 8) for h in range(8, 721, 8)))
    swing = series(*((h, 1e-5 * (-1) ** h, 1) for h in hours))
    frame = found({1: flat, 2: slow, 3: eight, 4: swing, 5: flat}, 720)
    lives = {
        tuple(sorted((row["long_id"], row["short_id"]))): row["half_life_hours"]
        for row in frame.filter(pl.col("window") == "30d").iter_rows(named=True)
    }
    assert lives[1, 2] == pytest.approx(math.log(2) / -math.log(601 / 719), rel=1e-6)
    assert lives[1, 3] == pytest.approx(8 * math.log(2) / -math.log(31 / 89), rel=1e-6)
    assert lives[1, 4] == 0.0
    assert lives[1, 5] is None


@settings(max_examples=30, deadline=None)
@given(
    first=rows(max_size=60, first_hour=40),
    second=rows(max_size=60, first_hour=40),
    third=rows(max_size=200, first_hour=40),
    now=st.integers(30, 900),
)
def test_equals_the_definition(
    first: list[Row], second: list[Row], third: list[Row], now: int
) -> None:
    markets = {1: first, 4: second, 6: third}
    check(markets, found(markets, now), at(now))


def check(markets: dict[int, list[Row]], frame: pl.DataFrame, now: datetime) -> int:
    """Compare every row with the slow computation; returns how many had figures."""
    compared = 0
    start = now - timedelta(hours=767)
    figures: dict[tuple[int, int], dict[str, Spread]] = {}
    for row in frame.iter_rows(named=True):
        a, b = sorted((row["long_id"], row["short_id"]))
        known = [[r for r in markets[m] if r.time <= now] for m in (a, b)]
        assert all(r[-1].time >= start for r in known)
        if (a, b) not in figures:
            figures[a, b] = slow_spreads(*known, now)
        exact = figures[a, b].get(row["window"])
        if exact is None:
            assert (row["as_of"], row["rate_hourly"], row["hours"]) == (None, None, 0)
            assert row["reason"] == "stale"
            continue
        compared += 1
        rising = row["long_id"] == a
        assert row["as_of"] == exact.as_of
        assert row["hours"] == exact.hours
        if abs(exact.mean) > 1e-20:
            assert rising == (exact.mean > 0)
        assert row["same_direction_hours"] == (exact.higher if rising else exact.lower)
        assert row["alive_hours"] == (exact.higher_run if rising else exact.lower_run)
        covered = exact.hours >= 0.8 * WINDOWS[row["window"]]
        stale = any(is_stale(r, now) for r in known)
        assert row["reason"] == ("stale" if stale else None if covered else "coverage")
        if covered:
            assert close(row["rate_hourly"], abs(exact.mean))
        else:
            assert row["rate_hourly"] is None
        if exact.half_life is None or row["half_life_hours"] is None:
            assert row["half_life_hours"] == exact.half_life
        else:
            assert row["half_life_hours"] == pytest.approx(exact.half_life, rel=1e-5, abs=1e-3)
    return compared


def test_input_order_does_not_matter() -> None:
    frame = settlements_frame({1: HOURLY, 2: EIGHT})
    markets = markets_frame([1, 2])
    turned = spreads(frame.reverse(), markets.reverse(), now=at(26), floors=FLOORS)
    assert turned.equals(spreads(frame, markets, now=at(26), floors=FLOORS))


def test_nothing_gives_an_empty_frame_of_the_schema() -> None:
    assert found({}, 24).is_empty()
    assert markets_frame([]).schema["priced_at"] == TIME
