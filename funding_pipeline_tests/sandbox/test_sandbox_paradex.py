"""Paradex's endpoints: the integral against a sum by hand, samples, cursors, options, errors."""

from array import array
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from funding_pipeline.sandbox.exchanges.paradex import EXCHANGE
from funding_pipeline.sandbox.exchanges.paradex_index import (
    PERIOD_MS,
    SAMPLE_MS,
    FundingIndex,
    true_hourly_rate,
)
from funding_pipeline.sandbox.exchanges.paradex_rows import sample_row
from funding_pipeline.sandbox.market import HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

HOUR_START_MS = WORLD_NOW_MS // HOUR_MS * HOUR_MS


def ask(client: httpx.Client, path: str = "funding/data", **params: Any) -> Any:
    return client.get(f"/paradex/v1/{path}", params=params).json()


def stepped(minutes: list[float], rates: list[float], prices: list[float]) -> SandboxMarket:
    return SandboxMarket(
        symbol="SOL-USD-PERP",
        base="SOL",
        quote="USD",
        times=array("q", [HOUR_START_MS + int(minute * 60_000) for minute in minutes]),
        rates=array("d", rates),
        interval_hours_at=lambda _: 1,
        rate_cap=0.02,
        prices=array("d", prices),
    )


MARKET = stepped(
    [0, 13, 61.5, 118, 120, 1000],
    [0.0001, -0.00023, 0.0006, 0.0, 0.00005, 0.0002],
    [150.0, 151.5, 148.25, 160.0, 155.0, 140.0],
)


def by_hand(market: SandboxMarket, start_ms: int, end_ms: int, *, priced: bool) -> float:
    """The integral in tenths of a second, each at the value in its middle."""
    assert market.prices is not None
    total, width = 0.0, 100
    for time in range(start_ms, end_ms, width):
        middle = time + width / 2
        step = max(i for i, start in enumerate(market.times) if start <= middle)
        if middle - market.times[step] >= 6 * HOUR_MS:
            continue
        price = 1.0
        if priced:
            price, following = market.prices[step], market.prices[step + 1 : step + 2]
            if following and market.times[step + 1] - market.times[step] <= 6 * HOUR_MS:
                span = market.times[step + 1] - market.times[step]
                price += (following[0] - price) * (middle - market.times[step]) / span
        total += market.rates[step] * price * width / PERIOD_MS
    return total


@pytest.mark.parametrize(
    ("start", "minutes"), [(0, 60), (5, 55), (60, 120), (119, 125), (470, 500)]
)
def test_the_index_is_the_integral_of_rate_times_price(start: int, minutes: int) -> None:
    index = FundingIndex(MARKET)
    start_ms, end_ms = HOUR_START_MS + start * 60_000, HOUR_START_MS + minutes * 60_000
    gained = index.index_at(end_ms) - index.index_at(start_ms)
    assert gained == pytest.approx(by_hand(MARKET, start_ms, end_ms, priced=True), rel=1e-7)
    paid = index.paid(start_ms, end_ms)
    assert paid == pytest.approx(by_hand(MARKET, start_ms, end_ms, priced=False), rel=1e-9)
    assert paid != 0


def test_the_true_hourly_rate_is_the_mean_rate_over_eight() -> None:
    mean = (13 * 0.0001 - 47 * 0.00023) / 60
    assert true_hourly_rate(MARKET, HOUR_START_MS + HOUR_MS) == pytest.approx(mean / 8, rel=1e-12)
    assert true_hourly_rate(MARKET, HOUR_START_MS) == 0


def test_asking_in_another_order_gives_the_same_index() -> None:
    times = [HOUR_START_MS + 997 * 1000 * i for i in range(70)]
    forwards, backwards = FundingIndex(MARKET), FundingIndex(MARKET)
    ascending = [forwards.index_at(time) for time in times]
    assert ascending == [backwards.index_at(time) for time in reversed(times)][::-1]


def test_nothing_accrues_and_nothing_is_sampled_six_hours_after_a_poll() -> None:
    index = FundingIndex(MARKET)
    silent, again = HOUR_START_MS + 481 * 60_000, HOUR_START_MS + 999 * 60_000
    assert index.index_at(silent) == index.index_at(again)
    newest = index.sample_at_or_before(again)
    assert newest is not None
    assert HOUR_START_MS + 480 * 60_000 - SAMPLE_MS <= newest < HOUR_START_MS + 480 * 60_000
    following = index.sample_after(newest)
    assert following is not None
    assert 0 <= following - (HOUR_START_MS + 1000 * 60_000) < SAMPLE_MS


def test_the_hour_follows_from_two_samples_within_the_price_move(
    world_client: httpx.Client, world: Dataset
) -> None:
    for market in world.markets["paradex"][3:12]:
        ends = [
            ask(world_client, market=market.symbol, end_at=end, page_size=1)["results"][0]
            for end in (HOUR_START_MS - HOUR_MS, HOUR_START_MS)
        ]
        early = [
            HOUR_START_MS - HOUR_MS - ends[0]["created_at"],
            HOUR_START_MS - ends[1]["created_at"],
        ]
        assert all(0 <= lag < SAMPLE_MS for lag in early)
        gained = float(ends[1]["funding_index"]) - float(ends[0]["funding_index"])
        prices = [float(e["funding_premium"]) / float(e["funding_rate"]) for e in ends]
        truth = true_hourly_rate(market, HOUR_START_MS)
        # The samples lie a few seconds before the hour, and the price moves inside it.
        assert gained / (sum(prices) / 2) == pytest.approx(truth, rel=0.02)
        assert prices[0] != prices[1]


