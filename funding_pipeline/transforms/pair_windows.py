"""What two markets' hourly rates differ by over trailing windows, for many pairs at once.

Belongs here: means, directions, runs and half-lives of differences. Does not: which pairs there
are, what leaves them out (`spreads`), fees.

Pairs with the same newest common hour and the same blocks are taken by the hundred, as a matrix of
floating differences, one row per pair and one column per hour. What has to be exact rests on steps
of 2**-100 (see `measures`): a window's sum is a difference of running sums, less the hours that
only one of the two covers, so that a window without holes is exactly the difference of the two
moving averages; and a difference too near to the bound of noise is looked up.

Windows are the default ones, whatever moving averages are configured: the log of opportunities, the
ranking and the fees' holding periods rest on them.
"""

import math

import numpy as np
import numpy.typing as npt
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

# Pairs (or markets) at a time: a matrix of 1.5 MB, which stays in the processor's cache.
_CHUNK = 256

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
LENGTHS_HOURS = {LATEST: 1, **WINDOWS_HOURS}
_NAMES = {hours: window for window, hours in LENGTHS_HOURS.items()}
_LENGTHS = np.array(list(_NAMES), dtype=np.int32)

_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


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
    if ended.is_empty():
        return pl.DataFrame(schema=PAIR_WINDOWS)
    rates = _Rates(grid, ended["newest"].unique().sort())
    holed = rates.holed.gather(ended["first"]) | rates.holed.gather(ended["second"])
    return (
        pl.concat(
            _figures(rates, chunk)
            for alike in ended.hstack([holed]).partition_by("newest", "block_hours", "holed")
            for chunk in alike.iter_slices(_CHUNK)
        )
        .with_columns(
            window=pl.col("length").replace_strict(_NAMES),
            hours=pl.col("length") - pl.col("missing"),
            steps=rates.sum("second") - rates.sum("first") - pl.col("alone"),
        )
        .with_columns(rate_hourly=from_steps(pl.col("steps")) / pl.col("hours"))
        .select(pl.col(name).cast(dtype) for name, dtype in PAIR_WINDOWS.items())
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


class _Rates:
    """A grid's rates, in steps and rounded, and their sums in the windows that end at `newest`.

    `rounded`: per market and hour, the newest hour first, NaN where it is not covered; `largest`:
    the largest of each market, without sign; `holed`: whether a market has holes before the newest
    48 hours, to take pairs without them apart.
    """

    def __init__(self, grid: HourlyGrid, newest: pl.Series) -> None:
        self.hours = grid.hours
        self._steps = pl.lit(grid.rates)
        self._newest = newest
        self.rounded: _Floats = np.empty((len(grid.markets), grid.hours))
        ends = np.repeat(newest.to_numpy(), len(_LENGTHS))
        starts = ends - np.tile(_LENGTHS, len(newest))
        sums = []
        # In slices, which do not need the room of all rates once more.
        for place in range(0, len(grid.markets), _CHUNK):
            rows = self.rounded[place : place + _CHUNK]
            part = grid.rates.slice(place * grid.hours, rows.size).to_frame("steps")
            rounded = part.select(from_steps(pl.col("steps"))).to_series().to_numpy()
            rows[:] = rounded.reshape(rows.shape)[:, ::-1]
            # Across markets: an overflow cancels in the differences within one.
            running = part["steps"].fill_null(0).cum_sum()
            market = np.arange(0, len(part), grid.hours)[:, np.newaxis]
            sums.append(
                running.gather((market + ends).ravel()) - running.gather((market + starts).ravel())
            )
        self._sums = pl.lit(pl.concat(sums))
        highest, lowest = (f.reduce(self.rounded, axis=1) for f in (np.fmax, np.fmin))
        self.largest: _Floats = np.fmax(highest, -lowest)
        self.holed = pl.Series("holed", np.isnan(self.rounded[:, MAX_LAG_HOURS:]).any(axis=1))

    def sum(self, leg: str) -> pl.Expr:
        """Steps of the hours that the market `leg` covers in a window."""
        newest = pl.lit(self._newest).search_sorted(pl.col("newest"))
        window = pl.lit(pl.Series(_LENGTHS)).search_sorted(pl.col("length"))
        end = pl.col(leg) * len(self._newest) + newest
        return self._sums.gather(end * len(_LENGTHS) + window)

    def spreads(self, pairs: pl.DataFrame, hours: _Flags) -> pl.Series:
        """Steps of second - first in the `hours` set, pair by pair, the newest hour first; what a
        market does not cover counts as 0.
        """
        if not hours.any():
            return pl.Series(dtype=pl.Int128())
        row, back = np.divmod(np.flatnonzero(hours), LONGEST_HOURS)
        at = pairs["newest"].to_numpy()[row] - back
        first, second = (
            self._steps.gather(pl.lit(pl.Series(pairs[leg].to_numpy()[row] * self.hours + at)))
            for leg in ("first", "second")
        )
        return pl.select(second.fill_null(0) - first.fill_null(0)).to_series()


def _figures(rates: _Rates, pairs: pl.DataFrame) -> pl.DataFrame:
    """One row per window and pair, of pairs that share `newest` and `block_hours`.

    `missing`: hours that not both cover; `alone`: steps of second - first where only one does.
    """
    first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    lag = rates.hours - 1 - pairs["newest"][0]
    of_first = rates.rounded[first, lag : lag + LONGEST_HOURS]
    of_second = rates.rounded[second, lag : lag + LONGEST_HOURS]
    spread = of_second - of_first
    higher, lower = spread > NOISE, spread < -NOISE
    # Both rates and their difference are rounded, each by half a last bit; this is twice as much.
    unsure = (rates.largest[first] + rates.largest[second]) * 2.0**-51
    beside = np.abs(spread)
    beside -= NOISE
    near = np.abs(beside, out=beside) <= unsure[:, np.newaxis]
    if near.any():
        steps = rates.spreads(pairs, near)
        higher[near], lower[near] = steps > _NOISE_STEPS, steps < -_NOISE_STEPS
    lone = np.isnan(of_first) != np.isnan(of_second)
    windows = len(_LENGTHS)
    figures = {
        "first": np.tile(first, windows),
        "second": np.tile(second, windows),
        "newest": np.tile(pairs["newest"].to_numpy(), windows),
        "length": np.repeat(_LENGTHS, len(pairs)),
        "missing": _counts(np.isnan(spread)).ravel(),
        "alone": _first_sums(rates.spreads(pairs, lone), _counts(lone)),
        "higher_hours": _counts(higher).ravel(),
        "lower_hours": _counts(lower).ravel(),
        "higher_run": np.tile(_run(higher), windows),
        "lower_run": np.tile(_run(lower), windows),
        "half_life_hours": _half_lives(spread, pairs["block_hours"][0]).ravel(),
    }
    return pl.DataFrame(figures, nan_to_null=True)


def _counts(flags: _Flags) -> npt.NDArray[np.int16]:
    """How many are set in each pair's windows, window by window."""
    parts = np.add.reduceat(flags, [0, *_LENGTHS[:-1]], axis=1, dtype=np.int16)
    return parts.cumsum(axis=1, dtype=np.int16).T


def _first_sums(steps: pl.Series, counts: npt.NDArray[np.int16]) -> pl.Series:
    """Sums of each pair's first `counts`, window by window; its last counts are all it has."""
    if steps.is_empty():
        return pl.repeat(0, counts.size, dtype=pl.Int128(), eager=True)
    running = pl.concat([pl.Series([0], dtype=pl.Int128()), steps]).cum_sum()
    start = counts[-1].cumsum(dtype=np.int32) - counts[-1]
    return running.gather((start + counts).ravel()) - running.gather(np.tile(start, len(counts)))


def _run(flags: _Flags) -> npt.NDArray[np.int16]:
    """How many are set before the first that is not."""
    length: npt.NDArray[np.int16] = flags.argmin(axis=1).astype(np.int16)
    length[flags.all(axis=1)] = flags.shape[1]
    return length


def _half_lives(spread: _Floats, block_hours: int) -> _Floats:
    """In hours, per window and pair; NaN for null."""
    most = LONGEST_HOURS // block_hours
    cut = spread[:, : most * block_hours].reshape(-1, most, block_hours)
    means: _Floats = np.einsum("pbh->pb", cut) / block_hours
    broken = np.isnan(means)
    means[broken] = 0.0
    whole = (~broken).astype(np.float64)
    neighbours = whole[:, 1:] * whole[:, :-1]
    half_lives = np.full((len(_LENGTHS), len(spread)), np.nan)
    for half_life, blocks in zip(half_lives, _LENGTHS // block_hours, strict=True):
        if blocks <= MIN_BLOCK_PAIRS:
            continue
        count, steps = whole[:, :blocks].sum(axis=1), neighbours[:, : blocks - 1].sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = means[:, :blocks].sum(axis=1) / count
            deviation = (means[:, :blocks] - mean[:, np.newaxis]) * whole[:, :blocks]
            variance = np.einsum("pb,pb->p", deviation, deviation) / count
            r = np.einsum("pb,pb->p", deviation[:, 1:], deviation[:, :-1]) / steps / variance
            hours = np.where(r <= 0, 0.0, block_hours * math.log(2) / -np.log(r))
        told = (steps >= MIN_BLOCK_PAIRS) & (variance > NOISE**2) & (r < 1)
        half_life[told] = hours[told]
    return half_lives
