"""Hibachi: recorded history with values checked by hand, inventory, ccxt, refusals."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.intervals import Slot, intervals
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.hibachi import (
    SPEC,
    Hibachi,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline.sandbox.market import DAY_MS, utc_ms
from funding_pipeline_tests.exchanges.against_ccxt import NOW_MS, assert_agreement
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="funding-rates", path="/market/data/funding-rates")


def test_recorded_history(responses_dir: Path) -> None:
    body = recorded(responses_dir, "hibachi/funding_rates_btc_2026-09-13")
    rows = parse_history(body, "BTC/USDT-P")
    assert {row.market for row in rows} == {"BTC/USDT-P"}
    assert (rows[3].time_ms, rows[3].rate_text) == (1_789_336_800_000, "0.000019")
    assert {b.time_ms - a.time_ms for a, b in pairwise(rows)} == {HOUR}
    # A fraction per hour: 16.6 % a year.
    assert apr(fraction(rows[3].rate_text, SPEC.rate_unit), 1) == pytest.approx(0.16644)


def listed(symbol: str = "BTC/USDT-P", **fields: Any) -> dict[str, Any]:
    """A market of the inventory, in the shape that the exchange sends."""
    contract = {
        "category": "CRYPTO",
        "marketCreationTimestamp": "1727701319.73488",
        "settlementSymbol": "USDT",
        "status": "LIVE",
        "symbol": symbol,
        "underlyingSymbol": symbol.partition("/")[0],
    }
    info = {
        "estimatedFundingRate": "-0.000008",
        "markPrice": "2478.824195",
        "openInterestQuantity": "83.620452093",
        "spotPrice": "2478.825588",
        "tags": [],
        "volume24h": "800169.297815",
    }
    for name, value in fields.items():
        (contract if name in contract else info)[name] = value
    return {"contract": contract, "info": info}


def inventory(*markets: Any) -> bytes:
    return json.dumps({"markets": markets}).encode()


def closed(symbol: str) -> dict[str, Any]:
    market = listed(symbol, status="CLOSED")
    return {**market, "info": dict.fromkeys(market["info"])}


def test_markets() -> None:
    btc, silver, euro, gone = parse_markets(
        inventory(
            listed(),
            listed("XAG/USDT-P", category="FX", tags=["commodity"]),
            listed("EUR/USDT-P", category="FX", tags=["major"]),
            closed("FARTCOIN/USDT-P"),
        )
    )
    assert (btc.market, btc.symbol, btc.quote, btc.settle) == ("BTC/USDT-P", "BTC", "USDT", "USDT")
    assert (btc.listed_at_ms, btc.interval_hours, btc.live) == (1_727_701_319_735, 1, True)
    classes = [m.asset_class for m in (btc, silver, euro)]
    assert classes == ["crypto", "commodity", "fx"]
    assert (gone.symbol, gone.live) == ("FARTCOIN", False)


def test_estimates() -> None:
    [estimate] = parse_estimates(inventory(listed("ETH/USDT-P"), closed("A/USDT-P")))
    assert (estimate.market, estimate.rate, estimate.interval_hours) == ("ETH/USDT-P", -8e-06, 1)
    # Base units: 83.62 ETH at 2,478.8 USDT. The volume is USDT already.
    assert estimate.open_interest_usd == pytest.approx(207_280.4, rel=1e-6)
    assert (estimate.volume_24h_usd, estimate.index_price) == (800_169.297815, 2478.825588)
    assert estimate.next_funding_ms is None, "it is not told"


@pytest.mark.parametrize("field", ["symbol", "status", "underlyingSymbol", "settlementSymbol"])
def test_a_market_without_a_needed_field_is_refused(field: str) -> None:
    market = listed("ETH/USDT-P")
    del market["contract"][field]
    with pytest.raises(MalformedResponseError, match=rf"{field}.*\$\.markets\[1\]\.contract"):
        parse_markets(inventory(listed(), market))


def test_a_live_market_without_a_rate_is_no_zero() -> None:
    with pytest.raises(MalformedResponseError, match=r"markets\[1\]\.info\.estimatedFundingRate"):
        parse_estimates(inventory(listed(), listed("ETH/USDT-P", estimatedFundingRate=None)))


def test_the_eight_hours_of_before_are_not_read_as_one() -> None:
    """Funding was paid every 8 hours until it was paid every hour; only spacing tells when."""
    listed = Listed("hibachi", NOW_MS, 1)
    market = drive(Hibachi().markets(), listed)[0][0]
    change = utc_ms(2026, 1, 1)
    window = Window(change - 2 * DAY_MS, change + DAY_MS)
    rows, _ = drive(Hibachi().history(market, window), listed)
    assert SPEC.interval == "declared"
    assert intervals([Slot(row.time_ms) for row in rows], ()) == [8] * 7 + [1] * 23


def test_ends_are_whole_seconds_inside_the_window() -> None:
    market = drive(Hibachi().markets(), Listed("hibachi", NOW_MS, 1))[0][0]
    request = next(Hibachi().history(market, Window(1_789_326_000_001, 1_789_336_800_000)))
    assert (request.params["startTime"], request.params["endTime"]) == (1789326001, 1789336799)


def test_refusals() -> None:
    body = b'{"errorCode":4,"message":"Invalid input: Invalid symbol","status":"failed"}'
    for status in (200, 400):
        told = Hibachi().refusal(REQUEST, status, body)
        assert isinstance(told, PermanentError)
        assert "4: Invalid input: Invalid symbol" in str(told)
    assert isinstance(Hibachi().refusal(REQUEST, 429, body), RateLimitedError)


def test_ccxt_agrees() -> None:
    """ccxt hands no times on, so they are given; it calls the interval 8 h, as it was."""
    assert_agreement(
        "hibachi",
        "hibachi",
        ["BTC/USDT:USDT", "DOT/USDT:USDT"],
        params={"startTime": (NOW_MS - 3 * DAY_MS) // 1000, "endTime": NOW_MS // 1000},
    )
