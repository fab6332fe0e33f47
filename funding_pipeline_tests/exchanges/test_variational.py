"""Variational: the recorded response with values checked by hand, what pays no funding."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import MalformedResponseError
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.variational import (
    SPEC,
    Variational,
    parse_estimates,
    parse_markets,
)
from funding_pipeline_tests.exchanges.payloads import VariationalSpeaker
from funding_pipeline_tests.exchanges.spoken import drive

SPEAKER = VariationalSpeaker()


@pytest.fixture
def recorded(responses_dir: Path) -> bytes:
    file = responses_dir / "variational" / "metadata_stats_2026-09-13.json"
    return msgspec.json.encode(json.loads(file.read_text())["response"])


def test_0_1095_on_a_4_h_market_is_0_00005_and_10_95_percent_a_year() -> None:
    body = SPEAKER.stats([SPEAKER.listing(funding_interval_s=14_400)])
    (estimate,) = parse_estimates(body)
    assert estimate.rate == 0.00005
    assert apr(estimate.rate, estimate.interval_hours) == pytest.approx(0.1095, rel=1e-12)


@pytest.mark.parametrize(("hours", "rate"), [(1, 0.0000125), (4, 0.00005), (8, 0.0001)])
def test_the_baseline_is_the_same_annual_figure_at_every_interval(hours: int, rate: float) -> None:
    assert fraction("0.1095", SPEC.rate_unit, hours) == rate


def test_recorded_estimates(recorded: bytes) -> None:
    """By hand: annual figure x hours / 8760."""
    found = {e.market: e for e in parse_estimates(recorded)}
    assert {name: (e.raw_rate, e.interval_hours) for name, e in found.items()} == {
        "BTC": ("0.091241", 8),
        "HYPER": ("0.1095", 4),
        "STORJ": ("-85.536623", 1),
        "1000PEPE": ("0.1095", 8),
    }
    assert found["BTC"].rate == pytest.approx(0.0000833251, rel=1e-6)
    assert found["HYPER"].rate == 0.00005
    assert found["1000PEPE"].rate == 0.0001
    assert found["STORJ"].rate == pytest.approx(-0.0097644547, rel=1e-8), "under the cap of 2 %"
    assert all(abs(e.rate) <= SPEC.max_abs_rate for e in found.values())
    assert all(e.next_funding_ms is None for e in found.values()), "the exchange does not say"


def test_recorded_prices_and_interest(recorded: bytes) -> None:
    btc = parse_estimates(recorded)[0]
    assert btc.mark_price == 77_229.3565140889
    assert btc.volume_24h_usd == 245_987_215.191356
    assert btc.open_interest_usd == pytest.approx((79_488_330.901566 + 70_056_049.647246) / 2)


def test_the_common_recorded_value_is_the_baseline_of_10_95_percent(recorded: bytes) -> None:
    """As a fraction per interval it would be 11,992 % a year, as percent 0.1 %."""
    texts = [e.raw_rate for e in parse_estimates(recorded)]
    assert max(set(texts), key=texts.count) == "0.1095"
    assert float("0.1095") == 0.0000125 * 8760


def test_recorded_markets(recorded: bytes) -> None:
    found = [(m.market, m.symbol, m.multiplier, m.interval_hours) for m in parse_markets(recorded)]
    assert found == [
        ("BTC", "BTC", 1, 8),
        ("HYPER", "HYPER", 1, 4),
        ("STORJ", "STORJ", 1, 1),
        ("1000PEPE", "PEPE", 1000, 8),
    ]


def test_swaps_without_funding_are_neither_market_nor_estimate() -> None:
    body = SPEAKER.stats([SPEAKER.listing(ticker="XAUS", funding_interval_s=0)])
    assert parse_markets(body) == []
    assert parse_estimates(body) == []


@pytest.mark.parametrize("seconds", [1, 1800, 3601, -3600])
def test_an_interval_that_is_no_whole_number_of_hours_is_refused(seconds: int) -> None:
    rows = [SPEAKER.listing(), SPEAKER.listing(ticker="ETH", funding_interval_s=seconds)]
    for parse in (parse_markets, parse_estimates):
        with pytest.raises(MalformedResponseError) as caught:
            parse(SPEAKER.stats(rows))
        assert caught.value.field == "$.listings[1].funding_interval_s"


@pytest.mark.parametrize("text", ["1_0", " 1", "", "1e999", "NaN"])
def test_a_rate_that_python_would_read_but_is_no_decimal_is_refused(text: str) -> None:
    rows = [SPEAKER.listing(), SPEAKER.listing(ticker="ETH", funding_rate=text)]
    with pytest.raises(MalformedResponseError) as caught:
        parse_estimates(SPEAKER.stats(rows))
    assert caught.value.field == "$.listings[1].funding_rate"


@pytest.mark.parametrize(
    ("sides", "interest"),
    [
        ({"long_open_interest": "12.0", "short_open_interest": "10.0"}, 11.0),
        ({"long_open_interest": "12.0"}, 12.0),
        ({}, None),
    ],
)
def test_open_interest_is_one_side(sides: dict[str, Any], interest: float | None) -> None:
    (estimate,) = parse_estimates(SPEAKER.stats([SPEAKER.listing(open_interest=sides)]))
    assert estimate.open_interest_usd == interest


def test_it_is_recorded_and_its_history_never_asked() -> None:
    assert SPEC.kind == "recorded"
    assert SPEC.interval == "row", "each sample carries the interval it was taken with"
    with pytest.raises(NotImplementedError):
        next(Variational().history(None, Window(0, 1)))


def test_markets_and_estimates_cost_one_request_each() -> None:
    for plan in (Variational().markets(), Variational().estimates()):
        _, requests = drive(plan, SPEAKER.markets)
        assert len(requests) == 1
