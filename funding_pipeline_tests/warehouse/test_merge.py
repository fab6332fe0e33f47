"""Merging: the same table whatever the order, revisions kept, nothing lost, nothing twice."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest import mock

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.collection.planning import answered
from funding_pipeline.domain.records import Answered, Window
from funding_pipeline.warehouse import merge as merge_module
from funding_pipeline.warehouse import series as series_module
from funding_pipeline.warehouse.merge import MergeCounts, merge
from funding_pipeline_tests.warehouse.world import (
    DECLARED,
    HOURLY,
    LATER,
    LATER_MS,
    at,
    collect,
    hours_and_intervals,
    listed,
    memory,
    register,
    rows,
    sent,
    series,
    settlements,
    spec,
    time_of,
    units,
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        register(connection, listed("AAA", "BBB"))
        yield connection


def span(start: float, end: float) -> Window:
    return Window(at(start), at(end))


def counts(found: MergeCounts) -> tuple[int, int, int, int]:
    return found.new, found.changed, found.unchanged, found.quarantined


# --- the same table, whatever way it was collected


@st.composite
def histories(draw: st.DrawFn) -> list[int]:
    """Hours of settlements: interval eras as exchanges change them, and single missing ones."""
    hours = [-8, 0]
    for _ in range(draw(st.integers(1, 4))):
        step = draw(st.sampled_from([1, 2, 4, 8]))
        # A new interval begins on its own grid: the first step may be odd (3 h, 6 h).
        hours.append((hours[-1] // step + 1) * step)
        for _ in range(draw(st.integers(8, 30))):
            hours.append(hours[-1] + step)
    # Not the second one: a first row with an odd gap after it has no evidence at all.
    missing = draw(st.sets(st.integers(2, len(hours) - 2), max_size=2))
    alone = {i for i in missing if not missing & {i - 1, i + 1}}
    return [hour for index, hour in enumerate(hours) if index not in alone]


@st.composite
def walks(draw: st.DrawFn, end: int) -> list[tuple[float, float, bool]]:
    """Windows in any order, overlapping, some asked anew; the last ones cover everything."""
    cuts = sorted(draw(st.sets(st.integers(-7, end - 1), max_size=5)))
    tiles = list(zip([-8, *cuts], [*cuts, end], strict=True))
    extra = draw(st.lists(st.tuples(st.integers(0, end), st.integers(0, end)), max_size=3))
    spans = [(float(a), float(b)) for a, b in [*tiles, *extra] if a < b]
    order = draw(st.permutations(spans))
    return [(a, b, draw(st.booleans())) for a, b in order]


@settings(max_examples=40)
@given(st.data())
def test_any_split_order_and_repetition_gives_the_same_table(data: st.DataObject) -> None:
    hours = data.draw(histories())
    other = data.draw(histories())
    end = max(hours[-1], other[-1]) + 1
    history = {"AAA": series(hours), "BBB": series(other, "BBB")}
    with memory() as connection:
        register(connection, listed("AAA", "BBB", interval_hours=None))
        collect(connection, history, span(-8, end))
        expected = settlements(connection)
    assert len(expected) == len(hours) + len(other)
    with memory() as connection:
        register(connection, listed("AAA", "BBB", interval_hours=None))
        for start, stop, refetch in data.draw(walks(end)):
            market = data.draw(st.sampled_from(["AAA", "BBB", None]))
            collect(connection, history, span(start, stop), market=market, refetch=refetch)
        collect(connection, history, span(-8, end))
        assert settlements(connection) == expected
        assert not units(connection, DECLARED, span(-8, end))
        again = collect(connection, history, span(-8, end), refetch=True)
        assert (again.new, again.changed) == (0, 0)


@pytest.mark.xfail(strict=True, reason="neighbours further off than 48 h are not looked at")
def test_a_hole_of_days_beside_a_change_gives_the_same_table_in_two_steps() -> None:
    history = {"AAA": series([0, 4, 8, 16, *range(136, 200, 8)])}
    tables = []
    for parts in ([(0, 200)], [(0, 17), (17, 200)]):
        with memory() as connection:
            register(connection, listed("AAA", interval_hours=None))
            for start, end in parts:
                collect(connection, history, span(start, end))
            tables.append(hours_and_intervals(connection))
    assert tables[0] == tables[1]


TOUCHED = ("settlements", "rate_revisions", "dirty_days", "collected_windows", "events")
TWO_DAYS = series_module._NEIGHBOURS.replace(" AND funding_time >= start", "")


@settings(max_examples=15)
@given(st.data())
def test_two_neighbours_tell_what_all_of_two_days_would(data: st.DataObject) -> None:
    """Ticks with the intervals that are declared by then, some of them missed, and a sweep."""
    hours = data.draw(histories())
    gaps = dict(zip(hours[1:], [b - a for a, b in pairwise(hours)], strict=True))
    first = data.draw(st.integers(1, len(hours) - 2))
    missed = data.draw(st.sets(st.sampled_from(hours), max_size=4))
    moments = [hours[first], *(h for h in hours[first + 1 : first + 16] if h not in missed)]
    tells = data.draw(st.booleans())
    wrong = data.draw(st.sampled_from(hours))
    tables = []
    for sql in (series_module._NEIGHBOURS, TWO_DAYS):
        with memory() as connection, mock.patch.object(series_module, "_NEIGHBOURS", sql):
            for hour in moments:
                now, declared = time_of(hour + 0.5), gaps[hour] if tells else None
                register(connection, listed("AAA", interval_hours=declared), now)
                known = [h for h in hours if h <= hour and (h != wrong or hour > wrong + 30)]
                window = span(-8, hour + 0.5)
                collect(connection, {"AAA": series(known)}, window, now=now)
                if hour == moments[-1]:
                    late = {"AAA": series(h for h in hours if h <= hour)}
                    collect(connection, late, window, now=now, refetch=True)
            tables.append([rows(connection, f"FROM {name} ORDER BY ALL") for name in TOUCHED])
    assert tables[0] == tables[1]


def test_a_tick_makes_few_statements_and_moves_no_row_but_the_new_ones() -> None:
    """What 28 merges cost in each hour: a count, since that is not noisy."""

    class Counting:
        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self.connection, self.statements = connection, 0
            self.frames: dict[str, int] = {}

        def execute(self, *args: Any) -> Any:
            self.statements += 1
            return self.connection.execute(*args)

        def register(self, name: str, frame: pl.DataFrame) -> None:
            self.frames[name] = len(frame)
            self.connection.register(name, frame)

        def unregister(self, name: str) -> None:
            self.connection.unregister(name)

    history = {m: series(range(0, 49, 1), m) for m in ("AAA", "BBB")}
    for declaration, most in ((DECLARED, 15), (HOURLY, 13)):
        with memory() as connection:
            register(connection, listed("AAA", "BBB", interval_hours=1))
            collect(connection, history, span(0, 48), declaration=declaration)
            counting = Counting(connection)
            (unit, other) = units(connection, declaration, span(0, 49))
            answers = [answered(declaration, u, history[u.market], LATER_MS) for u in (unit, other)]
            found = merge(counting, declaration, answers, load_id=2, now=LATER)  # type: ignore[arg-type]
            assert (found.new, counting.frames["incoming"]) == (2, 2)
            assert counting.statements == most


@settings(max_examples=15)
@given(st.permutations(range(0, 96, 8)))
def test_rows_that_come_one_by_one_in_any_order_end_in_the_same_table(order: list[int]) -> None:
    history = {"AAA": series(range(0, 96, 8))}
    with memory() as connection:
        register(connection, listed("AAA"))
        for hour in order:
            collect(connection, history, span(hour, hour + 8))
        assert [(h, 8, 8) for h in range(0, 96, 8)] == hours_and_intervals(connection)


@pytest.mark.parametrize("declaration", [DECLARED, HOURLY], ids=["declared", "hourly"])
def test_the_same_batch_twice_adds_and_changes_nothing(
    connection: duckdb.DuckDBPyConnection, declaration: object
) -> None:
    history = {"AAA": series(range(0, 48, 1)), "BBB": series(range(0, 48, 8), "BBB")}
    first = collect(connection, history, span(0, 48), declaration=declaration)  # type: ignore[arg-type]
    stored = rows(connection, "FROM settlements ORDER BY ALL")
    connection.execute("DELETE FROM dirty_days")
    again = collect(
        connection,
        history,
        span(0, 48),
        declaration=declaration,
        refetch=True,
        load_id=2,  # type: ignore[arg-type]
    )
    assert counts(first) == (54, 0, 0, 0)
    assert counts(again) == (0, 0, 54, 0)
    assert rows(connection, "FROM settlements ORDER BY ALL") == stored
    assert rows(connection, "FROM rate_revisions") == []
    assert rows(connection, "FROM dirty_days") == [], "nothing changed, so nothing is owed"


# --- what is owed


def test_what_settles_after_the_newest_settlement_owes_its_days_from_there_on(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Days and hours since the origin; every 8 h, hour 40 pays for the day before 48."""
    history = {"AAA": [row for row in series(range(0, 72, 8)) if row.time_ms != at(56)]}

    def owed() -> set[tuple[int, int | None]]:
        return set(
            rows(
                connection,
                """SELECT day - DATE '2025-03-01',
                    date_diff('hour', TIMESTAMP '2025-03-01', settled_until) FROM dirty_days""",
            )
        )

    collect(connection, history, span(0, 25))
    assert owed() == {(-1, None), (0, None)}, "nothing was before"
    connection.execute("DELETE FROM dirty_days")
    collect(connection, history, span(25, 41))
    assert owed() == {(0, 24), (1, 24)}
    collect(connection, history, span(41, 65))
    assert owed() == {(0, 24), (1, 24), (2, 40)}, "the second day was owed from an earlier hour on"
    corrected = {"AAA": [sent(hour, "0.0042") for hour in (32, 64)]}
    collect(connection, corrected, span(32, 33), refetch=True, load_id=2)
    assert owed() == {(0, 24), (1, 24), (1, None), (2, 40)}, "a correction owes the whole day"
    collect(connection, {"AAA": series([56])}, span(56, 57), refetch=True, load_id=3)
    assert (2, None) in owed(), "a hole that is filled is no newest settlement"