def test_samples_every_five_seconds_newest_first_with_an_offset_per_market(
    world_client: httpx.Client, world: Dataset
) -> None:
    offsets = set()
    for market in world.markets["paradex"][:6]:
        rows = ask(world_client, market=market.symbol)["results"]
        times = [row["created_at"] for row in rows]
        assert len(times) == 100
        assert times == list(range(times[0], times[0] - 100 * SAMPLE_MS, -SAMPLE_MS))
        assert 0 <= WORLD_NOW_MS - times[0] < SAMPLE_MS
        offsets.add(times[0] % SAMPLE_MS)
    assert len(offsets) == 6


def test_cursors_lead_to_every_sample_once_and_back(world_client: httpx.Client) -> None:
    window: dict[str, Any] = {"start_at": HOUR_START_MS - 600_000, "end_at": HOUR_START_MS}
    whole = ask(world_client, market="SOL-USD-PERP", page_size=5000, **window)
    assert len(whole["results"]) == 120
    assert (whole["next"], whole["prev"]) == (None, None)
    pages, cursor = [], None
    while True:
        more: dict[str, Any] = {"cursor": cursor} if cursor else {}
        page = ask(world_client, market="SOL-USD-PERP", page_size=50, **window, **more)
        pages.append(page)
        if (cursor := page["next"]) is None:
            break
    assert [len(page["results"]) for page in pages] == [50, 50, 20]
    assert [row for page in pages for row in page["results"]] == whole["results"]
    assert [page["prev"] is None for page in pages] == [True, False, False]
    back = ask(world_client, market="SOL-USD-PERP", page_size=50, cursor=pages[1]["prev"], **window)
    assert back["results"] == pages[0]["results"]


def test_options_stand_among_the_markets(world_client: httpx.Client, world: Dataset) -> None:
    kinds = {row["symbol"]: row["asset_kind"] for row in ask(world_client, "markets")["results"]}
    perpetuals = {symbol for symbol, kind in kinds.items() if kind == "PERP"}
    assert perpetuals == {market.symbol for market in world.markets["paradex"]}
    assert set(kinds.values()) == {"PERP", "OPTION", "PERP_OPTION"}
    summary = ask(world_client, "markets/summary", market="ALL")["results"]
    rates = {row["symbol"]: row["funding_rate"] for row in summary}
    assert set(rates) == set(kinds)
    assert [kinds[symbol] for symbol, rate in rates.items() if rate == ""] == ["OPTION"]
    assert "kPEPE-USD-PERP" in perpetuals


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "VALIDATION_ERROR"),
        ({"market": "NOPE-USD-PERP"}, "MARKET_NOT_FOUND"),
        ({"market": "BTC-USD-PERP", "page_size": 5001}, "INVALID_REQUEST_PARAMETER"),
        ({"market": "BTC-USD-PERP", "start_at": 2, "end_at": 1}, "INVALID_REQUEST_PARAMETER"),
        ({"market": "BTC-USD-PERP", "cursor": "nonsense"}, "INVALID_REQUEST_PARAMETER"),
    ],
)
def test_errors(world_client: httpx.Client, params: dict[str, Any], code: str) -> None:
    answer = world_client.get("/paradex/v1/funding/data", params=params)
    assert (answer.status_code, answer.json()["error"]) == (400, code)


def test_older_rows_lack_the_period(world_client: httpx.Client) -> None:
    for day, shown in (("2025-06-20", None), ("2026-01-01", 0), ("2026-08-01", 8)):
        end = int(pl.Series([day]).str.to_datetime().dt.epoch("ms")[0])
        row = ask(world_client, market="BTC-USD-PERP", end_at=end, page_size=1)["results"][0]
        assert row.get("funding_period_hours") == shown
        assert bool(row.get("funding_rate_8h")) is (shown == 8)


def test_the_rounded_rate_is_cut_off() -> None:
    for rate, text in ((0.00007785743334, "0.00007785"), (-0.00007785743334, "-0.00007785")):
        row = sample_row("SOL-USD-PERP", FundingIndex(stepped([0], [rate], [150.0])), HOUR_START_MS)
        assert row["funding_rate_8h"] == text


def test_recorded_polls_are_kept_as_steps(recorded_dir: Path) -> None:
    found = load_recorded(recorded_dir, [EXCHANGE], now_ms=WORLD_NOW_MS)
    polls = pl.read_parquet(recorded_dir / "paradex_snapshot.parquet").sort("time")
    market = next(m for m in found.markets["paradex"] if m.symbol == "ADA-USD-PERP")
    own = polls.filter(pl.col("market") == market.symbol)
    assert list(market.times) == own["time"].dt.epoch("ms").to_list()
    assert list(market.rates) == own["rate"].to_list()
    assert list(market.prices or ()) == own["mark_price"].to_list()
