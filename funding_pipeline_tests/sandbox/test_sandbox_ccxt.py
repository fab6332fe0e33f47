"""ccxt, which knows nothing of this project, reads the sandbox as it reads the exchanges."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import DAY_MS, Dataset
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox, system_now_ms

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


def client(exchange: str, url: str, **options: Any) -> Any:
    found = getattr(ccxt, exchange)({"enableRateLimit": False, "options": options})
    found.urls["api"] = dict.fromkeys(found.urls["api"], f"{url}/{exchange}")
    return found


@pytest.fixture(scope="module")
def hyperliquid(url: str) -> Any:
    return client("hyperliquid", url)


@pytest.fixture(scope="module")
def bybit(url: str) -> Any:
    return client("bybit", url, fetchMarkets=["linear"])


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


def test_errors_are_recognised(hyperliquid: Any, bybit: Any) -> None:
    with pytest.raises(ccxt.ExchangeNotAvailable):
        hyperliquid.public_post_info({"type": "fundingHistory", "coin": "NOPE", "startTime": 1})
    with pytest.raises(ccxt.BadRequest):
        bybit.public_get_v5_market_funding_history({"category": "linear", "symbol": "NOPE"})


def test_refusals_are_recognised(world: Dataset) -> None:
    with running_sandbox(world, limits=True) as url:
        limited = client("hyperliquid", url)
        limited.load_markets()
        with pytest.raises(ccxt.RateLimitExceeded):
            read_all(limited, "BTC/USDC:USDC", 0, 500)


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
