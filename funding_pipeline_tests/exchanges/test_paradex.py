"""Paradex: hourly rates from two samples by hand, boundaries, recorded responses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.errors import MalformedResponseError
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.paradex import (
    Boundary,
    Paradex,
    hourly_rate,
    parse_boundary,
    parse_estimates,
    parse_markets,
)
from funding_pipeline_tests.exchanges.payloads import ParadexSpeaker, Row, listed
from funding_pipeline_tests.exchanges.spoken import drive

HOUR = 3_600_000
START = 1_788_490_800_000  # 2026-09-04 03:00
SPEAKER = ParadexSpeaker()
MARKET = listed(SPEAKER.market)


def response(folder: Path, name: str) -> Any:
    return json.loads((folder / "paradex" / f"{name}.json").read_text())["response"]


def boundary(
    time_ms: int, index: float, price: float | None = 80_000.0, late_ms: int = 0
) -> Boundary:
    return Boundary(time_ms - late_ms, index, str(index), price)


def sample(time_ms: int, index: str = "1.0", **fields: str) -> Row:
    return SPEAKER.row(SPEAKER.market, time_ms, index) | fields


def hours(
    answer: Callable[[int], list[Row]], first: int, count: int
) -> tuple[list[RawSettlement], list[Request]]:
    """The history of `count` hours from number `first`; `answer` gives the samples of a boundary"""
    window = Window(START + first * HOUR - 5_000, START + (first + count - 1) * HOUR + 1)
    return drive(
        Paradex().history(MARKET, window),
        lambda request: SPEAKER.history(answer(SPEAKER.asked(request)[1])),
        at_most=count + 1,
    )


# --- the arithmetic


def test_what_an_hour_paid_is_the_advance_of_the_index_over_the_mean_price() -> None:
    """0.8 USDC per Bitcoin, prices 80,000 and 81,000: 0.8 / 80,500."""
    before = boundary(START, 23_783.0, 80_000.0)
    after = boundary(START + HOUR, 23_783.8, 81_000.0)
    assert hourly_rate(before, after) == pytest.approx(0.8 / 80_500, rel=1e-9)


def test_shorts_pay_where_the_index_falls() -> None:
    rate = hourly_rate(boundary(START, 1.0), boundary(START + HOUR, 0.2))
    assert rate == pytest.approx(-0.8 / 80_000)


def test_samples_some_seconds_before_the_boundary_are_scaled_to_the_hour() -> None:
    """4.5 s early, then 1.5 s early: 3,603 s of accrual, of which an hour is 3600/3603."""
    before = boundary(START, 1.0, late_ms=4_500)
    after = boundary(START + HOUR, 1.8, late_ms=1_500)
    assert hourly_rate(before, after) == pytest.approx(0.8 / 80_000 * 3600 / 3603, rel=1e-12)


def test_one_known_price_serves_for_both() -> None:
    for prices in ((None, 81_000.0), (81_000.0, None), (-5.0, 81_000.0), (0.0, 81_000.0)):
        before, after = boundary(START, 1.0, prices[0]), boundary(START + HOUR, 1.8, prices[1])
        assert hourly_rate(before, after) == pytest.approx(0.8 / 81_000)


def test_without_a_price_there_is_no_rate_unless_nothing_was_paid() -> None:
    before = boundary(START, 1.0, None)
    assert hourly_rate(before, boundary(START + HOUR, 1.8, None)) is None
    assert hourly_rate(before, boundary(START + HOUR, 1.0, None)) == 0.0


def test_a_constant_rate_per_8_hours_pays_an_eighth_an_hour() -> None:
    """BTC at 0.0001 per 8 h and 80,000: the index advances by 1 USDC an hour, 10.95 % a year."""
    rate = hourly_rate(boundary(START, 5.0), boundary(START + HOUR, 6.0))
    assert rate == pytest.approx(0.0000125)


@given(
    index=st.floats(-1e5, 1e5),
    hourly=st.floats(-2e-3, 2e-3),
    price=st.floats(1e-2, 1e5),
    early=st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)),
)
def test_the_rate_that_accrued_comes_back(
    index: float, hourly: float, price: float, early: tuple[int, int]
) -> None:
    elapsed = (HOUR + early[0] - early[1]) / HOUR
    before = boundary(START, index, price, early[0])
    after = boundary(START + HOUR, index + hourly * price * elapsed, price, early[1])
    found = hourly_rate(before, after)
    assert found is not None
    assert found == pytest.approx(hourly, rel=1e-9, abs=4e-11 * (1 + 1 / price))


# --- boundaries


def test_the_recorded_sample(responses_dir: Path) -> None:
    body = msgspec.json.encode(response(responses_dir, "funding_data_btc_2026-09-04"))
    found = parse_boundary(body, START)
    assert found is not None
    assert (found.time_ms, found.index) == (1_788_490_797_060, 23_783.79823503820979)
    assert found.index_text == "23783.79823503820979"
    assert found.price == pytest.approx(80_844.06, abs=0.005)


def test_the_legacy_sample_without_a_period(responses_dir: Path) -> None:
    body = msgspec.json.encode(response(responses_dir, "funding_data_btc_legacy_2025-11-26"))
    found = parse_boundary(body, 1_764_160_330_000)
    assert found is not None
    assert found.price == pytest.approx(86_469.5, abs=0.05), "both negative: the price is not"


@pytest.mark.parametrize(
    ("age_ms", "known"), [(0, True), (2_940, True), (60_000, True), (60_001, False), (-1, False)]
)
def test_a_sample_counts_for_a_minute_and_never_after_the_boundary(
    age_ms: int, known: bool
) -> None:
    body = SPEAKER.history([sample(START - age_ms)])
    assert (parse_boundary(body, START) is not None) is known


def test_the_newest_sample_counts_whatever_the_order() -> None:
    rows = [sample(START - 9_000, "1"), sample(START - 4_000, "3"), sample(START - 14_000, "2")]
    found = parse_boundary(SPEAKER.history(rows), START)
    assert found is not None
    assert found.index == 3.0


def test_no_sample_is_no_boundary() -> None:
    assert parse_boundary(SPEAKER.history([]), START) is None


@pytest.mark.parametrize("rate", ["0", "0.00000000000000", "0.00000000000001", "-0.00000000099999"])
def test_a_rate_too_near_to_nought_tells_no_price(rate: str) -> None:
    """Rates have 14 decimals: one of 1e-14 would be wrong by half, and with it the price."""
    body = SPEAKER.history([sample(START, funding_rate=rate, funding_premium="0.00000000081")])
    found = parse_boundary(body, START)
    assert found is not None
    assert found.price is None


@pytest.mark.parametrize("field", ["funding_index", "funding_rate", "funding_premium"])
@pytest.mark.parametrize("text", ["", "NaN", "inf", "x"])
def test_a_spoilt_number_is_an_error_and_no_rate(field: str, text: str) -> None:
    with pytest.raises(MalformedResponseError, match=field):
        parse_boundary(SPEAKER.history([sample(START, **{field: text})]), START)


# --- the history


def accrued(boundary_ms: int) -> list[Row]:
    """3 s before each boundary; the index grows by the number of the hour, the price is 100."""
    number = (boundary_ms - START) // HOUR
    return [sample(boundary_ms - 3_000, f"{50 + number * (number + 1) / 2:.6f}")]


@pytest.mark.parametrize("count", [1, 2, 24, 200])
def test_every_hour_costs_one_request_and_the_first_one_more(count: int) -> None:
    rows, requests = hours(accrued, 1, count)
    assert [SPEAKER.asked(r)[1] for r in requests] == [START + h * HOUR for h in range(count + 1)]
    assert {r.params["market"] for r in requests} == {SPEAKER.market}
    assert [row.time_ms for row in rows] == [START + h * HOUR for h in range(1, count + 1)]
    assert [float(row.rate_text) for row in rows] == pytest.approx(
        [h / 100 for h in range(1, count + 1)], rel=1e-9
    )


def test_rows_carry_price_and_index_and_no_interval_of_their_own() -> None:
    (row,), _ = hours(accrued, 1, 1)
    assert (row.market, row.mark_price, row.cumulative_value) == (SPEAKER.market, 100.0, 51.0)
    assert row.interval_hours is None


@pytest.mark.parametrize(
    "window",
    [
        Window(START, START),
        Window(START + 1, START + HOUR),
        Window(START + 1, START + HOUR - 1),
    ],
)
def test_a_window_without_a_whole_hour_costs_nothing(window: Window) -> None:
    found, requests = drive(Paradex().history(MARKET, window), lambda _: SPEAKER.history([]))
    assert (found, requests) == ([], [])


def test_an_outage_loses_the_two_hours_that_touch_it_and_no_other() -> None:
    def silent_at_three(boundary_ms: int) -> list[Row]:
        if boundary_ms == START + 3 * HOUR:
            return [sample(boundary_ms - 61_000, "56")]
        return accrued(boundary_ms)

    rows, _ = hours(silent_at_three, 1, 6)
    assert [(row.time_ms - START) // HOUR for row in rows] == [1, 2, 5, 6]
    assert [float(row.rate_text) for row in rows] == pytest.approx([0.01, 0.02, 0.05, 0.06])


def test_an_index_that_stands_still_paid_nothing() -> None:
    rows, _ = hours(lambda ms: [sample(ms - 1_000, "7.5", funding_rate="0")], 1, 2)
    assert [row.rate_text for row in rows] == ["0.0", "0.0"]
    assert [row.mark_price for row in rows] == [None, None]


# --- markets and estimates


def test_recorded_markets(responses_dir: Path) -> None:
    (btc,) = parse_markets(msgspec.json.encode(response(responses_dir, "markets_btc_2026-09")))
    assert (btc.market, btc.symbol, btc.quote, btc.settle) == (
        *("BTC-USD-PERP", "BTC", "USD"),
        "USDC",
    )
    assert (btc.listed_at_ms, btc.interval_hours) == (1_696_431_006_398, 1)
    assert (btc.rate_cap, btc.rate_floor) == (0.0025, -0.0025), "2 % per 8 h, an hour is ours"


def test_recorded_summaries(responses_dir: Path) -> None:
    """By hand: 0.00007688102642 / 8; of ETH the market list told nothing, options have no rate."""
    (btc,) = parse_estimates(
        msgspec.json.encode(response(responses_dir, "markets_summary_all_2026-09-11")),
        msgspec.json.encode(response(responses_dir, "markets_btc_2026-09")),
    )
    assert (btc.market, btc.raw_rate, btc.interval_hours) == (
        *("BTC-USD-PERP", "0.00007688102642"),
        1,
    )
    assert btc.rate == pytest.approx(9.6101283025e-06, rel=1e-12)
    assert btc.rate * 8760 == pytest.approx(0.0842, abs=0.00005), "8.4 % as exchanges.md has it"
    assert (btc.mark_price, btc.index_price) == (77_804.85141726, 77_788.24195927)
    assert btc.open_interest_usd == pytest.approx(50.4599 * 77_804.85141726)
    assert btc.volume_24h_usd == 4_273_947.632803999


@pytest.mark.parametrize(("period", "hourly"), [(8, 0.0000125), (4, 0.000025), (0, 0.0000125)])
def test_estimates_are_brought_to_the_hour_by_the_declared_period(
    period: int, hourly: float
) -> None:
    def answer(request: Request) -> bytes:
        body = SPEAKER.estimates(request)
        if request.path != "/v1/markets":
            return body
        found = json.loads(body)
        for row in found["results"]:
            row["funding_period_hours"] = period
        return msgspec.json.encode(found)

    (estimate,), _ = drive(Paradex().estimates(), answer)
    assert estimate.rate == hourly
