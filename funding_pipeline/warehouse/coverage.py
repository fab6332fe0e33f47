"""How complete the published days are: exchange by day, or market by day.

Belongs here: the queries on read.duckdb, opened read-only and without any lock. Does not: how it
looks (cli.coverage), what is missing (gaps). Imports no polars: the command answers at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb


@dataclass(slots=True)
class Row:
    """An exchange or a market: share of the expected settlements stored, by day that has any."""

    name: str
    stored: int = 0
    expected: int = 0
    shares: dict[date, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing settlements of one exchange and reason, over the days asked for."""

    exchange: str
    reason: str
    missing: int
    markets: int
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Coverage:
    """Rows by name; for a single exchange its markets, the least complete first."""

    days: tuple[date, ...]
    rows: tuple[Row, ...]
    holes: tuple[Hole, ...]


_BY_EXCHANGE = """
SELECT exchange, day, expected, stored FROM coverage_by_day
WHERE day BETWEEN $first AND $last ORDER BY exchange, day"""

_BY_MARKET = """
SELECT market, day, expected, stored FROM market_coverage_by_day
WHERE exchange = $exchange AND day BETWEEN $first AND $last ORDER BY market, day"""

_HOLES = """
SELECT m.exchange, d.reason, CAST(sum(d.missing) AS BIGINT), count(DISTINCT market_id), min(d.day),
       max(d.day)
FROM base.missing_by_day d JOIN markets m USING (market_id)
WHERE d.day BETWEEN $first AND $last
  AND (len($chosen) = 0 OR m.exchange IN (SELECT unnest(CAST($chosen AS VARCHAR[]))))
GROUP BY m.exchange, d.reason ORDER BY m.exchange, 3 DESC"""


def read_coverage(
    path: Path, *, last: date, days: int, exchanges: Sequence[str] = ()
) -> Coverage | None:
    """The `days` days up to `last`, of these exchanges or of all; None where nothing is published.

    A single exchange is shown market by market.
    """
    if not path.exists():
        return None
    first = last - timedelta(days=days - 1)
    bounds = {"first": first, "last": last}
    with duckdb.connect(str(path), read_only=True) as connection:
        if len(exchanges) == 1:
            query = connection.execute(_BY_MARKET, bounds | {"exchange": exchanges[0]})
        else:
            query = connection.execute(_BY_EXCHANGE, bounds)
        rows: dict[str, Row] = {}
        for name, day, expected, stored in query.fetchall():
            row = rows.setdefault(name, Row(name))
            row.stored += stored
            row.expected += expected
            row.shares[day] = stored / expected
        holes = connection.execute(_HOLES, bounds | {"chosen": list(exchanges)}).fetchall()
    found = list(rows.values())
    if len(exchanges) == 1:
        found.sort(key=lambda row: (row.stored / row.expected, row.name))
    else:
        found = [row for row in found if not exchanges or row.name in exchanges]
    return Coverage(
        tuple(first + timedelta(days=n) for n in range(days)),
        tuple(found),
        tuple(Hole(*hole) for hole in holes),
    )
