"""Newest settlements told for all markets at once: what they may answer, and whole days of ticks.

A day is collected twice: as the exchanges tell it, and with the same exchanges telling no newest
settlements, which asks the history alone. Both must leave the same rows.
"""

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.newest import answers, lone
from funding_pipeline.collection.planning import Job, Unit
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.intervals import Observation
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Exchange, TellsNewest
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.market import Dataset, SandboxMarket
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Moment
from funding_pipeline.sandbox.wire import Request as Asked
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.markets import KnownMarket
from funding_pipeline_tests.collection.fakes import Answer, no_wait
from funding_pipeline_tests.warehouse.world import DECLARED, at, rows, sent

NAMES = [name for name, exchange in EXCHANGES.items() if isinstance(exchange, TellsNewest)]
DAY = 1_789_430_400_000  # 2026-09-15
MINUTE = 60_000

# --- which units they may answer


def found(
    *windows: tuple[float, float],
    last: float | None = 8,
    hours: int | None = 8,
    observed: Sequence[tuple[float, float, int]] = (),
) -> list[float]:
    """Hours of the slots that are all that the windows of a market lack."""
    units = [Unit("AAA", Window(at(a), at(b)), Window(at(a), at(b))) for a, b in windows]
    market = KnownMarket(7, "AAA", True, hours, None, None if last is None else at(last))
    seen = {7: [Observation(at(a), at(b), h) for a, b, h in observed]}
    return [(one.slot_ms - at(0)) / HOUR_MS for one in lone(units, {"AAA": market}, seen)]


def test_the_one_settlement_that_follows_the_last_is_alone() -> None:
    assert found((8.05, 16.05)) == [16]
    assert found((15.4, 16.05)) == [16], "asked in vain before"
    assert found((8.05, 16.05), observed=[(0, 16.05, 8)]) == [16]


@pytest.mark.parametrize(
    "case",
    [
        {"last": None},
        {"hours": None},
        {"last": 0, "hours": 4},  # 4, 8, 12 and 16 may be missing
        {"last": 8, "hours": 4},  # 12 and 16
        {"last": 8.0, "hours": 24},  # nothing is due
    ],
)
def test_elsewhere_it_is_not_known_what_is_missing(case: dict[str, Any]) -> None:
    assert found((8.05, 16.05), **case) == []


def test_older_holes_are_left_to_the_history() -> None:
    assert found((7.5, 16.05)) == [], "the last one itself is not surely collected"
    assert found((2, 3), (8.05, 16.05)) == [], "a hole before it"
    assert found((8.05, 24.05)) == [], "two intervals"
    assert found((8.05, 16.0)) == [], "the window ends before it"
    assert found((16.5, 17)) == [], "what was due is collected as empty"


def test_an_interval_that_changed_since_is_left_to_the_history() -> None:
    there_and_back = [(0, 9, 8), (9.1, 11, 4), (11.1, 16.05, 8)]
    assert found((8.05, 16.05), observed=there_and_back) == [], "12:00 may have settled"
    assert found((8.05, 16.05), observed=[(0, 7, 4), (7.1, 16.05, 8)]) == [16], "before the last"


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        (sent(16), True),
        (sent(16, lag_ms=90_000), True),
        (sent(16, interval_hours=8), True),
        (sent(16, interval_hours=4), False),
        (sent(8), False),  # not yet settled
        (sent(15), False),  # another hour of the window
        (sent(24), False),
        (sent(16, "NaN"), False),
        (sent(16, "0.9"), False),  # beyond the bound
        (sent(16, market="BBB"), False),
    ],
)
def test_only_the_row_of_that_hour_answers(row: Any, taken: bool) -> None:
    unit = Unit("AAA", Window(at(8.05), at(16.05)), Window(at(8.05), at(16.05)))
    market = KnownMarket(7, "AAA", True, 8, None, at(8))
    wanted = lone([unit], {"AAA": market}, {})
    told = answers(DECLARED, wanted, [row], at(16.05))
    assert [(a.market, a.window, len(a.rows)) for a in told] == (
        [("AAA", unit.window, 1)] if taken else []
    )
    assert answers(DECLARED, wanted, [], at(16.05)) == []


