"""Caps as they were declared: a day keeps its own, and a rebuild finds them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.warehouse.world import (
    at,
    collect,
    listed,
    register,
    rows,
    sent,
    time_of,
)

HISTORY = {"AAA": [sent(h, "0.0107" if h % 24 else "0.02") for h in range(8, 24 * 10, 8)]}


def day(database: Database, number: int, caps: Sequence[float | None]) -> None:
    """Collect and derive a day, listed with this cap and floor."""
    now = time_of(24 * number) + timedelta(minutes=40)
    declared = listed("AAA", rate_cap=caps[0], rate_floor=caps[1])
    with database.open() as connection:
        register(connection, declared, now)
        collect(connection, HISTORY, Window(at(24 * number - 24), at(24 * number) + 1), now=now)
    derive(database, now=now)


def pinned(database: Database) -> list[Any]:
    with database.open() as connection:
        return [n for (n,) in rows(connection, "SELECT pinned FROM daily_stats ORDER BY day")]


def rebuilt(database: Database) -> list[Any]:
    with database.open() as connection:
        connection.execute("DELETE FROM base.daily_stats")
        connection.execute(
            """INSERT INTO dirty_days (market_id, day, since) SELECT DISTINCT market_id,
            CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE), ?
            FROM settlements""",
            [time_of(24 * 10)],
        )
    derive(database, now=time_of(24 * 10))
    return pinned(database)


def test_a_new_cap_leaves_the_days_before_it(database: Database) -> None:
    day(database, 1, (0.0107, -0.01))
    day(database, 2, (0.02, -0.01))
    day(database, 3, (0.02, -0.01))
    # Two of three settlements at 0.0107; the list that told of 0.02 came after the second midnight.
    assert pinned(database) == [2, 2, 1]
    assert rebuilt(database) == [2, 2, 1]


def test_the_first_declaration_holds_for_what_went_before(database: Database) -> None:
    for number in range(1, 6):  # more days than a new one makes dirty around it
        day(database, number, (None, None))
    assert pinned(database) == [None] * 5
    day(database, 6, (0.0107, None))
    assert pinned(database) == [2] * 6
    assert rebuilt(database) == [2] * 6


def test_a_cap_that_is_not_told_stands(database: Database) -> None:
    day(database, 1, (0.0107, None))
    day(database, 2, (None, None))
    day(database, 3, (0.0107, None))
    assert pinned(database) == [2, 2, 2]
    with database.open() as connection:
        assert rows(connection, "SELECT count(*) FROM base.rate_caps") == [(1,)]


def test_a_cap_that_changes_back_is_seen_again(database: Database) -> None:
    for number, cap in enumerate((0.0107, 0.02, 0.0107, 0.0107), start=1):
        day(database, number, (cap, None))
    assert pinned(database) == [2, 2, 1, 2]
    assert rebuilt(database) == [2, 2, 1, 2]
