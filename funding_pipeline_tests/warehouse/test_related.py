"""Alike markets, refreshed once a day, and the relations that a query walks."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import polars as pl
import pytest

from funding_pipeline.domain.records import Market
from funding_pipeline.transforms import alike
from funding_pipeline.warehouse import related as related_module
from funding_pipeline.warehouse.database import Database, transaction, visible
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.related import refresh
from funding_pipeline_tests.transforms.hour_by_hour import Row, settlements_frame
from funding_pipeline_tests.transforms.test_alike import Rates, defined, paid

MIDNIGHT = datetime(2025, 1, 31)
NOW = MIDNIGHT + timedelta(hours=2)
HOUR = timedelta(hours=1)
TABLES = ("rate_correlations", "asset_correlations", "neighbours", "alike_refreshes")
Key = tuple[str, str]


def market(name: str, symbol: str = "AAA", **more: Any) -> Market:
    return Market(market=name, symbol=symbol, **{"quote": "USD", "settle": "USD", **more})


def hourly(values: Sequence[float], *, end: datetime = MIDNIGHT, interval: int = 1) -> list[Row]:
    """Settlements up to `end`, the last value's stamp; values are rates per hour."""
    last = len(values) - 1
    return [
        Row(end - (last - i) * interval * HOUR, value * interval, interval)
        for i, value in enumerate(values)
    ]


def stock(connection: duckdb.DuckDBPyConnection, histories: Mapping[Key, Sequence[Row]]) -> None:
    """Settlements of markets that are listed already."""
    ids = _ids(connection)
    frame = settlements_frame({ids[key]: list(rows) for key, rows in histories.items()})
    with visible(connection, "history", frame):
        connection.execute(
            """INSERT INTO settlements BY NAME
            SELECT *, 'settled' AS kind, '' AS raw_rate, 0 AS lag_ms, 'api' AS source,
                   1 AS load_id, funding_time AS collected_at FROM history ORDER BY funding_time"""
        )


def _ids(connection: duckdb.DuckDBPyConnection) -> dict[Key, int]:
    found = connection.execute("SELECT exchange, market, market_id FROM markets").fetchall()
    return {(exchange, name): number for exchange, name, number in found}


def refreshed(connection: duckdb.DuckDBPyConnection, now: datetime = NOW) -> int:
    with transaction(connection):
        return refresh(connection, now=now, markets=[])


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: connection.execute(f"FROM base.{table} ORDER BY ALL").fetchall() for table in TABLES
    }


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


# --- alike


def invented() -> dict[Key, list[Row]]:
    """5 assets on 4 exchanges: moods shared by asset, holes, short histories, constants."""
    random = Random(5)
    mood = {name: [random.gauss(0, 1) for _ in range(720)] for name in "ABCD"}

    def like(asset: str, share: float, interval: int = 1) -> list[Row]:
        values = [
            1e-5 + 1e-6 * (share * mood[asset][i] + (1 - share) * random.gauss(0, 1))
            for i in range(interval - 1, 720, interval)
        ]
        return hourly(values, interval=interval)

    def holed(history: list[Row], start: int, end: int) -> list[Row]:
        return [r for r in history if not MIDNIGHT - end * HOUR <= r.time < MIDNIGHT - start * HOUR]

    return {
        ("binance", "A"): like("A", 0.9, 8),
        ("binance", "B"): like("B", 0.9, 8),
        ("binance", "C"): like("C", 0.9, 4),
        ("binance", "E"): hourly([0.0000125] * 90, interval=8),
        ("bybit", "A"): like("A", 0.8, 8),
        ("bybit", "B"): like("B", 0.7, 4),
        ("bybit", "D"): like("D", 0.9),
        ("gate", "A"): holed(like("A", 0.6), 50, 90),
        ("gate", "B"): holed(like("B", 0.6), 50, 90),
        ("gate", "D"): holed(like("D", 0.6), 20, 30),
        ("okx", "A"): like("A", 0.5)[-500:],
        ("okx", "B"): like("B", 0.5),
        ("okx", "C"): like("C", 0.5)[100:],
        ("okx", "E"): hourly([0.0000125] * 720),
    }


