"""The table of gaps: found, given a reason, closed, and kept up to date piece by piece."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.domain.records import Quarantined, RawSettlement, Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import Database, timestamp, transaction
from funding_pipeline.warehouse.gaps import refresh, rescan
from funding_pipeline.warehouse.quarantine import keep
from funding_pipeline.warehouse.repairs import ask_again, due, record_answers
from funding_pipeline.warehouse.windows import record_windows
from funding_pipeline_tests.warehouse.world import (
    DECLARED,
    LATER,
    at,
    collect,
    listed,
    memory,
    register,
    rows,
    series,
    time_of,
)

Connection = duckdb.DuckDBPyConnection


def refreshed(connection: Connection, hour: float, spec: ExchangeSpec = DECLARED) -> int:
    with transaction(connection):
        return refresh(connection, now=time_of(hour), markets=(), specs={spec.name: spec})


def holes(connection: Connection, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    """Market, hours of the first and last missing one, number; then the columns."""
    more = "".join(f", {column}" for column in columns)
    return rows(
        connection,
        f"""SELECT market, date_diff('hour', TIMESTAMP '2025-03-01', first_missing),
            date_diff('hour', TIMESTAMP '2025-03-01', last_missing), missing{more}
            FROM gaps WHERE {where} ORDER BY ALL""",
    )


def gather(
    connection: Connection, hours: Sequence[int], start: float, end: float, **more: Any
) -> None:
    """Collect what the one market settled at these hours, in a window, at its end."""
    more.setdefault("now", time_of(end) + timedelta(minutes=40))
    market = more.setdefault("market", "AAA")
    history = {market: series(hours, market)}
    collect(connection, history, Window(at(start), at(end)), **more)


def whole(start: int, end: int, every: int, *but: int) -> list[int]:
    return [hour for hour in range(start, end + 1, every) if hour not in but]


# --- finding


def test_holes_at_the_head_in_the_middle_and_at_the_tail() -> None:
    with memory() as connection:
        register(connection, listed("AAA", listed_at_ms=at(0)), time_of(0))
        gather(connection, [24, 32, 56, 64], 0, 100)
        refreshed(connection, 100.7)
        assert holes(connection, "state", "reason") == [
            ("AAA", 8, 16, 2, "open", "answered empty"),
            ("AAA", 40, 48, 2, "open", "answered empty"),
            ("AAA", 72, 96, 4, "open", "answered empty"),
        ]


def test_interval_changes_late_settlements_and_what_is_still_to_come_are_no_holes() -> None:
    hours = [0, 8, 18, 24, 32, 35, 40, 48, 52, 56, 57, 58, 64, 72]
    with memory() as connection:
        register(connection, listed("AAA", listed_at_ms=at(-8)), time_of(-8))
        gather(connection, hours, -8, 78)
        refreshed(connection, 79.9)
        assert holes(connection) == []


def test_what_nobody_asked_is_a_hole_of_its_own_reason() -> None:
    with memory() as connection:
        register(connection, listed("AAA", listed_at_ms=at(-800)), time_of(0))
        gather(connection, whole(0, 400, 8), 0, 81)
        gather(connection, whole(0, 400, 8), 160, 241)
        refreshed(connection, 241.7)
        assert holes(connection, "reason") == [("AAA", 88, 152, 9, "not asked")]


def test_the_tail_is_left_to_the_ticks_for_three_hours() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1, listed_at_ms=at(-1)), time_of(-1))
        gather(connection, whole(0, 10, 1), 0, 10.3)
        for hour, found in ((13.9, []), (14.1, [("AAA", 11, 11, 1)])):
            refreshed(connection, hour)
            assert holes(connection) == found
        refreshed(connection, 16.5)
        assert holes(connection, "reason") == [("AAA", 11, 13, 3, "not asked")]
        assert rows(connection, "SELECT kind FROM events WHERE kind LIKE 'gap%'") == [
            ("gap found",)
        ], "growing is no news"


def test_a_tail_that_was_answered_empty_shows_at_once() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1, listed_at_ms=at(-1)), time_of(-1))
        gather(connection, whole(0, 10, 1), 0, 13)
        refreshed(connection, 12.7)
        assert holes(connection, "reason") == [("AAA", 11, 12, 2, "answered empty")]


def test_before_the_first_settlement_without_a_listing_date() -> None:
    """What was answered empty lies before its life; what nobody asked may belong to it."""
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=8), time_of(0))
        gather(connection, whole(160, 240, 8), 0, 241)
        refreshed(connection, 241.7)
        assert holes(connection) == []
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=8), time_of(0))
        gather(connection, [], 0, 80)
        gather(connection, whole(0, 240, 8), 160, 241)
        refreshed(connection, 241.7)
        assert holes(connection, "reason") == [("AAA", 80, 152, 10, "not asked")]


def test_a_delisted_market_owes_what_nobody_asked_before_it_left_and_nothing_later() -> None:
    with memory() as connection:
        names = ("AAA", "BBB", "CCC")
        register(connection, listed(*names, interval_hours=1), time_of(0))
        for name, asked_to in zip(names, (9.5, 14, 11.5), strict=True):
            gather(connection, whole(0, 9, 1), 0, asked_to, market=name)
        register(connection, listed(*names, interval_hours=1, live=False), time_of(13.5))
        refreshed(connection, 100)
        assert holes(connection, "reason") == [
            ("AAA", 10, 13, 4, "not asked"),
            ("CCC", 12, 13, 2, "not asked"),
        ]


def test_a_market_that_never_lived_while_watched_owes_no_tail() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1, live=False), time_of(50))
        gather(connection, whole(0, 9, 1), 0, 9.5, now=time_of(50))
        refreshed(connection, 100)
        assert holes(connection) == []


def test_time_off_the_list_is_no_hole() -> None:
    with memory() as connection:
        market = {"interval_hours": 1, "listed_at_ms": at(-1)}
        register(connection, listed("AAA", **market), time_of(0))
        gather(connection, whole(0, 9, 1), 0, 9.9)
        register(connection, listed("AAA", live=False, **market), time_of(10.2))
        register(connection, listed("AAA", **market), time_of(60.5))
        gather(connection, [*whole(0, 9, 1), *whole(62, 70, 1)], 0, 70.5)
        refreshed(connection, 70.6)
        assert holes(connection) == []


def test_a_live_market_that_never_settled() -> None:
    with memory() as connection:
        register(connection, listed("AAA", listed_at_ms=at(1)), time_of(0))
        record_windows(connection, "madeup", [("AAA", Window(at(0), at(30)), 0)], 1)
        refreshed(connection, 31)
        assert holes(connection, "reason") == [("AAA", 16, 24, 2, "answered empty")]


# --- reasons


def recorded() -> ExchangeSpec:
    return dataclasses.replace(DECLARED, kind="recorded")


def test_a_recorded_exchange_was_not_sampled_and_cannot_be_asked() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, whole(0, 20, 1, 5, 6), 0, 20.1)
        refreshed(connection, 20.7, recorded())
        assert holes(connection, "state", "reason") == [("AAA", 5, 6, 2, "given up", "not sampled")]
        kinds = rows(
            connection, "SELECT kind FROM events WHERE kind IN ('gap found', 'gap given up')"
        )
        assert kinds == [("gap found",)]


def test_before_the_look_back_a_gap_is_given_up_as_time_goes_by() -> None:
    spec = dataclasses.replace(DECLARED, look_back_days=10)
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=8), time_of(0))
        gather(connection, whole(0, 480, 8, 16), 0, 241)
        refreshed(connection, 241.7, spec)
        assert holes(connection, "state") == [("AAA", 16, 16, 1, "open")]
        refreshed(connection, 254, spec)
        assert holes(connection, "state", where="reason = 'answered empty'")
        refreshed(connection, 255, spec)
        assert holes(connection, "state", "reason", where="first_missing < '2025-03-03'") == [
            ("AAA", 16, 16, 1, "given up", "before look-back")
        ]
        assert rows(connection, "SELECT exchange FROM events WHERE kind = 'gap given up'") == [
            ("madeup",)
        ]


def test_an_outage_is_what_nearly_all_markets_miss() -> None:
    names = [f"M{n}" for n in range(10)]
    with memory() as connection:
        register(connection, listed(*names, interval_hours=1), time_of(0))
        for name in names:
            lost = [10, 11] if name != "M9" else []
            lost += [20] if name == "M0" else []
            gather(connection, whole(0, 30, 1, *lost), 0, 30.1, market=name)
        refreshed(connection, 30.7)
        reasons = dict(rows(connection, "SELECT reason, count(*) FROM gaps GROUP BY 1"))
        assert reasons == {"exchange outage": 9, "answered empty": 1}
        (event,) = rows(connection, "SELECT market, detail FROM events WHERE kind = 'gap found'")
        assert event == (
            None,
            "19 settlement(s) in 10 gap(s) of 9 market(s): exchange outage 18, answered empty 1; "
            "e.g. M0 2025-03-01 20:00:00 .. 2025-03-01 20:00:00",
        )


def test_two_markets_of_ten_are_no_outage() -> None:
    names = [f"M{n}" for n in range(10)]
    with memory() as connection:
        register(connection, listed(*names, interval_hours=1), time_of(0))
        for name in names:
            lost = [10] if name in ("M3", "M4") else []
            gather(connection, whole(0, 30, 1, *lost), 0, 30.1, market=name)
        refreshed(connection, 30.7)
        assert {row[-1] for row in holes(connection, "reason")} == {"answered empty"}


def test_a_row_in_quarantine_is_the_reason() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, whole(0, 30, 1, 7, 20), 0, 30.1)
        bad = Quarantined(RawSettlement("AAA", at(7) + 1, "9"), "too large")
        keep(connection, "madeup", [("AAA", bad)], 1, LATER)
        refreshed(connection, 30.7)
        assert holes(connection, "reason") == [
            ("AAA", 7, 7, 1, "quarantined"),
            ("AAA", 20, 20, 1, "answered empty"),
        ]


def test_an_exchange_that_this_version_does_not_know() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, whole(0, 20, 1), 0, 10.1)
        gather(connection, whole(0, 20, 1), 15, 20.1)
        with transaction(connection):
            refresh(connection, now=time_of(20.5), markets=(), specs={})
        assert holes(connection, "reason") == [("AAA", 11, 14, 4, "unknown")]


# --- closing


def test_a_gap_that_fills_bit_by_bit_is_closed_in_the_end() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        hours = whole(0, 30, 1)
        gather(connection, [h for h in hours if not 5 <= h <= 14], 0, 30.1)
        refreshed(connection, 30.7)
        connection.execute("UPDATE base.gaps SET asked_times = 2, answers = 'as it was'")
        found_at = rows(connection, "SELECT found_at FROM gaps")
        gather(connection, hours, 8, 10, refetch=True, now=time_of(31))
        refreshed(connection, 31.1)
        assert holes(connection, "asked_times", "answers") == [
            ("AAA", 5, 7, 3, 2, "as it was"),
            ("AAA", 10, 14, 5, 2, "as it was"),
        ]
        assert rows(connection, "SELECT DISTINCT found_at FROM gaps") == found_at
        gather(connection, hours, 4, 16, refetch=True, now=time_of(32))
        refreshed(connection, 32.1)
        assert holes(connection, "state", "closed_at") == [
            ("AAA", 5, 7, 3, "filled", time_of(32.1)),
            ("AAA", 10, 14, 5, "filled", time_of(32.1)),
        ]
        told = rows(
            connection, "SELECT detail FROM events WHERE kind = 'gap filled' ORDER BY happened"
        )
        assert [text.split(" in ")[0] for (text,) in told] == [
            "2 settlement(s)",
            "8 settlement(s)",
        ]


def test_a_gap_that_turns_out_to_be_none_is_void() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, [], 0, 10)
        gather(connection, whole(0, 40, 1), 30, 40.1)
        refreshed(connection, 40.7)
        assert holes(connection, "reason") == [("AAA", 10, 29, 20, "not asked")]
        gather(connection, whole(30, 40, 1), 10, 30, now=time_of(41))
        refreshed(connection, 40.8)
        assert holes(connection, "state") == [("AAA", 10, 29, 20, "void")]


def test_an_interval_read_differently_later_unmakes_a_gap_that_no_new_row_touches() -> None:
    """After a change from 4 to 8 h the first row looks late, until another one follows it."""
    with memory() as connection:
        register(connection, listed("AAA", "BBB", interval_hours=None), time_of(0))
        gather(connection, [0, 4, 8, 16], 0, 17)
        refreshed(connection, 17.7)
        assert holes(connection, "state") == [("AAA", 12, 12, 1, "open")]
        gather(connection, [16, 17, 18], 15, 18.5, market="BBB")
        refreshed(connection, 19.2)
        gather(connection, [0, 4, 8, 16, 24, 32], 17, 33)
        refreshed(connection, 33.7)
        assert holes(connection, "state", where="market = 'AAA'") == [("AAA", 12, 12, 1, "void")]


def test_a_refresh_with_nothing_new_writes_nothing() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, whole(0, 30, 1, 7), 0, 30.1)
        assert refreshed(connection, 30.7) == 1
        before = rows(connection, "FROM base.gaps"), rows(connection, "FROM events")
        assert refreshed(connection, 30.8) == 0
        assert (rows(connection, "FROM base.gaps"), rows(connection, "FROM events")) == before


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_refreshes_one_after_the_other_find_what_a_scan_of_everything_finds(
    data: st.DataObject,
) -> None:
    """Loads in any order over a history with holes, interval changes and holes that fill later."""
    change = data.draw(st.integers(5, 25)) * 8
    before, after = (data.draw(st.sampled_from([1, 4, 8])) for _ in range(2))
    hours = [*range(0, change, before), *range(change, 40 * 8, after)]
    late = data.draw(st.sets(st.sampled_from(hours), max_size=len(hours) // 2))
    never = data.draw(st.sets(st.sampled_from(hours), max_size=12))
    first = [h for h in hours if h not in late | never]
    then = [h for h in hours if h not in never]
    dated = data.draw(st.booleans())
    with memory() as connection:
        market = listed("AAA", listed_at_ms=at(-8) if dated else None)
        register(connection, market, time_of(0))
        clock = 330.0
        for _ in range(data.draw(st.integers(1, 6))):
            start = data.draw(st.integers(0, 39)) * 8
            end = data.draw(st.integers(start // 8 + 1, 41)) * 8
            source = data.draw(st.sampled_from([first, then]))
            again = data.draw(st.booleans())
            clock += 0.5
            gather(connection, source, start, end, refetch=again, now=time_of(clock))
            if data.draw(st.booleans()):
                refreshed(connection, clock)
        refreshed(connection, clock)
        pieces = holes(connection, "state", "reason", where="state IN ('open', 'given up')")
        connection.execute("DELETE FROM base.gaps")
        with transaction(connection):
            rescan(connection, now=time_of(clock), specs={"madeup": DECLARED})
        assert holes(connection, "state", "reason") == pieces


def test_gaps_survive_a_stop_of_three_days_between_two_refreshes(database: Database) -> None:
    """The settlement before what came lies further back than neighbours are looked for first."""
    with database.open() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, whole(0, 200, 1), 0, 10.1)
        refreshed(connection, 10.7)
        gather(connection, whole(0, 200, 1), 100, 120.1)
        refreshed(connection, 120.7)
        assert holes(connection, "reason") == [("AAA", 11, 99, 89, "not asked")]
        gather(connection, whole(0, 200, 1), 50, 52, now=time_of(121))
        refreshed(connection, 121.2)
        assert holes(connection) == [("AAA", 11, 49, 39), ("AAA", 52, 99, 48)]


# --- asking again


def asked(connection: Connection, hour: float, *, unlisted: Sequence[str] = ()) -> int:
    """A repair's empty answer about the hours 5 to 15."""
    answers = [] if unlisted else [("AAA", Window(at(5), at(15)))]
    return record_answers(
        connection, DECLARED, answers, unlisted, load_id=round(hour), now=time_of(hour)
    )


