"""Faults of markets themselves: renamed, delisted, listed again, another funding interval.

They are no property of single requests but of the data from some time on, so they are put into
the dataset before it is served, and every endpoint agrees about them.

Belongs here: a dataset with such events built in. Does not belong here: the rules of a fault file
(`faults`), and how an exchange shows that a market is delisted (its own module).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, overload

from funding_pipeline.sandbox.faults import Fault, FaultFileError
from funding_pipeline.sandbox.market import HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.wire import Exchange

_T = TypeVar("_T")
# A settlement this late still belongs to the moment of the event.
_LATE_MS = 60_000
# Finer than any exchange's own text of a rate.
_DECIMALS = 8


def reshape(
    dataset: Dataset, faults: Sequence[Fault], exchanges: Mapping[str, Exchange]
) -> Dataset:
    """The dataset with those events in it; an error when it has no such market."""
    markets = {name: list(found) for name, found in dataset.markets.items()}
    for fault in faults:
        name, time_ms = fault.exchange or "", fault.time or 0
        found = markets.get(name, [])
        place = next((i for i, m in enumerate(found) if m.symbol == fault.market), None)
        if place is None or found[place].times[0] > time_ms:
            raise FaultFileError(f"{fault.kind}: {name} has no market {fault.market} at {time_ms}")
        found[place : place + 1] = _changed(found[place], fault, time_ms, exchanges[name])
    return replace(dataset, markets=markets)


def _changed(
    market: SandboxMarket, fault: Fault, time_ms: int, exchange: Exchange
) -> list[SandboxMarket]:
    match fault.kind:
        case "renamed":
            base, quote = exchange.split_symbol(fault.to or "")
            again = replace(
                market, symbol=fault.to or "", base=base, quote=quote, named_from_ms=time_ms
            )
            return [replace(market, named_until_ms=time_ms), again]
        case "delisted":
            return [replace(_without(market, time_ms, None), delisted_ms=time_ms)]
        case "relisted":
            gap = _without(market, time_ms, fault.until)
            return [replace(gap, delisted_ms=time_ms, relisted_ms=fault.until)]
        case "interval_change":
            if exchange.snapshots is not None and exchange.snapshots.settles_hours is None:
                raise FaultFileError(f"interval_change: {exchange.name} has no settlements")
            return [_regridded(market, time_ms, fault.hours or 0)]
    raise FaultFileError(f"{fault.kind} is no event of a market")


def _without(market: SandboxMarket, from_ms: int, until_ms: int | None) -> SandboxMarket:
    """No settlements after `from_ms`, up to `until_ms` if there is one."""
    count = len(market.times)
    low = bisect_right(market.times, from_ms + _LATE_MS)
    high = count if until_ms is None else bisect_right(market.times, until_ms + _LATE_MS)

    def cut(values: Sequence[_T]) -> Sequence[_T]:
        return _Spliced(((values, 0, low), (values, high, count)))

    return replace(
        market,
        times=cut(market.times),
        rates=cut(market.rates),
        prices=None if market.prices is None else cut(market.prices),
    )


def _regridded(market: SandboxMarket, time_ms: int, hours: int) -> SandboxMarket:
    """From then on a settlement every so many hours, at the same rate per hour as before."""
    kept = bisect_right(market.times, time_ms + _LATE_MS)
    step_ms = hours * HOUR_MS
    times = range((time_ms // step_ms + 1) * step_ms, market.times[-1] + 1, step_ms)
    rates = _Rescaled(market, times, hours)
    before = market.interval_hours_at
    return replace(
        market,
        times=_Spliced(((market.times, 0, kept), (times, 0, len(times)))),
        rates=_Spliced(((market.rates, 0, kept), (rates, 0, len(times)))),
        interval_hours_at=lambda ms: hours if ms >= time_ms else before(ms),
    )


class _Lazy(Sequence[_T]):
    """A sequence made of single values on demand."""

    def _value(self, index: int) -> _T:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        if isinstance(index, slice):
            return [self._value(number) for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._value(index % len(self))


@dataclass(frozen=True, slots=True)
class _Spliced(_Lazy[_T]):
    """Stretches of sequences, one after another: (values, from, up to)."""

    parts: tuple[tuple[Sequence[_T], int, int], ...]

    def __len__(self) -> int:
        return sum(high - low for _, low, high in self.parts)

    def _value(self, index: int) -> _T:
        for values, low, high in self.parts:
            if index < high - low:
                return values[low + index]
            index -= high - low
        raise IndexError(index)


@dataclass(frozen=True, slots=True)
class _Rescaled(_Lazy[float]):
    """At each time the rate that was settled next, for another number of hours."""

    market: SandboxMarket
    times: Sequence[int]
    hours: int

    def __len__(self) -> int:
        return len(self.times)

    def _value(self, index: int) -> float:
        market = self.market
        number = min(bisect_left(market.times, self.times[index]), len(market.times) - 1)
        interval = market.interval_hours_at(market.times[number] - _LATE_MS)
        return round(market.rates[number] * self.hours / interval, _DECIMALS)
