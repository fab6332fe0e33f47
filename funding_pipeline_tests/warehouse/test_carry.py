"""The macros and views of carry: equal to hand, to an independent loop and to the function."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.transforms.carry import CARRY, carry
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.lives import market_lives
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.transforms.cash_by_hand import Cash, agrees, cash, near
from funding_pipeline_tests.transforms.hour_by_hour import (
    FOREVER,
    Life,
    Row,
    at,
    lives_frame,
    series,
    settlements_frame,
)
from funding_pipeline_tests.transforms.strategies import lives, rows
from funding_pipeline_tests.warehouse import world
from funding_pipeline_tests.warehouse.stored import Markets, store

ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland"]
WINDOWS = {"24h": 24, "3d": 72, "7d": 168, "14d": 336, "30d": 720, "90d": 2160}
DAYS = 100
END = at(DAYS * 24)
SMALL: Markets = {
    "binance/BTC": series(*((h, ((h // 8) % 5 - 1) * 1e-4, 8) for h in range(8, DAYS * 24 + 1, 8))),
    "binance/ETH": series(  # 8 h, then 4 h, then 1 h after a hole of two days, 2 h behind the end
        *((h, 2e-4, 8) for h in range(8, 20 * 24 + 1, 8)),
        *((h, -1e-4, 4) for h in range(20 * 24 + 4, 60 * 24 + 1, 4)),
        *((h, 3e-5, 1) for h in range(62 * 24 + 1, DAYS * 24 - 1)),
    ),
    "hyperliquid/BTC": series(*((h, (h % 7 - 3) * 1e-5, 1) for h in range(1, DAYS * 24 + 1))),
    "hyperliquid/OLD": series(*((h, 1e-5, 1) for h in range(1, 10 * 24))),
}
LIVES: Mapping[str, Life] = {"binance/ETH": (at(0), None)}


def records(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None
) -> list[dict[str, Any]]:
    """Rows by their columns' names."""
    found = connection.execute(query, parameters)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {f"{row['exchange']}/{row['market']}": row for row in found}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The byte copy of a database with the small world."""
    database = Database(Settings(data_dir=tmp_path_factory.mktemp("carry")))
    with database.open() as connection:
        store(connection, SMALL, LIVES)
    publish(database)
    return database.read_path


@pytest.fixture
def reader(published: Path) -> Any:
    with duckdb.connect(str(published), read_only=True) as connection:
        yield connection


def expected(start: datetime, end: datetime) -> dict[str, Cash]:
    found = {name: cash(rows, LIVES.get(name, FOREVER), start, end) for name, rows in SMALL.items()}
    return {name: exact for name, exact in found.items() if exact}


def check(found: list[dict[str, Any]], exact: Mapping[str, Cash]) -> None:
    assert by_name(found).keys() == exact.keys()
    for name, row in by_name(found).items():
        assert agrees(row, exact[name]), (row, exact[name])


def test_by_hand(reader: duckdb.DuckDBPyConnection) -> None:
    """BTC on Binance settles -1, 0, 1, 2, 3 basis points in turn: stamps 16, 24, 32, 40 have
    1, 2, 3 and -1. Opened at 10:00, closed at 41:00, a short gets 5 basis points for 32 hours.
    """
    (row,) = records(
        reader,
        "FROM carry(TIMESTAMP '2025-01-01 10:00', TIMESTAMP '2025-01-02 17:00', 'binance', 'BTC')",
    )
    assert row.pop("short_carry") == pytest.approx(0.0005, rel=1e-12)
    assert row.pop("long_carry") == pytest.approx(-0.0005, rel=1e-12)
    assert row.pop("annualised") == pytest.approx(-0.0005 / 32 * 8760, rel=1e-12)
    assert row == {
        "exchange": "binance",
        "market": "BTC",
        "symbol": "BTC-",
        "asset": "BTC",
        "settlements": 4,
        "covered_hours": 32,
        "coverage": 1.0,
        "first_stamp": at(16),
        "last_stamp": at(40),
    }


SPANS = [
    (at(0), None),
    (at(0), END),
    (at(8), at(16)),
    (at(11.3), at(500.7)),
    (at(19 * 24), at(21 * 24)),
    (at(59 * 24 + 3), at(64 * 24)),
    (at(59 * 24 + 8), at(60 * 24 + 4)),  # a coverage of just 0.8, at the hour that was due
    (at(61 * 24), at(62 * 24)),
    (at(DAYS * 24 - 24), END + timedelta(days=40)),
    (at(DAYS * 24 - 0.5), None),
]


@pytest.mark.parametrize(("start", "end"), SPANS)
def test_equals_an_independent_loop(
    reader: duckdb.DuckDBPyConnection, start: datetime, end: datetime | None
) -> None:
    check(
        records(reader, "FROM carry(?, ?)", [start, end]),
        expected(start, min(end or END, END)),
    )


@pytest.mark.parametrize(("start", "end"), SPANS)
def test_the_running_sums_end_with_the_carry(
    reader: duckdb.DuckDBPyConnection, start: datetime, end: datetime | None
) -> None:
    running = records(reader, "FROM cumulative_funding(NULL, NULL, ?, ?)", [start, end])
    last = by_name(running)  # ordered by time: the last row of each market stays
    totals = by_name(records(reader, "FROM carry(?, ?)", [start, end]))
    assert last.keys() == totals.keys()
    for name, total in totals.items():
        assert last[name]["funding_time"] == total["last_stamp"]
        if total["coverage"] >= 0.8:
            assert last[name]["long_carry"] == total["long_carry"]
            assert last[name]["short_carry"] == total["short_carry"]


def test_cumulative_funding_has_a_row_for_each_settlement(
    reader: duckdb.DuckDBPyConnection,
) -> None:
    found = records(
        reader, "FROM cumulative_funding('binance', 'BTC', '2025-01-01 08:00', '2025-01-02')"
    )
    assert [(row["funding_time"], row["rate"], row["interval_hours"]) for row in found] == [
        (at(16), 1e-4, 8),
        (at(24), 2e-4, 8),
    ]
    assert [row["short_carry"] for row in found] == pytest.approx([1e-4, 3e-4], rel=1e-12)
    assert [row["long_carry"] for row in found] == pytest.approx([-1e-4, -3e-4], rel=1e-12)
    assert {(row["symbol"], row["asset"]) for row in found} == {("BTC-", "BTC")}


def test_filters(reader: duckdb.DuckDBPyConnection) -> None:
    whole = records(reader, "FROM carry('2025-01-05') ORDER BY ALL")
    assert len(whole) == 4

    def chosen(filters: str) -> list[dict[str, Any]]:
        return records(reader, f"FROM carry('2025-01-05', {filters}) ORDER BY ALL")

    assert chosen("exchange_ := 'binance'") == [r for r in whole if r["exchange"] == "binance"]
    assert chosen("asset_ := 'BTC'") == [r for r in whole if r["asset"] == "BTC"]
    assert chosen("NULL, 'hyperliquid', 'OLD'") == [r for r in whole if r["market"] == "OLD"]
    assert chosen("exchange_ := 'binance', asset_ := 'OLD'") == []


def test_windows_equal_an_independent_loop(reader: duckdb.DuckDBPyConnection) -> None:
    found = records(reader, "FROM carry_windows")
    assert {row["market"] for row in found} == {"BTC", "ETH"}, "not what stopped long ago"
    assert len(found) == 3 * len(WINDOWS)
    for row in found:
        name = f"{row['exchange']}/{row['market']}"
        as_of = SMALL[name][-1].time
        exact = cash(
            SMALL[name],
            LIVES.get(name, FOREVER),
            as_of - timedelta(hours=WINDOWS[row["window"]]),
            as_of,
        )
        assert exact is not None
        assert agrees(row | {"last_stamp": row["as_of"]}, exact), (row, exact)


def test_a_window_is_the_carry_since_its_start(reader: duckdb.DuckDBPyConnection) -> None:
    for row in records(reader, "FROM carry_windows WHERE exchange = 'hyperliquid'"):
        (same,) = records(
            reader,
            "FROM carry(?, ?, 'hyperliquid', 'BTC')",
            [row["as_of"] - timedelta(hours=WINDOWS[row["window"]]), row["as_of"]],
        )
        assert {name: row[name] for name in same if name in row} == {
            name: value for name, value in same.items() if name in row
        }


@pytest.mark.parametrize("zone", ZONES)
def test_the_session_s_time_zone_changes_nothing(published: Path, zone: str) -> None:
    """Around 2025-03-09, when New York's clocks change; whatever type the time comes in."""
    opened = datetime(2025, 3, 9)
    exact = expected(opened, END)
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        for moment in (
            "'2025-03-09'",
            "DATE '2025-03-09'",
            "TIMESTAMP '2025-03-09 00:00'",
            "TIMESTAMPTZ '2025-03-09 00:00:00+00'",
            "TIMESTAMPTZ '2025-03-08 19:00:00-05'",
        ):
            check(records(connection, f"FROM carry({moment})"), exact)
        for value in (opened, opened.replace(tzinfo=UTC), date(2025, 3, 9), "2025-03-09"):
            check(records(connection, "FROM carry(?)", [value]), exact)
        closed = datetime(2025, 3, 30, 1, tzinfo=UTC)
        check(
            records(connection, "FROM carry('2025-03-09', ?)", [closed]),
            expected(opened, closed.replace(tzinfo=None)),
        )
        running = records(
            connection, "FROM cumulative_funding('binance', 'BTC', ?, ?)", [opened, closed]
        )
        assert (running[0]["funding_time"], len(running)) == (datetime(2025, 3, 9, 8), 63)


