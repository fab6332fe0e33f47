"""The sandbox's generated settlements, hour by hour for all markets at once.

Belongs here: the world that the long history tells of, and its rates as numpy arrays, equal to the
sandbox's own to the last digit but for ties in rounding. Does not: any table.

The listings are the sandbox's with more turnover: a sixth of the less traded markets is withdrawn
at some time. Settlements are missing here and there, and of whole exchanges for some hours.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray

from funding_pipeline.sandbox import generated
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Dataset, Listing
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.prices import asset_of, mark_price
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.wire import Exchange

Hours = NDArray[np.float64]  # one row an hour, one column a market

_WITHDRAWN_SHARE = 1 / 6
_OUTAGE_CHANCE = 1 / 4_000  # of an exchange, per hour; it lasts up to six
_HOLE_CHANCE = 1 / 20_000  # of a single settlement
# The newest days are whole, or every hole in them would be asked for again.
_WHOLE_HOURS = 7 * 24
_BLOCK = 64
# What the sandbox shows every hour is the rate of so many hours; one hour's share is paid.
_SHOWN_FOR_HOURS = {"paradex": 8}
# Settlements whose answers tell the mark price.
_PRICED = {"binance", "binance_coinm", "aster", "bingx", "dydx", "grvt", "edgex", "woo"}


def world(names: Iterable[str], start_ms: int, end_ms: int) -> list[Exchange]:
    """The sandbox's exchanges with markets withdrawn between `start_ms` and `end_ms`."""
    return [_with_turnover(EXCHANGES[name], start_ms, end_ms) for name in names]


def dataset(exchanges: Iterable[Exchange]) -> Dataset:
    """What the sandbox serves of them."""
    return generated.generate(exchanges)


def _with_turnover(exchange: Exchange, start_ms: int, end_ms: int) -> Exchange:
    def listings() -> list[Listing]:
        return [
            _withdrawn(exchange.name, rank, listing)
            for rank, listing in enumerate(exchange.listings())
        ]

    def _withdrawn(name: str, rank: int, listing: Listing) -> Listing:
        chance = uniform(f"{name}|withdrawn", rank)
        first = max(start_ms, listing.eras[-1][0]) + 60 * DAY_MS
        last = end_ms - 10 * DAY_MS
        if rank < 10 or listing.delisted_ms or chance > _WITHDRAWN_SHARE or first > last:
            return listing
        share = chance / _WITHDRAWN_SHARE
        return replace(listing, delisted_ms=first + int(share * (last - first)))

    return replace(exchange, listings=listings)


@dataclass(frozen=True, slots=True)
class Settled:
    """Settlements in order of time, then of market; `market` is an index into the listings."""

    hour: NDArray[np.int64]  # since 1970
    market: NDArray[np.int64]
    rate: NDArray[np.float64]
    interval_hours: NDArray[np.int16]
    covered_hours: NDArray[np.int16]
    lag_ms: NDArray[np.int32]
    mark_price: NDArray[np.float64]  # NaN where it is not told


