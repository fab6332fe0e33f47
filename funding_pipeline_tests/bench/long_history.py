"""A data folder as years of hourly ticks leave it, with all that a tick or a reader touches.

Belongs here: filling history.duckdb through its real schema, market lists and windows through the
code that writes them. Does not: rates (generated_history), serving (served), measuring.

Each live market lacks its newest settlement, so that the next tick is that of 00:00, 08:00 and
16:00, when all of them settle, whatever the time of day is now.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest import mock

import duckdb
import httpx
import numpy as np
import polars as pl

from funding_pipeline.collection.access import http_client, origins
from funding_pipeline.collection.budget import Priority, budget_of
from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Exchange as Collected
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox import wire
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Listing
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse import asset_averages
from funding_pipeline.warehouse.database import Database, timestamp, transaction, visible
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.ledger import claim_origin
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.publish import publish
from funding_pipeline.warehouse.windows import record_windows
from funding_pipeline_tests.bench.generated_history import (
    History,
    Settled,
    dataset,
    spans,
    world,
)

YEARS_DAYS = 1_096
# So long ago a tick reaches back, and further.
DERIVED_DAYS = 125
ESTIMATE_HOURS = 31 * 24
# How often the lists of markets are taken, between the first day and now.
_LISTS = 5
_TICK_MINUTE = timedelta(minutes=3)

# Who writes rates with so many decimals, zeros at the end included; who writes another number or an
# exponent, beside those whose unit is another one. The rest: the shortest decimal.
_DECIMALS = {
    "apex": 8, "aster": 8, "binance": 8, "binance_coinm": 8, "bingx": 8, "edgex": 8, "extended": 6,
    "hibachi": 6, "htx": 18, "paradex": 14,
}  # fmt: skip
_OTHERWISE = {"deribit", "kraken", "velocity"}

_INSERT = """
INSERT INTO settlements BY NAME
SELECT s.* EXCLUDE (mark_price), CASE WHEN isnan(mark_price) THEN NULL ELSE mark_price END
           AS mark_price,
       base.kept_text(coalesce(
           CASE WHEN x.decimals IS NOT NULL THEN printf('%.' || x.decimals || 'f', rate)
                WHEN x.otherwise THEN coalesce(
                    base.short_text(rate * 100), CAST(rate * 100 AS VARCHAR)) END,
           base.short_text(rate), CAST(rate AS VARCHAR)), rate) AS raw_rate,
       CASE WHEN x.recorded THEN 'recorded' ELSE 'settled' END AS kind, 'api' AS source,
       date_diff('hour', $start, funding_time) * $exchanges + x.number AS load_id,
       funding_time + $late AS collected_at
FROM rows s JOIN numbers x USING (market_id) ORDER BY funding_time, market_id"""

_LOADS = """
INSERT INTO loads BY NAME
SELECT date_diff('hour', $start, h.hour) * $exchanges + x.number AS load_id, x.exchange,
       'tick' AS reason, h.hour - INTERVAL 1 HOUR AS window_from, h.hour AS window_to,
       h.hour + $late AS started, h.hour + $late + INTERVAL 10 SECOND AS ended,
       'complete' AS outcome, 150 AS rows_new, 0 AS rows_changed, 150 AS requests
