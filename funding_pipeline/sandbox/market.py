"""What the sandbox serves: markets with their settlements, and the collection of all of them.

Belongs here: the records and the questions an exchange module asks them (which settlements lie in
this window, which one comes next). Does not belong here: reading files, generating values, any
exchange's wire format.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def utc_ms(year: int, month: int, day: int) -> int:
    """The first millisecond of a day."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000


@dataclass(frozen=True, slots=True, eq=False)
class SandboxMarket:
    """One perpetual market. `times` are sorted stamps in ms, with the jitter the exchange shows.

    Where an exchange accrues continuously, `times` and `rates` are the steps of its rate instead.
    """

    symbol: str
    base: str
    quote: str
    times: Sequence[int]
    rates: Sequence[float]
    # The funding interval of the first settlement after the given ms (of the last, at the end).
    interval_hours_at: Callable[[int], int]
    # No rate of the market exceeds it; exchanges publish it as cap and floor.
    rate_cap: float
    delisted_ms: int | None = None
    relisted_ms: int | None = None
    # Place among the exchange's markets; a renamed market keeps it.
    number: int = 0
    # The price at each of `times`, where it was recorded.
    prices: Sequence[float] | None = None
    # The symbol exists from and until then (a renamed market has two symbols, one after another).
    named_from_ms: int | None = None
    named_until_ms: int | None = None

    @property
    def launch_ms(self) -> int:
        first = self.times[0]
        return first - self.interval_hours_at(first - 1) * HOUR_MS

    def settled(self, start_ms: int, end_ms: int, now_ms: int) -> tuple[int, int]:
        """Index range of the settlements in [start, end], both ends included, none after now."""
        low = bisect_left(self.times, start_ms)
        high = bisect_right(self.times, min(end_ms, now_ms))
        return low, max(low, high)

    def running_rate(self, now_ms: int) -> float:
        """The estimate shown before a settlement: the next one's rate if known, else the last."""
        index = bisect_right(self.times, now_ms)
        return self.rates[min(index, len(self.times) - 1)]

    def next_settlement_ms(self, now_ms: int) -> int:
        interval_ms = self.interval_hours_at(now_ms) * HOUR_MS
        return (now_ms // interval_ms + 1) * interval_ms

    def is_delisted(self, now_ms: int) -> bool:
        if self.delisted_ms is None or now_ms < self.delisted_ms:
            return False
        return self.relisted_ms is None or now_ms < self.relisted_ms

    def is_known(self, now_ms: int) -> bool:
        """Launched by now, delisted or not, and under this symbol."""
        return (
            self.launch_ms <= now_ms
            and (self.named_from_ms is None or self.named_from_ms <= now_ms)
            and (self.named_until_ms is None or now_ms < self.named_until_ms)
        )


@dataclass(frozen=True)
class Dataset:
    """All markets by exchange, the most relevant first, and where they come from."""

    markets: Mapping[str, Sequence[SandboxMarket]]
    source: str
    shift_days: Mapping[str, int] = field(default_factory=dict)
    # What there is to know about an exchange's data before trusting them.
    notes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_symbol(self) -> Mapping[tuple[str, str], SandboxMarket]:
        return {
            (exchange, market.symbol): market
            for exchange, markets in self.markets.items()
            for market in markets
        }

    def market(self, exchange: str, symbol: str, now_ms: int) -> SandboxMarket | None:
        market = self._by_symbol.get((exchange, symbol))
        return market if market is not None and market.is_known(now_ms) else None

    def known(self, exchange: str, now_ms: int) -> list[SandboxMarket]:
        """Markets launched by now, delisted ones included."""
        return [m for m in self.markets.get(exchange, ()) if m.is_known(now_ms)]

    def listed(self, exchange: str, now_ms: int) -> list[SandboxMarket]:
        """Markets that are traded now."""
        return [m for m in self.known(exchange, now_ms) if not m.is_delisted(now_ms)]


@dataclass(frozen=True, slots=True)
class Listing:
    """What the generator has to know about one market that an exchange lists."""

    symbol: str
    base: str
    quote: str
    # The asset behind the symbol: the same on every exchange, so that rates go together.
    asset: str
    # (from ms, hours): each funding interval from when on; the settlement at that very moment
    # still pays for the interval before.
    eras: tuple[tuple[int, int], ...]
    rate_cap: float
    decimals: int
    jitter_ms: int = 0
    multiplier: float = 1.0
    delisted_ms: int | None = None