# --- revisions


def test_a_corrected_rate_wins_and_the_old_one_is_kept(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    collect(connection, {"AAA": series(range(0, 48, 8))}, span(0, 48), now=LATER)
    corrected = [r for r in series(range(0, 48, 8)) if r.time_ms != at(16)] + [sent(16, "0.0042")]
    later = LATER + timedelta(hours=1)
    found = collect(connection, {"AAA": corrected}, span(0, 48), refetch=True, load_id=2, now=later)
    assert counts(found) == (0, 1, 5, 0)
    assert rows(
        connection,
        f"""SELECT rate, raw_rate, load_id, collected_at FROM funding_rates
        WHERE funding_time = '{time_of(16)}'""",
    ) == [(0.0042, "0.0042", 2, LATER)]
    assert rows(
        connection,
        """SELECT funding_time, rate, raw_rate, interval_hours, load_id, reason, revised_by,
        revised_at FROM rate_revisions""",
    ) == [(time_of(16), -28e-6, "-0.000028", 8, 1, "exchange", 2, later)]
    untouched = rows(connection, "SELECT DISTINCT load_id FROM settlements WHERE rate <> 0.0042")
    assert untouched == [(1,)]


def test_another_spelling_of_the_same_number_is_no_revision(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    collect(connection, {"AAA": [sent(0, "0.0001"), sent(8, "0.0001")]}, span(0, 9))
    respelt = [sent(0, "0.00010"), sent(8, "1e-4", lag_ms=90, mark_price=5.0)]
    found = collect(connection, {"AAA": respelt}, span(0, 9), refetch=True, load_id=2)
    assert counts(found) == (0, 0, 2, 0)
    assert rows(connection, "SELECT DISTINCT raw_rate, load_id FROM funding_rates") == [
        ("0.0001", 1)
    ]


def test_a_provisional_interval_is_reinterpreted_when_the_next_row_comes(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Every 4 h, then an 8 h gap: a hole or a change? The row after it tells."""
    hours = [0, 4, 8, 16]
    collect(connection, {"AAA": series(hours)}, span(0, 17))
    assert hours_and_intervals(connection)[-1] == (16, 4, 4), "provisional: as before"
    connection.execute("DELETE FROM dirty_days")
    found = collect(connection, {"AAA": series([*hours, 24])}, span(17, 25), load_id=2)
    assert counts(found)[:2] == (1, 1)
    assert hours_and_intervals(connection)[-2:] == [(16, 8, 8), (24, 8, 8)]
    assert rows(
        connection, "SELECT funding_time, interval_hours, reason, revised_by FROM rate_revisions"
    ) == [(time_of(16), 4, "reinterpreted", 2)]


def test_a_provisional_interval_stays_when_the_next_row_confirms_it(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    hours = [0, 4, 8, 16]
    collect(connection, {"AAA": series(hours)}, span(0, 17))
    found = collect(connection, {"AAA": series([*hours, 20])}, span(17, 21), load_id=2)
    assert counts(found)[:2] == (1, 0)
    assert hours_and_intervals(connection)[-2:] == [(16, 4, 4), (20, 4, 4)]


def test_a_reinterpreted_row_owes_the_day_it_paid_before_and_the_one_it_pays_now() -> None:
    """04:00 pays 8 h as declared, from the day before, until the next row shows that it pays 4."""
    hours = [12, 16, 20, 28]
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=8), now=time_of(28.5))
        collect(connection, {"AAA": series(hours)}, span(0, 29))
        assert hours_and_intervals(connection)[-1] == (28, 8, 8)
        connection.execute("DELETE FROM dirty_days")
        collect(connection, {"AAA": series([*hours, 32])}, span(29, 33), load_id=2)
        assert hours_and_intervals(connection)[-2:] == [(28, 4, 4), (32, 4, 4)]
        days = rows(
            connection, "SELECT DISTINCT day - DATE '2025-03-01' FROM dirty_days ORDER BY 1"
        )
    assert days == [(0,), (1,)]


def test_an_older_row_that_arrives_late_reweights_its_follower_without_a_revision(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Odd step: 8 h quoted, but the row before came only 6 h earlier, so 6 h are covered."""
    collect(connection, {"AAA": series([6, 14, 22])}, span(1, 23))
    assert hours_and_intervals(connection)[0] == (6, 8, 8)
    found = collect(connection, {"AAA": series([-8, 0, 6, 14, 22])}, span(-8, 1), load_id=2)
    assert counts(found)[:2] == (2, 0)
    assert hours_and_intervals(connection) == [
        (-8, 8, 8),
        (0, 8, 8),
        (6, 8, 6),
        (14, 8, 8),
        (22, 8, 8),
    ]
    assert rows(connection, "FROM rate_revisions") == []
    assert rows(connection, "SELECT load_id FROM settlements ORDER BY funding_time") == [
        (2,),
        (2,),
        (2,),
        (1,),
        (1,),
    ]


# --- nothing is lost, nothing is twice


def test_a_row_that_vanishes_upstream_stays(connection: duckdb.DuckDBPyConnection) -> None:
    collect(connection, {"AAA": series(range(0, 48, 8))}, span(0, 48))
    before = settlements(connection)
    collect(connection, {}, span(0, 48), refetch=True, load_id=2)
    assert settlements(connection) == before


def test_a_window_given_twice_in_one_batch_is_stored_once(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    (unit,) = units(connection, DECLARED, span(0, 9), market="AAA")
    answer = answered(DECLARED, unit, series([0, 8]), LATER_MS)
    found = merge(connection, DECLARED, [answer, answer], load_id=1, now=LATER)
    assert counts(found) == (2, 0, 0, 0)
    assert len(settlements(connection)) == 2


def test_a_batch_with_two_rows_of_one_key_is_refused_and_leaves_nothing(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = merge_module.decided_series

    def doubling(*arguments: object) -> object:
        frame, rejected = real(*arguments)  # type: ignore[arg-type]
        return pl.concat([frame, frame]), rejected

    monkeypatch.setattr(merge_module, "decided_series", doubling)
    with pytest.raises(ValueError, match="two rows of one market and hour"):
        collect(connection, {"AAA": series([0, 8])}, span(0, 9))
    assert settlements(connection) == []
    assert rows(connection, "FROM collected_windows") == []


def test_a_merge_that_breaks_at_its_end_leaves_nothing(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(merge_module, "record_events", broken)
        with pytest.raises(OSError, match="disk full"):
            collect(connection, {"AAA": series([0, 8])}, span(0, 9))
    assert settlements(connection) == []
    for table in ("collected_windows", "dirty_days", "quarantine"):
        assert rows(connection, f"FROM {table}") == []
    assert counts(collect(connection, {"AAA": series([0, 8])}, span(0, 9))) == (2, 0, 0, 0)


def test_bad_rows_go_to_quarantine_once_and_the_good_ones_are_stored(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    history = {"AAA": [*series([0, 8]), sent(16, "NaN"), sent(24, ""), sent(32.75, "0.0001")]}
    for load in (1, 2, 3):
        collect(connection, history, span(0, 48), refetch=True, load_id=load)
    assert [row[1] for row in settlements(connection)] == [0, 8]
    assert rows(
        connection,
        """SELECT exchange, market, stamp, raw_rate, split_part(reason, ':', 1), load_id
        FROM quarantine ORDER BY stamp""",
    ) == [
        ("madeup", "AAA", time_of(16), "NaN", "not a number", 1),
        ("madeup", "AAA", time_of(24), "", "not a number", 1),
        ("madeup", "AAA", time_of(32.75), "0.0001", "off grid", 1),
    ]


def test_a_row_without_any_evidence_of_its_interval_is_quarantined_not_guessed() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=None))
        found = collect(connection, {"AAA": series([0])}, span(0, 9))
        assert counts(found) == (0, 0, 0, 1)
        assert settlements(connection) == []
        assert "no interval" in rows(connection, "SELECT reason FROM quarantine")[0][0]


def test_the_quarantined_row_is_stored_once_a_neighbour_tells_its_interval() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=None))
        collect(connection, {"AAA": series([0])}, span(0, 9))
        collect(connection, {"AAA": series([0, 8])}, span(0, 9), refetch=True, load_id=2)
        assert hours_and_intervals(connection) == [(0, 8, 8), (8, 8, 8)]


@pytest.mark.xfail(strict=True, reason="a row with a bad rate is no evidence of spacing")
def test_a_bad_rate_in_the_second_row_does_not_cost_the_first(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Its stamp is good: it tells that the first row is followed after 8 h."""
    history = {"AAA": [sent(0), sent(8, "NaN"), *series([16, 24])]}
    assert counts(collect(connection, history, span(0, 25))) == (3, 0, 0, 1)


# --- what else a merge writes


def test_owed_days_are_those_of_the_paid_hours(connection: duckdb.DuckDBPyConnection) -> None:
    """A settlement at midnight pays for the day before."""
    collect(connection, {"AAA": series([16, 24, 32])}, span(0, 33))
    days = rows(connection, "SELECT day - DATE '2025-03-01' FROM dirty_days ORDER BY 1")
    assert days == [(0,), (1,)]


def test_markets_know_their_first_and_last_settlement(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    collect(connection, {"AAA": series(range(24, 48, 8))}, span(24, 48))
    collect(connection, {"AAA": series(range(0, 24, 8))}, span(0, 24))
    first_last = "SELECT first_settlement, last_settlement FROM markets ORDER BY market"
    assert rows(connection, first_last) == [(time_of(0), time_of(40)), (None, None)]


def test_only_stamps_more_than_two_minutes_late_are_events(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    late = [sent(0), sent(8, lag_ms=120_000), sent(16, lag_ms=120_001), sent(24, lag_ms=-4_000)]
    collect(connection, {"AAA": late}, span(0, 25))
    assert rows(connection, "SELECT kind, market FROM events") == [("late stamp", "AAA")]
    lags = rows(connection, "SELECT lag_ms FROM settlements ORDER BY funding_time")
    assert lags == [(0,), (120_000,), (120_001,), (-4_000,)]


def test_an_empty_answer_is_recorded_as_collected(connection: duckdb.DuckDBPyConnection) -> None:
    collect(connection, {}, span(0, 9), market="AAA")
    assert rows(
        connection, "SELECT market, from_time, to_time, rows, outcome FROM collected_windows"
    ) == [("AAA", time_of(0), time_of(9), 0, "collected")]


def test_an_empty_batch_is_no_trouble(connection: duckdb.DuckDBPyConnection) -> None:
    found = merge(connection, DECLARED, [], load_id=1, now=datetime(2025, 7, 1))
    assert counts(found) == (0, 0, 0, 0)
    empty = [Answered("AAA", Window(at(0), at(0)), [])]
    assert counts(merge(connection, DECLARED, empty, load_id=1, now=LATER)) == (0, 0, 0, 0)
    assert rows(connection, "FROM collected_windows") == []


def test_a_stored_row_that_told_its_interval_keeps_it_beside_a_new_one() -> None:
    """Two days before the batch, hence asked for no more; the list says eight hours all along."""
    carried = spec("row")
    history = {"AAA": [sent(h, interval_hours=4) for h in (8, 12, 40)]}
    with memory() as connection:
        for hour in (0, 100):
            register(connection, listed("AAA"), time_of(hour))
        for start, end in ((0, 16), (38, 48)):
            collect(connection, history, Window(at(start), at(end)), declaration=carried)
        assert [hours for _, hours, _ in hours_and_intervals(connection)] == [4, 4, 4]
