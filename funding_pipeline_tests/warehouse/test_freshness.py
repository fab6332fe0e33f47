"""Freshness by hand: which market is overdue when, and what an exchange makes of its markets."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from funding_pipeline.warehouse.freshness import exchange_freshness
from funding_pipeline_tests.warehouse.world import memory, rows

LAST = datetime(2026, 3, 10, 8)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def market(
    connection: duckdb.DuckDBPyConnection,
    name: str = "AAA",
    *,
    hours: int | None = 8,
    last: datetime | None = LAST,
    quoted: int | None = None,
    status: str = "live",
    seen: datetime = datetime(2026, 1, 1),
    listed: datetime | None = None,
    exchange: str = "bybit",
) -> None:
    ((market_id,),) = rows(connection, "SELECT nextval('market_ids')::INTEGER")
    connection.execute(
        """INSERT INTO base.markets BY NAME SELECT $id AS market_id, $e AS exchange, $m AS market,
        $m AS symbol, 1 AS multiplier, 'USD' AS quote, 'USD' AS settle, $s AS status,
        $seen AS first_seen, $seen AS last_seen, $l::TIMESTAMP AS listed_at,
        $h::SMALLINT AS interval_hours, $last::TIMESTAMP AS last_settlement""",
        {"id": market_id, "e": exchange, "m": name, "s": status, "h": hours, "last": last,
         "seen": seen, "l": listed},
    )  # fmt: skip
    if quoted is not None:
        connection.execute(
            "INSERT INTO base.latest_rates VALUES (?, ?, 0.0001, ?, NULL)",
            [market_id, last, quoted],
        )


def fresh(connection: duckdb.DuckDBPyConnection, now: datetime) -> bool | None:
    ((found,),) = connection.execute("SELECT fresh FROM base.freshness_at(?)", [now]).fetchall()
    return found if found is None else bool(found)


@pytest.mark.parametrize(
    ("hours", "age", "expected"),
    [
        (8, 7 * HOUR + 59 * 60 * SECOND, True),
        (8, 9 * HOUR - SECOND, True),
        (8, 9 * HOUR, False),
        (1, 2 * HOUR - SECOND, True),
        (1, 2 * HOUR, False),
        (4, 5 * HOUR, False),
    ],
)
def test_a_market_is_fresh_for_its_interval_and_an_hour(
    hours: int, age: timedelta, expected: bool
) -> None:
    with memory() as connection:
        market(connection, hours=hours)
        assert fresh(connection, LAST + age) is expected
        assert rows(
            connection, "SELECT exchange, market, due_at, age_hours > 1 FROM freshness"
        ) == [("bybit", "AAA", LAST + (hours + 1) * HOUR, True)]


@pytest.mark.parametrize(
    ("declared", "quoted", "due"),
    [
        (1, 8, 9),  # it declares 1 h since then; the step to the first such may be a long one
        (8, 1, 9),
        (None, 4, 5),
        (2, None, 3),
    ],
)
def test_the_longer_interval_counts(declared: int | None, quoted: int | None, due: int) -> None:
    with memory() as connection:
        market(connection, hours=declared, quoted=quoted)
        assert rows(connection, "SELECT due_at FROM freshness") == [(LAST + due * HOUR,)]


def test_without_an_interval_nothing_is_claimed() -> None:
    with memory() as connection:
        market(connection, hours=None)
        assert fresh(connection, LAST + 90 * HOUR) is None
        ((stale, late),) = rows(connection, "SELECT stale, late FROM exchange_freshness")
        assert (stale, late) == (0, False)


@pytest.mark.parametrize(
    ("listed", "seen", "due"),
    [
        # Seen at 08:30: the boundary of 16:00 may be its first, that of 00:00 is the next one's.
        (None, LAST + HOUR / 2, LAST + 17 * HOUR),
        # Listed while it was watched.
        (LAST + 9 * HOUR, LAST - 90 * HOUR, LAST + 25 * HOUR),
        (LAST - 90 * HOUR, LAST + HOUR / 2, LAST + 17 * HOUR),
    ],
)
def test_a_market_that_never_settled_is_due_after_its_first_whole_interval(
    listed: datetime | None, seen: datetime, due: datetime
) -> None:
    with memory() as connection:
        market(connection, last=None, listed=listed, seen=seen)
        assert rows(connection, "SELECT due_at, age_hours FROM freshness") == [(due, None)]


def test_what_is_not_live_owes_nothing() -> None:
    with memory() as connection:
        market(connection, status="delisted")
        market(connection, status="unlisted")
        assert (
            rows(connection, "FROM freshness") == rows(connection, "FROM exchange_freshness") == []
        )


def exchange(connection: duckdb.DuckDBPyConnection, now: datetime) -> tuple[Any, ...]:
    (found,) = exchange_freshness(connection, ["bybit"], now).values()
    return found.markets, found.stale, found.late, found.worst_decile_overdue_hours


@pytest.mark.parametrize(
    ("stopped", "expected"),
    [
        (0, (20, 0, False, 0)),
        (1, (20, 1, False, 0)),
        (2, (20, 2, True, 3)),
        (20, (20, 20, True, 3)),
    ],
)
def test_one_market_is_its_own_affair_a_tenth_is_the_exchanges(
    stopped: int, expected: tuple[Any, ...]
) -> None:
    with memory() as connection:
        for n in range(20):
            market(connection, f"M{n:02}", hours=1, last=LAST if n < stopped else LAST + 4 * HOUR)
        market(connection, "GONE", status="delisted", last=LAST - 900 * HOUR)
        market(connection, "M", exchange="okx", last=LAST - 900 * HOUR)
        assert exchange(connection, LAST + 5 * HOUR) == expected


def test_overdue_markets_are_named_the_worst_first_and_not_all_of_them() -> None:
    with memory() as connection:
        for n in range(30):
            market(connection, f"M{n:02}", hours=1, last=LAST - n * HOUR)
        found = exchange_freshness(connection, ["bybit", "okx"], LAST + 5 * HOUR)["bybit"]
        assert found.named[0] == "M29 since 2026-03-09 05:00:00"
        assert len(found.named) == 10
        assert found.newest_settlement == LAST
        assert exchange_freshness(connection, ["okx"], LAST) == {}
