"""Reya: recorded responses checked by hand, percent, the dead market, what becomes of a sample."""

from pathlib import Path

import pytest

from funding_pipeline.domain.errors import MalformedResponseError
from funding_pipeline.domain.rates import apr
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.reya import SPEC, Reya, parse_estimates, parse_markets
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000


@pytest.fixture
def definitions(responses_dir: Path) -> bytes:
    return recorded(responses_dir, "reya/market_definitions_2026-09-13")


@pytest.fixture
def summary(responses_dir: Path) -> bytes:
    return recorded(responses_dir, "reya/perp_markets_summary_2026-09-13")


def test_recorded_estimates_are_percent_per_hour(definitions: bytes, summary: bytes) -> None:
    """By hand: 0.001013625959372885 % an hour are 8.879 % a year; as a fraction 888 %, and other
    exchanges stood at 3 to 11 % that evening.
    """
    btc = parse_estimates(definitions, summary)[0]
    assert (btc.market, btc.raw_rate, btc.interval_hours) == (
        "BTCRUSDPERP", "0.001013625959372885", 1,
    )  # fmt: skip
    assert btc.rate == 0.00001013625959372885
    assert apr(btc.rate, btc.interval_hours) == pytest.approx(0.0887936, rel=1e-5)


def test_recorded_signs_prices_and_interest(definitions: bytes, summary: bytes) -> None:
    found = {e.market: e for e in parse_estimates(definitions, summary)}
    assert found["HYPERUSDPERP"].rate == -0.00000899318307619673
    btc = found["BTCRUSDPERP"]
    assert btc.mark_price == 77013.0411011947, "the oracle's, not the pool's"
    # 39.3619 BTC, the larger side alone
    assert btc.open_interest_usd == pytest.approx(3_031_379.62, rel=1e-6)
    assert btc.volume_24h_usd == 91_245_457.2703056
    # 759,620 contracts of a thousand PEPE at 0.003385 each
    assert found["kPEPERUSDPERP"].open_interest_usd == pytest.approx(2_571.59, rel=1e-5)


def test_a_dead_market_is_no_estimate_and_not_live(definitions: bytes, summary: bytes) -> None:
    """MKR's 0.2917 % an hour would be 2555 % a year, the widest of the exchange."""
    assert "MKRRUSDPERP" not in {e.market for e in parse_estimates(definitions, summary)}
    live = {m.market: m.live for m in parse_markets(definitions, summary)}
    assert [name for name, is_live in live.items() if not is_live] == ["MKRRUSDPERP"]
    assert len(live) == 7


def test_recorded_markets(definitions: bytes, summary: bytes) -> None:
    found = [(m.symbol, m.multiplier, m.quote) for m in parse_markets(definitions, summary)]
    assert found == [
        ("BTC", 1, "RUSD"),
        ("ETH", 1, "RUSD"),
        ("PEPE", 1000, "RUSD"),
        ("LINK", 1, "RUSD"),
        ("HYPE", 1, "RUSD"),
        ("PAXG", 1, "RUSD"),
        ("MKR", 1, "RUSD"),
    ]


def test_what_a_sample_becomes_has_the_estimates_rate(definitions: bytes, summary: bytes) -> None:
    """A recorded settlement is made of the raw text, its unit and its interval, nothing else."""
    for estimate in parse_estimates(definitions, summary):
        raw = RawSettlement(estimate.market, 9 * HOUR, estimate.raw_rate, estimate.interval_hours)
        (row,), rejected = validate(
            [raw], unit=SPEC.rate_unit, max_abs_rate=SPEC.max_abs_rate, now_ms=10 * HOUR
        )
        assert (row.rate, rejected) == (estimate.rate, [])


@pytest.mark.parametrize("text", ["", "NaN", "1_0", " 1", "1e999"])
def test_a_rate_that_is_no_decimal_is_refused(text: str) -> None:
    other = '{"symbol":"BRUSDPERP","fundingRate":"0"}'
    rows = f'[{other},{{"symbol":"ARUSDPERP","fundingRate":"{text}"}}]'
    with pytest.raises(MalformedResponseError) as caught:
        parse_estimates(b'[{"symbol":"ARUSDPERP"}]', rows.encode())
    assert caught.value.field == "$[1].fundingRate"


def test_it_is_recorded_and_its_history_never_asked(definitions: bytes, summary: bytes) -> None:
    assert (SPEC.kind, SPEC.interval) == ("recorded", "row")
    with pytest.raises(NotImplementedError):
        next(Reya().history(None, Window(0, 1)))
    answers = {"marketDefinitions": definitions, "perpMarkets/summary": summary}
    for plan in (Reya().markets(), Reya().estimates()):
        _, requests = drive(plan, lambda request: answers[request.endpoint])
        assert [r.path for r in requests] == ["/v2/marketDefinitions", "/v2/perpMarkets/summary"]