def due_now(connection: Connection, hour: float, **more: Any) -> dict[str, Any]:
    more.setdefault("tick_reach_ms", 7 * 86_400_000)
    more.setdefault("kept_since", {"madeup": 0})
    return due(connection, now=time_of(hour), **more).holes


@pytest.fixture
def one_hole() -> Any:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=1), time_of(0))
        gather(connection, whole(0, 30, 1, 7, 8), 0, 30.1)
        refreshed(connection, 30.7)
        yield connection


HOLE = {"madeup": {"AAA": [Window(at(7), at(9))]}}


@pytest.mark.parametrize(
    ("at_hours", "given_up"),
    [((31, 43, 55), True), ((31, 43, 54.9), False), ((31, 60), False), ((31, 32, 33, 56), True)],
)
def test_given_up_after_three_empty_answers_over_at_least_a_day(
    one_hole: Connection, at_hours: Sequence[float], given_up: bool
) -> None:
    for hour in at_hours[:-1]:
        assert asked(one_hole, hour) == 0
    assert asked(one_hole, at_hours[-1]) == given_up
    ((state, times, text),) = rows(one_hole, "SELECT state, asked_times, answers FROM gaps")
    assert (state, times) == ("given up" if given_up else "open", len(at_hours))
    assert text.splitlines()[0] == (
        "2025-03-02 07:00 load 31, no settlement in 2025-03-01 05:00:00 .. 2025-03-01 15:00:00"
    )
    assert bool(rows(one_hole, "FROM events WHERE kind = 'gap given up'")) == given_up
    assert due_now(one_hole, 1000) == ({} if given_up else HOLE)


