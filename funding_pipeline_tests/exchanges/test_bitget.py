"""Bitget: recorded responses with values checked by hand, pages, refusals, ccxt."""

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
from funding_pipeline.exchanges.bitget import Bitget, parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="history-fund-rate", path="/api/v2/mix/market/history-fund-rate")
RUNNING = "bitget/current_fund_rate_usdt_2026-09-13"


def answer(*rows: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"code": "00000", "msg": "success", "data": rows})


def instrument(base: str, **changes: str) -> dict[str, Any]:
    return {
        "symbol": f"{base}USDT",
        "type": "perpetual",
        "status": "online",
        "baseCoin": base,
        "quoteCoin": "USDT",
        "fundInterval": "8",
        "symbolType": "crypto",
        "isRwa": "NO",
        "launchTime": "0",
        **changes,
    }


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "bitget/history_fund_rate_btc_2026-09-13"))
    assert [(r.market, r.time_ms, r.rate_text) for r in rows] == [
        ("BTCUSDT", 1_789_315_200_000, "0.000076"),
        ("BTCUSDT", 1_789_286_400_000, "0.000082"),
        ("BTCUSDT", 1_789_257_600_000, "0.000091"),
    ]
    assert apr(float(rows[0].rate_text), 8) == pytest.approx(0.08322)


def test_recorded_running_rates(responses_dir: Path) -> None:
    running = recorded(responses_dir, RUNNING)
    instruments = answer(
        instrument("BTC"), instrument("PAXG", fundInterval="4"), instrument("ETH", status="offline")
    )
    ticker = {
        "symbol": "BTCUSDT",
        "markPrice": "76967.7",
        "indexPrice": "76999.899",
        "openInterest": "35917.05359999992",
        "turnover24h": "1051194916.75318",
    }
    estimates = parse_estimates(instruments, running, answer(ticker))
    assert [e.market for e in estimates] == ["BTCUSDT", "PAXGUSDT"], "no test symbol, none offline"
    btc, paxg = estimates
    assert (btc.rate, btc.raw_rate, btc.interval_hours) == (0.00005, "0.00005", 8)
    assert btc.next_funding_ms == 1_789_344_000_000
    assert (paxg.rate, paxg.interval_hours) == (0.00001, 4)
    assert apr(paxg.rate, paxg.interval_hours) == pytest.approx(0.0219)
    # 35,917.0536 BTC at 76,967.7 USDT; the turnover is told in USDT
    assert btc.open_interest_usd == pytest.approx(2_764_453_006.37, rel=1e-9)
    assert (btc.volume_24h_usd, btc.index_price) == (1051194916.75318, 76999.899)
    assert (paxg.mark_price, paxg.open_interest_usd) == (None, None)


def test_markets_of_every_kind(responses_dir: Path) -> None:
    instruments = answer(
        instrument("BTC"),
        instrument("1000BONK", symbol="1000BONKPERP", quoteCoin="USDC", fundInterval="4"),
        instrument("TSLA", symbolType="stock", isRwa="YES", launchTime="1769994062288"),
        instrument("XAU", symbolType="metal", isRwa="YES"),
        instrument("EURUSD", isRwa="YES"),
        instrument("GONE", status="offline"),
        instrument("LATER", type="delivery", fundInterval="0"),
    )
    markets = parse_markets(instruments, recorded(responses_dir, RUNNING))
    assert [(m.symbol, m.multiplier, m.quote, m.asset_class) for m in markets] == [
        ("BTC", 1, "USDT", "crypto"),
        ("BONK", 1000, "USDC", "crypto"),
        ("TSLA", 1, "USDT", "equity"),
        ("XAU", 1, "USDT", "commodity"),
        ("EURUSD", 1, "USDT", None),
        ("GONE", 1, "USDT", "crypto"),
    ]
    assert [m.live for m in markets] == [True] * 5 + [False]
    assert [m.interval_hours for m in markets[:3]] == [8, 4, 8]
    assert (markets[1].settle, markets[1].rate_cap) == ("USDC", None)
    assert (markets[0].rate_cap, markets[0].rate_floor) == (0.003, -0.003)
    assert (markets[0].listed_at_ms, markets[2].listed_at_ms) == (None, 1_769_994_062_288)


def test_an_interval_of_no_hours_is_refused() -> None:
    with pytest.raises(MalformedResponseError) as caught:
        parse_markets(answer(instrument("BTC"), instrument("ETH", fundInterval="0")), answer())
    assert caught.value.field == "$.data[1].fundInterval"


def page_of(pages: list[list[int]], seen: list[dict[str, str | int]]) -> Any:
    """Answers to page numbers with settlements at those hours, whatever else is asked."""

    def answered(request: Request) -> bytes:
        seen.append(dict(request.params))
        hours = pages[int(request.params["pageNo"]) - 1]
        rows = [{"symbol": "A", "fundingRate": "0", "fundingTime": str(h * HOUR)} for h in hours]
        return answer(*rows)

    return answered


def test_pages_are_walked_from_the_newest_to_the_window_and_no_further() -> None:
    market = Market(market="BTCPERP", symbol="BTC", quote="USDC", settle="USDC")
    seen: list[dict[str, str | int]] = []
    pages = [[800, 792], [784, 776], [768, 760], [752]]
    plan = Bitget().history(market, Window(770 * HOUR, 785 * HOUR))
    rows, _ = drive(plan, page_of(pages, seen))
    assert [row.time_ms // HOUR for row in rows] == [784, 776]
    assert seen == [
        {"symbol": "BTCPERP", "productType": "USDC-FUTURES", "pageSize": 100, "pageNo": number}
        for number in (1, 2, 3)
    ]


def test_the_walk_ends_where_there_are_no_more_pages() -> None:
    market = Market(market="A", symbol="A", quote="USDT", settle="USDT")
    plan = Bitget().history(market, Window(0, 900 * HOUR))
    rows, requests = drive(plan, page_of([[800, 792], [784], []], []))
    assert (len(rows), len(requests)) == (3, 3)


def test_refusals() -> None:
    told = Bitget().refusal(REQUEST, 400, b'{"code":"40034","msg":"does not exist","data":null}')
    assert isinstance(told, PermanentError)
    assert "40034: does not exist" in str(told)
    limited = b'{"code":"429","msg":"Too Many Requests"}'
    assert isinstance(Bitget().refusal(REQUEST, 200, limited), RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement(
        "bitget",
        "bitget",
        ["BTC/USDT:USDT", "ARB/USDT:USDT", "BTC/USDC:USDC"],
        markets=60,
        fetchMarkets={"types": ["swap"]},
    )