def test_threads_change_not_one_bit(published: Path) -> None:
    answers = []
    for threads in (1, 4):
        with duckdb.connect(
            str(published), read_only=True, config={"threads": threads}
        ) as connection:
            answers.append(
                [
                    records(connection, f"FROM {source} ORDER BY ALL")
                    for source in ("carry('2025-01-01')", "carry_windows")
                ]
            )
    assert answers[0] == answers[1]


MINUTES = st.integers(-60 * 24, 60 * 24 * 30).map(lambda m: at(0) + timedelta(minutes=m))


@hypothesis_settings(max_examples=60, deadline=None)
@given(first=rows(), second=rows(), life=lives(), start=MINUTES, end=st.none() | MINUTES)
def test_equals_the_function(
    first: list[Row], second: list[Row], life: Life, start: datetime, end: datetime | None
) -> None:
    with world.memory() as connection:
        store(connection, {"a/A": first, "b/B": second}, {"a/A": life})
        found = records(
            connection,
            "SELECT market_id, c.* FROM carry(?, ?) c JOIN markets USING (exchange, market)",
            [start, end],
        )
    frame = settlements_frame({1: first, 2: second})
    same = carry(frame, lives_frame({1: life}), from_time=start, to_time=end)
    assert sorted(row["market_id"] for row in found) == same["market_id"].to_list()
    for row, other in zip(
        sorted(found, key=lambda r: r["market_id"]), same.iter_rows(named=True), strict=True
    ):
        for name in CARRY:
            if name in ("long_carry", "short_carry", "annualised") and row[name] is not None:
                assert near(other[name], Fraction(row[name])), name
            else:
                assert row[name] == other[name], name


