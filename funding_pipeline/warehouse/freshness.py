"""How fresh each exchange is, for checks: the figures of `exchange_freshness` at a given time.

Belongs here: reading them. Does not: what is overdue and when an exchange is late (the macros of
the migration that made them), acting on it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import duckdb

MOST_NAMED = 10
# The check that these figures are judged by.
FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Freshness:
    """One exchange: its live markets, how many are overdue, and the worst of these by name.

    late: a tenth of them or more. worst_decile_overdue_hours: a tenth is overdue by at
    least so much.
    newest_settlement: naive UTC, None where none of them settled yet.
    """

    markets: int
    stale: int
    worst_decile_overdue_hours: float
    late: bool
    newest_settlement: datetime | None
    named: tuple[str, ...] = ()


def exchange_freshness(
    connection: duckdb.DuckDBPyConnection, exchanges: Collection[str], now: datetime
) -> dict[str, Freshness]:
    """Of those of the exchanges that have live markets; `now` is naive UTC."""
    rows = connection.execute(
        """SELECT f.exchange, f.markets, f.stale,
                  coalesce(f.worst_decile_overdue_hours, 0), f.late, f.newest_settlement,
                  coalesce(n.named, [])
        FROM base.exchange_freshness_at($now) f LEFT JOIN (
            SELECT exchange, list(market || ' since ' || due_at ORDER BY due_at)[:$most] AS named
            FROM base.freshness_at($now) WHERE NOT fresh GROUP BY exchange
        ) n USING (exchange)
        WHERE f.exchange IN (SELECT unnest(CAST($exchanges AS VARCHAR[])))""",
        {"now": now, "most": MOST_NAMED, "exchanges": list(exchanges)},
    ).fetchall()
    return {
        name: Freshness(markets, stale, overdue, late, newest, tuple(named))
        for name, markets, stale, overdue, late, newest, named in rows
    }
