"""Bitfinex: settlements out of samples, symbols, the example of its status, ccxt, refusals."""

from pathlib import Path

import pytest

from funding_pipeline.domain.errors import PermanentError, RateLimitedError, TransientError
from funding_pipeline.domain.rates import apr
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.bitfinex import (
    Bitfinex,
    parse_estimates,
    parse_markets,
    parse_samples,
)
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, utc_ms
from funding_pipeline_tests.exchanges.against_ccxt import histories
from funding_pipeline_tests.exchanges.spoken import Listed, Spoken, drive, recorded

REQUEST = Request(endpoint="status/deriv", path="/v2/status/deriv")
START = utc_ms(2026, 9, 15)
PERIOD = 8 * HOUR_MS
STATUS = "bitfinex/doc_status_deriv"
PAGE_ROWS = 5000


def sample(time_ms: int, boundary_ms: int, rate: str, accrued: str = "0.5") -> bytes:
    """A row of history; the premium accrued so far is no rate and must not be taken for one."""
    row = f"[{time_ms},null,2,2,null,3,null,{boundary_ms},{accrued},9,null,{rate},null,null,2]"
    return row.encode()


def page(*samples: bytes) -> bytes:
    return b"[" + b",".join(samples) + b"]"


def history(window: Window, *pages: bytes) -> list[tuple[int, str]]:
    market = Market(market="tBTCF0:USTF0", symbol="BTC", quote="USDT", settle="USDT")
    answers = iter([*pages, b"[]"])
    rows, _ = drive(Bitfinex().history(market, window), lambda _: next(answers))
    return [(row.time_ms, row.rate_text) for row in rows]


def test_the_example_of_the_status(responses_dir: Path) -> None:
    body = recorded(responses_dir, STATUS)
    (market,) = parse_markets(body)
    assert (market.market, market.symbol, market.quote) == ("tBTCF0:USTF0", "BTC", "USDT")
    assert (market.settle, market.interval_hours, market.rate_cap) == ("USDT", 8, 0.0025)
    (estimate,) = parse_estimates(body)
    assert (estimate.rate, estimate.raw_rate) == (0.00014548, "0.00014548"), "not the accrued"
    assert apr(estimate.rate, estimate.interval_hours) == pytest.approx(0.1593006)
    assert estimate.next_funding_ms == 1_691_193_600_000
    # 9,636.07644994 BTC at 29,278.8925
    assert estimate.open_interest_usd == pytest.approx(282_133_646.5, abs=0.1)


def test_a_boundary_pays_what_its_last_sample_showed() -> None:
    """2026-09-22 16:00 paid 0.00010768, fixed at 08:00; the next was 0.00016006."""
    paid = utc_ms(2026, 9, 22) + 2 * PERIOD
    found = history(
        Window(paid, paid + HOUR_MS),
        page(
            sample(paid + 24_000, paid + PERIOD, "0.00016006", "0.00066"),
            sample(paid - 36_000, paid, "0.00010768", "0.00066"),
            sample(paid - 96_000, paid, "0.00010767", "0.00066"),
            sample(paid - PERIOD - 36_000, paid - PERIOD, "0.00009354", "0.00060759"),
        ),
    )
    assert found == [(paid, "0.00010768")]


def test_a_sample_that_rolls_over_late_counts_where_it_says() -> None:
    window = Window(START, START + 2 * PERIOD)
    late = sample(START + 3_000, START, "0.0001")
    regular = sample(START + PERIOD - 36_000, START + PERIOD, "0.0002")
    assert history(window, page(regular, late)) == [
        (START, "0.0001"),
        (START + PERIOD, "0.0002"),
    ]


def test_a_boundary_without_samples_is_a_hole() -> None:
    found = history(
        Window(START, START + 2 * PERIOD + 1),
        page(sample(START + 2 * PERIOD - 36_000, START + 2 * PERIOD, "0.0003")),
        page(sample(START - 36_000, START, "0.0001")),
    )
    assert found == [(START, "0.0001"), (START + 2 * PERIOD, "0.0003")]


def test_thirty_days_cost_nine_pages_and_an_idle_window_none() -> None:
    times = [START + i * PERIOD for i in range(90)]
    spoken = Spoken("bitfinex", times)
    window = Window(START, START + 30 * DAY_MS)
    rows, requests = drive(Bitfinex().history(spoken.market(), window), spoken)
    assert len(requests) == 9
    assert {request.params["end"] < times[-1] for request in requests} == {True}, "none too late"
    assert Bitfinex.spec.interval.at(START) == 8
    assert spoken.valid(rows) == spoken.settled(window.start_ms, window.end_ms)
    assert len(rows) == 90
    idle = Window(START + HOUR_MS, START + PERIOD)
    assert drive(Bitfinex().history(spoken.market(), idle), spoken) == ([], [])


@pytest.mark.parametrize("cap", [1, 50, 479])
def test_a_page_limit_lower_than_documented_loses_nothing(cap: int) -> None:
    spoken = Spoken("bitfinex", [START, START + PERIOD], page_cap=cap)
    window = Window(START, START + PERIOD + 1)
    rows, _ = drive(Bitfinex().history(spoken.market(), window), spoken, at_most=1000)
    assert spoken.valid(rows) == spoken.settled(window.start_ms, window.end_ms)


def test_another_period_than_eight_hours_is_refused() -> None:
    with pytest.raises(Exception, match=r"no boundary of 8 hours .*\[0\]\[7\]"):
        parse_samples(page(sample(START, START + HOUR_MS, "0.0001")), "tBTCF0:USTF0")


def test_symbols() -> None:
    full = Listed("bitfinex", START)
    markets = {m.market: m for m in drive(Bitfinex().markets(), full)[0]}
    assert not any("TEST" in name for name in markets)
    assert markets["tALGF0:USTF0"].symbol == "ALGO"
    assert markets["tATOF0:USTF0"].symbol == "ATOM"
    coin = markets["tETHF0:BTCF0"]
    assert (coin.symbol, coin.quote, coin.settle) == ("ETH", "BTC", "BTC")
    estimates = {e.market: e for e in drive(Bitfinex().estimates(), full)[0]}
    assert estimates["tETHF0:BTCF0"].open_interest_usd is None, "it would be in bitcoin"


def test_refusals() -> None:
    told = Bitfinex().refusal(REQUEST, 500, b'["error",10020,"limit: invalid"]')
    assert isinstance(told, PermanentError)
    assert "10020: limit: invalid" in str(told)
    often = Bitfinex().refusal(REQUEST, 500, b'["error",11010,"ratelimit: error"]')
    assert isinstance(often, RateLimitedError)
    blocked = Bitfinex().refusal(REQUEST, 429, b'{"error":"ERR_RATE_LIMIT"}')
    assert isinstance(blocked, RateLimitedError)
    closed = Bitfinex().refusal(REQUEST, 500, b'["error",20060,"maintenance"]')
    assert isinstance(closed, TransientError)


def test_ccxt_tells_samples_and_no_settlements() -> None:
    """The exception: ccxt gives every sample with the time it was taken. Those of the last hour
    before a boundary hold what the boundary pays.
    """
    found = histories(
        "bitfinex",
        "bitfinex",
        ["BTC/USDT:USDT", "DOGE/USDT:USDT", "LTC/BTC:BTC"],
        limit=PAGE_ROWS,
        params={"limit": PAGE_ROWS},
    )
    for native, theirs, ours in found:
        assert len(ours) == 9, native
        assert {boundary: theirs[boundary - HOUR_MS] for boundary in ours} == ours, native
    assert len({rate for _, _, ours in found for rate in ours.values()}) > 5, "not all at rest"
