"""The circuit breaker of an exchange: one that fails again and again is left alone for a while.

Belongs here: its states and the lengths of its pauses, the clock passed in. Does not: where it is
stored and who may try (warehouse.breakers), what counts as a failure (collection.closing).

Closed: asked as usual. After three failures in a row open: not asked at all. When the pause is over
half-open: one process claims the try, and until it ends the others find the breaker open. A success
closes it, a failed try doubles the pause, up to less than an hour: so every hourly tick may try. It
costs a single request, and to wait longer would cost more: what is recorded from samples can never
be asked for later, and a machine that was offline for a night would wait for hours once it is back.
Times are naive UTC.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FAILURES = 3
FIRST_PAUSE = timedelta(minutes=15)
LONGEST_PAUSE = timedelta(minutes=45)
# A try is over by then, or its process has died.
TRY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` one after the other; open since `opened_at`, until somebody may try at `retry_at`.

    Both times are None while it is closed.
    """

    failures: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None

    @property
    def closed(self) -> bool:
        return self.retry_at is None

    def may_try(self, now: datetime) -> bool:
        """Whether it is half-open: the pause is over and nobody has claimed the try."""
        return self.retry_at is not None and self.retry_at <= now

    def claimed(self, now: datetime) -> "Breaker":
        """With the try given away: nobody else gets it until it has ended or must have died."""
        return replace(self, retry_at=now + TRY)

    def after_failure(self, now: datetime, *, tried: bool) -> "Breaker":
        """`tried`: it was the claimed try that failed. What began before the breaker opened and
        fails after it tells nothing new.
        """
        if not self.closed and not tried:
            return self
        failures = self.failures + 1
        if failures < FAILURES:
            return Breaker(failures)
        return Breaker(failures, self.opened_at or now, now + pause(failures))


def pause(failures: int) -> timedelta:
    """15 minutes after the third failure, doubling with each one to 45."""
    # Bounded before it is multiplied: failures may go on for years.
    return min(FIRST_PAUSE * (1 << min(failures - FAILURES, 16)), LONGEST_PAUSE)
