"""Rate limits over real HTTP, with a clock the test holds."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from funding_pipeline.sandbox.limits import Gate, Limit
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

HISTORY = {"type": "fundingHistory", "coin": "BTC", "startTime": 0}


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_hyperliquid_admits_1200_weight_in_any_60_seconds(
    serve: Callable[..., httpx.Client],
) -> None:
    clock = Clock()
    client = serve(limits=True, clock=clock)

    def ask() -> httpx.Response:
        return client.post("/hyperliquid/info", json=HISTORY)

    for _ in range(13):
        assert ask().status_code == 200
    clock.seconds += 30
    for _ in range(13):
        assert ask().status_code == 200
    # 26 pages weigh 1170; another 45 would not fit.
    refused = ask()
    assert (refused.status_code, refused.text) == (429, "null")
    # A window that starts anew every minute would admit this one; a sliding window does not yet.
    clock.seconds += 29
    assert ask().status_code == 429
    clock.seconds += 1
    assert ask().status_code == 200
    counters = client.get("/_requests").json()["hyperliquid"]
    assert (counters["requests"], counters["refusals"]) == (29, 2)


def test_bybit_refuses_the_601st_request_for_ten_minutes(
    serve: Callable[..., httpx.Client],
) -> None:
    clock = Clock()
    client = serve(limits=True, clock=clock)

    def ask() -> httpx.Response:
        return client.get("/bybit/v5/market/time")

    assert all(ask().status_code == 200 for _ in range(600))
    refused = ask()
    assert refused.status_code == 403
    assert "access too frequent" in refused.text
    clock.seconds += 599
    assert ask().status_code == 403
    clock.seconds += 1
    assert ask().status_code == 200


@pytest.fixture
def limited(world: Dataset) -> Iterator[tuple[httpx.Client, Clock]]:
    clock = Clock()
    with (
        running_sandbox(world, limits=True, clock=clock, now=lambda: WORLD_NOW_MS) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client, clock


def statuses(client: httpx.Client, path: str, count: int) -> list[int]:
    return [client.get(path).status_code for _ in range(count)]


def test_binance_admits_500_of_two_endpoints_in_5_minutes_then_bans(
    limited: tuple[httpx.Client, Clock],
) -> None:
    client, clock = limited
    history = "/binance/fapi/v1/fundingRate?symbol=BTCUSDT&limit=1"
    assert set(statuses(client, history, 400)) == {200}
    clock.seconds += 100
    assert set(statuses(client, "/binance/fapi/v1/fundingInfo", 100)) == {200}
    refused = client.get(history)
    assert refused.status_code == 429
    assert refused.json()["code"] == -1003
    # The first 400 are forgotten 300 s after they were made.
    assert refused.headers["retry-after"] == "200"
    assert client.get("/binance/fapi/v1/ping").status_code == 200
    assert statuses(client, history, 9) == [429] * 8 + [418]
    clock.seconds += 119
    assert statuses(client, history, 1) == [418]
    clock.seconds += 81
    assert statuses(client, history, 1) == [200]


def test_who_heeds_refusals_is_not_banned() -> None:
    clock = Clock()
    gate = Gate([Limit(weight=1, window_s=10, ban_after=3, ban_s=100)], clock)
    for _ in range(5):
        assert gate.admit("", 1) is None
        refusals = [gate.admit("", 1) for _ in range(2)]
        assert [refusal and refusal.banned for refusal in refusals] == [False, False]
        clock.seconds += 10
    assert gate.admit("", 1) is None
    refusals = [gate.admit("", 1) for _ in range(4)]
    assert [refusal and refusal.banned for refusal in refusals] == [False, False, True, True]


def test_binance_counts_weight_and_tells_it(limited: tuple[httpx.Client, Clock]) -> None:
    client, clock = limited
    used = [
        int(client.get(f"/binance/fapi/v1/{path}").headers["x-mbx-used-weight-1m"])
        for path in ("ping", "premiumIndex", "ticker/24hr", "premiumIndex?symbol=BTCUSDT")
    ]
    assert used == [1, 11, 51, 52]
    assert set(statuses(client, "/binance/fapi/v1/ticker/24hr", 58)) == {200}
    assert statuses(client, "/binance/fapi/v1/ticker/24hr", 1) == [429]
    # A refused request weighs nothing; what still fits is admitted.
    assert statuses(client, "/binance/fapi/v1/ping", 29) == [200] * 28 + [429]
    clock.seconds += 60
    assert statuses(client, "/binance/fapi/v1/ping", 1) == [200]


@pytest.mark.parametrize(
    ("path", "count", "window"),
    [
        ("/lighter/api/v1/funding-rates", 60, 60),
        ("/variational/metadata/stats", 10, 10),
        ("/paradex/v1/markets", 50, 1),
    ],
)
def test_requests_in_a_sliding_window(
    limited: tuple[httpx.Client, Clock], path: str, count: int, window: int
) -> None:
    client, clock = limited
    assert statuses(client, path, count + 1) == [200] * count + [429]
    assert client.get(path).headers["retry-after"] == str(window)
    clock.seconds += window - 0.01
    assert statuses(client, path, 1) == [429]
    clock.seconds += 0.01
    assert statuses(client, path, 1) == [200]


def test_paradex_admits_1500_a_minute(limited: tuple[httpx.Client, Clock]) -> None:
    client, clock = limited
    path = "/paradex/v1/funding/data?market=SOL-USD-PERP&page_size=1"
    for second in range(30):
        assert set(statuses(client, path, 50)) == {200}, second
        clock.seconds += 1
    assert statuses(client, path, 1) == [429]
    clock.seconds += 30
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit"] == "50"
    assert answer.headers["x-ratelimit-remaining"] == "49"


def test_without_limits_nothing_is_refused(serve: Callable[..., httpx.Client]) -> None:
    client = serve(limits=False)
    statuses = {client.post("/hyperliquid/info", json=HISTORY).status_code for _ in range(40)}
    assert statuses == {200}


def test_reset_empties_counters_and_windows(serve: Callable[..., httpx.Client]) -> None:
    client = serve(limits=True, clock=Clock())
    while client.post("/hyperliquid/info", json=HISTORY).status_code == 200:
        pass
    assert client.post("/_requests/reset").status_code == 204
    zero = {"requests": 0, "weight": 0, "refusals": 0, "endpoints": {}}
    assert client.get("/_requests").json() == {"hyperliquid": zero, "bybit": zero}
    assert client.post("/hyperliquid/info", json=HISTORY).status_code == 200


@pytest.mark.parametrize("exchange", ["binance", "nope"])
def test_an_exchange_not_served_is_404(client: httpx.Client, exchange: str) -> None:
    assert client.get(f"/{exchange}/anything").status_code == 404
