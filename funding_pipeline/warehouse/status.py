"""How fresh and how complete the published data are, exchange by exchange.

Belongs here: the queries on read.duckdb, opened read-only and without any lock. Does not: how it
looks (cli.text), writing (ledger). Imports no polars: `funding status` answers at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

COVERAGE_SPAN = timedelta(days=30)
RUNNING_AT_MOST = timedelta(days=1)
NEVER = "never collected"


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """A load without an end: still running, or older than a day and so interrupted."""

    load_id: int
    reason: str
    started: datetime
    state: Literal["running", "interrupted"]


@dataclass(frozen=True, slots=True)
class ExchangeStatus:
    """One exchange as published, its status one of those that `collector_status` documents.

    lag_s: from the last settlement of its live markets to now, None without one: a market that was
    delisted lags behind nothing. coverage_30d: over the live markets, the hours of the
    last 30 days that were asked and answered, divided by the hours in which these markets were
    listed; hours in which an answer held no settlement count as collected. It is weighted by hours,
    runs to the last full hour, and is None without live markets. markets_stale: live markets whose
    next settlement is overdue. retry_at: of an exchange that is left alone after failures.
    """

    name: str
    status: str = NEVER
    last_settlement: datetime | None = None
    lag_s: int | None = None
    markets_live: int = 0
    markets_stale: int = 0
    coverage_30d: float | None = None
    last_run: datetime | None = None
    last_success: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    total_runs: int = 0
    total_records: int = 0
    retry_at: datetime | None = None
    open_loads: tuple[OpenLoad, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Everything `funding status` tells; `published` None where nothing was published yet.

    origin: "live" or "sandbox", None where nothing was collected yet.
    """

    published: datetime | None
    age_s: int | None
    exchanges: tuple[ExchangeStatus, ...]
    origin: str | None = None


def naive_utc_now() -> datetime:
    """Now as the database keeps times, without what `database` imports."""
    return datetime.now(UTC).replace(tzinfo=None)


def read_status(path: Path, names: Sequence[str], *, now: datetime) -> Status:
    """The status of the named exchanges and of all others in the published database at `path`."""
    try:
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    except FileNotFoundError:
        return Status(None, None, tuple(ExchangeStatus(name) for name in names))
    with duckdb.connect(str(path), read_only=True) as connection:
        collectors = _by_exchange(connection, _COLLECTORS, {"now": now})
        markets = _by_exchange(connection, _MARKETS, {"now": now})
        coverage = _by_exchange(connection, _COVERAGE, _span(now))
        loads = _open_loads(connection, now)
        origins = connection.execute("SELECT origin FROM provenance").fetchall()
    known = [*names, *sorted((collectors.keys() | markets.keys() | loads.keys()) - set(names))]
    exchanges = tuple(
        _exchange(
            name,
            collectors.get(name),
            markets.get(name, (None, None, 0, 0)),
            coverage.get(name, (None,))[0],
            loads.get(name, ()),
            now,
        )
        for name in known
    )
    origin = origins[0][0] if origins else None
    return Status(changed, _seconds(changed, now), exchanges, origin)


def _exchange(
    name: str,
    collector: tuple[Any, ...] | None,
    markets: tuple[Any, ...],
    coverage: float | None,
    loads: tuple[OpenLoad, ...],
    now: datetime,
) -> ExchangeStatus:
    last_settlement, last_live, live, stale = markets
    if collector is None:
        collector = (NEVER, None, None, None, None, 0, 0, None)
    status, last_run, last_success, last_error, last_error_at, runs, records, retry_at = collector
    return ExchangeStatus(
        name,
        status,
        last_settlement,
        None if last_live is None else _seconds(last_live, now),
        live,
        stale,
        coverage,
        last_run,
        last_success,
        last_error,
        last_error_at,
        runs,
        records,
        retry_at,
        loads,
    )


_COLLECTORS = """
SELECT exchange, status, last_run, last_success, last_error, last_error_at, total_runs,
       total_records, retry_at
FROM base.collector_status_at($now) LEFT JOIN breakers USING (exchange)"""

_MARKETS = """
SELECT exchange, max(last_settlement), max(last_settlement) FILTER (status = 'live'),
       count(*) FILTER (status = 'live'), coalesce(any_value(f.stale), 0)
FROM base.markets LEFT JOIN base.exchange_freshness_at($now) f USING (exchange)
GROUP BY exchange"""

# Markets without a listing date count as listed all the time: what was asked before they existed
# was answered, so it stands on both sides of the fraction. Spans never overlap (windows.py).
_COVERAGE = """
WITH live AS (
    SELECT exchange, market, greatest(coalesce(listed_at, $start), $start) AS since
    FROM base.markets WHERE status = 'live' AND coalesce(listed_at, $start) < $until
), covered AS (
    SELECT l.exchange, l.market,
           sum(epoch_ms(least(c.to_time, $until)) - epoch_ms(greatest(c.from_time, l.since)))
               AS covered
    FROM live l JOIN collected_windows c USING (exchange, market)
    WHERE c.from_time < $until AND c.to_time > l.since
    GROUP BY ALL
)
SELECT exchange,
       sum(coalesce(covered, 0)) / sum(epoch_ms(CAST($until AS TIMESTAMP)) - epoch_ms(since))
FROM live LEFT JOIN covered USING (exchange, market) GROUP BY exchange"""

# Of interrupted loads only those that nothing has ended well since, and none from long ago.
_OPEN_LOADS = """
SELECT l.exchange, l.load_id, l.reason, l.started
FROM loads l LEFT JOIN base.collectors s USING (exchange)
WHERE l.ended IS NULL AND l.started > $oldest
  AND (l.started > $running_since OR s.last_success IS NULL OR s.last_success < l.started)
ORDER BY l.started"""


def _span(now: datetime) -> dict[str, datetime]:
    until = now.replace(minute=0, second=0, microsecond=0)
    return {"start": until - COVERAGE_SPAN, "until": until}


def _by_exchange(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None
) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(query, parameters).fetchall()
    return {exchange: tuple(values) for exchange, *values in rows}


def _open_loads(
    connection: duckdb.DuckDBPyConnection, now: datetime
) -> dict[str, tuple[OpenLoad, ...]]:
    running_since = now - RUNNING_AT_MOST
    rows = connection.execute(
        _OPEN_LOADS, {"oldest": now - COVERAGE_SPAN, "running_since": running_since}
    ).fetchall()
    loads: dict[str, tuple[OpenLoad, ...]] = {}
    for exchange, load_id, reason, started in rows:
        load = OpenLoad(
            load_id, reason, started, "running" if started > running_since else "interrupted"
        )
        loads[exchange] = (*loads.get(exchange, ()), load)
    return loads


def _seconds(then: datetime, now: datetime) -> int:
    return max(0, int((now - then).total_seconds()))
