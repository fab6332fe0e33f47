"""Rows checked before the merge; and what a person decides about those that failed."""

from collections.abc import Iterator
from datetime import timedelta

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.caps import observe_caps
from funding_pipeline.warehouse.checks import window_facts
from funding_pipeline.warehouse.database import transaction
from funding_pipeline.warehouse.gaps import refresh
from funding_pipeline.warehouse.ledger import end_load, start_load
from funding_pipeline.warehouse.quarantine import Choice, resolve, rows_of, summaries
from funding_pipeline.warehouse.release import Released, release
from funding_pipeline.warehouse.repairs import due, record_answers
from funding_pipeline_tests.warehouse.world import (
    DECLARED,
    LATER,
    LATER_MS,
    at,
    collect,
    listed,
    memory,
    register,
    rows,
    sent,
    series,
    settlements,
    time_of,
)

PARTICULAR = "0.00013813"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(-24))
        yield connection


def span(start: float, end: float) -> Window:
    return Window(at(start), at(end))


def stored_rates(connection: duckdb.DuckDBPyConnection) -> dict[int, str]:
    return {row[1]: row[6] for row in settlements(connection)}


def reasons(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    return [(found.check, found.rows) for found in summaries(connection, Choice())]


def released(connection: duckdb.DuckDBPyConnection, **choice: str) -> Released:
    return release(connection, DECLARED, rows_of(connection, Choice(**choice)), LATER)


# --- checks that need the market's past


def test_a_frozen_feed_is_stored_for_a_day_and_refused_from_then_on_tick_by_tick(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {"AAA": [*series(range(3)), *(sent(h, PARTICULAR) for h in range(3, 80))]}
    for hour in range(80):
        collect(connection, history, span(hour, hour + 1), now=time_of(hour + 1))
    assert len(stored_rates(connection)) == 3 + 25
    assert reasons(connection) == [("frozen", 52)]
    # Another rate is stored again.
    register(connection, listed("AAA", interval_hours=1), time_of(80.9))
    collect(connection, {"AAA": [sent(80, "0.0002")]}, span(80, 81), now=time_of(81))
    assert stored_rates(connection)[80] == "0.0002"


def test_a_standstill_is_seen_across_loads_of_many_hours(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {"AAA": [sent(h, PARTICULAR) for h in range(40)]}
    for start in (0, 20):
        collect(connection, history, span(start, start + 20))
    assert sorted(stored_rates(connection)) == list(range(25))


def test_a_row_that_is_stored_already_is_not_judged_again(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {"AAA": [sent(h, PARTICULAR) for h in range(20, 40)]}
    collect(connection, history, span(20, 40))
    whole = {"AAA": [sent(h, PARTICULAR) for h in range(40)]}
    collect(connection, whole, span(0, 20))
    collect(connection, whole, span(0, 40), refetch=True)
    assert sorted(stored_rates(connection)) == list(range(40))
    assert reasons(connection) == []


def test_a_cap_holds_from_when_it_was_first_seen(connection: duckdb.DuckDBPyConnection) -> None:
    capped = listed("AAA", interval_hours=1, rate_cap=0.002, rate_floor=-0.002)
    register(connection, capped, time_of(10))
    history = {"AAA": [*series(range(20)), sent(5, "0.03"), sent(15, "0.03"), sent(16, "-0.03")]}
    history["AAA"] = [
        row
        for row in history["AAA"]
        if row.rate_text.endswith("0.03") or (row.time_ms not in (at(5), at(15), at(16)))
    ]
    collect(connection, history, span(0, 20))
    assert stored_rates(connection)[5] == "0.03"
    assert reasons(connection) == [("beyond the cap", 2)]


def test_a_cap_holds_for_rows_before_the_newest_list(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for seen in (10, 20):
        register(connection, listed("AAA", interval_hours=1, rate_cap=0.002), time_of(seen))
        observe_caps(connection, time_of(seen))
    collect(connection, {"AAA": [*series(range(15)), sent(15, "0.03")]}, span(0, 20))
    assert reasons(connection) == [("beyond the cap", 1)]


def test_a_cap_that_was_raised_since_the_last_look_raises_no_alarm(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register(connection, listed("AAA", interval_hours=1, rate_cap=0.002), time_of(10))
    observe_caps(connection, time_of(10))
    register(connection, listed("AAA", interval_hours=1, rate_cap=0.02), time_of(20))
    collect(connection, {"AAA": [*series(range(15)), sent(15, "0.03")]}, span(0, 20))
    assert stored_rates(connection)[15] == "0.03"
    # Long after, the old cap was in force for sure.
    observe_caps(connection, time_of(20))
    register(connection, listed("AAA", interval_hours=1, rate_cap=0.003), time_of(30))
    collect(connection, {"AAA": [sent(32, "0.03")]}, span(30, 40))
    assert reasons(connection) == [("beyond the cap", 1)]


def test_rows_of_a_delisted_market_are_refused_after_a_day(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    register(connection, listed("AAA", interval_hours=1, live=False), time_of(10))
    collect(connection, {"AAA": series(range(50))}, span(0, 50))
    assert sorted(stored_rates(connection)) == list(range(35))
    assert reasons(connection) == [("after delisting", 15)]
    register(connection, listed("AAA", interval_hours=1), time_of(60))
    collect(connection, {"AAA": series(range(60, 62))}, span(60, 62))
    assert 61 in stored_rates(connection)


# --- released


def test_a_released_row_is_a_settlement_like_any_other(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    bad = sent(5, "0.2", lag_ms=250, mark_price=7.5, cumulative_value=3.25)
    history = {"AAA": [*(row for row in series(range(10)) if row.time_ms != at(5)), bad]}
    collect(connection, history, span(0, 10))
    assert window_facts(connection, DECLARED, span(0, 10), LATER_MS).quarantined == 1
    found = released(connection, market="AAA")
    assert (found.counts.new, found.refused) == (1, [])
    assert [row for row in settlements(connection) if row[1] == 5] == [
        ("AAA", 5, 0.2, 1, 1, "settled", "0.2", 250, 3.25, 7.5, "api")
    ]
    assert rows(connection, "SELECT resolution, resolved_at FROM quarantine") == [
        ("released", LATER)
    ]
    assert rows(connection, "SELECT reason, rows_new, outcome FROM loads") == [
        ("release", 1, "complete")
    ]
    assert rows(connection, "SELECT kind FROM events WHERE kind = 'released'") == [("released",)]
    assert rows(connection, "FROM collector_status") == []
    # A sweep that reads the same rows changes nothing, and the checks hold.
    again = collect(connection, history, span(0, 10), refetch=True, load_id=9)
    assert (again.new, again.changed, again.quarantined) == (0, 0, 0)
    assert summaries(connection, Choice()) == []
    facts = window_facts(connection, DECLARED, span(0, 10), LATER_MS)
    assert (facts.out_of_bounds, facts.quarantined, facts.rows) == (0, 0, 10)


def test_a_released_row_replaces_what_stood_in_its_hour_and_that_does_not_come_back(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    near, far = sent(5, "0.0003", lag_ms=10), sent(5, "0.0004", lag_ms=900_000)
    history = {"AAA": [*(row for row in series(range(10)) if row.time_ms != at(5)), near, far]}
    collect(connection, history, span(0, 10))
    assert stored_rates(connection)[5] == "0.0003"
    assert released(connection, check="slot taken").counts.changed == 1
    assert stored_rates(connection)[5] == "0.0004"
    assert rows(connection, "SELECT raw_rate, reason FROM rate_revisions") == [
        ("0.0003", "released")
    ]
    for load in (8, 9):
        collect(connection, history, span(0, 10), refetch=True, load_id=load)
        assert stored_rates(connection)[5] == "0.0004"
        assert len(rows(connection, "FROM rate_revisions")) == 1
    # What the exchange says anew is a revision as ever, and then the old word counts again.
    history["AAA"][-2] = sent(5, "0.0009", lag_ms=10)
    collect(connection, history, span(0, 10), refetch=True, load_id=10)
    assert stored_rates(connection)[5] == "0.0009"
    history["AAA"][-2] = near
    collect(
        connection, history, span(0, 10), refetch=True, load_id=11, now=LATER + timedelta(hours=1)
    )
    assert stored_rates(connection)[5] == "0.0003"


def test_a_released_row_of_a_standstill_stays_and_the_next_one_is_refused(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {"AAA": [sent(h, PARTICULAR) for h in range(27)]}
    collect(connection, history, span(0, 27))
    assert reasons(connection) == [("frozen", 2)]
    released(connection, check="frozen")
    history["AAA"].append(sent(27, PARTICULAR))
    collect(connection, history, span(0, 28), refetch=True)
    assert sorted(stored_rates(connection)) == list(range(27))
    assert reasons(connection) == [("frozen", 1)]


def test_what_cannot_be_a_settlement_is_not_released(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {
        "AAA": [
            *series(range(3)),
            sent(3, "NaN"),
            sent(4.75, "0.0001"),
            sent(6, "0.2"),
            sent(6, "0.3", lag_ms=1),
        ]
    }
    collect(connection, history, span(0, 10))
    found = released(connection, exchange="madeup")
    assert sorted((row.raw_rate, why) for row, why in found.refused) == [
        ("0.0001", "its stamp is off the grid of whole hours"),
        ("0.2", "another chosen row is of the same hour: choose one"),
        ("NaN", "no decimal number: 'NaN'"),
    ]
    assert stored_rates(connection)[6] == "0.3"
    assert sum(row.rows for row in summaries(connection, Choice())) == 3


def test_an_imported_row_and_an_unknown_market_are_not_released(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    load = start_load(connection, "madeup", "import", span(0, 10), LATER)
    collect(connection, {"AAA": [*series(range(3)), sent(4, "0.2")]}, span(0, 10), load_id=load)
    connection.execute(
        """INSERT INTO quarantine BY NAME SELECT * REPLACE ('ZZZ' AS market, 99 AS load_id)
        FROM quarantine"""
    )
    found = released(connection)
    assert sorted((row.market, why) for row, why in found.refused) == [
        ("AAA", "it was imported: correct the file and import it again"),
        ("ZZZ", "its market is not known"),
    ]


def test_without_evidence_of_an_interval_a_row_stays() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=None))
        collect(connection, {"AAA": [sent(0, "0.0001")]}, span(0, 9))
        found = released(connection)
        assert [why for _, why in found.refused] == ["nothing tells which interval it pays"]
        assert settlements(connection) == []
        assert reasons(connection) == [("no interval", 1)]


# --- dropped, chosen, told


def test_a_dropped_row_is_kept_and_never_quarantined_again(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {"AAA": [*series(range(3)), sent(4, "0.2"), sent(5, "0.3")]}
    collect(connection, history, span(0, 10))
    with transaction(connection):
        resolve(connection, "dropped", rows_of(connection, Choice(raw_rate="0.2")), LATER)
    again = collect(connection, history, span(0, 10), refetch=True)
    assert again.quarantined == 1
    assert [row.raw_rate for row in rows_of(connection, Choice())] == ["0.3"]
    assert rows(connection, "SELECT raw_rate, resolution FROM quarantine ORDER BY ALL") == [
        ("0.2", "dropped"),
        ("0.3", None),
    ]
    assert rows(connection, "SELECT kind, market FROM events WHERE kind = 'dropped'") == [
        ("dropped", "AAA")
    ]


def test_rows_are_chosen_by_all_that_is_said(connection: duckdb.DuckDBPyConnection) -> None:
    collect(connection, {"AAA": [*series(range(3)), sent(4, "0.2"), sent(5, "x")]}, span(0, 10))

    def chosen(**choice: object) -> list[str]:
        return [row.raw_rate for row in rows_of(connection, Choice(**choice))]  # type: ignore[arg-type]

    assert chosen() == ["x", "0.2"]
    assert chosen(check="beyond") == ["0.2"]
    assert chosen(check="beyond", since=time_of(5)) == []
    assert chosen(stamp=time_of(5), market="AAA", exchange="madeup") == ["x"]
    assert chosen(exchange="other") == chosen(market="BBB") == []


def test_one_event_for_each_check_of_a_load(connection: duckdb.DuckDBPyConnection) -> None:
    for _ in range(2):
        load = start_load(connection, "madeup", "tick", span(0, 10), LATER)
        history = {"AAA": [*series(range(3)), *(sent(h, "0.2") for h in (4, 5, 6)), sent(7, "x")]}
        collect(connection, history, span(0, 10), load_id=load, refetch=True)
        end_load(
            connection, load, "complete", rows_new=3, rows_changed=0, requests=1, error=None,
            now=LATER,
        )  # fmt: skip
    told = "SELECT market, detail, load_id FROM events WHERE kind = 'quarantined' ORDER BY 2"
    assert rows(connection, told) == [
        ("AAA", "1 row(s) of 1 market(s), e.g. AAA 2025-03-01 07:00:00 x: "
         "not a number: no decimal number: 'x'", 1),
        ("AAA", "3 row(s) of 1 market(s), e.g. AAA 2025-03-01 06:00:00 0.2: "
         "beyond the bound: |0.2| > 0.05", 1),
    ]  # fmt: skip


# --- the hole it leaves


def test_the_hole_is_quarantined_asked_for_thrice_given_up_and_filled_by_the_release() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        history = {"AAA": [row for row in series(range(31)) if row.time_ms != at(7)]}
        history["AAA"].append(sent(7, "0.2"))
        collect(connection, history, span(0, 30.1), now=time_of(30.7))

        def look(hour: float) -> list[tuple[str, str]]:
            with transaction(connection):
                refresh(connection, now=time_of(hour), markets=(), specs={DECLARED.name: DECLARED})
            return rows(connection, "SELECT state, reason FROM gaps")

        assert look(30.8) == [("open", "quarantined")]
        asked = 0
        for hour in range(31, 24 * 10, 6):
            found = due(connection, kept_since={"madeup": 0}, tick_reach_ms=0, now=time_of(hour))
            for market, windows in found.holes.get("madeup", {}).items():
                asked += 1
                record_answers(
                    connection, DECLARED, [(market, w) for w in windows], (),
                    load_id=5, now=time_of(hour),
                )  # fmt: skip
        assert asked == 3
        assert rows(connection, "SELECT state, reason FROM gaps") == [("given up", "quarantined")]
        released(connection)
        assert look(31) == [("filled", "quarantined")]
