"""Rate limits as the exchanges publish them, in the strictest reading: sliding windows.

Belongs here: counting weight in windows, refusing, the penalty after an excess, the ban of who
does not heed refusals. Does not belong here: what a refusal looks like on the wire (that is the
exchange module's) and the weights.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """`weight` per `window_s`; after an excess everything is refused for `penalty_s`."""

    weight: int
    window_s: float
    penalty_s: float = 0.0
    # None: every endpoint counts. Else only these, one per request whatever the request weighs.
    endpoints: frozenset[str] | None = None
    # After this many refusals without an admission between them: refused for `ban_s`.
    ban_after: int | None = None
    ban_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit refused, and when to come back."""

    limit: Limit
    wait_s: float
    banned: bool = False


class SlidingWindow:
    """Has room for a weight only when the window that ends now has."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        self._admitted: deque[tuple[float, int]] = deque()
        self._used = 0
        self._refused_until = float("-inf")
        self._refusals = 0
        self._banned = False

    def cost(self, endpoint: str, weight: int) -> int:
        if self.limit.endpoints is None:
            return weight
        return int(endpoint in self.limit.endpoints)

    def refusal(self, weight: int) -> Refusal | None:
        """Why the weight cannot be admitted now; None when it can. A refusal is counted."""
        now = self._clock()
        self._forget(now)
        if now >= self._refused_until:
            self._banned = False
            if self._used + weight <= self.limit.weight:
                return None
            self._refused_until = now + self.limit.penalty_s
        self._refusals += 1
        if not self._banned and self._refusals == self.limit.ban_after:
            self._banned = True
            self._refused_until = now + self.limit.ban_s
        wait_s = max(self._refused_until - now, self._room_in(weight, now))
        return Refusal(self.limit, wait_s, self._banned)

    def take(self, weight: int) -> None:
        self._refusals = 0
        self._admitted.append((self._clock(), weight))
        self._used += weight

    def used(self) -> int:
        self._forget(self._clock())
        return self._used

    def _forget(self, now: float) -> None:
        while self._admitted and self._admitted[0][0] <= now - self.limit.window_s:
            self._used -= self._admitted.popleft()[1]

    def _room_in(self, weight: int, now: float) -> float:
        """Seconds until enough of the window has been forgotten."""
        excess = self._used + weight - self.limit.weight
        for time, admitted in self._admitted:
            if excess <= 0:
                break
            excess -= admitted
            if excess <= 0:
                return time + self.limit.window_s - now
        return 0.0


class Gate:
    """All limits of one exchange together: a request passes every window or counts in none."""

    def __init__(self, limits: Sequence[Limit], clock: Callable[[], float]) -> None:
        self._windows = [SlidingWindow(limit, clock) for limit in limits]

    def admit(self, endpoint: str, weight: int) -> Refusal | None:
        costs = [(window, window.cost(endpoint, weight)) for window in self._windows]
        for window, cost in costs:
            if cost and (refusal := window.refusal(cost)) is not None:
                return refusal
        for window, cost in costs:
            if cost:
                window.take(cost)
        return None

    def used(self) -> list[int]:
        """The weight in each window now, in the order of the limits."""
        return [window.used() for window in self._windows]

    def clear(self) -> None:
        for window in self._windows:
            window.clear()