def test_given_up_stays_so_until_a_person_wants_it_asked_again(one_hole: Connection) -> None:
    for hour in (31, 43, 55):
        asked(one_hole, hour)
    refreshed(one_hole, 60)
    state = "SELECT state, asked_times, last_asked, closed_at FROM gaps WHERE missing = 2"
    assert rows(one_hole, state) == [("given up", 3, time_of(55), time_of(55))]
    assert ask_again(one_hole, ["other"], now=time_of(61)) == 0
    assert ask_again(one_hole, ["madeup"], now=time_of(61)) == 1
    assert rows(one_hole, state) == [("open", 0, None, None)]
    assert due_now(one_hole, 61) == HOLE
    assert asked(one_hole, 62) == 0


def test_what_was_given_up_and_comes_after_all_is_filled(one_hole: Connection) -> None:
    for hour in (31, 43, 55):
        asked(one_hole, hour)
    gather(one_hole, whole(0, 30, 1), 0, 30, refetch=True, now=time_of(58))
    refreshed(one_hole, 58.1)
    assert holes(one_hole, "state", where="missing = 2") == [("AAA", 7, 8, 2, "filled")]


def test_an_answer_that_fills_a_part_is_no_empty_one(one_hole: Connection) -> None:
    gather(one_hole, whole(0, 30, 1, 8), 0, 30, refetch=True, now=time_of(31))
    asked(one_hole, 31)
    assert rows(one_hole, "SELECT asked_times FROM gaps") == [(0,)]