@pytest.fixture
def stocked(database: Database) -> Database:
    histories = invented()
    with database.open() as connection:
        for exchange in ("binance", "bybit", "gate", "okx"):
            names = [name for where, name in histories if where == exchange]
            record_markets(connection, exchange, [market(n, n) for n in names], NOW)
        stock(connection, histories)
    return database


def test_pairs_of_an_asset_equal_the_definition(stocked: Database) -> None:
    exact = {key: paid(history, MIDNIGHT) for key, history in invented().items()}
    with stocked.open() as connection:
        assert refreshed(connection) == sum(len(tables(connection)[name]) for name in TABLES[:3])
        found = rows(
            connection,
            """SELECT asset, exchange, market, other_exchange, other_market, common_hours,
                      coverage, correlation, cosine, as_of FROM rate_correlations""",
        )
    expected = {
        (one, two)
        for one, two in combinations(sorted(exact), 2)
        if one[0] != two[0] and one[1] == two[1]
    }
    assert {(row[1:3], row[3:5]) for row in found} == expected
    unknown = set()
    for asset, exchange, name, other, other_name, hours, coverage, *figures, as_of in found:
        pair = defined(exact[exchange, name], exact[other, other_name])
        assert (asset, hours, coverage, as_of) == (name, pair.hours, pair.hours / 720, MIDNIGHT)
        assert figures == pytest.approx(pair[1:], abs=1e-12)
        if pair.correlation is None:
            unknown.add((asset, hours))
    assert unknown == {("A", 500), ("A", 460), ("E", 720)}


def best_neighbours(exact: Mapping[Key, Rates], number: int) -> list[tuple[Any, ...]]:
    """The rows of the view, of all pairs written out; without as_of."""
    expected = []
    for mine in exact:
        others = [(defined(exact[mine], exact[other]), other) for other in exact if other != mine]
        for column, measure in ((1, "correlation"), (2, "cosine")):
            mates = [(pair[column], other, pair[0]) for pair, other in others if pair[column]]
            best = sorted((mate for mate in mates if mate[0] > 0), reverse=True)[:number]
            expected += [
                (*mine, measure, rank, *other, other[1] == mine[1], value, hours)
                for rank, (value, other, hours) in enumerate(best, start=1)
            ]
    return sorted(expected, key=lambda row: row[:4])


def check_neighbours(connection: duckdb.DuckDBPyConnection, exact: Mapping[Key, Rates]) -> set[Key]:
    """Compare with all pairs written out; returns the markets that have neighbours."""
    found = rows(
        connection,
        """SELECT exchange, market, measure, rank, other_exchange, other_market, same_asset,
                  similarity, common_hours FROM neighbours
        ORDER BY exchange, market, measure, rank""",
    )
    expected = best_neighbours(exact, alike.NEIGHBOURS)
    assert [row[:7] for row in found] == [row[:7] for row in expected]
    assert [row[7:] for row in found] == [pytest.approx(row[7:], abs=1e-12) for row in expected]
    return {row[:2] for row in found}


