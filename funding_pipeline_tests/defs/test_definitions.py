"""The code location: loadable anywhere, complete, on by default."""

import ast
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from funding_pipeline.definitions import defs
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database

DERIVED = {"daily_stats", "apr", "moving_averages", "latest_rates", "read_database"}

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
    assert ast.literal_eval(done.stdout) == sorted(EXCHANGES.keys() | DERIVED)
    assert list(tmp_path.iterdir()) == []


def test_every_asset_tells_what_it_is(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.kinds, spec.key
        assert spec.owners, spec.key
        assert spec.group_name in {"exchanges", "derived", "published"}
        if spec.key.to_user_string() != "read_database":
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
            table = name if name in DERIVED else "funding_rates"
            described = connection.execute(f"DESCRIBE {table}").fetchall()
            assert [(c.name, c.type) for c in schema.columns] == [
                (row[0], row[1]) for row in described
            ]


def test_schedule_and_sensor_are_on_by_default(definitions: dg.Definitions) -> None:
    hourly = definitions.resolve_schedule_def("hourly")
    assert hourly.default_status is dg.DefaultScheduleStatus.RUNNING
    assert hourly.cron_schedule == "3 * * * *"
    assert hourly.execution_timezone == "UTC"
    watermark = definitions.resolve_sensor_def("watermark")
    assert watermark.default_status is dg.DefaultSensorStatus.RUNNING


def test_the_hourly_job_holds_the_exchanges_alone(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("hourly_collection")
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == EXCHANGES.keys()


def test_only_chosen_exchanges_are_loaded(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setenv("FUNDING_EXCHANGES", "bybit")
    keys = {key.to_user_string() for key in defs().resolve_all_asset_keys()}
    assert keys == DERIVED | {"bybit"}
