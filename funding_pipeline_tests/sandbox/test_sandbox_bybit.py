"""Bybit's wire format over real HTTP: paging, ends, order, cursors, errors."""

from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.market import HOUR_MS, Dataset


def market(client: httpx.Client, endpoint: str, **params: Any) -> dict[str, Any]:
    answer = client.get(f"/bybit/v5/market/{endpoint}", params={"category": "linear", **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def history(client: httpx.Client, **params: Any) -> list[dict[str, str]]:
    body = market(client, "funding/history", symbol="BTCUSDT", **params)
    assert body["retCode"] == 0, body
    rows: list[dict[str, str]] = body["result"]["list"]
    return rows


def stamps(rows: list[dict[str, str]]) -> list[int]:
    return [int(row["fundingRateTimestamp"]) for row in rows]


@pytest.mark.parametrize(("limit", "rows"), [(None, 200), (999, 200), (200, 200), (7, 7)])
def test_a_page_holds_at_most_200_rows_newest_first(
    client: httpx.Client, dataset: Dataset, now_ms: int, limit: int | None, rows: int
) -> None:
    settled = [t for t in dataset.markets["bybit"][0].times if t <= now_ms]
    params: dict[str, int] = {} if limit is None else {"limit": limit}
    assert stamps(history(client, **params)) == settled[::-1][:rows]


def test_paging_by_the_end_reads_every_settlement_up_to_now_once(
    client: httpx.Client, dataset: Dataset, now_ms: int
) -> None:
    read: list[tuple[int, float]] = []
    end = now_ms + 100 * HOUR_MS
    while rows := history(client, endTime=end):
        read += [(int(r["fundingRateTimestamp"]), float(r["fundingRate"])) for r in rows]
        end = read[-1][0] - 1
    known = dataset.markets["bybit"][0]
    settled = [(t, r) for t, r in zip(known.times, known.rates, strict=True) if t <= now_ms]
    assert len(settled) == 451
    assert read[::-1] == settled


def test_both_ends_are_included(client: httpx.Client, dataset: Dataset) -> None:
    times = dataset.markets["bybit"][0].times
    rows = history(client, startTime=times[10], endTime=times[20])
    assert stamps(rows) == list(times[10:21])[::-1]
    rows = history(client, startTime=times[10] + 1, endTime=times[20] - 1)
    assert stamps(rows) == list(times[11:20])[::-1]


@pytest.mark.parametrize(
    "params",
    [
        {"symbol": "BTCUSDT", "startTime": 1},
        {"symbol": "BTCUSDT", "startTime": 2, "endTime": 1},
        {"symbol": "BTCUSDT", "limit": "many"},
        {"symbol": "NOPEUSDT"},
        {},
        {"symbol": "BTCUSDT", "category": "lineal"},
    ],
)
def test_wrong_parameters_are_retcode_10001(client: httpx.Client, params: Any) -> None:
    body = market(client, "funding/history", **params)
    assert body["retCode"] == 10001
    assert body["result"] == {}


@pytest.mark.parametrize("endpoint", ["instruments-info", "tickers", "funding/history"])
def test_other_categories_are_empty(client: httpx.Client, endpoint: str) -> None:
    body = market(client, endpoint, category="inverse", symbol="BTCUSDT")
    assert (body["retCode"], body["result"]["list"]) == (0, [])


def test_the_cursor_leads_through_all_instruments(client: httpx.Client, dataset: Dataset) -> None:
    symbols: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        result = market(client, "instruments-info", limit=2, cursor=cursor)["result"]
        assert len(result["list"]) <= 2
        symbols += [row["symbol"] for row in result["list"]]
        cursor = result["nextPageCursor"] or None
    assert symbols == [m.symbol for m in dataset.markets["bybit"]]


def test_a_cursor_pasted_undecoded_into_the_url_works_too(client: httpx.Client) -> None:
    cursor = market(client, "instruments-info", limit=2)["result"]["nextPageCursor"]
    url = f"/bybit/v5/market/instruments-info?category=linear&limit=2&cursor={cursor}"
    rows = client.get(url).json()["result"]["list"]
    assert [row["symbol"] for row in rows] == ["1000PEPEUSDT", "SHIB1000USDT"]


def test_instruments_tell_interval_in_minutes_launch_and_quote(
    client: httpx.Client, dataset: Dataset
) -> None:
    rows = {r["symbol"]: r for r in market(client, "instruments-info")["result"]["list"]}
    intervals = {symbol: row["fundingInterval"] for symbol, row in rows.items()}
    assert intervals == {
        "BTCUSDT": 480,
        "ETHUSDT": 480,
        "1000PEPEUSDT": 240,
        "SHIB1000USDT": 240,
        "BTCPERP": 480,
    }
    assert (rows["BTCPERP"]["baseCoin"], rows["BTCPERP"]["quoteCoin"]) == ("BTC", "USDC")
    first = dataset.markets["bybit"][0].times[0]
    assert rows["BTCUSDT"]["launchTime"] == str(first - 8 * HOUR_MS)


def test_status_filters(client: httpx.Client) -> None:
    assert market(client, "instruments-info", status="PreLaunch")["result"]["list"] == []
    assert len(market(client, "instruments-info", status="Trading")["result"]["list"]) == 5


def test_tickers_show_the_coming_settlement(
    client: httpx.Client, dataset: Dataset, now_ms: int
) -> None:
    (row,) = market(client, "tickers", symbol="BTCUSDT")["result"]["list"]
    known = dataset.markets["bybit"][0]
    coming = next(i for i, time in enumerate(known.times) if time > now_ms)
    assert float(row["fundingRate"]) == known.rates[coming]
    assert int(row["nextFundingTime"]) == known.times[coming]
    assert row["fundingIntervalHour"] == "8"
    assert float(row["openInterest"]) == pytest.approx(
        2 * float(row["singleOpenInterest"]), rel=1e-3
    )


def test_time_is_the_sandbox_clock(client: httpx.Client, now_ms: int) -> None:
    body = market(client, "time")
    assert body["time"] == now_ms
    assert body["result"]["timeSecond"] == str(now_ms // 1000)
