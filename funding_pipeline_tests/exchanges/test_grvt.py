"""GRVT: captured rows with values checked by hand, percent, capital K, ccxt, refusals."""

from typing import Any

import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.grvt import SPEC, Grvt, parse_history, parse_markets
from funding_pipeline_tests.exchanges import against_ccxt
from funding_pipeline_tests.exchanges.spoken import drive

REQUEST = Request(endpoint="funding", path="/full/v1/funding", method="POST")
# 2026-09-13: the settlement of 16:00, when Binance had 0.0000645 for its 8 hours.
CAPTURED = (
    b'{"result":[{"instrument":"BTC_USDT_Perp","funding_rate":"0.0061",'
    b'"funding_time":"1789315200000000000","mark_price":"77098.400057842",'
    b'"funding_rate_8_h_avg":"0.0061","funding_interval_hours":8},'
    b'{"instrument":"BTC_USDT_Perp","funding_rate":"-0.0385",'
    b'"funding_time":"1783497600000000000","mark_price":"62806.570258864",'
    b'"funding_rate_8_h_avg":"-0.0385","funding_interval_hours":8}],'
    b'"next":"eyJmdW5kaW5nVGltZSI6MTc4OTIwMDAwMDAwMDAwMDAwMH0"}'
)
INSTRUMENT = (
    '{"instrument":"%s_USDT_Perp","base":"%s","quote":"USDT","kind":"%s",'
    '"funding_interval_hours":%d,"adjusted_funding_rate_cap":"%s",'
    '"adjusted_funding_rate_floor":"-%s","create_time":"1787802370345408848"}'
)


def instruments(*rows: tuple[str, str, int, str]) -> bytes:
    """The answer that lists (base, kind, hours, cap in percent)."""
    texts = [INSTRUMENT % (base, base, kind, hours, cap, cap) for base, kind, hours, cap in rows]
    return f'{{"result":[{",".join(texts)}]}}'.encode()


def test_captured_history_is_percent_per_its_own_interval() -> None:
    rows = parse_history(CAPTURED)
    assert [(r.time_ms, r.rate_text, r.interval_hours) for r in rows] == [
        (1_789_315_200_000, "0.0061", 8),
        (1_783_497_600_000, "-0.0385", 8),
    ]
    assert rows[0].mark_price == 77098.400057842
    settled = fraction(rows[0].rate_text, SPEC.rate_unit)
    assert settled == 0.000061
    assert apr(settled, 8) == pytest.approx(0.066795)
    # What markets rest at: 0.01 % per 8 hours, whatever the interval.
    eight, four = (fraction(text, SPEC.rate_unit) for text in ("0.01", "0.005"))
    assert apr(eight, 8) == apr(four, 4) == pytest.approx(0.1095)


def test_a_running_rate_among_old_rows_is_no_settlement() -> None:
    """2025-10-15 02:11: rows of every minute, whose interval is 0 hours."""
    row = (
        b'{"result":[{"instrument":"BTC_USDT_Perp","funding_rate":"-0.0034",'
        b'"funding_time":"1760494260000000000","mark_price":"112721.159060304",'
        b'"funding_rate_8_h_avg":"-0.0038","funding_interval_hours":0}]}'
    )
    assert parse_history(row) == []
    (settled,) = parse_history(row.replace(b'hours":0', b'hours":4'))
    assert settled.interval_hours == 4


def test_markets() -> None:
    body = instruments(
        ("BTC", "PERPETUAL", 8, "0.3"),
        ("KBONK", "PERPETUAL", 4, "2.0"),
        ("KAITO", "PERPETUAL", 4, "2.0"),
        ("KAS", "PERPETUAL", 4, "2.0"),
        ("ETH", "FUTURE", 8, "0.3"),
    )
    btc, *others = parse_markets(body)
    assert (btc.market, btc.symbol, btc.quote, btc.settle) == (
        "BTC_USDT_Perp",
        "BTC",
        "USDT",
        "USDT",
    )
    assert (btc.interval_hours, btc.rate_cap, btc.rate_floor) == (8, 0.003, -0.003)
    assert btc.listed_at_ms is None, "every instrument tells the same create_time"
    assert [(m.symbol, m.multiplier, m.interval_hours) for m in others] == [
        ("BONK", 1000, 4),
        ("KAITO", 1, 4),
        ("KAS", 1, 4),
    ]
    with pytest.raises(MalformedResponseError, match=r"\[0\]\.funding_interval_hours"):
        parse_markets(instruments(("BTC", "PERPETUAL", 0, "0.3")))


def test_requests_name_the_window_in_nanoseconds_and_the_aggregation() -> None:
    market = Market(market="BTC_USDT_Perp", symbol="BTC", quote="USDT", settle="USDT")
    plan = Grvt().history(market, Window(1_789_286_400_000, 1_789_315_200_000))
    _, (request,) = drive(plan, lambda _: b'{"result":[],"next":""}')
    assert request.method == "POST"
    assert request.body == {
        "instrument": "BTC_USDT_Perp",
        "start_time": "1789286400000000000",
        "end_time": "1789315199999999999",
        "limit": 1000,
        "agg_type": "FUNDING_INTERVAL",
    }


def test_refusals() -> None:
    told = Grvt().refusal(
        REQUEST,
        400,
        b'{"request_id":1,"code":1003,"message":"malformed syntax","status":400}',
    )
    assert isinstance(told, PermanentError)
    assert "1003: malformed syntax" in str(told)
    limited = b'{"request_id":1,"code":1006,"message":"rate limit","status":429}'
    assert isinstance(Grvt().refusal(REQUEST, 429, limited), RateLimitedError)


def test_ccxt_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """ccxt's address of GRVT ends with the slash that its paths lack."""
    unslashed = against_ccxt.pointed_at

    def pointed_at(*args: Any, **options: Any) -> Any:
        client = unslashed(*args, **options)
        client.urls["api"]["publicMarket"] = client.urls["api"]["publicMarket"].rstrip("/") + "/"
        return client

    monkeypatch.setattr(against_ccxt, "pointed_at", pointed_at)
    symbols = ["BTC/USDT:USDT", "KPEPE/USDT:USDT", "ARB/USDT:USDT"]
    against_ccxt.assert_agreement("grvt", "grvt", symbols)
