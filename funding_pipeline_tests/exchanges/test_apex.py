"""ApeX Omni: recorded responses with values checked by hand, traps, ccxt, refusals."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from funding_pipeline.domain.errors import PermanentError, RateLimitedError
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.apex import (
    SPEC,
    Apex,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline.exchanges.base import Request
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="history-funding", path="/api/v3/history-funding")


def contract(base: str, **changed: object) -> dict[str, object]:
    """A contract of the list, as captured in 2026-09 as far as it is used."""
    return {
        "symbol": f"{base}-USDT",
        "crossSymbolName": f"{base}USDT",
        "baseTokenId": base,
        "settleAssetId": "USDT",
        "enableTrade": True,
        "enableDisplay": True,
        "enableOpenPosition": True,
        "fundingMaxRate": "0.000469",
        "fundingMinRate": "-0.000469",
        "category": "L1",
        **changed,
    }


def symbols() -> bytes:
    gone = {"enableTrade": False, "enableDisplay": False, "enableOpenPosition": False}
    lists = {
        "perpetualContract": [
            contract("BTC"),
            contract("1000000MOG", category="MEME"),
            contract("TON", **gone),
            contract("IO", enableDisplay=False, enableOpenPosition=False),
        ],
        "stockContract": [
            contract("SPCX", category="STOCK"),
            contract("XAU", category="COMMODITY"),
            contract("SPY", category="INDEX"),
            contract("SOXL", category=None),
        ],
        "predictionContract": [contract("Donald_Trump_win_Presidential_Election_2028")],
    }
    return msgspec.json.encode({"data": {"contractConfig": lists}, "timeCost": 0})


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "apex/history_funding_btc_2026-09-13"))
    assert [(r.market, r.time_ms, r.rate_text) for r in rows[:2]] == [
        ("BTC-USDT", 1_789_336_800_000, "0.00000748"),
        ("BTC-USDT", 1_789_333_200_000, "0.00000779"),
    ]
    assert rows[3].rate_text == "0.00001250", "the text as sent, zeros included"
    assert {a.time_ms - b.time_ms for a, b in pairwise(rows)} == {HOUR}
    # A fraction per hour: 6.6 % a year; the last row is the interest component, 10.95 %.
    assert apr(fraction(rows[0].rate_text, SPEC.rate_unit), 1) == pytest.approx(0.0655248)
    assert apr(fraction(rows[3].rate_text, SPEC.rate_unit), 1) == pytest.approx(0.1095)
    assert {row.mark_price for row in rows} == {None}, "the price of a row is the index"


def test_requests_name_the_window_its_end_excluded() -> None:
    btc = Market(market="BTC-USDT", symbol="BTC", quote="USDT", settle="USDT")
    plan = Apex().history(btc, Window(HOUR, 9 * HOUR))
    _, (request,) = drive(plan, lambda _: b'{"data":{"historyFunds":[],"totalSize":0}}')
    assert request.params == {
        "symbol": "BTC-USDT",
        "beginTimeInclusive": HOUR,
        "endTimeExclusive": 9 * HOUR,
        "limit": 100,
    }


def test_markets() -> None:
    markets = {m.market: m for m in parse_markets(symbols())}
    assert {m.market for m in markets.values() if not m.live} == {"TON-USDT", "IO-USDT"}
    assert not any("Trump" in name for name in markets), "an event is no perpetual"
    btc = markets["BTC-USDT"]
    assert (btc.symbol, btc.quote, btc.settle, btc.interval_hours) == ("BTC", "USDT", "USDT", 1)
    assert (btc.rate_cap, btc.rate_floor) == (0.000469, -0.000469)
    mog = markets["1000000MOG-USDT"]
    assert (mog.symbol, mog.multiplier, mog.asset_class) == ("MOG", 1_000_000, "crypto")
    assert [m.asset_class for m in markets.values()][-4:] == ["equity", "commodity", "index", None]


def test_recorded_ticker_is_an_estimate(responses_dir: Path) -> None:
    (btc,) = parse_estimates(symbols(), recorded(responses_dir, "apex/ticker_btc_2026-09-13"))
    assert (btc.market, btc.raw_rate) == ("BTC-USDT", "-0.00002065")
    assert btc.rate == -0.00002065, "not predictedFundingRate, which is 0.0000125 for ever"
    assert (btc.interval_hours, btc.next_funding_ms) == (1, 1_789_340_400_000)
    assert (btc.mark_price, btc.index_price) == (76737.49, 76776.58)
    # 1,578.334 BTC
    assert btc.open_interest_usd == pytest.approx(121_117_389.54, rel=1e-9)
    assert btc.volume_24h_usd == 565_416_965.9734


def test_refusals() -> None:
    apex = Apex()
    told = apex.refusal(REQUEST, 200, b'{"code":3,"msg":"invalid get page size: 500"}')
    assert isinstance(told, PermanentError)
    assert "3: invalid get page size: 500" in str(told)
    limited = b'{"code":403,"msg":"You request too many times"}'
    assert isinstance(apex.refusal(REQUEST, 403, limited), RateLimitedError)
    assert isinstance(apex.refusal(REQUEST, 429, b'{"code":429,"msg":"-"}'), RateLimitedError)
    assert apex.refusal(REQUEST, 403, b"<html>blocked</html>") is None, "for the client to judge"
    assert apex.refusal(REQUEST, 200, symbols()) is None


def test_ccxt_agrees() -> None:
    assert_agreement("apex", "apex", ["BTC/USDT:USDT", "1000PEPE/USDT:USDT"])
