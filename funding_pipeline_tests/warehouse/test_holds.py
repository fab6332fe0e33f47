"""Held exchanges: stored, left out of everything that is derived or read, and let back in."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funding_pipeline.domain.records import Market
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse import database as database_module
from funding_pipeline.warehouse.database import Database, migrate, migrations, transaction
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.holds import held, release
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.owed import owed
from funding_pipeline.warehouse.unlisted import record_unlisted
from funding_pipeline_tests.transforms.hour_by_hour import Row
from funding_pipeline_tests.transforms.test_canaries import (
    ASSETS,
    BARE,
    MISTAKE,
    ORIGIN,
    VOUCHED,
    rate,
)
from funding_pipeline_tests.warehouse.stored import hold, put, store
from funding_pipeline_tests.warehouse.world import rows

FAULTY = "one"
ASSETS_STORED = 16
# What is no rate, or tells of the hold itself.
ALLOWED = {
    "holds",
    "events",
    "loads",
    "collected_windows",
    "collector_status",
    "quarantine",
    "spread_exclusions",
    "fees",
    "freshness",
    "exchange_freshness",
    "breakers",
    "alerts",
}
EXCHANGE_COLUMNS = (
    "exchange",
    "other_exchange",
    "long_exchange",
    "short_exchange",
    "min_exchange",
    "max_exchange",
)


def history(
    last_day: int, wrong: Mapping[str, float] = {}, since: datetime = MISTAKE
) -> dict[str, list[Row]]:
    """Every market's settlements up to the end of a day; `wrong` ones falsified since the time."""
    found = {}
    for exchange in (*VOUCHED, BARE):
        for asset in range(ASSETS_STORED):
            series = []
            for hour in range(8, 24 * last_day + 1, 8):
                stamp = ORIGIN + timedelta(hours=hour)
                factor = wrong.get(exchange, 1.0) if stamp > since else 1.0
                series.append(Row(stamp, rate(exchange, asset, hour) * 8 * factor, 8))
            found[f"{exchange}/{ASSETS[asset]}"] = series
    return found


def fill(database: Database, markets: Mapping[str, list[Row]], now: datetime) -> None:
    with database.open() as connection:
        store(connection, markets)
        owe_everything(connection, now)


