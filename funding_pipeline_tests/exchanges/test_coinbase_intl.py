"""Coinbase International: its recorded ticker and value, an instrument, ccxt. What it shares with
Deribit is tested there.
"""

import json
from pathlib import Path

import pytest

from funding_pipeline.exchanges.coinbase_intl import CoinbaseIntl
from funding_pipeline.exchanges.deribit_like import parse_estimates, parse_markets
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded
from funding_pipeline_tests.exchanges.test_deribit import NOW, assert_ccxt_tells_trailing_sums

# An instrument as ccxt's source shows it, with fewer fields, and one renamed after the ticker.
INSTRUMENT = b"""{"instrument_name":"BTC_USDC-PERPETUAL","settlement_period":"perpetual",
"kind":"future","underlying_type":"crypto","base_currency":"BTC","quote_currency":"USDC",
"counter_currency":"USDC","settlement_currency":"USDC","is_active":true,"state":"open",
"creation_timestamp":1786804445000,"expiration_timestamp":32503708800000}"""
NAME = "coinbase_intl"


def test_an_instrument() -> None:
    (market,) = parse_markets(NAME, b'{"result":[' + INSTRUMENT + b"]}")
    assert (market.market, market.symbol, market.multiplier) == ("BTC_USDC-PERPETUAL", "BTC", 1)
    assert (market.quote, market.settle, market.live) == ("USDC", "USDC", True)
    assert (market.asset_class, market.listed_at_ms) == ("crypto", 1_786_804_445_000)


def test_the_recorded_ticker_as_a_summary(responses_dir: Path) -> None:
    """The price stood 0.007 % above the index, within the 0.025 % that are free of funding."""
    ticker = json.loads(recorded(responses_dir, "coinbaseintl/ticker_btc_usdc_perp_2026-09-30"))
    row = ticker["result"]
    (market,) = parse_markets(NAME, b'{"result":[' + INSTRUMENT + b"]}")
    body = json.dumps({"result": [row]}).encode()
    (estimate,) = parse_estimates(NAME, body, {market.market: market})
    assert (estimate.rate, estimate.raw_rate, estimate.interval_hours) == (0.0, "0", 1)
    assert 0 < row["mark_price"] / row["index_price"] - 1 < 0.00025
    # 502.4517 BTC at 83,768.02
    assert estimate.open_interest_usd == pytest.approx(42_089_384.05, abs=0.01)


def test_eight_hours_of_the_ticker_are_a_plain_sum(responses_dir: Path) -> None:
    ticker = json.loads(recorded(responses_dir, "coinbaseintl/ticker_btc_usdc_perp_2026-09-30"))
    value = json.loads(
        recorded(responses_dir, "coinbaseintl/get_funding_rate_value_btc_2026-09-30")
    )
    assert round(value["result"], 8) == ticker["result"]["funding_8h"] == 1.836e-05


def test_all_instruments_are_asked_for_without_a_currency() -> None:
    markets, (request,) = drive(CoinbaseIntl().markets(), Listed(NAME, NOW))
    assert request.params == {"kind": "future"}
    assert {m.settle for m in markets} == {"USDC"}
    pepe = next(m for m in markets if m.market == "1000PEPE_USDC-PERPETUAL")
    assert (pepe.symbol, pepe.multiplier) == ("PEPE", 1000)
    assert [m.market for m in markets if not m.live] == ["PIXEL_USDC-PERPETUAL"]


def test_ccxt_tells_eight_hours_on_hourly_rows() -> None:
    assert_ccxt_tells_trailing_sums(
        NAME, "coinbaseinternational", ["XRP/USDC:USDC", "DOGE/USDC:USDC"]
    )
