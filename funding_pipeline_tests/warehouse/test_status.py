"""What `read_status` finds, against databases whose figures are known by hand."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse.breakers import note_failure
from funding_pipeline.warehouse.database import Database, milliseconds
from funding_pipeline.warehouse.ledger import end_load, start_load
from funding_pipeline.warehouse.publish import publish
from funding_pipeline.warehouse.status import (
    COVERAGE_SPAN,
    NEVER,
    ExchangeStatus,
    Status,
    read_status,
)
from funding_pipeline.warehouse.verdict import reasons
from funding_pipeline_tests.warehouse.world import rows

NOW = datetime(2026, 3, 31, 12, 30)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
UNTIL = datetime(2026, 3, 31, 12)


@pytest.fixture
def _new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


def _market(
    connection: duckdb.DuckDBPyConnection,
    market: str,
    *,
    listed_at: datetime | None = None,
    status: str = "live",
    last: datetime | None = None,
    hours: int | None = None,
    exchange: str = "bybit",
) -> None:
    connection.execute(
        """INSERT INTO base.markets BY NAME SELECT nextval('market_ids')::INTEGER AS market_id,
        $e AS exchange, $m AS market, $m AS symbol, 1 AS multiplier, 'USD' AS quote,
        'USD' AS settle, $s AS status, $n AS first_seen, $n AS last_seen,
        $hours::SMALLINT AS interval_hours, $listed::TIMESTAMP AS listed_at,
        $last::TIMESTAMP AS last_settlement""",
        {
            "hours": hours,
            "e": exchange,
            "m": market,
            "s": status,
            "n": NOW,
            "listed": listed_at,
            "last": last,
        },
    )


def _collected(
    connection: duckdb.DuckDBPyConnection, market: str, start: datetime, end: datetime
) -> None:
    connection.execute(
        "INSERT INTO collected_windows VALUES ('bybit', ?, ?, ?, 1, 'collected', 1)",
        [market, start, end],
    )


def _load(
    connection: duckdb.DuckDBPyConnection,
    started: datetime,
    ended: datetime | None = None,
    error: str | None = None,
) -> int:
    load_id = start_load(connection, "bybit", "tick", Window(0, 1), started)
    if ended:
        end_load(
            connection,
            load_id,
            "failed" if error else "complete",
            rows_new=7,
            rows_changed=0,
            requests=1,
            error=error,
            now=ended,
        )
    return load_id


def _status(database: Database, settings: Settings, *names: str) -> Status:
    publish(database)
    return read_status(settings.read_path, names, now=NOW)


def _bybit(database: Database, settings: Settings) -> ExchangeStatus:
    (exchange,) = _status(database, settings, "bybit").exchanges
    return exchange


def test_nothing_published(settings: Settings) -> None:
    status = read_status(settings.read_path, ["bybit"], now=NOW)
    assert (status.published, status.age_s) == (None, None)
    assert status.exchanges == (ExchangeStatus("bybit", NEVER),)
    assert not settings.data_dir.exists()


@pytest.mark.usefixtures("_new_york")
def test_the_age_of_the_publication_is_in_utc(database: Database, settings: Settings) -> None:
    publish(database)
    stamp = (NOW - 90 * timedelta(seconds=1)).replace(tzinfo=UTC).timestamp()
    os.utime(settings.read_path, (stamp, stamp))
    status = read_status(settings.read_path, [], now=NOW)
    assert (status.published, status.age_s) == (NOW - timedelta(seconds=90), 90)


def test_coverage_is_weighted_by_the_hours_of_live_markets(
    database: Database, settings: Settings
) -> None:
    with database.open() as connection:
        # Listed for 10 of the 30 days, all collected and a day beyond on each side.
        _market(connection, "young", listed_at=UNTIL - 10 * DAY)
        _collected(connection, "young", UNTIL - 11 * DAY, UNTIL + HOUR)
        # No listing date: live for 30 days; 6 and 3 of them collected, older ones do not count.
        _market(connection, "old")
        _collected(connection, "old", UNTIL - 33 * DAY, UNTIL - 24 * DAY)
        _collected(connection, "old", UNTIL - 5 * DAY, UNTIL - 2 * DAY)
        # Live and never collected: counts below the line.
        _market(connection, "bare", listed_at=UNTIL - 2 * DAY)
        # Neither of these counts.
        _market(connection, "gone", status="delisted")
        _market(connection, "coming", listed_at=UNTIL + DAY)
    exchange = _bybit(database, settings)
    assert exchange.coverage_30d == pytest.approx((10 + 9) / (10 + 30 + 2), rel=1e-12)
    assert exchange.markets_live == 4
    assert timedelta(days=30) == COVERAGE_SPAN


def test_full_coverage_is_one(database: Database, settings: Settings) -> None:
    with database.open() as connection:
        _market(connection, "a")
        _collected(connection, "a", UNTIL - 40 * DAY, NOW)
    assert _bybit(database, settings).coverage_30d == 1.0


def test_no_live_markets_no_coverage(database: Database, settings: Settings) -> None:
    with database.open() as connection:
        _market(connection, "gone", status="unlisted", last=NOW - 5 * HOUR)
    exchange = _bybit(database, settings)
    assert (exchange.markets_live, exchange.coverage_30d) == (0, None)
    assert (exchange.last_settlement, exchange.lag_s) == (NOW - 5 * HOUR, None)


def test_the_lag_is_that_of_live_markets(database: Database, settings: Settings) -> None:
    """A market that was delisted an hour ago hides no lag, and one long gone makes none."""
    with database.open() as connection:
        _market(connection, "late", last=NOW - 9 * HOUR)
        _market(connection, "gone", status="delisted", last=NOW - HOUR)
        _market(connection, "long gone", status="unlisted", last=NOW - 90 * DAY)
    exchange = _bybit(database, settings)
    assert (exchange.last_settlement, exchange.lag_s) == (NOW - HOUR, 9 * 3600)


def test_a_failure_after_a_success(database: Database, settings: Settings) -> None:
    with database.open() as connection:
        _load(connection, NOW - 3 * HOUR, NOW - 2 * HOUR)
        _load(connection, NOW - HOUR, NOW - HOUR / 2, "blocked from this location")
    exchange = _bybit(database, settings)
    assert (exchange.status, exchange.retry_at) == ("failing", None)
    assert exchange.last_run == exchange.last_error_at == NOW - HOUR / 2
    assert exchange.last_success == NOW - 2 * HOUR
    assert exchange.last_error == "blocked from this location"
    assert (exchange.total_runs, exchange.total_records) == (2, 14)
    assert exchange.open_loads == ()


def _ended(connection: duckdb.DuckDBPyConnection, outcome: Any, kind: Any = None) -> None:
    load_id = start_load(connection, "bybit", "tick", Window(0, 1), NOW - HOUR)
    end_load(
        connection,
        load_id,
        outcome,
        rows_new=0,
        rows_changed=0,
        requests=1,
        error="no" if kind else None,
        error_kind=kind,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("outcome", "kind", "status"),
    [
        ("complete", None, "ok"),
        ("partial", None, "partial"),
        ("interrupted", None, "partial"),
        ("failed", None, "failing"),
        ("failed", "malformed", "failing"),
        ("failed", "markets failed", "failing"),
        ("failed", "unreachable", "down"),
        ("failed", "geo-blocked", "geo-blocked"),
    ],
)
def test_the_status_is_how_the_last_load_ended(
    database: Database, settings: Settings, outcome: str, kind: str | None, status: str
) -> None:
    with database.open() as connection:
        _market(connection, "a", hours=8, last=NOW - 8 * HOUR)
        _ended(connection, "failed", "refused")
        _ended(connection, outcome, kind)
    assert _bybit(database, settings).status == status


@pytest.mark.parametrize(
    ("outcome", "status"), [("complete", "late"), ("partial", "late"), ("failed", "failing")]
)
def test_late_comes_before_partial_and_after_failing(
    database: Database, settings: Settings, outcome: str, status: str
) -> None:
    with database.open() as connection:
        _market(connection, "a", hours=8, last=NOW - 9 * HOUR)
        _market(connection, "b", hours=8, last=NOW - 8 * HOUR)
        _ended(connection, outcome)
    exchange = _bybit(database, settings)
    assert (exchange.status, exchange.markets_stale, exchange.markets_live) == (status, 1, 2)


def test_an_open_breaker_comes_before_what_opened_it(
    database: Database, settings: Settings
) -> None:
    with database.open() as connection:
        for failures in range(1, 4):
            _ended(connection, "failed", "geo-blocked")
            note_failure(connection, "bybit", "no", NOW, tried=False, load_id=None)
            word = rows(connection, "SELECT status FROM base.collector_status_at(now())")
            assert word == [("breaker open" if failures == 3 else "geo-blocked",)]
    exchange = _bybit(database, settings)
    assert (exchange.status, exchange.retry_at) == ("breaker open", NOW + HOUR / 4)
    assert exchange.last_error == "no"


def _judged(*exchanges: ExchangeStatus, age_s: int | None = 60) -> list[str]:
    status = Status(None if age_s is None else NOW, age_s, exchanges)
    return reasons(status, ["bybit", "okx"])


def test_all_is_well() -> None:
    fine = ExchangeStatus("bybit", "ok", markets_stale=3, last_error="of yesterday")
    assert _judged(fine, ExchangeStatus("okx", "partial")) == []


@pytest.mark.parametrize(
    ("status", "more", "reason"),
    [
        (NEVER, {}, "bybit: never collected"),
        (
            "late",
            {"markets_stale": 2, "markets_live": 9},
            "bybit: late: 2 of 9 markets are overdue",
        ),
        ("down", {"last_error": "no"}, "bybit: down: no"),
        ("geo-blocked", {"last_error": "no"}, "bybit: geo-blocked: no"),
        ("failing", {"last_error": "no"}, "bybit: failing: no"),
        ("held", {}, "bybit: held"),
        (
            "breaker open",
            {"last_error": "no", "retry_at": NOW},
            "bybit: breaker open, tried again after 2026-03-31 12:30 UTC: no",
        ),
    ],
)
def test_what_is_wrong_is_said(status: str, more: dict[str, Any], reason: str) -> None:
    assert _judged(ExchangeStatus("bybit", status, **more)) == [reason]
    assert _judged(ExchangeStatus("not chosen", status, **more)) == []


def test_a_publication_must_be_there_and_young() -> None:
    assert _judged(age_s=None) == ["nothing is published yet"]
    assert _judged(age_s=7200) == []
    assert _judged(age_s=7201) == ["published 2.0 hours ago: nothing seems to run"]


def test_open_loads_are_running_for_a_day_and_interrupted_then(
    database: Database, settings: Settings
) -> None:
    with database.open() as connection:
        forgotten = _load(connection, NOW - 40 * DAY)
        overtaken = _load(connection, NOW - 6 * DAY)
        _load(connection, NOW - 5 * DAY, NOW - 4 * DAY)
        old = _load(connection, NOW - 25 * HOUR)
        fresh = _load(connection, NOW - 23 * HOUR)
    loads = {load.load_id: load.state for load in _bybit(database, settings).open_loads}
    assert loads == {old: "interrupted", fresh: "running"}
    assert not {forgotten, overtaken} & loads.keys()


def test_exchanges_that_this_version_does_not_know_are_listed_too(
    database: Database, settings: Settings
) -> None:
    with database.open() as connection:
        _market(connection, "X", exchange="zebra")
        _market(connection, "X", exchange="ant")
    names = [e.name for e in _status(database, settings, "hyperliquid", "bybit").exchanges]
    assert names == ["hyperliquid", "bybit", "ant", "zebra"]


@pytest.mark.usefixtures("_new_york")
def test_times_of_the_database_survive_any_time_zone(
    database: Database, settings: Settings
) -> None:
    with database.open() as connection:
        _market(connection, "a", last=NOW)
    found = _bybit(database, settings).last_settlement
    assert found is not None
    assert milliseconds(found) == milliseconds(NOW)


def test_what_an_older_version_wrote_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    older = [(number, sql) for number, sql in database_module.migrations() if number < 14]
    with duckdb.connect() as connection:
        with monkeypatch.context() as patch:
            patch.setattr(database_module, "migrations", lambda: older)
            database_module.migrate(connection)
        for status in ("ok", "partial", "failing"):
            connection.execute(
                "INSERT INTO collector_status VALUES (?, ?, ?, NULL, 'e', NULL, 3, 40)",
                [status, status, NOW],
            )
        for kind, detail in [
            ("filled", "1 settlement(s)"),
            ("revised", "1 settlement(s), a .. b: reinterpreted"),
            ("revised", "2 settlement(s), a .. b: exchange, reinterpreted"),
            ("listed", "x"),
        ]:
            connection.execute(
                "INSERT INTO events VALUES (?, ?, 'bybit', 'A', ?, NULL)", [NOW, kind, detail]
            )
        database_module.migrate(connection)
        assert rows(
            connection, "SELECT exchange, status, last_run, total_runs FROM collector_status"
        ) == [(status, status, NOW, 3) for status in ("ok", "partial", "failing")]
        assert rows(connection, "SELECT kind FROM events") == [
            ("gap filled",),
            ("reinterpreted",),
            ("revised",),
            ("listed",),
        ]
