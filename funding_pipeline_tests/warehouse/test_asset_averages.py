"""Averages across exchanges in the database: who takes part, with which weights, and history."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse import asset_averages as module
from funding_pipeline.warehouse.asset_averages import refresh
from funding_pipeline.warehouse.database import Database, timestamp, transaction
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.warehouse.world import (
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

NOW = 240.0  # ten days after the origin, a midnight; hours are counted from the origin
BEFORE = "SELECT * EXCLUDE (asset) FROM base.asset_averages ORDER BY ALL"


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as connection:
        yield connection


def market(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    rate: float | None = 1e-5,
    *,
    exchange: str | None = None,
    asset: str | None = "BTC",
    newest: float = NOW,
    interval: int = 1,
    midnights: tuple[int, ...] = (),
) -> None:
    """A market with a 24h average at its newest settlement, and at midnights."""
    connection.execute(
        """INSERT INTO base.markets BY NAME SELECT $number AS market_id, $exchange AS exchange,
        'M' || $number AS market, 'BTC' AS symbol, 1 AS multiplier, 'USD' AS quote,
        'USD' AS settle, 'live' AS status, $seen AS first_seen, $seen AS last_seen,
        $asset AS asset""",
        {
            "number": number,
            "exchange": exchange or f"x{number}",
            "seen": time_of(0),
            "asset": asset,
        },
    )
    connection.execute(
        "INSERT INTO base.latest_rates VALUES (?, ?, ?, ?, NULL)",
        [number, time_of(newest), 8e-5, interval],
    )
    for hour in (*midnights, newest):
        average(connection, number, hour, rate)


def average(
    connection: duckdb.DuckDBPyConnection, number: int, hour: float, rate: float | None
) -> None:
    connection.execute(
        "INSERT INTO base.moving_averages VALUES (?, '24h', ?, ?, ?, 24, 1, 3)",
        [number, time_of(hour), rate, None if rate is None else rate * 8760],
    )
    if hour % 24 == 0:
        written(connection, hour)


def written(connection: duckdb.DuckDBPyConnection, *hours: float) -> None:
    """Told by whoever writes averages of midnights."""
    for hour in hours:
        connection.execute("INSERT INTO base.changed_midnights VALUES (?)", [time_of(hour)])


def sample(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    hour: float,
    oi: float | None,
    volume: float | None,
) -> None:
    connection.execute(
        """INSERT INTO base.predicted_rates BY NAME SELECT $number AS market_id,
        $seen AS observed_at, 0.0 AS rate, '0' AS raw_rate, 1 AS interval_hours,
        CAST($oi AS DOUBLE) AS open_interest_usd, CAST($volume AS DOUBLE) AS volume_24h_usd""",
        {"number": number, "seen": time_of(hour), "oi": oi, "volume": volume},
    )


def renewed(connection: duckdb.DuckDBPyConnection) -> int:
    with transaction(connection):
        return refresh(connection, now=LATER, markets=[])


def newest(
    connection: duckdb.DuckDBPyConnection, columns: str = "*", window: str = "24h"
) -> list[tuple[Any, ...]]:
    renewed(connection)
    return rows(
        connection,
        f"""SELECT {columns} FROM asset_averages WHERE "window" = '{window}'
        AND as_of = (SELECT max(as_of) FROM asset_averages) ORDER BY asset""",
    )


def test_all_columns_by_hand(database: duckdb.DuckDBPyConnection) -> None:
    """1, 2 and 6 basis points a year's hour, 3 : 1 by open interest, the third's not known."""
    market(database, 1, 1e-5, exchange="okx")
    market(database, 2, 2e-5, exchange="okx")
    market(database, 3, 6e-5, exchange="gate", newest=NOW - 2)
    sample(database, 1, NOW - 0.1, 3e6, 1e6)
    sample(database, 2, NOW - 0.1, 1e6, 1e6)
    sample(database, 3, NOW - 0.1, None, 2e6)
    renewed(database)
    found = database.sql("FROM asset_averages WHERE \"window\" = '24h'").pl().row(0, named=True)
    rates = {
        "mean": 3e-5,
        "oi_mean": 1.25e-5,
        "volume_mean": 3.75e-5,
        "min": 1e-5,
        "max": 6e-5,
        "spread": 5e-5,
    }
    for name, rate in rates.items():
        assert found.pop(f"rate_hourly_{name}") == pytest.approx(rate, rel=1e-12)
        assert found.pop(f"apr_{name}") == pytest.approx(rate * 8760, rel=1e-12)
    assert found == {
        "asset": "BTC",
        "window": "24h",
        "as_of": time_of(NOW),
        "exchanges": 2,
        "markets": 3,
        "min_exchange": "okx",
        "min_market": "M1",
        "max_exchange": "gate",
        "max_market": "M3",
        "open_interest_usd": 4e6,
        "markets_with_oi": 2,
        "oi_share": 2 / 3,
        "volume_24h_usd": 4e6,
        "markets_with_volume": 3,
        "volume_share": 1.0,
        "oldest_as_of": time_of(NOW - 2),
    }


@pytest.mark.parametrize(
    ("interval", "age", "takes_part"),
    [(1, 9, True), (1, 10, False), (8, 9, True), (8, 10, False), (24, 25, True), (24, 26, False)],
)
def test_a_market_that_missed_its_settlement_by_two_hours_takes_no_part(
    database: duckdb.DuckDBPyConnection, interval: int, age: int, takes_part: bool
) -> None:
    market(database, 1)
    market(database, 2, newest=NOW - age, interval=interval)
    assert newest(database, "markets") == [(1 + takes_part,)]
    assert newest(database, "markets", window="latest") == [(1 + takes_part,)]


def test_without_an_asset_or_a_rate_a_market_takes_no_part(
    database: duckdb.DuckDBPyConnection,
) -> None:
    market(database, 1)
    market(database, 2, asset=None)
    market(database, 3, None)
    market(database, 4, None, asset="ETH")
    assert newest(database, "asset, markets") == [("BTC", 1)]
    assert newest(database, "asset, markets", window="latest") == [("BTC", 2), ("ETH", 1)]


def test_the_latest_window_is_of_the_newest_settlements(
    database: duckdb.DuckDBPyConnection,
) -> None:
    market(database, 1, interval=1)
    market(database, 2, interval=8, newest=NOW - 1)
    ((mean, low, oldest),) = newest(
        database, "rate_hourly_mean, min_market, oldest_as_of", window="latest"
    )
    assert mean == pytest.approx((8e-5 + 1e-5) / 2, rel=1e-12)
    assert (low, oldest) == ("M2", time_of(NOW - 1))


def test_a_weight_is_the_newest_known_one_of_the_last_day(
    database: duckdb.DuckDBPyConnection,
) -> None:
    market(database, 1)
    for hour, oi, volume in [
        (NOW - 24, 1e9, 1e9),  # a day old: too old
        (NOW - 23.9, 1e6, None),
        (NOW - 5, 2e6, None),
        (NOW - 0.1, None, None),  # says nothing
        (NOW + 0.1, 3e9, 3e9),  # after the point
    ]:
        sample(database, 1, hour, oi, volume)
    assert newest(database, "open_interest_usd, volume_24h_usd, markets_with_volume") == [
        (2e6, None, 0)
    ]


# --- history


def test_midnights_hold_the_points_and_the_weights_of_that_midnight(
    database: duckdb.DuckDBPyConnection,
) -> None:
    market(database, 1, 1e-5, newest=NOW + 5, midnights=(192, 216, 240))
    market(database, 2, 3e-5, newest=216, midnights=(192,))
    sample(database, 1, 191.9, 1e6, None)
    sample(database, 2, 191.9, 3e6, None)
    sample(database, 1, 192.0, 3e6, None)  # at the midnight itself
    sample(database, 1, 192.1, 7e6, None)
    assert renewed(database) == 5
    sql = """SELECT as_of, "window", markets, rate_hourly_mean, open_interest_usd
        FROM asset_averages ORDER BY 1, 2"""
    found = rows(database, sql)
    assert [(row[0], row[1], row[2], row[4]) for row in found] == [
        (time_of(192), "24h", 2, 6e6),
        (time_of(216), "24h", 2, 7e6),
        (time_of(240), "24h", 1, None),
        (time_of(NOW + 5), "24h", 1, None),
        (time_of(NOW + 5), "latest", 1, None),
    ]
    assert [row[3] for row in found[:3]] == pytest.approx([2e-5, 2e-5, 1e-5], rel=1e-12)


def test_the_newest_state_gives_way_and_its_midnight_stays(
    database: duckdb.DuckDBPyConnection,
) -> None:
    """At the midnight itself a market of 20:00 still counts; once time went on it has its own."""
    market(database, 1, newest=NOW)
    market(database, 2, 3e-5, newest=NOW - 4, interval=8)
    assert newest(database, "markets, oldest_as_of") == [(2, time_of(NOW - 4))]
    average(database, 1, NOW + 1, 1e-5)
    average(database, 2, NOW, 5e-5)
    renewed(database)
    sql = """SELECT as_of, markets, rate_hourly_max, oldest_as_of FROM asset_averages
        WHERE "window" = '24h' ORDER BY 1"""
    assert rows(database, sql) == [
        (time_of(NOW), 2, 5e-5, time_of(NOW)),
        (time_of(NOW + 1), 2, 5e-5, time_of(NOW)),
    ]


def test_only_midnights_that_changed_are_made_anew(
    database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnights = tuple(range(0, 240, 24))
    market(database, 1, newest=NOW + 1, midnights=midnights)
    market(database, 2, newest=NOW + 1, midnights=midnights)
    market(database, 3, newest=NOW + 1, midnights=midnights, asset="ETH")
    state = 2 + 2  # two assets, 24h and latest
    assert renewed(database) == 10 * 2 + state
    with monkeypatch.context() as patched:
        patched.setattr(module, "_DIGESTS", "is not asked where nothing was written")
        assert renewed(database) == state
    database.execute(
        "UPDATE base.moving_averages SET rate_hourly_mean = 0 WHERE market_id = 1 AND as_of = ?",
        [time_of(72)],
    )
    assert renewed(database) == state, "what nobody wrote is not looked at"
    written(database, 48, 72)
    assert renewed(database) == 2 + state
    database.execute("UPDATE base.markets SET asset = 'ETH' WHERE market_id = 2")
    assert renewed(database) == 10 * 2 + state
    database.execute("DELETE FROM base.moving_averages WHERE as_of = ?", [time_of(96)])
    written(database, 96)
    assert renewed(database) == state
    assert rows(database, "FROM base.changed_midnights") == []
    before = rows(database, BEFORE)
    database.execute("DELETE FROM base.asset_averages")
    database.execute("DELETE FROM base.asset_averages_inputs")
    database.execute("DELETE FROM base.asset_averages_members")
    monkeypatch.setattr(module, "_CHUNK_MIDNIGHTS", 2)
    renewed(database)
    assert rows(database, BEFORE) == before


def test_nothing_derived_leaves_nothing(database: duckdb.DuckDBPyConnection) -> None:
    market(database, 1, midnights=(216,))
    assert renewed(database) == 3
    database.execute("DELETE FROM base.moving_averages")
    assert renewed(database) == 0
    assert rows(database, BEFORE) == []


def test_hour_by_hour_equals_a_rebuild(settings: Settings) -> None:
    """With real derivations: three exchanges' worth of markets, an 8 h one among them."""
    store = Database(settings)
    history = {
        "AAA": series(range(4, 20 * 24, 8)),
        "BBB": series(range(0, 20 * 24), "BBB"),
        "CCC": series(range(0, 18 * 24, 4), "CCC"),
    }
    with store.open() as connection:
        register(connection, listed(*history, listed_at_ms=at(0)), time_of(0))
        connection.execute("UPDATE base.markets SET asset = 'ONE'")
    step(store, history, 0, 17 * 24)
    for hour in range(17 * 24, 20 * 24, 9):
        step(store, history, hour, hour + 9)
    with store.open() as connection, transaction(connection):
        pieces = rows(connection, BEFORE)
        assert len({row[1] for row in pieces}) == 20 + 1, "midnights and the newest"
        connection.execute("DELETE FROM base.asset_averages")
        connection.execute("DELETE FROM base.asset_averages_inputs")
        connection.execute("DELETE FROM base.asset_averages_members")
        refresh(connection, now=LATER, markets=[])
        assert rows(connection, BEFORE) == pieces


def step(store: Database, history: Any, start: int, end: int) -> None:
    now: datetime = timestamp(at(end)) + timedelta(minutes=5)
    with store.open() as connection:
        collect(connection, history, Window(at(start), at(end)), now=now)
        for number in (1, 2):
            sample(connection, number, end - 0.1, 1e6 * number + end, 1e7)
    derive(store, now=now)
    with store.open() as connection, transaction(connection):
        refresh(connection, now=now, markets=[])
