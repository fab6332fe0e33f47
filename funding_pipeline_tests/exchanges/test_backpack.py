"""Backpack: recorded responses with values checked by hand, the running hour, ccxt, refusals."""

from itertools import pairwise
from pathlib import Path

import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.backpack import (
    SPEC,
    Backpack,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline.exchanges.base import Request
from funding_pipeline.sandbox.wire import Reply
from funding_pipeline_tests.exchanges.against_ccxt import NOW_MS, histories
from funding_pipeline_tests.exchanges.spoken import Listed, Spoken, drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="fundingRates", path="/api/v1/fundingRates")


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "backpack/funding_rates_btc_2026-09-13"))
    assert len(rows) == 6
    # The stamp has no offset and means UTC.
    assert (rows[1].time_ms, rows[1].rate_text) == (1_789_336_800_000, "0.000008311")
    assert {a.time_ms - b.time_ms for a, b in pairwise(rows)} == {HOUR}
    # A fraction per hour: 7.3 % a year, as other exchanges had it that hour.
    assert apr(fraction(rows[1].rate_text, SPEC.rate_unit), 1) == pytest.approx(0.07280436)


def test_the_running_hour_never_becomes_a_settlement() -> None:
    """Asked at 22:40 as the recording was: the row of 23:00 is there, above the settled ones."""
    listed = Listed("backpack", NOW_MS + 10 * 60_000, 1)
    market = drive(Backpack().markets(), listed)[0][0]
    window = Window(listed.now_ms - 5 * HOUR, listed.now_ms)
    rows, requests = drive(Backpack().history(market, window), listed)
    newest = parse_history(listed(requests[0]))[0]
    assert newest.time_ms == NOW_MS + 30 * 60_000, "the stamp lies in the future"
    assert [row.time_ms for row in rows] == [newest.time_ms - n * HOUR for n in range(1, 6)]


def test_rows_sent_twice_push_none_out_of_the_next_page() -> None:
    """Offsets count rows of the list, not rows as they came."""
    start = 1_789_430_400_000
    spoken = Spoken("backpack", [start + n * HOUR for n in range(90)], page_cap=20)

    def twice(reply: Reply) -> None:
        assert reply.rows is not None
        reply.rows += list(reply.rows)

    spoken.spoil = twice
    window = Window(start, start + 90 * HOUR)
    rows, _ = drive(spoken.exchange.history(spoken.market(), window), spoken)
    assert sorted({row.time_ms for row in rows}) == [start + n * HOUR for n in range(90)]


def test_recorded_markets(responses_dir: Path) -> None:
    markets = parse_markets(recorded(responses_dir, "backpack/markets_2026-09-13"))
    assert {m.market: m.live for m in markets} == {
        "BTC_USDC_PERP": True,
        "ETH_USDC_PERP": True,
        "IP_USDC_PERP": False,  # closed
        "kPEPE_USDC_PERP": True,
        "MU.US_USDC_PERP": True,
        "AMZN.US_USDC_PERP": False,  # post only, not visible
    }
    btc, _, ip, pepe, mu, _ = markets
    assert (btc.symbol, btc.quote, btc.settle, btc.asset_class) == ("BTC", "USDC", "USDC", "crypto")
    assert (btc.interval_hours, btc.rate_cap, btc.rate_floor) == (1, 0.01, -0.01)
    assert btc.listed_at_ms is None, "all that is older shares one stamp"
    assert (ip.listed_at_ms, ip.rate_cap) == (1_739_436_130_924, pytest.approx(0.015))
    assert (pepe.symbol, pepe.multiplier) == ("PEPE", 1000)
    assert (mu.symbol, mu.multiplier, mu.asset_class) == ("MU", 1, "equity")


def test_recorded_mark_prices(responses_dir: Path) -> None:
    listed = (
        b'[{"symbol":"AAVE_USDC_PERP","marketType":"PERP","baseSymbol":"AAVE","quoteSymbol":"USDC",'
        b'"orderBookState":"Open","visible":true,"fundingInterval":3600000}]'
    )
    prices = recorded(responses_dir, "backpack/mark_prices_2025-10-03")
    held = b'[{"symbol":"AAVE_USDC_PERP","openInterest":"1000"}]'
    volumes = b'[{"symbol":"AAVE_USDC_PERP","quoteVolume":"5.5"}]'
    (aave,) = parse_estimates(listed, prices, held, volumes)
    assert (aave.market, aave.rate, aave.raw_rate) == ("AAVE_USDC_PERP", 0.0000125, "0.0000125")
    assert (aave.interval_hours, aave.next_funding_ms) == (1, 1_759_489_200_000)
    assert (aave.mark_price, aave.index_price) == (285.78212281, 285.79854845)
    assert (aave.open_interest_usd, aave.volume_24h_usd) == (pytest.approx(285_782.12281), 5.5)


@pytest.mark.parametrize("interval", [b"null", b"0", b"5400000"])
def test_an_interval_of_no_whole_hours_is_refused(interval: bytes) -> None:
    row = (
        b'[{"symbol":"A_USDC_PERP","marketType":"PERP","baseSymbol":"A","quoteSymbol":"USDC",'
        b'"orderBookState":"Open","visible":true,"fundingInterval":%b}]' % interval
    )
    with pytest.raises(MalformedResponseError, match=r"\$\[0\]\.fundingInterval"):
        parse_markets(row)


def test_refusals() -> None:
    told = Backpack().refusal(
        REQUEST, 400, b'{"code":"INVALID_CLIENT_REQUEST","message":"Invalid market symbol"}'
    )
    assert isinstance(told, PermanentError)
    assert "INVALID_CLIENT_REQUEST: Invalid market symbol" in str(told)
    limited = b'{"code":"TOO_MANY_REQUESTS","message":"Too many requests."}'
    assert isinstance(Backpack().refusal(REQUEST, 429, limited), RateLimitedError)


def test_ccxt_agrees_but_for_the_running_hour() -> None:
    """ccxt takes the row of 13:00 for history at 12:30, when it is half of an average."""
    for native, theirs, ours in histories(
        "backpack", "backpack", ["BTC/USDC:USDC", "KPEPE/USDC:USDC"]
    ):
        assert len(ours) == 72, native
        running = set(theirs) - set(ours)
        assert running == {NOW_MS + HOUR // 2}, native
        assert {at: theirs[at] for at in ours} == ours, native
