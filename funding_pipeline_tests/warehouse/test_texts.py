"""The text that an exchange sent comes back, stored or not."""

from datetime import timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from funding_pipeline.collection.planning import answered
from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse.checks import window_facts
from funding_pipeline.warehouse.database import migrate, migrations, visible
from funding_pipeline.warehouse.series import decided_series
from funding_pipeline_tests.transforms.hour_by_hour import Row
from funding_pipeline_tests.warehouse.stored import put
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
    time_of,
    units,
)

PLAIN = [
    "0.0001",
    "-0.0001",
    "0",
    "0.09",
    "-0.0000000000000001",
    "0.0999999999999999",
    "0.00001875",
]
PADDED = {
    "0.00010": ":5", "0.00010000": ":8", "0.0": ":1", "0.00000000": ":8", "0.": ":0",
    "-0.00000100": ":8", "0.000012500000000000": ":18",
}  # fmt: skip
ODD = [
    "-0", "-0.0", "+0.0001", "00.0001", ".0001", "1e-4", "1E-4", "1e-05", "-9.6e-05",
    "0.00000000000000001", "0.00000000000000005", "0.12345678901234567890", "0.1", "0.10", "0.5",
    "99.5", "100", "123456789", "1e300", "-1e300", "0.30000000000000004", "0.3000000000000001", "x",
    "", " 0.0001", "NaN", "inf", "٠.٠٠٠١", "8", "8:", "0.000043173429077120",
]  # fmt: skip

digits = st.text("0123456789", min_size=1, max_size=22)
written = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    st.one_of(st.just("0"), digits),
    st.one_of(st.just(""), digits.map(".{}".format), digits.map(".0000{}".format)),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from("eE"), st.integers(-330, 300))),
)
# What could be taken for a mark.
MARKS = {":8": ":::8", ":": ":::", "::8": "::::8", ":x": ":::x"}
like_marks = st.builds("{}{}".format, st.sampled_from([":", "::", ":::"]), st.text(max_size=3))
texts = st.one_of(
    st.sampled_from([*PLAIN, *PADDED, *ODD]), written, like_marks, st.text(max_size=8)
)


def number(text: str) -> float:
    """What the text says; some number where it says none."""
    try:
        return float(text)
    except ValueError:
        return 0.0001


@pytest.fixture(scope="module")
def schema() -> Any:
    with memory() as connection:
        yield connection


def kept_and_back(
    connection: duckdb.DuckDBPyConnection, pairs: list[tuple[str, float]]
) -> list[tuple[str | None, str]]:
    frame = pl.DataFrame(pairs, schema={"text": pl.String, "rate": pl.Float64}, orient="row")
    with visible(connection, "pairs", frame.with_row_index("n")):
        return rows(
            connection,
            """SELECT kept, base.sent_text(kept, rate) FROM (
                SELECT n, base.kept_text(text, rate) AS kept, rate FROM pairs
            ) ORDER BY n""",
        )


@hypothesis_settings(max_examples=400)
@given(
    pairs=st.lists(
        st.one_of(texts.map(lambda text: (text, number(text))), st.tuples(texts, st.floats())),
        min_size=1,
        max_size=50,
    )
)
def test_every_text_comes_back(
    schema: duckdb.DuckDBPyConnection, pairs: list[tuple[str, float]]
) -> None:
    assert [back for _, back in kept_and_back(schema, pairs)] == [text for text, _ in pairs]


@hypothesis_settings(max_examples=200)
@given(st.lists(st.integers(1 - 10**15, 10**15 - 1), min_size=1, max_size=200))
def test_what_most_exchanges_write_is_not_stored(
    schema: duckdb.DuckDBPyConnection, units: list[int]
) -> None:
    """Any number of 10**-16 below a tenth, without zeros at the end."""
    plain = [f"{'-' * (n < 0)}0.{abs(n):016d}".rstrip("0").rstrip(".") for n in units]
    found = kept_and_back(schema, [(text, float(text)) for text in plain])
    assert found == [(None, text) for text in plain]


def test_by_hand(schema: duckdb.DuckDBPyConnection) -> None:
    marks = {**dict.fromkeys(PLAIN), **PADDED, **{text: text for text in ODD}, **MARKS}
    found = kept_and_back(schema, [(text, number(text)) for text in marks])
    assert found == [(kept, text) for text, kept in marks.items()]


def stored_texts(connection: duckdb.DuckDBPyConnection) -> list[tuple[str | None, str]]:
    return rows(
        connection,
        """SELECT s.raw_rate, f.raw_rate FROM settlements s JOIN funding_rates f
        USING (funding_time) ORDER BY funding_time""",
    )


@pytest.fixture
def four() -> Any:
    with memory() as connection:
        register(connection, listed("AAA"), time_of(0))
        for hour, text in ((8, "0.0003"), (16, "0.00030"), (24, "3e-4"), (32, "-0")):
            collect(connection, {"AAA": [sent(hour, text)]}, Window(at(hour - 8) + 1, at(hour) + 1))
        yield connection


