"""`funding alerts`: what is wrong, what would be told, whether the channels work."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from funding_pipeline.alerts.channels import channels
from funding_pipeline.alerts.look import look
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline_tests.alerts.webhook import Webhook, listening
from funding_pipeline_tests.cli.conftest import Run


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with listening() as hook:
        monkeypatch.setenv("FUNDING_ALERT_URLS", hook.url)
        yield hook


@pytest.fixture
def failing() -> Database:
    """A database in which bybit fails."""
    database = Database(Settings())
    with database.open() as connection:
        connection.execute(
            """INSERT INTO base.collectors VALUES
            ('bybit', 'failed', 'refused', now(), NULL, 'unreachable', now(), 1, 0)"""
        )
    return database


def stored(database: Database) -> list[object]:
    with database.open() as connection:
        return [
            connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            for table in ("alerts", "alert_messages", "events")
        ]


def test_a_dry_run_prints_what_would_be_sent_and_does_nothing(
    run: Run, hook: Webhook, failing: Database
) -> None:
    before = stored(failing)
    result = run("alerts", "--dry-run")
    assert result.output.splitlines() == [
        "json: Funding rates: 1 new problem",
        "  bybit: collecting fails, unreachable",
        "",
        "1 findings now.",
    ]
    assert result.exit_code == 0
    assert hook.received == []
    assert stored(failing) == before


def test_a_dry_run_without_channels_and_with_nothing_new(
    run: Run, hook: Webhook, failing: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_a_look(failing)
    assert "Nothing new" in run("alerts", "--dry-run").output
    monkeypatch.delenv("FUNDING_ALERT_URLS")
    assert "Nobody would be told" in run("alerts", "--dry-run").output


def test_it_prints_what_is_open_and_what_was_sent(
    run: Run, hook: Webhook, failing: Database
) -> None:
    assert run("alerts").output == "0 open at the last look of the sensor\n\nSent lately: nothing\n"
    take_a_look(failing)
    now, *more = run("alerts").output.splitlines()
    assert now == "1 open at the last look of the sensor"
    assert more[0].startswith("  error  bybit: collecting fails, unreachable; since ")
    assert more[0].endswith(" UTC, told: json")
    assert more[2] == "Sent lately"
    assert more[3].endswith("UTC  json  Funding rates: 1 new problem")
    assert more[4] == "    bybit: collecting fails, unreachable"


def test_a_test_message_goes_to_every_channel_and_one_that_fails_is_named(
    run: Run, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("alerts", "--test").output == "json: works\n"
    monkeypatch.setenv("FUNDING_ALERT_URLS", f"tgram://SECRET {hook.url}")
    result = run("alerts", "--test")
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first.startswith("tgram: its address")
    assert second == "json: works"
    assert "SECRET" not in result.output
    assert len(hook.received) == 2


def test_wrong_usage_and_nothing_there(run: Run, tmp_path: Path) -> None:
    assert run("alerts", "--test").exit_code == 2
    assert run("alerts", "--test", "--dry-run").exit_code == 2
    for arguments in ([], ["--dry-run"]):
        assert run("alerts", *arguments).output.startswith("Nothing is collected yet")
    assert list(tmp_path.iterdir()) == [], "looking makes no database"


def take_a_look(database: Database) -> None:
    look(
        database,
        channels(Settings().alert_urls),
        timedelta(hours=6),
        exchanges=["bybit"],
        checks=[],
        known_checks=[],
        now=utc_now(),
    )
