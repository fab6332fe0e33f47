"""Hyperliquid's wire format over real HTTP: paging, ends, order, dexes, errors."""

from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.market import HOUR_MS, Dataset


def info(client: httpx.Client, **body: Any) -> Any:
    answer = client.post("/hyperliquid/info", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def history(client: httpx.Client, coin: str = "BTC", **window: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = info(client, type="fundingHistory", coin=coin, **window)
    return rows


def test_a_page_holds_500_rows_oldest_first(client: httpx.Client, dataset: Dataset) -> None:
    rows = history(client, startTime=0)
    assert len(rows) == 500
    assert [row["time"] for row in rows] == list(dataset.markets["hyperliquid"][0].times[:500])


def test_paging_reads_every_settlement_up_to_now_once(
    client: httpx.Client, dataset: Dataset, now_ms: int
) -> None:
    read: list[tuple[int, float]] = []
    start = 0
    while rows := history(client, startTime=start):
        read += [(row["time"], float(row["fundingRate"])) for row in rows]
        start = rows[-1]["time"] + 1
    market = dataset.markets["hyperliquid"][0]
    settled = [(t, r) for t, r in zip(market.times, market.rates, strict=True) if t <= now_ms]
    assert len(settled) == 1203
    assert read == settled


def test_both_ends_are_included(client: httpx.Client, dataset: Dataset) -> None:
    times = dataset.markets["hyperliquid"][0].times
    rows = history(client, startTime=times[10], endTime=times[20])
    assert [row["time"] for row in rows] == list(times[10:21])
    rows = history(client, startTime=times[10] + 1, endTime=times[20] - 1)
    assert [row["time"] for row in rows] == list(times[11:20])


def test_nothing_later_than_now_is_revealed(client: httpx.Client, now_ms: int) -> None:
    rows = history(client, startTime=now_ms - 3 * HOUR_MS, endTime=now_ms + 99 * HOUR_MS)
    assert [row["time"] // HOUR_MS for row in rows] == [now_ms // HOUR_MS - i for i in (2, 1, 0)]


def test_an_unknown_coin_is_status_500_and_null(client: httpx.Client) -> None:
    answer = client.post(
        "/hyperliquid/info", json={"type": "fundingHistory", "coin": "NOPE", "startTime": 0}
    )
    assert (answer.status_code, answer.text) == (500, "null")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "fundingHistory", "coin": "BTC"},
        {"type": "fundingHistory", "coin": "BTC", "startTime": "1"},
        {"type": "fundingHistory", "startTime": 1},
        {"type": "no such type"},
        ["meta"],
    ],
)
def test_what_cannot_be_read_is_status_422(client: httpx.Client, body: Any) -> None:
    assert client.post("/hyperliquid/info", json=body).status_code == 422


def test_dexes_list_their_own_markets_only(client: httpx.Client) -> None:
    main, main_contexts = info(client, type="metaAndAssetCtxs")
    assert [entry["name"] for entry in main["universe"]] == ["BTC", "kPEPE"]
    assert len(main_contexts) == 2
    builder, _ = info(client, type="metaAndAssetCtxs", dex="xyz")
    assert [entry["name"] for entry in builder["universe"]] == ["xyz:NVDA"]
    assert info(client, type="meta", dex="xyz") == builder
    own, xyz = info(client, type="perpDexs")
    assert own is None
    assert (xyz["name"], xyz["assetToFundingMultiplier"]) == ("xyz", [["xyz:NVDA", "0.5"]])


def test_the_running_rate_is_the_next_settlement(
    client: httpx.Client, dataset: Dataset, now_ms: int
) -> None:
    _, contexts = info(client, type="metaAndAssetCtxs")
    market = dataset.markets["hyperliquid"][0]
    coming = next(i for i, time in enumerate(market.times) if time > now_ms)
    assert float(contexts[0]["funding"]) == market.rates[coming]


def test_predictions_relay_bybit_with_its_interval(client: httpx.Client, now_ms: int) -> None:
    coins = dict(info(client, type="predictedFundings"))
    assert list(coins) == ["BTC", "kPEPE"]
    venues = dict(coins["kPEPE"])
    assert venues["BinPerp"] is None
    assert venues["HlPerp"]["fundingIntervalHours"] == 1
    assert venues["HlPerp"]["nextFundingTime"] == now_ms + HOUR_MS // 2
    assert venues["BybitPerp"]["fundingIntervalHours"] == 4


def test_the_premium_explains_the_rate(client: httpx.Client, now_ms: int) -> None:
    rows = history(client, startTime=0) + history(client, startTime=now_ms - 499 * HOUR_MS)
    assert {float(row["fundingRate"]) > 0 for row in rows} == {True, False}
    for row in rows:
        premium, rate_8h = float(row["premium"]), 8 * float(row["fundingRate"])
        formula = premium + min(0.0005, max(-0.0005, 0.0001 - premium))
        assert formula == pytest.approx(rate_8h, abs=2e-10)


def test_history_weighs_one_more_per_20_rows(client: httpx.Client) -> None:
    history(client, startTime=0)
    history(client, startTime=0, endTime=0)
    info(client, type="meta")
    counters = client.get("/_requests").json()["hyperliquid"]
    assert counters["weight"] == 45 + 20 + 20
    assert counters["endpoints"] == {"fundingHistory": 2, "meta": 1}
