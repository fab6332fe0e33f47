"""The log of opportunities: keeping it up to date, and replaying any span of the past.

Belongs here: reading settlements span by span, the table. Does not: the rule and the formulas
(transforms.opportunities), what changed since the log was last made (opportunity_changes).
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb
import polars as pl

from funding_pipeline.transforms.known_windows import TAKER_FEES
from funding_pipeline.transforms.measures import TIME, floor_hour
from funding_pipeline.transforms.opportunities import OPPORTUNITIES, Rule, follow
from funding_pipeline.transforms.spreads import asset_pairs
from funding_pipeline.warehouse import opportunity_changes as changes
from funding_pipeline.warehouse.database import visible
from funding_pipeline.warehouse.opportunity_changes import CONTEXT, HOUR

RULE = Rule()
_CHUNK = timedelta(days=10)


def replay(
    connection: duckdb.DuckDBPyConnection,
    *,
    first: datetime,
    until: datetime,
    rule: Rule = RULE,
    held: Collection[str] = (),
) -> pl.DataFrame:
    """The log of the hours [first, until] (naive UTC, whole hours), nothing being open before.

    Reads settlements, the keys of markets and `base.fees`; changes nothing. The schema is
    `transforms.opportunities.OPPORTUNITIES`.
    """
    keys = changes.keys(connection, held)
    since = asset_pairs(keys).with_columns(since=pl.lit(first, dtype=TIME))
    return _followed(connection, keys, since, pl.DataFrame(schema=OPPORTUNITIES), until, rule)


def refresh_opportunities(
    connection: duckdb.DuckDBPyConnection,
    *,
    now: datetime,
    held: Collection[str] = (),
    rule: Rule = RULE,
) -> int:
    """Bring `base.opportunities` up to `now` (naive UTC), floored to the hour; returns the rows
    written. Inside the caller's transaction; `base.fees` must be filled. `held`: exchanges whose
    pairs have no opportunities.

    The log begins 30 days before the first call. Another rule or other fees make it anew from
    there; so does, for a market's pairs, another asset or quote of the market.
    """
    starts, until = changes.span(connection, now, rule)
    keys = changes.keys(connection, held)
    since = changes.since(connection, keys, starts, until)
    since = changes.forget(connection, since, until)
    last = max(floor_hour(now), until)
    log = _followed(connection, keys, since, _open(connection), last, rule)
    connection.execute("DELETE FROM base.opportunities WHERE closed IS NULL")
    with visible(connection, "log", log.with_columns(pl.col("funding_steps").cast(pl.String))):
        connection.execute(
            """INSERT INTO base.opportunities BY NAME
            SELECT * REPLACE (CAST(funding_steps AS HUGEINT) AS funding_steps) FROM log"""
        )
    changes.remember(connection, keys, starts, last, rule)
    return len(log)


def _open(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    frame: pl.DataFrame = connection.sql(
        """SELECT * REPLACE (CAST(funding_steps AS VARCHAR) AS funding_steps)
        FROM base.opportunities WHERE closed IS NULL"""
    ).pl()
    return frame.cast(OPPORTUNITIES)  # type: ignore[arg-type]


def _followed(
    connection: duckdb.DuckDBPyConnection,
    keys: pl.DataFrame,
    since: pl.DataFrame,
    carried: pl.DataFrame,
    last: datetime,
    rule: Rule,
) -> pl.DataFrame:
    """All that is open at or opened in the hours of each pair up to `last`.

    Most pairs go on where the log ended; they are not dragged through the past of the few others.
    """
    newest = pl.col("since") == pl.col("since").max()
    parts = [
        _chunks(connection, keys, pairs, _of(carried, pairs), last, rule)
        for pairs in (since.filter(newest), since.filter(~newest))
    ]
    return pl.concat(parts).sort("opened", "long_id", "short_id")


def _chunks(
    connection: duckdb.DuckDBPyConnection,
    keys: pl.DataFrame,
    pairs: pl.DataFrame,
    carried: pl.DataFrame,
    last: datetime,
    rule: Rule,
) -> pl.DataFrame:
    fees = _fees(connection)
    closed = []
    start: datetime = pairs["since"].min()  # type: ignore[assignment]
    while not pairs.is_empty() and start <= last:
        end = min(start + _CHUNK - HOUR, last)
        settling = keys.filter(pl.col("last_settlement") > start - CONTEXT)["market_id"].implode()
        chosen = pairs.filter(
            pl.col("since") <= end,
            (pl.col("first_id").is_in(settling) & pl.col("second_id").is_in(settling))
            | _has(carried),
        ).with_columns(since=pl.max_horizontal("since", pl.lit(start, dtype=TIME)))
        settlements: pl.DataFrame = connection.sql(
            """SELECT market_id, funding_time, rate, interval_hours, covered_hours FROM settlements
            WHERE funding_time > $first AND funding_time <= $last
              AND market_id IN (SELECT unnest(CAST($markets AS INTEGER[])))""",
            params={
                "first": start - CONTEXT,
                "last": end,
                "markets": pl.concat([chosen["first_id"], chosen["second_id"]]).unique().to_list(),
            },
        ).pl()
        log = follow(settlements, chosen, carried, fees=fees, until=end, rule=rule)
        closed.append(log.filter(pl.col("closed").is_not_null()))
        carried = log.filter(pl.col("closed").is_null())
        start = end + HOUR
    return pl.concat([*closed, carried])


def _of(log: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The rows of these pairs, either way round."""
    first, second = (
        pl.min_horizontal("long_id", "short_id"),
        pl.max_horizontal("long_id", "short_id"),
    )
    return (
        log.with_columns(first_id=first, second_id=second)
        .join(pairs, on=["first_id", "second_id"], how="semi")
        .drop("first_id", "second_id")
    )


def _has(log: pl.DataFrame) -> pl.Expr:
    """Whether a pair has a row in the log."""
    both = log.select(
        key=pl.struct(
            first_id=pl.min_horizontal("long_id", "short_id"),
            second_id=pl.max_horizontal("long_id", "short_id"),
        )
    )["key"]
    return pl.struct("first_id", "second_id").is_in(both.implode())


def _fees(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    frame: pl.DataFrame = connection.sql(
        """SELECT m.market_id, taker,
            coalesce(CAST(valid_from AS TIMESTAMP), TIMESTAMP '1970-01-01') AS valid_from
        FROM base.fees f JOIN base.markets m USING (exchange)"""
    ).pl()
    return frame.cast(TAKER_FEES)  # type: ignore[arg-type]