def test_a_market_that_is_gone_from_the_list_is_given_up_as_well(one_hole: Connection) -> None:
    assert [asked(one_hole, hour, unlisted=["AAA"]) for hour in (31, 43, 55)] == [0, 0, 1]
    ((text,),) = rows(one_hole, "SELECT answers FROM gaps")
    assert text.splitlines()[0] == ("2025-03-02 07:00 load 31, not in the exchange's list any more")


def test_a_gap_is_due_every_twelve_hours(one_hole: Connection) -> None:
    assert due_now(one_hole, 30.7) == HOLE
    asked(one_hole, 31)
    assert due_now(one_hole, 42.9) == {}
    assert due_now(one_hole, 42.9, everything=True) == HOLE
    assert due_now(one_hole, 43) == HOLE
    assert due_now(one_hole, 43, kept_since={"other": 0}) == {}
    kept = int((time_of(8) - timestamp(0)).total_seconds() * 1000)
    assert due_now(one_hole, 43, kept_since={"madeup": kept}) == HOLE
    assert due_now(one_hole, 43, kept_since={"madeup": kept + 1}) == {}


def test_the_newest_collected_moment_is_where_the_ticks_take_over(one_hole: Connection) -> None:
    """What nobody asked after it is theirs for as long as they reach back."""
    refreshed(one_hole, 100)
    assert holes(one_hole, where="missing > 2") == [("AAA", 31, 97, 67)]
    assert due_now(one_hole, 100) == HOLE
    long_after = 31 + 7 * 24 + 1
    refreshed(one_hole, long_after)
    (tail,) = [w for w in due_now(one_hole, long_after)["madeup"]["AAA"] if w.start_ms > at(10)]
    assert tail.start_ms == at(31)


