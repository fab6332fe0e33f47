"""Velocity: recorded responses checked by hand, the quotient, the sign trap, refusals."""

import math
from fractions import Fraction
from pathlib import Path

import pytest

from funding_pipeline.domain.errors import MalformedResponseError, PermanentError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.velocity import (
    SPEC,
    Velocity,
    parse_estimates,
    parse_history,
    parse_markets,
    rate_text,
)
from funding_pipeline_tests.exchanges.spoken import recorded

REQUEST = Request(endpoint="fundingRates", path="/market/BTC-PERP/fundingRates")
HISTORY = "velocity/funding_rates_btc_2026-09-13"
STATS = "velocity/stats_markets_2026-09-13"


def test_recorded_history(responses_dir: Path) -> None:
    rows, cursor = parse_history(recorded(responses_dir, HISTORY))
    assert [(r.market, r.time_ms) for r in rows] == [
        ("BTC-PERP", 1_789_336_860_000),
        ("BTC-PERP", 1_789_333_259_000),
        ("BTC-PERP", 1_789_329_660_000),
    ]
    assert [r.time_ms % 3_600_000 for r in rows] == [60_000, 59_000, 60_000], "a minute late"
    assert cursor is not None
    assert cursor.startswith("eyJwayI6Ik1BUktFVCNCVEMtUEVSUCIs")


def test_the_rate_is_quote_per_base_unit_over_the_oracle_price(responses_dir: Path) -> None:
    """6.399237833 / 77333.726817 = 0.0000827483..., 72.5 % a year; unscaled it would be 640 %
    an hour.
    """
    row = parse_history(recorded(responses_dir, HISTORY))[0][0]
    exact = Fraction("6.399237833") / Fraction("77333.726817")
    assert abs(Fraction(row.rate_text) / exact - 1) < Fraction(1, 10**17)
    assert row.rate_text.startswith("0.0000827483")
    assert len(row.rate_text.removeprefix("0.0000")) == 18
    rate = fraction(row.rate_text, SPEC.rate_unit)
    assert rate == float(exact)
    assert isinstance(SPEC.interval, FixedInterval)
    hours = SPEC.interval.at(row.time_ms)
    assert apr(rate, hours) == pytest.approx(0.72487, rel=1e-4)
    assert rate < SPEC.max_abs_rate


@pytest.mark.parametrize(
    ("per_unit", "price", "text"),
    [
        ("-1", "80000", "-0.0000125"),
        ("0.000000000", "77333.726817", "0.000"),
        ("1", "3", "0.333333333333333333"),
        ("", "80000", "/80000"),
        ("1_0", "80000", "1_0/80000"),
        ("1", "0.000000", "1/0.000000"),
        ("1", "-5", "1/-5"),
        ("1", "NaN", "1/NaN"),
    ],
)
def test_a_quotient_is_a_plain_decimal_or_no_number_at_all(
    per_unit: str, price: str, text: str
) -> None:
    assert rate_text(per_unit, price) == text
    if "/" in text:
        with pytest.raises(ValueError, match="no decimal number"):
            fraction(text)


def test_the_estimate_has_the_opposite_sign_and_is_percent(responses_dir: Path) -> None:
    """Longs paid 0.0082748 % at 22:00; half an hour later their side read -0.008181."""
    btc = parse_estimates(recorded(responses_dir, STATS))[1]
    assert (btc.market, btc.raw_rate, btc.rate) == ("BTC-PERP", "-0.008181", 0.00008181)
    settled = fraction(parse_history(recorded(responses_dir, HISTORY))[0][0].rate_text)
    assert btc.rate == pytest.approx(settled, rel=0.02), "the same side pays, in the same unit"
    assert btc.mark_price is not None
    assert btc.index_price is not None
    assert btc.mark_price > btc.index_price, "longs pay while the perpetual stands above the oracle"


def test_recorded_estimates(responses_dir: Path) -> None:
    found = {e.market: e for e in parse_estimates(recorded(responses_dir, STATS))}
    assert list(found) == ["SOL-PERP", "BTC-PERP"]
    sol = found["SOL-PERP"]
    assert (sol.rate, sol.interval_hours, sol.volume_24h_usd) == (0.00005209, 1, 10408.664687)
    # 257.74 SOL long (38.22 short, the rest is the pool's) at 99.834 USDT
    assert sol.open_interest_usd == pytest.approx(25_731.215, rel=1e-6)


def test_spot_is_no_market_and_the_hidden_one_is_not_live(responses_dir: Path) -> None:
    markets = parse_markets(recorded(responses_dir, STATS))
    assert [(m.market, m.symbol, m.quote, m.settle, m.live) for m in markets] == [
        ("SOL-PERP", "SOL", "USDT", "USDT", True),
        ("BTC-PERP", "BTC", "USDT", "USDT", True),
    ]
    for status, ui_status in (("reduceOnly", "visible"), ("active", "hidden")):
        body = _listing(f'"status":"{status}","uiStatus":"{ui_status}"', "0")
        assert [m.live for m in parse_markets(body)] == [False]
        assert parse_estimates(body) == []


def test_a_flat_market_is_plain_zero() -> None:
    (estimate,) = parse_estimates(_listing('"status":"active"', "0.000000"))
    assert math.copysign(1, estimate.rate) == 1


@pytest.mark.parametrize("text", ["", "NaN", "1_0", "inf"])
def test_an_estimate_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(MalformedResponseError) as caught:
        parse_estimates(_listing('"status":"active"', text))
    assert caught.value.field == "$.markets[0].fundingRate.long"


def _listing(status: str, long: str) -> bytes:
    rates = f'"fundingRate":{{"long":"{long}"}}'
    row = f'{{"symbol":"A-PERP","marketType":"perp",{status},{rates}}}'
    return f'{{"success":true,"markets":[{row}]}}'.encode()


def test_refusals(responses_dir: Path) -> None:
    told = Velocity().refusal(REQUEST, 400, b'{"success":false,"message":"Market not found"}')
    assert isinstance(told, PermanentError)
    assert "Market not found" in str(told)
    assert Velocity().refusal(REQUEST, 200, recorded(responses_dir, HISTORY)) is None