FROM (SELECT DISTINCT exchange, number FROM numbers) x,
     (SELECT unnest(generate_series($start, $end - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour) h
ORDER BY h.hour, x.number"""

_ESTIMATES = """
INSERT INTO base.predicted_rates BY NAME
SELECT m.market_id, h.hour + INTERVAL 56 MINUTE AS observed_at, 0.0001 * sin(m.market_id + h.n)
           AS rate,
       CAST(CAST(rate AS DECIMAL(18, 8)) AS VARCHAR) AS raw_rate, m.interval_hours,
       CAST(NULL AS TIMESTAMP) AS next_funding_time,
       round(50 + hash(m.asset) % 1000 + sin(h.n), 4) AS mark_price,
       round(50 + hash(m.asset) % 1000 + sin(h.n), 4) AS index_price,
       round(1e6 * (1 + hash(m.market_id) % 50 + cos(h.n)), 2) AS open_interest_usd,
       round(1e6 * (1 + hash(m.market_id) % 90 + sin(h.n)), 2) AS volume_24h_usd
FROM markets m JOIN numbers x USING (market_id), (
    SELECT hour, row_number() OVER () AS n FROM (
        SELECT unnest(generate_series($end - $span, $end - INTERVAL 1 HOUR, INTERVAL 1 HOUR))
            AS hour)
) h
-- Of recorded markets, samples are what settles.
WHERE m.status = 'live' AND m.interval_hours IS NOT NULL AND NOT x.recorded
ORDER BY h.hour, m.market_id"""


# The days from $first on, as many days earlier.
_REPEATED = (
    """INSERT INTO base.daily_stats
    SELECT * REPLACE (day - CAST($days AS INTEGER) AS day) FROM base.daily_stats
    WHERE day >= CAST($first AS DATE) AND day < CAST($first AS DATE) + CAST($days AS INTEGER)
    ORDER BY day, market_id""",
    """INSERT INTO base.moving_averages
    SELECT * REPLACE (as_of - to_days(CAST($days AS INTEGER)) AS as_of) FROM base.moving_averages
    WHERE as_of >= $first AND as_of < $first + to_days(CAST($days AS INTEGER))
      AND extract(hour FROM as_of) = 0
    ORDER BY as_of, market_id""",
)


@dataclass(frozen=True, slots=True)
class LongHistory:
    """A filled data folder. `end_ms`: nothing after it is collected; the sandbox's listings are
    those of `served.sandbox` with the same `start_ms` and `end_ms`.
    """

    folder: Path
    start_ms: int
    end_ms: int
    settlements: int
    markets: int

    @property
    def listed_from_ms(self) -> int:
        """From when on the world's markets are withdrawn; the same for every length of history."""
        return self.end_ms - YEARS_DAYS * DAY_MS


def long_and_short(place: Path, now_ms: int) -> tuple[LongHistory, LongHistory]:
    """Three years of 4,000 markets and thirty days of the same, derived and published."""
    found = []
    for name, days in (("long", YEARS_DAYS), ("short", 30)):
        history = fill(place / name, days=days, now_ms=now_ms)
        complete(history)
        found.append(history)
    return found[0], found[1]


def fill(folder: Path, *, days: int, now_ms: int) -> LongHistory:
    """Fill the folder with `days` of settlements up to `now_ms`; not derived, not published."""
    settings = Settings(data_dir=folder, limits=False)
    database = Database(settings)
    collected = select(settings)
    end_ms = now_ms // HOUR_MS * HOUR_MS
    start_ms = end_ms - days * DAY_MS
    served = world([e.spec.name for e in collected], end_ms - YEARS_DAYS * DAY_MS, end_ms)
    _record_lists(settings, database, collected, served, start_ms, end_ms)
    listed = [(exchange.name, listing) for exchange in served for listing in exchange.listings()]
    with database.open() as connection:
        # Sorting what is sorted costs little; memory is for the batches.
        ids = _market_ids(connection, listed)
        numbers = _numbers(connection, [e.spec.name for e in collected])
        times = {"start": timestamp(start_ms), "end": timestamp(end_ms)}
        common = {"exchanges": len(collected), "late": _TICK_MINUTE}
        history = History(listed, whole_from_hour=end_ms // HOUR_MS)
        last = _last_but_one(listed, end_ms // HOUR_MS)
        with visible(connection, "numbers", numbers):
            for first, until in spans(start_ms // HOUR_MS, end_ms // HOUR_MS + 1):
                rows = _frame(history.settled(first, until), ids, last)
                with visible(connection, "rows", rows):
                    connection.execute(_INSERT, {"start": times["start"], **common})
            connection.execute(_LOADS, times | common)
            connection.execute(
                _ESTIMATES,
                {"end": times["end"], "span": timedelta(hours=min(ESTIMATE_HOURS, days * 24))},
            )
        _finish(connection, collected, start_ms, end_ms)
        rows, markets = connection.execute(
            "SELECT (SELECT count(*) FROM settlements), count(*) FROM markets"
        ).fetchall()[0]
    return LongHistory(folder, start_ms, end_ms, rows, markets)


def complete(history: LongHistory) -> None:
    """Derive and publish, as the derivation job does; the next publication writes what changed.

    Daily figures and averages older than `DERIVED_DAYS` are those of the newer days once more. Gaps
    were asked for in vain long ago; what only the next tick will bring is none.
    """
    database = Database(Settings(data_dir=history.folder))
    # Judging takes longer than deriving, and what is generated is right.
    with mock.patch("funding_pipeline.warehouse.derive.hold_faulty", return_value=[]):
        derive(database, now=timestamp(history.end_ms))
    with database.open() as connection:
        first = timestamp(history.end_ms).replace(hour=0) - timedelta(days=DERIVED_DAYS)
        while first > timestamp(history.start_ms):
            for statement in _REPEATED:
                connection.execute(statement, {"first": first, "days": DERIVED_DAYS})
            first -= timedelta(days=DERIVED_DAYS)
        connection.execute("DELETE FROM base.asset_averages_members")
        with transaction(connection):
            asset_averages.refresh(connection, now=timestamp(history.end_ms), markets=[])
        connection.execute(
            """DELETE FROM base.gaps WHERE state = 'open' AND last_missing >= ?""",
            [timestamp(history.end_ms - DAY_MS)],
        )
        connection.execute(
            """UPDATE base.gaps SET state = 'given up', closed_at = found_at, asked_times = 3
            WHERE state = 'open'"""
        )
    for _ in range(3):
        publish(database)


def _record_lists(
    settings: Settings,
    database: Database,
    collected: Sequence[Collected],
    served: Sequence[wire.Exchange],
    start_ms: int,
    end_ms: int,
) -> None:
    """What the exchanges listed at some moments of the past, and now."""
    moments = np.linspace(start_ms, end_ms, _LISTS + 1).astype(int).tolist()
    now_ms = start_ms
    with running_sandbox(dataset(served), now=lambda: now_ms) as url:
        asked = settings.model_copy(update={"sandbox_url": url})
        for now_ms in moments:
            lists = asyncio.run(_lists(collected, asked))
            with database.open() as connection:
                claim_origin(connection, "sandbox")
                for exchange, markets in zip(collected, lists, strict=True):
                    if markets:
                        record_markets(connection, exchange.spec.name, markets, timestamp(now_ms))


async def _lists(collected: Sequence[Collected], settings: Settings) -> list[list[Market]]:
    tls = httpx.create_ssl_context()

    async def ask(exchange: Collected) -> list[Market]:
        async with http_client(exchange, settings, tls) as http:
            budget = budget_of(exchange.spec, settings, Priority.TICK)
            client = ExchangeClient(http, exchange, budget, origins(exchange, settings))
            try:
                markets: list[Market] = await client.run(exchange.markets())
            except ExchangeError:
                return []  # what opened later has nothing to tell
            return markets

    return await asyncio.gather(*(ask(exchange) for exchange in collected))


def _market_ids(
    connection: duckdb.DuckDBPyConnection, listed: Sequence[tuple[str, Listing]]
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Of each listing; -1 where the exchange's list never told of it."""
    known = {
        (exchange, market): market_id
        for exchange, market, market_id in connection.execute(
            "SELECT exchange, market, market_id FROM markets"
        ).fetchall()
    }
    return np.array([known.get((name, one.symbol), -1) for name, one in listed], np.int32)


def _numbers(connection: duckdb.DuckDBPyConnection, order: Sequence[str]) -> pl.DataFrame:
    """Which of an hour's loads a market belongs to, and how its rates are written."""
    specs = {e.spec.name: e.spec for e in select(Settings())}
    other = {n for n, s in specs.items() if s.rate_unit is not RateUnit.FRACTION} | _OTHERWISE
    rows = [
        (
            market_id,
            exchange,
            order.index(exchange) + 1,
            specs[exchange].kind == "recorded",
            _DECIMALS.get(exchange),
            exchange in other,
        )
        for market_id, exchange in connection.execute(
            "SELECT market_id, exchange FROM markets"
        ).fetchall()
    ]
    schema: dict[str, type[pl.DataType]] = {
        "market_id": pl.Int32,
        "exchange": pl.String,
        "number": pl.Int64,
    }
    schema |= {"recorded": pl.Boolean, "decimals": pl.Int32, "otherwise": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _last_but_one(
    listed: Sequence[tuple[str, Listing]], end_hour: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The last hour that is stored of each listing: its newest settlement is left for the tick."""
    hours = np.array([listing.eras[-1][1] for _, listing in listed])
    return (end_hour // hours - 1) * hours


def _frame(
    settled: Settled,
    ids: np.ndarray[tuple[int], np.dtype[np.int32]],
    last: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> pl.DataFrame:
    chosen = (ids[settled.market] >= 0) & (settled.hour <= last[settled.market])
    hours = settled.hour[chosen] * 3_600_000_000
    return pl.DataFrame(
        {
            "market_id": ids[settled.market[chosen]],
            "funding_time": pl.Series(hours).cast(pl.Datetime("us")),
            "rate": settled.rate[chosen],
            "interval_hours": settled.interval_hours[chosen],
            "covered_hours": settled.covered_hours[chosen],
            "lag_ms": settled.lag_ms[chosen],
            "mark_price": settled.mark_price[chosen],
        }
    )


def _finish(
    connection: duckdb.DuckDBPyConnection,
    collected: Sequence[Collected],
    start_ms: int,
    end_ms: int,
) -> None:
    """What the merges of all these ticks would have left beside the settlements."""
    with transaction(connection):
        connection.execute(
            """UPDATE base.markets SET first_settlement = s.first, last_settlement = s.last
            FROM (SELECT market_id, min(funding_time) AS first, max(funding_time) AS last
                  FROM settlements GROUP BY market_id) s
            WHERE markets.market_id = s.market_id"""
        )
        # Only the sequence's next number counts.
        connection.execute(
            "SELECT nextval('load_ids') FROM range((SELECT max(load_id) FROM loads))"
        )
        connection.execute(
            """INSERT INTO dirty_days (market_id, day, since)
            SELECT market_id, CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE)
                   AS day, $now
            FROM settlements WHERE funding_time > $now - to_days(CAST($days AS INTEGER))
            GROUP BY ALL ORDER BY day, market_id""",
            {"now": timestamp(end_ms), "days": DERIVED_DAYS},
        )
        for exchange in collected:
            _record_windows(connection, exchange.spec.name, start_ms, end_ms)
        connection.execute(
            """INSERT INTO base.collectors BY NAME
            SELECT exchange, 'complete' AS outcome, max(ended) AS last_run,
                   max(ended) AS last_success, count(*) AS total_runs,
                   sum(rows_new) AS total_records
            FROM loads GROUP BY exchange"""
        )
    connection.execute("CHECKPOINT")


def _record_windows(
    connection: duckdb.DuckDBPyConnection, exchange: str, start_ms: int, end_ms: int
) -> None:
    """One span a market, up to its newest settlement or to when it left."""
    rows = connection.execute(
        """SELECT market, status = 'live',
                  epoch_ms(greatest(listed_at, $start)), epoch_ms(last_settlement)
        FROM markets WHERE exchange = $exchange AND last_settlement IS NOT NULL""",
        {"exchange": exchange, "start": timestamp(start_ms)},
    ).fetchall()
    answered = [
        (market, Window(first or start_ms, last + 1_000 if live else end_ms), 1)
        for market, live, first, last in rows
    ]
    record_windows(connection, exchange, answered, load_id=1)
