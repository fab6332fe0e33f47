"""What the log of opportunities rests on, and what of it changed since the log was last made.

Belongs here: pairs, digests of settlements, deleting what has to be followed anew. Does not:
following it (warehouse.opportunities).

A late or corrected settlement changes what should have been known at its hour. Each market's
settlements are remembered as two digests, one of the last two days and one of what went before:
its pairs are followed again from two days before the log's end, or from ninety. Another asset or
quote changes which pairs there are: they are followed again from the log's start.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.known_windows import CONTEXT_HOURS
from funding_pipeline.transforms.measures import TIME, floor_hour
from funding_pipeline.transforms.opportunities import Rule
from funding_pipeline.transforms.spreads import asset_pairs, quote_family
from funding_pipeline.warehouse.database import visible

# How far back the first log begins; how far back changed settlements are noticed.
FIRST_SPAN = timedelta(days=30)
NOTICED = timedelta(days=90)
CONTEXT = timedelta(hours=CONTEXT_HOURS)
HOUR = timedelta(hours=1)
_RECENT = timedelta(hours=48)


def keys(connection: duckdb.DuckDBPyConnection, held: Collection[str]) -> pl.DataFrame:
    """market_id, exchange, last_settlement, and `asset`: what two markets of a pair share, the
    asset and the currency of the quote. Null: in no pair.
    """
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id, exchange, last_settlement, quote, CASE WHEN exchange NOT IN
            (SELECT unnest(CAST($held AS VARCHAR[]))) THEN asset END AS asset
        FROM base.markets WHERE last_settlement IS NOT NULL ORDER BY market_id""",
        params={"held": sorted(held)},
    ).pl()
    return frame.select(
        "market_id",
        "exchange",
        "last_settlement",
        asset=pl.concat_str("asset", quote_family(), separator=" in "),
    )


# Of the exchanges that the log knows: a new one does not make it anew.
_FEES_DIGEST = """SELECT coalesce(bit_xor(hash(exchange, valid_from, valid_to, taker)), 0)
    FROM base.fees WHERE exchange IN
        (SELECT exchange FROM base.markets JOIN base.opportunity_markets USING (market_id))"""


def span(
    connection: duckdb.DuckDBPyConnection, now: datetime, rule: Rule
) -> tuple[datetime, datetime]:
    """First and last hour of the log; what was made by another rule or other fees is deleted."""
    rows: list[tuple[datetime, datetime, bool]] = connection.execute(
        f"""SELECT starts, until,
            open_above = ? AND close_below = ? AND fees = ({_FEES_DIGEST})
        FROM base.opportunity_log""",
        [rule.open_above, rule.close_below],
    ).fetchall()
    starts, until, same = rows[0] if rows else (floor_hour(now) - FIRST_SPAN, now, False)
    if same:
        return starts, until
    connection.execute("DELETE FROM base.opportunities")
    connection.execute("DELETE FROM base.opportunity_markets")
    return starts, starts - HOUR


def _digests(
    connection: duckdb.DuckDBPyConnection, starts: datetime, until: datetime
) -> pl.DataFrame:
    """Of each market's settlements that the log up to `until` may rest on."""
    frame: pl.DataFrame = connection.sql(
        """SELECT market_id,
            coalesce(bit_xor(digest) FILTER (funding_time <= $recent), 0) AS older,
            coalesce(bit_xor(digest) FILTER (funding_time > $recent), 0) AS recent
        FROM (SELECT market_id, funding_time,
                  hash(funding_time, rate, interval_hours, covered_hours) AS digest
              FROM settlements WHERE funding_time > $first AND funding_time <= $until)
        GROUP BY market_id""",
        params={
            "first": max(starts - CONTEXT, until - NOTICED),
            "recent": until - _RECENT,
            "until": until,
        },
    ).pl()
    return frame


