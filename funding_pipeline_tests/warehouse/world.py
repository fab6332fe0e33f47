"""A small made-up exchange whose whole history is known, and how tests collect parts of it.

Belongs here: builders without any assertion. Windows are collected with the real planning and
validation, only the network is missing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from funding_pipeline.collection.planning import Job, Unit, answered, plan
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.database import migrate
from funding_pipeline.warehouse.markets import known_markets, record_markets
from funding_pipeline.warehouse.merge import MergeCounts, merge
from funding_pipeline.warehouse.windows import collected

HOUR = 3_600_000
DAY = 24 * HOUR
ORIGIN = int(datetime(2025, 3, 1, tzinfo=UTC).timestamp()) * 1000
LATER = datetime(2025, 7, 1)  # when everything is long settled
LATER_MS = int(LATER.replace(tzinfo=UTC).timestamp()) * 1000

History = Mapping[str, Sequence[RawSettlement]]


def spec(interval: Any = "declared") -> ExchangeSpec:
    return ExchangeSpec(
        name="madeup",
        title="Made up",
        origins={"": "https://madeup.invalid"},
        api_docs="https://madeup.invalid",
        rate_unit=RateUnit.FRACTION,
        interval=interval,
        max_abs_rate=0.05,
        page_rows=100,
        limits=(),
    )


DECLARED = spec()
HOURLY = spec(FixedInterval(((0, 1),)))


def at(hours: float) -> int:
    """Milliseconds of an hour counted from the origin, 2025-03-01 00:00."""
    return ORIGIN + round(hours * HOUR)


def time_of(hours: float) -> datetime:
    return datetime(2025, 3, 1) + timedelta(hours=hours)


def sent(hours: float, rate: str = "0.0001", *, market: str = "AAA", lag_ms: int = 0, **more: Any):
    """A settlement as the exchange sends it."""
    return RawSettlement(market, at(hours) + lag_ms, rate, **more)


def series(hours: Iterable[int], market: str = "AAA") -> list[RawSettlement]:
    """Settlements at those hours; every rate is another one."""
    return [sent(h, f"{(h % 89 - 44) * 1e-6:.6f}", market=market) for h in hours]


def listed(*markets: str, interval_hours: int | None = 8, **more: Any) -> list[Market]:
    return [
        Market(market=m, symbol=m, quote="USD", settle="USD", interval_hours=interval_hours, **more)
        for m in markets
    ]


@contextmanager
def memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """A migrated database that is gone at the end."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        migrate(connection)
        yield connection


def units(
    connection: duckdb.DuckDBPyConnection,
    declaration: ExchangeSpec,
    window: Window,
    *,
    market: str | None = None,
    refetch: bool = False,
    now_ms: int = LATER_MS,
) -> list[Unit]:
    job = Job("backfill", window, frozenset([market] if market else []), refetch)
    known = known_markets(connection, declaration.name).values()
    return plan(job, declaration, known, collected(connection, declaration.name), now_ms)


def collect(
    connection: duckdb.DuckDBPyConnection,
    history: History,
    window: Window,
    *,
    declaration: ExchangeSpec = DECLARED,
    market: str | None = None,
    refetch: bool = False,
    load_id: int = 1,
    now: datetime = LATER,
) -> MergeCounts:
    """Ask a history for what a window lacks, and merge it in one batch."""
    now_ms = int(now.replace(tzinfo=UTC).timestamp()) * 1000
    wanted = units(connection, declaration, window, market=market, refetch=refetch, now_ms=now_ms)
    answers = [answered(declaration, unit, _rows(history, unit, now_ms), now_ms) for unit in wanted]
    return merge(connection, declaration, answers, load_id=load_id, now=now)


def _rows(history: History, unit: Unit, now_ms: int) -> list[RawSettlement]:
    return [
        row
        for row in history.get(unit.market, ())
        if unit.ask.start_ms <= row.time_ms < unit.ask.end_ms and row.time_ms <= now_ms
    ]


def register(
    connection: duckdb.DuckDBPyConnection, markets: Sequence[Market], now: datetime = LATER
) -> None:
    record_markets(connection, DECLARED.name, markets, now)


def settlements(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """All that is known of every settlement, except which load brought it and when."""
    return connection.execute(
        """SELECT m.market, epoch_ms(funding_time) // 3600000 - ? // 3600000, rate,
               s.interval_hours,
               covered_hours, kind, base.sent_text(raw_rate, rate), lag_ms, cumulative_value,
               mark_price, source
        FROM settlements s JOIN markets m USING (market_id) ORDER BY ALL""",
        [ORIGIN],
    ).fetchall()


def hours_and_intervals(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int, int]]:
    """(hour since the origin, interval, covered hours), ascending."""
    return [(row[1], row[3], row[4]) for row in settlements(connection)]


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()
