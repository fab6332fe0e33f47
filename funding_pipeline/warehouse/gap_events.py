"""What the ledger tells of gaps: one event per exchange and occasion, however many gaps there are.

Belongs here: its words. Does not: deciding anything.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import duckdb
import polars as pl

from funding_pipeline.warehouse.database import visible
from funding_pipeline.warehouse.event_kinds import EventKind

# market_id, first and last missing, number of missing settlements
Told: TypeAlias = tuple[int, datetime, datetime, int]


def tell(
    connection: duckdb.DuckDBPyConnection,
    kind: EventKind,
    gaps: Sequence[Told],
    now: datetime,
    load_id: int | None = None,
) -> None:
    """Append the events; the reasons are those that `base.gaps` gives by now."""
    if not gaps:
        return
    frame = pl.DataFrame(
        gaps,
        schema={
            "market_id": pl.Int32,
            "first_missing": pl.Datetime("us"),
            "last_missing": pl.Datetime("us"),
            "missing": pl.Int32,
        },
        orient="row",
    )
    with visible(connection, "told", frame):
        connection.execute(
            """INSERT INTO events
            WITH rows AS (
                SELECT m.exchange, m.market, t.*, g.reason
                FROM told t JOIN base.markets m USING (market_id)
                JOIN base.gaps g ON g.market_id = t.market_id AND
                    t.first_missing BETWEEN g.first_missing AND g.last_missing
                QUALIFY row_number() OVER (PARTITION BY t.market_id, t.first_missing
                                           ORDER BY g.found_at DESC) = 1
            ), reasons AS (
                SELECT exchange, string_agg(reason || ' ' || missing, ', ' ORDER BY missing DESC)
                           AS reasons
                FROM (SELECT exchange, reason, sum(missing) AS missing FROM rows GROUP BY ALL)
                GROUP BY exchange
            )
            SELECT $now, $kind, exchange, CASE WHEN count(*) = 1 THEN any_value(market) END,
                   sum(missing) || ' settlement(s) in ' || count(*) || ' gap(s) of '
                   || count(DISTINCT market_id) || ' market(s): ' || any_value(reasons)
                   || '; e.g. ' || arg_max(market || ' ' || first_missing || ' .. ' || last_missing,
                                           struct_pack(last_missing, market)), $load_id
            FROM rows JOIN reasons USING (exchange) GROUP BY exchange ORDER BY exchange""",
            {"now": now, "kind": kind, "load_id": load_id},
        )
