"""What counts as a finding, from facts in the database."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pytest

from funding_pipeline.alerts.decide import Finding
from funding_pipeline.alerts.sources import (
    FAILED_RUN_COUNTS,
    NEWS,
    CheckResult,
    findings,
    publication_is_good,
    record_checks,
)
from funding_pipeline.warehouse.event_kinds import EventKind
from funding_pipeline.warehouse.holds import release
from funding_pipeline.warehouse.ledger import Event, record_events
from funding_pipeline_tests.warehouse.world import memory

NOW = datetime(2026, 3, 2, 18, 30)
NAMES = ("bybit", "okx", "gate", "woo")
HOUR = timedelta(hours=1)
STATUSES = {
    "ok": ("complete", None),
    "partial": ("partial", None),
    "failing": ("failed", "refused"),
    "geo-blocked": ("failed", "geo-blocked"),
}
KNOWN = {("bybit", "sound"), ("bybit", "volume"), ("gaps", "counted")}


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        yield connection


def found(db: duckdb.DuckDBPyConnection, now: datetime = NOW) -> list[Finding]:
    return findings(db, NAMES, now)


def texts(db: duckdb.DuckDBPyConnection, now: datetime = NOW) -> list[str]:
    return [f"{f.exchange}: {f.title}, {f.detail} ({f.severity})" for f in found(db, now)]


def market(
    db: duckdb.DuckDBPyConnection,
    exchange: str,
    last: datetime | None,
    interval: int | None = 1,
    status: str = "live",
) -> None:
    db.execute(
        """INSERT INTO base.markets (market_id, exchange, market, symbol, multiplier, quote, settle,
            status, interval_hours, first_seen, last_seen, last_settlement)
        SELECT id, $exchange, 'M' || id, 'BTC', 1, 'USDT', 'USDT', $status, $interval, $now, $now,
            $last FROM (SELECT nextval('market_ids') AS id)""",
        {"exchange": exchange, "status": status, "interval": interval, "now": NOW, "last": last},
    )


def status(
    db: duckdb.DuckDBPyConnection,
    exchange: str,
    word: str,
    error: str | None = None,
    success: datetime | None = None,
) -> None:
    """Of an exchange without markets: nothing of it is late."""
    outcome, kind = STATUSES[word]
    db.execute(
        "INSERT INTO base.collectors VALUES (?, ?, ?, ?, ?, ?, ?, 1, 1)",
        [exchange, outcome, kind, NOW, success, error, NOW],
    )


def event(
    db: duckdb.DuckDBPyConnection, kind: EventKind, exchange: str, detail: str, at: datetime = NOW
) -> None:
    record_events(db, exchange, [Event(kind, None, detail)], None, at)


def check(name: str, *, passed: bool, at: int, asset: str = "bybit") -> CheckResult:
    return CheckResult(
        asset, name, passed, "error", f"{name} counted {at}", NOW + timedelta(minutes=at)
    )


def test_nothing_is_wrong_with_an_empty_database(db: duckdb.DuckDBPyConnection) -> None:
    assert found(db) == []
    assert not publication_is_good(db, NAMES, NOW)


def test_a_market_is_stale_an_hour_after_its_settlement_was_due(
    db: duckdb.DuckDBPyConnection,
) -> None:
    market(db, "okx", NOW - 2 * HOUR, interval=1)
    market(db, "gate", NOW - 9 * HOUR, interval=8)
    early = NOW - timedelta(seconds=1)
    assert found(db, early) == []
    assert publication_is_good(db, NAMES, early)
    assert texts(db) == [
        "gate: 1 of 1 markets stale, newest settlement 09:30 UTC (error)",
        "okx: 1 of 1 markets stale, newest settlement 16:30 UTC (error)",
    ]
    assert not publication_is_good(db, NAMES, NOW)


def test_an_exchange_is_late_where_a_tenth_of_its_markets_is_stale(
    db: duckdb.DuckDBPyConnection,
) -> None:
    for _ in range(10):
        market(db, "okx", NOW)
    market(db, "okx", NOW - 30 * HOUR)
    market(db, "okx", NOW - 30 * HOUR, status="delisted")
    market(db, "okx", None)
    market(db, "okx", NOW - 30 * HOUR, interval=None)
    assert found(db) == []
    market(db, "okx", NOW - 30 * HOUR)
    assert texts(db) == ["okx: 2 of 14 markets stale, newest settlement 18:30 UTC (warning)"]
    assert "newest settlement 02 Mar 18:30 UTC" in texts(db, NOW + 24 * HOUR)[0]


def test_a_publication_is_good_while_most_exchanges_are_fresh(
    db: duckdb.DuckDBPyConnection,
) -> None:
    market(db, "okx", NOW)
    market(db, "bybit", NOW - 9 * HOUR)
    assert not publication_is_good(db, NAMES, NOW), "half is not most"
    market(db, "gate", NOW)
    assert publication_is_good(db, NAMES, NOW)


def test_a_collector_that_fails_is_told_with_the_words_of_its_error(
    db: duckdb.DuckDBPyConnection,
) -> None:
    status(db, "bybit", "failing", "bybit /x: blocked from this location: 403\nmore")
    status(db, "okx", "partial", "5 of 90 markets failed", success=NOW)
    status(db, "gate", "ok", "an old error", success=NOW)
    status(db, "woo", "geo-blocked", "an answer of 451")
    status(db, "elsewhere", "failing", "not collected any more")
    assert texts(db) == [
        "bybit: collecting fails, bybit /x: blocked from this location: 403 (error)",
        "okx: some markets could not be asked, 5 of 90 markets failed (warning)",
        "woo: blocked from this location, an answer of 451 (error)",
    ]


def test_a_failed_run_counts_until_the_exchange_was_collected_or_for_two_hours(
    db: duckdb.DuckDBPyConnection,
) -> None:
    event(db, "run failed", "bybit", "backfill: old words", NOW - HOUR)
    event(db, "run failed", "bybit", "backfill: new words", NOW)
    event(db, "run failed", "all", "derivation: OSError: disk: full", NOW)
    expected = [
        "all: run of derivation failed, OSError: disk: full (error)",
        "bybit: run of backfill failed, new words (error)",
    ]
    assert texts(db) == expected
    status(db, "bybit", "ok", success=NOW - HOUR / 2)
    assert texts(db) == expected
    assert found(db, NOW + FAILED_RUN_COUNTS) == []
    db.execute("UPDATE base.collectors SET last_success = ?", [NOW + HOUR])
    assert texts(db, NOW + HOUR) == expected[:1]


def test_one_cause_is_one_finding(db: duckdb.DuckDBPyConnection) -> None:
    event(db, "run failed", "bybit", "hourly_collection: blocked")
    status(db, "bybit", "failing", "blocked")
    assert [finding.key for finding in found(db)] == ["status bybit"]


def test_an_exchange_is_held_until_it_is_released(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(
        """INSERT INTO holds (exchange, mistake, detail, shown_from, shown_to, held_at)
        VALUES ('bybit', 'percent taken for a fraction', 'ratio 100', $now, $now, $now)""",
        {"now": NOW - 99 * HOUR},
    )
    assert texts(db) == [
        "bybit: held back until released, percent taken for a fraction (ratio 100) (error)"
    ]
    release(db, "okx", note=None, now=NOW)
    assert len(found(db)) == 1
    release(db, "bybit", note="by hand", now=NOW)
    assert found(db) == []


def test_gaps_given_up_are_news_of_a_day(db: duckdb.DuckDBPyConnection) -> None:
    event(db, "gap given up", "okx", "3 settlement(s) in 1 gap(s)", NOW - NEWS + HOUR)
    (finding,) = found(db)
    assert finding.once and finding.severity == "warning"
    assert finding.detail == "3 settlement(s) in 1 gap(s)"
    event(db, "gap given up", "okx", "4 settlement(s) in 2 gap(s)", NOW)
    assert len({finding.key for finding in found(db)}) == 2
    assert [finding.detail[0] for finding in found(db, NOW + HOUR)] == ["4"]


def test_a_broken_part_of_the_newest_derivation(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("INSERT INTO derivations VALUES (?, 1, 1, 1, 'spreads: ValueError: x')", [NOW])
    assert texts(db) == [
        "all: a part of the derived tables is not new, spreads: ValueError: x (error)"
    ]
    db.execute("INSERT INTO derivations VALUES (?, 1, 1, 1, NULL)", [NOW + HOUR])
    assert found(db) == []


def test_a_check_fails_until_it_passes(db: duckdb.DuckDBPyConnection) -> None:
    record_checks(db, [check("sound", passed=False, at=0)], KNOWN)
    record_checks(db, [], KNOWN)
    assert texts(db) == ["bybit: check sound fails, sound counted 0 (error)"]
    record_checks(db, [check("volume", passed=True, at=1)], KNOWN)
    assert len(found(db)) == 1
    record_checks(db, [check("sound", passed=False, at=2)], KNOWN)
    assert texts(db) == ["bybit: check sound fails, sound counted 2 (error)"]
    record_checks(db, [check("sound", passed=True, at=1)], KNOWN)
    assert len(found(db)) == 1, "it passed before it failed"
    record_checks(db, [check("sound", passed=True, at=3)], KNOWN)
    assert found(db) == []


def test_a_failure_is_not_lost_between_two_looks(db: duckdb.DuckDBPyConnection) -> None:
    results = [check("sound", passed=False, at=0), check("sound", passed=True, at=1)]
    for order in (results, results[::-1]):
        record_checks(db, order, KNOWN)
        assert [finding.detail for finding in found(db)] == ["sound counted 0"]
    record_checks(db, [check("sound", passed=True, at=60)], KNOWN)
    assert found(db) == []


def test_checks_that_are_gone_do_not_fail_for_ever(db: duckdb.DuckDBPyConnection) -> None:
    record_checks(db, [check("volume", passed=False, at=0)], KNOWN)
    record_checks(db, [check("unknown", passed=False, at=0)], KNOWN)
    assert len(found(db)) == 1
    record_checks(db, [], KNOWN - {("bybit", "volume")})
    assert found(db) == []


def test_a_check_of_no_exchange_concerns_all(db: duckdb.DuckDBPyConnection) -> None:
    record_checks(db, [check("counted", passed=False, at=0, asset="gaps")], KNOWN)
    assert texts(db) == ["all: check counted of gaps fails, counted counted 0 (error)"]
