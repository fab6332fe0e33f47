"""WOO X: documentation samples, the traps of its lists, ccxt, refusals."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.woo import Woo, parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import recorded

REQUEST = Request(endpoint="fundingRate", path="/v3/public/fundingRate")
FUTURES = (
    b'{"success":true,"data":{"rows":[{"symbol":"PERP_BTC_USDT","indexPrice":"63049",'
    b'"markPrice":"63028","openInterest":"221.3498","24hVolume":"12000",'
    b'"24hAmount":"756000000"}]},"timestamp":1751624037798}'
)


def instruments(*changes: dict[str, Any]) -> bytes:
    perpetual = {
        "symbol": "PERP_BTC_USDT",
        "status": "TRADING",
        "baseAssetMultiplier": 1,
        "fundingIntervalHours": 8,
        "fundingCap": "0.003",
        "fundingFloor": "-0.003",
    }
    rows: list[dict[str, Any]] = [{**perpetual, **change} for change in changes]
    spot = {"symbol": "SPOT_AAVE_USDT", "status": "TRADING", "baseAssetMultiplier": 1}
    return msgspec.json.encode({"success": True, "data": {"rows": [spot, *rows]}, "timestamp": 1})


def test_sample_of_the_history(responses_dir: Path) -> None:
    (row,) = parse_history(recorded(responses_dir, "woo/doc_v3_public_funding_rate_history"))
    assert (row.market, row.time_ms) == ("PERP_BTC_USDT", 1_751_616_000_000)  # 2025-07-04 08:00
    assert (row.rate_text, row.mark_price) == ("-0.00004953", 108_708.0)
    assert apr(fraction(row.rate_text), 8) == pytest.approx(-0.05424, abs=1e-5)
    assert row.interval_hours is None, "the settlement after it says nothing about its own period"


def test_sample_of_the_estimates(responses_dir: Path) -> None:
    (btc,) = parse_estimates(recorded(responses_dir, "woo/doc_v3_public_funding_rate"), FUTURES)
    assert (btc.market, btc.raw_rate) == ("PERP_BTC_USDT", "-0.00000441")
    assert (btc.rate, btc.interval_hours) == (-0.00000441, 8), "the running one, not the settled"
    assert btc.next_funding_ms == 1_751_644_800_000
    # 221.3498 BTC at 63,028 USDT
    assert btc.open_interest_usd == pytest.approx(13_951_235, abs=1)
    assert (btc.index_price, btc.volume_24h_usd) == (63_049.0, 756_000_000.0)


def test_a_market_that_stands_still_has_no_estimate(responses_dir: Path) -> None:
    body = recorded(responses_dir, "woo/doc_v3_public_funding_rate")
    over = body.replace(b"1751644800000", b"1751616000000")
    assert over != body
    assert parse_estimates(over, FUTURES) == []


def test_markets() -> None:
    body = instruments(
        {},
        {"symbol": "PERP_1INCH_USDT", "fundingIntervalHours": 4, "status": "SUSPENDED"},
        {"symbol": "PERP_EWT_USDT", "fundingCap": 0.02, "fundingFloor": 0.02},
    )
    btc, inch, ewt = parse_markets(body)
    assert (btc.symbol, btc.quote, btc.settle, btc.live) == ("BTC", "USDT", "USDT", True)
    assert (btc.interval_hours, btc.rate_cap, btc.rate_floor) == (8, 0.003, -0.003)
    assert (inch.symbol, inch.multiplier, inch.interval_hours, inch.live) == ("1INCH", 1, 4, False)
    assert (ewt.rate_cap, ewt.rate_floor) == (0.02, None), "a floor at the cap is none"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fundingIntervalHours": None}, "fundingIntervalHours"),
        ({"fundingIntervalHours": 0}, "fundingIntervalHours"),
        ({"symbol": "PERP_BTC"}, "symbol"),
    ],
)
def test_a_perpetual_that_cannot_be_read_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedResponseError, match=rf"rows\[1\]\.{field}"):
        parse_markets(instruments(change))


def test_refusals() -> None:
    told = Woo().refusal(REQUEST, 400, b'{"success":false,"message":"invalid symbol PERP_NOPE"}')
    assert isinstance(told, PermanentError)
    assert "invalid symbol PERP_NOPE" in str(told)
    often = b'{"success":false,"code":-1003,"message":"TOO_MANY_REQUEST"}'
    assert isinstance(Woo().refusal(REQUEST, 429, often), RateLimitedError)
    gateway = b'{"code":503,"message":"[GW] no upstream server"}'
    assert isinstance(Woo().refusal(REQUEST, 200, gateway), TransientError)


def test_ccxt_agrees() -> None:
    assert_agreement("woo", "woo", ["BTC/USDT:USDT", "PEPE/USDT:USDT"])
