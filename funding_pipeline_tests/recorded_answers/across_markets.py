"""The figures between markets, computed a second time: assets, spreads, opportunities, likeness.

Belongs here: the definitions, written out on the hourly grid. Does not: a market's own figures
(`by_definition`), anything of the package's formulas.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from funding_pipeline_tests.recorded_answers.by_definition import (
    ENOUGH,
    NOISE,
    WINDOWS,
    YEAR,
    Figures,
    Floats,
    Grid,
    pearson,
)
from funding_pipeline_tests.recorded_answers.recordings import Series

PAIR_WINDOWS = {"latest": 1, **WINDOWS}
LAG = 48


def pairs(series: Sequence[Series]) -> Iterator[tuple[Series, Series]]:
    """Markets of one asset on two exchanges, the smaller id first."""
    of_asset = defaultdict(list)
    for one in series:
        of_asset[one.asset].append(one)
    for members in of_asset.values():
        for first, second in combinations(members, 2):
            if first.exchange != second.exchange:
                yield first, second


def stale(series: Series, now: int) -> bool:
    return now - int(series.hour[-1]) > int(series.interval[-1]) * 3 // 2 + 1


def spreads(
    grid: Grid, first: Series, second: Series, now: int
) -> tuple[int, dict[str, Figures]] | None:
    """The newest common hour and each window's figures of a pair; None without one."""
    settled = int(min(first.hour[-1], second.hour[-1]))
    apart = grid.window(second.market_id - 1, settled, 768) - grid.window(
        first.market_id - 1, settled, 768
    )
    both = np.flatnonzero(np.isfinite(apart))
    if not len(both):
        return None
    as_of = settled - 767 + int(both[-1])
    if as_of <= now - LAG:
        return None
    apart = grid.window(second.market_id - 1, as_of, 720) - grid.window(
        first.market_id - 1, as_of, 720
    )
    block = int(max(first.interval[-1], second.interval[-1]))
    found = {}
    for window, hours in PAIR_WINDOWS.items():
        part = apart[-hours:]
        known = part[np.isfinite(part)]
        mean = math.fsum(known) / len(known)
        side = 1 if mean >= 0 else -1
        found[window] = Figures(
            long_id=(first if side > 0 else second).market_id,
            short_id=(second if side > 0 else first).market_id,
            rate_hourly=abs(mean) if len(known) >= ENOUGH * hours else None,
            hours=len(known),
            same_direction_hours=int((side * known > NOISE).sum()),
            alive_hours=_run(side * apart > NOISE),
            half_life_hours=_half_life(part, block),
        )
    return as_of, found


def _run(alive: np.ndarray) -> int:
    ends = np.flatnonzero(~alive[::-1])
    return int(ends[0]) if len(ends) else len(alive)


def _half_life(apart: Floats, block: int) -> float | None:
    """From the autocorrelation of complete blocks, counted back from the end of the window."""
    number = len(apart) // block
    if not number:
        return None
    means = apart[len(apart) - number * block :].reshape(number, block).mean(axis=1)
    known = means[np.isfinite(means)]
    x, y = means[1:], means[:-1]
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 20:
        return None
    centre = math.fsum(known) / len(known)
    variance = math.fsum((known - centre) ** 2) / len(known)
    if variance <= NOISE**2:
        return None
    r = math.fsum((x[both] - centre) * (y[both] - centre)) / int(both.sum()) / variance
    if r >= 1:
        return None
    return 0.0 if r <= 0 else block * math.log(2) / -math.log(r)


@dataclass
class Opportunity:
    """One row of the log."""

    long_id: int
    short_id: int
    opened: int
    opened_net_apr: float
    peak: int
    peak_net_apr: float
    closed: int | None = None
    closed_by: str | None = None
    until: int = 0
    funding: float = 0.0


def opportunities(
    grid: Grid,
    first: Series,
    second: Series,
    starts: int,
    until: int,
    fee: Callable[[str, int], float],
) -> list[Opportunity]:
    """The log of a pair, hour by hour with what was known then; fee: a taker's at an hour."""
    log: list[Opportunity] = []
    live: dict[int, Opportunity] = {}
    for now in range(starts, until + 1):
        cost = 2 * (fee(first.exchange, now) + fee(second.exchange, now))
        mean, known = _window_known(grid, first, second, now)
        for side in (1, -1):
            net = None if mean is None else (side * mean - cost / 24) * YEAR
            if side in live:
                one = live[side]
                one.funding += side * (_paid(second, now) - _paid(first, now))
                one.until = now
                if not known or (net is not None and net < 0):
                    one.closed, one.closed_by = now, "net" if known else "stale"
                    del live[side]
                elif net is not None and net > one.peak_net_apr:
                    one.peak, one.peak_net_apr = now, net
            elif net is not None and net > 0.25:
                legs = (first, second) if side > 0 else (second, first)
                live[side] = Opportunity(
                    legs[0].market_id, legs[1].market_id, now, net, now, net, until=now
                )
                log.append(live[side])
    return log


def _window_known(grid: Grid, first: Series, second: Series, now: int) -> tuple[float | None, bool]:
    """Mean of second - first over the 24 h then known (None: too few), and whether both settle."""
    last = []
    for series in (first, second):
        place = int(np.searchsorted(series.hour, now, side="right")) - 1
        if place < 0 or now - series.hour[place] > series.interval[place] * 3 // 2 + 1:
            return None, False
        last.append(int(series.hour[place]))
    settled = min(last)
    apart = grid.window(second.market_id - 1, settled, 72) - grid.window(
        first.market_id - 1, settled, 72
    )
    both = np.flatnonzero(np.isfinite(apart))
    newest = settled - 71 + int(both[-1]) if len(both) else None
    if newest is None or newest <= now - LAG:
        return None, False
    part = apart[: int(both[-1]) + 1][-24:]
    part = part[np.isfinite(part)]
    return (math.fsum(part) / len(part) if len(part) >= ENOUGH * 24 else None), True


def _paid(series: Series, hour: int) -> float:
    place = int(np.searchsorted(series.hour, hour))
    stamped = place < len(series.hour) and series.hour[place] == hour
    return float(series.rate[place]) if stamped else 0.0


def likeness(grid: Grid, one: int, two: int, until: int) -> Figures:
    """Correlation and cosine of two markets' 720 hours up to a midnight."""
    x, y = grid.window(one, until, 720), grid.window(two, until, 720)
    return likeness_of(x, y)


def likeness_of(x: Floats, y: Floats) -> Figures:
    both = np.isfinite(x) & np.isfinite(y)
    found: Figures = {"common_hours": int(both.sum()), "correlation": None, "cosine": None}
    if both.sum() >= ENOUGH * 720:
        found["correlation"] = pearson(x[both], y[both])
        if found["correlation"] is not None:
            length = math.sqrt(math.fsum(x[both] ** 2) * math.fsum(y[both] ** 2))
            found["cosine"] = math.fsum(x[both] * y[both]) / length
    return found
