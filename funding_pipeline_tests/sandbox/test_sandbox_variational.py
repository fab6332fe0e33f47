"""Variational's one endpoint: annualised fractions, intervals, what a boundary settles."""

from collections import Counter
from itertools import pairwise
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.exchanges.variational import EXCHANGE, published_rate, settled_rate
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import HOUR_MS, Dataset
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

WORLD = generate([EXCHANGE])
MARKETS = WORLD.markets["variational"]


def ask(url: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = httpx.get(f"{url}/variational/metadata/stats").json()["listings"]
    return rows


def test_the_common_value_is_10_95_percent_whatever_the_interval() -> None:
    with running_sandbox(WORLD, now=lambda: WORLD_NOW_MS) as url:
        rows = ask(url)
    common: dict[int, Counter[str]] = {}
    for row in rows:
        common.setdefault(row["funding_interval_s"], Counter())[row["funding_rate"]] += 1
    assert set(common) == {0, 3600, 14400, 28800}
    for interval in (14400, 28800):
        assert common[interval].most_common(1)[0][0] == "0.1095"
    assert set(common[0]) == {"0"}
    assert all(len(row["funding_rate"].partition(".")[2]) <= 6 for row in rows)


def test_what_is_shown_just_before_a_boundary_is_what_it_settles() -> None:
    shown_elsewhere = 0
    for market in MARKETS[:60]:
        low, high = market.settled(WORLD_NOW_MS - 72 * HOUR_MS, WORLD_NOW_MS, WORLD_NOW_MS)
        for before, boundary in pairwise(market.times[low:high]):
            hours = (boundary - before) // HOUR_MS
            settled = settled_rate(market, boundary)
            exact = market.rates[market.times.index(boundary)]
            assert settled == pytest.approx(exact, abs=0.6e-6 * hours / 8760)
            shown = published_rate(market, boundary - 1) * hours / 8760
            assert shown == settled == published_rate(market, boundary - 599_000) * hours / 8760
            # The hour after shows something else as soon as the rate moves.
            shown_elsewhere += published_rate(market, before) * hours / 8760 != settled
    assert shown_elsewhere > 200


def test_boundaries_lie_on_the_utc_grid_of_the_interval() -> None:
    intervals = set()
    for market in MARKETS:
        hours = market.interval_hours_at(WORLD_NOW_MS)
        assert market.next_settlement_ms(WORLD_NOW_MS) % (hours * HOUR_MS) == 0
        assert market.times[500] % (hours * HOUR_MS) == 0
        intervals.add(hours)
    assert intervals == {1, 4, 8}


def test_the_wire_shows_the_published_rate(world_url: str, world: Dataset) -> None:
    rows = {row["ticker"]: row for row in ask(world_url)}
    assert len(rows) == len(world.markets["variational"]) >= 25
    for market in world.markets["variational"]:
        row = rows[market.symbol]
        assert float(row["funding_rate"]) == published_rate(market, WORLD_NOW_MS)
        if row["name"].startswith("Swap on"):
            assert (row["funding_interval_s"], row["funding_rate"]) == (0, "0")
        else:
            assert row["funding_interval_s"] == market.interval_hours_at(WORLD_NOW_MS) * 3600
        interest = row["open_interest"]
        assert float(interest["long_open_interest"]) > float(interest["short_open_interest"]) > 0


def test_there_is_nothing_else(world_url: str) -> None:
    assert httpx.get(f"{world_url}/variational/metadata/history").status_code == 404
