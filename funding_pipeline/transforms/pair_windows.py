"""What two markets' hourly rates differ by over trailing windows, for many pairs at once.

Belongs here: means, directions, runs and half-lives of differences. Does not: which pairs there
are, what leaves them out (`spreads`), fees.

One step per hour back from each pair's newest common hour, over all pairs at a time: 70,000 pairs
and 720 hours take about a second. Differences are summed in steps of 2**-100 (see `measures`), so
that a window without holes is exactly the difference of the two moving averages.

Windows are the default ones, whatever moving averages are configured: the log of opportunities, the
ranking and the fees' holding periods rest on them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from funding_pipeline.transforms.hourly_grid import HourlyGrid
from funding_pipeline.transforms.measures import from_steps
from funding_pipeline.transforms.moving_averages import WINDOWS_HOURS

# How far back the newest common hour is looked for: an interval of 24 h, missed once.
MAX_LAG_HOURS = 48
LONGEST_HOURS = max(WINDOWS_HOURS.values())
GRID_HOURS = LONGEST_HOURS + MAX_LAG_HOURS
# Fewer neighbouring blocks tell no half-life.
MIN_BLOCK_PAIRS = 20
# Rates per hour that differ by less are equal but for rounding: 1e-15 is 0.000000001 % a year.
NOISE = 1e-15
_NOISE_STEPS = int(NOISE * 2**100)

LATEST = "latest"
PAIR_WINDOWS: dict[str, pl.DataType] = {
    "first": pl.Int32(),
    "second": pl.Int32(),
    "window": pl.String(),
    "newest": pl.Int32(),
    "rate_hourly": pl.Float64(),
    "hours": pl.Int16(),
    "higher_hours": pl.Int16(),
    "lower_hours": pl.Int16(),
    "higher_run": pl.Int16(),
    "lower_run": pl.Int16(),
    "half_life_hours": pl.Float64(),
}


def pair_windows(grid: HourlyGrid, pairs: pl.DataFrame) -> pl.DataFrame:
    """One row per pair and window (`LATEST` and those of the moving averages), `PAIR_WINDOWS`.

    `pairs`: `first` and `second`, places of two markets in the grid; `settled`, the hour up to
    which both have settled; `block_hours`, the longer of their intervals (all Int32). `newest` is
    the newest hour up to `settled` that both cover; without one within 48 hours a pair has no rows.
    Windows end with it, and only hours that both cover count:

    `rate_hourly`: mean of second - first, signed; `hours`: how many there are; `higher_hours`,
    `lower_hours`: those in which second was above or below first by more than 1e-15 (less is
    rounding); `higher_run`, `lower_run`: consecutive hours of that kind up to the newest, ended by
    an hour that one does not cover, at most 720.
    `half_life_hours`: the window is cut into blocks of `block_hours` back from its end, so that the
    steps of a slow settlement do not look like persistence. With r the autocorrelation of
    neighbouring complete blocks, it is -ln 2 / ln r blocks: the time in which a deviation from the
    window's mean halves. 0 where r <= 0: nothing is left after one block; null with fewer than 20
    neighbouring blocks, without variation, or with r >= 1.
    """
    ended = pairs.with_columns(newest=_newest_common(grid, pairs)).drop_nulls("newest")
    walk = _Walk(grid, ended.sort("block_hours", maintain_order=True))
    ends = {1: LATEST, **{hours: window for window, hours in WINDOWS_HOURS.items()}}
    taken = []
    for length in range(1, LONGEST_HOURS + 1):
        walk.step(length - 1)
        if length in ends:
            taken.append(walk.taken(ends[length]))
    runs = walk.runs()
    return pl.concat(window.hstack(runs) for window in taken).select(
        pl.col(name).cast(dtype) for name, dtype in PAIR_WINDOWS.items()
    )


def _newest_common(grid: HourlyGrid, pairs: pl.DataFrame) -> pl.Series:
    """The newest hour up to `settled` that both markets of each pair cover, null without one."""
    covered = grid.rates.is_not_null()
    first, second = pairs["first"] * grid.hours, pairs["second"] * grid.hours
    newest = pairs["settled"].set(pairs["settled"] < grid.hours - MAX_LAG_HOURS, None)
    while True:
        hole = ~(covered.gather(first + newest) & covered.gather(second + newest))
        if not hole.any():
            return newest
        back = newest - hole.fill_null(value=False).cast(pl.Int32)
        newest = back.set(back < grid.hours - MAX_LAG_HOURS, None)


@dataclass(slots=True)
class _Blocks:
    """Running sums over the blocks of those pairs whose blocks are equally long."""

    hours: int
    start: int
    length: int
    sum: pl.Series | None = None
    count: pl.Series | None = None
    origin: pl.Series | None = None
    newer: pl.Series | None = None
    sums: Sequence[pl.Series] | None = None

    def add(self, total: pl.Series, common: pl.Series) -> None:
        """The block that ends the running sums `total` and `common` of all pairs."""
        total, common = (s.slice(self.start, self.length) for s in (total, common))
        part = total if self.sum is None else total - self.sum
        count = common if self.count is None else common - self.count
        self.sum, self.count = total, common
        mean = part.to_frame("steps").select(from_steps(pl.col("steps")) / self.hours)["steps"]
        mean = mean.set(count < self.hours, None)
        if self.origin is None:
            self.origin = mean.fill_null(0.0)  # keeps the squares free of cancellation
        value = mean - self.origin
        newer = pl.repeat(None, self.length, dtype=pl.Float64(), eager=True)
        newer = newer if self.newer is None else self.newer
        product = value * newer
        terms = (
            value.is_not_null().cast(pl.Float64),
            value.fill_null(0.0),
            (value * value).fill_null(0.0),
            product.is_not_null().cast(pl.Float64),
            (value + newer).fill_null(0.0),
            product.fill_null(0.0),
        )
        old = self.sums
        self.sums = terms if old is None else [a + b for a, b in zip(old, terms, strict=True)]
        self.newer = value

    def half_life(self) -> pl.Series:
        """In hours, of the blocks so far."""
        if self.sums is None:
            return pl.repeat(None, self.length, dtype=pl.Float64(), eager=True)
        names = ("n", "x", "xx", "pairs", "both", "xy")
        mean = pl.col("x") / pl.col("n")
        variance = pl.col("xx") / pl.col("n") - mean**2
        covariance = (pl.col("xy") - mean * pl.col("both")) / pl.col("pairs") + mean**2
        r = covariance / variance
        hours = self.hours * math.log(2) / -r.log()
        told = (pl.col("pairs") >= MIN_BLOCK_PAIRS) & (variance > NOISE**2) & (r < 1)
        return pl.DataFrame(dict(zip(names, self.sums, strict=True))).select(
            half_life=pl.when(told & (r <= 0)).then(0.0).when(told).then(hours)
        )["half_life"]


class _Walk:
    """All pairs, hour by hour back from each one's newest; pairs sorted by `block_hours`."""

    def __init__(self, grid: HourlyGrid, pairs: pl.DataFrame) -> None:
        self._pairs = pairs
        self._rates = grid.rates
        self._first = pairs["first"] * grid.hours + pairs["newest"]
        self._second = pairs["second"] * grid.hours + pairs["newest"]
        none = pl.repeat(0, len(pairs), dtype=pl.Int16(), eager=True)
        self._total = none.cast(pl.Int128)
        self._hours = self._higher = self._lower = none
        self._higher_run = self._lower_run = none
        self._rising = self._falling = pl.repeat(1, len(pairs), dtype=pl.Int16(), eager=True)
        self._blocks: list[_Blocks] = []
        start = 0
        for hours, length in pairs.group_by("block_hours", maintain_order=True).len().iter_rows():
            self._blocks.append(_Blocks(hours, start, length))
            start += length

    def step(self, back: int) -> None:
        """Take in the hour `back` hours before the newest one."""
        spread = self._rates.gather(self._second - back) - self._rates.gather(self._first - back)
        higher = (spread > _NOISE_STEPS).fill_null(value=False).cast(pl.Int16)
        lower = (spread < -_NOISE_STEPS).fill_null(value=False).cast(pl.Int16)
        self._rising, self._falling = self._rising * higher, self._falling * lower
        self._higher, self._lower = self._higher + higher, self._lower + lower
        self._higher_run = self._higher_run + self._rising
        self._lower_run = self._lower_run + self._falling
        self._hours = self._hours + spread.is_not_null().cast(pl.Int16)
        self._total = self._total + spread.fill_null(0)
        for blocks in self._blocks:
            if (back + 1) % blocks.hours == 0:
                blocks.add(self._total, self._hours)

    def taken(self, window: str) -> pl.DataFrame:
        """The figures of the hours so far."""
        half_lives = [blocks.half_life() for blocks in self._blocks]
        return self._pairs.select(
            "first",
            "second",
            "newest",
            window=pl.lit(window),
            total=self._total,
            hours=self._hours,
            higher_hours=self._higher,
            lower_hours=self._lower,
            half_life_hours=pl.concat(half_lives) if half_lives else None,
        ).select(pl.exclude("total"), rate_hourly=from_steps(pl.col("total")) / pl.col("hours"))

    def runs(self) -> pl.DataFrame:
        """The runs of the hours so far."""
        return pl.DataFrame({"higher_run": self._higher_run, "lower_run": self._lower_run})
