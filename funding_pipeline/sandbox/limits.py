"""Rate limits as the exchanges publish them, in the strictest reading: sliding windows.

Belongs here: counting weight in a window, refusing, the penalty after an excess. Does not belong
here: what a refusal looks like on the wire (that is the exchange module's) and the weights.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """`weight` per `window_s`; after an excess everything is refused for `penalty_s`."""

    weight: int
    window_s: float
    penalty_s: float = 0.0


class SlidingWindow:
    """Admits a weight only when the window that ends now still has room for it."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._admitted: deque[tuple[float, int]] = deque()
        self._used = 0
        self._refused_until = float("-inf")

    def admit(self, weight: int) -> bool:
        now = self._clock()
        while self._admitted and self._admitted[0][0] <= now - self._limit.window_s:
            self._used -= self._admitted.popleft()[1]
        if now < self._refused_until:
            return False
        if self._used + weight > self._limit.weight:
            self._refused_until = now + self._limit.penalty_s
            return False
        self._admitted.append((now, weight))
        self._used += weight
        return True

    def clear(self) -> None:
        self._admitted.clear()
        self._used = 0
        self._refused_until = float("-inf")
