"""Orderly: recorded responses with values checked by hand, ccxt, refusals."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Estimate, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.orderly import (
    Orderly,
    parse_estimates,
    parse_history,
    parse_markets,
    parse_newest,
)
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import Spoken, drive, recorded

REQUEST = Request(endpoint="info", path="/v1/public/info")
# Funding period in hours, cap and floor of that day.
INFO: dict[str, tuple[int, float, float]] = {
    "PERP_BTC_USDC": (8, 0.003, -0.003),
    "PERP_1000PEPE_USDC": (8, 0.02, -0.02),
    "PERP_HYPE_USDC": (4, 0.02, -0.02),
    "PERP_SPX500_USDC": (8, 0.0005, -0.005),
    "PERP_EURUSD_USDC": (8, 0.005, -0.005),
    "PERP_AAPL_USDC_mythos": (8, 0.02, -0.02),
}
FUTURES = (
    b'{"success":true,"data":{"rows":[{"symbol":"PERP_BTC_USDC","mark_price":77090.2,'
    b'"index_price":77116.1,"open_interest":26.43846,"24h_volume":31.94073,'
    b'"24h_amount":2461419.108083}]},"timestamp":1789336872547}'
)
HISTORY = (
    b'{"success":true,"data":{"rows":[{"symbol":"PERP_HYPE_USDC","funding_rate":0.00004991,'
    b'"funding_rate_timestamp":1789329600000,"next_funding_time":1789344000000},'
    b'{"symbol":"PERP_HYPE_USDC","funding_rate":5.001E-5,"funding_rate_timestamp":1789315200000,'
    b'"next_funding_time":1789329600000}],"meta":{"total":2,"records_per_page":500,'
    b'"current_page":1}},"timestamp":1789337358316}'
)


def info(**changes: Any) -> bytes:
    rows = [
        {
            "symbol": symbol,
            "status": "ACTIVE",
            "funding_period": hours,
            "cap_funding": cap,
            "floor_funding": floor,
            "created_time": 1_698_307_630_011,
            **changes,
        }
        for symbol, (hours, cap, floor) in INFO.items()
    ]
    return msgspec.json.encode({"success": True, "data": {"rows": rows}, "timestamp": 1})


def estimates(responses_dir: Path) -> dict[str, Estimate]:
    rates = recorded(responses_dir, "orderly/funding_rates_2026-09-13")
    return {e.market: e for e in parse_estimates(info(), rates, FUTURES)}


def test_markets_and_those_of_brokers() -> None:
    markets = {m.market: m for m in parse_markets(info())}
    assert markets.keys() == INFO.keys()
    found = [(m.symbol, m.multiplier, m.quote, m.settle) for m in markets.values()]
    assert found[1] == ("PEPE", 1000, "USDC", "USDC")
    assert found[5] == ("AAPL", 1, "USDC", "USDC"), "the broker is no part of it"
    spx = markets["PERP_SPX500_USDC"]
    assert (spx.rate_cap, spx.rate_floor, spx.interval_hours) == (0.0005, -0.005, 8)
    assert spx.listed_at_ms == 1_698_307_630_011
    assert not any(m.live for m in parse_markets(info(status="REDUCE_ONLY")))


def test_recorded_estimates(responses_dir: Path) -> None:
    found = estimates(responses_dir)
    assert found.keys() == INFO.keys(), "those that info does not tell of are left out"
    btc = found["PERP_BTC_USDC"]
    assert (btc.rate, btc.interval_hours) == (0.0001, 8), "the running one, not the settled"
    assert btc.next_funding_ms == 1_789_344_000_000
    # 26.43846 BTC at 77,090.2 USDC
    assert btc.open_interest_usd == pytest.approx(2_038_146.2, abs=0.1)
    assert btc.volume_24h_usd == 2_461_419.108083
    assert (btc.mark_price, btc.index_price) == (77_090.2, 77_116.1)
    assert found["PERP_EURUSD_USDC"].rate == -0.00029564
    assert found["PERP_EURUSD_USDC"].open_interest_usd is None


def test_rates_are_per_own_period_and_not_per_8_hours(responses_dir: Path) -> None:
    """Half the rate in half the time is the same year; read as per 8 h it would be half of it."""
    found = estimates(responses_dir)
    yearly = {name: apr(e.rate, e.interval_hours) for name, e in found.items()}
    assert yearly["PERP_BTC_USDC"] == pytest.approx(0.1095)
    assert found["PERP_HYPE_USDC"].rate == 0.00005
    assert yearly["PERP_HYPE_USDC"] == pytest.approx(0.1095)
    rows = parse_history(HISTORY)
    assert apr(fraction(rows[0].rate_text), 4) == pytest.approx(0.1093, abs=1e-4)


def test_history_keeps_the_numbers_own_digits() -> None:
    rows = parse_history(HISTORY)
    assert [(r.market, r.time_ms, r.rate_text) for r in rows] == [
        ("PERP_HYPE_USDC", 1_789_329_600_000, "0.00004991"),  # 2026-09-13 20:00
        ("PERP_HYPE_USDC", 1_789_315_200_000, "5.001E-5"),
    ]
    # The settlement after it says nothing about a row's own period.
    assert all(row.interval_hours is None for row in rows)


def test_recorded_newest_settlements(responses_dir: Path) -> None:
    """HISTORY is of the same minutes: the same stamp and number."""
    rates = recorded(responses_dir, "orderly/funding_rates_2026-09-13")
    newest, requests = drive(Orderly().newest([]), lambda _: rates)
    assert [r.endpoint for r in requests] == ["funding_rates"]
    found = {row.market: (row.time_ms, float(row.rate_text)) for row in newest}
    assert len(found) == 8
    assert found["PERP_BTC_USDC"] == (1_789_315_200_000, 0.00009988), "not the estimate, 0.0001"
    assert found["PERP_EURUSD_USDC"] == (1_789_315_200_000, -0.00043126)
    told = parse_history(HISTORY)[0]
    assert found["PERP_HYPE_USDC"] == (told.time_ms, float(told.rate_text))


def test_a_market_that_never_settled_has_no_newest() -> None:
    row = b'{"symbol":"PERP_A_USDC","est_funding_rate":0.1,"next_funding_time":1%s}'
    for more in (
        b"",
        b',"last_funding_rate":null,"last_funding_rate_timestamp":1789315200000',
        b',"last_funding_rate":0.1,"last_funding_rate_timestamp":null',
        b',"last_funding_rate":0,"last_funding_rate_timestamp":0',
    ):
        assert parse_newest(b'{"data":{"rows":[%s]}}' % (row % more)) == []


def test_times_are_asked_for_in_milliseconds() -> None:
    """Seconds would bring nothing and look like a market without settlements."""
    spoken = Spoken("orderly", [1_789_315_200_000])
    window = Window(1_789_315_200_000, 1_789_329_600_000)
    rows, requests = drive(spoken.exchange.history(spoken.market(), window), spoken)
    params = dict(requests[0].params)
    assert (params["start_t"], params["end_t"]) == (1_789_315_200_000, 1_789_329_599_999)
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"funding_period": 0}, "funding_period"),
        ({"symbol": "PERP_BTC"}, "symbol"),
    ],
)
def test_a_market_that_cannot_be_read_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedResponseError, match=rf"rows\[0\]\.{field}"):
        parse_markets(info(**changes))


def test_refusals() -> None:
    told = Orderly().refusal(
        REQUEST, 400, b'{"success":false,"code":-1000,"message":"path not found"}'
    )
    assert isinstance(told, PermanentError)
    assert "path not found" in str(told)
    often = b'{"success":false,"code":-1003,"message":"Rate limit exceed."}'
    assert isinstance(Orderly().refusal(REQUEST, 429, often), RateLimitedError)


def test_ccxt_agrees() -> None:
    symbols = ["BTC/USDC:USDC", "1000PEPE/USDC:USDC", "AAPL/USDC:USDC"]
    assert_agreement("orderly", "woofipro", symbols, markets=138)
