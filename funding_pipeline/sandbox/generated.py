"""Seeded, realistic markets whose every rate is a pure function of seed, exchange, market and hour.

No state is carried from hour to hour, so a restart, another page size or another order of requests
gives the same values. The rate follows the funding formula that most exchanges use: premium plus
the interest of 0.01 % per 8 h, clamped, so that quiet markets rest at 0.0000125 per hour.

Belongs here: turning a `Listing` into a market. Does not belong here: which markets an exchange
lists and how it writes them (the exchange module's `listings`).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import overload

from funding_pipeline.sandbox.market import HOUR_MS, Dataset, Listing, SandboxMarket
from funding_pipeline.sandbox.noise import smooth, uniform
from funding_pipeline.sandbox.wire import Exchange

DEFAULT_SEED = 20_260_101
_END_HOUR = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp()) // 3600
_INTEREST_8H = 0.0001
_CLAMP_8H = 0.0005
_EPISODE_HOURS = 72
_CALM = ("BTC", "ETH", "SOL", "BNB", "XRP")


def generate(
    exchanges: Iterable[Exchange], *, seed: int = DEFAULT_SEED, markets: int | None = None
) -> Dataset:
    """The markets that the exchanges list, or the first `markets` of each."""
    return Dataset(
        {
            exchange.name: tuple(
                _market(listing, exchange.name, seed, number)
                for number, listing in enumerate(exchange.listings()[:markets])
            )
            for exchange in exchanges
        },
        source=f"generated from seed {seed}",
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Maps the number of a settlement to its hour, through changes of the interval."""

    since_hours: tuple[int, ...]
    intervals: tuple[int, ...]
    first_hours: tuple[int, ...]
    first_numbers: tuple[int, ...]
    count: int

    @classmethod
    def of(cls, listing: Listing) -> "_Grid":
        end = _END_HOUR if listing.delisted_ms is None else listing.delisted_ms // HOUR_MS
        since = [since_ms // HOUR_MS for since_ms, _ in listing.eras]
        intervals = [interval for _, interval in listing.eras]
        first_hours, first_numbers, count = [], [], 0
        for start, interval, last in zip(since, intervals, [*since[1:], end], strict=True):
            first = (start // interval + 1) * interval
            first_hours.append(first)
            first_numbers.append(count)
            count += (last - first) // interval + 1
        return cls(tuple(since), tuple(intervals), tuple(first_hours), tuple(first_numbers), count)

    def hour_and_interval(self, number: int) -> tuple[int, int]:
        if not -self.count <= number < self.count:
            raise IndexError(number)
        number %= self.count
        era = bisect_right(self.first_numbers, number) - 1
        interval = self.intervals[era]
        return self.first_hours[era] + (number - self.first_numbers[era]) * interval, interval

    def interval_at(self, ms: int) -> int:
        return self.intervals[max(0, bisect_right(self.since_hours, ms // HOUR_MS) - 1)]


@dataclass(frozen=True, slots=True)
class _Times(Sequence[int]):
    grid: _Grid
    jitter_ms: int
    salt: int

    def __len__(self) -> int:
        return self.grid.count

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        hour, _ = self.grid.hour_and_interval(index)
        if not self.jitter_ms:
            return hour * HOUR_MS
        # A multiplicative hash: searching touches many distant hours, noise would be slow here.
        return hour * HOUR_MS + ((hour + self.salt) * 0x9E3779B1 >> 8) % self.jitter_ms


@dataclass(frozen=True, slots=True)
class _Rates(Sequence[float]):
    grid: _Grid
    listing: Listing
    shared: str
    own: str

    def __len__(self) -> int:
        return self.grid.count

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        hour, interval = self.grid.hour_and_interval(index)
        premium = self._premium(hour)
        rate_8h = premium + min(_CLAMP_8H, max(-_CLAMP_8H, _INTEREST_8H - premium))
        rate = rate_8h * interval / 8 * self.listing.multiplier
        cap = self.listing.rate_cap
        return round(min(cap, max(-cap, rate)), self.listing.decimals)

    def _premium(self, hour: int) -> float:
        """A slow mood that all exchanges share, a quicker own one, and rare episodes of stress."""
        calm = self.listing.asset in _CALM
        mood = smooth(self.shared, hour, 120)
        own = 0.8 * smooth(self.own, hour, 10) + 0.4 * (uniform(self.own, -hour) - 0.5)
        premium = 0.0006 * mood + 0.0003 * own if calm else 0.0009 * mood + 0.0006 * own
        number, offset = divmod(hour, _EPISODE_HOURS)
        chance = uniform(self.shared + "|stress", number)
        if chance > 0.985:
            strength = (0.0008 if calm else 0.004) * 100 ** ((chance - 0.985) / 0.015)
            shape = 1 - abs(2 * offset / _EPISODE_HOURS - 1)
            # Stress pushes the perpetual below the index more often than above it.
            side = 1 if uniform(self.shared + "|side", number) > 0.7 else -1
            premium += side * strength * shape
        return premium


def _market(listing: Listing, exchange: str, seed: int, number: int) -> SandboxMarket:
    grid = _Grid.of(listing)
    key = f"{seed}|{exchange}|{listing.symbol}"
    return SandboxMarket(
        symbol=listing.symbol,
        base=listing.base,
        quote=listing.quote,
        times=_Times(grid, listing.jitter_ms, int(uniform(key, 0) * 2**20)),
        rates=_Rates(grid, listing, f"{seed}|{listing.asset}", key),
        interval_hours_at=grid.interval_at,
        rate_cap=listing.rate_cap,
        delisted_ms=listing.delisted_ms,
        number=number,
    )
