"""OKX: recorded responses with values checked by hand, a recorded month, refusals, ccxt."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.okx import Okx, parse_estimates, parse_history, parse_markets
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, utc_ms
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.replayed import replay
from funding_pipeline_tests.exchanges.spoken import drive, recorded

REQUEST = Request(
    endpoint="funding-rate-history", path="/api/v5/public/funding-rate-history", params={}
)
RUNNING = "okx/funding_rate_any_2026-09-11"


def answer(*rows: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"code": "0", "msg": "", "data": rows})


def swap(name: str, settle: str, state: str = "live", **more: str) -> dict[str, Any]:
    return {"instId": name, "instType": "SWAP", "settleCcy": settle, "state": state, **more}


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "okx/funding_rate_history_btc_2026-09-04"))
    assert len(rows) == 20
    assert [(r.market, r.time_ms, r.rate_text) for r in rows[:2]] == [
        ("BTC-USDT-SWAP", 1_788_480_000_000, "0.0000418741079605"),
        ("BTC-USDT-SWAP", 1_788_451_200_000, "0.0000383236146165"),
    ]
    assert {a.time_ms - b.time_ms for a, b in itertools.pairwise(rows)} == {28_800_000}
    assert apr(float(rows[-1].rate_text), 8) == pytest.approx(0.1095), "0.01 % per 8 h"


def test_the_rate_is_the_one_that_was_charged(responses_dir: Path) -> None:
    """At one time another one was announced: 0.0000746604960499 and 0.000227985782722."""
    rows = parse_history(recorded(responses_dir, "okx/doc_api_v5_public_funding_rate_history"))
    assert [r.rate_text for r in rows] == ["0.0000746572360545", "0.0002279755647389"]


def test_recorded_running_rates(responses_dir: Path) -> None:
    interest = answer(
        {"instId": "BTC-USDT-SWAP", "oi": "2760021.94", "oiCcy": "27600.2194", "oiUsd": "2146e6"},
        {"instId": "BTC-USD-SWAP", "oi": "4999186", "oiCcy": "6427.5478", "oiUsd": "499918600"},
    )
    tickers = answer({"instId": "BTC-USD-SWAP", "last": "77748.5", "volCcy24h": "7598.9792"})
    marks = answer({"instId": "BTC-USD-SWAP", "markPx": "77741.7"})
    estimates = parse_estimates(recorded(responses_dir, RUNNING), interest, tickers, marks)
    found = {e.market: e for e in estimates}
    assert list(found) == ["BTC-USDT-SWAP", "ETH-USDT-SWAP", "CHIP-USDT-SWAP", "BTC-USD-SWAP"]
    btc, chip, inverse = found["BTC-USDT-SWAP"], found["CHIP-USDT-SWAP"], found["BTC-USD-SWAP"]
    assert (btc.rate, btc.raw_rate) == (0.0000593556502673, "0.0000593556502673")
    assert (btc.interval_hours, btc.next_funding_ms) == (8, 1_789_171_200_000)
    assert apr(btc.rate, btc.interval_hours) == pytest.approx(0.06499, rel=1e-3)
    assert (chip.interval_hours, chip.next_funding_ms) == (4, 1_789_156_800_000)
    assert apr(chip.rate, chip.interval_hours) == pytest.approx(0.1095), "0.005 % per 4 h"
    assert (btc.open_interest_usd, inverse.open_interest_usd) == (2.146e9, 499_918_600)
    assert (inverse.mark_price, btc.mark_price, btc.volume_24h_usd) == (77741.7, None, None)
    # 5,906,636.2 contracts of 100 USD are the same but for the changing price
    assert inverse.volume_24h_usd == pytest.approx(590_663_620, rel=1e-3)


def test_markets_of_every_kind(responses_dir: Path) -> None:
    instruments = answer(
        swap("BTC-USD-SWAP", "BTC", instCategory="1", listTime="1535424203000"),
        swap("BTC-USDT-SWAP", "USDT", instCategory="1", listTime="1573557408000"),
        swap("BTC-USDC-SWAP", "USDC", "suspend"),
        swap("BTC-USD_UM-SWAP", "USD"),
        swap("CHIP-USDT-SWAP", "USDT"),
        swap("XAU-USDT-SWAP", "USDT", instCategory="4"),
        swap("NEXT-USDT-SWAP", "", "preopen"),
        swap("TRIAL-USDT-SWAP", "USDT", "test"),
        swap("XAU-USD_UM_XPERP-310502", "USD"),
    )
    markets = parse_markets(instruments, recorded(responses_dir, RUNNING))
    assert [(m.market, m.symbol, m.quote, m.settle, m.interval_hours) for m in markets] == [
        ("BTC-USD-SWAP", "BTC", "USD", "BTC", 8),
        ("BTC-USDT-SWAP", "BTC", "USDT", "USDT", 8),
        ("BTC-USDC-SWAP", "BTC", "USDC", "USDC", None),
        ("BTC-USD_UM-SWAP", "BTC", "USD", "USD", None),
        ("CHIP-USDT-SWAP", "CHIP", "USDT", "USDT", 4),
        ("XAU-USDT-SWAP", "XAU", "USDT", "USDT", None),
    ]
    assert [m.live for m in markets] == [True, True, False, True, True, True]
    assert (markets[1].rate_cap, markets[1].rate_floor) == (0.00375, -0.00375)
    assert (markets[1].listed_at_ms, markets[2].listed_at_ms) == (1_573_557_408_000, None)
    assert [markets[i].asset_class for i in (0, 2, 5)] == ["crypto", None, "commodity"]


def test_an_open_swap_without_currency_is_refused() -> None:
    with pytest.raises(MalformedResponseError) as caught:
        parse_markets(answer(swap("A-USDT-SWAP", "USDT"), swap("B-USDT-SWAP", "")), answer())
    assert caught.value.field == "$.data[1].settleCcy"


def test_the_newest_settlements_come_with_the_list(responses_dir: Path) -> None:
    """The history of the same minute had BTC-USDT-SWAP at 0.0000599316422609 too, and another
    running rate."""
    instruments = answer(swap("BTC-USDT-SWAP", "USDT"), swap("CHIP-USDT-SWAP", "USDT"))
    markets = parse_markets(instruments, recorded(responses_dir, RUNNING))
    newest, requests = drive(Okx().newest(markets), lambda _: b"")
    assert requests == []
    assert [(r.market, r.time_ms, r.rate_text, r.interval_hours) for r in newest] == [
        ("BTC-USDT-SWAP", 1_789_142_400_000, "0.0000599316422609", None),  # 2026-09-11 16:00
        ("CHIP-USDT-SWAP", 1_789_142_400_000, "0.0000500000000000", None),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"settState": "processing"},
        {"settState": ""},
        {"method": "next_period"},
        {"prevFundingTime": ""},
        {"prevFundingTime": "soon"},
        {"settFundingRate": ""},
    ],
)
def test_what_settles_now_or_may_not_be_what_was_charged_is_not_told(
    responses_dir: Path, change: dict[str, str]
) -> None:
    running = msgspec.json.decode(recorded(responses_dir, RUNNING))
    running["data"][0] |= change
    instruments = answer(swap("BTC-USDT-SWAP", "USDT"), swap("CHIP-USDT-SWAP", "USDT"))
    btc, chip = parse_markets(instruments, msgspec.json.encode(running))
    assert (bool(btc.newest), bool(chip.newest)) == (False, True)


@pytest.mark.parametrize("following", ["5400000", "0", "-3600000"])
def test_an_interval_of_no_whole_hours_is_refused(following: str) -> None:
    row = {"instId": "A-USDT-SWAP", "fundingRate": "0", "fundingTime": "0"}
    with pytest.raises(MalformedResponseError) as caught:
        parse_markets(answer(), answer({**row, "nextFundingTime": following}))
    assert caught.value.field == "$.data[0].nextFundingTime"


def test_both_ends_of_a_page_are_excluded_by_the_exchange() -> None:
    market = Market(market="BTC-USD-SWAP", symbol="BTC", quote="USD", settle="BTC")
    request = next(Okx().history(market, Window(1_000_000, 2_000_000)))
    assert request.params == {
        "instId": "BTC-USD-SWAP",
        "before": 999_999,
        "after": 2_000_000,
        "limit": 100,
    }


def test_a_recorded_month_comes_back_exactly(recorded_dir: Path) -> None:
    """May 2026: 12 of 13 markets, LIT every 4 hours, which takes two pages."""
    may = Window(utc_ms(2026, 5, 1), utc_ms(2026, 6, 1))
    found = replay("okx", recorded_dir, may, may.end_ms + 5 * DAY_MS)
    for market, replayed in found.items():
        assert replayed.told == replayed.recorded, market
    counts = {market: len(replayed.told) for market, replayed in found.items()}
    assert (counts["BTC-USD-SWAP"], counts["LIT-USDT-SWAP"]) == (93, 186)
    assert sum(count > 0 for count in counts.values()) == 12
    assert {r.requests for m, r in found.items() if counts[m] == 93} == {1}
    assert found["LIT-USDT-SWAP"].requests == 2


def test_refusals() -> None:
    def told(status: int, code: str) -> object:
        body = msgspec.json.encode({"code": code, "msg": "no", "data": []})
        return Okx().refusal(REQUEST, status, body)

    assert isinstance(told(429, "50011"), RateLimitedError)
    assert isinstance(told(200, "50011"), RateLimitedError)
    assert isinstance(told(200, "51001"), PermanentError)
    assert "51001: no" in str(told(200, "51001"))


def test_ccxt_agrees() -> None:
    assert_agreement(
        "okx",
        "okx",
        ["BTC/USDT:USDT", "ARB/USDT:USDT", "BTC/USD:BTC"],
        fetchMarkets={"types": ["swap"]},
    )


@pytest.mark.parametrize(
    ("previous", "following", "hours"),
    [
        (-8, 4, 8),  # the last settlement of 8 h, every 4 h from then on
        (-4, 8, 4),
        (-752, 8, 8),  # a halt
        (None, 8, 8),  # the first settlement of all
    ],
)
def test_the_interval_is_what_the_upcoming_settlement_pays(
    previous: int | None, following: int, hours: int
) -> None:
    upcoming = 1_789_171_200_000
    row = {
        "instId": "BTC-USDT-SWAP",
        "fundingRate": "0.0001",
        "fundingTime": str(upcoming),
        "nextFundingTime": str(upcoming + following * HOUR_MS),
        "prevFundingTime": "" if previous is None else str(upcoming + previous * HOUR_MS),
    }
    (found,) = parse_estimates(answer(row), answer(), answer(), answer())
    assert found.interval_hours == hours
