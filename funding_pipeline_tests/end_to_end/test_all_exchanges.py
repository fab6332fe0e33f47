"""All exchanges together: collected, derived, published; each against its own truth.

The truth of generated markets and of recorded polls is what the sandbox says of itself: lighter
truncates percent, paradex integrates, variational shows an annual figure. Binance's recorded rows
are compared with their file.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.estimates import SampleReport, sample_estimates
from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import EXCHANGES, select
from funding_pipeline.sandbox.exchanges import paradex_index, variational
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import Dataset, SandboxMarket
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOXED
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.end_to_end import support
from funding_pipeline_tests.end_to_end.support import compare, ms, sandbox_settings
from funding_pipeline_tests.sandbox.test_sandbox_ccxt import client

pytestmark = pytest.mark.slow

RECORDED = [name for name, e in EXCHANGES.items() if e.spec.kind == "recorded"]
APART = {"paradex", *RECORDED}  # each has tests of its own

HOUR = 3_600_000
MINUTE = 60_000
UNSAMPLED = 4  # the hour before which nobody looked
SWAP = "XAUS"  # of Variational's generated markets the one that pays no funding
# Paradex samples lie up to 5 s before the hour: so much of the hour is the one before.
SHIFT = 5_000 / HOUR

# (market, slot) -> (rate, interval, kind, apr)
Rows = dict[tuple[str, int], tuple[float, int, str, float]]


@dataclass(frozen=True, slots=True)
class Run:
    """What was collected of a sandbox, and what the sandbox holds."""

    settings: Settings
    world: Dataset
    window: Window
    now_ms: int
    samples: list[SampleReport]
    first: dict[str, LoadReport]
    again: dict[str, LoadReport]


def collect(
    settings: Settings, window: Window, now_ms: int, *names: str, refetch: bool = False
) -> dict[str, LoadReport]:
    job = Job("backfill", window, refetch=refetch)
    chosen = select(settings, names or EXCHANGES)
    reports = collect_each(chosen, job, settings, Database(settings), now_ms=now_ms)
    return {report.exchange: report for report in reports}


def derive_and_publish(settings: Settings, now_ms: int) -> None:
    derive(Database(settings), now=timestamp(now_ms))
    publish(Database(settings))


def query(settings: Settings, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.read_path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql, list(parameters)).fetchall()


def stored(settings: Settings, exchange: str) -> Rows:
    rows = query(
        settings,
        """SELECT market, epoch_ms(funding_time), rate, interval_hours, kind, apr
        FROM funding_rates WHERE exchange = ?""",
        exchange,
    )
    found: Rows = {(market, slot): tuple(rest) for market, slot, *rest in rows}
    assert len(found) == len(rows), "a settlement twice"
    return found


def settlements(run: Run, exchange: str) -> dict[tuple[str, int], tuple[float, int]]:
    """Rate and interval of what the sandbox's markets settled in the window."""
    found = {}
    told = SANDBOXED[exchange]
    for market in run.world.known(exchange, run.now_ms):
        if told.unfunded(market):
            continue
        low, high = market.settled(run.window.start_ms, run.window.end_ms - 1, run.now_ms)
        for index in range(low, high):
            slot = market.times[index] // HOUR * HOUR
            hours = market.interval_hours_at(slot - 1)
            found[market.symbol, slot] = (told.settled_rate(market, index), hours)
    assert found
    return found


def assert_settled(rows: Rows, truth: dict[tuple[str, int], tuple[float, int]]) -> None:
    assert rows.keys() == truth.keys()
    wrong = {
        key: (row, truth[key])
        for key, row in rows.items()
        if row[1:3] != (truth[key][1], "settled")
        or row[0] != pytest.approx(truth[key][0], rel=1e-12, abs=1e-18)
    }
    assert not wrong, list(wrong.items())[:5]
    for rate, hours, _, apr in rows.values():
        assert apr == pytest.approx(rate * 8760 / hours, rel=1e-12)


def assert_accrued(run: Run, rows: Rows) -> int:
    """Each hour within half its price move and the samples' earliness; returns the hours."""
    unequal = 0
    for (symbol, slot), (rate, hours, kind, _) in rows.items():
        market = run.world.market("paradex", symbol, run.now_ms)
        assert market is not None
        truth = paradex_index.true_hourly_rate(market, slot)
        assert (hours, kind) == (1, "settled")
        assert rate == pytest.approx(truth, rel=1e-9, abs=uncertainty(market, slot)), (symbol, slot)
        unequal += truth != 0
    return unequal


