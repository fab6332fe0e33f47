"""Spreads and opportunities in a database: prices, fees, reasons, views, late settlements."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from funding_pipeline.transforms import fees
from funding_pipeline.transforms.opportunities import OPPORTUNITIES, Rule
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse import spreads as spreads_module
from funding_pipeline.warehouse.database import migrate, migrations, visible
from funding_pipeline.warehouse.holds import apply_holds
from funding_pipeline.warehouse.opportunities import refresh_opportunities, replay
from funding_pipeline.warehouse.spread_ranks import rank_spreads
from funding_pipeline.warehouse.spreads import refresh
from funding_pipeline_tests.transforms.hour_by_hour import HOUR, Row, at, series, settlements_frame
from funding_pipeline_tests.transforms.pairs_hour_by_hour import WINDOWS, slow_log, spreads
from funding_pipeline_tests.warehouse.stored import hold
from funding_pipeline_tests.warehouse.world import memory, rows

TEN_MINUTES = timedelta(minutes=10)
HOURLY = series(*((h, 0.0, 1) for h in range(1, 760)))
# Twenty hours at 0.0002, again and again, from hour 100 on.
RICH = series(*((h, 0.0002 if h >= 100 and h % 60 < 20 else 0.0, 1) for h in range(1, 760)))
EIGHT = series(*((h, 0.004 if 300 <= h < 400 else -0.0008, 8) for h in range(8, 760, 8)))


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory() as open_connection:
        yield open_connection


def add_market(connection: duckdb.DuckDBPyConnection, market_id: int, **facts: Any) -> None:
    known = {
        "market_id": market_id,
        "exchange": ("binance", "bybit", "lighter", "okx")[market_id - 1],
        "market": f"M{market_id}",
        "symbol": "AAA",
        "multiplier": 1,
        "quote": "USDT",
        "settle": "USDT",
        "status": "live",
        "first_seen": at(0),
        "last_seen": at(0),
        "asset": "AAA",
        "asset_by": "price",
        **facts,
    }
    names, marks = ", ".join(known), ", ".join("?" * len(known))
    connection.execute(f"INSERT INTO base.markets ({names}) VALUES ({marks})", list(known.values()))


def settle(
    connection: duckdb.DuckDBPyConnection, markets: Mapping[int, Sequence[Row]], load_id: int = 1
) -> None:
    """Make these all settlements that there are."""
    frame = settlements_frame({market: list(series) for market, series in markets.items()})
    connection.execute("DELETE FROM settlements")
    with visible(connection, "frame", frame):
        connection.execute(
            """INSERT INTO settlements BY NAME SELECT *, 'settled' AS kind, 'x' AS raw_rate,
            0 AS lag_ms, 'api' AS source, ? AS load_id, funding_time AS collected_at
            FROM frame ORDER BY funding_time, market_id""",
            [load_id],
        )
    connection.execute(
        """UPDATE base.markets SET first_settlement = s.first, last_settlement = s.last
        FROM (SELECT market_id, min(funding_time) AS first, max(funding_time) AS last
              FROM settlements GROUP BY market_id) s WHERE s.market_id = markets.market_id"""
    )


def estimate(
    connection: duckdb.DuckDBPyConnection,
    market_id: int,
    time: datetime,
    mark: float | None = None,
    interest: float | None = None,
    volume: float | None = None,
) -> None:
    connection.execute(
        """INSERT INTO base.predicted_rates (market_id, observed_at, rate, raw_rate,
            interval_hours, mark_price, open_interest_usd, volume_24h_usd)
        VALUES (?, ?, 0, '0', 1, ?, ?, ?)""",
        [market_id, time, mark, interest, volume],
    )


@pytest.fixture
def two(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Lighter, 8 h, without fees, and Bybit, hourly, whose takers pay 5.5 bps; hour 240."""
    add_market(connection, 2)
    add_market(connection, 3, multiplier=1000, market="kAAA")
    settle(connection, {2: HOURLY[:240], 3: [row for row in EIGHT if row.time <= at(240)]})
    return connection


