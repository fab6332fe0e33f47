"""An exchange that fails again and again: left alone, tried with one request, healed by ticks."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from funding_pipeline.collection import load as load_module
from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.estimates import sample_estimates
from funding_pipeline.collection.planning import TICK_REACH_MS, Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Exchange, MarketsPlan
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline_tests.collection.fakes import (
    Answer,
    FakeExchange,
    Script,
    markets_and_history,
    no_wait,
)
from funding_pipeline_tests.warehouse.world import HOUR, at, rows

NAMES = [f"M{n}" for n in range(5)]
HISTORY = {name: [(at(h), "0.0001") for h in range(0, 48)] for name in NAMES}
DOWN = httpx.Response(503, content=b"no")
BLOCKED = httpx.Response(403, content=b"<html>no</html>")


class Hourly(FakeExchange):
    """Settles each hour."""

    def __init__(self, name: str, **changes: Any) -> None:
        super().__init__(name, interval=FixedInterval(((0, 1),)), **changes)

    def markets(self) -> MarketsPlan:
        found = yield from super().markets()
        return [
            Market(market=m.market, symbol=m.symbol, quote="USD", settle="USD", interval_hours=1)
            for m in found
        ]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funding_pipeline.collection.client._wait", no_wait)


class World:
    """Runs of any reason at any time, on one database."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self._patch = patch

    def run(
        self, hours: float, *exchanges: Exchange, reason: Any = "tick", **job: Any
    ) -> dict[str, LoadReport]:
        now_ms = at(hours)
        self._patch.setattr(load_module, "utc_now", lambda: timestamp(now_ms))
        wanted = Job(reason, Window(now_ms - TICK_REACH_MS, now_ms), **job)
        reports = collect_each(
            exchanges or [Hourly("one")],
            wanted,
            self.settings,
            Database(self.settings),
            now_ms=now_ms,
        )
        return {report.exchange: report for report in reports}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with Database(self.settings).open() as connection:
            return rows(connection, sql)

    def status(self, hours: float) -> dict[str, str]:
        with Database(self.settings).open() as connection:
            return dict(
                connection.execute(
                    "SELECT exchange, status FROM base.collector_status_at(?)",
                    [timestamp(at(hours))],
                ).fetchall()
            )


@pytest.fixture
def world(sandboxed: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(sandboxed, monkeypatch)


def test_ten_hours_down_are_complete_after_the_first_tick_that_gets_through(
    network: dict[str, Answer], world: World
) -> None:
    up = markets_and_history(HISTORY)
    network["one"] = up
    assert world.run(1.05)["one"].counts.new == 5 * 2
    outcomes, asked = [], []
    for hour in range(2, 12):
        down = Script(DOWN)
        network["one"] = down
        report = world.run(hour + 0.05)["one"]
        outcomes.append((report.outcome, report.nothing_new))
        asked.append(len(down.seen))
        assert world.run(hour + 0.3, reason="sweep", refetch=True)["one"].outcome in (
            "failed",
            "skipped",
        )
        assert world.status(hour + 0.5) == {"one": "down" if hour == 2 else "breaker open"}
    # Two loads an hour: the third failure is the second tick's. From then on each tick is a try,
    # of one request, and no news.
    assert outcomes == [("failed", False)] * 2 + [("failed", True)] * 8
    assert asked == [5, 5] + [1] * 8
    network["one"] = up
    report = world.run(12.05)["one"]
    assert (report.outcome, report.counts.new, report.trying) == ("complete", 5 * 11, True)
    assert world.query("SELECT count(*), max(funding_time) FROM settlements") == [
        (5 * 13, timestamp(at(12)))
    ]
    assert world.status(12.1) == {"one": "ok"}
    assert world.query("SELECT kind FROM events WHERE kind LIKE 'breaker %'") == [
        ("breaker opened",),
        ("breaker closed",),
    ]


def test_while_open_nobody_asks_it_and_the_other_is_asked(
    network: dict[str, Answer], world: World
) -> None:
    network["two"] = markets_and_history(HISTORY)
    network["one"] = Script(BLOCKED)
    for minute in range(3):
        world.run(1 + minute / 60)
    network["one"] = asked = Script(BLOCKED)
    for reason in ("tick", "sweep", "backfill", "repair", "manual"):
        report = world.run(1.1, Hourly("one"), Hourly("two"), reason=reason)["one"]
        assert (report.outcome, report.load_id) == ("skipped", None)
    assert "not asked: breaker open until 2025-03-01 01:17 UTC after 3 failures" in report.summary()
    assert "one markets: blocked from this location" in report.summary()
    assert asked.seen == []
    assert world.query("SELECT count(*) FROM settlements") == [(10,)]
    sampled = sample_estimates([FakeExchange("one")], world.settings, Database(world.settings))
    assert [(s.asked, "breaker open" in (s.error or "")) for s in sampled] == [(False, True)]
    assert world.status(1.1) == {"one": "breaker open", "two": "ok"}
    assert world.query("SELECT exchange, total_runs FROM collector_status") == [
        ("one", 3),
        ("two", 5),
    ]


def test_a_person_gets_through_at_once_and_that_closes_it(
    network: dict[str, Answer], world: World
) -> None:
    network["one"] = Script(DOWN)
    for minute in range(3):
        world.run(1 + minute / 60)
    network["one"] = asked = Script(DOWN)
    assert world.run(1.1, insist=True, reason="backfill")["one"].outcome == "failed"
    assert len(asked.seen) == 1, "a try is a single request"
    assert world.query("SELECT failures FROM breakers") == [(4,)]
    network["one"] = markets_and_history(HISTORY)
    assert world.run(1.2, insist=True, reason="backfill")["one"].outcome == "complete"
    assert world.query("FROM breakers") == []


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (BLOCKED, "geo-blocked", "geo-blocked"),
        (DOWN, "down", "unreachable"),
        (httpx.ConnectError("no route"), "down", "unreachable"),
        (httpx.Response(429, content=b"slow down"), "failing", "rate limited"),
        (httpx.Response(200, content=b"[}]"), "failing", "malformed"),
        (httpx.Response(400, content=b"{}"), "failing", "refused"),
    ],
)
def test_the_kind_of_the_error_makes_the_status(
    network: dict[str, Answer], world: World, fault: Any, status: str, kind: str
) -> None:
    network["one"] = Script(fault)
    world.run(1)
    assert world.status(1) == {"one": status}
    assert world.query("SELECT error_kind FROM loads") == [(kind,)]