def uncertainty(market: SandboxMarket, slot: int) -> float:
    """What exchanges.md §4.3 allows: half the hour's price move, of the rates of that hour."""
    index = paradex_index.FundingIndex(market)
    steps = [step for m in range(-60, 1) if (step := index.step_at(slot + m * MINUTE - 1))]
    before = index.step_at(slot - HOUR - 5_000)
    if before is not None:
        steps.append(before)
    prices = [p for s in steps for p in (s.first_price, s.last_price)]
    rates = [step.rate / 8 for step in steps] + [0.0]
    largest = max(map(abs, rates))
    return largest * (max(prices) / min(prices) - 1) / 2 + 2 * SHIFT * (max(rates) - min(rates))


# --- generated


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Two days of 22 markets each. The last half day was sampled hour by hour, but at 04:00."""
    world = generate(SANDBOXED.values(), markets=22)
    window = Window(ms(2026, 9, 18, 12), ms(2026, 9, 20, 13))
    clock = ms(2026, 9, 20)
    with (
        running_sandbox(world, now=lambda: clock) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("funding_pipeline.collection.estimates.utc_now", lambda: timestamp(clock))
        settings = sandbox_settings(tmp_path_factory.mktemp("six") / "data", url)
        samples: list[SampleReport] = []
        for hour in range(1, 13):
            clock = ms(2026, 9, 20, hour) - 4 * MINUTE
            if hour != UNSAMPLED:
                names = EXCHANGES if hour == 12 else RECORDED
                samples = sample_estimates(select(settings, names), settings, Database(settings))
        clock = ms(2026, 9, 20, 12, 40)
        first = collect(settings, window, clock)
        derive_and_publish(settings, clock)
        again = collect(settings, window, clock, refetch=True)
        yield Run(settings, world, window, clock, samples, first, again)


def test_all_are_collected_in_one_go(generated: Run) -> None:
    assert generated.first.keys() == EXCHANGES.keys()
    for report in generated.first.values():
        assert (report.outcome, report.failures) == ("complete", {}), report.summary()
        assert report.volume == [], report.summary()
        assert report.counts.new > 0, report.summary()
        assert (report.counts.changed, report.counts.quarantined) == (0, 0), report.summary()


def test_asking_everything_again_changes_nothing(generated: Run) -> None:
    for name, report in generated.again.items():
        assert (report.outcome, report.volume) == ("complete", [])
        assert (report.counts.new, report.counts.changed) == (0, 0), report.summary()
        assert report.counts.unchanged == generated.first[name].counts.new


@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if name not in APART])
def test_settled_fractions_are_exact_with_their_intervals(generated: Run, exchange: str) -> None:
    assert_settled(stored(generated.settings, exchange), settlements(generated, exchange))


def test_the_generated_binance_markets_have_several_intervals(generated: Run) -> None:
    hours = {row[1] for row in stored(generated.settings, "binance").values()}
    assert len(hours) >= 2


def test_all_of_binance_is_a_handful_of_requests(generated: Run) -> None:
    """Two lists and, together, the history of all markets."""
    assert generated.first["binance"].traffic.requests <= 6


def test_lighter_has_both_signs(generated: Run) -> None:
    rows = stored(generated.settings, "lighter").values()
    assert min(row[0] for row in rows) < 0 < max(row[0] for row in rows)


def test_every_paradex_hour_is_what_accrued_within_its_uncertainty(generated: Run) -> None:
    rows = stored(generated.settings, "paradex")
    slots = range(generated.window.start_ms, generated.now_ms, HOUR)
    assert rows.keys() == {
        (market.symbol, slot) for market in generated.world.markets["paradex"] for slot in slots
    }
    assert assert_accrued(generated, rows) == len(rows)


def test_variational_holds_what_was_sampled_before_each_boundary(generated: Run) -> None:
    """Boundaries of the UTC grid from 01:00 to 12:00; before 04:00 nobody looked."""
    expected = {}
    for market in generated.world.markets["variational"]:
        hours = market.interval_hours_at(generated.now_ms)
        if market.symbol == SWAP:
            continue
        for hour in range(1, 13):
            if hour != UNSAMPLED and hour % hours == 0:
                slot = ms(2026, 9, 20, hour)
                expected[market.symbol, slot] = variational.settled_rate(market, slot)
    assert SWAP in {market.symbol for market in generated.world.markets["variational"]}
    rows = stored(generated.settings, "variational")
    assert {hours for _, hours, *_ in rows.values()} >= {4, 8}
    assert rows.keys() == expected.keys()
    for key, (rate, hours, kind, apr) in rows.items():
        assert rate == pytest.approx(expected[key], rel=1e-12)
        assert kind == "recorded"
        assert key[1] % (hours * HOUR) == 0
        assert apr == pytest.approx(rate * 8760 / hours, rel=1e-12)


def test_estimates_are_published_apart_from_what_settled(generated: Run) -> None:
    sampled = {name for name, e in EXCHANGES.items() if e.spec.samples_estimates}
    assert {report.exchange: report.error for report in generated.samples} == dict.fromkeys(sampled)
    rows = query(
        generated.settings,
        """SELECT exchange, count(*), count(mark_price) FROM predicted_rates
        WHERE observed_at = (SELECT max(observed_at) FROM predicted_rates)
        GROUP BY exchange""",
    )
    assert {exchange for exchange, *_ in rows} == sampled
    for exchange, markets, priced in rows:
        known = generated.world.listed(exchange, generated.now_ms)
        funded = [m for m in known if not SANDBOXED[exchange].unfunded(m)]
        assert markets == len(funded), exchange
        assert priced in (0, markets), exchange  # HTX tells no price beside its rates
    kinds = query(generated.settings, "SELECT DISTINCT exchange, kind FROM funding_rates")
    recorded = {name for name, kind in kinds if kind == "recorded"}
    assert recorded == set(RECORDED)
    assert len(kinds) == len(EXCHANGES)


def test_every_exchange_reaches_the_derived_tables(generated: Run) -> None:
    for table in ("daily_stats", "latest_rates", "apr", "moving_averages"):
        found = query(generated.settings, f"SELECT DISTINCT exchange FROM {table}")
        assert {name for (name,) in found} == EXCHANGES.keys(), table


def test_bitcoin_costs_about_the_same_everywhere(generated: Run) -> None:
    """The generated mood is common to all: a unit wrong by 8, 100 or 8760 would stand out."""
    rows = query(
        generated.settings,
        """SELECT exchange, avg(apr) FROM apr WHERE symbol = 'BTC' AND hour > ?
        GROUP BY exchange""",
        datetime(2026, 9, 20),
    )
    aprs = dict(rows)
    assert aprs.keys() == EXCHANGES.keys()
    assert max(aprs.values()) - min(aprs.values()) < 0.5
    assert max(map(abs, aprs.values())) < 1


# --- recorded


@pytest.fixture(scope="module")
def march(recorded_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Binance, 2026-03-01 to 2026-03-20, all markets together."""
    settings = sandbox_settings(tmp_path_factory.mktemp("march") / "data", recorded_url)
    now_ms = int(time.time() * 1000)
    window = Window(ms(2026, 3, 1), ms(2026, 3, 20))
    report = collect(settings, window, now_ms, "binance")["binance"]
    assert report.outcome == "complete", report.summary()
    assert report.traffic.requests < 600
    publish(Database(settings))
    return settings


