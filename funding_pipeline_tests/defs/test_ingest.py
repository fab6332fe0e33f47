"""Ingest: what a run materialises, reports and leaves to others."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from funding_pipeline.collection.report import LoadReport
from funding_pipeline.defs.derived import STATISTICS, TABLES
from funding_pipeline.defs.ingest import BACKFILL_TAG, REASON_TAG, _check_results, load_metadata
from funding_pipeline.defs.jobs import DERIVATION, ESTIMATES, HOURLY
from funding_pipeline.defs.partitions import DAYS, day_keys, day_window
from funding_pipeline.defs.runs import RANGE_END, RANGE_START
from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.checks import WindowFacts
from funding_pipeline.warehouse.database import Database

pytestmark = pytest.mark.slow


def two_days() -> list[str]:
    """Yesterday and the day before, complete and therefore the same at every run."""
    return DAYS.get_partition_keys()[-3:-1]


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, **tags: str
) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, tags=tags, raise_on_error=False
    )


def collect(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    first, last = two_days()
    return run(definitions, instance, HOURLY, **{RANGE_START: first, RANGE_END: last})


def materialized(result: dg.ExecuteInProcessResult) -> set[tuple[str, str | None]]:
    return {
        (e.materialization.asset_key.to_user_string(), e.partition)
        for e in result.get_asset_materialization_events()
    }


def stored(data_dir: Path) -> dict[str, int]:
    with duckdb.connect(str(data_dir / "history.duckdb"), read_only=True) as connection:
        return dict(
            connection.sql("SELECT exchange, count(*) FROM funding_rates GROUP BY ALL").fetchall()
        )


def test_a_range_run_materialises_every_day_of_every_exchange(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    result = collect(definitions, instance)
    assert result.success
    assert materialized(result) == {
        (exchange, day) for exchange in ("hyperliquid", "bybit") for day in two_days()
    }
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert {"rows_new", "requests", "waited_s", "window", "lag_minutes", "coverage"} <= set(
        metadata
    )
    assert stored(data_dir)["hyperliquid"] == 5 * 48


def test_materialising_twice_changes_nothing(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    collect(definitions, instance)
    before = stored(data_dir)
    again = collect(definitions, instance)
    for event in again.get_asset_materialization_events():
        metadata = event.materialization.metadata
        assert metadata["rows_new"].value == metadata["rows_changed"].value == 0
        assert metadata["markets_asked"].value == 0
    assert stored(data_dir) == before


def test_rows_lie_in_the_partition_of_their_stamp(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    day = two_days()[0]
    run(definitions, instance, HOURLY, **{RANGE_START: day, RANGE_END: day})
    with duckdb.connect(str(data_dir / "history.duckdb"), read_only=True) as connection:
        days = connection.sql(
            "SELECT DISTINCT CAST(CAST(funding_time AS DATE) AS VARCHAR) FROM settlements"
        ).fetchall()
    assert days == [(day,)]


def test_checks_report_on_each_exchange(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    evaluations = collect(definitions, instance).get_asset_check_evaluations()
    assert {(e.asset_key.to_user_string(), e.check_name) for e in evaluations} == {
        (exchange, check) for exchange in ("hyperliquid", "bybit") for check in ("sound", "volume")
    }
    assert all(e.passed for e in evaluations)


def test_a_check_fails_on_a_doubled_settlement(
    sandbox: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    collect(definitions, instance)
    with duckdb.connect(str(data_dir / "history.duckdb")) as connection:
        connection.sql(
            """INSERT INTO settlements
            FROM (SELECT s.* FROM settlements s JOIN markets USING (market_id)
                  WHERE exchange = 'bybit' LIMIT 1)"""
        )
    failed = [
        (e.asset_key.to_user_string(), e.check_name)
        for e in collect(definitions, instance).get_asset_check_evaluations()
        if not e.passed
    ]
    assert failed == [("bybit", "sound")]


@pytest.mark.parametrize(
    ("facts", "failing"),
    [
        (WindowFacts(3, 1, 0, 0, 0, 0, 1.0), []),
        (WindowFacts(3, 1, 1, 0, 0, 0, 1.0), ["sound"]),
        (WindowFacts(3, 1, 0, 1, 0, 0, 1.0), ["sound"]),
        (WindowFacts(3, 1, 0, 0, 1, 0, 1.0), ["sound"]),
        (WindowFacts(3, 1, 0, 0, 0, 1, 1.0), []),  # what is quarantined is not stored
        (WindowFacts(0, 0, 0, 0, 0, 0, 1.0), ["volume"]),
        (WindowFacts(0, 0, 0, 0, 0, 0, None), []),  # nothing lived
    ],
)
def test_what_fails_a_check(facts: WindowFacts, failing: list[str]) -> None:
    checks = _check_results(LoadReport("bybit", Window(0, 1)), facts)
    assert [check.check_name for check in checks if not check.passed] == failing


def test_too_little_volume_is_a_warning_and_shown() -> None:
    report = LoadReport("bybit", Window(0, 1), volume=["no rows", "fewer markets"])
    facts = WindowFacts(3, 1, 0, 0, 0, 0, 1.0)
    failed = [check for check in _check_results(report, facts) if not check.passed]
    assert [(check.check_name, check.severity) for check in failed] == [
        ("volume", dg.AssetCheckSeverity.WARN)
    ]
    assert load_metadata(report, facts, 0)["volume"].value == "no rows\nfewer markets"


def test_a_failing_exchange_stops_neither_the_other_nor_the_derived_tables(
    bybit_down: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    result = collect(definitions, instance)
    assert not result.success
    assert materialized(result) == {("hyperliquid", day) for day in two_days()}
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert failure is not None
    assert "1 of 2 exchanges failed (bybit)" in failure.message
    derived = run(definitions, instance, DERIVATION)
    assert derived.success
    assert materialized(derived) == {
        (table, None) for table in (*TABLES, *STATISTICS, "read_database", "pictures")
    }
    with duckdb.connect(str(data_dir / "read.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT DISTINCT exchange FROM latest_rates").fetchall() == [
            ("hyperliquid",)
        ]
        status, error = connection.sql(
            "SELECT status, last_error FROM collector_status WHERE exchange = 'bybit'"
        ).fetchall()[0]
    assert status == "geo-blocked"
    assert "blocked from this location" in error


def test_what_is_left_alone_turns_no_run_red_and_a_person_gets_through(
    bybit_down: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    first, last = two_days()
    tick = {RANGE_START: first, RANGE_END: last, REASON_TAG: "tick"}
    ticks = [run(definitions, instance, HOURLY, **tick) for _ in range(4)]
    assert [result.success for result in ticks] == [False, False, False, True]
    assert {name for name, _ in materialized(ticks[-1])} == {"hyperliquid"}
    with Database(Settings()).open() as connection:
        connection.execute("UPDATE breakers SET retry_at = opened_at")
    assert run(definitions, instance, HOURLY, **tick).success, "a failed try is no news"
    with Database(Settings()).open() as connection:
        failures, runs = connection.execute(
            """SELECT failures, total_runs FROM breakers JOIN collector_status USING (exchange)"""
        ).fetchall()[0]
    assert (failures, runs) == (4, 4)
    collect(definitions, instance)
    run(definitions, instance, HOURLY, **tick, **{BACKFILL_TAG: "by hand"})
    with Database(Settings()).open() as connection:
        assert connection.execute("SELECT failures FROM breakers").fetchall() == [(6,)]
    assert run(definitions, instance, ESTIMATES).success


def test_day_windows_and_keys_are_inverse() -> None:
    keys = ["2026-02-27", "2026-02-28", "2026-03-01"]
    window = day_window(keys)
    assert window.end_ms - window.start_ms == 3 * 86_400_000
    assert day_keys(window) == keys
