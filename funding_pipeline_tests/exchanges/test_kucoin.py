"""KuCoin: recorded responses with values checked by hand, a recorded month, refusals, ccxt."""

import json
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
from funding_pipeline.exchanges.kucoin import Kucoin, parse_estimates, parse_history, parse_markets
from funding_pipeline.sandbox.market import HOUR_MS, utc_ms
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.replayed import replay
from funding_pipeline_tests.exchanges.spoken import recorded

REQUEST = Request(endpoint="funding-rates", path="/api/v1/contract/funding-rates")
CONTRACTS = "kucoin/contracts_active_2026-09-11"


def test_recorded_contracts(responses_dir: Path) -> None:
    markets = parse_markets(recorded(responses_dir, CONTRACTS))
    assert [(m.market, m.symbol, m.quote, m.settle, m.interval_hours) for m in markets] == [
        ("XBTUSDTM", "BTC", "USDT", "USDT", 8),
        ("ETHUSDTM", "ETH", "USDT", "USDT", 8),
        ("WIFUSDTM", "WIF", "USDT", "USDT", 4),
        ("DOGEUSDTM", "DOGE", "USDT", "USDT", 8),
        ("XBTUSDM", "BTC", "USD", "BTC", 8),
    ]
    btc = markets[0]
    assert (btc.live, btc.asset_class, btc.listed_at_ms) == (True, "crypto", 1_585_555_200_000)
    assert (btc.rate_cap, btc.rate_floor) == (0.003, -0.003)


def test_recorded_estimates(responses_dir: Path) -> None:
    found = {e.market: e for e in parse_estimates(recorded(responses_dir, CONTRACTS))}
    btc, wif, inverse = found["XBTUSDTM"], found["WIFUSDTM"], found["XBTUSDM"]
    assert (btc.rate, btc.interval_hours) == (0.000037, 8)
    assert apr(btc.rate, btc.interval_hours) == pytest.approx(0.040515)
    assert btc.next_funding_ms == 1_789_171_200_000, "a time, not what remains until then"
    assert apr(wif.rate, wif.interval_hours) == pytest.approx(0.1095), "0.005 % per 4 h"
    assert (btc.mark_price, btc.index_price, btc.volume_24h_usd) == (
        77754.7,
        77783.14,
        511004312.1306,
    )
    # 11,784,994 lots of 0.001 BTC at 77,754.7 USDT
    assert btc.open_interest_usd == pytest.approx(916_338_672.97, rel=1e-9)
    # 51,693,842 lots of one dollar; 43.79840291 BTC traded at 77,718
    assert (inverse.rate, inverse.open_interest_usd) == (0.000085, 51_693_842)
    assert inverse.volume_24h_usd == pytest.approx(3_403_924.28, rel=1e-8)


def contracts(folder: Path, number: int, **changes: Any) -> bytes:
    """The recorded list with changes to one row."""
    body = json.loads(recorded(folder, CONTRACTS))
    body["data"][number].update(changes)
    return msgspec.json.encode(body)


def test_what_is_no_perpetual_or_not_open(responses_dir: Path) -> None:
    dated = contracts(responses_dir, 0, type="FFICSX", fundingFeeRate=None)
    assert "XBTUSDTM" not in {m.market for m in parse_markets(dated)}
    assert "XBTUSDTM" not in {e.market for e in parse_estimates(dated)}
    paused = contracts(responses_dir, 0, status="Paused")
    assert [m.market for m in parse_markets(paused) if not m.live] == ["XBTUSDTM"]
    assert "XBTUSDTM" not in {e.market for e in parse_estimates(paused)}
    without_rate = contracts(responses_dir, 0, fundingFeeRate=None)
    assert len(parse_estimates(without_rate)) == 4


def test_the_current_granularity_goes_before_the_older_field(responses_dir: Path) -> None:
    body = contracts(responses_dir, 0, currentFundingRateGranularity=3_600_000)
    assert parse_markets(body)[0].interval_hours == 1


@pytest.mark.parametrize(
    ("number", "field"), [(0, "currentFundingRateGranularity"), (3, "fundingRateGranularity")]
)
def test_an_interval_of_no_whole_hours_is_refused(
    responses_dir: Path, number: int, field: str
) -> None:
    """Of DOGE, the fourth, the current granularity is null."""
    with pytest.raises(MalformedResponseError) as caught:
        parse_markets(contracts(responses_dir, number, **{field: 5_400_000}))
    assert caught.value.field == f"$.data[{number}].{field}"


def test_a_running_rate_without_any_interval_is_refused(responses_dir: Path) -> None:
    with pytest.raises(MalformedResponseError, match="DOGEUSDTM: no interval"):
        parse_estimates(contracts(responses_dir, 3, fundingRateGranularity=None))


def test_the_digits_of_a_settled_rate_are_kept() -> None:
    body = b'{"code":"200000","data":[{"symbol":"A","fundingRate":-1.20E-4,"timepoint":7}]}'
    (row,) = parse_history(body)
    assert (row.market, row.time_ms, row.rate_text) == ("A", 7, "-1.20E-4")
    assert parse_history(b'{"code":"200000","data":null}') == [], "an empty window"
    with pytest.raises(MalformedResponseError):
        parse_history(b'{"code":"200000"}')


def test_both_ends_of_a_page_are_included_by_the_exchange() -> None:
    market = Market(market="XBTUSDM", symbol="BTC", quote="USD", settle="BTC")
    request = next(Kucoin().history(market, Window(1_000_000, 2_000_000)))
    assert request.params == {"symbol": "XBTUSDM", "from": 1_000_000, "to": 1_999_999}
    assert request.weight == 5


def test_a_recorded_month_comes_back_exactly(recorded_dir: Path) -> None:
    """October 2023: three settlements a day, at 4, 12 and 20 h."""
    october = Window(utc_ms(2023, 10, 1), utc_ms(2023, 11, 1))
    found = replay("kucoin", recorded_dir, october, utc_ms(2023, 12, 15))
    assert len(found) == 2
    for market, replayed in found.items():
        assert replayed.told == replayed.recorded, market
        assert (len(replayed.told), replayed.requests) == (93, 1)
        assert {time // HOUR_MS % 24 for time in replayed.told} == {4, 12, 20}


def test_refusals() -> None:
    told = Kucoin().refusal(REQUEST, 400, b'{"code":"100001","msg":"Parameter error"}')
    assert isinstance(told, PermanentError)
    assert "100001: Parameter error" in str(told)
    limited = b'{"code":"429000","msg":"Too many requests"}'
    assert isinstance(Kucoin().refusal(REQUEST, 200, limited), RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement("kucoin", "kucoinfutures", ["BTC/USDT:USDT", "ARB/USDT:USDT", "BTC/USD:BTC"])
