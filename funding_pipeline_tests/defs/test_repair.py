"""Repair: after a stop everything is complete without a hand; what cannot be had is given up."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from funding_pipeline.collection import load
from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import TICK_REACH_MS, Job
from funding_pipeline.defs.jobs import BACKFILL, HOURLY
from funding_pipeline.defs.repair import PAUSE, REPAIR
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.breakers import note_failure
from funding_pipeline.warehouse.database import Database, milliseconds, transaction, utc_now
from funding_pipeline.warehouse.gaps import refresh
from funding_pipeline.warehouse.ledger import start_load
from funding_pipeline_tests.defs.ticks import execute, sense, tick

HOUR = timedelta(hours=1)
BOTH = {"hyperliquid", "bybit"}


@pytest.fixture
def now() -> datetime:
    return utc_now()


@contextmanager
def clock(monkeypatch: pytest.MonkeyPatch, when: datetime) -> Iterator[None]:
    """Collection and sensors live at this moment."""
    with monkeypatch.context() as at_that_time:
        at_that_time.setattr(Pipeline, "now_ms", lambda self: milliseconds(when))
        at_that_time.setattr(load, "utc_now", lambda: when)
        yield


def collect(reason: Any, start: datetime, end: datetime, *, now: datetime) -> None:
    """As a run of that reason at `now` would."""
    settings = Settings()
    job = Job(reason, Window(milliseconds(start), milliseconds(end)))
    for report in collect_each(
        select(settings), job, settings, Database(settings), now_ms=milliseconds(now)
    ):
        assert report.outcome == "complete", report.summary()


def look_for_gaps(now: datetime) -> None:
    with Database(Settings()).open() as connection, transaction(connection):
        refresh(connection, now=now, markets=())


def query(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with Database(Settings()).open() as connection:
        return connection.execute(sql, parameters).fetchall()


def missing_hours(start: datetime, end: datetime) -> int:
    """Of hyperliquid, which settles hourly, counted hour by hour."""
    markets = query("SELECT market_id FROM markets WHERE exchange = 'hyperliquid'")
    ((stored,),) = query(
        """SELECT count(*) FROM funding_rates
        WHERE exchange = 'hyperliquid' AND funding_time >= ? AND funding_time < ?""",
        start,
        end,
    )
    return int(len(markets) * ((end - start) // HOUR) - stored)


def midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def wanted(definitions: dg.Definitions, instance: dg.DagsterInstance) -> set[str]:
    requests, _, _ = sense(definitions, instance, REPAIR)
    return {request.tags["funding/exchange"] for request in requests}


@pytest.mark.slow
def test_sixty_hours_off_are_complete_after_the_first_tick(
    sandbox: str,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    then = now - timedelta(hours=60)
    start = midnight(then) - timedelta(days=5)
    collect("backfill", start, then, now=then)
    look_for_gaps(then)
    assert query("FROM gaps") == []
    request = tick(definitions, instance, "hourly", now.replace(tzinfo=UTC))
    assert isinstance(request, dg.RunRequest)
    with clock(monkeypatch, now):
        assert execute(definitions, instance, HOURLY, request).success
    look_for_gaps(now)
    assert missing_hours(start, now.replace(minute=0, second=0, microsecond=0)) == 0
    assert query("FROM gaps WHERE state <> 'void'") == []
    assert wanted(definitions, instance) == set()


@pytest.mark.slow
def test_what_no_tick_reaches_is_repaired_by_the_sensor(
    sandbox: str,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Off for 20 days, 45 days ago: neither ticks nor the first 30 days reach there."""
    start, off = midnight(now) - timedelta(days=50), midnight(now) - timedelta(days=45)
    on = off + timedelta(days=20)
    collect("backfill", start, off, now=off)
    collect("backfill", on, now, now=now)
    look_for_gaps(now)
    lost = missing_hours(start, midnight(now))
    assert lost >= 5 * 20 * 24 - 5
    assert query("SELECT DISTINCT state, reason FROM gaps") == [("open", "not asked")]
    requests, _, _ = sense(definitions, instance, REPAIR)
    assert {request.tags["funding/exchange"] for request in requests} == BOTH
    for request in requests:
        assert execute(definitions, instance, REPAIR, request).success
    assert missing_hours(start, midnight(now)) == 0
    look_for_gaps(now)
    assert query("SELECT DISTINCT state FROM gaps") == [("filled",)]
    assert wanted(definitions, instance) == set()
    kinds = query("SELECT kind, exchange FROM events WHERE kind IN ('gap found', 'gap filled')")
    assert sorted(kinds) == [
        (kind, name) for kind in ("gap filled", "gap found") for name in sorted(BOTH)
    ]
    assert query("SELECT count(*) FROM loads WHERE reason = 'repair'") == [(2,)]


@pytest.mark.slow
def test_seven_days_are_the_ticks_and_more_is_found_after_them(
    sandbox: str,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
) -> None:
    """Off for ten days, so that the first tick leaves three behind it."""
    then = midnight(now) - timedelta(days=10)
    collect("backfill", then - timedelta(days=2), then, now=then)
    reach = now - timedelta(milliseconds=TICK_REACH_MS)
    collect("tick", midnight(reach), now, now=now)
    look_for_gaps(now)
    left = missing_hours(then, midnight(reach))
    assert left >= 5 * 2 * 24
    assert wanted(definitions, instance) == BOTH
    for name in BOTH:
        request = dg.RunRequest(tags={"funding/exchange": name})
        assert execute(definitions, instance, REPAIR, request).success
    assert missing_hours(then, midnight(now)) == 0


