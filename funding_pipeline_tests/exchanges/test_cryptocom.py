"""Crypto.com: documentation samples, times that are not heeded, ccxt, refusals."""

from pathlib import Path

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.cryptocom import SPEC, Cryptocom, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="get-valuations", path="/exchange/v1/public/get-valuations")
SAMPLE = "cryptocom/doc_public_get_valuations_funding_hist"


def test_sample_of_the_history(responses_dir: Path) -> None:
    (row,) = parse_history(recorded(responses_dir, SAMPLE))
    assert (row.market, row.time_ms) == ("BTCUSD-PERP", 1_687_892_400_000)  # 2023-06-27 19:00
    assert row.rate_text == "-0.000001884"
    assert isinstance(SPEC.interval, FixedInterval)
    hours = SPEC.interval.at(row.time_ms)
    assert hours == 1
    assert apr(fraction(row.rate_text, SPEC.rate_unit), hours) == pytest.approx(-0.0165, abs=1e-4)


def test_sample_of_the_instruments(responses_dir: Path) -> None:
    (btc,) = parse_markets(
        recorded(responses_dir, "cryptocom/doc_exchange_v1_public_get_instruments")
    )
    assert (btc.market, btc.symbol, btc.quote, btc.settle) == ("BTCUSD-PERP", "BTC", "USD", "USD")
    assert (btc.live, btc.interval_hours, btc.asset_class) == (True, 1, None)


def test_only_perpetuals_with_their_class() -> None:
    kinds = {
        "BTCUSD-PERP": ("PERPETUAL_SWAP", "DIGITAL_CURRENCIES"),
        "NVDAUSD-PERP": ("PERPETUAL_SWAP", "EQUITY"),
        "US500USD-PERP": ("PERPETUAL_SWAP", "EQUITY_IND"),
        "XAUUSD-PERP": ("PERPETUAL_SWAP", "COMMODITIES"),
        "BTC_USD": ("CCY_PAIR", ""),
        "BTCUSD-261225": ("FUTURE", "DIGITAL_CURRENCIES"),
        "BTCUSD-230630-CW30000": ("WARRANT", "DIGITAL_CURRENCIES"),
    }
    rows = [
        {
            "symbol": symbol,
            "inst_type": kind,
            "base_ccy": symbol.partition("USD")[0].strip("_"),
            "quote_ccy": "USD",
            "product_type": product,
            "tradable": symbol != "NVDAUSD-PERP",
        }
        for symbol, (kind, product) in kinds.items()
    ]
    found = parse_markets(msgspec.json.encode({"code": 0, "result": {"data": rows}}))
    assert [(m.symbol, m.asset_class, m.live) for m in found] == [
        ("BTC", "crypto", True),
        ("NVDA", "equity", False),
        ("US500", "index", True),
        ("XAU", "commodity", True),
    ]


def test_times_that_are_not_heeded_are_refused(responses_dir: Path) -> None:
    """The newest rows for an older window: else it would count as collected and empty."""
    sample = recorded(responses_dir, SAMPLE)
    market = Market(market="BTCUSD-PERP", symbol="BTC", quote="USD", settle="USD")
    stamp = 1_687_892_400_000
    older = Window(stamp - 48 * HOUR, stamp - 24 * HOUR)
    with pytest.raises(MalformedResponseError, match="no row lies between"):
        drive(Cryptocom().history(market, older), lambda _: sample)
    rows, _ = drive(Cryptocom().history(market, Window(stamp, stamp + HOUR)), lambda _: sample)
    assert [row.time_ms for row in rows] == [stamp]


def test_no_call_tells_all_estimates() -> None:
    assert not SPEC.samples_estimates
    with pytest.raises(NotImplementedError):
        Cryptocom().estimates()


def test_refusals() -> None:
    told = Cryptocom().refusal(
        REQUEST, 400, b'{"code":40004,"message":"Missing instrument_name param"}'
    )
    assert isinstance(told, PermanentError)
    assert "40004: Missing instrument_name param" in str(told)
    often = b'{"code":42901,"message":"TOO_MANY_REQUESTS"}'
    assert isinstance(Cryptocom().refusal(REQUEST, 429, often), RateLimitedError)
    assert isinstance(Cryptocom().refusal(REQUEST, 200, often), RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement("cryptocom", "cryptocom", ["BTC/USD:USD", "PEPE/USD:USD"])
