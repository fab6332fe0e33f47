"""Figures of a market's last hours, hour by hour in fractions: the tests' second opinion.

Belongs here: the definitions of signals and stability, written out. Does not: anything from the
package.
"""

import math
from collections import Counter
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from .hour_by_hour import HOUR, Life, Row, covered, live_hours

Hours = list[Fraction | None]
ROUNDING = Fraction(1, 10**12)


def grained(rows: list[Row]) -> list[Row]:
    """The rows with rates to 15 decimals: below, sums in steps of 2**-100 tell less than 1e-12."""
    return [replace(row, rate=round(row.rate, 15)) for row in rows]


def last_hours(rows: list[Row], as_of: datetime, window: int) -> Hours:
    """Rates of the hours that end in (as_of - window, as_of], oldest first; None: not covered."""
    paid: dict[datetime, Fraction] = {}
    for row, hours in zip(rows, covered(rows), strict=True):
        rate = Fraction(row.rate) / row.interval
        for back in range(hours):
            paid[row.time - back * HOUR] = rate
    return [paid.get(as_of - back * HOUR) for back in reversed(range(window))]


def known(hours: Hours) -> list[Fraction]:
    return [rate for rate in hours if rate is not None]


def share_covered(hours: Hours, as_of: datetime, life: Life) -> float:
    live = live_hours(as_of - len(hours) * HOUR, as_of, life)
    return min(1.0, len(known(hours)) / live) if live else 1.0


def mean(rates: list[Fraction]) -> Fraction:
    return sum((rate * n for rate, n in Counter(rates).items()), Fraction(0)) / len(rates)


def deviation(rates: list[Fraction]) -> float:
    """Population standard deviation; 0 where it is nothing beside the rates."""
    middle = mean(rates)
    squares = ((rate - middle) ** 2 * n for rate, n in Counter(rates).items())
    square = sum(squares, Fraction(0)) / len(rates)
    if square <= (ROUNDING * max(map(abs, rates))) ** 2:
        return 0.0
    return math.sqrt(square)


def percentile(rates: list[Fraction], rate: Fraction) -> float:
    same = sum(abs(r - rate) <= ROUNDING * abs(rate) for r in rates)
    below = sum(r < rate and abs(r - rate) > ROUNDING * abs(rate) for r in rates)
    return (below + same / 2) / len(rates)


def exponential(hours: Hours, half_life: int) -> tuple[float, float]:
    """Average by 2 ** (-age / half-life), and the sum of the covered hours' weights."""
    weighed = [
        (2 ** (-age / half_life), float(rate))
        for age, rate in enumerate(reversed(hours))
        if rate is not None
    ]
    total = math.fsum(w for w, _ in weighed)
    return math.fsum(w * r for w, r in weighed) / total, total


def sign_changes(hours: Hours) -> int:
    signed = [rate > 0 for rate in known(hours) if rate]
    return sum(a != b for a, b in pairwise(signed))


def persistence(rates: list[Fraction]) -> float | None:
    middle = mean(rates)
    return (
        sum((r > 0) - (r < 0) == (middle > 0) - (middle < 0) for r in rates) / len(rates)
        if middle
        else None
    )


def autocorrelation(hours: Hours, lag: int) -> tuple[float, float] | None:
    """Pearson's correlation of hours with those `lag` before, and how well it is conditioned.

    None below 24 pairs. The second is the lesser side's variance beside its mean square around the
    mean of all hours: where it is next to nothing, no correlation means anything.
    """
    middle = mean(known(hours))
    pairs = [
        (float(now - middle), float(before - middle))
        for before, now in zip(hours[:-lag], hours[lag:], strict=True)
        if now is not None and before is not None
    ]
    if len(pairs) < 24:
        return None
    spreads, offsets = [], []
    for side in (0, 1):
        values = [pair[side] for pair in pairs]
        offset = math.fsum(values) / len(values)
        offsets.append(offset)
        spreads.append(math.fsum((v - offset) ** 2 for v in values))
    squares = [math.fsum(pair[side] ** 2 for pair in pairs) for side in (0, 1)]
    if not all(spreads):
        return 0.0, 0.0
    product = math.fsum((x - offsets[0]) * (y - offsets[1]) for x, y in pairs)
    condition = min(s / q for s, q in zip(spreads, squares, strict=True))
    return product / math.sqrt(spreads[0]) / math.sqrt(spreads[1]), condition
