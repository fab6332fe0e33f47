"""The engine: what one exchange's trouble does to the others, and what is kept."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from funding_pipeline.collection import load as load_module
from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport, Progress
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Exchange, ExchangeSpec
from funding_pipeline.exchanges.paging import Unproven
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, milliseconds, utc_now
from funding_pipeline_tests.collection.fakes import (
    Answer,
    CountingBudget,
    FakeExchange,
    markets_and_history,
    no_wait,
)
from funding_pipeline_tests.warehouse.world import DAY, LATER_MS, at, rows

SPAN = Window(at(0), at(48))
NAMES = [f"M{n:02}" for n in range(10)]
HISTORY = {name: [(at(h), "0.0001") for h in range(0, 48, 8)] for name in NAMES}
GONE = httpx.Response(404, content=b'{"error": "gone"}')


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funding_pipeline.collection.client._wait", no_wait)


def collect(settings: Settings, *exchanges: Exchange, **job: Any) -> dict[str, LoadReport]:
    wanted = Job("backfill", SPAN, **job)
    reports = collect_each(exchanges, wanted, settings, Database(settings), now_ms=LATER_MS)
    return {report.exchange: report for report in reports}


def stored(settings: Settings) -> dict[str, int]:
    with Database(settings).open() as connection:
        return dict(rows(connection, "SELECT exchange, count(*) FROM funding_rates GROUP BY ALL"))


def test_one_exchange_that_fails_leaves_the_other_stored(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["good"] = markets_and_history(HISTORY)
    network["bad"] = lambda _: httpx.Response(403, content=b"<html>no</html>")
    reports = collect(sandboxed, FakeExchange("bad"), FakeExchange("good"))
    assert reports["good"].outcome == "complete"
    assert reports["good"].counts.new == 60
    assert reports["bad"].outcome == "failed"
    assert "bad markets: blocked from this location" in (reports["bad"].error or "")
    assert stored(sandboxed) == {"good": 60}


def test_without_a_network_every_exchange_says_so_and_nothing_breaks(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    reports = collect(sandboxed, FakeExchange("one"), FakeExchange("two"))
    for name in ("one", "two"):
        assert reports[name].outcome == "failed"
        assert reports[name].error == (
            f"{name} markets: unreachable: mock.invalid: ConnectError: "
            "All connection attempts failed"
        )
    with Database(sandboxed).open() as connection:
        assert rows(
            connection, "SELECT exchange, status, last_success FROM collector_status ORDER BY 1"
        ) == [("one", "down", None), ("two", "down", None)]
        assert rows(connection, "SELECT DISTINCT outcome, rows_new FROM loads") == [("failed", 0)]


def test_a_defect_in_one_exchange_does_not_stop_the_others(
    network: dict[str, Answer], sandboxed: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeExchange):
        def history(self, market: Market | None, window: Window) -> Any:
            raise KeyError("a defect")
            yield

    network["good"] = network["broken"] = markets_and_history(HISTORY)
    with caplog.at_level(logging.ERROR):
        reports = collect(sandboxed, Broken("broken"), FakeExchange("good"))
    assert reports["good"].outcome == "complete"
    assert reports["broken"].outcome == "failed"
    assert "KeyError: 'a defect'" in (reports["broken"].error or "")
    assert "broken: collection broke" in caplog.text
    assert stored(sandboxed) == {"good": 60}


def test_a_merge_that_breaks_at_the_end_of_a_load_ends_in_the_ledger(
    network: dict[str, Answer], sandboxed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = load_module.merge

    def broken(connection: Any, spec: ExchangeSpec, *args: Any, **more: Any) -> Any:
        if spec.name == "broken":
            connection.execute("SELECT no_such_column FROM settlements")
        return real(connection, spec, *args, **more)

    monkeypatch.setattr(load_module, "merge", broken)
    network["good"] = network["broken"] = markets_and_history(HISTORY)
    reports = collect(sandboxed, FakeExchange("broken"), FakeExchange("good"))
    assert (reports["good"].outcome, reports["broken"].outcome) == ("complete", "failed")
    assert "BinderException" in (reports["broken"].error or "")
    assert stored(sandboxed) == {"good": 60}
    with Database(sandboxed).open() as connection:
        ended = "SELECT exchange, outcome, ended IS NOT NULL FROM loads ORDER BY 1"
        assert rows(connection, ended) == [("broken", "failed", True), ("good", "complete", True)]


def test_a_defect_in_reading_a_market_list_does_not_stop_the_others(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["good"] = markets_and_history(HISTORY)
    network["bad"] = lambda _: httpx.Response(200, content=b'[{"no": "name"}]')
    reports = collect(sandboxed, FakeExchange("bad"), FakeExchange("good"))
    assert (reports["good"].outcome, reports["bad"].outcome) == ("complete", "failed")
    assert reports["bad"].error


def test_a_malformed_market_list_fails_the_exchange_and_changes_no_market(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["one"] = markets_and_history(HISTORY)
    collect(sandboxed, FakeExchange("one"))
    network["one"] = lambda _: httpx.Response(200, content=b"[}]")
    reports = collect(sandboxed, FakeExchange("one"))
    assert reports["one"].outcome == "failed"
    assert "one markets: malformed answer" in (reports["one"].error or "")
    with Database(sandboxed).open() as connection:
        assert rows(connection, "SELECT DISTINCT status FROM markets") == [("live",)]
        assert rows(connection, "SELECT kind FROM events") == [("collected",)], "of the first load"


def test_a_few_failing_markets_make_it_partial_and_the_rest_is_stored(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["one"] = markets_and_history(HISTORY, {"M03": GONE, "M07": GONE})
    report = collect(sandboxed, FakeExchange("one"))["one"]
    assert report.outcome == "partial"
    assert set(report.failures) == {"M03", "M07"}
    assert "M03: one history: refused: HTTP 404" in report.failures["M03"]
    assert stored(sandboxed) == {"one": 48}
    with Database(sandboxed).open() as connection:
        assert rows(connection, "SELECT kind, market, detail FROM events ORDER BY market") == [
            ("market failed", "M03", report.failures["M03"]),
            ("market failed", "M07", report.failures["M07"]),
            ("collected", None, "48 new settlements (backfill)"),
        ]
        status = rows(
            connection,
            """SELECT status, last_success IS NULL
            FROM base.collector_status_at(TIMESTAMP '2025-03-02 20:00')""",
        )
        assert status == [("partial", False)]
        collected = rows(connection, "SELECT market FROM collected_windows")
    assert len(collected) == 8, "what failed is not collected"


def test_failed_markets_are_asked_again_and_the_others_are_not(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["one"] = markets_and_history(HISTORY, {"M03": GONE, "M07": GONE})
    collect(sandboxed, FakeExchange("one"))
    network["one"] = markets_and_history(HISTORY)
    report = collect(sandboxed, FakeExchange("one"))["one"]
    assert (report.outcome, report.markets_asked, report.counts.new) == ("complete", 2, 12)
    assert stored(sandboxed) == {"one": 60}


def test_more_than_a_fifth_failing_fails_the_exchange_but_keeps_what_came(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    broken = dict.fromkeys(NAMES[7:], GONE)
    network["one"] = markets_and_history(HISTORY, broken)
    report = collect(sandboxed, FakeExchange("one", concurrency=1))["one"]
    assert report.outcome == "failed"
    assert "3 of 10 markets failed" in (report.error or "")
    assert stored(sandboxed) == {"one": 42}
    with Database(sandboxed).open() as connection:
        assert rows(connection, "SELECT status FROM collector_status") == [("failing",)]


def test_the_fifth_is_of_markets_not_of_windows(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    """Each market lacks three windows; three of ten markets fail altogether."""
    network["one"] = markets_and_history(HISTORY)
    for hour in (8, 32):
        window = Window(at(hour), at(hour + 8))
        reports = collect_each(
            [FakeExchange("one")],
            Job("backfill", window),
            sandboxed,
            Database(sandboxed),
            now_ms=LATER_MS,
        )
        assert [report.outcome for report in reports] == ["complete"]
    network["one"] = markets_and_history(HISTORY, dict.fromkeys(NAMES[7:], GONE))
    report = collect(sandboxed, FakeExchange("one", concurrency=1))["one"]
    assert report.outcome == "failed", report.summary()


def test_a_bad_rate_text_costs_its_row_only(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    bad = {**HISTORY, "M00": [*HISTORY["M00"][:3], (at(24), "NaN"), *HISTORY["M00"][4:]]}
    network["one"] = markets_and_history(bad)
    report = collect(sandboxed, FakeExchange("one"))["one"]
    assert (report.outcome, report.counts.new, report.counts.quarantined) == ("complete", 59, 1)


def test_batches_bound_what_is_held_and_each_is_durable(
    network: dict[str, Answer], sandboxed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = load_module.merge

    def measuring(connection: duckdb.DuckDBPyConnection, spec: Any, batch: Any, **more: Any) -> Any:
        sizes.append(sum(len(answer.rows) for answer in batch))
        return real(connection, spec, batch, **more)

    monkeypatch.setattr(load_module, "merge", measuring)
    monkeypatch.setattr(load_module, "BATCH_ROWS", 12)
    network["one"] = markets_and_history(HISTORY)
    report = collect(sandboxed, FakeExchange("one", concurrency=1))["one"]
    assert sizes == [12] * 5
    assert report.counts.new == 60


def test_only_the_asked_markets_are_asked_and_unknown_ones_are_named(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["one"] = markets_and_history(HISTORY)
    report = collect(sandboxed, FakeExchange("one"), markets=frozenset({"M01", "NOPE"}))["one"]
    assert (report.markets_asked, report.counts.new) == (1, 6)
    assert report.unknown_markets == {"NOPE"}


def test_the_budget_is_given_back_whatever_happens(
    network: dict[str, Answer], sandboxed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[CountingBudget] = []

    def made(*_: object) -> CountingBudget:
        budgets.append(CountingBudget())
        return budgets[-1]

    monkeypatch.setattr(load_module, "budget_of", made)
    network["good"] = markets_and_history(HISTORY)
    collect(sandboxed, FakeExchange("good"), FakeExchange("unreachable"))
    assert [budget.closed for budget in budgets] == [True, True]


def test_exchanges_run_side_by_side_and_report_as_they_end(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    served = markets_and_history(HISTORY)

    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return served(request)

    network["fast"] = markets_and_history({"A": []})
    network["slow"] = slow  # type: ignore[assignment]
    reports = list(
        collect_each(
            [FakeExchange("slow", concurrency=1), FakeExchange("fast")],
            Job("backfill", SPAN),
            sandboxed,
            Database(sandboxed),
            now_ms=LATER_MS,
        )
    )
    assert [report.exchange for report in reports] == ["fast", "slow"]


def test_a_caller_that_stops_early_leaves_no_task_behind(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    network["one"] = network["two"] = markets_and_history(HISTORY)
    reports = collect_each(
        [FakeExchange("one"), FakeExchange("two")],
        Job("backfill", SPAN),
        sandboxed,
        Database(sandboxed),
        now_ms=LATER_MS,
    )
    next(reports)
    reports.close()  # type: ignore[attr-defined]
    asyncio.run(asyncio.sleep(0))
    with Database(sandboxed).open() as connection:
        assert rows(connection, "SELECT 1") == [(1,)]


def test_progress_is_told(network: dict[str, Answer], sandboxed: Settings) -> None:
    class Log(Progress):
        def __init__(self) -> None:
            self.plans: list[tuple[str, int, int]] = []
            self.rows: list[int] = []

        def planned(self, exchange: str, forecast: Any) -> None:
            self.plans.append((exchange, forecast.units, forecast.requests))

        def advanced(self, exchange: str, rows: int) -> None:
            self.rows.append(rows)

    log = Log()
    network["one"] = markets_and_history(HISTORY)
    list(
        collect_each(
            [FakeExchange("one")],
            Job("backfill", SPAN),
            sandboxed,
            Database(sandboxed),
            now_ms=LATER_MS,
            progress=log,
        )
    )
    assert log.plans == [("one", 10, 10)]
    assert log.rows == [6] * 10


def test_the_summary_is_one_readable_line(network: dict[str, Answer], sandboxed: Settings) -> None:
    network["one"] = markets_and_history(HISTORY, {"M03": GONE})
    report = collect(sandboxed, FakeExchange("one"))["one"]
    line = report.summary()
    assert "\n" not in line
    assert line.startswith(
        "one: 54 new, 0 changed, 0 unchanged; 10 of 10 markets asked, 11 requests"
    )
    assert line.endswith(
        "1 markets failed, e.g. M03: one history: refused: HTTP 404 "
        """'{"error": "gone"}'"""
    )


def test_without_a_sandbox_there_is_always_a_budget(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path, limits=False).budget_dir == tmp_path / ".budget"
    sandbox = Settings(data_dir=tmp_path, limits=False, sandbox_url="http://127.0.0.1:1")
    assert sandbox.budget_dir is None
    assert DAY == 86_400_000


def test_a_load_says_that_it_brought_too_little(
    network: dict[str, Answer], sandboxed: Settings
) -> None:
    """One ends on a full page without proof, the other brings nothing though all is due."""

    class Cut(FakeExchange):
        def history(self, market: Market | None, window: Window) -> Any:
            rows = yield from super().history(market, window)
            return Unproven(rows, self.spec.page_rows)

    network["cut"] = network["whole"] = markets_and_history(HISTORY)
    network["empty"] = markets_and_history(dict.fromkeys(NAMES, ()))
    now_ms = milliseconds(utc_now())
    recent = Job("backfill", Window(now_ms - 3 * DAY, now_ms - DAY))
    cut = collect(sandboxed, Cut("cut"), FakeExchange("whole"))
    (empty,) = collect_each(
        [FakeExchange("empty")], recent, sandboxed, Database(sandboxed), now_ms=now_ms
    )
    assert [text.split(":")[0] for text in cut["cut"].volume] == [
        "10 histories end on a full page, e.g. M00"
    ]
    assert cut["cut"].volume[0] in cut["cut"].summary()
    assert cut["whole"].volume == []
    assert [text.split(",")[0] for text in empty.volume] == ["no rows"]
    with Database(sandboxed).open() as connection:
        assert rows(connection, "SELECT exchange FROM events WHERE kind = 'volume' ORDER BY 1") == [
            ("cut",),
            ("empty",),
        ]
