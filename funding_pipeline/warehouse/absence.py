"""Which exchanges lack a part of their last 30 days, and when to ask for a backfill again.

Belongs here: the facts from the database, the decision and its back-off, all free of Dagster and of
clocks. Does not: starting runs (defs.first_days), planning requests (collection.planning).

What follows a market's newest collected moment is the tick's work, which reaches back some days:
a market that settles every 8 hours is asked every 8 hours and lacks nothing in between, and a
machine that was off for three days is completed by its first tick. Everything older is lacking.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb

from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.domain.spans import subtract
from funding_pipeline.warehouse.database import milliseconds
from funding_pipeline.warehouse.windows import collected

DAYS = 30
FIRST_WAIT = timedelta(minutes=10)
LONGEST_WAIT = timedelta(hours=24)
# A load that never ended is taken for a living one so long; its process may have been killed. To
# be wrong about it costs requests within the rate budget, and no data.
OPEN_LOAD = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Lack:
    """What one exchange lacks: live markets with a hole, of how many; none known is a lack too."""

    markets: int
    of: int

    @property
    def complete(self) -> bool:
        """Every live market is covered, and there are some."""
        return self.of > 0 and self.markets == 0

    def __str__(self) -> str:
        return f"{self.markets} of {self.of} markets incomplete" if self.of else "nothing collected"


@dataclass(frozen=True, slots=True)
class Tries:
    """Backfills asked for in vain so far, and when the next one may be (naive UTC)."""

    count: int
    again: datetime


@dataclass(slots=True)
class Decision:
    """`start`: exchanges to backfill now. `tries`: to be remembered. `waiting`: why others wait."""

    start: list[str] = field(default_factory=list)
    tries: dict[str, Tries] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


def last_days(now: datetime) -> Window:
    """The last 30 full UTC days: they end with yesterday."""
    midnight = milliseconds(now) // DAY_MS * DAY_MS
    return Window(midnight - DAYS * DAY_MS, midnight)


def lacks(
    connection: duckdb.DuckDBPyConnection,
    exchanges: Sequence[str],
    *,
    tick_reach_ms: int,
    kept_since: Mapping[str, int],
    now: datetime,
) -> dict[str, Lack]:
    """What each exchange lacks of the last 30 full days, over the markets that are live. What an
    exchange does not tell of any more (before `kept_since`, in ms) is not lacking.
    """
    days = last_days(now)
    reach_ms = milliseconds(now) - tick_reach_ms
    rows = connection.execute(
        """SELECT exchange, market, listed_at FROM base.markets
        WHERE status = 'live' AND exchange IN (SELECT unnest(CAST(? AS VARCHAR[])))""",
        [list(exchanges)],
    ).fetchall()
    live: dict[str, dict[str, int]] = {name: {} for name in exchanges}
    for exchange, market, listed_at in rows:
        live[exchange][market] = 0 if listed_at is None else milliseconds(listed_at)
    found = {}
    for exchange, markets in live.items():
        covered = collected(connection, exchange)
        lacking = sum(
            _lacking(covered.get(market, ()), max(listed_ms, kept_since[exchange]), days, reach_ms)
            for market, listed_ms in markets.items()
        )
        found[exchange] = Lack(lacking, len(markets))
    return found


def _lacking(covered: Sequence[Window], listed_ms: int, days: Window, reach_ms: int) -> bool:
    watermark = max((window.end_ms for window in covered), default=0)
    end = min(days.end_ms, watermark) if watermark > reach_ms else days.end_ms
    wanted = Window(max(days.start_ms, listed_ms // HOUR_MS * HOUR_MS), end)
    # A hole without a whole hour in it holds no settlement, and nobody will ever ask for it.
    return any(
        -(-hole.start_ms // HOUR_MS) * HOUR_MS < hole.end_ms for hole in subtract(wanted, covered)
    )


def open_backfills(connection: duckdb.DuckDBPyConnection, *, now: datetime) -> dict[str, datetime]:
    """Exchanges with a backfill load that has no end yet, and when the newest one began."""
    rows = connection.execute(
        """SELECT exchange, max(started) FROM loads
        WHERE ended IS NULL AND reason = 'backfill' AND started > ? GROUP BY exchange""",
        [now - OPEN_LOAD],
    ).fetchall()
    return dict(rows)


def decide(
    lacking: Mapping[str, Lack],
    active: Collection[str],
    cancelled: Mapping[str, datetime],
    tries: Mapping[str, Tries],
    *,
    now: datetime,
) -> Decision:
    """Which exchanges to backfill now: lacking, no backfill active, and not waiting.

    The wait counts from when the last backfill was seen at work, not from its request, for it may
    run for hours. A backfill that a person cancelled is not asked for again within a day.
    """
    decision = Decision()
    for exchange, lack in lacking.items():
        if lack.complete:
            continue
        tried = tries.get(exchange)
        stopped = cancelled.get(exchange)
        if exchange in active:
            decision.waiting[exchange] = "a backfill is active"
            if tried:
                decision.tries[exchange] = Tries(tried.count, now + wait(tried.count))
        elif stopped and now < stopped + LONGEST_WAIT:
            decision.waiting[exchange] = (
                f"cancelled; asked for again at {stopped + LONGEST_WAIT:%Y-%m-%d %H:%M} UTC"
            )
            if tried:
                decision.tries[exchange] = tried
        elif tried and now < tried.again:
            decision.waiting[exchange] = (
                f"{lack} after {tried.count} tries; the next is at {tried.again:%Y-%m-%d %H:%M} UTC"
            )
            decision.tries[exchange] = tried
        else:
            count = tried.count + 1 if tried else 1
            decision.start.append(exchange)
            decision.tries[exchange] = Tries(count, now + wait(count))
    return decision


def wait(count: int) -> timedelta:
    """10 minutes after the first backfill, doubling to a day."""
    # Bounded before it is multiplied: a cursor may hold any number.
    doublings = min(max(count, 1) - 1, 16)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def dump_tries(tries: Mapping[str, Tries]) -> str:
    """As text, for a cursor."""
    return json.dumps({name: [t.count, t.again.isoformat()] for name, t in tries.items()})


def load_tries(text: str | None, *, now: datetime) -> dict[str, Tries]:
    """What `dump_tries` wrote; nothing of what cannot be read. No wait exceeds the longest one."""
    found = {}
    try:
        for name, (count, again) in json.loads(text or "{}").items():
            next_try = min(datetime.fromisoformat(again), now + LONGEST_WAIT)
            found[str(name)] = Tries(int(count), next_try)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return {}
    return found