def test_the_interval_changes_of_binance_in_march_are_exact(
    march: Settings, recorded_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(support.RECORDED_FILES, "binance", ("binance",))
    window = Window(ms(2026, 3, 1), ms(2026, 3, 20))
    found = compare(march.read_path, recorded_dir, "binance", window)
    assert found.exact, found
    assert found.stored == 40_114
    changes = query(
        march,
        """SELECT count(*) FROM (SELECT interval_hours AS hours, lag(interval_hours)
            OVER (PARTITION BY market ORDER BY funding_time) AS before FROM funding_rates)
        WHERE hours <> before""",
    )
    assert changes[0][0] >= 25


@pytest.mark.parametrize(
    "symbol", ["BTC/USDT:USDT", "ETH/USDT:USDT", "1000PEPE/USDT:USDT", "KAITO/USDT:USDT"]
)
def test_ccxt_reads_of_binance_what_funding_rates_holds(
    march: Settings, binance: Any, symbol: str
) -> None:
    rows = query(
        march,
        """SELECT epoch_ms(funding_time) + lag_ms, rate FROM funding_rates
        WHERE market = ? ORDER BY funding_time""",
        binance.market(symbol)["id"],
    )
    end = ms(2026, 3, 20)
    since, read = ms(2026, 3, 1), []
    while since < end:
        page = binance.fetch_funding_rate_history(symbol, since, 50)
        if not page:
            break
        read += [(row["timestamp"], row["fundingRate"]) for row in page]
        since = read[-1][0] + 1
    assert len(rows) >= 50
    assert [row for row in read if row[0] < end] == rows


@pytest.fixture(scope="module")
def binance(recorded_url: str) -> Any:
    found = client("binance", recorded_url, fetchMarkets=["linear"], defaultType="swap")
    found.load_markets()
    return found


@pytest.fixture(scope="module")
def two_days(
    recorded_url: str, recorded_world: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Two days of W1: five exchanges side by side, derived and published."""
    settings = sandbox_settings(tmp_path_factory.mktemp("w1") / "data", recorded_url)
    window = Window(ms(2026, 3, 1), ms(2026, 3, 3))
    now_ms = int(time.time() * 1000)
    names = ("hyperliquid", "bybit", "lighter", "paradex", "binance")
    first = collect(settings, window, now_ms, *names)
    derive_and_publish(settings, now_ms)
    return Run(settings, recorded_world, window, now_ms, [], first, {})


def test_two_recorded_days_of_five_exchanges_are_complete(two_days: Run) -> None:
    for report in two_days.first.values():
        assert (report.outcome, report.counts.quarantined) == ("complete", 0), report.summary()
        assert report.volume == [], report.summary()


@pytest.mark.parametrize("exchange", ["hyperliquid", "bybit", "binance"])
def test_two_recorded_days_are_the_recording(
    two_days: Run, recorded_dir: Path, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(support.RECORDED_FILES, "binance", ("binance",))
    found = compare(two_days.settings.read_path, recorded_dir, exchange, two_days.window)
    assert found.exact, found


def test_two_recorded_days_of_lighter_are_its_polls_truncated(two_days: Run) -> None:
    truth = settlements(two_days, "lighter")
    assert_settled(stored(two_days.settings, "lighter"), truth)
    assert len(truth) > 4_000


def test_two_recorded_days_of_paradex_are_what_its_polls_accrued(two_days: Run) -> None:
    rows = stored(two_days.settings, "paradex")
    assert len(rows) > 2_500
    assert assert_accrued(two_days, rows) > 2_500


def test_bitcoin_of_five_exchanges_stands_side_by_side_on_one_hourly_grid(two_days: Run) -> None:
    """Paradex's recorded Bitcoin is spoilt by options (recorded/INDEX.md); it has Solana."""
    rows = query(
        two_days.settings,
        """SELECT exchange, count(*), avg(apr) FROM apr WHERE symbol = 'SOL'
        AND hour > ? AND hour <= ? GROUP BY exchange""",
        datetime(2026, 3, 1, 8),
        datetime(2026, 3, 2, 16),
    )
    found = {exchange: (hours, apr) for exchange, hours, apr in rows}
    assert found.keys() >= {"lighter", "paradex", "binance", "hyperliquid"}
    assert all(hours >= 30 for hours, _ in found.values()), found
    aprs = [apr for _, apr in found.values()]
    assert max(aprs) - min(aprs) < 0.3, found


def test_what_ccxt_reads_of_paradex_integrates_to_the_stored_hour(
    two_days: Run, recorded_url: str
) -> None:
    paradex = client("paradex", recorded_url)
    paradex.load_markets()
    rows = stored(two_days.settings, "paradex")
    compared = 0
    for symbol in ("SOL-USD-PERP", "ADA-USD-PERP", "DOGE-USD-PERP"):
        market = two_days.world.market("paradex", symbol, two_days.now_ms)
        if market is None:
            continue
        for slot in range(ms(2026, 3, 1, 10), ms(2026, 3, 1, 13), HOUR):
            if (symbol, slot) not in rows:
                continue
            samples = paradex.fetch_funding_rate_history(
                paradex.market(symbol)["symbol"], slot - HOUR, 5000, {"until": slot - 1}
            )
            assert len(samples) == 720
            mean = sum(sample["fundingRate"] for sample in samples) / len(samples)
            tolerance = uncertainty(market, slot) + 1e-10
            assert rows[symbol, slot][0] == pytest.approx(mean / 8, abs=tolerance)
            compared += 1
    assert compared >= 6