@pytest.mark.parametrize(
    ("fault", "status"), [(BLOCKED, "geo-blocked"), (DOWN, "failing")], ids=["blocked", "down"]
)
@pytest.mark.parametrize(("reason", "counted"), [("tick", 1), ("sweep", 1), ("backfill", 0)])
def test_failing_markets_count_where_all_are_asked_for_the_newest(
    network: dict[str, Answer], world: World, fault: Any, status: str, reason: str, counted: int
) -> None:
    network["one"] = markets_and_history(HISTORY, dict.fromkeys(NAMES, fault))
    world.run(1, reason=reason)
    assert world.status(1) == {"one": status}, "the list was had: the exchange is not down"
    assert len(world.query("FROM breakers")) == counted


class BrokenList(Hourly):
    def markets(self) -> MarketsPlan:
        raise KeyError("a defect")
        yield


class BrokenHistory(Hourly):
    def history(self, market: Market | None, window: Window) -> Any:
        raise KeyError("a defect")
        yield


@pytest.mark.parametrize("broken", [BrokenList, BrokenHistory])
def test_a_defect_of_ours_is_nothing_against_the_exchange(
    network: dict[str, Answer], world: World, broken: type[Hourly]
) -> None:
    network["two"] = network["one"] = markets_and_history(HISTORY)
    for hour in range(1, 5):
        found = world.run(hour, broken("one"), Hourly("two"))
        assert [found[name].outcome for name in ("one", "two")] == ["failed", "complete"]
        assert "KeyError" in (found["one"].error or "")
    assert world.query("FROM breakers") == []


def test_some_failing_markets_are_a_success_of_the_exchange(
    network: dict[str, Answer], world: World
) -> None:
    network["one"] = Script(DOWN)
    world.run(1)
    network["one"] = markets_and_history(HISTORY, {"M3": DOWN})
    assert world.run(1.1)["one"].outcome == "partial"
    assert world.query("FROM breakers") == []
    assert world.status(1.1) == {"one": "partial"}


def test_what_is_ok_becomes_late_when_nothing_comes_any_more(
    network: dict[str, Answer], world: World
) -> None:
    network["one"] = markets_and_history(HISTORY)
    world.run(1.05)
    assert world.status(2.99) == {"one": "ok"}
    assert world.status(3) == {"one": "late"}
    assert timedelta(milliseconds=HOUR) == timedelta(hours=1)
