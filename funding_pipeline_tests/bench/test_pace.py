"""The pace of backfills on a simulated clock, small enough for every run: nothing here is noisy."""

import dataclasses
from collections import Counter

import pytest

from funding_pipeline.exchanges.base import ExchangeSpec, RateLimit
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline_tests.bench.pace import floor_s, measure, measure_tick
from funding_pipeline_tests.warehouse.world import spec


@pytest.mark.parametrize("tick", [False, True], ids=["alone", "with a tick"])
@pytest.mark.parametrize("name", ["okx", "hyperliquid", "orderly"])
def test_a_backfill_takes_little_longer_than_an_ideal_client_and_is_never_refused(
    name: str, tick: bool
) -> None:
    pace = measure(name, markets=100, tick=tick)
    assert (pace.outcome, pace.refusals) == ("complete", 0)
    assert pace.floor_s >= 9
    assert pace.ratio <= 1.06


@pytest.mark.parametrize(
    "name", ["okx", "bybit", "hyperliquid", "nado", "binance", "binance_coinm", "aster"]
)
def test_no_more_is_asked_than_the_cheapest_exact_plan_asks(name: str) -> None:
    assert measure(name, markets=40, days=10).thrift == 1.0


@pytest.mark.parametrize(
    "name", ["okx", "bybit", "hyperliquid", "gate", "binance", "binance_coinm", "edgex", "kucoin"]
)
def test_a_tick_asks_no_more_than_the_cheapest_exact_plan(name: str) -> None:
    pace = measure_tick(name, markets=12)
    assert (pace.outcome, pace.thrift) == ("complete", 1.0)


def limited(*limits: RateLimit) -> ExchangeSpec:
    return dataclasses.replace(spec(), limits=limits)


def test_an_ideal_client_spends_a_window_at_once_and_then_waits_for_the_next() -> None:
    one = (1, frozenset({""}))
    ten = limited(RateLimit(10, 5.0))
    assert [floor_s(ten, [one] * n) for n in (10, 11, 20, 21)] == [0.0, 5.0, 5.0, 10.0]
    assert floor_s(ten, [(6, frozenset({""}))] * 3) == 10.0, "what does not fit waits"
    both = limited(RateLimit(10, 5.0), RateLimit(2, 1.0, "history"))
    assert floor_s(both, [(1, frozenset({"", "history"}))] * 6) == 2.0
    assert Counter(limit.scope for limit in EXCHANGES["binance"].spec.limits) == {
        "": 1,
        "funding": 1,
    }
