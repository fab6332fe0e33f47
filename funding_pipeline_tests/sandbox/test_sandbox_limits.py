"""Rate limits over real HTTP, with a clock the test holds."""

from collections.abc import Callable

import httpx
import pytest

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
