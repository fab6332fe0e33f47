"""Binance COIN-M: recorded responses with values checked by hand, inverse contracts, ccxt.

What it shares with USD-M is tested there.
"""

import json
from pathlib import Path

import msgspec
import pytest

from funding_pipeline.domain.errors import MalformedResponseError, PermanentError
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.binance_coinm import SPEC, BinanceCoinM
from funding_pipeline.exchanges.binance_like import parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded

HOUR = 3_600_000
NOW = 1_789_432_200_000  # 2026-09-15 00:30
WINDOW = Window(NOW - 24 * HOUR, NOW)


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(SPEC, recorded(responses_dir, "binance/doc_dapi_v1_fundingrate"))
    assert rows == [
        RawSettlement("BTCUSD_PERP", 1_698_768_000_000, "-0.00300000", None, 34_651.4),
        RawSettlement("BTCUSD_PERP", 1_698_796_800_000, "-0.00300000", None, 34_651.4),
    ]


def test_markets_are_inverse_and_name_their_status_otherwise(responses_dir: Path) -> None:
    info = json.loads(recorded(responses_dir, "binance/doc_dapi_v1_exchangeinfo"))
    (quarterly,) = info["symbols"]
    perpetual = quarterly | {"symbol": "BTCUSD_PERP", "contractType": "PERPETUAL"}
    gone = perpetual | {"symbol": "EOSUSD_PERP", "contractStatus": "SETTLING", "baseAsset": "EOS"}
    info["symbols"] = [quarterly, perpetual, gone]
    btc, eos = parse_markets(SPEC, msgspec.json.encode(info), b"[]")
    assert (btc.market, btc.symbol, btc.quote, btc.settle) == ("BTCUSD_PERP", "BTC", "USD", "BTC")
    assert (btc.live, btc.interval_hours, btc.asset_class) == (True, 8, "crypto")
    assert (eos.market, eos.live) == ("EOSUSD_PERP", False)
    del perpetual["contractStatus"]
    info["symbols"] = [perpetual]
    with pytest.raises(MalformedResponseError, match=r"contractStatus .*symbols\[0\]"):
        parse_markets(SPEC, msgspec.json.encode(info), b"[]")


def test_estimates_leave_dated_contracts_out_and_value_volume_in_usd(responses_dir: Path) -> None:
    """`volume` counts contracts of 100 USD; it is no volume in any currency."""
    ticker = {"symbol": "BTCUSD_PERP", "weightedAvgPrice": "11000.0", "volume": "1100",
              "baseVolume": "10.00000000"}  # fmt: skip
    (found,) = parse_estimates(
        SPEC,
        recorded(responses_dir, "binance/doc_dapi_v1_premiumindex"),
        b'[{"symbol":"BTCUSD_PERP","fundingIntervalHours":4}]',
        msgspec.json.encode([ticker]),
    )
    assert (found.market, found.rate, found.interval_hours) == ("BTCUSD_PERP", 0.00071003, 4)
    assert (found.mark_price, found.next_funding_ms) == (11_029.69574559, 1_596_096_000_000)
    assert found.volume_24h_usd == pytest.approx(110_000)
    assert found.open_interest_usd is None, "told one symbol at a time only"


def test_the_volume_is_that_of_the_day() -> None:
    full = Listed("binance_coinm", NOW)
    estimates, _ = drive(BinanceCoinM().estimates(), full)
    assert len(estimates) > 25
    assert all(1e4 < (e.volume_24h_usd or 0) < 2e10 for e in estimates)


def test_requests_are_of_its_own_path_and_count_in_one_limit() -> None:
    exchange, full = BinanceCoinM(), Listed("binance_coinm", NOW)
    markets, requests = drive(exchange.markets(), full)
    rows, asked = drive(exchange.history(markets[0], WINDOW), full)
    assert {r.path.rpartition("/")[0] for r in requests + asked} == {"/dapi/v1"}
    assert {r.scopes for r in requests + asked} == {("",)}
    assert [(r.market, r.time_ms // HOUR % 8) for r in rows] == [("BTCUSD_PERP", 0)] * 3


def test_a_missing_symbol_is_refused() -> None:
    """The reference wants one, so that markets are asked one by one."""
    assert not SPEC.history_of_all
    exchange, full = BinanceCoinM(), Listed("binance_coinm", NOW)
    markets, _ = drive(exchange.markets(), full)
    request = next(exchange.history(markets[0], WINDOW))
    params = {name: value for name, value in request.params.items() if name != "symbol"}
    bare = msgspec.structs.replace(request, params=params)
    reply = full.reply(bare)
    error = exchange.refusal(bare, reply.status, msgspec.json.encode(reply.payload))
    assert type(error) is PermanentError
    assert "code -1102: Mandatory parameter 'symbol' was not sent" in str(error)


def test_ccxt_agrees() -> None:
    assert_agreement("binance_coinm", "binancecoinm", ["BTC/USD:BTC", "WIF/USD:WIF"])
