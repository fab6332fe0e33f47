"""The rate budget of an exchange, shared by all processes of this machine.

Belongs here: waiting until a request may be sent. Does not: refusals by the exchange (client).

A sliding log per exchange in SQLite, guarded by a file lock, keeps what every process has sent. Its
windows are a little longer than the exchange's, because two requests may travel at different
speed. A tick goes first: while one waits, backfills hold back, so that it gets the next share that
falls free and nobody waits for a backfill to end.
"""

import asyncio
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from funding_pipeline.exchanges.base import RateLimit

_SLACK_SHARE = 0.04
_SLACK_MAX_S = 1.0
_TICK_WAITING_S = 2.0
_POLL_S = 0.25


class Priority(Enum):
    """Who asks: an hourly tick goes before a backfill."""

    TICK = "tick"
    BACKFILL = "backfill"


class Budget(Protocol):
    """Something that lets requests through at the allowed pace."""

    async def acquire(self, weight: int) -> float:
        """Wait until `weight` may be spent; returns the seconds waited."""
        ...

    def close(self) -> None: ...


class Unlimited:
    """No budget: for a sandbox that enforces no limits."""

    async def acquire(self, weight: int) -> float:
        return 0.0

    def close(self) -> None:
        pass


class SharedBudget:
    """The budget of one exchange as this process sees it. Needs an existing folder."""

    def __init__(
        self, folder: Path, exchange: str, limits: Sequence[RateLimit], priority: Priority
    ) -> None:
        rates = [Rate(limit.weight, round(_stretched(limit) * 1000)) for limit in limits]
        self._bucket = SQLiteBucket.init_from_file(
            sorted(rates, key=lambda rate: rate.interval),
            table="requests",
            db_path=str(folder / f"{exchange}.sqlite"),
            use_file_lock=True,
        )
        self._tick_mark = folder / f"{exchange}.tick"
        self._priority = priority
        self._exchange = exchange
        self._turn = asyncio.Lock()

    async def acquire(self, weight: int) -> float:
        """Wait for `weight`. ValueError if it is more than the limit ever allows."""
        started = time.monotonic()
        async with self._turn:
            while True:
                delay = self._try(weight)
                if delay is None:
                    return time.monotonic() - started
                await asyncio.sleep(delay)

    def close(self) -> None:
        self._bucket.close()  # type: ignore[no-untyped-call]

    def _try(self, weight: int) -> float | None:
        """None when granted, else the seconds until it is worth asking again."""
        if self._priority is Priority.BACKFILL and self._tick_waits():
            return _POLL_S
        item = RateItem(self._exchange, int(time.time() * 1000), weight=weight)
        if self._bucket.put(item):
            self._bucket.leak(item.timestamp)
            return None
        wait_ms = self._bucket.waiting(item)
        if not isinstance(wait_ms, int) or wait_ms < 0:
            raise ValueError(f"{self._exchange}: weight {weight} exceeds the limit")
        if self._priority is Priority.TICK:
            self._tick_mark.touch()
            return min(wait_ms / 1000 + 0.001, _POLL_S)
        return wait_ms / 1000 + 0.001

    def _tick_waits(self) -> bool:
        try:
            return time.time() - self._tick_mark.stat().st_mtime < _TICK_WAITING_S
        except FileNotFoundError:
            return False


def _stretched(limit: RateLimit) -> float:
    return limit.seconds + min(limit.seconds * _SLACK_SHARE, _SLACK_MAX_S)
