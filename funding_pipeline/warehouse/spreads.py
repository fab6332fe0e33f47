"""Spreads between exchanges: reading what they are made of, replacing the newest state.

Belongs here: prices, open interest and fees of the legs, the tables. Does not: the formulas
(transforms), the log of opportunities (warehouse.opportunities), when to run.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from importlib.resources import files

import duckdb
import polars as pl

from funding_pipeline.transforms.fees import FeeFile, fee_eras, parse
from funding_pipeline.transforms.measures import floor_hour
from funding_pipeline.transforms.pair_windows import GRID_HOURS
from funding_pipeline.transforms.spreads import MARKETS, Floors, spreads
from funding_pipeline.warehouse.database import visible
from funding_pipeline.warehouse.holds import held as held_exchanges
from funding_pipeline.warehouse.opportunities import refresh_opportunities
from funding_pipeline.warehouse.spread_ranks import rank_spreads

FLOORS = Floors()
# An older price is none. Open interest and volume move slowly, and samples may fail for a while.
_PRICE_AGE = timedelta(hours=2)
_LIQUIDITY_AGE = timedelta(hours=24)


def shipped_fees() -> FeeFile:
    """The fee file that comes with this version."""
    return parse((files("funding_pipeline.transforms") / "fees.toml").read_text("utf-8"))


def refresh(
    connection: duckdb.DuckDBPyConnection,
    *,
    now: datetime,
    markets: Sequence[int],
    floors: Floors = FLOORS,
) -> int:
    """Make all spreads of `now` (naive UTC) anew and bring the opportunities up to its hour;
    returns the rows written. Inside the caller's transaction. Held exchanges are left out.

    `markets` is not used: ages, prices and open interest change for every pair in every hour, and
    the log finds by itself what changed.
    """
    del markets
    held = {hold.exchange for hold in held_exchanges(connection)}
    _replace_fees(connection)
    span = {"first": floor_hour(now) - timedelta(hours=GRID_HOURS - 1), "last": floor_hour(now)}
    _replace_legs(connection, now, span)
    found = spreads(
        _settlements(connection, span), _markets(connection, held), now=now, floors=floors
    )
    with visible(connection, "found", found):
        for table, columns, chosen in (
            ("spreads", "* EXCLUDE (reason)", "reason IS NULL"),
            ("spread_exclusions", "*", "reason IS NOT NULL"),
        ):
            connection.execute(f"DELETE FROM base.{table}")
            connection.execute(
                f"INSERT INTO base.{table} BY NAME SELECT {columns} FROM found WHERE {chosen}"
            )
    connection.execute("DELETE FROM base.spread_refresh")
    connection.execute(
        "INSERT INTO base.spread_refresh VALUES (?, ?, ?)",
        [now, floors.open_interest_usd, floors.volume_24h_usd],
    )
    rank_spreads(connection)
    return len(found) + refresh_opportunities(connection, now=now, held=held)


def _replace_fees(connection: duckdb.DuckDBPyConnection) -> None:
    exchanges = connection.execute("SELECT DISTINCT exchange FROM base.markets").fetchall()
    with visible(connection, "eras", fee_eras(shipped_fees(), (name for (name,) in exchanges))):
        connection.execute("DELETE FROM base.fees")
        connection.execute("INSERT INTO base.fees BY NAME FROM eras")


def _replace_legs(
    connection: duckdb.DuckDBPyConnection, now: datetime, span: dict[str, datetime]
) -> None:
    """Markets that settled within the span, with what was last seen of them."""
    connection.execute("DELETE FROM base.spread_legs")
    connection.execute(
        """INSERT INTO base.spread_legs BY NAME
        WITH prices AS (
            SELECT market_id, observed_at AS seen, mark_price FROM base.predicted_rates
            WHERE observed_at BETWEEN $now - $price_age AND $now
            UNION ALL
            SELECT market_id, funding_time, mark_price FROM settlements
            WHERE funding_time BETWEEN $now - $price_age AND $now
        ), priced AS (
            SELECT market_id, arg_max(mark_price, seen) AS mark, max(seen) AS priced_at
            FROM prices WHERE mark_price > 0 AND isfinite(mark_price) GROUP BY market_id
        ), liquid AS (
            SELECT market_id,
                arg_max(open_interest_usd, observed_at) AS open_interest_usd,
                arg_max(volume_24h_usd, observed_at) AS volume_24h_usd
            FROM base.predicted_rates
            WHERE observed_at BETWEEN $now - $liquidity_age AND $now GROUP BY market_id
        ), settled AS (
            SELECT market_id, max(funding_time) AS last_settlement,
                arg_max(interval_hours, funding_time) AS interval_hours
            FROM settlements WHERE funding_time BETWEEN $first AND $last GROUP BY market_id
        )
        SELECT m.market_id, s.interval_hours, s.last_settlement,
            p.mark / m.multiplier AS unit_price, p.priced_at,
            l.open_interest_usd, l.volume_24h_usd, f.maker, f.taker, f.assumed AS fees_assumed
        FROM settled s JOIN base.markets m USING (market_id)
        JOIN base.fees f ON f.exchange = m.exchange
            AND coalesce(f.valid_from <= CAST($now AS DATE), true)
            AND coalesce(f.valid_to > CAST($now AS DATE), true)
        LEFT JOIN priced p USING (market_id) LEFT JOIN liquid l USING (market_id)
        ORDER BY m.market_id""",
        {"now": now, "price_age": _PRICE_AGE, "liquidity_age": _LIQUIDITY_AGE, **span},
    )


def _markets(connection: duckdb.DuckDBPyConnection, held: Collection[str]) -> pl.DataFrame:
    frame: pl.DataFrame = connection.sql(
        """SELECT m.market_id, m.exchange, m.symbol, m.asset, m.quote,
            m.status = 'live' AS listed, m.doubted_since IS NOT NULL AS doubted,
            m.exchange IN (SELECT unnest(CAST($held AS VARCHAR[]))) AS held,
            l.unit_price, l.priced_at, l.open_interest_usd, l.volume_24h_usd
        FROM base.spread_legs l JOIN base.markets m USING (market_id) ORDER BY m.market_id""",
        params={"held": sorted(held)},
    ).pl()
    return frame.cast(MARKETS)  # type: ignore[arg-type]


def _settlements(connection: duckdb.DuckDBPyConnection, span: dict[str, datetime]) -> pl.DataFrame:
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, funding_time, rate, interval_hours, covered_hours FROM settlements
        WHERE funding_time BETWEEN $first AND $last""",
        params=span,
    ).pl()
    return frame