# --- coverage


def test_days_that_lack_something_say_how_much_and_why() -> None:
    with memory() as connection:
        register(connection, listed("AAA", "BBB", interval_hours=8), time_of(0))
        gather(connection, whole(0, 96, 8, 32, 40, 48), 0, 97)
        gather(connection, whole(0, 96, 8), 0, 97, market="BBB")
        refreshed(connection, 97.7)
        # What a derivation would have counted: by the day in which the period begins.
        connection.execute(
            """INSERT INTO base.daily_stats BY NAME
            SELECT market_id, CAST(funding_time - INTERVAL 8 HOUR AS DATE) AS day,
                count(*) AS settlements, 0 AS rate_sum, 0 AS rate_hourly_mean, 0 AS rate_hourly_min,
                0 AS rate_hourly_max, 0 AS rate_hourly_open, 0 AS rate_hourly_close, 0 AS apr_mean,
                0 AS positive_share, 24 AS covered_hours, 24 AS live_hours
            FROM settlements GROUP BY ALL"""
        )
        second = time_of(24).date()
        found = rows(
            connection,
            f"""SELECT market, day - DATE '{second}', expected, stored, share, reason
            FROM market_coverage_by_day WHERE share < 1""",
        )
        assert found == [("AAA", 0, 3, 0, 0.0, "answered empty 3")]
        assert rows(
            connection,
            f"""SELECT markets, expected, stored, share, reason FROM coverage_by_day
            WHERE day BETWEEN '{second}' AND DATE '{second}' + 1 ORDER BY day""",
        ) == [(2, 6, 3, 0.5, "answered empty 3"), (2, 6, 6, 1.0, None)]


@pytest.fixture(scope="module")
def migrated() -> Any:
    with memory() as connection:
        yield connection


@settings(max_examples=60)
@given(
    first=st.integers(0, 60),
    missing=st.integers(1, 40),
    every=st.sampled_from([1, 2, 3, 4, 8, 24]),
)
def test_missing_settlements_of_a_day_are_counted_as_one_would(
    migrated: Connection, first: int, missing: int, every: int
) -> None:
    slots = [time_of(first) + timedelta(hours=n * every) for n in range(missing)]
    counts: dict[Any, int] = {}
    for slot in slots:
        day = (slot - timedelta(hours=every)).date()
        counts[day] = counts.get(day, 0) + 1
    migrated.execute("DELETE FROM base.gaps")
    migrated.execute(
        """INSERT INTO base.gaps BY NAME SELECT 1 AS market_id, ? AS first_missing,
        ? AS last_missing, ? AS missing, ? AS interval_hours, 'open' AS state,
        'not asked' AS reason, TIMESTAMP '2026-01-01' AS found_at, 0 AS asked_times""",
        [slots[0], slots[-1], missing, every],
    )
    assert dict(rows(migrated, "SELECT day, missing FROM base.missing_by_day")) == counts
