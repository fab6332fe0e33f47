"""Keeping `base.asset_averages`: the newest state and every midnight before it.

Belongs here: which markets take part, with which weights, and which midnights are stale. Does not:
the means (transforms.asset_averages).

The newest state ends at the newest moving average of all, A. A market takes part with its own
newest one unless it has missed a settlement by two hours (an interval below 8 h counts as 8, so
that a late exchange does not come and go). At a midnight before A all points are known, and a
market takes part with the point of that midnight. Weights are the newest known ones of the 24 h up
to as_of. Markets whose `asset` is null take no part.

A midnight is made anew when the digest of what it was made of has changed: by a backfill, by a
correction, or because a market counts for another asset or is held. Only midnights whose averages
were written since are looked at, and all of them when the members have changed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.asset_averages import MEMBERS, asset_averages
from funding_pipeline.warehouse.database import visible

LATE = timedelta(hours=2)
LEAST_INTERVAL_HOURS = 8
WEIGHT_AGE = timedelta(days=1)
LATEST = "latest"
_CHUNK_MIDNIGHTS = 10
_OLDEST = timedelta(hours=24) + LATE

_NEWEST = """
WITH newest AS (
    SELECT market_id, max(as_of) AS as_of FROM base.moving_averages
    WHERE as_of BETWEEN $as_of - $oldest AND $as_of GROUP BY market_id
), figures AS (
    SELECT market_id, "window", as_of AS measured_at, rate_hourly_mean AS rate_hourly
    FROM base.moving_averages JOIN newest USING (market_id, as_of)
    WHERE as_of BETWEEN $as_of - $oldest AND $as_of
    UNION ALL
    SELECT market_id, $latest, funding_time, rate / interval_hours
    FROM base.latest_rates WHERE funding_time <= $as_of
), weights AS (
    SELECT market_id, arg_max(open_interest_usd, observed_at) AS open_interest_usd,
           arg_max(volume_24h_usd, observed_at) AS volume_24h_usd
    FROM base.predicted_rates
    WHERE observed_at > $as_of - $weight_age AND observed_at <= $as_of GROUP BY market_id
)
SELECT m.asset, f."window", CAST($as_of AS TIMESTAMP) AS as_of, m.exchange, f.market_id,
       f.measured_at, f.rate_hourly, w.open_interest_usd, w.volume_24h_usd
FROM figures f JOIN markets m USING (market_id) JOIN base.latest_rates r USING (market_id)
LEFT JOIN weights w USING (market_id)
WHERE m.asset IS NOT NULL AND f.measured_at > $as_of - $late
    - to_hours(CAST(greatest(r.interval_hours, $least) AS INTEGER))"""

# hash() orders nothing: what is compared is what the same version wrote, or all is made anew.
_MEMBERS = "SELECT bit_xor(hash(market_id, asset)) FROM markets WHERE asset IS NOT NULL"

_DIGESTS = """
SELECT a.as_of, bit_xor(hash(a.market_id, m.asset, a."window", a.rate_hourly_mean)) AS digest
FROM base.moving_averages a JOIN markets m USING (market_id)
WHERE extract(hour FROM a.as_of) = 0 AND a.as_of < $as_of AND m.asset IS NOT NULL
  -- What is in the list lies in its span: only so much of the table is read.
  AND a.as_of BETWEEN (SELECT min(as_of) FROM looked_at) AND (SELECT max(as_of) FROM looked_at)
  AND a.as_of IN (SELECT as_of FROM looked_at)
GROUP BY a.as_of"""

_MIDNIGHTS = """
WITH weights AS (
    SELECT market_id, date_trunc('day', observed_at - INTERVAL 1 MICROSECOND) + INTERVAL 1 DAY
               AS as_of,
           arg_max(open_interest_usd, observed_at) AS open_interest_usd,
           arg_max(volume_24h_usd, observed_at) AS volume_24h_usd
    FROM base.predicted_rates
    WHERE observed_at > (SELECT min(as_of) FROM wanted) - INTERVAL 1 DAY
      AND observed_at <= (SELECT max(as_of) FROM wanted)
    GROUP BY ALL
)
SELECT m.asset, a."window", a.as_of, m.exchange, a.market_id, a.as_of AS measured_at,
       a.rate_hourly_mean AS rate_hourly, w.open_interest_usd, w.volume_24h_usd
