"""How long a user waits for an answer of read.duckdb: the questions of the targets, as written.

Belongs here: the queries and their medians, fetched whole into Arrow. Does not: the history.
"""

import statistics
import time
from collections.abc import Iterator

import duckdb

from funding_pipeline.warehouse.database import timestamp
from funding_pipeline_tests.bench.figures import Figure
from funding_pipeline_tests.bench.long_history import LongHistory

RUNS = 15
_DAYS_30_MS = 30 * 86_400_000

# (what is asked, milliseconds, SQL); $from and $to are the last 30 days.
QUESTIONS = (
    ("all latest rates", 15.0, "FROM latest_rates"),
    (
        "all latest moving averages",
        10.0,
        "FROM latest_averages",
    ),
    (
        "one market, 30 days",
        5.0,
        """FROM funding_rates WHERE exchange = 'binance' AND market = 'ETHUSDT'
        AND funding_time >= $from AND funding_time < $to ORDER BY funding_time""",
    ),
    (
        "one symbol across exchanges, 30 days",
        15.0,
        """FROM funding_rates WHERE symbol = 'ETH' AND funding_time >= $from
        AND funding_time < $to ORDER BY exchange, market, funding_time""",
    ),
    ("top spreads", 30.0, "FROM top_spreads LIMIT 20"),
    (
        "daily statistics of one month, all markets",
        50.0,
        "FROM daily_stats WHERE day >= CAST($from AS DATE) AND day < CAST($to AS DATE)",
    ),
)


def query_figures(history: LongHistory) -> Iterator[Figure]:
    """Medians over warm runs on one open connection."""
    span = {
        "from": timestamp(history.end_ms - _DAYS_30_MS),
        "to": timestamp(history.end_ms),
    }
    path = history.folder / "read.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, target, sql in QUESTIONS:
            used = {key: value for key, value in span.items() if f"${key}" in sql}
            rows, milliseconds = _median(connection, sql, used)
            yield Figure(f"query: {name}", milliseconds, target, "ms", f"{rows:,} rows, warm")


def _median(
    connection: duckdb.DuckDBPyConnection, sql: str, used: dict[str, object]
) -> tuple[int, float]:
    taken = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        # As the client does; a result of `execute` would be copied once more.
        rows = connection.sql(sql, params=used).to_arrow_table().num_rows
        taken.append((time.perf_counter() - started) * 1000)
    return rows, statistics.median(taken[1:])
