"""Gate: recorded responses with values checked by hand, ccxt, refusals."""

from pathlib import Path

import pytest

from funding_pipeline.domain.errors import PermanentError, RateLimitedError
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.gate import Gate, parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import recorded

REQUEST = Request(endpoint="funding_rate", path="/api/v4/futures/usdt/funding_rate")


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "gate/funding_rate_btc_2026-09-04"), "BTC_USDT")
    assert len(rows) == 20
    assert [(r.time_ms, r.rate_text) for r in rows[:2]] == [
        (1_788_480_003_000, "0.000052"),
        (1_788_451_203_000, "0.000046"),
    ]
    assert {1, 2, 3} >= {r.time_ms // 1000 % 28_800 for r in rows}, "1-3 s after the boundary"


def test_recorded_contracts(responses_dir: Path) -> None:
    body = recorded(responses_dir, "gate/contracts_2026-09-11")
    markets = {m.market: m for m in parse_markets(body)}
    btc = markets["BTC_USDT"]
    assert (btc.symbol, btc.quote, btc.settle, btc.live) == ("BTC", "USDT", "USDT", True)
    assert (btc.interval_hours, btc.rate_cap, btc.rate_floor) == (8, 0.003, -0.003)
    assert (markets["2Z_USDT"].symbol, markets["2Z_USDT"].interval_hours) == ("2Z", 4)
    tickers = b'[{"contract":"BTC_USDT","total_size":"320443501","volume_24h_quote":"1.5"}]'
    estimate = parse_estimates(body, tickers)[0]
    assert (estimate.market, estimate.rate, estimate.interval_hours) == ("BTC_USDT", 0.000016, 8)
    assert estimate.next_funding_ms == 1_789_171_200_000
    # 320,443,501 contracts of 0.0001 BTC at 77,762.8 USDT
    assert estimate.open_interest_usd == pytest.approx(2_491_858_388, rel=1e-9)


def test_an_interval_of_no_whole_hours_is_refused() -> None:
    with pytest.raises(Exception, match=r"90 s is no whole number of hours .*\[0\]"):
        parse_markets(
            b'[{"name":"A_USDT","type":"direct","funding_interval":90,"funding_rate":"0",'
            b'"funding_next_apply":1,"quanto_multiplier":"1","in_delisting":false}]'
        )


def test_refusals() -> None:
    told = Gate().refusal(REQUEST, 400, b'{"label":"INVALID_PARAM_VALUE","message":"too old"}')
    assert isinstance(told, PermanentError)
    assert "INVALID_PARAM_VALUE: too old" in str(told)
    limited = b'{"label":"TOO_MANY_REQUESTS","message":"Request Rate limit Exceeded"}'
    assert isinstance(Gate().refusal(REQUEST, 429, limited), RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement(
        "gate",
        "gate",
        ["BTC/USDT:USDT", "ARB/USDT:USDT"],
        fetchMarkets={"types": ["swap"]},
        swap={"fetchMarkets": {"settlementCurrencies": ["usdt"]}},
    )