def test_merged_texts_come_back(four: duckdb.DuckDBPyConnection) -> None:
    assert stored_texts(four) == [
        (None, "0.0003"),
        (":5", "0.00030"),
        ("3e-4", "3e-4"),
        ("-0", "-0"),
    ]
    known = rows(four, "SELECT raw_rate FROM funding_rates_as_known(TIMESTAMP '2099-01-01')")
    assert sorted(known) == sorted([("0.0003",), ("0.00030",), ("3e-4",), ("-0",)])


def test_a_revision_keeps_the_old_text_and_stores_the_new_one(
    four: duckdb.DuckDBPyConnection,
) -> None:
    new = {"AAA": [sent(8, "4e-4"), sent(16, "0.0004"), sent(24, "0.00040"), sent(32, "0.040")]}
    later = LATER + timedelta(hours=1)
    span = Window(at(0) + 1, at(32) + 1)
    collect(four, new, span, refetch=True, load_id=2, now=later)
    assert stored_texts(four) == [
        ("4e-4", "4e-4"),
        (None, "0.0004"),
        (":5", "0.00040"),
        (":3", "0.040"),
    ]
    before = [("0.0003",), ("0.00030",), ("3e-4",), ("-0",)]
    assert rows(four, "SELECT raw_rate FROM rate_revisions ORDER BY funding_time") == before
    known = f"FROM funding_rates_as_known(TIMESTAMP '{LATER}')"
    assert rows(four, f"SELECT raw_rate {known} ORDER BY funding_time") == before


def test_a_stored_neighbour_that_is_decided_anew_keeps_its_text() -> None:
    """Rows are seen 4 h apart, then 8 h: the first of them was provisional."""
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=None), time_of(0))
        first = {"AAA": [sent(hour, "0.0002") for hour in (0, 4, 8, 16)]}
        collect(connection, first, Window(at(0), at(17)))
        collect(connection, {"AAA": [sent(24, "0.0002")]}, Window(at(17), at(25)), load_id=2)
        assert rows(connection, "SELECT count(*), any_value(raw_rate) FROM rate_revisions") == [
            (1, "0.0002")
        ]
        assert set(stored_texts(connection)) == {(None, "0.0002")}


def test_stored_neighbours_have_their_texts() -> None:
    with memory() as connection:
        register(connection, listed("AAA", interval_hours=None), time_of(0))
        first = {"AAA": [sent(hour, "0.0002") for hour in (0, 4, 8, 16)]}
        collect(connection, first, Window(at(0), at(17)))
        (unit,) = units(connection, DECLARED, Window(at(17), at(25)))
        answer = answered(DECLARED, unit, [sent(24, "0.0003")], LATER_MS)
        frame, _ = decided_series(connection, DECLARED, [answer])
    assert set(frame.filter("neighbour")["raw_rate"]) == {"0.0002"}


def test_a_released_row_is_known_by_its_text() -> None:
    """Beyond the bound, released by a person: the check counts it no more."""
    with memory() as connection:
        register(connection, listed("AAA"), time_of(0))
        connection.execute(
            """INSERT INTO settlements BY NAME SELECT m.market_id, $t AS funding_time, 0.06 AS rate,
            8 AS interval_hours, 8 AS covered_hours, 'settled' AS kind, NULL AS raw_rate,
            0 AS lag_ms, 'api' AS source, 1 AS load_id, $t AS collected_at FROM base.markets m""",
            {"t": time_of(8)},
        )
        facts = (connection, DECLARED, Window(at(0), at(24)), LATER_MS)
        assert window_facts(*facts).out_of_bounds == 1
        connection.execute(
            """INSERT INTO quarantine BY NAME SELECT 'madeup' AS exchange, 'AAA' AS market,
            $t AS stamp, '0.06' AS raw_rate, 'bound' AS reason, 1 AS load_id,
            $t AS quarantined_at, 'released' AS resolution""",
            {"t": time_of(8)},
        )
        assert window_facts(*facts).out_of_bounds == 0


def test_an_existing_database_keeps_its_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    with duckdb.connect() as connection:
        monkeypatch.setattr(database_module, "migrations", lambda: [m for m in known if m[0] < 18])
        migrate(connection)
        register(connection, listed("AAA"), time_of(0))
        series = [Row(time_of(8), 0.0003, 8), Row(time_of(16), 0.0003, 8)]
        put(connection, {1: series})
        connection.execute("UPDATE settlements SET raw_rate = '0.0003'")
        monkeypatch.setattr(database_module, "migrations", lambda: known)
        migrate(connection)
        assert stored_texts(connection) == [("0.0003", "0.0003")] * 2
        collect(connection, {"AAA": [sent(24, "0.0003")]}, Window(at(16) + 1, at(25)))
        assert stored_texts(connection)[-1] == (None, "0.0003")
