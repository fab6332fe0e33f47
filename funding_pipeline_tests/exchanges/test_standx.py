"""StandX: recorded rows checked by hand, the unit, what is asked for, caps and live symbols."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from funding_pipeline.domain.errors import MalformedResponseError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.standx import (
    SPEC,
    StandX,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
MARKET = Market(market="BTC-USD", symbol="BTC", quote="DUSD", settle="DUSD")
SYMBOLS = b"""[
 {"symbol":"BTC-USD","base_asset":"BTC","quote_asset":"DUSD","status":"trading",
  "created_at":"2025-07-10T05:15:32.089568Z",
  "funding_rate_cap":"0.000375","funding_rate_floor":"-0.000375"},
 {"symbol":"XAU-USD","base_asset":"XAU","quote_asset":"DUSD","status":"halted"}]"""
OVERVIEW = b"""{"summary":{},"symbols":[
 {"symbol":"XAU-USD","funding_rate":"0.00000500"},
 {"symbol":"BTC-USD","funding_rate":"0.00000838","mark_price":"76938.01",
  "open_interest":"384.2412","open_interest_notional":"29562753.288012",
  "volume_quote_24h":"264001802.08615624904632568357"}]}"""


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "standx/query_funding_rates_btc_2026-09-13"))
    assert [(r.market, r.time_ms, r.rate_text, r.mark_price) for r in rows] == [
        ("BTC-USD", 1_789_329_600_000, "0.00001222", 77244.46),
        ("BTC-USD", 1_789_333_200_000, "0.00001250", 77324.79),
        ("BTC-USD", 1_789_336_800_000, "0.00000873", 77278.99),
    ]
    assert all(row.time_ms % HOUR == 0 for row in rows), "on the hour"


def test_the_rate_is_a_fraction_per_hour(responses_dir: Path) -> None:
    """0.0000125 is 10.95 % a year per hour; per 8 h it would be 1.4 %. At 22:00 it was 7.65 %."""
    rows = parse_history(recorded(responses_dir, "standx/query_funding_rates_btc_2026-09-13"))
    assert isinstance(SPEC.interval, FixedInterval)
    hours = SPEC.interval.at(rows[0].time_ms)
    years = [apr(fraction(row.rate_text, SPEC.rate_unit), hours) for row in rows]
    assert years == pytest.approx([0.1070472, 0.1095, 0.0764748], rel=1e-12)


def test_markets_with_their_caps() -> None:
    btc, xau = parse_markets(SYMBOLS)
    assert (btc.market, btc.symbol, btc.quote, btc.settle, btc.live) == (
        "BTC-USD", "BTC", "DUSD", "DUSD", True,
    )  # fmt: skip
    assert (btc.rate_cap, btc.rate_floor, btc.interval_hours) == (0.000375, -0.000375, 1)
    assert btc.listed_at_ms == 1_752_124_532_090
    assert (xau.live, xau.rate_cap, xau.listed_at_ms) == (False, None, None)
    assert btc.rate_cap is not None
    assert btc.rate_cap < SPEC.max_abs_rate


def test_estimates_of_the_traded_only_with_notional_as_sent() -> None:
    """384.2412 BTC at 76,938.01 are the 29.6 million that are told: no price is multiplied in."""
    (btc,) = parse_estimates(SYMBOLS, OVERVIEW)
    assert (btc.market, btc.rate, btc.raw_rate) == ("BTC-USD", 0.00000838, "0.00000838")
    assert btc.open_interest_usd == pytest.approx(384.2412 * 76_938.01, rel=1e-6)
    assert btc.volume_24h_usd == pytest.approx(264_001_802.086)


def test_a_time_that_is_none_is_named() -> None:
    row = b'[{"symbol":"A","time":"soon","funding_rate":"0"}]'
    with pytest.raises(MalformedResponseError, match=r"\$\[0\]\.time"):
        parse_history(row)


def test_never_more_than_a_month_is_asked_for_at_once() -> None:
    """Milliseconds: seconds bring nothing. One before the edge: nobody says what it includes."""
    window = Window(1_789_257_600_000, 1_789_257_600_000 + 1000 * HOUR)
    found, requests = drive(StandX().history(MARKET, window), lambda _: b"[]")
    assert found == []
    assert [dict(r.params) for r in requests] == [
        {
            "symbol": "BTC-USD",
            "start_time": 1_789_257_599_999,
            "end_time": 1_789_257_599_999 + 720 * HOUR,
        },
        {
            "symbol": "BTC-USD",
            "start_time": 1_789_257_599_999 + 720 * HOUR,
            "end_time": 1_789_257_599_999 + 1000 * HOUR,
        },
    ]


@pytest.mark.parametrize("included", [True, False])
def test_whether_the_edges_are_included_makes_no_difference(included: bool) -> None:
    """The row on the window's first millisecond belongs to it, the one on its end does not."""
    start = 1_789_257_600_000
    times = [start + i * HOUR for i in range(-1, 4)]

    def answer(request: Request) -> bytes:
        low, high = int(request.params["start_time"]), int(request.params["end_time"])
        inside = [t for t in times if low < t < high or (included and t in (low, high))]
        return _rows(inside)

    found, _ = drive(StandX().history(MARKET, Window(start, start + 3 * HOUR)), answer)
    assert found == [RawSettlement("BTC-USD", t, "0.1") for t in times[1:4]]


def _rows(times: list[int]) -> bytes:
    rows = [
        f'{{"symbol":"BTC-USD","time":"{datetime.fromtimestamp(t // 1000, UTC):%Y-%m-%dT%XZ}",'
        f'"funding_rate":"0.1"}}'
        for t in times
    ]
    return f"[{','.join(rows)}]".encode()