# --- whole days


@dataclass(frozen=True)
class Kind:
    """Hours of the day at which a market settles, and the interval declared at each hour."""

    hours: Sequence[int]
    interval: Callable[[float], int]
    late: dict[int, float] = field(default_factory=dict)  # settlement hour -> told from


KINDS = {
    "EIGHT": Kind([h for h in range(-72, 49) if h % 8 == 0], lambda _: 8),
    "FOUR": Kind([h for h in range(-72, 49) if h % 4 == 0], lambda _: 4),
    "ONE": Kind(range(-72, 49), lambda _: 1),
    "FASTER": Kind(
        [h for h in range(-72, 49) if h % (8 if h <= 8 else 4) == 0], lambda h: 8 if h < 8 else 4
    ),
    "SLOWER": Kind(
        [h for h in range(-72, 49) if h % (4 if h <= 8 else 8) == 0], lambda h: 4 if h < 8 else 8
    ),
    "LATE": Kind([h for h in range(-72, 49) if h % 8 == 0], lambda _: 8, {8: 8.3}),
}
SYMBOLS = {
    "okx": "{}-USDT-SWAP",
    "orderly": "PERP_{}_USDC",
    "edgex": "{}USDC",
    "binance": "{}USDT",
    "aster": "{}USDT",
}


class World:
    """The exchanges at a moment, and what they were asked since it was set."""

    def __init__(self) -> None:
        self.now_ms = DAY
        self.asked: Counter[tuple[str, str, str | None]] = Counter()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        _, name, path = request.url.path.split("/", 2)
        call = SANDBOX[name].read(Asked("GET", f"/{path}", dict(request.url.params)))
        self.asked[name, call.endpoint, call.market] += 1
        dataset = Dataset({name: self.markets(name)}, source="test")
        reply = SANDBOX[name].answer(call, Moment(dataset, self.now_ms))
        return httpx.Response(reply.status, content=msgspec.json.encode(reply.payload))

    def markets(self, name: str) -> list[SandboxMarket]:
        now = (self.now_ms - DAY) / HOUR_MS
        found = []
        for number, (base, kind) in enumerate(KINDS.items()):
            hours = [h for h in kind.hours if now >= kind.late.get(h, h)]
            declared = kind.interval
            found.append(
                SandboxMarket(
                    symbol=SYMBOLS[name].format(base),
                    base=base,
                    quote="USDT",
                    times=array("q", [DAY + h * HOUR_MS for h in hours]),
                    rates=array("d", [(h % 97 - 48 + number) * 1e-6 for h in hours]),
                    interval_hours_at=lambda ms, declared=declared: declared((ms - DAY) / HOUR_MS),
                    rate_cap=0.02,
                    number=number,
                )
            )
        return found

    def histories(self, name: str) -> set[str]:
        """The markets whose history an exchange was asked for."""
        ids = {m.symbol: str(30_000_001 + m.number) for m in self.markets(name)}
        asked = {
            market
            for exchange, endpoint, market in self.asked
            if exchange == name and endpoint.endswith(("history", "Page"))
        }
        return {m.base for m in self.markets(name) if {m.symbol, ids[m.symbol]} & asked}

    def of(self, name: str) -> dict[str, int]:
        """Requests to an exchange by endpoint."""
        counts: Counter[str] = Counter()
        for (exchange, endpoint, _), count in self.asked.items():
            if exchange == name:
                counts[endpoint.rpartition("/")[2]] += count
        return dict(counts)


class Plain:
    """The same exchange without a word about the newest settlements of all."""

    def __init__(self, exchange: Exchange) -> None:
        self.spec = exchange.spec
        self.markets = exchange.markets
        self.history = exchange.history
        self.estimates = exchange.estimates
        self.refusal = exchange.refusal