NOW = at(240) + TEN_MINUTES


def dictionaries(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = connection.execute(sql)
    names = [name for name, *_ in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_one_pair_by_hand(two: duckdb.DuckDBPyConnection) -> None:
    """-0.0001 an hour on Lighter against 0: long there. Four fees: 2 * (5.5 + 0) bps = 0.0011,
    which 11 hours pay. Of a week's 0.0168 are left 0.0157: 365 / 7 times that a year.
    """
    estimate(two, 2, at(239.9), mark=0.99, interest=500_000, volume=3e6)
    estimate(two, 3, at(239.8), mark=1000.0, interest=400_000, volume=4e6)
    assert refresh(two, now=NOW, markets=[]) == 6 + 1
    (week,) = dictionaries(two, """SELECT * FROM spreads WHERE "window" = '7d'""")
    expected = {
        "asset": "AAA",
        "long_exchange": "lighter",
        "long_market": "kAAA",
        "short_exchange": "bybit",
        "short_market": "M2",
        "window": "7d",
        "as_of": at(240),
        "age_hours": 0,
        "rate_hourly": 0.0001,
        "apr": 0.876,
        "fees_taker": 0.0011,
        "fees_maker": 0.0004,
        "fees_assumed": False,
        "break_even_hours_taker": 11.0,
        "break_even_hours_maker": 4.0,
        "holding_hours": 168,
        "net_apr_taker": 0.0157 * 365 / 7,
        "net_apr_maker": 0.0164 * 365 / 7,
        "hours": 168,
        "coverage": 1.0,
        "same_direction_share": 1.0,
        "alive_hours": 240,
        "half_life_hours": None,
        "basis": 0.99 / 1.0 - 1,
        "priced_at": at(239.8),
        "open_interest_usd": 400_000.0,
        "volume_24h_usd": 3e6,
        "long_interval_hours": 8,
        "short_interval_hours": 1,
        "settlement_mismatch": True,
        "symbol": "AAA",
        "refreshed_at": NOW,
    }
    assert week.keys() == expected.keys()
    for name, value in expected.items():
        wanted = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
        assert week[name] == wanted, name
    windows = rows(two, 'SELECT "window", holding_hours FROM spreads ORDER BY 2, 1')
    assert windows == [("24h", 24), ("latest", 24), ("3d", 72), ("7d", 168)]
    left_out = rows(
        two,
        'SELECT "window", reason, round(coverage, 2), rate_hourly '
        "FROM spread_exclusions ORDER BY 1",
    )
    assert left_out == [("14d", "coverage", 0.71, None), ("30d", "coverage", 0.33, None)]
    assert rows(two, "SELECT rank, long_market FROM top_spreads") == [(1, "kAAA")]


RANKED = """SELECT row_number() OVER (ORDER BY net_apr_taker DESC, long_exchange, long_market,
    short_exchange, short_market) AS rank, * FROM spreads WHERE "window" = '7d' ORDER BY rank"""


@pytest.fixture
def tied(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Four exchanges, on two of which rates and fees are the same: their pairs go by name, which is
    not the order of their ids.
    """
    add_market(connection, 1)
    add_market(connection, 2)
    add_market(connection, 3, exchange="velocity")
    add_market(connection, 4, exchange="lighter")
    flat = HOURLY[:240]
    steep = [Row(row.time, 3 * row.rate + 1e-5, row.interval) for row in flat]
    zero = [Row(row.time, 0.0, row.interval) for row in flat]
    settle(connection, {1: flat, 2: steep, 3: zero, 4: zero})
    return connection


def ranked_as_shown(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    found = dictionaries(connection, "FROM top_spreads")
    assert found == dictionaries(connection, RANKED)
    assert rows(connection, "DESCRIBE top_spreads") == rows(connection, f"DESCRIBE {RANKED}")
    return found


def test_the_stored_ranks_are_the_order_of_what_is_shown(
    tied: duckdb.DuckDBPyConnection,
) -> None:
    refresh(tied, now=NOW, markets=[])
    tied.execute("UPDATE base.spread_legs SET maker = 0, taker = 0 WHERE market_id IN (3, 4)")
    rank_spreads(tied)
    everything = ranked_as_shown(tied)
    assert len(everything) == 6
    assert everything[0]["net_apr_taker"] == everything[1]["net_apr_taker"]
    hold(tied, everything[0]["long_exchange"])
    assert 0 < len(ranked_as_shown(tied)) < 6
    tied.execute("DELETE FROM holds")
    apply_holds(tied)
    assert ranked_as_shown(tied) == everything


def test_new_spreads_are_ranked(tied: duckdb.DuckDBPyConnection) -> None:
    refresh(tied, now=NOW, markets=[])
    assert len(ranked_as_shown(tied)) == 6


def test_spreads_of_an_existing_database_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    with duckdb.connect() as connection:
        monkeypatch.setattr(database_module, "migrations", lambda: [m for m in known if m[0] < 17])
        migrate(connection)
        for market_id in (1, 2, 3):
            add_market(connection, market_id)
        settle(connection, {1: HOURLY[:240], 2: HOURLY[:240], 3: EIGHT[:30]})
        monkeypatch.setattr(spreads_module, "rank_spreads", lambda _: None)
        refresh(connection, now=NOW, markets=[])
        before = dictionaries(connection, "FROM top_spreads")
        assert [row["rank"] for row in before] == [1, 2, 3]
        monkeypatch.setattr(database_module, "migrations", lambda: known)
        migrate(connection)
        assert ranked_as_shown(connection) == before


def test_the_view_has_the_formulas_of_the_transforms(two: duckdb.DuckDBPyConnection) -> None:
    refresh(two, now=NOW, markets=[])
    hours = pl.col("holding_hours")
    for kind in ("taker", "maker"):
        cost, rate = pl.col(f"fees_{kind}"), pl.col("rate_hourly")
        frame = two.sql("FROM base.spread_figures WHERE rate_hourly IS NOT NULL").pl()
        expected = frame.select(
            net=fees.net_apr(rate, cost, hours), even=fees.break_even_hours(rate, cost)
        )
        assert frame[f"net_apr_{kind}"].to_list() == pytest.approx(
            expected["net"].to_list(), rel=1e-12
        )
        assert frame[f"break_even_hours_{kind}"].to_list() == pytest.approx(
            expected["even"].to_list(), rel=1e-12
        )
    assert rows(two, "SELECT DISTINCT fees_taker FROM base.spread_figures") == [
        (pytest.approx(2 * rows(two, "SELECT sum(taker) FROM base.fees")[0][0], rel=1e-12),)
    ]


@pytest.mark.parametrize(
    ("first", "second", "basis"),
    [
        ((239.9, 1.0), (239.8, 1010.0), 1.0 / 1.01 - 1),
        ((239.9, 1.0), (239.5, 1010.0), None),
        ((238.1, 1.0), (238.0, 1010.0), None),
        ((239.9, 1.0), (239.9, float("nan")), None),
        ((239.9, 1.0), (239.9, 0.0), None),
    ],
)
def test_prices_count_when_they_were_seen_together_and_lately(
    two: duckdb.DuckDBPyConnection,
    first: tuple[float, float],
    second: tuple[float, float],
    basis: float | None,
) -> None:
    estimate(two, 2, at(first[0]), mark=first[1])
    estimate(two, 3, at(second[0]), mark=second[1])
    refresh(two, now=NOW, markets=[])
    ((found,),) = rows(two, "SELECT DISTINCT basis FROM spreads")
    assert found == (None if basis is None else pytest.approx(basis, rel=1e-12))


def test_the_newer_of_estimate_and_settlement_is_the_price(two: duckdb.DuckDBPyConnection) -> None:
    estimate(two, 2, at(239.9), mark=1.0)
    estimate(two, 3, at(239.9), mark=1000.0)
    two.execute(
        "UPDATE settlements SET mark_price = 1005 WHERE market_id = 3 AND funding_time = ?",
        [at(240)],
    )
    refresh(two, now=NOW, markets=[])
    ((basis,),) = rows(two, "SELECT DISTINCT basis FROM spreads")
    assert basis == pytest.approx(1 / 1.005 - 1, rel=1e-12)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE base.markets SET status = 'unlisted' WHERE market_id = 2", "not listed"),
        ("UPDATE base.markets SET asset = NULL WHERE market_id = 3", "ticker collision"),
        (
            "UPDATE base.markets SET doubted_since = first_seen WHERE market_id = 3",
            "ticker collision",
        ),
        ("UPDATE base.markets SET quote = 'BTC' WHERE market_id = 2", "quotes differ"),
        ("DELETE FROM settlements WHERE market_id = 2 AND funding_time > '2025-01-10'", "stale"),
    ],
)
def test_reasons_reach_the_view(
    two: duckdb.DuckDBPyConnection, statement: str, reason: str
) -> None:
    two.execute(statement)
    refresh(two, now=NOW, markets=[])
    assert rows(two, "FROM spreads") == []
    ((found, windows),) = rows(two, "SELECT reason, count(*) FROM spread_exclusions GROUP BY 1")
    assert (found, windows) == (reason, 6)
    assert rows(
        two,
        """SELECT count(*) FROM spread_exclusions WHERE "window" = '7d'
        AND abs(rate_hourly - 0.0001) < 1e-15""",
    ) == [(1,)]


def test_thin_price_apart_and_held(two: duckdb.DuckDBPyConnection) -> None:
    estimate(two, 2, at(239.9), mark=1.0, interest=1e5)
    estimate(two, 3, at(239.9), mark=1000.0)
    found = []
    for held, price in ((False, 1000.0), (False, 1040.0), (True, 1040.0)):
        two.execute("UPDATE base.predicted_rates SET mark_price = ? WHERE market_id = 3", [price])
        if held:
            hold(two, "bybit")
        refresh(two, now=NOW, markets=[])
        found += rows(two, "SELECT DISTINCT reason FROM spread_exclusions")
    assert found == [("thin",), ("price apart",), ("held",)]


def test_again_is_the_same(two: duckdb.DuckDBPyConnection) -> None:
    refresh(two, now=NOW, markets=[])
    before = everything(two)
    refresh(two, now=NOW, markets=[2, 3])
    assert everything(two) == before


def everything(connection: duckdb.DuckDBPyConnection) -> list[list[tuple[Any, ...]]]:
    tables = ("spreads", "spread_exclusions", "spread_legs", "fees", "opportunities")
    return [rows(connection, f"FROM base.{table} ORDER BY ALL") for table in tables]


# --- the log

THREE = {2: HOURLY, 3: EIGHT, 4: RICH}
FIRST = 200
STARTS = at(FIRST) - timedelta(days=30)


def up_to(hour: float, markets: Mapping[int, Sequence[Row]] = THREE) -> dict[int, list[Row]]:
    return {m: [row for row in series if row.time <= at(hour)] for m, series in markets.items()}


@pytest.fixture
def three(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    for market in THREE:
        add_market(connection, market)
    return connection


def go(
    connection: duckdb.DuckDBPyConnection,
    hour: int,
    markets: Mapping[int, Sequence[Row]] = THREE,
) -> None:
    settle(connection, up_to(hour, markets))
    refresh(connection, now=at(hour) + TEN_MINUTES, markets=[])


def stored(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    frame = connection.sql(
        "SELECT * REPLACE (CAST(funding_steps AS VARCHAR) AS funding_steps) FROM base.opportunities"
    ).pl()
    return frame.cast(OPPORTUNITIES).sort("opened", "long_id", "short_id")  # type: ignore[arg-type]


def same_as_replayed(connection: duckdb.DuckDBPyConnection, hour: int, **more: Any) -> int:
    log = stored(connection)
    assert log.equals(replay(connection, first=STARTS, until=at(hour), **more))
    return len(log)


def test_hour_by_hour_is_the_log_of_the_whole_span(three: duckdb.DuckDBPyConnection) -> None:
    go(three, FIRST)
    for hour in [*range(201, 215), 290, *range(296, 345), 430]:
        settle(three, up_to(hour))
        refresh_opportunities(three, now=at(hour) + TEN_MINUTES)
    assert same_as_replayed(three, 430) >= 10
    closed = stored(three)["closed_by"].to_list()
    assert "net" in closed


def test_late_corrected_and_missing_settlements_are_followed_anew(
    three: duckdb.DuckDBPyConnection,
) -> None:
    """An outage of one exchange, filled hours later; a correction of weeks ago; a market that
    comes with its history.
    """
    late = {**THREE, 4: [row for row in RICH if not at(221) <= row.time <= at(227)]}
    for hour in (FIRST, 219, 222, 226, 230):
        go(three, hour, late if hour < 230 else THREE)
        same_as_replayed(three, hour)
    corrected = {**THREE, 4: [Row(r.time, 0.01, 1) if r.time == at(120) else r for r in RICH]}
    go(three, 231, corrected)
    assert same_as_replayed(three, 231)
    assert at(120) in stored(three)["opened"].to_list()
    add_market(three, 1)
    go(three, 232, {**THREE, 1: series(*((h, 0.00005, 1) for h in range(1, 760)))})
    same_as_replayed(three, 232)
    assert 1 in stored(three)["long_id"].to_list()


def test_another_asset_quote_rule_or_held_exchange_makes_its_pairs_anew(
    three: duckdb.DuckDBPyConnection,
) -> None:
    go(three, 320)
    before = stored(three)
    three.execute("UPDATE base.markets SET asset = 'AAA#2' WHERE market_id = 4")
    go(three, 321)
    same_as_replayed(three, 321)
    assert 4 not in [*stored(three)["long_id"], *stored(three)["short_id"]]
    three.execute("UPDATE base.markets SET asset = 'AAA', quote = 'USDC' WHERE market_id = 4")
    go(three, 322)
    same_as_replayed(three, 322)
    hold(three, "okx")
    go(three, 322)
    same_as_replayed(three, 322, held=["okx"])
    three.execute("DELETE FROM holds")
    apply_holds(three)
    go(three, 320)
    assert stored(three)["opened"].to_list()[: len(before)] == before["opened"].to_list()
    rule = Rule(open_above=0.5, close_below=0.1)
    refresh_opportunities(three, now=at(322), rule=rule)
    same_as_replayed(three, 322, rule=rule)
    assert not stored(three).equals(before)


def test_other_fees_make_the_log_anew(three: duckdb.DuckDBPyConnection) -> None:
    go(three, 320)
    three.execute("UPDATE base.fees SET taker = 0.00001 WHERE exchange = 'okx'")
    refresh_opportunities(three, now=at(320))
    assert same_as_replayed(three, 320)


def test_an_opportunity_in_the_view(three: duckdb.DuckDBPyConnection) -> None:
    go(three, 160)
    found = dictionaries(
        three, "FROM opportunities WHERE long_market = 'M3' AND short_market = 'M4'"
    )
    assert (found[0]["long_exchange"], found[0]["short_exchange"]) == ("lighter", "okx")
    assert found[0]["realised_net"] == found[0]["funding"] - found[0]["fees"]
    assert found[0]["hours_open"] == (found[0]["until"] - found[0]["opened"]) // HOUR
    fee = rows(three, "SELECT taker FROM base.fees WHERE exchange = 'okx'")[0][0]
    assert found[0]["fees"] == pytest.approx(2 * fee, rel=1e-12), "Lighter takes none"


# --- recorded months


@pytest.mark.slow
def test_recorded_months_of_two_exchanges(
    connection: duckdb.DuckDBPyConnection, recorded_dir: Path
) -> None:
    """Bybit and Hyperliquid, October 2024 to May 2025: spreads at three moments and the log of a
    month, against the slow computation.
    """
    until = datetime(2025, 5, 15)
    markets: dict[int, list[Row]] = {}
    names: dict[int, tuple[str, str]] = {}
    for exchange, suffix in (("bybit", "USDT"), ("hyperliquid", "")):
        frame = (
            pl.read_parquet(recorded_dir / f"{exchange}.parquet")
            .with_columns(time=pl.col("time").dt.replace_time_zone(None).dt.truncate("1h"))
            .filter(pl.col("time") > datetime(2024, 10, 1), pl.col("time") <= until)
            .unique(["market", "time"])
            .sort("market", "time")
        )
        for (name,), part in frame.group_by("market", maintain_order=True):
            market_id = len(markets) + 1
            names[market_id] = (exchange, str(name))
            markets[market_id] = [
                Row(time, rate, int(hours))
                for time, rate, hours in part.select("time", "rate", "interval_hours").iter_rows()
            ]
            symbol = str(name).removesuffix(suffix)
            add_market(connection, 1, exchange=exchange, market=name, symbol=symbol, asset=symbol)
            connection.execute(
                "UPDATE base.markets SET market_id = ? WHERE market = ?", [market_id, name]
            )
    settle(connection, markets)
    by_symbol = {
        row[0]: (row[1], row[2])
        for row in rows(
            connection,
            """SELECT asset, min(market_id), max(market_id) FROM markets GROUP BY asset
            HAVING count(*) = 2 ORDER BY asset""",
        )
    }
    assert len(by_symbol) >= 60
    compared = 0
    for now in (datetime(2024, 11, 20, 5), datetime(2025, 2, 3, 16), until):
        refresh(connection, now=now + TEN_MINUTES, markets=[])
        found = {
            (row["long_market"], row["short_market"], row["window"]): row
            for row in dictionaries(connection, "FROM base.spread_figures")
        }
        for first, second in list(by_symbol.values())[::3]:
            a = [r for r in markets[first] if r.time > now - timedelta(days=33)]
            b = [r for r in markets[second] if r.time > now - timedelta(days=33)]
            for window, exact in spreads(a, b, now).items():
                legs = (names[first][1], names[second][1])
                row = found.get((*legs, window)) or found[(*legs[::-1], window)]
                assert row["hours"] == exact.hours
                if exact.hours >= 0.8 * WINDOWS[window]:
                    mean = float(abs(exact.mean))
                    assert row["rate_hourly"] == pytest.approx(mean, rel=1e-12, abs=1e-29)
                    compared += 1
                else:
                    assert row["rate_hourly"] is None
                if exact.half_life is not None:
                    assert row["half_life_hours"] == pytest.approx(
                        exact.half_life, rel=1e-5, abs=1e-3
                    )
    assert compared > 300
    first_hour = datetime(2024, 12, 1)
    log = replay(connection, first=first_hour, until=first_hour + timedelta(days=10))
    busy = [tuple(sorted(pair)) for pair in log.select("long_id", "short_id").rows()]
    chosen = sorted({*busy[:12], *list(by_symbol.values())[::12]})
    taker = dict(rows(connection, "SELECT exchange, taker FROM base.fees WHERE exchange = 'bybit'"))
    other = 0.00035  # Hyperliquid's of 2024
    slow = slow_log(
        {m: [r for r in markets[m] if r.time > first_hour - 4 * 24 * HOUR] for m in markets},
        chosen,
        (taker["bybit"] + other) / 2,
        first_hour,
        first_hour + timedelta(days=10),
        0.25,
        0.0,
    )
    ids = {pair for first, second in chosen for pair in ((first, second), (second, first))}
    mine = [row for row in log.iter_rows(named=True) if (row["long_id"], row["short_id"]) in ids]
    assert sorted((r["long_id"], r["short_id"], r["opened"], r["closed"]) for r in mine) == sorted(
        (one.long, one.short, one.opened, one.closed) for one in slow
    )
    assert len(slow) >= 8
    refresh_opportunities(connection, now=until)
    for hours in range(1, 30, 7):
        refresh_opportunities(connection, now=until + hours * HOUR)
    starts = rows(connection, "SELECT starts, until FROM base.opportunity_log")[0]
    assert stored(connection).equals(replay(connection, first=starts[0], until=starts[1]))
