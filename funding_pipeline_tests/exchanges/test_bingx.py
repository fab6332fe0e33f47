"""BingX: recorded responses with values checked by hand, codes of shares and the like, ccxt."""

import json
from pathlib import Path
from typing import Any

import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.bingx import (
    BingX,
    named,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import Listed, Spoken, drive, recorded

REQUEST = Request(endpoint="fundingRate", path="/openApi/swap/v2/quote/fundingRate")
HOUR = 3_600_000


def contracts(folder: Path, **status: int) -> bytes:
    """The contracts of the recorded premium index, in the documented form."""
    (sample, *_) = json.loads(recorded(folder, "bingx/doc_openapi_swap_v2_quote_contracts"))["data"]
    listed = json.loads(recorded(folder, "bingx/premium_index_2026-09-13"))["data"]
    rows = [
        sample
        | {"symbol": row["symbol"], "currency": row["symbol"].split("-")[1]}
        | {"status": status.get(row["symbol"].split("-")[0], 1)}
        for row in listed
    ]
    return json.dumps({"code": 0, "msg": "", "data": rows}).encode()


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "bingx/funding_rate_btc_2026-09-13"))
    assert rows == [
        RawSettlement("BTC-USDT", 1_789_315_200_000, "0.00007800", None, 77_100.3),
        RawSettlement("BTC-USDT", 1_789_286_400_000, "0.00008200", None, 77_089.9),
        RawSettlement("BTC-USDT", 1_789_257_600_000, "0.00009200", None, 77_254.3),
    ]
    # 16:00 UTC of that day: beside 7.1 % at Binance and 8.3 % at Bitget.
    assert apr(float(rows[0].rate_text), 8) == pytest.approx(0.0854, abs=1e-4)
    old = parse_history(recorded(responses_dir, "bingx/doc_openapi_swap_v2_quote_fundingrate"))
    assert old[0] == RawSettlement("QNT-USDT", 1_702_713_600_000, "0.00027100")


def test_recorded_markets(responses_dir: Path) -> None:
    premiums = recorded(responses_dir, "bingx/premium_index_2026-09-13")
    found = parse_markets(contracts(responses_dir, IOST=0, PAXG=25), premiums)
    markets = {m.market: m for m in found}
    btc = markets["BTC-USDT"]
    assert (btc.symbol, btc.quote, btc.settle, btc.live) == ("BTC", "USDT", "USDT", True)
    assert (btc.interval_hours, btc.rate_cap, btc.rate_floor) == (8, 0.003, -0.003)
    assert (markets["BTC-USDC"].quote, markets["BTC-USDC"].settle) == ("USDC", "USDC")
    pepe, iost = markets["1000PEPE-USDT"], markets["IOST-USDT"]
    assert (pepe.symbol, pepe.multiplier, pepe.asset_class) == ("PEPE", 1000, "crypto")
    assert (iost.interval_hours, iost.live) == (1, False)
    assert "PAXG-USDT" not in markets, "suspended"
    assert [(m.symbol, m.asset_class, m.interval_hours) for m in found if "2USD" in m.market] == [
        ("TSLA", "equity", 8),
        ("GOLD", "commodity", 4),
        ("EUR", "fx", 8),
        ("SP500", "index", 8),
    ]


def test_what_the_index_leaves_out_has_no_interval(responses_dir: Path) -> None:
    found = parse_markets(contracts(responses_dir), b'{"code":0,"data":[]}')
    assert len(found) == 10
    assert {(m.interval_hours, m.rate_cap) for m in found} == {(None, None)}


@pytest.mark.parametrize(
    ("base", "symbol", "asset_class"),
    [
        ("NCSKTMFUSDT", "TMF", "equity"),
        ("NCSINASDAQ1002USD", "NASDAQ100", "index"),
        ("NCFXUSD2JPY", "USDJPY", "fx"),
        ("NCFXEUR2GBP", "EURGBP", "fx"),
        ("NCASH", "NCASH", "crypto"),
        ("NCT", "NCT", "crypto"),
        ("1INCH", "1INCH", "crypto"),
    ],
)
def test_codes(base: str, symbol: str, asset_class: str) -> None:
    assert named(base) == (symbol, 1, asset_class)


