"""A small dataset whose every settlement is known, generated ones, and ways to serve them.

Belongs here: fixtures of the sandbox's tests. Does not belong here: recorded data.
"""

from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.faults import FaultPlan, parse_faults
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox

# Later than the newest recorded response, so that answers have today's form.
WORLD_NOW_MS = int(datetime(2026, 9, 20, 12, 30, tzinfo=UTC).timestamp()) * 1000
NOW_MS = int(datetime(2026, 3, 1, 12, 30, tzinfo=UTC).timestamp()) * 1000

Serve = Callable[..., httpx.Client]


def _market(
    symbol: str,
    base: str,
    quote: str,
    hours: int,
    *,
    count: int = 300,
    jitter_ms: int = 0,
    change: int | None = None,
) -> SandboxMarket:
    """`count` settlements up to now and three after it; from number `change` on every 4 hours."""
    step = hours * HOUR_MS
    last = NOW_MS // step * step
    steps = [hours] * (count + 3)
    if change is not None:
        steps[change:] = [4] * (count + 3 - change)
    times = [last - sum(steps[1:count]) * HOUR_MS]
    for hours_later in steps[1:]:
        times.append(times[-1] + hours_later * HOUR_MS)
    changed_ms = times[change - 1] if change is not None else times[-1]
    return SandboxMarket(
        symbol=symbol,
        base=base,
        quote=quote,
        times=array("q", [t + (i * 37 % 101 if jitter_ms else 0) for i, t in enumerate(times)]),
        # Every rate is another one, positive and negative, some of them tiny.
        rates=array("d", [(i - count / 2) * 0.00000137 for i in range(count + 3)]),
        interval_hours_at=lambda ms: 4 if change is not None and ms >= changed_ms else hours,
        rate_cap=0.01,
    )


@pytest.fixture
def now_ms() -> int:
    return NOW_MS


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return Dataset(
        {
            "hyperliquid": (
                _market("BTC", "BTC", "USDC", 1, count=1203, jitter_ms=100),
                _market("kPEPE", "kPEPE", "USDC", 1, jitter_ms=100),
                _market("xyz:NVDA", "xyz:NVDA", "USDC", 1, jitter_ms=100),
            ),
            "bybit": (
                _market("BTCUSDT", "BTC", "USDT", 8, count=451),
                _market("ETHUSDT", "ETH", "USDT", 8),
                _market("1000PEPEUSDT", "1000PEPE", "USDT", 8, change=200),
                _market("SHIB1000USDT", "SHIB1000", "USDT", 4),
                _market("BTCPERP", "BTC", "USDC", 8),
            ),
        },
        source="test",
    )


@pytest.fixture
def serve(dataset: Dataset) -> Iterator[Serve]:
    """Starts a sandbox over the small dataset and gives a client whose base URL it is."""
    with ExitStack() as running:

        def start(*, faults: str | None = None, **options: Any) -> httpx.Client:
            plan = FaultPlan(parse_faults(faults)) if faults is not None else None
            options = {"now": lambda: NOW_MS, "faults": plan, **options}
            url = running.enter_context(running_sandbox(dataset, **options))
            return running.enter_context(httpx.Client(base_url=url, timeout=10))

        yield start


@pytest.fixture(scope="session")
def plain_url(dataset: Dataset) -> Iterator[str]:
    with running_sandbox(dataset, now=lambda: NOW_MS) as url:
        yield url


@pytest.fixture
def client(plain_url: str) -> Iterator[httpx.Client]:
    """A client of one sandbox without limits and faults that all tests share."""
    with httpx.Client(base_url=plain_url, timeout=10) as client:
        client.post("/_requests/reset")
        yield client


@pytest.fixture(scope="session")
def world() -> Dataset:
    """Generated markets of every exchange, the most relevant 40 of each."""
    return generate(EXCHANGES.values(), markets=40)


@pytest.fixture(scope="session")
def world_url(world: Dataset) -> Iterator[str]:
    with running_sandbox(world, now=lambda: WORLD_NOW_MS) as url:
        yield url


@pytest.fixture
def world_client(world_url: str) -> Iterator[httpx.Client]:
    """A client of the generated exchanges, at `WORLD_NOW_MS`."""
    with httpx.Client(base_url=world_url, timeout=10) as client:
        yield client
