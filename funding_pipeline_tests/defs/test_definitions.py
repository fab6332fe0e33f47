"""The code location: loadable anywhere, complete, on by default."""

import ast
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from funding_pipeline.definitions import defs
from funding_pipeline.defs.derived import STATISTICS
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database

TABLES = {"daily_stats", "apr", "moving_averages", "latest_rates", "predicted_rates"}
SHARED = TABLES | STATISTICS.keys() | {"read_database", "pictures"}
CHOSEN = {"hyperliquid", "bybit"}

# Forbids what loading must not need. Files may be read (imports), none opened to be written.
GUARD = """
import builtins, socket, sys, time
import dagster, duckdb, httpx, polars  # their own imports are not ours to judge
from pathlib import Path

def forbidden(*args, **kwargs):
    raise AssertionError("loading the definitions touched the outside world")

def read_only(file, mode="r", *args, **kwargs):
    if set(mode) & set("wax+"):
        forbidden()
    return opened(file, mode, *args, **kwargs)

opened, builtins.open = builtins.open, read_only
socket.socket.connect = socket.getaddrinfo = forbidden
duckdb.connect = Path.mkdir = Path.write_text = forbidden
time.time_ns = forbidden
from funding_pipeline.definitions import defs
loaded = defs()
print(sorted(key.to_user_string() for key in loaded.resolve_all_asset_keys()))
"""


@pytest.mark.slow
def test_definitions_load_in_a_fresh_interpreter_without_network_file_or_clock(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GUARD], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sure = {name for name, e in EXCHANGES.items() if e.spec.experimental is None}
    assert ast.literal_eval(done.stdout) == sorted(sure | SHARED)
    assert list(tmp_path.iterdir()) == []


def test_every_asset_tells_what_it_is(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.kinds, spec.key
        assert spec.owners, spec.key
        assert spec.group_name in {"exchanges", "estimates", "derived", "published"}
        if spec.key.to_user_string() not in {"read_database", "pictures"}:
            assert "dagster/column_schema" in spec.metadata


def test_column_schemas_are_those_of_the_published_tables(
    definitions: dg.Definitions, data_dir: Path
) -> None:
    with Database(Settings()).open() as connection:
        for spec in definitions.resolve_all_asset_specs():
            schema = spec.metadata.get("dagster/column_schema")
            if schema is None:
                continue
            name = spec.key.to_user_string()
            table = name if name in TABLES | STATISTICS.keys() else "funding_rates"
            described = connection.execute(f"DESCRIBE {table}").fetchall()
            assert [(c.name, c.type) for c in schema.columns] == [
                (row[0], row[1]) for row in described
            ]


def test_schedules_and_sensors_are_on_by_default_and_in_utc(definitions: dg.Definitions) -> None:
    schedules = list(definitions.schedules or [])
    assert {s.name: s.cron_schedule for s in schedules} == {  # type: ignore[union-attr]
        "hourly": "3 * * * *",
        "estimates": "56 * * * *",
        "sweep": "27 */6 * * *",
        "freshness": "20 * * * *",
        "maintenance": "41 2 * * *",
    }
    for schedule in schedules:
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING, schedule.name
        assert schedule.execution_timezone == "UTC", schedule.name
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or []}
    assert sensors == dict.fromkeys(
        ["watermark", "first_days", "repair", "failures", "lost_runs", "alerts"],
        dg.DefaultSensorStatus.RUNNING,
    )


@pytest.mark.parametrize("job", ["hourly_collection", "correction_sweep", "backfill"])
def test_jobs_that_collect_hold_the_exchanges_alone(definitions: dg.Definitions, job: str) -> None:
    layer = definitions.resolve_job_def(job).asset_layer
    assert {key.to_user_string() for key in layer.executable_asset_keys} == CHOSEN


def test_estimates_are_published_with_their_sample(definitions: dg.Definitions) -> None:
    layer = definitions.resolve_job_def("estimates").asset_layer
    keys = {key.to_user_string() for key in layer.executable_asset_keys}
    assert keys == {"predicted_rates", "read_database"}


def test_an_exchange_without_history_takes_no_part_in_backfills(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    recorded = {name for name, e in EXCHANGES.items() if e.spec.kind == "recorded"}
    if not recorded:
        pytest.skip("every exchange has a history")
    monkeypatch.setenv("FUNDING_EXCHANGES", ",".join({"bybit", *recorded}))
    layer = defs().resolve_job_def("backfill").asset_layer
    assert {key.to_user_string() for key in layer.executable_asset_keys} == {"bybit"}


def test_only_chosen_exchanges_are_loaded(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setenv("FUNDING_EXCHANGES", "bybit")
    keys = {key.to_user_string() for key in defs().resolve_all_asset_keys()}
    assert keys == SHARED | {"bybit"}
