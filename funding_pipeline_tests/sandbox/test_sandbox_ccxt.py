"""ccxt, which knows nothing of this project, reads the sandbox as it reads the exchanges."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from funding_pipeline.sandbox.exchanges.paradex_index import funding_index
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Dataset
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox, system_now_ms
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

# Imported by name because ccxt ships no types.
ccxt: Any = import_module("ccxt")
NOW_MS = system_now_ms()


@pytest.fixture(scope="module")
def world() -> Dataset:
    return generate(EXCHANGES.values(), markets=60)


@pytest.fixture(scope="module")
def url(world: Dataset) -> Iterator[str]:
    with running_sandbox(world, now=lambda: NOW_MS) as url:
        yield url


# What follows the origin in the addresses that ccxt puts its paths to.
PREFIXES = {"binance": "/fapi/v1", "paradex": "/v1"}


def client(exchange: str, url: str, **options: Any) -> Any:
    found = getattr(ccxt, exchange)({"enableRateLimit": False, "options": options})
    origin = f"{url}/{exchange}{PREFIXES.get(exchange, '')}"
    found.urls["api"] = dict.fromkeys(found.urls["api"], origin)
    return found


@pytest.fixture(scope="module")
def hyperliquid(url: str) -> Any:
    return client("hyperliquid", url)


@pytest.fixture(scope="module")
def bybit(url: str) -> Any:
    return client("bybit", url, fetchMarkets=["linear"])


@pytest.fixture(scope="module")
def binance(url: str) -> Any:
    return client("binance", url, fetchMarkets=["linear"], defaultType="swap")


@pytest.fixture(scope="module")
def paradex(world: Dataset) -> Iterator[Any]:
    with running_sandbox(world, now=lambda: WORLD_NOW_MS) as url:
        yield client("paradex", url)


def test_hyperliquid_markets(hyperliquid: Any, world: Dataset) -> None:
    markets = hyperliquid.load_markets()
    assert {m["baseName"] for m in markets.values()} == {
        m.symbol for m in world.markets["hyperliquid"]
    }
    assert markets["BTC/USDC:USDC"]["active"]
    assert markets["XYZ-NVDA/USDC:USDC"]["info"]["dex"] == "xyz"


def test_bybit_markets(bybit: Any, world: Dataset) -> None:
    markets = bybit.load_markets()
    assert {m["id"] for m in markets.values()} == {m.symbol for m in world.markets["bybit"]}
    assert markets["BTC/USDC:USDC"]["id"] == "BTCPERP"
    assert all(m["swap"] and m["linear"] for m in markets.values())


@pytest.mark.parametrize("symbol", ["BTC/USDC:USDC", "KPEPE/USDC:USDC", "XYZ-NVDA/USDC:USDC"])
def test_hyperliquid_pages_equal_the_dataset(hyperliquid: Any, world: Dataset, symbol: str) -> None:
    hyperliquid.load_markets()
    coin = hyperliquid.market(symbol)["baseName"]
    since = NOW_MS - 60 * DAY_MS
    assert read_all(hyperliquid, symbol, since, 500) == expected(world, "hyperliquid", coin, since)


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDC:USDC"])
def test_bybit_pages_equal_the_dataset(bybit: Any, world: Dataset, symbol: str) -> None:
    bybit.load_markets()
    since = NOW_MS - 150 * DAY_MS
    native = bybit.market(symbol)["id"]
    assert read_all(bybit, symbol, since, 200) == expected(world, "bybit", native, since)


def test_binance_markets(binance: Any, world: Dataset) -> None:
    markets = binance.load_markets().values()
    swaps = {m["id"] for m in markets if m["swap"]}
    assert swaps == {m.symbol for m in world.markets["binance"]}
    futures = [m["id"] for m in markets if m["future"]]
    assert len(futures) == 4
    assert binance.market("1000PEPE/USDT:USDT")["active"]


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDC:USDC"])
def test_binance_pages_equal_the_dataset(binance: Any, world: Dataset, symbol: str) -> None:
    binance.load_markets()
    since = NOW_MS - 150 * DAY_MS
    native = binance.market(symbol)["id"]
    assert read_all(binance, symbol, since, 100) == expected(world, "binance", native, since)


def test_binance_history_of_all_symbols(binance: Any, world: Dataset) -> None:
    binance.load_markets()
    since = NOW_MS - DAY_MS
    rows = binance.fetch_funding_rate_history(None, since, 1000)
    assert {row["symbol"] for row in rows} >= {"BTC/USDT:USDT", "1000PEPE/USDT:USDT"}
    settled = [m.settled(since, NOW_MS, NOW_MS) for m in world.markets["binance"]]
    assert len(rows) == sum(high - low for low, high in settled)


def test_binance_current_rates_and_intervals(binance: Any, world: Dataset) -> None:
    market = next(m for m in world.markets["binance"] if m.symbol == "ETHUSDT")
    rate = binance.fetch_funding_rate("ETH/USDT:USDT")
    assert rate["fundingRate"] == market.running_rate(NOW_MS)
    assert rate["fundingTimestamp"] == market.next_settlement_ms(NOW_MS)
    intervals = binance.fetch_funding_intervals()
    for found in world.listed("binance", NOW_MS):
        symbol = binance.market(found.symbol)["symbol"]
        assert intervals[symbol]["interval"] == f"{found.interval_hours_at(NOW_MS)}h"


def test_paradex_markets(paradex: Any, world: Dataset) -> None:
    markets = paradex.load_markets().values()
    assert {m["id"] for m in markets if m["swap"]} == {m.symbol for m in world.markets["paradex"]}
    assert len([m for m in markets if m["option"]]) == 2


def test_the_mean_of_paradex_samples_is_the_rate_of_the_hour(paradex: Any, world: Dataset) -> None:
    paradex.load_markets()
    moved = 0
    for market in world.markets["paradex"][3:30]:
        symbol = paradex.market(market.symbol)["symbol"]
        end = WORLD_NOW_MS // HOUR_MS * HOUR_MS
        # Half an hour of the step before and half an hour of this one.
        window = {"until": end - HOUR_MS // 2 - 1}
        since = end - HOUR_MS * 3 // 2
        rows = paradex.fetch_funding_rate_history(symbol, since, 5000, window)
        assert len(rows) == 720
        mean = sum(row["fundingRate"] for row in rows) / len(rows) / 8
        truth = funding_index(market).paid(since, end - HOUR_MS // 2)
        assert mean == pytest.approx(truth, rel=0.005, abs=1e-8)
        first, last = rows[0]["info"], rows[-1]["info"]
        gained = float(last["funding_index"]) - float(first["funding_index"])
        prices = [
            float(row["funding_premium"]) / float(row["funding_rate"]) for row in (first, last)
        ]
        span = (rows[-1]["timestamp"] - rows[0]["timestamp"]) / HOUR_MS
        assert gained / (sum(prices) / 2) / span == pytest.approx(truth, rel=0.02, abs=1e-8)
        moved += rows[0]["fundingRate"] != rows[-1]["fundingRate"]
    assert moved > 2


def test_bybit_current_rate(bybit: Any, world: Dataset) -> None:
    rate = bybit.fetch_funding_rate("ETH/USDT:USDT")
    market = next(m for m in world.markets["bybit"] if m.symbol == "ETHUSDT")
    assert rate["fundingRate"] == market.running_rate(NOW_MS)
    assert rate["fundingTimestamp"] == market.next_settlement_ms(NOW_MS)
    assert rate["interval"] == "8h"


def test_hyperliquid_current_rates(hyperliquid: Any, world: Dataset) -> None:
    rates = hyperliquid.fetch_funding_rates(["ETH/USDC:USDC"])
    market = next(m for m in world.markets["hyperliquid"] if m.symbol == "ETH")
    assert rates["ETH/USDC:USDC"]["fundingRate"] == market.running_rate(NOW_MS)


def test_errors_are_recognised(hyperliquid: Any, bybit: Any, url: str) -> None:
    with pytest.raises(ccxt.ExchangeNotAvailable):
        hyperliquid.public_post_info({"type": "fundingHistory", "coin": "NOPE", "startTime": 1})
    with pytest.raises(ccxt.BadRequest):
        bybit.public_get_v5_market_funding_history({"category": "linear", "symbol": "NOPE"})
    with pytest.raises(ccxt.BadSymbol):
        client("binance", url).fapiPublicGetFundingRate({"symbol": "NOPE"})
    with pytest.raises(ccxt.BadRequest):
        client("paradex", url).publicGetFundingData({"market": "NOPE"})


def test_refusals_are_recognised(world: Dataset) -> None:
    with running_sandbox(world, limits=True) as url:
        limited = client("hyperliquid", url)
        limited.load_markets()
        with pytest.raises(ccxt.RateLimitExceeded):
            read_all(limited, "BTC/USDC:USDC", 0, 500)
        limited = client("binance", url)
        with pytest.raises(ccxt.DDoSProtection, match="429"):
            for _ in range(501):
                limited.fapiPublicGetFundingRate({"symbol": "BTCUSDT", "limit": 1})


def read_all(exchange: Any, symbol: str, since: int, page: int) -> list[tuple[int, float]]:
    read: list[tuple[int, float]] = []
    while rows := exchange.fetch_funding_rate_history(symbol, since, page):
        read += [(row["timestamp"], row["fundingRate"]) for row in rows]
        since = read[-1][0] + 1
    return read


def expected(world: Dataset, exchange: str, symbol: str, since: int) -> list[tuple[int, float]]:
    market = next(m for m in world.markets[exchange] if m.symbol == symbol)
    low, high = market.settled(since, NOW_MS, NOW_MS)
    assert high - low > 400
    return list(zip(market.times[low:high], market.rates[low:high], strict=True))
