"""dYdX v4: recorded responses checked by hand, a recorded month replayed, ccxt."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.dydx import (
    SPEC,
    Dydx,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Moment
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import answer_of, drive, recorded

FEBRUARY = Window(
    int(datetime(2026, 2, 1, tzinfo=UTC).timestamp()) * 1000,
    int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000,
)


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "dydx/historical_funding_link_2026-09-11"))
    assert [(r.market, r.time_ms, r.rate_text) for r in rows[:3]] == [
        ("LINK-USD", 1_789_146_000_234, "0.000004125"),
        ("LINK-USD", 1_789_142_400_622, "0.000114"),
        ("LINK-USD", 1_789_138_800_494, "0"),
    ]
    assert rows[0].mark_price == 11.792210428
    assert {234, 622, 494, 541, 792} == {r.time_ms % HOUR_MS for r in rows}, "0.2-0.8 s late"


def test_the_rate_is_a_fraction_per_hour(responses_dir: Path) -> None:
    """The default of 0.0000125 would be 10.95 % a year; LINK at 16:00 paid 99.864 %."""
    row = parse_history(recorded(responses_dir, "dydx/historical_funding_link_2026-09-11"))[1]
    rate = fraction(row.rate_text, SPEC.rate_unit)
    assert isinstance(SPEC.interval, FixedInterval)
    hours = SPEC.interval.at(row.time_ms)
    assert apr(rate, hours) == pytest.approx(0.99864, rel=1e-12)


def test_recorded_markets(responses_dir: Path) -> None:
    body = recorded(responses_dir, "dydx/perpetual_markets_2026-09-11")
    found = {m.market: (m.symbol, m.quote, m.settle, m.live) for m in parse_markets(body)}
    assert found == {
        "BTC-USD": ("BTC", "USD", "USDC", True),
        "ETH-USD": ("ETH", "USD", "USDC", True),
        "LINK-USD": ("LINK", "USD", "USDC", True),
        "MATIC-USD": ("MATIC", "USD", "USDC", False),
    }
    assert {m.interval_hours for m in parse_markets(body)} == {1}


def test_recorded_estimates(responses_dir: Path) -> None:
    found = {
        e.market: e
        for e in parse_estimates(recorded(responses_dir, "dydx/perpetual_markets_2026-09-11"))
    }
    assert list(found) == ["BTC-USD", "ETH-USD", "LINK-USD"], "none of the market in settlement"
    eth = found["ETH-USD"]
    assert (eth.rate, eth.raw_rate) == (-0.00000022767857142857, "-0.00000022767857142857")
    assert (eth.interval_hours, eth.mark_price) == (1, 2577.379583)
    # 3,976.853 ETH at 2,577.379583 USD
    assert eth.open_interest_usd == pytest.approx(10_249_859.72, rel=1e-9)
    assert eth.volume_24h_usd == 7_656_688.5006


def test_a_ticker_with_its_pool_keeps_its_base() -> None:
    row = '{"ticker":"ARC,RAYDIUM,61V8VB-USD","status":"PAUSED","nextFundingRate":"0"}'
    (market,) = parse_markets(f'{{"markets":{{"ARC,RAYDIUM,61V8VB-USD":{row}}}}}'.encode())
    assert (market.market, market.symbol, market.quote) == ("ARC,RAYDIUM,61V8VB-USD", "ARC", "USD")
    assert not market.live


def test_an_hour_asks_for_two_rows_and_not_for_a_thousand() -> None:
    (market,) = parse_markets(
        b'{"markets":{"A":{"ticker":"A-USD","status":"ACTIVE","nextFundingRate":"0"}}}'
    )
    request = next(Dydx().history(market, Window(FEBRUARY.start_ms, FEBRUARY.start_ms + HOUR_MS)))
    assert request.path == "/v4/historicalFunding/A-USD"
    assert dict(request.params) == {"limit": 2, "effectiveBeforeOrAt": "2026-02-01T00:59:59.999Z"}


@pytest.mark.parametrize("cap", [None, 100])
def test_a_recorded_month_comes_back_exactly(recorded_dir: Path, cap: int | None) -> None:
    """Every stamp to the millisecond and every rate, with full pages and with pages of 100."""
    sandbox, now_ms = SANDBOX["dydx"], FEBRUARY.end_ms + 5 * DAY_MS
    dataset = load_recorded(recorded_dir, [sandbox], now_ms=now_ms)
    moment = Moment(dataset, now_ms, cap)

    def answer(request: Request) -> bytes:
        return msgspec.json.encode(answer_of("dydx", request, moment).payload)

    markets, _ = drive(Dydx().markets(), answer)
    rows = pl.read_parquet(recorded_dir / "dydx.parquet").with_columns(
        pl.col("time").dt.epoch("ms")
    )
    month = rows.filter(pl.col("time").is_between(FEBRUARY.start_ms, FEBRUARY.end_ms, "left"))
    assert {m.market for m in markets} == set(month["market"])
    for market in markets:
        raw, requests = drive(Dydx().history(market, FEBRUARY), answer)
        told = {row.time_ms: fraction(row.rate_text, SPEC.rate_unit) for row in raw}
        part = month.filter(pl.col("market") == market.market)
        assert told == dict(zip(part["time"], part["rate"], strict=True))
        assert len(told) == 28 * 24
        assert len(requests) == (1 if cap is None else 7)


def test_ccxt_agrees() -> None:
    assert_agreement("dydx", "dydx", ["BTC/USDC:USDC", "ARB/USDC:USDC"])
