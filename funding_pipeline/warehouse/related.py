"""Keeping the tables of alike markets: once a day, over the 30 days before midnight.

Belongs here: what is read, which pairs are asked, what is replaced. Does not: the measures and the
choice of neighbours (transforms.alike), relations between markets (views and the macro `related`).

Every market is compared with every other: 8 million pairs of 4,000 markets.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms import alike
from funding_pipeline.warehouse.database import visible

ASSETS = 250

# A day is full when its last settlements have had the time to be collected.
_LATE = timedelta(hours=1)
_WINDOW = timedelta(hours=alike.HOURS)
_LONGEST_INTERVAL = timedelta(hours=24)
# As a first backfill goes on, the day's tables are made again with each tenth more markets.
_GROWTH = 1.1
# Markets compared with all others by one query: half a million pairs, in memory at once.
_BLOCK = 128


def refresh(connection: duckdb.DuckDBPyConnection, *, now: datetime, markets: Sequence[int]) -> int:
    """Replace the tables if they are of an earlier day than the last full one; returns their rows.

    `now` is naive UTC. Inside the caller's transaction. Which `markets` changed does not matter:
    corrections of a day show with the next one.
    """
    as_of = (now - _LATE).replace(hour=0, minute=0, second=0, microsecond=0)
    lasting = _lasting(connection, as_of)
    before = connection.execute("SELECT as_of, markets FROM base.alike_refreshes").fetchall()
    for known, number in before:
        if known > as_of or (known == as_of and lasting <= number * _GROWTH):
            return 0
    hourly = alike.hourly_rates(_settlements(connection, as_of), as_of=as_of)
    with _compared(connection, hourly):
        rows = _write_markets(connection, as_of)
        rows += _write_neighbours(connection, as_of)
    rows += _write_assets(connection, hourly, as_of)
    connection.execute("DELETE FROM base.alike_refreshes")
    connection.execute("INSERT INTO base.alike_refreshes VALUES (?, ?)", [as_of, lasting])
    return rows


def _lasting(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> int:
    """How many markets cover 0.8 of the window, by the stamps in it."""
    number: int = connection.execute(
        """SELECT count(*) FROM (
            SELECT market_id FROM settlements SEMI JOIN markets USING (market_id)
            WHERE funding_time > ? AND funding_time <= ?
            GROUP BY market_id HAVING sum(covered_hours) >= ?)""",
        [as_of - _WINDOW, as_of, alike.LEAST_HOURS],
    ).fetchall()[0][0]
    return number


def _settlements(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> pl.DataFrame:
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, funding_time, rate, interval_hours, covered_hours
        FROM settlements SEMI JOIN markets USING (market_id)
        WHERE funding_time > CAST($first AS TIMESTAMP) AND funding_time < CAST($last AS TIMESTAMP)
        """,
        params={"first": as_of - _WINDOW, "last": as_of + _LONGEST_INTERVAL},
    ).pl()
    return frame


@contextmanager
def _compared(connection: duckdb.DuckDBPyConnection, hourly: pl.DataFrame) -> Iterator[None]:
    """The temporary tables that `alike.similarities` asks, for the length of the block.

    After an error the caller's rollback takes them away: nothing else is possible then.
    """
    with visible(connection, "series", alike.as_lists(hourly)):
        for statement in alike.PREPARE:
            connection.execute(statement)
    yield
    connection.execute("DROP TABLE temp.alike")
    connection.execute("DROP TABLE temp.hole_patterns")


def _write_markets(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> int:
    same_asset = """(SELECT a.market_id AS one, b.market_id AS two
        FROM markets a JOIN markets b USING (asset) WHERE a.exchange < b.exchange) pairs
        JOIN alike x ON x.series = one JOIN alike y ON y.series = two"""
    return _replace(
        connection,
        "rate_correlations",
        f"""SELECT series AS market_id, other AS other_market_id, correlation, cosine, common_hours,
            common_hours / {alike.HOURS} AS coverage
        FROM ({alike.similarities(same_asset)}) ORDER BY market_id, other_market_id""",
        as_of,
    )


def _write_assets(
    connection: duckdb.DuckDBPyConnection, hourly: pl.DataFrame, as_of: datetime
) -> int:
    assets = connection.sql("SELECT market_id, asset FROM markets WHERE asset IS NOT NULL").pl()
    members = alike.largest_assets(hourly, assets, ASSETS)
    largest = members.group_by("series", "asset").agg(markets=pl.len())
    with (
        _compared(connection, alike.mean_rates(hourly, members)),
        visible(connection, "largest", largest),
    ):
        return _replace(
            connection,
            "asset_correlations",
            f"""SELECT a.asset, b.asset AS other_asset, correlation, cosine, common_hours,
                common_hours / {alike.HOURS} AS coverage, a.markets, b.markets AS other_markets
            FROM ({alike.similarities("alike x JOIN alike y ON x.series < y.series")}) s
            JOIN largest a ON a.series = s.series JOIN largest b ON b.series = s.other
            ORDER BY ALL""",
            as_of,
        )


def _write_neighbours(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> int:
    nearest = _nearest(connection)
    with visible(connection, "nearest", nearest):
        return _replace(
            connection,
            "neighbours",
            """SELECT series AS market_id, measure, row_number() OVER (
                    PARTITION BY series, measure ORDER BY similarity DESC, other) AS rank,
                other AS other_market_id, similarity, common_hours
            FROM nearest ORDER BY market_id, measure, rank""",
            as_of,
        )


def _nearest(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """All pairs of series that vary, block by block; only what may be near leaves the database."""
    places = connection.execute(
        "SELECT series, stepped FROM alike WHERE place IS NOT NULL ORDER BY place"
    ).fetchall()
    series = [one for one, _ in places]
    number, first_stepped = len(places), sum(not stepped for _, stepped in places)
    nearest = pl.DataFrame(schema=alike.NEAREST)
    for start in range(0, number, _BLOCK):
        block = f"x.place >= {start} AND x.place < {start + _BLOCK}"
        for stepped, first, end in (
            (False, start, first_stepped),
            (True, max(start, first_stepped), number),
        ):
            if first >= end:
                continue
            others = f"y.place >= {first} AND y.place < {end}"
            found = connection.sql(
                f"""FROM ({
                    alike.similarities(
                        f"alike x, alike y WHERE {block} AND {others}", stepped=stepped
                    )
                }) WHERE correlation >= least($correlation[series + 1], $correlation[other + 1])
                      OR cosine >= least($cosine[series + 1], $cosine[other + 1])""",
                params={
                    measure: alike.bars(nearest, measure, max(series)) for measure in alike.MEASURES
                },
            ).pl()
            # Within the block every pair comes twice, and each series with itself.
            twice = pl.col("other").is_in(series[start : start + _BLOCK])
            found = found.filter(~twice | (pl.col("series") < pl.col("other")))
            nearest = alike.nearest(nearest, found)
    return nearest


def _replace(connection: duckdb.DuckDBPyConnection, table: str, query: str, as_of: datetime) -> int:
    connection.execute(f"DELETE FROM base.{table}")
    rows: int = connection.execute(
        f"""INSERT INTO base.{table} BY NAME
        SELECT *, CAST($as_of AS TIMESTAMP) AS as_of FROM ({query})""",
        {"as_of": as_of},
    ).fetchall()[0][0]
    return rows
