"""MEXC: recorded responses with values checked by hand, a recorded month, refusals, ccxt."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.mexc import Mexc, parse_estimates, parse_history, parse_markets
from funding_pipeline.sandbox.market import utc_ms
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.replayed import replay
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="funding_rate/history", path="/api/v1/contract/funding_rate/history")


def answer(data: Any) -> bytes:
    return msgspec.json.encode({"success": True, "code": 0, "data": data})


def contract(symbol: str, size: float, state: int = 0, **changes: Any) -> dict[str, Any]:
    base, _, quote = symbol.partition("_")
    return {
        "symbol": symbol,
        "baseCoin": base,
        "quoteCoin": quote,
        "settleCoin": quote,
        "contractSize": size,
        "state": state,
        **changes,
    }


def running(folder: Path, *others: dict[str, Any]) -> bytes:
    """The recorded rate of BTC_USDT as the first of the list of all."""
    btc = json.loads(recorded(folder, "mexc/funding_rate_btc_2026-09-11"))["data"]
    return answer([btc, *({**btc, **other} for other in others)])


def test_markets_of_every_kind(responses_dir: Path) -> None:
    contracts = answer(
        [
            contract("BTC_USDT", 0.0001, createTime=1591242684000),
            contract("BTC_USD", 100, settleCoin="BTC"),
            contract("1000BONK_USDT", 1),
            contract("TON_USDT", 1, state=3),
        ]
    )
    rates = running(responses_dir, {"symbol": "TON_USDT", "collectCycle": 0})
    markets = parse_markets(contracts, rates)
    assert [(m.market, m.symbol, m.multiplier, m.quote, m.settle) for m in markets] == [
        ("BTC_USDT", "BTC", 1, "USDT", "USDT"),
        ("BTC_USD", "BTC", 1, "USD", "BTC"),
        ("1000BONK_USDT", "BONK", 1000, "USDT", "USDT"),
        ("TON_USDT", "TON", 1, "USDT", "USDT"),
    ]
    assert [m.live for m in markets] == [True, True, True, False]
    assert [m.interval_hours for m in markets] == [8, None, None, None]
    assert (markets[0].rate_cap, markets[0].rate_floor) == (0.0018, -0.0018)
    assert (markets[0].listed_at_ms, markets[1].listed_at_ms) == (1_591_242_684_000, None)


def test_recorded_running_rate(responses_dir: Path) -> None:
    contracts = answer(
        [
            contract("BTC_USDT", 0.0001),
            contract("BTC_USD", 100, settleCoin="BTC"),
            contract("XAU_USDT", 0.001),
            contract("TON_USDT", 1, state=3),
        ]
    )
    rates = running(
        responses_dir,
        {"symbol": "BTC_USD"},
        {"symbol": "XAU_USDT", "fundingRate": 0.000147, "collectCycle": 4},
        {"symbol": "TON_USDT"},
    )
    ticker = {"fairPrice": 77825.6, "indexPrice": 77863.3}
    tickers = answer(
        [
            {"symbol": "BTC_USDT", **ticker, "holdVol": 417583841, "amount24": 4750304885.22576},
            {"symbol": "BTC_USD", **ticker, "holdVol": 123456, "amount24": 10},
        ]
    )
    estimates = parse_estimates(contracts, rates, tickers)
    assert [e.market for e in estimates] == ["BTC_USDT", "BTC_USD", "XAU_USDT"], "none withdrawn"
    btc, inverse, gold = estimates
    assert (btc.rate, btc.interval_hours) == (0.000029, 8)
    assert apr(btc.rate, btc.interval_hours) == pytest.approx(0.031755)
    assert btc.next_funding_ms == 1_789_171_200_000
    assert apr(gold.rate, gold.interval_hours) == pytest.approx(0.32193), "per 4 h"
    # 417,583,841 contracts of 0.0001 BTC at 77,825.6 USDT
    assert btc.open_interest_usd == pytest.approx(3_249_871_297.61, rel=1e-9)
    assert btc.volume_24h_usd == 4750304885.22576
    # 123,456 contracts of 100 dollars; 10 BTC traded
    assert (inverse.open_interest_usd, inverse.volume_24h_usd) == (12_345_600, 778_256)
    assert (gold.mark_price, gold.open_interest_usd) == (None, None)


def test_a_running_rate_without_an_interval_is_refused(responses_dir: Path) -> None:
    contracts = answer([contract("BTC_USDT", 1), contract("ETH_USDT", 1)])
    with pytest.raises(MalformedResponseError) as caught:
        parse_estimates(
            contracts,
            running(responses_dir, {"symbol": "ETH_USDT", "collectCycle": 0}),
            answer([]),
        )
    assert caught.value.field == "$.data[1].collectCycle"


def page(*rows: str) -> bytes:
    """A page of settled rows, whose numbers keep their digits."""
    told = ",".join(rows)
    return f'{{"success":true,"code":0,"data":{{"totalPage":1,"resultList":[{told}]}}}}'.encode()


def row(hour: int, rate: str = "0.000036", cycle: str = ',"collectCycle":8') -> str:
    return f'{{"symbol":"BTC_USDT","fundingRate":{rate},"settleTime":{hour * HOUR}{cycle}}}'


def test_settled_rows_carry_their_interval_and_keep_their_digits() -> None:
    body = page(row(9, "0.00003600"), row(5, "-1.2E-5", ',"collectCycle":4'), row(1, cycle=""))
    assert [(r.time_ms // HOUR, r.rate_text, r.interval_hours) for r in parse_history(body)] == [
        (9, "0.00003600", 8),
        (5, "-1.2E-5", 4),
        (1, "0.000036", None),
    ]
    with pytest.raises(MalformedResponseError) as caught:
        parse_history(page(row(9), row(1, cycle=',"collectCycle":0')))
    assert caught.value.field == "$.data.resultList[1].collectCycle"


def test_the_number_of_pages_told_is_not_trusted() -> None:
    """Each page says that it is the only one."""
    market = Market(market="BTC_USDT", symbol="BTC", quote="USDT", settle="USDT")
    pages = [page(row(800), row(792)), page(row(784), row(776)), page(row(768))]
    rows, requests = drive(
        Mexc().history(market, Window(770 * HOUR, 793 * HOUR)),
        lambda request: pages[int(request.params["page_num"]) - 1],
    )
    assert [r.time_ms // HOUR for r in rows] == [792, 784, 776]
    assert [dict(r.params) for r in requests] == [
        {"symbol": "BTC_USDT", "page_num": number, "page_size": 100} for number in (1, 2, 3)
    ]


def test_a_recorded_month_comes_back_exactly(recorded_dir: Path) -> None:
    """October 2023, reached through the 183 settlements that followed."""
    october = Window(utc_ms(2023, 10, 1), utc_ms(2023, 11, 1))
    found = replay("mexc", recorded_dir, october, utc_ms(2024, 1, 15))
    assert len(found) == 2
    for market, replayed in found.items():
        assert replayed.told == replayed.recorded, market
        assert len(replayed.told) == 93
        assert {r.interval_hours for r in replayed.raw} == {8}
        assert replayed.requests == 3


def test_refusals() -> None:
    told = Mexc().refusal(
        REQUEST, 200, b'{"success":false,"code":1001,"message":"Contract does not exist!"}'
    )
    assert isinstance(told, PermanentError)
    assert "1001: Contract does not exist!" in str(told)
    limited = b'{"success":false,"code":510,"message":"Requests are too frequent"}'
    assert isinstance(Mexc().refusal(REQUEST, 200, limited), RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement("mexc", "mexc", ["BTC/USDT:USDT", "ARB/USDT:USDT", "BTC/USD:BTC"])
