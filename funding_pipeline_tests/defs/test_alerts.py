"""From a fault in the pipeline to a message that arrives, driven by ticks of the sensor."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from funding_pipeline.alerts.decide import SETTLED
from funding_pipeline.definitions import defs
from funding_pipeline.defs import ingest
from funding_pipeline.defs.jobs import DERIVATION, ESTIMATES, HOURLY
from funding_pipeline.defs.partitions import DAYS
from funding_pipeline.defs.runs import RANGE_END, RANGE_START
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.ledger import Event, record_events
from funding_pipeline_tests.alerts.webhook import Webhook, listening
from funding_pipeline_tests.defs.ticks import live_market, sense

MINUTE = timedelta(minutes=1)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with listening() as hook:
        monkeypatch.setenv("FUNDING_ALERT_URLS", hook.url)
        yield hook


class Watch:
    """The sensor `alerts` on a clock of its own, beginning now."""

    def __init__(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.definitions, self.instance = definitions, instance
        self.cursor: str | None = None
        self.now = utc_now()
        monkeypatch.setattr("funding_pipeline.defs.alerts.utc_now", lambda: self.now)

    def look(self, later: timedelta = MINUTE) -> str:
        self.now += later
        runs, self.cursor, told = sense(self.definitions, self.instance, "alerts", self.cursor)
        assert runs == []
        assert told is not None
        return told

    def restart(self, *, forget: bool = False) -> None:
        """Another process; Dagster keeps the cursor, unless somebody resets it."""
        self.definitions = defs()
        self.cursor = None if forget else self.cursor


@pytest.fixture
def watch(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Watch:
    return Watch(definitions, instance, monkeypatch)


def evaluate(
    instance: dg.DagsterInstance,
    *,
    passed: bool,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> None:
    """A green run in which the check `sound` of bybit passes or fails."""

    @dg.asset(name="bybit", check_specs=[dg.AssetCheckSpec("sound", asset="bybit")])
    def bybit() -> Any:
        yield dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name="sound",
                    passed=passed,
                    severity=severity,
                    metadata={"duplicates": 0 if passed else 3},
                )
            ]
        )

    assert dg.materialize([bybit], instance=instance).success


def execute_sql(sql: str, *values: object) -> None:
    with Database(Settings()).open() as connection:
        connection.execute(sql, list(values))


def stale_market(last: datetime) -> None:
    live_market("bybit", "BTCUSDT")
    execute_sql("UPDATE base.markets SET last_settlement = ?, interval_hours = 8", last)


def rows(data_dir: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(data_dir / "history.duckdb"), read_only=True) as connection:
        return connection.sql(sql).fetchall()


@pytest.mark.slow
def test_a_failing_check_leaves_the_run_green_and_reaches_a_person(
    sandbox: str,
    watch: Watch,
    hook: Webhook,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hourly job as it is; only what its check counts is made up."""
    count = ingest.window_facts

    def duplicated(connection: Any, spec: Any, *more: Any) -> Any:
        facts = count(connection, spec, *more)
        return dataclasses.replace(facts, duplicates=3 if spec.name == "bybit" else 0)

    monkeypatch.setattr(ingest, "window_facts", duplicated)
    watch.look()
    day = DAYS.get_partition_keys()[-1]
    result = watch.definitions.resolve_job_def(HOURLY).execute_in_process(
        instance=watch.instance, tags={RANGE_START: day, RANGE_END: day}
    )
    assert result.success
    watch.look()
    assert hook.bodies() == ["bybit: check sound fails, duplicates 3"]
    assert rows(data_dir, "SELECT kind, exchange FROM events WHERE kind = 'alert sent'") == [
        ("alert sent", "all")
    ]
    assert rows(data_dir, "SELECT channel, title, body FROM alert_messages") == [
        (
            "json",
            "Funding rates: 1 new problem",
            "bybit: check sound fails, duplicates 3",
        )
    ]