def test_recorded_estimates(responses_dir: Path) -> None:
    tickers = b'{"code":0,"data":[{"symbol":"BTC-USDT","quoteVolume":"337831456.71"}]}'
    estimates = parse_estimates(
        contracts(responses_dir, NCFXEUR2USD=25),
        recorded(responses_dir, "bingx/premium_index_2026-09-13"),
        tickers,
    )
    btc, iost = estimates[0], estimates[-1]
    assert (btc.market, btc.rate, btc.interval_hours) == ("BTC-USDT", 0.000094, 8)
    assert (btc.mark_price, btc.index_price) == (77_190.5, 77_225.4)
    assert (btc.next_funding_ms, btc.volume_24h_usd) == (1_789_344_000_000, 337_831_456.71)
    assert btc.open_interest_usd is None, "told one symbol at a time only"
    assert (iost.rate, iost.interval_hours) == (-0.000529, 1)
    assert iost.next_funding_ms == 1_789_340_400_000
    assert "NCFXEUR2USD-USDT" not in {e.market for e in estimates}, "suspended"
    assert len(estimates) == 9


def test_null_means_no_rows_and_nothing_else_does() -> None:
    """So the exchange answers a window without a settlement."""
    assert parse_history(b'{"code":0,"msg":"","data":null}') == []
    spoken = Spoken("bingx", [1_789_430_400_000])
    window = Window(1_789_430_400_000 + HOUR, 1_789_430_400_000 + 9 * HOUR)
    told: list[Any] = []

    def listen(request: Request) -> bytes:
        told.append(json.loads(spoken(request)))
        return json.dumps(told[-1]).encode()

    assert drive(spoken.exchange.history(spoken.market(), window), listen)[0] == []
    assert [answer["data"] for answer in told] == [None]
    for body in (b'{"code":0,"msg":""}', b'{"code":0,"data":{}}'):
        with pytest.raises(MalformedResponseError):
            parse_history(body)


def test_history_asks_for_nothing_outside_the_window() -> None:
    window = Window(1_789_430_400_000, 1_789_430_400_000 + 48 * HOUR)
    request = next(BingX().history(Spoken("bingx", [window.start_ms]).market(), window))
    assert (request.path, dict(request.params)) == (
        REQUEST.path,
        {
            "symbol": "BTC-USDT",
            "startTime": window.start_ms,
            "endTime": window.end_ms - 1,
            "limit": 1000,
        },
    )


def test_a_suspended_market_is_left_out_while_its_history_is_refused() -> None:
    full = Listed("bingx", 1_789_430_400_000)
    markets, _ = drive(BingX().markets(), full)
    coin = "NCSKCOIN2USD-USDT"
    assert coin not in {m.market for m in markets}
    there = full.reply(Request(endpoint="contracts", path=REQUEST.path[:-11] + "contracts")).rows
    assert [row["status"] for row in there or () if row["symbol"] == coin] == [25]
    request = Request(endpoint="fundingRate", path=REQUEST.path, params={"symbol": coin})
    error = BingX().refusal(request, 200, json.dumps(full.reply(request).payload).encode())
    assert isinstance(error, PermanentError)
    assert f"109415: {coin} is pause currently" in str(error)


def test_refusals() -> None:
    unknown = b'{"code":109425,"msg":"NOPE-USDT not exist","data":{}}'
    assert isinstance(BingX().refusal(REQUEST, 200, unknown), PermanentError)
    often = b'{"code":100410,"msg":"rate limited","data":{}}'
    assert isinstance(BingX().refusal(REQUEST, 200, often), RateLimitedError)


def test_ccxt_agrees() -> None:
    symbols = ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDC:USDC", "NCSKTSLA2USD/USDT:USDT"]
    assert_agreement("bingx", "bingx", symbols, defaultType="swap")
