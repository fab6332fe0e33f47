"""Nado: recorded contracts with values checked by hand, history by product, refusals.

ccxt has no funding history of Nado.
"""

import json
from pathlib import Path

import pytest

from funding_pipeline.domain.errors import (
    GeoBlockedError,
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.nado import (
    SPEC,
    Nado,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.against_ccxt import NOW_MS
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="funding_rate_history", path="/v1", method="POST")


def symbols(**status: str) -> bytes:
    """The gateway's answer: trading status by base coin."""
    rows = {
        f"{base}-PERP": {"type": "perp", "symbol": f"{base}-PERP", "trading_status": told}
        for base, told in status.items()
    }
    return json.dumps({"status": "success", "data": {"symbols": rows}}).encode()


def contracts(responses_dir: Path) -> bytes:
    return recorded(responses_dir, "nado/contracts_2026-09-13")


def test_a_settled_row() -> None:
    """As the history had it of 2026-09-13 22:00: 6.1 % a year."""
    body = (
        b'{"funding_rates":[{"product_id":2,"timestamp":"1789336800",'
        b'"funding_rate_x18":"6943496312518"}]}'
    )
    [row] = parse_history(body, "BTC-PERP_USDT0")
    assert (row.market, row.time_ms) == ("BTC-PERP_USDT0", 1_789_336_800_000)
    assert row.rate_text == "6943496312518"
    rate = fraction(row.rate_text, SPEC.rate_unit)
    assert rate == 6.943496312518e-06
    assert apr(rate, 1) == pytest.approx(0.060825027)


def test_recorded_markets(responses_dir: Path) -> None:
    status = symbols(ADA="not_tradable", ETH="post_only", AAPL="soft_reduce_only", BTC="live")
    found = {m.market: m for m in parse_markets(contracts(responses_dir), status)}
    assert {name: m.api_id for name, m in found.items()} == {
        "kPEPE-PERP_USDT0": "38",
        "ETH-PERP_USDT0": "4",
        "ADA-PERP_USDT0": "60",
        "BTC-PERP_USDT0": "2",
        "AAPL-PERP_USDT0": "102",
    }
    # Restricted markets still pay; so may one of which nothing is told.
    assert [name for name, m in found.items() if not m.live] == ["ADA-PERP_USDT0"]
    btc, pepe = found["BTC-PERP_USDT0"], found["kPEPE-PERP_USDT0"]
    assert (btc.symbol, btc.quote, btc.settle) == ("BTC", "USDT0", "USDT0")
    assert (btc.interval_hours, btc.asset_class) == (1, None)
    assert (pepe.symbol, pepe.multiplier) == ("PEPE", 1000)


def test_recorded_estimates(responses_dir: Path) -> None:
    body = contracts(responses_dir)
    found = {e.market: e for e in parse_estimates(body, symbols(ADA="not_tradable"))}
    assert len(found) == 4
    assert "ADA-PERP_USDT0" not in found
    # The rate of 24 hours: 0.0003 of a quiet market is 0.0000125 an hour, 10.95 % a year.
    quiet = found["kPEPE-PERP_USDT0"]
    assert quiet.raw_rate == "0.000299999999999701", "every digit as sent"
    assert apr(quiet.rate, quiet.interval_hours) == pytest.approx(0.1095)
    btc = found["BTC-PERP_USDT0"]
    assert btc.rate == pytest.approx(0.00010991167139984 / 24, rel=1e-15)
    assert btc.interval_hours == 1
    assert btc.next_funding_ms == 1_789_340_400_000
    # Told in USD: 215.3981 BTC at 76,790.
    assert btc.open_interest_usd == 16_540_430.868905
    assert btc.open_interest_usd == pytest.approx(215.3981 * (btc.mark_price or 0), rel=0.001)
    assert btc.volume_24h_usd == 88_844_499.99528772
    assert found["AAPL-PERP_USDT0"].rate == pytest.approx(-0.000479230717306537 / 24)


def test_a_rate_as_text_is_refused(responses_dir: Path) -> None:
    answer = json.loads(contracts(responses_dir))
    answer["BTC-PERP_USDT0"]["funding_rate"] = "0.0001"
    with pytest.raises(MalformedResponseError, match=r"\$\.BTC-PERP_USDT0\.funding_rate"):
        parse_estimates(json.dumps(answer).encode(), symbols())


def test_dated_contracts_and_spot_are_left_out(responses_dir: Path) -> None:
    answer = json.loads(contracts(responses_dir))
    answer["BTC-PERP_USDT0"]["product_type"] = "spot"
    markets = parse_markets(json.dumps(answer).encode(), symbols())
    assert len(markets) == 4


def test_history_asks_by_product_for_the_rows_of_its_window() -> None:
    listed = Listed("nado", NOW_MS, 3)
    market = drive(Nado().markets(), listed)[0][2]
    start = NOW_MS // HOUR * HOUR - 30 * HOUR
    rows, requests = drive(Nado().history(market, Window(start - 5000, start + 24 * HOUR)), listed)
    assert [row.time_ms for row in rows] == [start + n * HOUR for n in range(24)]
    assert [request.body for request in requests] == [
        {
            "funding_rate_history": {
                "product_id": int(market.api_id or 0),
                "start_time": start // 1000 - 5,
                "end_time": (start + 24 * HOUR) // 1000 - 1,
                "limit": 26,
            }
        }
    ]
    assert requests[0].weight == 3, "2 and one for each 100 rows"


def test_both_hosts_are_asked_with_compression() -> None:
    _, requests = drive(Nado().estimates(), Listed("nado", NOW_MS, 3))
    assert [(r.origin, r.path) for r in requests] == [
        ("", "/v2/contracts"),
        ("gateway", "/v1/query"),
    ]
    assert SPEC.headers["Accept-Encoding"] == "gzip"


def test_refusals() -> None:
    def told(status: int, code: int) -> object:
        body = b'{"status":"failure","error":"why","error_code":%d}' % code
        return Nado().refusal(REQUEST, status, body)

    assert isinstance(told(400, 2015), PermanentError)
    assert "2015: why" in str(told(200, 2015))
    assert isinstance(told(400, 1000), RateLimitedError)
    assert isinstance(told(429, 2015), RateLimitedError)
    assert isinstance(told(403, 1002), GeoBlockedError)