def test_a_check_is_told_once_reminded_of_and_over(
    watch: Watch, hook: Webhook, instance: dg.DagsterInstance
) -> None:
    evaluate(instance, passed=True)
    assert watch.look() == "0 findings open"
    evaluate(instance, passed=False)
    assert watch.look() == "1 findings open; told json"
    assert watch.look() == "1 findings open"
    watch.look(timedelta(hours=5, minutes=58))
    (first,) = hook.bodies()
    assert watch.look() == "1 findings open; told json"
    (reminder,) = hook.bodies()
    assert reminder.startswith(f"Still open:\n{first} (since ")
    # Runs end by the real clock, of which the looks are hours ahead by now.
    watch.now = utc_now()
    watch.cursor = watch.now.isoformat()
    evaluate(instance, passed=True)
    watch.look()
    watch.look(SETTLED - MINUTE)
    assert hook.bodies() == []
    watch.look(MINUTE)
    (over,) = hook.bodies()
    assert over.startswith(f"Over:\n{first} (after ")
    watch.look(timedelta(hours=7))
    assert hook.bodies() == []


def test_a_check_that_only_warns_is_told_as_a_warning(
    watch: Watch, hook: Webhook, instance: dg.DagsterInstance
) -> None:
    evaluate(instance, passed=False, severity=dg.AssetCheckSeverity.WARN)
    watch.look()
    evaluate(instance, passed=False)
    watch.look()
    assert [message["type"] for message in hook.received] == ["warning", "failure"]


def test_a_failed_run_reaches_a_person(
    watch: Watch, hook: Webhook, instance: dg.DagsterInstance
) -> None:
    _, cursor, _ = sense(watch.definitions, instance, "failures")
    run = instance.create_run_for_job(
        watch.definitions.resolve_job_def(DERIVATION), status=dg.DagsterRunStatus.STARTED
    )
    instance.report_run_failed(run, "killed")
    sense(watch.definitions, instance, "failures", cursor)
    watch.look()
    assert hook.bodies() == ["run of derivation failed, killed"]


def test_stale_data_reach_a_person(watch: Watch, hook: Webhook) -> None:
    last = (watch.now - timedelta(hours=9)).replace(minute=0, second=0)
    stale_market(last)
    watch.look(timedelta(hours=1))
    assert hook.bodies() == [f"bybit: 1 of 1 markets stale, newest settlement {last:%H:%M} UTC"]


def test_a_collector_in_trouble_reaches_a_person(watch: Watch, hook: Webhook) -> None:
    execute_sql(
        """INSERT INTO base.collectors VALUES ('bybit', 'failed', 'refused', now(), NULL,
        'blocked from this location', now(), 1, 0)"""
    )
    watch.look()
    assert hook.bodies() == ["bybit: collecting fails, blocked from this location"]


def test_several_findings_are_one_message(watch: Watch, hook: Webhook) -> None:
    stale_market(watch.now - timedelta(hours=30))
    with Database(Settings()).open() as connection:
        connection.execute(
            """INSERT INTO holds (exchange, mistake, detail, shown_from, shown_to, held_at)
            VALUES ('bybit', 'sign', '0 of 30 agree', $now, $now, $now)""",
            {"now": watch.now},
        )
        record_events(
            connection, "hyperliquid", [Event("gap given up", None, "2 missing")], None, watch.now
        )
    watch.look()
    (body,) = hook.bodies()
    assert body.splitlines()[0].startswith("bybit: 1 of 1 markets stale, ")
    assert body.splitlines()[0].endswith("; held back until released, sign (0 of 30 agree)")
    assert body.splitlines()[1] == "hyperliquid: gaps given up after empty answers, 2 missing"


