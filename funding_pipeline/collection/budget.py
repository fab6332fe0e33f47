"""The rate budget of an exchange, shared by all processes of this machine.

Belongs here: waiting until a request may be sent. Does not: refusals by the exchange (client).

A sliding log per exchange in SQLite, guarded by a file lock, keeps what every process has sent, and
since when each request surely counts: it may have waited on its way, and the next request may not.
When its answer is there it has arrived, however busy this machine is. In windows so short that the
way would cost too much of them, the fastest answer's time is taken off.

A tick goes first: while one waits, backfills hold back, so that it gets the next share that falls
free and nobody waits for a backfill to end. Of a window longer than a minute, in which that may
take long, backfills leave a small share untouched.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Protocol

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from funding_pipeline.exchanges.base import ExchangeSpec, RateLimit
from funding_pipeline.settings import Settings

# Windows from here on count a request from its answer, which costs a hundredth or two of them; they
# need no slack but for whole milliseconds. A scope with a shorter one needs it in all its windows.
_LONG_ENOUGH_S = 5.0
_SLACK_S = 0.01
_SHORT_SLACK_SHARE = 0.01
_SHORT_SLACK_MAX_S = 0.25
_TICK_WAITING_S = 0.75
_POLL_S = 0.1
_LONG_WINDOW_S = 60.0
_RESERVED_SHARE = 40  # one in so many


class Priority(Enum):
    """Who asks: an hourly tick goes before a backfill."""

    TICK = "tick"
    BACKFILL = "backfill"


class Budget(Protocol):
    """Something that lets requests through at the allowed pace."""

    def spend(
        self, weight: int, scopes: Collection[str] = ("",)
    ) -> AbstractAsyncContextManager[float]:
        """Wait until `weight` may be spent in these scopes and give the seconds waited; the request
        is sent, and its answer awaited, inside.
        """
        ...

    def close(self) -> None: ...


class Unlimited:
    """No budget: for a sandbox that enforces no limits."""

    @asynccontextmanager
    async def spend(self, weight: int, scopes: Collection[str] = ("",)) -> AsyncIterator[float]:
        yield 0.0

    def close(self) -> None:
        pass


class SharedBudget:
    """The budget of one exchange as this process sees it. Needs an existing folder."""

    def __init__(
        self, folder: Path, exchange: str, limits: Sequence[RateLimit], priority: Priority
    ) -> None:
        self._short = {limit.scope for limit in limits if limit.seconds < _LONG_ENOUGH_S}
        # The general scope first: a narrower one is the tighter, and what is entered last is
        # entered when the request leaves.
        self._buckets = {
            scope: _bucket(
                folder / ".".join(filter(None, (exchange, scope, "sqlite"))),
                [limit for limit in limits if limit.scope == scope],
                priority,
                short=scope in self._short,
            )
            for scope in sorted({limit.scope for limit in limits})
        }
        self._tick_mark = folder / f"{exchange}.tick"
        self._priority = priority
        self._exchange = exchange
        self._turn = asyncio.Lock()
        self._names = (f"{os.getpid()}.{id(self)}.{number}" for number in count())
        self._fastest_s = math.inf

    @asynccontextmanager
    async def spend(self, weight: int, scopes: Collection[str] = ("",)) -> AsyncIterator[float]:
        """As promised. ValueError if it is more than the limit ever allows."""
        asked, name = time.monotonic(), next(self._names)
        buckets = {scope: bucket for scope, bucket in self._buckets.items() if scope in scopes}
        async with self._turn:
            for bucket in buckets.values():
                while (delay := self._try(bucket, name, weight)) is not None:
                    await asyncio.sleep(delay)
        granted, fastest_s = time.monotonic(), self._fastest_s
        try:
            yield granted - asked
            # Of answers alone: a refused connection or an interruption is no measure of the way.
            self._fastest_s = fastest_s = min(self._fastest_s, time.monotonic() - granted)
        finally:
            for scope, bucket in buckets.items():
                way_s = fastest_s if scope in self._short else 0.0
                self._postpone(bucket, name, time.time() - way_s)

    def _postpone(self, bucket: SQLiteBucket, name: str, arrived_s: float) -> None:
        """Let a request count from when it arrived at the latest. When it was let through is no
        better: entering it waits for other processes as well.
        """
        if math.isfinite(arrived_s):
            with bucket.lock:
                bucket.conn.execute(
                    "UPDATE requests SET item_timestamp = max(item_timestamp, ?) WHERE name = ?",
                    (math.ceil(arrived_s * 1000), name),
                )
                bucket.conn.commit()

    def close(self) -> None:
        if self._priority is Priority.TICK:
            # Nobody holds back for a tick that is done; another one marks again as it waits.
            self._tick_mark.unlink(missing_ok=True)
        for bucket in self._buckets.values():
            bucket.close()  # type: ignore[no-untyped-call]

    def _try(self, bucket: SQLiteBucket, name: str, weight: int) -> float | None:
        """None when granted, else the seconds until it is worth asking again."""
        if self._priority is Priority.BACKFILL and self._tick_waits():
            return _POLL_S
        item = RateItem(name, int(time.time() * 1000), weight=weight)
        if bucket.put(item):
            bucket.leak(item.timestamp)
            return None
        wait_ms = bucket.waiting(item)
        if not isinstance(wait_ms, int) or wait_ms < 0:
            raise ValueError(f"{self._exchange}: weight {weight} exceeds the limit")
        if self._priority is Priority.TICK:
            self._tick_mark.touch()
            os.utime(self._tick_mark, times=(time.time(), time.time()))
            return min(wait_ms / 1000 + 0.001, _POLL_S)
        return wait_ms / 1000 + 0.001

    def _tick_waits(self) -> bool:
        try:
            return time.time() - self._tick_mark.stat().st_mtime < _TICK_WAITING_S
        except FileNotFoundError:
            return False


def _stretched(limit: RateLimit, *, short: bool) -> float:
    if short:
        return limit.seconds + min(limit.seconds * _SHORT_SLACK_SHARE, _SHORT_SLACK_MAX_S)
    return limit.seconds + _SLACK_S


def _granted(limit: RateLimit, priority: Priority) -> int:
    if priority is Priority.TICK or limit.seconds <= _LONG_WINDOW_S:
        return limit.weight
    return limit.weight - limit.weight // _RESERVED_SHARE


def _bucket(
    path: Path, limits: Sequence[RateLimit], priority: Priority, *, short: bool
) -> SQLiteBucket:
    rates = [
        Rate(_granted(limit, priority), round(_stretched(limit, short=short) * 1000))
        for limit in limits
    ]
    return SQLiteBucket.init_from_file(
        sorted(rates, key=lambda rate: rate.interval),
        table="requests",
        db_path=str(path),
        use_file_lock=True,
    )


def budget_of(spec: ExchangeSpec, settings: Settings, priority: Priority) -> Budget:
    """The budget of an exchange under these settings."""
    folder = settings.budget_dir
    if folder is None:
        return Unlimited()
    folder.mkdir(parents=True, exist_ok=True)
    return SharedBudget(folder, spec.name, spec.limits, priority)
