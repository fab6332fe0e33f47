"""Failed runs are seen in the database, and runs that a crash left behind fail."""

import json
import socket
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from funding_pipeline.defs.jobs import BACKFILL, DERIVATION, ESTIMATES, HOURLY
from funding_pipeline.defs.lost_runs import SERVER_TAG, server_gone
from funding_pipeline.defs.maintenance import MAINTENANCE
from funding_pipeline.defs.partitions import DAYS
from funding_pipeline.defs.runs import RANGE_END, RANGE_START
from funding_pipeline_tests.defs.ticks import sense


class Watch:
    """The sensor `failures` from now on."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self._definitions, self._instance = definitions, instance
        self._cursor: str | None = None
        self.look()

    def look(self) -> None:
        _, self._cursor, _ = sense(self._definitions, self._instance, "failures", self._cursor)


def noted(data_dir: Path) -> list[tuple[str, str, str]]:
    with duckdb.connect(str(data_dir / "history.duckdb"), read_only=True) as connection:
        return connection.sql(
            "SELECT kind, exchange, detail FROM events WHERE kind = 'run failed' ORDER BY ALL"
        ).fetchall()


def crash(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, message: str
) -> None:
    run = instance.create_run_for_job(
        definitions.resolve_job_def(job),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({dg.AssetKey("bybit")}) if job == BACKFILL else None,
    )
    instance.report_run_failed(run, message)


@pytest.mark.slow
def test_a_failing_exchange_is_noted_by_name_with_its_words(
    bybit_down: str, definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    watch = Watch(definitions, instance)
    day = DAYS.get_partition_keys()[-2]
    definitions.resolve_job_def(HOURLY).execute_in_process(
        instance=instance, tags={RANGE_START: day, RANGE_END: day}, raise_on_error=False
    )
    watch.look()
    ((kind, exchange, detail),) = noted(data_dir)
    assert (kind, exchange) == ("run failed", "bybit")
    assert detail.startswith("hourly_collection: ")
    assert "blocked from this location" in detail
    watch.look()
    assert len(noted(data_dir)) == 1, "each failure is noted once"


def test_a_step_that_breaks_is_noted_with_the_first_line_of_its_error(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(definitions, instance)

    def broken(*_: object, **__: object) -> None:
        raise OSError("No space left on device\nand a second line")

    monkeypatch.setattr("funding_pipeline.defs.derived.derive", broken)
    definitions.resolve_job_def(DERIVATION).execute_in_process(
        instance=instance, raise_on_error=False
    )
    watch.look()
    assert noted(data_dir) == [
        ("run failed", "all", "derivation: OSError: No space left on device")
    ]


@pytest.mark.parametrize(
    ("job", "exchange"),
    [(BACKFILL, "bybit"), (HOURLY, "all"), (ESTIMATES, "all"), (MAINTENANCE, "all")],
)
def test_a_worker_that_died_is_noted_for_what_it_collected(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    data_dir: Path,
    job: str,
    exchange: str,
) -> None:
    watch = Watch(definitions, instance)
    crash(definitions, instance, job, "killed\nwith details")
    watch.look()
    assert noted(data_dir) == [("run failed", exchange, f"{job}: killed")]


def test_a_database_that_cannot_be_opened_does_not_break_the_sensor(
    definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    watch = Watch(definitions, instance)
    data_dir.mkdir()
    database = data_dir / "history.duckdb"
    database.write_text("no database")
    crash(definitions, instance, HOURLY, "first")
    watch.look()
    database.unlink()
    crash(definitions, instance, HOURLY, "second")
    watch.look()
    assert noted(data_dir) == [("run failed", "all", "hourly_collection: second")]


def test_a_run_whose_server_is_gone_fails_and_others_go_on(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    def started(tags: dict[str, str]) -> str:
        job = definitions.resolve_job_def(HOURLY)
        return instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, tags=tags
        ).run_id

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "alive"))
        server.listen()
        alive = started({SERVER_TAG: json.dumps({"socket": str(tmp_path / "alive")})})
        lost = started({SERVER_TAG: json.dumps({"socket": str(tmp_path / "gone")})})
        by_hand = started({})
        _, _, told = sense(definitions, instance, "lost_runs")
    assert told == "1 of 3 started runs were lost"
    status = {r.dagster_run.run_id: r.dagster_run.status for r in instance.get_run_records()}
    assert status == {
        alive: dg.DagsterRunStatus.STARTED,
        lost: dg.DagsterRunStatus.FAILURE,
        by_hand: dg.DagsterRunStatus.STARTED,
    }


def test_a_server_is_gone_only_when_nothing_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not server_gone(json.dumps({"host": "127.0.0.1", "port": port}))
    assert server_gone(json.dumps({"host": "127.0.0.1", "port": port}))
    left_over = tmp_path / "left_over"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(left_over))
    assert server_gone(json.dumps({"socket": str(left_over)})), "a file that nobody serves"
    for unknown in (None, "", "{", "[]", "{}", '{"host": "nowhere.invalid", "port": 1}'):
        assert not server_gone(unknown)