def owe_everything(connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
    connection.execute("DELETE FROM dirty_days")
    connection.execute(
        """INSERT INTO dirty_days (market_id, day, since) SELECT DISTINCT market_id,
        CAST(funding_time - INTERVAL 8 HOUR AS DATE), ? FROM settlements""",
        [now],
    )


def shown(connection: duckdb.DuckDBPyConnection, exchange: str) -> set[str]:
    """Tables and views of users that have a row of the exchange."""
    columns = connection.execute(
        """SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'main' AND column_name IN
            (SELECT unnest(CAST(? AS VARCHAR[])))""",
        [EXCHANGE_COLUMNS],
    ).fetchall()
    return {
        table
        for table, column in columns
        if connection.execute(
            f"SELECT count(*) FROM {table} WHERE {column} = ?", [exchange]
        ).fetchall()[0][0]
    }


def hold_of(database: Database) -> list[str]:
    with database.open() as connection:
        return [f"{hold.exchange} {hold.mistake}" for hold in held(connection)]


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that users read, in an order."""
    with database.open() as connection:
        return {
            table: rows(connection, f"FROM {table} ORDER BY ALL")
            for table in (
                "daily_stats",
                "moving_averages",
                "latest_rates",
                "asset_averages",
                "spreads",
                "stability",
                "seasonality",
                "rate_correlations",
                "asset_correlations",
                "neighbours",
            )
        }


NOW = ORIGIN + timedelta(days=9, hours=1)
X100 = "rates look x100 (percent taken for a fraction?)"


@pytest.fixture
def faulty(database: Database) -> Database:
    """Ten exchanges' worth of right rates, one of them x100 since the mistake; derived."""
    fill(database, history(9, {FAULTY: 100.0}), NOW)
    derive(database, now=NOW)
    return database


def test_a_faulty_exchange_is_held_before_anything_is_derived_of_it(faulty: Database) -> None:
    assert hold_of(faulty) == [f"{FAULTY} {X100}"]
    with faulty.open() as connection:
        assert shown(connection, FAULTY) <= ALLOWED
        assert {"daily_stats", "spreads", "funding_rates"} <= shown(connection, "two")
        assert rows(
            connection,
            f"""SELECT count(*) FROM base.daily_stats JOIN base.markets USING (market_id)
            WHERE exchange = '{FAULTY}'""",
        ) == [(0,)]
        kinds = rows(connection, "SELECT kind, exchange, detail FROM events")
        assert [(kind, exchange) for kind, exchange, _ in kinds] == [("held", FAULTY)]
        assert "100 times the interest" in kinds[0][2]
        reasons = rows(
            connection,
            f"""SELECT DISTINCT reason FROM spread_exclusions
            WHERE long_exchange = '{FAULTY}' OR short_exchange = '{FAULTY}'""",
        )
        assert reasons == [("held",)]
        assert rows(
            connection, f"SELECT count(*) FROM carry(DATE '2025-03-02') WHERE exchange = '{FAULTY}'"
        ) == [(0,)]


def test_its_rows_are_stored_and_its_days_owed_without_calling_for_a_derivation(
    faulty: Database,
) -> None:
    with faulty.open() as connection:
        stored = f"""SELECT count(*) FROM settlements JOIN base.markets USING (market_id)
        WHERE exchange = '{FAULTY}'"""
        assert rows(connection, stored) == [(ASSETS_STORED * 27,)]
        assert rows(connection, "SELECT count(*) FROM dirty_days") == [(ASSETS_STORED * 9,)]
        later = NOW + timedelta(hours=1)
        assert owed(connection, now=later).days == 0
        assert not owed(connection, now=later).due(later)


def test_figures_across_exchanges_are_those_without_it(database: Database, tmp_path: Path) -> None:
    """A month, so that markets have neighbours."""
    month, now = history(31, {FAULTY: 100.0}), ORIGIN + timedelta(days=31, hours=1)
    alone = Database(Settings(data_dir=tmp_path / "alone"))
    fill(database, month, now)
    fill(alone, {k: v for k, v in month.items() if not k.startswith(f"{FAULTY}/")}, now)
    for one in (database, alone):
        derive(one, now=now)
    assert hold_of(alone) == []
    found = contents(database)
    assert found == contents(alone)
    assert all(found.values())


def test_derived_before_the_mistake_it_disappears_with_the_hold(database: Database) -> None:
    before = ORIGIN + timedelta(days=7, hours=1)
    fill(database, history(7), before)
    derive(database, now=before)
    with database.open() as connection:
        ids = {
            f"{e}/{m}": i
            for i, e, m in rows(connection, "SELECT market_id, exchange, market FROM base.markets")
        }
        assert {"rate_correlations", "daily_stats", "asset_averages"} <= shown(connection, FAULTY)
        connection.execute("DELETE FROM settlements")
        put(connection, {ids[k]: v for k, v in history(9, {FAULTY: -1.0}).items()})
        connection.execute(
            "UPDATE base.markets SET last_settlement = ?", [ORIGIN + timedelta(days=9)]
        )
        connection.execute(
            "INSERT INTO dirty_days (market_id, day, since) "
            "SELECT market_id, d, ? FROM base.markets, "
            "(VALUES (DATE '2025-03-08'), (DATE '2025-03-09')) v(d)",
            [NOW],
        )
    derive(database, now=NOW)
    assert hold_of(database) == [f"{FAULTY} sign mirrored"]
    with database.open() as connection:
        assert shown(connection, FAULTY) <= ALLOWED
        found = rows(connection, "SELECT max(exchanges) FROM asset_averages")
        assert found == [(3,)]


def test_a_hold_takes_effect_before_anything_is_made_anew(database: Database) -> None:
    """So that a part of a derivation that breaks shows nothing of it either."""
    fill(database, history(9), NOW)
    derive(database, now=NOW)
    with database.open() as connection:
        assert not shown(connection, FAULTY) <= ALLOWED
        hold(connection, FAULTY)
        assert shown(connection, FAULTY) <= ALLOWED


def test_released_it_is_worked_off_and_not_held_again_for_the_same(faulty: Database) -> None:
    let_go(faulty, "charged like that")
    derive(faulty, now=NOW + timedelta(minutes=5))
    assert hold_of(faulty) == []
    with faulty.open() as connection:
        assert {"daily_stats", "spreads", "asset_averages", "rate_correlations"} <= shown(
            connection, FAULTY
        )
        assert rows(connection, "SELECT count(*) FROM dirty_days") == [(0,)]
        assert rows(connection, "SELECT note, released_until FROM holds") == [
            ("charged like that", ORIGIN + timedelta(days=9))
        ]
        events = rows(connection, "SELECT kind, detail FROM events WHERE kind = 'released'")
        assert events == [("released", f"{X100}: charged like that")]
        owe_everything(connection, NOW)
    derive(faulty, now=NOW + timedelta(minutes=6))
    assert hold_of(faulty) == []


@pytest.mark.parametrize(("factor", "named"), [(100.0, X100), (-1.0, "sign mirrored")])
def test_after_a_release_new_settlements_can_hold_it_again(
    faulty: Database, factor: float, named: str
) -> None:
    let_go(faulty, None)
    derive(faulty, now=NOW + timedelta(minutes=5))
    day = ORIGIN + timedelta(days=9)
    with faulty.open() as connection:
        ids = {
            f"{e}/{m}": i
            for i, e, m in rows(connection, "SELECT market_id, exchange, market FROM base.markets")
        }
        fresh = history(10, {FAULTY: factor})
        put(connection, {ids[k]: [row for row in v if row.time > day] for k, v in fresh.items()})
        connection.execute("UPDATE base.markets SET last_settlement = ?", [day + timedelta(days=1)])
        connection.execute(
            "INSERT INTO dirty_days (market_id, day, since) "
            "SELECT market_id, ?, ? FROM base.markets",
            [day.date(), NOW],
        )
    derive(faulty, now=NOW + timedelta(days=1))
    assert hold_of(faulty) == [f"{FAULTY} {named}"]


def test_a_backfill_into_the_past_is_judged_as_well(database: Database) -> None:
    fill(database, history(9, {FAULTY: 100.0}), NOW)
    with database.open() as connection:
        connection.execute("DELETE FROM dirty_days WHERE day <> DATE '2025-03-08'")
    derive(database, now=datetime(2026, 1, 1))
    assert hold_of(database) == [f"{FAULTY} {X100}"]


def test_a_settlement_that_is_stamped_the_day_after_is_judged(database: Database) -> None:
    """Paid from 20:00 to 04:00, it is owed with the day in which it begins."""
    shift = timedelta(hours=4)
    wrong = history(9, {FAULTY: 100.0}, since=ORIGIN + timedelta(days=8, hours=16))
    shifted = {
        market: [Row(row.time + shift, row.rate, row.interval) for row in series]
        for market, series in wrong.items()
    }
    fill(database, shifted, NOW)
    with database.open() as connection:
        connection.execute("DELETE FROM dirty_days WHERE day <> DATE '2025-03-09'")
    derive(database, now=NOW + shift)
    assert hold_of(database) == [f"{FAULTY} {X100}"]


def test_days_far_from_what_is_owed_are_not_judged(database: Database) -> None:
    fill(database, history(9, {FAULTY: 100.0}), NOW)
    with database.open() as connection:
        connection.execute("DELETE FROM dirty_days WHERE day <> DATE '2025-03-01'")
    derive(database, now=NOW)
    assert hold_of(database) == []


def test_what_is_not_held_is_not_released(faulty: Database) -> None:
    with faulty.open() as connection, transaction(connection):
        assert release(connection, "two", note=None, now=NOW) == []
        assert rows(connection, "SELECT count(*) FROM events WHERE kind = 'released'") == [(0,)]


def let_go(database: Database, note: str | None) -> None:
    with database.open() as connection, transaction(connection):
        (hold,) = release(connection, FAULTY, note=note, now=NOW + timedelta(minutes=4))
    assert hold.exchange == FAULTY


def test_an_existing_database_keeps_its_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    before = [one for one in known if one[0] < 12]
    with duckdb.connect() as connection:
        monkeypatch.setattr(database_module, "migrations", lambda: before)
        migrate(connection)
        for number, name in enumerate(("AAA", "BBB"), start=1):
            connection.execute(
                """INSERT INTO markets BY NAME SELECT CAST(nextval('market_ids') AS INTEGER)
                AS market_id, 'gate' AS exchange, $name AS market, $name AS symbol,
                1 AS multiplier, 'USD' AS quote, 'USD' AS settle, 'live' AS status,
                $seen AS first_seen, $seen AS last_seen, $name AS asset, 'price' AS asset_by,
                8 AS interval_hours, 0.01 AS rate_cap""",
                {"name": name, "seen": datetime(2025, 3, number)},
            )
        stored = rows(connection, "FROM markets ORDER BY market_id")
        columns = rows(connection, "DESCRIBE markets")
        put(connection, {1: [Row(datetime(2025, 3, 2), 0.0001, 8)]})
        monkeypatch.setattr(database_module, "migrations", lambda: known)
        migrate(connection)
        kept = rows(connection, "SELECT * EXCLUDE (held) FROM base.markets ORDER BY market_id")
        assert kept == stored
        assert rows(connection, "FROM markets ORDER BY market_id") == stored
        assert rows(connection, "DESCRIBE base.markets")[: len(columns)] == columns
        assert rows(connection, "SELECT exchange, rate FROM funding_rates") == [("gate", 0.0001)]
        assert rows(connection, "SELECT nextval('market_ids')") == [(3,)]
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("UPDATE base.markets SET market_id = NULL")


def test_days_owed_over_years_are_judged_in_pieces(database: Database) -> None:
    """Two places far apart, both of which are judged."""
    fill(database, history(9, {FAULTY: 100.0}), NOW)
    with database.open() as connection:
        connection.execute(
            "INSERT INTO dirty_days (market_id, day, since) VALUES (1, ?, ?)",
            [date(2021, 5, 5), NOW],
        )
    derive(database, now=NOW)
    assert hold_of(database) == [f"{FAULTY} {X100}"]


def market(name: str) -> Market:
    return Market(market=name, symbol=name, quote="USDT", settle="USDT")


@pytest.mark.parametrize("how", ["listed", "imported"])
def test_a_market_that_comes_while_its_exchange_is_held_is_not_shown(
    database: Database, how: str
) -> None:
    record = record_markets if how == "listed" else record_unlisted
    with database.open() as connection:
        for exchange in ("one", "two"):
            record(connection, exchange, [market("AAA")], NOW)
        hold(connection, "one")
        for exchange in ("one", "two"):
            record(connection, exchange, [market("AAA"), market("BBB")], NOW)
        shown = "SELECT exchange, market FROM markets ORDER BY ALL"
        assert rows(connection, shown) == [("two", "AAA"), ("two", "BBB")]
        with transaction(connection):
            release(connection, "one", note=None, now=NOW)
        assert len(rows(connection, shown)) == 4


def test_an_existing_database_keeps_its_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    with duckdb.connect() as connection:
        monkeypatch.setattr(database_module, "migrations", lambda: [m for m in known if m[0] < 17])
        migrate(connection)
        for number, exchange in enumerate(("gate", "okx"), start=1):
            connection.execute(
                """INSERT INTO base.markets BY NAME SELECT $number AS market_id, $exchange
                AS exchange, 'AAA' AS market, 'AAA' AS symbol, 1 AS multiplier, 'USD' AS quote,
                'USD' AS settle, 'live' AS status, $seen AS first_seen, $seen AS last_seen""",
                {"number": number, "exchange": exchange, "seen": NOW},
            )
        connection.execute(
            """INSERT INTO holds BY NAME SELECT unnest(['gate', 'okx', 'okx']) AS exchange,
            'mistake' AS mistake, '' AS detail, $now AS shown_from, $now AS shown_to,
            $now AS held_at, unnest([NULL, $now, $now]) AS released_at""",
            {"now": NOW},
        )
        before = rows(connection, "FROM markets")
        monkeypatch.setattr(database_module, "migrations", lambda: known)
        migrate(connection)
        assert rows(connection, "FROM markets") == before
        assert [row[1] for row in before] == ["okx"]
