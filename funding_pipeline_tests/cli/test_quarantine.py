"""`funding quarantine`: listed as published, released and dropped for good."""

import json
from datetime import datetime

import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.cli.conftest import Run, Serve
from funding_pipeline_tests.warehouse.world import at, collect, listed, rows, sent, series

SPEC = EXCHANGES["bybit"].spec


@pytest.fixture
def database() -> Database:
    """Bybit with an hourly market that sent one row beyond its bound and two in one hour."""
    database = Database(Settings())
    with database.open() as connection:
        record_markets(connection, "bybit", listed("AAA", interval_hours=1), datetime(2025, 3, 3))
        sound = [row for row in series(range(20)) if row.time_ms not in (at(5), at(6))]
        doubtful = [sent(5, "0.2"), sent(6, "0.0003"), sent(6, "0.0004", lag_ms=60_000)]
        history = {"AAA": [*sound, *doubtful, sent(7.75, "0.0005")]}
        collect(connection, history, Window(at(0), at(20)), declaration=SPEC)
    derive(database, now=datetime(2025, 7, 1))
    publish(database)
    return database


def test_before_anything_is_published(run: Run) -> None:
    assert "Nothing is published yet" in run("quarantine", "list").output
    assert run("quarantine", "list", "--json").output == "[]\n"


def test_the_list_sums_up_by_reason_and_shows_rows_when_asked(run: Run, database: Database) -> None:
    lines = run("quarantine", "list").output.splitlines()
    assert lines[0].split()[:4] == ["exchange", "reason", "rows", "markets"]
    checks = ("beyond the bound", "off grid", "slot taken")
    assert [check in line for check, line in zip(checks, lines[1:], strict=True)] == [True] * 3
    lines = run("quarantine", "list", "--rows", "--reason", "slot").output.splitlines()
    assert len(lines) == 2
    assert "2025-03-01 06:01:00" in lines[1]
    assert "0.0004" in lines[1]
    (row,) = json.loads(
        run("quarantine", "list", "--rows", "--json", "--since", "2025-03-01 07:00:00").output
    )
    assert (row["raw_rate"], row["stamp"]) == ("0.0005", "2025-03-01T07:45:00Z")
    assert run("quarantine", "list", "--market", "BBB").output == "no row is in quarantine\n"


def test_release_derives_publishes_and_says_what_it_could_not(run: Run, database: Database) -> None:
    result = run("quarantine", "release", "--exchange", "bybit", "--yes")
    assert result.exit_code == 1
    assert "bybit: 2 rows released: 1 new settlements, 1 changed" in result.output
    assert "its stamp is off the grid of whole hours" in result.output
    assert "published" in result.output
    with database.open() as connection:
        assert rows(
            connection,
            """SELECT raw_rate FROM funding_rates WHERE raw_rate IN ('0.2', '0.0004')
            ORDER BY 1 DESC""",
        ) == [("0.2",), ("0.0004",)]
        assert rows(connection, "FROM gaps WHERE state = 'open' AND reason = 'quarantined'") == []
    assert "off grid" in run("quarantine", "list").output
    assert "beyond" not in run("quarantine", "list").output


def test_drop_asks_first(run: Run, database: Database) -> None:
    assert run("quarantine", "drop").exit_code == 2
    result = run("quarantine", "drop", "--reason", "slot taken")
    assert result.exit_code == 1
    assert "Aborted" in result.output
    assert "slot taken" in run("quarantine", "list").output
    result = run("quarantine", "drop", "--reason", "slot taken", "--yes")
    assert (result.exit_code, "1 rows dropped" in result.output) == (0, True)
    assert "slot taken" not in run("quarantine", "list").output
    assert "no such row" in run("quarantine", "drop", "--reason", "slot taken", "--yes").output


def test_ordinary_collecting_from_a_sandbox_leaves_nothing_to_decide_or_tell(
    run: Run, serve: Serve
) -> None:
    serve(markets=3)
    for arguments in (("--days", "3"), ("--days", "3"), ("--days", "5")):
        assert run("backfill", *arguments).exit_code == 0
    with Database(Settings()).open() as connection:
        assert rows(connection, "FROM quarantine") == []
        assert rows(connection, "FROM events WHERE kind IN ('volume', 'quarantined')") == []
        judged = "SELECT rows_answered >= rows_expected AND rows_expected > 0 FROM loads"
        assert rows(connection, f"{judged} WHERE load_id <= 2") == [(True,), (True,)]