class History:
    """Settlements of (exchange, listing) pairs; spans must be asked for in order of time."""

    def __init__(self, listed: list[tuple[str, Listing]], *, whole_from_hour: int) -> None:
        seed = generated.DEFAULT_SEED
        self._listed = listed
        self._whole_from = whole_from_hour - _WHOLE_HOURS
        self._own = [f"{seed}|{exchange}|{listing.symbol}" for exchange, listing in listed]
        self._assets = sorted({listing.asset for _, listing in listed})
        self._shared = [f"{seed}|{asset}" for asset in self._assets]
        number = {asset: place for place, asset in enumerate(self._assets)}
        self._asset = np.array([number[listing.asset] for _, listing in listed])
        self._calm = np.isin(self._assets, generated._CALM)
        self._last = np.full(len(listed), -(10**6), np.int64)
        self._random = np.random.default_rng(seed)
        self._salt = np.array([int(uniform(key, 0) * 2**20) for key in self._own])
        self._paid = np.array([1 / _SHOWN_FOR_HOURS.get(name, 1) for name, _ in listed])
        self._jitter = np.array([listing.jitter_ms for _, listing in listed])

    def settled(self, first_hour: int, end_hour: int) -> Settled:
        """Everything stamped in [first_hour, end_hour)."""
        intervals = self._intervals(first_hour, end_hour)
        hour, market = np.nonzero(intervals)
        interval = intervals[hour, market]
        rates = self._rates(first_hour, end_hour)[hour, market]
        listings = [listing for _, listing in self._listed]
        multiplier = np.array([listing.multiplier for listing in listings])[market]
        cap = np.array([listing.rate_cap for listing in listings])[market]
        unit = 10.0 ** np.array([listing.decimals for listing in listings])[market]
        rates = np.clip(rates * interval / 8 * multiplier, -cap, cap)
        rates = np.copysign(np.floor(np.abs(rates) * unit + 0.5) / unit, rates) + 0.0
        rates = rates * self._paid[market]
        covered = self._covered(intervals, first_hour)[hour, market]
        prices = self._prices(first_hour, end_hour)[hour, market]
        stamps = hour + first_hour
        lag = ((stamps + self._salt[market]) * 0x9E3779B1 >> 8) % np.maximum(self._jitter, 1)[
            market
        ]
        return Settled(stamps, market, rates, interval, covered, lag.astype(np.int32), prices)

    def _intervals(self, first: int, end: int) -> NDArray[np.int16]:
        """Hours that settle hold the interval that they pay for, others 0."""
        found = np.zeros((end - first, len(self._listed)), np.int16)
        for column, (_, listing) in enumerate(self._listed):
            grid = generated._Grid.of(listing)
            ends = [*grid.since_hours[1:], (listing.delisted_ms or 2**50) // HOUR_MS]
            for start, hours, last in zip(grid.first_hours, grid.intervals, ends, strict=True):
                from_ = max(start, first + (start - first) % hours)
                if from_ < end and from_ <= last:
                    found[from_ - first : min(last + 1, end) - first : hours, column] = hours
        whole = max(0, min(self._whole_from - first, end - first))
        found[:whole][self._random.random((whole, len(self._listed))) < _HOLE_CHANCE] = 0
        names = np.array([exchange for exchange, _ in self._listed])
        for exchange in np.unique(names):
            columns = np.flatnonzero(names == exchange)
            for start in np.flatnonzero(self._random.random(whole) < _OUTAGE_CHANCE):
                length = self._random.integers(1, 7)
                found[start : min(start + length, whole), columns[0] : columns[-1] + 1] = 0
        return found

    def _covered(self, intervals: NDArray[np.int16], first: int) -> NDArray[np.int16]:
        """The lesser of the interval and of the hours since the market's last settlement."""
        times = np.arange(first, first + len(intervals))[:, None]
        hours = np.where(intervals > 0, times, self._last)
        newest = np.maximum.accumulate(hours, axis=0)
        before = np.vstack([self._last, newest[:-1]])
        self._last = newest[-1]
        gap = times - before
        return np.minimum(intervals, np.minimum(gap, 999)).astype(np.int16)

    def _rates(self, first: int, end: int) -> Hours:
        """The rate of 8 hours, as `sandbox.generated` makes it."""
        mood = _smooth(self._shared, first, end, 120)
        stress = self._stress(first, end)
        calm = np.where(self._calm, 0.0006, 0.0009)
        shared = (calm * mood + stress)[:, self._asset]
        own = 0.8 * _smooth(self._own, first, end, 10)
        own += 0.4 * (_uniform(self._own, range(-end + 1, -first + 1))[::-1] - 0.5)
        own *= np.where(self._calm, 0.0003, 0.0006)[self._asset]
        premium = shared + own
        clamp = generated._CLAMP_8H
        return premium + np.clip(generated._INTEREST_8H - premium, -clamp, clamp)

    def _stress(self, first: int, end: int) -> Hours:
        hours = np.arange(first, end)
        number, offset = np.divmod(hours, generated._EPISODE_HOURS)
        episodes = range(int(number[0]), int(number[-1]) + 1)
        chance = _uniform([f"{key}|stress" for key in self._shared], episodes)
        side = _uniform([f"{key}|side" for key in self._shared], episodes)
        strength = np.where(self._calm, 0.0008, 0.004) * 100 ** ((chance - 0.985) / 0.015)
        signed = np.where(chance > 0.985, np.where(side > 0.7, strength, -strength), 0.0)
        shape = 1 - np.abs(2 * offset / generated._EPISODE_HOURS - 1)
        return signed[number - number[0]] * shape[:, None]

    def _prices(self, first: int, end: int) -> Hours:
        """As the exchanges write them, to eight decimals."""
        found = np.full((end - first, len(self._listed)), np.nan)
        priced = [i for i, (exchange, _) in enumerate(self._listed) if exchange in _PRICED]
        bases = [asset_of(self._listed[i][1].base) for i in priced]
        assets = sorted({asset for asset, _ in bases})
        keys = [f"drift|{asset}" for asset in assets]
        drift = 0.2 * _smooth(keys, first, end, 720) + 0.03 * _smooth(keys, first, end, 24)
        level = np.array([_level(asset) for asset in assets])
        place = {asset: i for i, asset in enumerate(assets)}
        columns = np.array([place[asset] for asset, _ in bases])
        units = np.array([count for _, count in bases])
        found[:, priced] = np.round((level * np.exp(drift))[:, columns] * units, 8)
        return found


@cache
def _level(asset: str) -> float:
    """The price around which an asset's drifts."""
    hour = 0
    drift = 0.2 * _smooth([f"drift|{asset}"], hour, 1, 720) + 0.03 * _smooth(
        [f"drift|{asset}"], hour, 1, 24
    )
    return mark_price(asset, hour) / float(np.exp(drift[0, 0]))


def _uniform(keys: list[str], points: range) -> Hours:
    """`noise.uniform` of every point (rows) and key (columns)."""
    first, last = points[0] // _BLOCK, points[-1] // _BLOCK
    raw = b"".join(
        shake_128(f"{key}|{number}".encode()).digest(8 * _BLOCK)
        for key in keys
        for number in range(first, last + 1)
    )
    values = np.frombuffer(raw, "<u8").reshape(len(keys), -1) / 2**64
    start = points[0] - first * _BLOCK
    return np.ascontiguousarray(values[:, start : start + len(points)].T)


def _smooth(keys: list[str], first: int, end: int, period: int) -> Hours:
    """`noise.smooth` of every hour (rows) and key (columns)."""
    knot, offset = np.divmod(np.arange(first, end), period)
    levels = _uniform(keys, range(int(knot[0]), int(knot[-1]) + 2))
    here, there = levels[knot - knot[0]], levels[knot - knot[0] + 1]
    share = offset / period
    share = share * (share * (3 - 2 * share))
    return 2 * (here + (there - here) * share[:, None]) - 1


def spans(first_hour: int, end_hour: int, hours: int = 1_440) -> Iterator[tuple[int, int]]:
    """[first, end) in pieces that fit in memory."""
    for start in range(first_hour, end_hour, hours):
        yield start, min(start + hours, end_hour)