@pytest.mark.parametrize("block", [1, 3, 128])
def test_neighbours_are_the_most_alike_of_all_markets(
    stocked: Database, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(related_module, "_BLOCK", block)
    monkeypatch.setattr(alike, "NEIGHBOURS", 4)
    exact = {key: paid(history, MIDNIGHT) for key, history in invented().items()}
    with stocked.open() as connection:
        refreshed(connection)
        shown = check_neighbours(connection, exact)
    assert ("okx", "A") not in shown, "500 hours are too few"
    assert not {key for key in shown if key[1] == "E"}, "constants are no neighbours"


def test_what_only_one_measure_finds_alike_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few places, and levels to either side: what moves alike mostly pays the other way."""
    monkeypatch.setattr(related_module, "_BLOCK", 4)
    monkeypatch.setattr(alike, "NEIGHBOURS", 1)
    random = Random(11)
    moods = [[random.gauss(0, 1) for _ in range(720)] for _ in range(2)]
    histories = {}
    for number in range(24):
        mood, level = moods[number % 2], (-1) ** (number // 2) * 1e-5
        share = random.random()
        histories["gate", f"M{number:02}"] = hourly(
            [level + 1e-6 * (share * mood[i] + random.gauss(0, 1)) for i in range(720)]
        )
    with database.open() as connection:
        record_markets(connection, "gate", [market(n, n) for _, n in histories], NOW)
        stock(connection, histories)
        refreshed(connection)
        check_neighbours(connection, {k: paid(h, MIDNIGHT) for k, h in histories.items()})


def test_assets_are_means_of_their_markets(
    stocked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(related_module, "ASSETS", 3)
    with stocked.open() as connection:
        refreshed(connection)
        found = rows(connection, "FROM asset_correlations ORDER BY ALL")
    means = {}
    for asset in "ABC":
        members = [
            paid(history, MIDNIGHT)
            for (exchange, name), history in invented().items()
            if name == asset and (exchange, name) != ("okx", "A")
        ]
        means[asset] = {
            hour: sum(one[hour] for one in members if hour in one)
            / sum(hour in one for one in members)
            for hour in range(1, 721)
        }
    assert [row[:2] for row in found] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [row[6:8] for row in found] == [(3, 4), (3, 2), (4, 2)]
    for asset, other, correlation, cosine, hours, coverage, *_, as_of in found:
        pair = defined(means[asset], means[other])
        assert (hours, coverage, as_of) == (720, 1.0, MIDNIGHT)
        assert (correlation, cosine) == pytest.approx(pair[1:], abs=1e-12)


# --- when


def test_once_a_day_an_hour_after_midnight(stocked: Database) -> None:
    with stocked.open() as connection:
        early = MIDNIGHT + timedelta(minutes=59)
        assert refreshed(connection, early) > 0
        assert rows(connection, "SELECT DISTINCT as_of FROM neighbours") == [
            (MIDNIGHT - timedelta(days=1),)
        ]
        assert refreshed(connection, MIDNIGHT + HOUR) > 0
        before = tables(connection)
        assert rows(connection, "SELECT DISTINCT as_of FROM neighbours") == [(MIDNIGHT,)]
        for hours in (1, 5, 24):
            assert refreshed(connection, MIDNIGHT + hours * HOUR) == 0
        assert tables(connection) == before
        connection.execute("UPDATE base.alike_refreshes SET markets = 1")
        assert refreshed(connection, early) == 0, "never back"
        connection.execute("UPDATE base.alike_refreshes SET markets = 13")
        assert tables(connection) == before
        assert refreshed(connection, MIDNIGHT + 25 * HOUR) > 0


def test_refreshed_again_equals_made_from_nothing(stocked: Database) -> None:
    with stocked.open() as connection:
        refreshed(connection, NOW - timedelta(days=1))
        refreshed(connection)
        piecewise = tables(connection)
        for table in TABLES:
            connection.execute(f"DELETE FROM base.{table}")
        connection.execute("SET threads = 1")
        refreshed(connection)
        assert tables(connection) == piecewise


def test_a_day_s_tables_are_made_again_while_markets_still_come(stocked: Database) -> None:
    """13 of 14 markets cover the window; a tenth more is two."""
    with stocked.open() as connection:
        refreshed(connection)
        assert rows(connection, "FROM base.alike_refreshes") == [(MIDNIGHT, 13)]
        for number, written in ((1, False), (2, True)):
            name = f"NEW{number}"
            listed = [market(f"NEW{i}", "A") for i in range(1, number + 1)]
            record_markets(connection, "kraken", listed, NOW)
            stock(connection, {("kraken", name): hourly([1e-5, 2e-5, 4e-5] * 240)})
            assert (refreshed(connection) > 0) == written
        assert rows(connection, "FROM base.alike_refreshes") == [(MIDNIGHT, 15)]
        assert rows(connection, "SELECT count(*) FROM neighbours WHERE exchange = 'kraken'") != [
            (0,)
        ]


def test_a_refresh_that_fails_leaves_the_old_tables_and_nothing_else(
    stocked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stocked.open() as connection:
        refreshed(connection, NOW - timedelta(days=1))
        before = tables(connection)
        with monkeypatch.context() as patch:
            patch.setattr(related_module, "_write_assets", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                refreshed(connection)
            patch.setattr(related_module, "_write_assets", lambda c, *_: c.execute("SELECT nosuch"))
            with pytest.raises(duckdb.BinderException):
                refreshed(connection)
        assert tables(connection) == before
        assert refreshed(connection) > 0
        assert rows(connection, "SELECT table_name FROM duckdb_tables() WHERE temporary") == []


def test_without_settlements_there_is_nothing_alike(database: Database) -> None:
    with database.open() as connection:
        assert refreshed(connection) == 0
        record_markets(connection, "gate", [market("A", "A"), market("B", "B")], NOW)
        assert refreshed(connection) == 0
        stock(connection, {("gate", "A"): hourly([1e-5, 2e-5] * 50)})
        assert refreshed(connection, NOW + timedelta(days=1)) == 0
        assert tables(connection)["neighbours"] == []


# --- relations


def record(database: Database, **exchanges: Sequence[Market]) -> None:
    with database.open() as connection:
        for exchange, listed in exchanges.items():
            record_markets(connection, exchange, listed, NOW)


def walked(database: Database, arguments: str) -> list[tuple[Any, ...]]:
    """What a reader of the closed file finds."""
    with duckdb.connect(str(database.path), read_only=True) as connection:
        return rows(connection, f"FROM related({arguments})")


def relations(database: Database, exchange: str, name: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database.path), read_only=True) as connection:
        return connection.execute(
            """SELECT relation, other_exchange, other_market, detail FROM relations
            WHERE exchange = ? AND market = ? ORDER BY ALL""",
            [exchange, name],
        ).fetchall()


def test_relations_of_one_asset(database: Database) -> None:
    record(
        database,
        binance=[
            market("PEPEUSDT", "PEPE", quote="USDT", settle="USDT", multiplier=1000),
            market("PEPEUSDC", "PEPE", quote="USDC", settle="USDC", multiplier=1000),
            market("BTCUSDT", "BTC", quote="USDT", settle="USDT"),
        ],
        hyperliquid=[market("kPEPE", "PEPE", multiplier=1000)],
        okx=[market("PEPE-USDT", "PEPE", quote="USDT", settle="USDT")],
    )
    assert relations(database, "binance", "PEPEUSDT") == [
        ("multiplier of", "okx", "PEPE-USDT", "1000 : 1"),
        ("other quote or settle of", "binance", "PEPEUSDC", "USDT/USDT : USDC/USDC"),
        ("same asset on", "hyperliquid", "kPEPE", "PEPE"),
        ("same asset on", "okx", "PEPE-USDT", "PEPE"),
    ]
    assert ("multiplier of", "binance", "PEPEUSDT", "1 : 1000") in relations(
        database, "okx", "PEPE-USDT"
    )
    assert relations(database, "binance", "BTCUSDT") == []


def test_a_multiple_on_one_exchange_is_that_and_nothing_else(database: Database) -> None:
    record(database, gate=[market("MOG", "MOG"), market("1MMOG", "MOG", multiplier=1_000_000)])
    assert relations(database, "gate", "1MMOG") == [("multiplier of", "gate", "MOG", "1000000 : 1")]


def test_builder_dexes_of_one_exchange_lie_beside_each_other(database: Database) -> None:
    record(
        database,
        hyperliquid=[
            market("xyz:NVDA", "NVDA", settle="USDC"),
            market("flx:NVDA", "NVDA", settle="USDC"),
            market("km:NVDA", "NVDA", settle="USDH"),
            market("xyz:TSLA", "TSLA", settle="USDC"),
        ],
        ethereal=[market("NVDA", "NVDA")],
    )
    assert relations(database, "hyperliquid", "xyz:NVDA") == [
        ("other quote or settle of", "hyperliquid", "km:NVDA", "USD/USDC : USD/USDH"),
        ("same asset beside", "hyperliquid", "flx:NVDA", "NVDA"),
        ("same asset on", "ethereal", "NVDA", "NVDA"),
    ]


def test_an_asset_that_nothing_tells_apart_relates_to_none(database: Database) -> None:
    record(database, gate=[market("X", "X")], okx=[market("X", "X")])
    assert len(relations(database, "gate", "X")) == 1
    with database.open() as connection:
        connection.execute("UPDATE base.markets SET asset = NULL WHERE exchange = 'okx'")
    assert relations(database, "gate", "X") == []


def test_since_is_when_both_were_there(database: Database) -> None:
    early, late = 1_600_000_000_000, 1_700_000_000_000
    record(
        database,
        gate=[market("X", "X", listed_at_ms=early)],
        okx=[market("X", "X", listed_at_ms=late), market("Y", "X", quote="EUR")],
    )
    with database.open() as connection:
        found = rows(
            connection,
            "SELECT other_exchange, other_market, since FROM relations WHERE exchange = 'gate'",
        )
    assert sorted(found) == [
        ("okx", "X", datetime(2023, 11, 14, 22, 13, 20)),
        ("okx", "Y", NOW),
    ]


MATIC = {
    "binance": [
        market("MATICUSDT", "MATIC", quote="USDT", settle="USDT", live=False),
        market("POLUSDT", "POL", quote="USDT", settle="USDT", listed_at_ms=1_726_000_000_000),
        market("POLUSDC", "POL", quote="USDC", settle="USDC"),
    ],
    "bybit": [market("POLUSDT", "POL", quote="USDT", settle="USDT")],
    "dydx": [market("MATIC-USD", "MATIC")],
    "kraken": [market("PF_MKRUSD", "MKR"), market("PF_SKYUSD", "SKY")],
}


def test_a_rename_is_told_from_both_ends_with_its_ratio(database: Database) -> None:
    record(database, **MATIC)
    assert relations(database, "binance", "MATICUSDT") == [
        ("renamed to", "binance", "POLUSDT", "1 : 1"),
        ("same asset on", "dydx", "MATIC-USD", "MATIC"),
    ]
    assert ("renamed from", "binance", "MATICUSDT", "1 : 1") in relations(
        database, "binance", "POLUSDT"
    )
    assert relations(database, "kraken", "PF_MKRUSD") == [
        ("renamed to", "kraken", "PF_SKYUSD", "1 : 24000")
    ]
    assert relations(database, "kraken", "PF_SKYUSD") == [
        ("renamed from", "kraken", "PF_MKRUSD", "24000 : 1")
    ]
    with database.open() as connection:
        assert rows(
            connection, "SELECT DISTINCT since FROM relations WHERE other_market = 'POLUSDT' AND "
            "relation = 'renamed to'"
        ) == [(datetime(2024, 9, 10, 20, 26, 40),)]  # fmt: skip


def test_walking_from_an_old_name_reaches_the_new_one_everywhere(database: Database) -> None:
    record(database, **MATIC)
    assert walked(database, "'dydx', 'MATIC-USD'") == [
        ("binance", "MATICUSDT", 1, ["same asset on binance MATICUSDT"]),
        (
            "binance",
            "POLUSDT",
            2,
            ["same asset on binance MATICUSDT", "renamed to binance POLUSDT"],
        ),
        (
            "binance",
            "POLUSDC",
            3,
            [
                "same asset on binance MATICUSDT",
                "renamed to binance POLUSDT",
                "other quote or settle of binance POLUSDC",
            ],
        ),
        (
            "bybit",
            "POLUSDT",
            3,
            [
                "same asset on binance MATICUSDT",
                "renamed to binance POLUSDT",
                "same asset on bybit POLUSDT",
            ],
        ),
    ]
    assert [row[:3] for row in walked(database, "'dydx', 'MATIC-USD', depth := 1")] == [
        ("binance", "MATICUSDT", 1)
    ]
    assert walked(database, "'dydx', 'MATIC-USD', depth := 0") == []
    assert walked(database, "'dydx', 'NONE'") == []


def rename(database: Database, *pairs: tuple[str, str]) -> None:
    """Say that (new) was (old) before, on gate."""
    with database.open() as connection:
        for new, old in pairs:
            connection.execute(
                """UPDATE base.symbol_registry SET predecessor = ?, predecessor_ratio = 1
                WHERE market_id = (
                    SELECT market_id FROM markets WHERE exchange = 'gate' AND market = ?)""",
                [old, new],
            )


def test_a_chain_of_names_is_walked_to_its_end_and_no_further_than_asked(
    database: Database,
) -> None:
    names = [f"N{i}" for i in range(6)]
    record(database, gate=[market(name, name) for name in names])
    rename(database, *((new, old) for old, new in pairwise(names)))
    assert [row[1:3] for row in walked(database, "'gate', 'N0'")] == [
        ("N1", 1), ("N2", 2), ("N3", 3)
    ]  # fmt: skip
    assert [row[1:3] for row in walked(database, "'gate', 'N2', depth := 9")] == [
        ("N1", 1), ("N3", 1), ("N0", 2), ("N4", 2), ("N5", 3)
    ]  # fmt: skip
    assert walked(database, "'gate', 'N0', depth := 9")[-1][3] == [
        f"renamed to gate N{i}" for i in range(1, 6)
    ]


def test_a_circle_of_names_ends(database: Database) -> None:
    record(database, gate=[market(name, name) for name in "ABC"])
    rename(database, ("A", "C"), ("B", "A"), ("C", "B"))
    assert walked(database, "'gate', 'A', depth := 50") == [
        ("gate", "B", 1, ["renamed to gate B"]),
        ("gate", "C", 1, ["renamed from gate C"]),
    ]
    rename(database, ("A", "A"))
    assert [row[1:3] for row in walked(database, "'gate', 'A', depth := 50")] == [
        ("B", 1), ("C", 2)
    ]  # fmt: skip


def test_of_equally_short_paths_the_first_of_the_alphabet_is_shown(database: Database) -> None:
    listed = [market("OLD", "OLD"), market("N2", "N", quote="EUR"), market("N1", "N")]
    record(database, gate=listed, okx=[market("N", "N")])
    rename(database, ("N1", "OLD"), ("N2", "OLD"))
    assert walked(database, "'gate', 'OLD'")[-1] == (
        "okx",
        "N",
        2,
        ["renamed to gate N1", "same asset on okx N"],
    )


def test_each_market_is_reached_once_by_a_shortest_path(database: Database) -> None:
    """Against a breadth-first search written out, over a world with all relations."""
    random = Random(3)
    exchanges = ["binance", "bybit", "gate", "okx"]
    listed = {
        exchange: [
            market(
                f"M{i}",
                f"S{random.randrange(5)}",
                multiplier=random.choice([1, 1000]),
                quote=random.choice(["USDT", "USDC"]),
            )
            for i in range(8)
        ]
        for exchange in exchanges
    }
    record(database, **listed)
    rename(database, ("M1", "M2"), ("M3", "M4"))
    with database.open() as connection:
        edges = rows(
            connection,
            "SELECT exchange, market, relation, other_exchange, other_market FROM relations",
        )
    told = {(one, two): set() for one, two in {(edge[:2], edge[3:]) for edge in edges}}
    for edge in edges:
        told[edge[:2], edge[3:]].add(edge[2])
    start = ("gate", "M1")
    distance = {start: 0}
    frontier = [start]
    while frontier:
        reached = {two for one, two in told if one in frontier and two not in distance}
        distance |= dict.fromkeys(reached, distance[frontier[0]] + 1)
        frontier = sorted(reached)
    del distance[start]
    for depth in (1, 2, 3, 12):
        found = walked(database, f"'gate', 'M1', depth := {depth}")
        assert {row[:2]: row[2] for row in found} == {
            name: steps for name, steps in distance.items() if steps <= depth
        }
        assert len(found) == len({row[:2] for row in found})
        for exchange, name, steps, path in found:
            assert len(path) == steps
            place = start
            for step in path:
                relation, *there = step.rsplit(" ", 2)
                assert relation in told[place, tuple(there)]
                place = tuple(there)
            assert place == (exchange, name)


# --- recorded


@pytest.mark.slow
def test_recorded_rates(database: Database, recorded_dir: Path) -> None:
    """January 2025 of bybit and hyperliquid: all pairs, and some markets' neighbours."""
    start, end = MIDNIGHT - timedelta(hours=760), MIDNIGHT + timedelta(hours=24)
    stamp = pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us")).dt.truncate("1h")
    histories: dict[Key, list[Row]] = {}
    for exchange in ("bybit", "hyperliquid"):
        groups = (
            pl.scan_parquet(recorded_dir / f"{exchange}.parquet")
            .select("market", "rate", time=stamp, hours=pl.col("interval_hours").cast(pl.Int64))
            .filter(pl.col("time") > start, pl.col("time") < end)
            .unique(["market", "time"])
            .sort("market", "time")
            .collect()
            .partition_by("market", as_dict=True, maintain_order=True)
        )
        listed = []
        for (name,), group in groups.items():
            histories[exchange, name] = [
                Row(*row) for row in group.select("time", "rate", "hours").iter_rows()
            ]
            listed.append(market(name, name.removesuffix("USDT"), quote="USDT"))
        with database.open() as connection:
            record_markets(connection, exchange, listed, NOW)
    with database.open() as connection:
        stock(connection, histories)
        refreshed(connection)
        pairs = rows(
            connection,
            """SELECT exchange, market, other_exchange, other_market, common_hours, correlation,
                      cosine FROM rate_correlations""",
        )
        neighbours = rows(
            connection,
            """SELECT exchange, market, measure, other_exchange, other_market, similarity
            FROM neighbours ORDER BY ALL""",
        )
    exact = {key: paid(history, MIDNIGHT) for key, history in histories.items()}
    assert len(pairs) > 60
    for exchange, name, other, other_name, *figures in pairs:
        expected = defined(exact[exchange, name], exact[other, other_name])
        assert figures == pytest.approx(list(expected), abs=1e-12)
    assert sum(row[5] is not None for row in pairs) > 60
    for mine in (("bybit", "BTCUSDT"), ("hyperliquid", "ETH")):
        others = {other: defined(exact[mine], exact[other]) for other in exact if other != mine}
        for column, measure in ((1, "correlation"), (2, "cosine")):
            best = sorted((pair[column] for pair in others.values() if pair[column]), reverse=True)
            found = [row[3:] for row in neighbours if row[:3] == (*mine, measure)]
            values = sorted((similarity for *_, similarity in found), reverse=True)
            assert values == pytest.approx(best[:10], abs=1e-12)
            for *other, similarity in found:
                assert similarity == pytest.approx(others[tuple(other)][column], abs=1e-12)
