"""Generated markets: random access, the same at every start, and like the real thing."""

from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.sandbox import noise
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import system_now_ms

WORLD = generate(EXCHANGES.values())
PLACES = [(name, i) for name, markets in WORLD.markets.items() for i in range(len(markets))]


def find(exchange: str, symbol: str) -> SandboxMarket:
    return next(m for m in WORLD.markets[exchange] if m.symbol == symbol)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), st.integers(0, 40_000), st.integers(1, 600))
def test_a_page_equals_its_settlements_one_by_one_after_a_restart(
    place: tuple[str, int], number: int, rows: int
) -> None:
    exchange, index = place
    market = WORLD.markets[exchange][index]
    number %= len(market.times)
    page = list(
        zip(market.times[number : number + rows], market.rates[number : number + rows], strict=True)
    )
    noise._block.cache_clear()
    again = generate(EXCHANGES.values()).markets[exchange][index]
    singles = [
        (again.times[i], again.rates[i])
        for i in range(min(number + rows, len(again.times)) - 1, number - 1, -1)
    ]
    assert page == singles[::-1]


def test_another_seed_gives_other_rates_at_the_same_times() -> None:
    other = generate(EXCHANGES.values(), seed=7).markets["bybit"][0]
    market = WORLD.markets["bybit"][0]
    assert other.times[:300] == market.times[:300]
    assert other.rates[:300] != market.rates[:300]


def test_names_of_the_real_exchanges() -> None:
    coins = [m.symbol for m in WORLD.markets["hyperliquid"]]
    symbols = [m.symbol for m in WORLD.markets["bybit"]]
    assert coins[:3] == ["BTC", "ETH", "SOL"]
    assert symbols[:3] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert {"kPEPE", "kSHIB", "xyz:NVDA", "xyz:XYZ100"} <= set(coins)
    assert {"1000PEPEUSDT", "SHIB1000USDT", "BTCPERP"} <= set(symbols)
    for names in (coins, symbols):
        assert len(names) == len(set(names)) > 200


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_history_reaches_a_quarter_back_and_3_days_ahead(exchange: str) -> None:
    """Some exchanges opened late."""
    now = system_now_ms()
    for market in WORLD.markets[exchange]:
        assert market.times[0] <= now - 90 * DAY_MS
        assert market.delisted_ms is not None or market.times[-1] >= now + 3 * DAY_MS


def test_bybit_settles_every_8_4_and_1_hours_exactly_on_its_grid() -> None:
    now = system_now_ms()
    intervals: Counter[int] = Counter()
    for market in WORLD.markets["bybit"]:
        low, high = market.settled(now - 40 * DAY_MS, now, now)
        times = market.times[low:high]
        for before, after in pairwise(times):
            assert after - before == market.interval_hours_at(before) * HOUR_MS
            assert after % (after - before) == 0
        intervals[market.interval_hours_at(now)] += 1
    assert set(intervals) == {1, 4, 8}
    assert all(count >= 5 for count in intervals.values())


def test_the_settlement_at_a_change_still_pays_for_the_interval_before() -> None:
    market = find("hyperliquid", "BTC")
    hours = [time // HOUR_MS for time in market.times[:100]]
    gaps = [after - before for before, after in pairwise(hours)]
    assert gaps == sorted(gaps, reverse=True)
    assert set(gaps) == {8, 1}
    last_of_8_hours = gaps.index(1)
    assert abs(market.rates[last_of_8_hours]) > 5 * abs(market.rates[last_of_8_hours + 1]) > 0


def test_hyperliquid_is_up_to_100_ms_late_and_never_early() -> None:
    delays = [time % HOUR_MS for time in find("hyperliquid", "ETH").times[5000:7000]]
    assert max(delays) < 100
    assert len(set(delays)) > 50


def test_rates_rest_at_the_baseline_wander_and_hit_the_caps() -> None:
    rates: list[float] = []
    for market in WORLD.markets["hyperliquid"][:20]:
        rates += market.rates[9000:17000]
    assert Counter(rates).most_common(1)[0][0] == 0.0000125
    assert 0.2 < sum(rate == 0.0000125 for rate in rates) / len(rates) < 0.8
    assert 0.05 < sum(rate < 0 for rate in rates) / len(rates) < 0.6
    half = find("hyperliquid", "xyz:NVDA").rates[3000:9000]
    assert Counter(half).most_common(1)[0][0] == 0.00000625
    bybit = WORLD.markets["bybit"]
    assert all(abs(rate) <= m.rate_cap for m in bybit[:60] for rate in m.rates[1000:3000])
    assert any(abs(rate) == m.rate_cap for m in bybit[:60] for rate in m.rates[1000:3000])


def test_neighbouring_hours_go_together() -> None:
    market = find("hyperliquid", "DOGE")
    rates = [rate for rate in market.rates[9000:17000] if rate != 0.0000125]
    mean = sum(rates) / len(rates)
    spread = sum((rate - mean) ** 2 for rate in rates)
    shifted = sum((a - mean) * (b - mean) for a, b in pairwise(rates))
    assert shifted / spread > 0.7


def test_a_delisted_market_stops_settling() -> None:
    for exchange, symbol in (("hyperliquid", "MATIC"), ("bybit", "MATICUSDT")):
        market = find(exchange, symbol)
        assert market.delisted_ms is not None
        assert market.delisted_ms - DAY_MS < market.times[-1] <= market.delisted_ms + 100
        assert market.is_delisted(system_now_ms())


def test_a_smaller_selection_keeps_the_most_relevant_and_their_values() -> None:
    few = generate(EXCHANGES.values(), markets=25).markets["hyperliquid"]
    assert [m.symbol for m in few] == [m.symbol for m in WORLD.markets["hyperliquid"][:25]]
    assert any(":" in m.symbol for m in few)
    at = bisect_left(few[3].times, 1_700_000_000_000)
    assert few[3].rates[at] == WORLD.markets["hyperliquid"][3].rates[at]