@pytest.fixture
def world(network: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    network.update(dict.fromkeys(NAMES, world))
    monkeypatch.setattr("funding_pipeline.collection.load.utc_now", lambda: timestamp(world.now_ms))
    monkeypatch.setattr("funding_pipeline.collection.client._wait", no_wait)
    return world


def load(
    world: World,
    settings: Settings,
    hours: float,
    exchanges: Sequence[Exchange],
    reason: Any = "tick",
) -> dict[str, LoadReport]:
    world.now_ms, world.asked = DAY + round(hours * HOUR_MS), Counter()
    reach = {"tick": 7 * DAY_MS, "sweep": 2 * DAY_MS, "backfill": 8 * DAY_MS}[reason]
    job = Job(reason, Window(world.now_ms - reach, world.now_ms), refetch=reason == "sweep")
    reports = collect_each(exchanges, job, settings, Database(settings), now_ms=world.now_ms)
    done = {report.exchange: report for report in reports}
    assert all(report.outcome == "complete" for report in done.values()), done
    return done


def stored(settings: Settings, columns: str) -> list[tuple[Any, ...]]:
    with Database(settings).open() as connection:
        return rows(
            connection,
            f"""SELECT exchange, market, funding_time, {columns} FROM settlements s
            JOIN base.markets USING (market_id) ORDER BY ALL""",
        )


def of(settings: Settings, columns: str, table: str) -> list[tuple[Any, ...]]:
    with Database(settings).open() as connection:
        return rows(connection, f"SELECT {columns} FROM {table} ORDER BY ALL")


# Those whose history is asked market by market, and those that tell it of all at once.
TELLING = [EXCHANGES[name] for name in NAMES if not EXCHANGES[name].spec.history_of_all]
OF_ALL = [EXCHANGES[name] for name in NAMES if EXCHANGES[name].spec.history_of_all]
ALL_BUT_PRICE = "rate, s.interval_hours, covered_hours, kind, raw_rate, lag_ms, cumulative_value"


def test_those_that_tell_the_newest_of_all() -> None:
    """KuCoin is none of them: its list names no time of what settled last."""
    assert set(NAMES) == {"okx", "orderly", "edgex", "binance", "aster"}


@pytest.mark.slow
def test_a_day_of_ticks_leaves_what_the_history_would(
    world: World, sandboxed: Settings, tmp_path: Path
) -> None:
    """Intervals of 8, 4, 1 h, two that change, one told late, hours without any tick."""
    plain = Settings(data_dir=tmp_path / "plain", sandbox_url="http://mock.invalid", limits=False)
    telling = [*TELLING, *OF_ALL]
    each = [Plain(exchange) for exchange in telling]
    load(world, sandboxed, -1 / 6, telling, "backfill")
    load(world, plain, -1 / 6, each, "backfill")
    asked = {}
    for hour in (0, 1, 4, 7, 8, 9, 14, 16, 20, 24):
        load(world, plain, hour + 0.05, each)
        load(world, sandboxed, hour + 0.05, telling)
        asked[hour] = {name: world.histories(name) for name in NAMES}
    assert stored(sandboxed, ALL_BUT_PRICE) == stored(plain, ALL_BUT_PRICE)
    windows = "exchange, market, from_time, to_time, rows"
    assert of(sandboxed, windows, "collected_windows") == of(plain, windows, "collected_windows")
    assert of(sandboxed, "count(*)", "quarantine") == [(0,)]
    told = {row[:3] for row in stored(sandboxed, ALL_BUT_PRICE)}
    for name in NAMES:
        for base, kind in KINDS.items():
            for hour in (h for h in kind.hours if -72 < h <= 24):
                assert (name, SYMBOLS[name].format(base), timestamp(DAY + hour * HOUR_MS)) in told
    # One hour's market has a hole wherever an hour had no tick.
    expected = {hour: set() if hour in (0, 1, 8, 9) else {"ONE"} for hour in asked}
    expected[8] = {"FASTER", "LATE"}  # an interval that changed, one not yet told
    expected[14] = {"ONE", "SLOWER"}
    changing = {"FASTER", "SLOWER"}
    for hour, found in asked.items():
        assert found["orderly"] == found["edgex"] == expected[hour], hour
        # OKX tells the step after the upcoming settlement: a change is known before it comes.
        assert found["okx"] - changing == expected[hour] - changing, hour


def test_a_tick_makes_no_request_more_than_it_needs(world: World, sandboxed: Settings) -> None:
    load(world, sandboxed, -24.2, TELLING, "backfill")
    reports = load(world, sandboxed, -23.95, TELLING)
    assert world.of("okx") == {"instruments": 1, "funding-rate": 1}
    assert world.of("orderly") == {"info": 1, "funding_rates": 1}
    assert world.of("edgex") == {"getMetaData": 1, "getLatestFundingRate": 1}
    assert {
        name: (r.counts.new, r.traffic.requests) for name, r in reports.items()
    } == dict.fromkeys(reports, (len(KINDS), 2))
    # Nothing is due: the list alone, which for OKX are two answers.
    load(world, sandboxed, -23.8, TELLING)
    assert world.of("okx") == {"instruments": 1, "funding-rate": 1}
    assert (world.of("orderly"), world.of("edgex")) == ({"info": 1}, {"getMetaData": 1})


def test_where_one_answer_tells_all_of_history_a_tick_is_one_request(
    world: World, sandboxed: Settings
) -> None:
    """The newest page, or else the history with the page that proves it whole; never both."""
    load(world, sandboxed, -24.2, OF_ALL, "backfill")
    reports = load(world, sandboxed, -23.95, OF_ALL)
    assert {r.counts.new for r in reports.values()} == {len(KINDS)}
    lists = {"exchangeInfo": 1, "fundingInfo": 1}
    assert world.of("binance") == world.of("aster") == lists | {"fundingRate": 1}
    load(world, sandboxed, -21.95, OF_ALL)  # the hourly market lacks two
    assert world.of("binance") == world.of("aster") == lists | {"fundingRate": 2}
    load(world, sandboxed, -21.8, OF_ALL)
    assert world.of("binance") == world.of("aster") == lists, "nothing is due"


@pytest.mark.parametrize("reason", ["backfill", "sweep"])
def test_only_ticks_take_them(world: World, sandboxed: Settings, reason: str) -> None:
    """A sweep is there to read the history; a backfill has nothing to gain."""
    load(world, sandboxed, -1 / 6, TELLING, "backfill")
    load(world, sandboxed, 0.05, TELLING, reason)
    assert world.of("orderly").keys() == {"info", "funding_rate_history"}
    assert world.of("edgex").keys() == {"getMetaData", "getFundingRatePage"}
    assert all(world.histories(e.spec.name) == KINDS.keys() for e in TELLING)


def test_the_sweep_adds_the_price_that_only_the_history_tells(
    world: World, sandboxed: Settings
) -> None:
    """Nothing of it is a revision."""
    load(world, sandboxed, -1 / 6, TELLING, "backfill")
    load(world, sandboxed, 0.05, TELLING)

    def unpriced() -> int:
        told = stored(sandboxed, "mark_price")
        return sum(price is None for exchange, _, _, price in told if exchange == "edgex")

    assert unpriced() == len(KINDS)
    reports = load(world, sandboxed, 2.5, TELLING, "sweep")
    assert unpriced() == 0
    assert {r.counts.changed for r in reports.values()} == {0}
    assert of(sandboxed, "count(*)", "rate_revisions") == [(0,)]


def test_where_the_call_fails_the_history_is_asked(
    network: dict[str, Answer],
    world: World,
    sandboxed: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load(world, sandboxed, -1 / 6, TELLING, "backfill")

    def broken(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("funding_rates", "getLatestFundingRate")):
            return httpx.Response(200, content=b'{"success":true,"code":"SUCCESS","data":{}}')
        return world(request)

    network.update(orderly=broken, edgex=broken)
    with caplog.at_level(logging.WARNING):
        reports = load(world, sandboxed, 0.05, TELLING)
    assert {r.counts.new for r in reports.values()} == {len(KINDS)}
    assert caplog.text.count("asked market by market instead") == 2