def test_a_dead_channel_is_tried_again_and_stops_no_other(
    watch: Watch, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale_market(watch.now - timedelta(hours=30))
    with listening() as other:
        other.status = 500
        monkeypatch.setenv("FUNDING_ALERT_URLS", f"{other.url},{hook.url}")
        for _ in range(2):
            told = watch.look()
            assert "to be tried again: json" in told
        assert len(hook.bodies()) == 1
        other.status = 200
        assert watch.look() == "1 findings open; told json"
        assert len(other.bodies()) == 1
        watch.look()
        assert (hook.bodies(), other.bodies()) == ([], [])


@pytest.mark.parametrize("forget", [False, True])
def test_nothing_is_told_twice_after_a_restart(
    watch: Watch, hook: Webhook, instance: dg.DagsterInstance, forget: bool
) -> None:
    stale_market(watch.now - timedelta(hours=30))
    evaluate(instance, passed=False)
    watch.look()
    (body,) = hook.bodies()
    assert "stale" in body and "sound" in body
    watch.restart(forget=forget)
    assert watch.look() == "2 findings open"
    assert hook.bodies() == []


def test_without_a_channel_findings_are_kept_for_the_first_one(
    watch: Watch, hook: Webhook, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.delenv("FUNDING_ALERT_URLS")
    stale_market(watch.now - timedelta(hours=30))
    assert watch.look() == "nobody is told: FUNDING_ALERT_URLS is not set; 1 findings open"
    assert rows(data_dir, "SELECT key, closed FROM alerts") == [("stale bybit", None)]
    monkeypatch.setenv("FUNDING_ALERT_URLS", hook.url)
    watch.look()
    assert len(hook.bodies()) == 1


def test_the_cool_down_can_be_chosen(
    watch: Watch, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNDING_ALERT_COOL_DOWN_HOURS", "1")
    stale_market(watch.now - timedelta(hours=30))
    watch.look()
    watch.look(timedelta(minutes=59))
    assert len(hook.bodies()) == 1
    watch.look()
    assert len(hook.bodies()) == 1


def test_each_run_is_read_once_and_a_strange_cursor_does_no_harm(
    watch: Watch, hook: Webhook, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(instance, passed=False)
    for strange in ("", "garbage", "2026-03-02T10:00:00+00:00", json.dumps({"a": 1})):
        watch.cursor = strange
        watch.look()
    assert len(hook.bodies()) == 1
    read: list[str] = []
    original = instance.get_records_for_run

    def counted(run_id: str, *more: Any, **named: Any) -> Any:
        read.append(run_id)
        return original(run_id, *more, **named)

    monkeypatch.setattr(instance, "get_records_for_run", counted)
    watch.look()
    assert read == []


def test_when_there_are_many_runs_several_looks_catch_up(
    watch: Watch, hook: Webhook, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funding_pipeline.defs.alerts.MOST_RUNS", 2)
    for passed in (True, True, True, True, False):
        evaluate(instance, passed=passed)
    told = [watch.look() for _ in range(3)]
    assert told == ["0 findings open", "0 findings open", "1 findings open; told json"]


@pytest.mark.parametrize("job", [DERIVATION, ESTIMATES])
@pytest.mark.parametrize(("age", "pings"), [(1, ["/alive"]), (30, [])])
def test_a_sign_of_life_after_a_publication_of_fresh_data_alone(
    watch: Watch,
    hook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
    job: str,
    age: int,
    pings: list[str],
) -> None:
    monkeypatch.setenv("FUNDING_PING_URL", f"http://{hook.host}/alive")
    stale_market(watch.now - timedelta(hours=age))
    assert publish(watch, job).success
    assert hook.got == pings


def test_no_sign_of_life_when_a_part_of_the_derivation_broke(
    watch: Watch, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNDING_PING_URL", f"http://{hook.host}/alive")
    stale_market(watch.now)
    execute_sql("INSERT INTO derivations VALUES (?, 1, 1, 1, 'spreads: x')", watch.now)
    assert not publish(watch, ESTIMATES).success
    assert hook.got == []


def test_a_dead_ping_address_harms_nothing(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as gone:
        address = f"http://{gone.host}/alive"
    monkeypatch.setenv("FUNDING_PING_URL", address)
    stale_market(watch.now)
    assert publish(watch, ESTIMATES).success


def publish(watch: Watch, job: str) -> dg.ExecuteInProcessResult:
    return watch.definitions.resolve_job_def(job).execute_in_process(
        instance=watch.instance,
        asset_selection=[dg.AssetKey("read_database")],
        raise_on_error=False,
    )
