"""Binance's endpoints: windows, pages over all symbols, intervals, contracts, errors."""

from collections import Counter
from itertools import pairwise
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.exchanges.binance import EXCHANGE
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

DAY_START_MS = WORLD_NOW_MS // DAY_MS * DAY_MS


def ask(client: httpx.Client, endpoint: str, **params: Any) -> Any:
    return client.get(f"/binance/fapi/v1/{endpoint}", params=params).json()


def rows(client: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(client, "fundingRate", **params)
    return found


def settled(market: SandboxMarket, start: int, end: int) -> list[tuple[str, int, float]]:
    low, high = market.settled(start, end, WORLD_NOW_MS)
    pairs = zip(market.times[low:high], market.rates[low:high], strict=True)
    return [(market.symbol, time, rate) for time, rate in pairs]


def keys(found: list[dict[str, Any]]) -> list[tuple[str, int, float]]:
    return [(row["symbol"], row["fundingTime"], float(row["fundingRate"])) for row in found]


def test_one_symbol_ascends_from_the_oldest_with_both_ends(
    world_client: httpx.Client, world: Dataset
) -> None:
    market = world.markets["binance"][0]
    whole = settled(market, WORLD_NOW_MS - 90 * DAY_MS, WORLD_NOW_MS)
    start, end = whole[0][1], whole[200][1]
    found = rows(world_client, symbol=market.symbol, startTime=start, endTime=end, limit=1000)
    assert keys(found) == whole[:201]
    assert rows(world_client, symbol=market.symbol, startTime=start, endTime=end) == found[:100]
    inside = {"startTime": start + 1, "endTime": end - 1, "limit": 1000}
    assert rows(world_client, symbol=market.symbol, **inside) == found[1:-1]


def test_without_times_the_newest_rows_ascend(world_client: httpx.Client, world: Dataset) -> None:
    market = world.markets["binance"][1]
    whole = settled(market, 0, WORLD_NOW_MS)
    assert keys(rows(world_client, symbol=market.symbol, limit=3)) == whole[-3:]
    assert keys(rows(world_client, symbol=market.symbol)) == whole[-200:]
    end = whole[-50][1]
    assert keys(rows(world_client, symbol=market.symbol, endTime=end, limit=5)) == whole[-54:-49]


def test_all_symbols_come_by_time_and_pages_end_inside_equal_stamps(
    world_client: httpx.Client, world: Dataset
) -> None:
    start = DAY_START_MS - 10 * DAY_MS
    everything = [row for m in world.markets["binance"] for row in settled(m, start, WORLD_NOW_MS)]
    known: dict[tuple[str, int], float] = {}
    cuts, since = 0, start
    while True:
        page = keys(rows(world_client, startTime=since, endTime=WORLD_NOW_MS, limit=100))
        assert [time for _, time, _ in page] == sorted(time for _, time, _ in page)
        fresh = [row for row in page if row[:2] not in known]
        known |= {row[:2]: row[2] for row in page}
        if len(page) < 100:
            break
        assert fresh
        since = page[-1][1]
        rest = {symbol for symbol, time, _ in everything if time == since}
        cuts += not rest <= {symbol for symbol, time, _ in page if time == since}
    assert known == {(symbol, time): rate for symbol, time, rate in everything}
    assert cuts > 5


def test_all_symbols_without_times_are_the_most_recent(
    world_client: httpx.Client, world: Dataset
) -> None:
    everything = [row for m in world.markets["binance"] for row in settled(m, 0, WORLD_NOW_MS)]
    newest = sorted(time for _, time, _ in everything)[-200:]
    assert [time for _, time, _ in keys(rows(world_client))] == newest


def test_stamps_are_up_to_5_ms_late_and_rates_have_eight_decimals(
    world_client: httpx.Client,
) -> None:
    found = rows(world_client, startTime=DAY_START_MS - 3 * DAY_MS, limit=1000)
    assert {row["fundingTime"] % HOUR_MS for row in found} == set(range(6))
    assert all(len(row["fundingRate"].partition(".")[2]) == 8 for row in found)


def test_intervals_of_8_4_and_1_hours_some_of_which_change() -> None:
    markets = generate([EXCHANGE]).markets["binance"]
    now = {market.interval_hours_at(WORLD_NOW_MS) for market in markets}
    assert now == {1, 4, 8}
    changing = Counter[str]()
    for market in markets:
        low, high = market.settled(WORLD_NOW_MS - 90 * DAY_MS, WORLD_NOW_MS, WORLD_NOW_MS)
        hours = [time // HOUR_MS for time in market.times[low:high]]
        for before, after in pairwise(hours):
            assert after - before <= market.interval_hours_at(before * HOUR_MS)
        if len({market.interval_hours_at(hour * HOUR_MS) for hour in hours}) > 1:
            changing[market.symbol] += 1
    assert 5 <= len(changing) < 40


def test_funding_info_tells_the_interval_in_force(
    world_client: httpx.Client, world: Dataset
) -> None:
    told = {r["symbol"]: r["fundingIntervalHours"] for r in ask(world_client, "fundingInfo")}
    listed = world.listed("binance", WORLD_NOW_MS)
    assert told == {m.symbol: m.interval_hours_at(WORLD_NOW_MS) for m in listed}
    premiums = {r["symbol"]: r for r in ask(world_client, "premiumIndex")}
    for market in listed:
        row = premiums[market.symbol]
        assert row["nextFundingTime"] == market.next_settlement_ms(WORLD_NOW_MS)
        assert float(row["lastFundingRate"]) == market.running_rate(WORLD_NOW_MS)


def test_quarterly_contracts_stand_among_the_perpetuals(world_client: httpx.Client) -> None:
    symbols = ask(world_client, "exchangeInfo")["symbols"]
    kinds = Counter(row["contractType"] for row in symbols)
    assert kinds["CURRENT_QUARTER"] == kinds["NEXT_QUARTER"] == 2
    assert kinds["TRADIFI_PERPETUAL"] >= 2
    assert kinds["PERPETUAL"] >= 25
    # The last Fridays of September and December 2026.
    assert {"BTCUSDT_260925", "BTCUSDT_261225"} <= {row["symbol"] for row in symbols}
    assert rows(world_client, symbol="BTCUSDT_260925") == []
    row = ask(world_client, "premiumIndex", symbol="BTCUSDT_260925")
    assert (row["nextFundingTime"], row["lastFundingRate"]) == (0, "0.00000000")


def test_a_delisted_contract_is_settling() -> None:
    with (
        running_sandbox(generate([EXCHANGE]), now=lambda: WORLD_NOW_MS) as url,
        httpx.Client(base_url=url) as client,
    ):
        found = ask(client, "exchangeInfo")["symbols"]
        status = {row["symbol"]: row["status"] for row in found}
        assert (status["MATICUSDT"], status["BTCUSDT"]) == ("SETTLING", "TRADING")
        assert "MATICUSDT" not in {row["symbol"] for row in ask(client, "fundingInfo")}
        assert ask(client, "premiumIndex", symbol="MATICUSDT")["nextFundingTime"] == 0
        assert ask(client, "openInterest", symbol="MATICUSDT")["code"] == -4108
        assert len(rows(client, symbol="MATICUSDT")) == 200


@pytest.mark.parametrize(
    ("endpoint", "params", "status", "code"),
    [
        ("fundingRate", {"symbol": "NOPEUSDT"}, 400, -1121),
        ("premiumIndex", {"symbol": "NOPEUSDT"}, 400, -1121),
        ("openInterest", {"symbol": "NOPEUSDT"}, 400, -1121),
        ("openInterest", {}, 400, -1102),
        ("fundingRate", {"startTime": "yesterday"}, 400, -1102),
        ("fundingRate", {"limit": 1001}, 400, -1130),
        ("fundingRate", {"startTime": 2, "endTime": 1}, 400, -1130),
        ("nothing", {}, 404, -5000),
    ],
)
def test_errors_have_the_exchanges_form(
    world_client: httpx.Client, endpoint: str, params: dict[str, Any], status: int, code: int
) -> None:
    answer = world_client.get(f"/binance/fapi/v1/{endpoint}", params=params)
    assert answer.status_code == status
    assert list(answer.json()) == ["code", "msg"]
    assert answer.json()["code"] == code
