"""Paradex's funding as it accrues: a rate in steps, a moving price, and the index they add up to.

The index is what one unit of the base paid since launch, in USD: it advances by premium x time /
8 hours, with premium = rate x price. Each rate holds from its time to the next one's, six hours at
most (then nothing accrues and there are no samples); the price moves in straight lines between the
same times, so the integral has a closed form and is the same however it is asked for.

Belongs here: rate, price, index and sample times of a market at any moment, and what was truly
paid. Does not belong here: the wire format.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.prices import asset_of, mark_price
from funding_pipeline.sandbox.recorded import POLL_HOLDS_MS

SAMPLE_MS = 5000
PERIOD_MS = 8 * HOUR_MS
# The index does not begin at zero: it is no running total of what a reader has seen.
_FIRST_INDEX_OF_PRICE = 0.3
# So many steps are summed at a time.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Step:
    """The rate of a stretch of time and the prices at its ends."""

    start_ms: int
    end_ms: int
    rate: float
    first_price: float
    last_price: float

    def price(self, ms: int) -> float:
        share = (ms - self.start_ms) / (self.end_ms - self.start_ms)
        return self.first_price + (self.last_price - self.first_price) * share

    def advance(self, ms: int) -> float:
        """What the index gains from the start of the step until then."""
        time = min(ms, self.end_ms) - self.start_ms
        mean_price = (self.first_price + self.price(self.start_ms + time)) / 2
        return self.rate * mean_price * time / PERIOD_MS


class FundingIndex:
    """One market's accrual; sums are kept as far as they were asked for."""

    def __init__(self, market: SandboxMarket) -> None:
        self._market = market
        self._times = market.times
        # Neighbouring questions are mostly about the same step.
        self._latest = (0, self._steps(0, 1)[0])
        self._sums = [_FIRST_INDEX_OF_PRICE * self._latest[1].first_price]
        self.offset_ms = int(uniform("samples", market.number) * SAMPLE_MS)

    def step_at(self, ms: int) -> Step | None:
        """The step in force; None where nothing accrues."""
        number = self._number(ms)
        if number < 0:
            return None
        step = self._step(number)
        return step if ms < step.end_ms else None

    def index_at(self, ms: int) -> float:
        number = self._number(ms)
        if number < 0:
            return self._sums[0]
        while (begun := len(self._sums) - 1) < number:
            for step in self._steps(begun, min(begun + _CHUNK, number)):
                self._sums.append(self._sums[-1] + step.advance(step.end_ms))
        return self._sums[number] + self._step(number).advance(ms)

    def paid(self, start_ms: int, end_ms: int) -> float:
        """The fraction of notional, valued at every instant, that longs paid in that time."""
        total = 0.0
        for step in self._steps(max(0, self._number(start_ms)), self._number(end_ms) + 1):
            time = min(end_ms, step.end_ms) - max(start_ms, step.start_ms)
            total += step.rate * max(0, time) / PERIOD_MS
        return total

    def sample_at_or_before(self, ms: int) -> int | None:
        """The time of the newest sample up to then."""
        number = self._number(ms)
        while number >= 0:
            step = self._step(number)
            time = self._grid(min(ms, step.end_ms - 1))
            if time >= step.start_ms:
                return time
            number, ms = number - 1, step.start_ms - 1
        return None

    def sample_after(self, ms: int) -> int | None:
        """The time of the first sample later than that."""
        time = self._grid(ms) + SAMPLE_MS
        while self.step_at(time) is None:
            following = bisect_left(self._times, time)
            if following == len(self._times):
                return None
            time = self._grid(self._times[following] - 1) + SAMPLE_MS
        return time

    def _grid(self, ms: int) -> int:
        return (ms - self.offset_ms) // SAMPLE_MS * SAMPLE_MS + self.offset_ms

    def _number(self, ms: int) -> int:
        number, step = self._latest
        if step.start_ms <= ms < step.end_ms:
            return number
        return bisect_right(self._times, ms) - 1

    def _step(self, number: int) -> Step:
        if number != self._latest[0]:
            self._latest = (number, self._steps(number, number + 1)[0])
        return self._latest[1]

    def _steps(self, first: int, end: int) -> list[Step]:
        """Steps by number; those after the last settlement know no later price."""
        times = list(self._times[first : end + 1])
        prices = self._prices(first, times)
        if end >= len(self._times):
            times.append(times[-1] + 2 * POLL_HOLDS_MS)
            prices.append(prices[-1])
        knots = pairwise(zip(times, prices, strict=True))
        steps = []
        for ((start, price), (next_start, next_price)), rate in zip(
            knots, self._market.rates[first:end], strict=True
        ):
            held = self._held_until(start)
            # Where the rate ends early, the price is not known to have gone anywhere.
            ends = (next_start, next_price) if next_start <= held else (held, price)
            steps.append(Step(start, ends[0], rate, price, ends[1]))
        return steps

    def _held_until(self, start_ms: int) -> int:
        delisted = self._market.delisted_ms
        held = start_ms + POLL_HOLDS_MS
        return min(held, delisted) if delisted is not None and start_ms < delisted else held

    def _prices(self, first: int, times: list[int]) -> list[float]:
        if self._market.prices is not None:
            return list(self._market.prices[first : first + len(times)])
        asset, units = asset_of(self._market.base)
        return [mark_price(asset, time // HOUR_MS) * units for time in times]


@lru_cache(maxsize=512)
def funding_index(market: SandboxMarket) -> FundingIndex:
    """The accrual of a market, with the sums already made."""
    return FundingIndex(market)


def true_hourly_rate(market: SandboxMarket, hour_end_ms: int) -> float:
    """What longs paid in the hour that ends then, as a fraction: the mean of the 8 h rate / 8."""
    return funding_index(market).paid(hour_end_ms - HOUR_MS, hour_end_ms)
