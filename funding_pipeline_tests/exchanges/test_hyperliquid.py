"""Hyperliquid: recorded responses with values checked by hand, HIP-3 dexes, refusals, weights."""

import itertools
import json
from pathlib import Path

import msgspec
import pytest

from funding_pipeline.domain.errors import MalformedResponseError, PermanentError
from funding_pipeline.domain.records import Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.hyperliquid import (
    SPEC,
    Hyperliquid,
    parse_dexes,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.payloads import History, HyperliquidSpeaker, listed
from funding_pipeline_tests.exchanges.spoken import drive

HOUR = 3_600_000
SPEAKER = HyperliquidSpeaker()


def response(folder: Path, name: str) -> bytes:
    found = json.loads((folder / "hyperliquid" / f"{name}.json").read_text())
    return msgspec.json.encode(found["response"])


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(response(responses_dir, "funding_history_btc_2026-09-11"))
    assert [(r.market, r.time_ms, r.rate_text) for r in rows] == [
        ("BTC", 1_789_138_800_047, "0.0000125"),
        ("BTC", 1_789_142_400_047, "0.0000125"),
        ("BTC", 1_789_146_000_028, "0.0000125"),
    ]


def test_recorded_hip3_history_keeps_its_prefix(responses_dir: Path) -> None:
    rows = parse_history(response(responses_dir, "funding_history_hip3_xyz100_2026-09-11"))
    assert {(r.market, r.rate_text) for r in rows} == {("xyz:XYZ100", "0.00000625")}


def test_the_long_page_of_2023_holds_both_eras(responses_dir: Path) -> None:
    """1,038 rows in one page: 8 h first, hourly from 2023-06-08 01:00 on, all on the grid."""
    raw = parse_history(response(responses_dir, "cassette_funding_history_btc_2023-07-17"))
    assert len(raw) == 1038
    assert (raw[0].time_ms, raw[0].rate_text) == (1_683_849_600_048, "-0.00061334")
    valid, rejected = validate(
        raw, unit=SPEC.rate_unit, max_abs_rate=SPEC.max_abs_rate, now_ms=1_789_000_000_000
    )
    assert (len(valid), rejected) == (1038, [])
    change = 1_686_186_000_000
    for before, row in itertools.pairwise(valid):
        gap = (row.slot_ms - before.slot_ms) // HOUR
        assert gap >= (1 if row.slot_ms >= change else 8)
    assert any(row.slot_ms == change for row in valid)
    assert valid[0].rate == -0.00061334


def test_recorded_dexes(responses_dir: Path) -> None:
    assert parse_dexes(response(responses_dir, "perp_dexs_2026-09-11")) == ["", "xyz", "flx"]


def test_recorded_markets(responses_dir: Path) -> None:
    markets = parse_markets(response(responses_dir, "meta_and_asset_ctxs_2026-09-11"))
    assert [(m.market, m.live) for m in markets] == [("BTC", True), ("ETH", True), ("MATIC", False)]
    assert {(m.quote, m.settle, m.interval_hours) for m in markets} == {("USD", "USDC", 1)}


def test_recorded_hip3_markets(responses_dir: Path) -> None:
    markets = parse_markets(response(responses_dir, "meta_and_asset_ctxs_hip3_xyz_2026-09-11"))
    assert [(m.market, m.symbol, m.multiplier) for m in markets][:2] == [
        ("xyz:XYZ100", "XYZ100", 1),
        ("xyz:AAPL", "AAPL", 1),
    ]


def test_recorded_estimates(responses_dir: Path) -> None:
    estimates = parse_estimates(response(responses_dir, "meta_and_asset_ctxs_2026-09-11"))
    assert [e.market for e in estimates] == ["BTC", "ETH"], "the delisted one is left out"
    btc = estimates[0]
    assert (btc.rate, btc.interval_hours) == (0.0000083651, 1)
    assert (btc.mark_price, btc.index_price) == (77748.0, 77783.3)
    assert btc.open_interest_usd == pytest.approx(35818.6831799999 * 77748.0)
    assert btc.volume_24h_usd == 3571973656.4438381195


def test_every_dex_is_asked_once_the_main_one_without_a_name() -> None:
    markets, requests = drive(Hyperliquid().markets(), SPEAKER.markets)
    assert [dict(r.body or {}) for r in requests] == [
        {"type": "perpDexs"},
        {"type": "metaAndAssetCtxs"},
        {"type": "metaAndAssetCtxs", "dex": "xyz"},
    ]
    assert [(m.market, m.symbol, m.multiplier) for m in markets] == [
        ("BTC", "BTC", 1),
        ("kPEPE", "PEPE", 1000),
        ("xyz:BTC", "BTC", 1),
        ("xyz:kPEPE", "PEPE", 1000),
    ]


def test_assets_and_contexts_of_different_number_are_refused() -> None:
    meta = {"universe": [{"name": "BTC"}, {"name": "ETH"}]}
    context = {"funding": "0.1", "openInterest": "1", "dayNtlVlm": "1"}
    with pytest.raises(MalformedResponseError, match="2 assets but 1 contexts") as caught:
        parse_markets(msgspec.json.encode([meta, [context]]))
    assert caught.value.field == "$[1]"


def test_missing_prices_are_none_and_not_nought() -> None:
    body = SPEAKER.estimates(
        Request(endpoint="x", path="/info", body={"type": "metaAndAssetCtxs"}),
        lambda row: row.update(markPx=None, oraclePx=""),
    )
    first = parse_estimates(body)[0]
    assert (first.mark_price, first.index_price, first.open_interest_usd) == (None, None, None)


def test_two_requests_read_a_full_month_of_a_coin() -> None:
    start = 1_746_057_600_000
    times = [start + h * HOUR + h % 100 for h in range(744)]
    rows, requests = drive(
        Hyperliquid().history(listed("BTC"), Window(start - 5_000, start + 744 * HOUR)),
        History(SPEAKER, times),
    )
    assert len(rows) == 744
    assert len(requests) == 2
    assert SPEAKER.asked(requests[1])[1] == times[499] + 1


@pytest.mark.parametrize(("hours", "weight"), [(1, 21), (20, 22), (100, 26), (744, 45)])
def test_weights_follow_the_rows_that_can_come(hours: int, weight: int) -> None:
    """20 a call and one for every 20 rows; never less than what the exchange will count."""
    window = Window(0, hours * HOUR)
    _, (request,) = drive(Hyperliquid().history(listed("BTC"), window), lambda _: b"[]")
    assert request.weight == weight
    assert request.weight >= 20 + -(-min(hours, 500) // 20)


def test_an_unknown_coin_is_refused_for_good() -> None:
    request = Request(endpoint="fundingHistory", path="/info", body={"coin": "NOPE"})
    error = Hyperliquid().refusal(request, 500, b"null")
    assert type(error) is PermanentError
    assert "unknown coin" in str(error)
    assert "NOPE" in str(error)
    for status, body in ((500, b"Internal Server Error"), (200, b"null"), (429, b"null")):
        assert Hyperliquid().refusal(request, status, body) is None