def since(
    connection: duckdb.DuckDBPyConnection, keys: pl.DataFrame, starts: datetime, until: datetime
) -> pl.DataFrame:
    """All pairs (`PAIRS`) with the first hour at which something may be new."""
    before: pl.DataFrame = connection.sql(
        "SELECT market_id, key, older AS was_older, recent AS was_recent "
        "FROM base.opportunity_markets"
    ).pl()
    digests = _digests(connection, starts, until)
    unlike = pl.col("older").fill_null(0) != pl.col("was_older")
    lately = pl.col("recent").fill_null(0) != pl.col("was_recent")
    firsts = [max(starts, until - span + HOUR) for span in (NOTICED, _RECENT)]
    all_over, noticed, two_days, next_hour = (
        pl.lit(moment, dtype=TIME) for moment in (starts, *firsts, until + HOUR)
    )
    since = (
        keys.join(before, on="market_id", how="left")
        .join(digests, on="market_id", how="left")
        .select(
            "market_id",
            since=pl.when(pl.col("asset").ne_missing(pl.col("key")) | unlike.is_null())
            .then(all_over)
            .when(unlike)
            .then(noticed)
            .when(lately)
            .then(two_days)
            .otherwise(next_hour),
        )
    )
    return (
        asset_pairs(keys)
        .join(since.rename({"since": "since_1"}), left_on="first_id", right_on="market_id")
        .join(since.rename({"since": "since_2"}), left_on="second_id", right_on="market_id")
        .select("first_id", "second_id", since=pl.min_horizontal("since_1", "since_2"))
    )


def forget(
    connection: duckdb.DuckDBPyConnection, since: pl.DataFrame, until: datetime
) -> pl.DataFrame:
    """Delete what is no pair any more, and what a pair to be followed anew has from its first hour
    on. Where that hour lies within an opportunity, the pair starts with that one instead.
    """
    with visible(connection, "since", since):
        connection.execute(
            """DELETE FROM base.opportunities WHERE NOT EXISTS (FROM since s
            WHERE s.first_id = least(long_id, short_id)
              AND s.second_id = greatest(long_id, short_id))"""
        )
    log: pl.DataFrame = connection.sql(
        """SELECT least(long_id, short_id) AS first_id, greatest(long_id, short_id) AS second_id,
            opened, coalesce(closed, TIMESTAMP '9999-01-01') AS ended
        FROM base.opportunities"""
    ).pl()
    anew = since.filter(pl.col("since") <= until)
    while True:
        reached = log.join(anew, on=["first_id", "second_id"]).filter(
            pl.col("ended") >= pl.col("since"), pl.col("opened") < pl.col("since")
        )
        if reached.is_empty():
            break
        earliest = reached.group_by("first_id", "second_id").agg(pl.col("opened").min())
        anew = anew.join(earliest, on=["first_id", "second_id"], how="left").select(
            "first_id", "second_id", since=pl.min_horizontal("since", "opened")
        )
    with visible(connection, "anew", anew):
        connection.execute(
            """DELETE FROM base.opportunities USING anew a
            WHERE a.first_id = least(long_id, short_id)
              AND a.second_id = greatest(long_id, short_id)
              AND coalesce(closed, TIMESTAMP '9999-01-01') >= a.since"""
        )
    return pl.concat([anew, since.filter(pl.col("since") > until)])


def remember(
    connection: duckdb.DuckDBPyConnection,
    keys: pl.DataFrame,
    starts: datetime,
    last: datetime,
    rule: Rule,
) -> None:
    """Keep what the log of the hours [starts, last] was made of."""
    digests = _digests(connection, starts, last)
    with visible(connection, "keys", keys), visible(connection, "digests", digests):
        connection.execute("DELETE FROM base.opportunity_markets")
        connection.execute(
            """INSERT INTO base.opportunity_markets
            SELECT k.market_id, k.asset, coalesce(d.older, 0), coalesce(d.recent, 0)
            FROM keys k LEFT JOIN digests d USING (market_id)"""
        )
    connection.execute("DELETE FROM base.opportunity_log")
    connection.execute(
        f"INSERT INTO base.opportunity_log SELECT ?, ?, ?, ?, ({_FEES_DIGEST})",
        [starts, last, rule.open_above, rule.close_below],
    )
