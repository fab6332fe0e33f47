"""Phemex: the documented history, intervals by row, bases in three spellings, ccxt, refusals.

Nothing was recorded of it but one documented row; the rest is asked of its sandbox.
"""

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
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.phemex import (
    SPEC,
    Phemex,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
BTC = Market(market="BTCUSDT", api_id=".BTCUSDTFR8H", symbol="BTC", quote="USDT", settle="USDT")
HISTORY = Request(
    endpoint="funding-rate-history", path="/api-data/public/data/funding-rate-history"
)


def history(**fields: Any) -> bytes:
    """One row as numbers, with some fields otherwise."""
    row = {
        "symbol": ".BTCUSDTFR8H",
        "fundingRate": "0.0001",
        "fundingTime": 1_682_064_000_000,
        "intervalSeconds": 28_800,
    }
    return msgspec.json.encode({"code": 0, "msg": "OK", "data": {"rows": [row | fields]}})


def product(**fields: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "type": "PerpetualV2",
        "status": "Listed",
        "quoteCurrency": "USDT",
        "settleCurrency": "USDT",
        "contractUnderlyingAssets": "BTC",
        "fundingRate8hSymbol": ".BTCUSDTFR8H",
        "fundingInterval": 28_800,
        "listTime": 1_668_225_600_000,
        "perpProductSubType": "Normal",
    } | fields


def markets(*usdt: dict[str, Any], coins: tuple[dict[str, Any], ...] = ()) -> list[Market]:
    lists = {"products": coins, "perpProductsV2": usdt}
    return parse_markets(msgspec.json.encode({"code": 0, "data": lists}))


def test_the_documented_history_is_text_and_numbers_mean_the_same(responses_dir: Path) -> None:
    expected = [RawSettlement("BTCUSDT", 1_682_064_000_000, "0.0001", 8)]
    assert parse_history(recorded(responses_dir, "phemex/doc_funding_rate_history"), BTC) == (
        expected
    )
    assert parse_history(history(), BTC) == expected
    # The usual baseline of 0.01 % per 8 h, as a fraction.
    assert apr(float(expected[0].rate_text), 8) == pytest.approx(0.1095)


def test_each_row_has_its_own_interval_and_names_a_stranger() -> None:
    (four,) = parse_history(history(intervalSeconds=14_400), BTC)
    assert four.interval_hours == 4
    (other,) = parse_history(history(symbol=".ETHUSDTFR8H"), BTC)
    assert other.market == ".ETHUSDTFR8H", "quarantined as another market's row"
    with pytest.raises(MalformedResponseError, match=r"90 s is no whole .*intervalSeconds"):
        parse_history(history(intervalSeconds=90), BTC)


def test_bases_are_found_in_three_spellings() -> None:
    pepe, btc, eth, link = markets(
        product(symbol="u1000PEPEUSDT", contractUnderlyingAssets="1000 PEPE"),
        coins=(
            product(
                symbol="BTCUSD",
                type="Perpetual",
                quoteCurrency="USD",
                settleCurrency="BTC",
                contractUnderlyingAssets="USD",
                fundingRate8hSymbol=".BTCFR8H",
            ),
            product(symbol="cETHUSD", type="Perpetual", quoteCurrency="USD",
                    settleCurrency="ETH", contractUnderlyingAssets="USD"),
            product(symbol="LINKUSD", type="Perpetual", quoteCurrency="USD",
                    settleCurrency="USD", contractUnderlyingAssets="LINK", status="Delisted"),
            {"symbol": "sBTCUSDT", "type": "Spot", "status": "Listed", "quoteCurrency": "USDT"},
        ),
    )  # fmt: skip
    assert (pepe.symbol, pepe.multiplier, pepe.quote) == ("PEPE", 1000, "USDT")
    assert (btc.symbol, btc.quote, btc.settle, btc.api_id) == ("BTC", "USD", "BTC", ".BTCFR8H")
    assert (eth.market, eth.symbol, eth.settle) == ("cETHUSD", "ETH", "ETH")
    assert (link.symbol, link.settle, link.live) == ("LINK", "USD", False)


def test_intervals_are_seconds_and_what_is_no_coin_has_no_class() -> None:
    btc, tesla = markets(
        product(), product(symbol="TSLAUSDT", perpProductSubType="TradFi", fundingInterval=14_400)
    )
    assert (btc.interval_hours, btc.listed_at_ms, btc.asset_class) == (
        *(8, 1_668_225_600_000),
        "crypto",
    )
    assert (tesla.interval_hours, tesla.asset_class) == (4, None)
    with pytest.raises(MalformedResponseError, match=r"quoteCurrency or settle.*V2\[0\]"):
        markets(product(settleCurrency=None))


def test_estimates_value_the_interest_in_base_units() -> None:
    """Figures of ccxt's sample ticker; coin-settled contracts are not in the ticker."""
    running = {
        "fundingRate": "-0.00000326",
        "fundingInterval": 28_800,
        "nextfundingTime": 1_790_150_400_000,
    }
    rows = [{"symbol": s, **running} for s in ("BTCUSDT", "BTCUSD")]
    ticker = {
        "symbol": "BTCUSDT", "markRp": "67550.1", "indexRp": "67567.15389794",
        "openInterestRv": "1848.1144186", "turnoverRv": "228863389.3237532",
    }  # fmt: skip
    tickers = json.dumps({"error": None, "id": 0, "result": [ticker]}).encode()
    page = {"code": 0, "data": {"total": 2, "rows": rows}}
    usdt, coin = parse_estimates(json.dumps(page).encode(), tickers)
    assert (usdt.rate, usdt.interval_hours, usdt.next_funding_ms) == (
        *(-0.00000326, 8),
        1_790_150_400_000,
    )
    assert usdt.open_interest_usd == pytest.approx(124_840_314, rel=1e-8)
    assert usdt.volume_24h_usd == 228_863_389.3237532
    assert (coin.market, coin.mark_price, coin.open_interest_usd) == ("BTCUSD", None, None)
    page["data"] = {"total": 3, "rows": rows}
    with pytest.raises(MalformedResponseError, match="2 of 3 markets"):
        parse_estimates(json.dumps(page).encode(), tickers)


def test_history_is_asked_backwards_and_for_coins_on_a_path_of_their_own() -> None:
    window = Window(1_682_064_000_000, 1_682_064_000_000 + 48 * HOUR)
    _, (asked,) = drive(Phemex().history(BTC, window), lambda _: b'{"data":{"rows":[]}}')
    assert dict(asked.params) == {"symbol": ".BTCUSDTFR8H", "end": window.end_ms - 1, "limit": 48}
    assert asked.path == HISTORY.path
    coin = Market(market="BTCUSD", api_id=".BTCFR8H", symbol="BTC", quote="USD", settle="BTC")
    _, (asked,) = drive(Phemex().history(coin, window), lambda _: b'{"data":{"rows":[]}}')
    assert (asked.path, asked.params["symbol"]) == (f"/v1{HISTORY.path}", ".BTCFR8H")


def test_refusals() -> None:
    told = Phemex().refusal(HISTORY, 200, b'{"code":30000,"msg":"Please double check","data":null}')
    assert isinstance(told, PermanentError)
    assert "30000: Please double check" in str(told)
    often = Phemex().refusal(HISTORY, 200, b'{"code":"39995","msg":"Too many requests."}')
    assert isinstance(often, RateLimitedError)
    assert SPEC.experimental


def test_ccxt_agrees() -> None:
    symbols = ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDC:USDC", "ETH/USD:ETH"]
    assert_agreement("phemex", "phemex", symbols)
