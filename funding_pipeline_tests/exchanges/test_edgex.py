"""edgeX V2: recorded responses with values checked by hand, traps, recorded polls, refusals."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.edgex import (
    SPEC,
    Edgex,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="getFundingRatePage", path="/api/v2/public/funding/getFundingRatePage")
BTC = Market(market="BTCUSDC", api_id="30000001", symbol="BTC", quote="USDC", settle="USDC")


def test_recorded_history(responses_dir: Path) -> None:
    body = recorded(responses_dir, "edgex/v2_funding_rate_page_btc_2026-09-13")
    rows = parse_history(body, "BTCUSDC")
    assert [(r.market, r.time_ms, r.rate_text, r.interval_hours) for r in rows] == [
        ("BTCUSDC", 1_789_329_600_000, "-0.00005067", 4),
        ("BTCUSDC", 1_789_315_200_000, "-0.0000522", 4),
        ("BTCUSDC", 1_789_300_800_000, "-0.00005842", 4),
    ]
    assert {a.time_ms - b.time_ms for a, b in pairwise(rows)} == {4 * HOUR}
    assert rows[0].mark_price == pytest.approx(77238.856686018)
    # A fraction per 4 hours: -11.1 % a year.
    assert apr(fraction(rows[0].rate_text, SPEC.rate_unit), 4) == pytest.approx(-0.1109673)
    # The interest component of 0.01 % per 8 hours is 0.00005 here.
    assert apr(fraction("0.00005", SPEC.rate_unit), 4) == pytest.approx(0.1095)


def test_forecasts_of_every_minute_are_no_settlements(responses_dir: Path) -> None:
    """They come when the filter is forgotten, all stamped with the settlement before them."""
    latest = recorded(responses_dir, "edgex/v2_latest_funding_rate_2026-09-13")
    page = latest.replace(b'"data":[', b'"data":{"dataList":[').replace(
        b'],"msg"', b'],"nextPageOffsetData":""},"msg"'
    )
    assert parse_history(page, "BTCUSDC") == []


def test_requests_ask_for_settlements_and_name_the_window_its_end_excluded() -> None:
    empty = b'{"code":"SUCCESS","data":{"dataList":[],"nextPageOffsetData":""}}'
    _, (request,) = drive(Edgex().history(BTC, Window(HOUR, 9 * HOUR)), lambda _: empty)
    assert request.params == {
        "contractId": "30000001",
        "size": 100,
        "filterSettlementFundingRate": "true",
        "filterBeginTimeInclusive": HOUR,
        "filterEndTimeExclusive": 9 * HOUR,
    }


def test_recorded_estimates_are_forecasts(responses_dir: Path) -> None:
    body = recorded(responses_dir, "edgex/v2_latest_funding_rate_2026-09-13")
    found = list(parse_estimates(body, {"30000001": "BTCUSDC", "30000169": "哈基米USDC"}))
    hajimi, btc = found
    assert (btc.market, btc.raw_rate, btc.rate) == ("BTCUSDC", "-0.00005592", -0.00005592)
    assert hajimi.rate == 0.00005299, "neither what settled nor predictedFundingRate"
    # 20:00 settled, midnight follows.
    assert (btc.interval_hours, btc.next_funding_ms) == (4, 1_789_344_000_000)
    assert btc.mark_price == pytest.approx(76767.0448084)
    assert (btc.open_interest_usd, btc.volume_24h_usd) == (None, None)
    no_forecast_yet = body.replace(
        b'"forecastFundingRate":"-0.00005592"', b'"forecastFundingRate":""'
    )
    assert list(parse_estimates(no_forecast_yet, {"30000001": "BTCUSDC"})) == []


def test_recorded_newest_settlements_are_the_history_s(responses_dir: Path) -> None:
    """Text, stamp and interval; the price of the minute is not the one of the settlement."""
    body = recorded(responses_dir, "edgex/v2_latest_funding_rate_2026-09-13")
    newest, requests = drive(Edgex().newest([BTC]), lambda _: body)
    assert [dict(r.params) for r in requests] == [{"contractId": "30000001"}]
    page = recorded(responses_dir, "edgex/v2_funding_rate_page_btc_2026-09-13")
    assert newest == [msgspec.structs.replace(parse_history(page, "BTCUSDC")[0], mark_price=None)]
    assert newest[0].rate_text == "-0.00005067", "neither forecast nor previous"


@pytest.mark.parametrize(("contracts", "calls"), [(1, 1), (200, 1), (201, 2), (400, 2)])
def test_as_few_calls_as_the_list_of_contracts_allows(contracts: int, calls: int) -> None:
    listed = [
        msgspec.structs.replace(BTC, market=f"M{n}", api_id=str(30_000_001 + n))
        for n in range(contracts)
    ]
    empty = b'{"code":"SUCCESS","data":[]}'
    assert len(drive(Edgex().newest(listed), lambda _: empty)[1]) == calls


def test_recorded_metadata(responses_dir: Path) -> None:
    body = recorded(responses_dir, "edgex/v2_metadata_2026-09-13")
    btc, zro, hajimi = parse_markets(body)
    assert (btc.market, btc.api_id, btc.symbol) == ("BTCUSDC", "30000001", "BTC")
    assert (btc.quote, btc.settle, btc.live, btc.interval_hours) == ("USDC", "USDC", True, 4)
    assert (btc.rate_cap, btc.rate_floor) == (0.002, -0.002)
    assert btc.asset_class is None, "gold has no flag either"
    assert not zro.live, "hidden"
    assert (hajimi.market, hajimi.symbol) == ("哈基米USDC", "HAJIMI")
    share = body.replace(b'"isStock":false', b'"isStock":true', 1)
    assert parse_markets(share)[0].asset_class == "equity"
    currency = body.replace(b'"isFx":false', b'"isFx":true', 1)
    assert parse_markets(currency)[0].asset_class == "fx"


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        (b'IntervalMin":"240"', b'IntervalMin":"90"', "fundingRateIntervalMin"),
        (b'IntervalMin":"240"', b'IntervalMin":""', "fundingRateIntervalMin"),
        (b'"baseCoinId":"1001"', b'"baseCoinId":"7"', "baseCoinId"),
    ],
)
def test_bad_metadata_is_named(
    responses_dir: Path, before: bytes, after: bytes, field: str
) -> None:
    body = recorded(responses_dir, "edgex/v2_metadata_2026-09-13")
    with pytest.raises(MalformedResponseError, match=rf"contractList\[0\]\.{field}"):
        parse_markets(body.replace(before, after, 1))


def test_recorded_polls_are_served_under_their_names(recorded_dir: Path) -> None:
    """Names of V1, without the C; each settlement is the last poll of its four hours."""
    exchange = SANDBOX["edgex"]
    now_ms = 1_771_632_600_000  # 2026-02-21 00:10
    dataset = load_recorded(recorded_dir, [exchange], now_ms=now_ms, markets=5)
    listed = Listed("edgex", now_ms, 1)
    listed.dataset = Dataset(dataset.markets, source="recorded")
    markets, _ = drive(Edgex().markets(), listed)
    btc = next(m for m in markets if m.symbol == "BTC")
    assert (btc.market, btc.quote) == ("BTCUSD", "USD")
    rows, _ = drive(Edgex().history(btc, Window(now_ms - 16 * HOUR, now_ms)), listed)
    assert [row.rate_text for row in rows] == [
        "0.00005000",
        "-0.00005038",  # polled at 19:21 on 2026-02-20
        "-0.00004957",  # at 15:22
        "0.00005000",
    ]


def test_refusals() -> None:
    refusal: Callable[..., object] = Edgex().refusal
    missing = b'{"code":"GATEWAY_PARAM_REQUIRED","data":null,"msg":"contractId"}'
    told = refusal(REQUEST, 400, missing)
    assert isinstance(told, PermanentError)
    assert "GATEWAY_PARAM_REQUIRED: contractId" in str(told)
    limited = b'{"code":"RATE_LIMIT_EXCEEDED","data":null,"msg":"slow down"}'
    assert isinstance(refusal(REQUEST, 200, limited), RateLimitedError)
