"""The definition of spreads and opportunities, written out slowly and exactly, hour by hour.

Belongs here: the tests' second opinion on pairs. Does not: anything from the package.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from .hour_by_hour import HOUR, Row, covered

WINDOWS = {"latest": 1, "24h": 24, "3d": 72, "7d": 168, "14d": 336, "30d": 720}
YEAR = 8760
NOISE = Fraction(1e-15)

Paid = dict[datetime, Fraction]


@dataclass(frozen=True)
class Spread:
    """One window of one pair as (second - first)."""

    as_of: datetime
    mean: Fraction
    hours: int
    higher: int
    lower: int
    higher_run: int
    lower_run: int
    half_life: float | None


def paid_hours(rows: Sequence[Row]) -> Paid:
    """The rate per hour of every hour that settlements pay for, by its end."""
    return {
        row.time - back * HOUR: Fraction(row.rate) / row.interval
        for row, hours in zip(rows, covered(list(rows)), strict=True)
        for back in range(hours)
    }


def known_at(rows: Sequence[Row], time: datetime) -> list[Row]:
    return [row for row in rows if row.time <= time]


def newest_common(first: Paid, second: Paid, settled: datetime, now: datetime) -> datetime | None:
    hour = settled
    while hour >= now - 47 * HOUR:
        if hour in first and hour in second:
            return hour
        hour -= HOUR
    return None


def is_stale(rows: Sequence[Row], now: datetime) -> bool:
    return not rows or now - rows[-1].time > (rows[-1].interval * 3 // 2 + 1) * HOUR


def sign(spread: Fraction) -> int:
    return 0 if abs(spread) <= NOISE else (1 if spread > 0 else -1)


def spreads(
    a: Sequence[Row], b: Sequence[Row], now: datetime, windows: Sequence[str] = tuple(WINDOWS)
) -> dict[str, Spread]:
    """The windows of two markets' settlements stamped up to `now`, a whole hour."""
    a, b = known_at(a, now), known_at(b, now)
    if not a or not b:
        return {}
    first, second = paid_hours(a), paid_hours(b)
    as_of = newest_common(first, second, min(a[-1].time, b[-1].time), now)
    if as_of is None:
        return {}
    runs = {}
    for direction in (1, -1):
        run = 0
        while run < 720:
            end = as_of - run * HOUR
            if end not in first or end not in second:
                break
            if sign(second[end] - first[end]) != direction:
                break
            run += 1
        runs[direction] = run
    found = {}
    for window in windows:
        ends = [as_of - back * HOUR for back in range(WINDOWS[window])]
        both = {end: second[end] - first[end] for end in ends if end in first and end in second}
        found[window] = Spread(
            as_of=as_of,
            mean=sum(both.values(), Fraction(0)) / len(both),
            hours=len(both),
            higher=sum(sign(value) > 0 for value in both.values()),
            lower=sum(sign(value) < 0 for value in both.values()),
            higher_run=runs[1],
            lower_run=runs[-1],
            half_life=half_life(both, ends, max(a[-1].interval, b[-1].interval)),
        )
    return found


def half_life(both: Mapping[datetime, Fraction], ends: list[datetime], block: int) -> float | None:
    """From the autocorrelation of neighbouring blocks, back from the newest hour."""
    means: list[Fraction | None] = []
    for start in range(0, len(ends) - block + 1, block):
        hours = ends[start : start + block]
        whole = all(hour in both for hour in hours)
        means.append(sum((both[h] for h in hours), Fraction(0)) / block if whole else None)
    there = [mean for mean in means if mean is not None]
    pairs = [(x, y) for x, y in pairwise(means) if x is not None and y is not None]
    if len(pairs) < 20:
        return None
    centre = sum(there, Fraction(0)) / len(there)
    variance = sum((x - centre) ** 2 for x in there) / len(there)
    if variance <= NOISE**2:
        return None
    r = sum((x - centre) * (y - centre) for x, y in pairs) / len(pairs) / variance
    if r >= 1:
        return None
    return 0.0 if r <= 0 else block * math.log(2) / -math.log(r)


@dataclass
class Opened:
    """An opportunity as the slow log keeps it."""

    long: int
    short: int
    opened: datetime
    peak: datetime
    peak_net: float
    closed: datetime | None = None
    closed_by: str | None = None
    until: datetime | None = None
    funding: Fraction = Fraction(0)


def slow_log(
    markets: Mapping[int, Sequence[Row]],
    pairs: Sequence[tuple[int, int]],
    fee: float,
    first: datetime,
    until: datetime,
    open_above: float,
    close_below: float,
) -> list[Opened]:
    """The log of the hours [first, until], both directions of each pair, one hour at a time."""
    log: list[Opened] = []
    for long, short in [*pairs, *((b, a) for a, b in pairs)]:
        now, live = first, None
        while now <= until:
            known = [known_at(markets[m], now) for m in (long, short)]
            figure = spreads(known[0], known[1], now, ["24h"]).get("24h")
            stale = figure is None or any(is_stale(rows, now) for rows in known)
            net = None
            if figure is not None and not stale and figure.hours >= 0.8 * 24:
                net = (float(figure.mean) - 4 * fee / 24) * YEAR
            if live is not None:
                live.funding += sum(
                    (Fraction(row.rate) for row in markets[short] if row.time == now), Fraction(0)
                ) - sum(
                    (Fraction(row.rate) for row in markets[long] if row.time == now), Fraction(0)
                )
                live.until = now
                if stale or (net is not None and net < close_below):
                    live.closed, live.closed_by = now, "stale" if stale else "net"
                    live = None
                elif net is not None and net > live.peak_net:
                    live.peak, live.peak_net = now, net
            elif net is not None and net > open_above:
                live = Opened(long, short, now, now, net, until=now)
                log.append(live)
            now += HOUR
    return log