def test_lives_are_those_of_the_derivation(database: Database) -> None:
    """Listed or not, delisted or not, asked before the first settlement or not."""
    begun = {"AAA": 48, "BBB": 0, "EEE": 24}  # the first is asked two days before, EEE one day
    history = {name: world.series(range(hour, 96, 8), name) for name, hour in begun.items()}
    with database.open() as connection:
        world.register(connection, world.listed(*begun), world.time_of(0))
        world.register(
            connection,
            [
                *world.listed(*begun),
                *world.listed("CCC", listed_at_ms=world.at(3.5)),
                *world.listed("DDD", live=False),
            ],
            world.time_of(1),
        )
        world.collect(connection, history, Window(world.at(0), world.at(100)))
        known = connection.execute("SELECT market_id FROM markets").fetchall()
        derived = market_lives(connection, [market_id for (market_id,) in known]).sort("market_id")
        viewed: pl.DataFrame = connection.sql("FROM base.lives ORDER BY market_id").pl()
    assert viewed.equals(derived)
    assert viewed["live_from"].to_list() == [
        world.time_of(40),
        None,
        None,
        world.time_of(3.5),
        None,
    ]
    assert viewed["live_to"].null_count() == 4


def recorded_rows(folder: Path, exchange: str, start: datetime, end: datetime) -> Markets:
    stamp = pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us")).dt.truncate("1h")
    recorded = (
        pl.scan_parquet(folder / f"{exchange}.parquet")
        .select("market", "rate", time=stamp, hours=pl.col("interval_hours").cast(pl.Int64))
        .filter(pl.col("time") > start, pl.col("time") <= end)
        .unique(["market", "time"])
        .sort("market", "time")
        .collect()
    )
    return {
        f"{exchange}/{market}": [Row(*row) for row in group.select(order).iter_rows()]
        for (market,), group in recorded.group_by("market")
        for order in (("time", "rate", "hours"),)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exchanges", "start", "end"),
    [
        (("binance", "bybit"), datetime(2026, 2, 15), datetime(2026, 3, 20)),
        (("bybit", "hyperliquid"), datetime(2024, 10, 1), datetime(2025, 5, 15)),
    ],
)
def test_recorded_settlements(
    recorded_dir: Path,
    database: Database,
    exchanges: tuple[str, ...],
    start: datetime,
    end: datetime,
) -> None:
    """A month and seven and a half of real changes and holes, from several times on."""
    markets: dict[str, list[Row]] = {}
    for exchange in exchanges:
        markets |= recorded_rows(recorded_dir, exchange, start, end)
    assert len(markets) > 300 if start.year == 2024 else len(markets) > 100
    newest = max(rows[-1].time for rows in markets.values())
    with database.open() as connection:
        store(connection, markets)
        for opened in (start, start + timedelta(days=10, hours=5, minutes=20)):
            found = records(connection, "FROM carry(?)", [opened])
            exact = {name: cash(rows, FOREVER, opened, newest) for name, rows in markets.items()}
            check(found, {name: one for name, one in exact.items() if one})
        windows = records(connection, "FROM carry_windows WHERE \"window\" IN ('24h', '30d')")
        assert windows
        for row in windows:
            history = markets[f"{row['exchange']}/{row['market']}"]
            opened = row["as_of"] - timedelta(hours=WINDOWS[row["window"]])
            whole = cash(history, FOREVER, opened, row["as_of"])
            assert whole is not None
            assert agrees(row | {"last_stamp": row["as_of"]}, whole)
