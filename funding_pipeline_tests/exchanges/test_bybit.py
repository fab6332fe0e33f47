"""Bybit: recorded responses with values checked by hand, cursors, refusals."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    ExchangeError,
    GeoBlockedError,
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.bybit import Bybit, parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.payloads import BybitSpeaker, listed
from funding_pipeline_tests.exchanges.spoken import drive

SPEAKER = BybitSpeaker()
REQUEST = Request(endpoint="funding/history", path="/v5/market/funding/history")


def response(folder: Path, name: str) -> bytes:
    return msgspec.json.encode(
        json.loads((folder / "bybit" / f"{name}.json").read_text())["response"]
    )


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(response(responses_dir, "funding_history_btcusdt_2026-09-04"))
    assert len(rows) == 20
    assert [(r.market, r.time_ms, r.rate_text) for r in rows[:3]] == [
        ("BTCUSDT", 1_788_480_000_000, "0.00007352"),
        ("BTCUSDT", 1_788_451_200_000, "0.00008434"),
        ("BTCUSDT", 1_788_422_400_000, "0.00009388"),
    ]
    steps = {a.time_ms - b.time_ms for a, b in itertools.pairwise(rows)}
    assert steps == {8 * 3_600_000}


def test_recorded_instruments(responses_dir: Path) -> None:
    markets, cursor = parse_markets(response(responses_dir, "instruments_info_linear_2026-09-11"))
    assert cursor == ""
    btc = next(m for m in markets if m.market == "BTCUSDT")
    assert (btc.symbol, btc.multiplier, btc.quote, btc.settle) == ("BTC", 1, "USDT", "USDT")
    assert (btc.interval_hours, btc.listed_at_ms, btc.live) == (8, 1_584_230_400_000, True)
    assert (btc.rate_cap, btc.rate_floor) == (0.00333, -0.00333)
    assert all(m.interval_hours in (1, 2, 4, 8) for m in markets), "dated futures are left out"


def test_recorded_tickers(responses_dir: Path) -> None:
    estimates = parse_estimates(response(responses_dir, "tickers_linear_2026-09-11"))
    btc = next(e for e in estimates if e.market == "BTCUSDT")
    assert (btc.rate, btc.interval_hours, btc.next_funding_ms) == (
        0.00004936,
        8,
        1_789_171_200_000,
    )
    assert (btc.mark_price, btc.index_price) == (77766.70, 77797.59)
    assert btc.open_interest_usd == 2071038505.15, "one side, not both"
    assert btc.volume_24h_usd == 6285417277.3039


def test_open_interest_of_both_sides_is_halved_where_one_side_is_not_sent() -> None:
    body = SPEAKER.estimates(REQUEST, lambda row: row.update(singleOpenInterestValue=""))
    assert parse_estimates(body)[0].open_interest_usd == 2000.0


def test_dated_futures_have_no_rate_and_are_left_out() -> None:
    body = SPEAKER.estimates(REQUEST, lambda row: row.update(fundingRate=""))
    assert parse_estimates(body) == []
    dated = SPEAKER.instrument(
        symbol="BTC-26DEC25", contractType="LinearFutures", fundingInterval=0
    )
    assert parse_markets(SPEAKER.answer([dated], ""))[0] == []


@pytest.mark.parametrize("minutes", [0, -480, 90, 1])
def test_an_interval_that_is_no_whole_number_of_hours_is_refused(minutes: int) -> None:
    body = SPEAKER.answer([SPEAKER.instrument(), SPEAKER.instrument(fundingInterval=minutes)], "")
    with pytest.raises(MalformedResponseError) as caught:
        parse_markets(body)
    assert caught.value.field == "$.result.list[1].fundingInterval"


@pytest.mark.parametrize(("minutes", "hours"), [(60, 1), (120, 2), (240, 4), (480, 8), (1440, 24)])
def test_intervals_are_sent_in_minutes(minutes: int, hours: int) -> None:
    (market,), _ = parse_markets(SPEAKER.answer([SPEAKER.instrument(fundingInterval=minutes)], ""))
    assert market.interval_hours == hours


def test_a_market_that_does_not_trade_is_not_live() -> None:
    closed = SPEAKER.instrument(status="Closed", upperFundingRate="", launchTime="0")
    (market,), _ = parse_markets(SPEAKER.answer([closed], ""))
    assert (market.live, market.rate_cap, market.listed_at_ms) == (False, None, None)


@pytest.mark.parametrize(
    ("base", "quote", "symbol", "multiplier"),
    [
        ("1000PEPE", "USDT", "PEPE", 1000),
        ("SHIB1000", "USDT", "SHIB", 1000),
        ("BTC", "USDC", "BTC", 1),
    ],
)
def test_symbols_are_unified(base: str, quote: str, symbol: str, multiplier: int) -> None:
    row = SPEAKER.instrument(symbol=f"{base}{quote}", baseCoin=base, quoteCoin=quote)
    (market,), _ = parse_markets(SPEAKER.answer([row], ""))
    assert (market.symbol, market.multiplier, market.quote) == (symbol, multiplier, quote)


def test_the_market_list_follows_its_cursor_to_the_end() -> None:
    pages = {"": ("AAAUSDT", "c1"), "c1": ("BBBUSDT", "c2"), "c2": ("CCCUSDT", "")}

    def answer(request: Request) -> bytes:
        symbol, cursor = pages[str(request.params.get("cursor", ""))]
        return SPEAKER.answer([SPEAKER.instrument(symbol=symbol)], cursor)

    markets, requests = drive(Bybit().markets(), answer)
    assert [m.market for m in markets] == ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
    assert len(requests) == 3


def test_a_cursor_that_never_ends_is_an_error_and_no_endless_loop() -> None:
    def answer(_: Request) -> bytes:
        return SPEAKER.answer([SPEAKER.instrument()], "again")

    with pytest.raises(MalformedResponseError, match="nextPageCursor"):
        drive(Bybit().markets(), answer)


def refusal(status: int, body: bytes) -> ExchangeError | None:
    return Bybit().refusal(REQUEST, status, body)


def code(number: int, text: str = "no") -> bytes:
    return msgspec.json.encode({"retCode": number, "retMsg": text, "result": {}})


def test_asking_too_often_is_told_from_a_geo_block() -> None:
    assert type(refusal(403, b"403, access too frequent")) is RateLimitedError
    assert refusal(403, b"<html>The request could not be satisfied (CloudFront)</html>") is None


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (10006, RateLimitedError),
        (10018, RateLimitedError),
        (10024, GeoBlockedError),
        (10001, PermanentError),
        (10016, PermanentError),
    ],
)
def test_return_codes(number: int, kind: type[ExchangeError]) -> None:
    error = refusal(200, code(number, "params error: symbol invalid"))
    assert type(error) is kind
    assert f"retCode {number}: params error: symbol invalid" in str(error)


def test_code_nought_is_no_refusal_whatever_the_order_of_its_fields() -> None:
    assert refusal(200, code(0)) is None
    assert refusal(200, b'{"time": 1, "retMsg": "OK", "retCode": 0, "result": {}}') is None


def test_an_answer_without_a_code_is_malformed() -> None:
    with pytest.raises(MalformedResponseError, match="retCode"):
        refusal(200, b'{"result": {"list": []}}')


def test_history_is_asked_with_both_ends() -> None:
    """startTime alone is refused by the exchange."""
    empty: Any = SPEAKER.history([])
    _, (request,) = drive(Bybit().history(listed("BTCUSDT"), Window(1000, 2000)), lambda _: empty)
    assert dict(request.params) == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "startTime": 1000,
        "endTime": 1999,
        "limit": 200,
    }