@pytest.mark.slow
def test_what_the_exchange_does_not_have_is_given_up_after_three_runs_over_a_day(
    sandbox: str,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = midnight(now) - timedelta(days=3)
    collect("backfill", start, midnight(now), now=now)
    # A market that is listed but never settles: as far as anybody can tell, a hole.
    query(
        """INSERT INTO base.gaps BY NAME SELECT market_id,
            first_settlement + INTERVAL 30 MINUTE AS first_missing, first_missing AS last_missing,
            1 AS missing, 1 AS interval_hours, 'open' AS state, 'answered empty' AS reason,
            first_missing AS found_at, 0 AS asked_times
        FROM markets WHERE exchange = 'hyperliquid' ORDER BY market_id LIMIT 1"""
    )
    state = "SELECT state, asked_times FROM gaps"
    for number, hours in enumerate((0, 13, 26), 1):
        with clock(monkeypatch, now + timedelta(hours=hours)):
            requests, _, _ = sense(definitions, instance, REPAIR)
            assert [r.tags["funding/exchange"] for r in requests] == ["hyperliquid"]
            assert execute(definitions, instance, REPAIR, requests[0]).success
            assert wanted(definitions, instance) == set(), "asked a moment ago"
        assert query(state) == [("open" if number < 3 else "given up", number)]
    with clock(monkeypatch, now + timedelta(days=90)):
        assert wanted(definitions, instance) == set()
    ((answers,),) = query("SELECT answers FROM gaps")
    assert len(answers.splitlines()) == 3
    assert query("SELECT exchange FROM events WHERE kind = 'gap given up'") == [("hyperliquid",)]


def live_hole(name: str, now: datetime) -> None:
    """A market with an old hole, known to the gaps."""
    query(
        """INSERT INTO base.markets (market_id, exchange, market, symbol, multiplier, quote, settle,
            status, first_seen, last_seen)
        VALUES (nextval('market_ids'), ?, 'BTC', 'BTC', 1, 'USD', 'USD', 'live', ?, ?)""",
        name,
        now,
        now,
    )
    query(
        """INSERT INTO base.gaps BY NAME SELECT market_id, CAST(? AS TIMESTAMP) AS first_missing,
            first_missing AS last_missing, 1 AS missing, 1 AS interval_hours, 'open' AS state,
            'answered empty' AS reason, first_missing AS found_at, 0 AS asked_times
        FROM markets WHERE exchange = ?""",
        now - timedelta(days=20),
        name,
    )


def test_nothing_is_started_while_nothing_is_due(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    requests, _, why = sense(definitions, instance, REPAIR)
    assert (requests, why) == ([], "no gap is due")


def test_one_run_for_each_exchange_with_a_due_gap(
    definitions: dg.Definitions, instance: dg.DagsterInstance, now: datetime
) -> None:
    live_hole("bybit", now)
    assert wanted(definitions, instance) == {"bybit"}
    live_hole("hyperliquid", now)
    assert wanted(definitions, instance) == BOTH
    query("UPDATE base.gaps SET last_asked = ?", now)
    assert wanted(definitions, instance) == set()


@pytest.mark.parametrize("job", [BACKFILL, REPAIR])
def test_not_while_a_backfill_or_a_repair_of_the_exchange_runs(
    definitions: dg.Definitions, instance: dg.DagsterInstance, now: datetime, job: str
) -> None:
    live_hole("bybit", now)
    live_hole("hyperliquid", now)
    run = instance.create_run_for_job(
        definitions.resolve_job_def(job),
        status=dg.DagsterRunStatus.STARTED,
        tags={"funding/exchange": "bybit"},
    )
    assert wanted(definitions, instance) == {"hyperliquid"}
    instance.report_run_failed(run)
    assert wanted(definitions, instance) == (BOTH if job == BACKFILL else {"hyperliquid"}), (
        "a failed repair waits an hour"
    )


def test_after_a_run_the_exchange_is_left_alone_for_an_hour(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_hole("bybit", now)
    run = instance.create_run_for_job(
        definitions.resolve_job_def(REPAIR),
        status=dg.DagsterRunStatus.STARTED,
        tags={"funding/exchange": "bybit"},
    )
    instance.report_run_failed(run)
    assert wanted(definitions, instance) == set()
    with clock(monkeypatch, now + PAUSE + timedelta(minutes=1)):
        assert wanted(definitions, instance) == {"bybit"}


def test_not_while_the_command_line_fills_the_past(
    definitions: dg.Definitions, instance: dg.DagsterInstance, now: datetime, data_dir: Path
) -> None:
    live_hole("bybit", now)
    with Database(Settings()).open() as connection:
        start_load(connection, "bybit", "backfill", Window(0, 1), now)
    assert wanted(definitions, instance) == set()


def test_not_while_the_exchange_is_left_alone_after_failures(
    definitions: dg.Definitions, instance: dg.DagsterInstance, now: datetime, data_dir: Path
) -> None:
    live_hole("bybit", now)
    with Database(Settings()).open() as connection:
        for _ in range(3):
            note_failure(connection, "bybit", "no", now, tried=False, load_id=None)
    requests, _, why = sense(definitions, instance, REPAIR)
    assert requests == []
    assert why is not None and "bybit: breaker open until" in why
    query("UPDATE breakers SET retry_at = ?", now - HOUR)
    assert wanted(definitions, instance) == {"bybit"}, "somebody has to try"


def test_a_run_without_a_due_gap_asks_nothing(
    definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    """There is no sandbox: any request would fail the run."""
    request = dg.RunRequest(tags={"funding/exchange": "bybit"})
    assert execute(definitions, instance, REPAIR, request).success