FROM base.moving_averages a JOIN wanted USING (as_of) JOIN markets m USING (market_id)
LEFT JOIN weights w ON w.market_id = a.market_id AND w.as_of = a.as_of
WHERE m.asset IS NOT NULL AND a.as_of BETWEEN (SELECT min(as_of) FROM wanted)
                                          AND (SELECT max(as_of) FROM wanted)"""


def refresh(connection: duckdb.DuckDBPyConnection, *, now: datetime, markets: Sequence[int]) -> int:
    """Bring the table up to date with `base.moving_averages` and `base.latest_rates`; returns the
    rows written. Inside the caller's transaction. Neither `now` nor `markets` plays a part: what
    the tables hold tells what is newest and what is stale.
    """
    as_of = connection.execute("SELECT max(as_of) FROM base.moving_averages").fetchall()[0][0]
    if as_of is None:
        connection.execute("DELETE FROM base.asset_averages")
        connection.execute("DELETE FROM base.asset_averages_inputs")
        connection.execute("DELETE FROM base.asset_averages_members")
        return 0
    stale = _stale(connection, as_of)
    written = 0
    for wanted in stale.iter_slices(_CHUNK_MIDNIGHTS):
        with visible(connection, "wanted", wanted):
            written += _store(connection, connection.sql(_MIDNIGHTS))
    parameters = {
        "as_of": as_of,
        "oldest": _OLDEST,
        "latest": LATEST,
        "weight_age": WEIGHT_AGE,
        "late": LATE,
        "least": LEAST_INTERVAL_HOURS,
    }
    return written + _store(connection, connection.sql(_NEWEST, params=parameters))


def _stale(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> pl.DataFrame:
    """The midnights before `as_of` that are to be made (anew), without rows from now on; so is the
    newest state so far, unless it was a midnight.
    """
    members = connection.execute(_MEMBERS).fetchall()
    if connection.execute("SELECT digest FROM base.asset_averages_members").fetchall() != members:
        connection.execute("DELETE FROM base.asset_averages_members")
        connection.execute("INSERT INTO base.asset_averages_members VALUES (?)", members[0])
        connection.execute(
            """INSERT INTO base.changed_midnights
            SELECT DISTINCT as_of FROM base.moving_averages WHERE extract(hour FROM as_of) = 0
            UNION SELECT as_of FROM base.asset_averages_inputs"""
        )
    looked_at: pl.DataFrame = connection.sql(
        "SELECT DISTINCT as_of FROM base.changed_midnights WHERE as_of < $as_of",
        params={"as_of": as_of},
    ).pl()
    # Mostly none, and without bounds the digests would read the whole table.
    stale = looked_at if looked_at.is_empty() else _changed(connection, looked_at, as_of)
    connection.execute(
        """DELETE FROM base.asset_averages
        WHERE as_of NOT IN (SELECT as_of FROM base.asset_averages_inputs)"""
    )
    with visible(connection, "stale", stale):
        connection.execute("INSERT INTO base.asset_averages_inputs BY NAME FROM stale")
    # The newest is no midnight of the past yet.
    connection.execute("DELETE FROM base.changed_midnights WHERE as_of < ?", [as_of])
    return stale.select("as_of")


def _changed(
    connection: duckdb.DuckDBPyConnection, looked_at: pl.DataFrame, as_of: datetime
) -> pl.DataFrame:
    """Those of these midnights whose digest is a new one, with it; the old ones are forgotten."""
    with visible(connection, "looked_at", looked_at):
        fresh: pl.DataFrame = connection.sql(_DIGESTS, params={"as_of": as_of}).pl()
        with visible(connection, "fresh", fresh):
            connection.execute(
                """DELETE FROM base.asset_averages_inputs
                WHERE as_of IN (SELECT as_of FROM looked_at) AND as_of NOT IN (
                    SELECT as_of FROM fresh SEMI JOIN base.asset_averages_inputs i
                    USING (as_of, digest))"""
            )
            # What is left in the inputs stands as it was.
            stale: pl.DataFrame = connection.sql(
                "FROM fresh ANTI JOIN base.asset_averages_inputs USING (as_of) ORDER BY as_of"
            ).pl()
    return stale


def _store(connection: duckdb.DuckDBPyConnection, members: duckdb.DuckDBPyRelation) -> int:
    averages = asset_averages(members.pl().cast(MEMBERS))
    with visible(connection, "averages", averages):
        connection.execute("INSERT INTO base.asset_averages BY NAME FROM averages")
    return len(averages)
