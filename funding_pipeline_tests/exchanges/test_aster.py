"""Aster: recorded responses with values checked by hand, all symbols at once, ccxt, refusals.

What it shares with Binance is tested there.
"""

import json
from pathlib import Path

import msgspec
import pytest

from funding_pipeline.domain.errors import PermanentError
from funding_pipeline.domain.rates import apr
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.aster import SPEC, Aster
from funding_pipeline.exchanges.binance_like import parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded

DAY = 86_400_000
NOW = 1_789_432_200_000  # 2026-09-15 00:30


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(SPEC, recorded(responses_dir, "aster/funding_rate_btcusdt_2026-09-11"))
    assert len(rows) == 5
    assert rows[0] == RawSettlement("BTCUSDT", 1_789_027_200_000, "0.00008093")
    assert {r.time_ms % (8 * 3_600_000) for r in rows} == {0}, "exact stamps"
    # 2.7 % at Binance within the same hour or so, 1.8 % at Gate.
    assert apr(float(rows[-1].rate_text), 8) == pytest.approx(0.0313, abs=1e-4)


def test_recorded_caps_are_numbers_and_intervals_differ(responses_dir: Path) -> None:
    (contract,) = json.loads(recorded(responses_dir, "aster/doc_fapi_v3_exchangeinfo"))["symbols"]
    pairs = [("SUSHI", "USDT"), ("BTC", "USD"), ("BTC", "USDT"), ("ZORA", "USDT")]
    symbols = [
        contract | {"symbol": base + quote, "baseAsset": base, "quoteAsset": quote}
        for base, quote in pairs
    ]
    intervals = json.loads(recorded(responses_dir, "aster/funding_info_2026-09-11"))
    intervals += json.loads(recorded(responses_dir, "aster/doc_fapi_v3_fundinginfo"))
    found = parse_markets(
        SPEC, msgspec.json.encode({"symbols": symbols}), msgspec.json.encode(intervals)
    )
    assert [(m.market, m.interval_hours, m.rate_cap, m.rate_floor) for m in found] == [
        ("SUSHIUSDT", 1, 0.02, -0.02),
        ("BTCUSD", 2, 0.02, -0.02),
        ("BTCUSDT", 8, 0.003, -0.003),
        ("ZORAUSDT", 4, 0.02, -0.02),
    ]
    assert {m.asset_class for m in found} == {"crypto"}
    assert (found[1].symbol, found[1].quote, found[1].live) == ("BTC", "USD", True)


@pytest.mark.parametrize("base", ["missing", None, ""])
def test_without_its_base_a_market_is_named_by_its_symbol(
    responses_dir: Path, base: str | None
) -> None:
    (contract,) = json.loads(recorded(responses_dir, "aster/doc_fapi_v3_exchangeinfo"))["symbols"]
    contract |= {"symbol": "1000PEPEUSDT", "baseAsset": base}
    if base == "missing":
        del contract["baseAsset"]
    (found,) = parse_markets(SPEC, msgspec.json.encode({"symbols": [contract]}), b"[]")
    assert (found.symbol, found.multiplier, found.interval_hours) == ("PEPE", 1000, 8)


def test_recorded_estimates(responses_dir: Path) -> None:
    volumes = json.loads(recorded(responses_dir, "aster/doc_fapi_v3_ticker_24hr"))
    estimates = parse_estimates(
        SPEC,
        recorded(responses_dir, "aster/premium_index_2026-09-11"),
        recorded(responses_dir, "aster/funding_info_2026-09-11"),
        msgspec.json.encode(volumes),
    )
    found = {e.market: e for e in estimates}
    sushi, shield, btc = found["SUSHIUSDT"], found["BTCUSD"], found["BTCUSDT"]
    assert (sushi.rate, sushi.interval_hours) == (-0.00000112, 1)
    assert sushi.next_funding_ms == 1_789_149_600_000
    assert (shield.rate, shield.raw_rate, shield.interval_hours) == (0.0, "0", 2)
    assert (btc.rate, btc.interval_hours, btc.mark_price) == (0.00003274, 8, 77_852.06061232)
    assert (btc.volume_24h_usd, sushi.volume_24h_usd) == (15.3, None)


def test_all_symbols_of_a_day_come_at_once() -> None:
    full = Listed("aster", NOW)
    rows, requests = drive(Aster().history(None, Window(NOW - DAY, NOW)), full)
    expected = sorted(
        (market.times[i], market.symbol)
        for market in full.dataset.known("aster", NOW)
        for i in range(*market.settled(NOW - DAY, NOW - 1, NOW))
    )
    assert sorted((r.time_ms, r.market) for r in rows) == expected
    assert len(expected) > 500 * len(requests) / 2
    assert {r.path for r in requests} == {"/fapi/v3/fundingRate"}
    assert {r.scopes for r in requests} == {("",)}, "one limit for everything"


def test_a_missing_symbol_may_be_refused() -> None:
    """Then the engine asks market by market."""
    request = next(Aster().history(None, Window(NOW - DAY, NOW)))
    body = b'{"code":-1102,"msg":"Mandatory parameter \'symbol\' was not sent"}'
    error = Aster().refusal(request, 400, body)
    assert type(error) is PermanentError
    assert "aster fundingRate: refused: code -1102: Mandatory" in str(error)


def test_ccxt_agrees() -> None:
    symbols = ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USD:USD"]
    assert_agreement("aster", "aster", symbols, defaultType="swap")
