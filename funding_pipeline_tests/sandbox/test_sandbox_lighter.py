"""Lighter's endpoints: percent without sign, truncation, the newest slice, market ids, errors."""

from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from funding_pipeline.sandbox.exchanges.lighter import (
    EXCHANGE,
    market_id,
    percent_text,
    settled_rate,
)
from funding_pipeline.sandbox.market import HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

NOW_S = WORLD_NOW_MS // 1000
LAST_HOUR_S = NOW_S // 3600 * 3600


def ask(client: httpx.Client, **params: Any) -> httpx.Response:
    params = {"market_id": 1, "resolution": "1h", "count_back": 0, **params}
    return client.get("/lighter/api/v1/fundings", params=params)


def rows(client: httpx.Client, start: int, end: int, **params: Any) -> list[dict[str, Any]]:
    answer = ask(client, start_timestamp=start, end_timestamp=end, **params)
    found: list[dict[str, Any]] = answer.json()["fundings"]
    return found


def find(world: Dataset, symbol: str) -> SandboxMarket:
    return next(m for m in world.markets["lighter"] if m.symbol == symbol)


@pytest.mark.parametrize(
    ("rate", "text", "back"),
    [
        (0.0000125, "0.0012", 0.000012),
        (-0.0000125, "0.0012", -0.000012),
        (0.000012, "0.0012", 0.000012),
        # A float a hair below 0.0029 % is still 0.0029 %.
        (0.000029, "0.0029", 0.000029),
        (1.1999999999999999e-05, "0.0012", 0.000012),
        (0.0000000001, "0.0000", 0.0),
        (0.00099999, "0.0999", 0.000999),
    ],
)
def test_percent_is_cut_off_and_not_rounded(rate: float, text: str, back: float) -> None:
    assert percent_text(rate) == text
    assert settled_rate(rate) == back


def test_a_window_with_both_ends_ascends(world_client: httpx.Client, world: Dataset) -> None:
    market = find(world, "1000PEPE")
    start, end = LAST_HOUR_S - 719 * 3600, LAST_HOUR_S
    found = rows(world_client, start, end, market_id=market_id(market))
    assert [row["timestamp"] for row in found] == list(range(start, end + 1, 3600))
    low, high = market.settled(start * 1000, end * 1000, WORLD_NOW_MS)
    signed = [float(r["rate"]) / 100 * (1 if r["direction"] == "long" else -1) for r in found]
    assert signed == pytest.approx([settled_rate(rate) for rate in market.rates[low:high]])
    assert {row["direction"] for row in found} == {"long", "short"}
    assert all(row["direction"] == ("short" if rate < 0 else "long")
               for row, rate in zip(found, market.rates[low:high], strict=True))  # fmt: skip


def test_more_than_750_rows_give_the_newest_750(world_client: httpx.Client) -> None:
    found = rows(world_client, LAST_HOUR_S - 2000 * 3600, NOW_S)
    assert len(found) == 750
    assert found[-1]["timestamp"] == LAST_HOUR_S
    assert found[0]["timestamp"] == LAST_HOUR_S - 749 * 3600


def test_value_is_what_one_unit_pays(world_client: httpx.Client) -> None:
    for row in rows(world_client, LAST_HOUR_S - 48 * 3600, NOW_S):
        if row["rate"] == "0.0000":
            assert float(row["value"]) == 0
        else:
            price = float(row["value"]) / (float(row["rate"]) / 100)
            assert 30_000 < price < 200_000
            assert abs(price * 10 - round(price * 10)) < 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": "1d"},
        {"resolution": None},
        {"market_id": None},
        {"market_id": 999},
        {"market_id": "BTC"},
        {"start_timestamp": None},
        {"end_timestamp": None},
        {"count_back": None},
        {"end_timestamp": 5_000_000_000_001},
    ],
)
def test_every_parameter_is_required_and_checked(
    world_client: httpx.Client, wrong: dict[str, Any]
) -> None:
    params = {"start_timestamp": NOW_S - 7200, "end_timestamp": NOW_S, **wrong}
    params = {"market_id": 1, "resolution": "1h", "count_back": 0, **params}
    sent = {name: value for name, value in params.items() if value is not None}
    answer = world_client.get("/lighter/api/v1/fundings", params=sent)
    assert answer.status_code == 400
    assert answer.json()["code"] == 20001
    assert next(iter(wrong)) in answer.json()["message"]


def test_ids_are_the_exchanges(world_client: httpx.Client, world: Dataset) -> None:
    ids = {
        row["symbol"]: row["market_id"]
        for row in world_client.get("/lighter/api/v1/orderBooks").json()["order_books"]
        if row["market_type"] == "perp"
    }
    assert (ids["BTC"], ids["ETH"], ids["SOL"]) == (1, 0, 2)
    assert len(set(ids.values())) == len(ids)
    assert {"1000PEPE", "NVDA"} <= set(ids)
    assert ids == {m.symbol: market_id(m) for m in world.markets["lighter"]}
    details = world_client.get("/lighter/api/v1/orderBookDetails").json()
    assert {row["market_type"] for row in details["order_book_details"]} == {"perp"}
    assert {row["market_type"] for row in details["spot_order_book_details"]} == {"spot"}


def test_estimates_are_signed_per_8_hours_and_relayed_ones_stand_among_them(
    world_client: httpx.Client, world: Dataset
) -> None:
    found = world_client.get("/lighter/api/v1/funding-rates").json()["funding_rates"]
    rates = {(row["exchange"], row["symbol"]): row["rate"] for row in found}
    assert {exchange for exchange, _ in rates} == {"lighter", "binance", "bybit", "hyperliquid"}
    for market in world.markets["lighter"]:
        ours = settled_rate(market.running_rate(WORLD_NOW_MS)) * 8
        assert rates["lighter", market.symbol] == pytest.approx(ours)
    hourly = next(m for m in world.markets["hyperliquid"] if m.symbol == "kPEPE")
    assert rates["hyperliquid", "1000PEPE"] == hourly.running_rate(WORLD_NOW_MS) * 8
    fourth = next(m for m in world.markets["binance"] if m.symbol == "BTCUSDT")
    assert rates["binance", "BTC"] == fourth.running_rate(WORLD_NOW_MS)


def test_recorded_polls_become_the_settlement_after_them(recorded_dir: Path) -> None:
    found = load_recorded(recorded_dir, [EXCHANGE], now_ms=WORLD_NOW_MS)
    assert "not what settled" in found.notes["lighter"]
    polls = pl.read_parquet(recorded_dir / "lighter_snapshot.parquet").sort("time")
    for market in found.markets["lighter"][:5]:
        own = polls.filter(pl.col("market") == market.symbol)
        seen = list(zip(own["time"].dt.epoch("ms"), own["rate"], strict=True))
        following: dict[int, float] = {}
        for time, rate in seen:
            for hour in range(time // HOUR_MS + 1, (time + 6 * HOUR_MS) // HOUR_MS + 1):
                following[hour * HOUR_MS] = rate / 8
        assert dict(zip(market.times, market.rates, strict=True)) == following
        assert {settled_rate(rate) for rate in market.rates} >= {0.000012}
