"""The figures of one recorded window, computed a second time with NumPy on an hourly grid.

Belongs here: each table's definition as the documentation gives it, written out. Does not: anything
of the package's formulas: sharing code would share mistakes.

Hours are counted from 1970-01-01; hour h is the one that *ends* h hours after it. Rates are per
hour. The grid has NaN where no settlement pays.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from funding_pipeline_tests.recorded_answers.recordings import Recording, Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Figures = dict[str, float | int | str | None]

YEAR = 8760
ENOUGH = 0.8
SAME = 1e-12  # rates that differ by less, relatively, are one rate
NOISE = 1e-15  # per hour: two markets that differ by less do not differ
WINDOWS = {"24h": 24, "3d": 72, "7d": 168, "14d": 336, "30d": 720}


def covered_hours(series: Series) -> Ints:
    """min(interval, gap to the settlement before) of each settlement."""
    covered = series.interval.copy()
    covered[1:] = np.minimum(covered[1:], np.diff(series.hour))
    return covered


def live_hours(series: Series, start: int, end: int) -> int:
    """Hours of (start, end] between listing and end."""
    first = start if series.listed is None else max(start, series.listed)
    last = end if series.delisted is None else min(end, series.delisted)
    return max(0, last - first)


def share(covered: int, live: int) -> float:
    return covered / max(covered, live) if max(covered, live) else 1.0


@dataclass(frozen=True)
class Grid:
    """`rates[m, h - first]`: market m's rate of the hour that ends at h."""

    recording: Recording
    first: int
    rates: Floats

    def window(self, market: int, end: int, hours: int) -> Floats:
        """The hours (end - hours, end], oldest first; NaN before the recording too."""
        start = end - hours + 1 - self.first
        found = self.rates[market, max(0, start) : end + 1 - self.first]
        return np.concatenate([np.full(hours - len(found), np.nan), found])


def grid(recording: Recording) -> Grid:
    first, last = recording.start - 47, recording.end + 24
    rates = np.full((len(recording.series), last - first + 1), np.nan)
    for number, series in enumerate(recording.series):
        for hour, rate, interval, covered in zip(
            series.hour, series.rate, series.interval, covered_hours(series), strict=True
        ):
            rates[number, hour - covered + 1 - first : hour + 1 - first] = rate / interval
    return Grid(recording, first, rates)


# --- a market and a day ------------------------------------------------------------------------


def days(series: Series, end: int) -> dict[int, Figures]:
    """Of each day (counted from 1970-01-01) with settlements: those whose period begins in it."""
    members = defaultdict(list)
    for row in zip(
        series.hour.tolist(),
        series.rate.tolist(),
        series.interval.tolist(),
        covered_hours(series).tolist(),
        strict=True,
    ):
        members[(row[0] - row[2]) // 24].append(row)
    return {day: _day(series, day, rows, end) for day, rows in members.items()}


def _day(
    series: Series, day: int, rows: Sequence[tuple[int, float, int, int]], end: int
) -> Figures:
    hourly = [rate / interval for _, rate, interval, _ in rows]
    paid = sorted(value for value, row in zip(hourly, rows, strict=True) for _ in range(row[3]))
    covered = len(paid)
    mean = math.fsum(paid) / covered
    start, stop = 24 * day, min(24 * day + 24, end)
    live = live_hours(series, start, stop)
    streaks = {1: 0, -1: 0}
    run, sign, until = 0, 0, -1
    mix: dict[int, int] = defaultdict(int)
    for hour, rate, interval, hours in rows:
        now = (rate > 0) - (rate < 0)
        run = run + hours if now == sign and hour - hours == until else hours
        sign, until = now, hour
        if sign:
            streaks[sign] = max(streaks[sign], run)
        mix[interval] += 1
    return {
        "settlements": len(rows),
        "rate_sum": math.fsum(rate for _, rate, _, _ in rows),
        "rate_hourly_mean": mean,
        "apr_mean": mean * YEAR,
        "rate_hourly_min": min(hourly),
        "rate_hourly_max": max(hourly),
        "rate_hourly_open": hourly[0],
        "rate_hourly_close": hourly[-1],
        "rate_hourly_median": _quantile(paid, 0.5),
        "rate_hourly_p05": _quantile(paid, 0.05),
        "rate_hourly_p95": _quantile(paid, 0.95),
        "rate_hourly_std": math.sqrt(math.fsum((r - mean) ** 2 for r in paid) / covered),
        "positive_share": sum(r > 0 for r in paid) / covered,
        "positive_streak_hours": streaks[1],
        "negative_streak_hours": streaks[-1],
        "covered_hours": covered,
        "live_hours": live,
        "coverage": share(covered, live),
        "expected_settlements": len(rows) + _missing(series, rows, start, stop, covered, live),
        "intervals": ", ".join(f"{hours}h x {count}" for hours, count in sorted(mix.items())),
    }


def _quantile(ascending: Sequence[float], share_below: float) -> float:
    place = share_below * (len(ascending) - 1)
    low = math.floor(place + 1e-9)
    part = max(0.0, place - low)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (ascending[high] - ascending[low]) * part


def _missing(
    series: Series,
    rows: Sequence[tuple[int, float, int, int]],
    start: int,
    stop: int,
    covered: int,
    live: int,
) -> int:
    """Uncovered hours over the interval that ends them; after the last one, over the last's."""
    if live <= covered:
        return 0
    first = start if series.listed is None else max(start, series.listed)
    last = stop if series.delisted is None else min(stop, series.delisted)
    lacking, until = 0.0, first
    for hour, _, interval, hours in rows:
        lacking += (hour - hours - until) / interval
        until = hour
    lacking += (last - until) / rows[-1][2]
    return max(0, math.floor(lacking + 1e-9))


# --- windows of a market -----------------------------------------------------------------------


@dataclass(frozen=True)
class Trailing:
    """Sums over windows that end anywhere: exact enough in extended precision."""

    grid: Grid
    sums: NDArray[np.longdouble]
    counts: Ints

    def mean(self, market: int, ends: Ints, hours: int) -> tuple[Floats, Ints]:
        """Mean and number of the covered hours of (end - hours, end]."""
        last = ends + 1 - self.grid.first
        first = np.maximum(0, last - hours)
        count = self.counts[market, last] - self.counts[market, first]
        total = self.sums[market, last] - self.sums[market, first]
        return (total / np.maximum(count, 1)).astype(np.float64), count


def trailing(grid: Grid) -> Trailing:
    known = np.isfinite(grid.rates)
    edge = np.zeros((len(grid.rates), 1))
    values = np.hstack([edge, np.where(known, grid.rates, 0)]).astype(np.longdouble)
    return Trailing(
        grid,
        values.cumsum(axis=1),
        np.hstack([edge.astype(np.int64), known]).astype(np.int64).cumsum(axis=1),
    )


def averages(sums: Trailing, market: int, ends: Ints, hours: int) -> dict[str, NDArray[np.generic]]:
    """Of points that have a covered hour; the mean is NaN below a coverage of 0.8."""
    series = sums.grid.recording.series[market]
    mean, count = sums.mean(market, ends, hours)
    live = np.array([live_hours(series, end - hours, end) for end in ends.tolist()])
    coverage = count / np.maximum(np.maximum(count, live), 1)
    begin = series.hour - covered_hours(series)
    rows = np.searchsorted(begin, ends, side="left") - np.searchsorted(
        series.hour, ends - hours, side="right"
    )
    there = count > 0
    return {
        "hour": ends[there],
        "rate_hourly_mean": np.where(coverage >= ENOUGH, mean, np.nan)[there],
        "covered_hours": count[there],
        "coverage": coverage[there],
        "settlements": rows[there],
    }


def _moments(rates: Floats) -> tuple[float, float]:
    """Mean and population deviation of the covered hours; 0 where all are one rate."""
    known = rates[np.isfinite(rates)]
    mean = math.fsum(known) / len(known)
    deviation = math.sqrt(math.fsum((known - mean) ** 2) / len(known))
    return mean, deviation if deviation > SAME * np.abs(known).max() else 0.0


def signals(grid: Grid, market: int) -> Figures:
    series = grid.recording.series[market]
    end = int(series.hour[-1])
    rate = float(series.rate[-1] / series.interval[-1])
    found: Figures = {"rate_hourly": rate}
    for name, hours, half_life in (("30d", 720, 24), ("90d", 2160, 72)):
        rates = grid.window(market, end, hours)
        known = np.isfinite(rates)
        weights = 2.0 ** (-np.arange(hours - 1, -1, -1) / half_life)
        live = live_hours(series, end - hours, end)
        weight = math.fsum(weights[known])
        whole = max(weight, math.fsum(weights[hours - live :]))
        ema = math.fsum((weights * rates)[known]) / weight
        found[f"ema_coverage_{half_life}h"] = weight / whole
        found[f"rate_hourly_ema_{half_life}h"] = ema if weight / whole >= ENOUGH else None
        coverage = share(int(known.sum()), live)
        mean, deviation = _moments(rates)
        same = np.abs(rates[known] - rate) <= SAME * abs(rate)
        below = (rates[known] < rate) & ~same
        told = coverage >= ENOUGH
        found[f"covered_hours_{name}"] = int(known.sum())
        found[f"coverage_{name}"] = coverage
        found[f"rate_hourly_mean_{name}"] = mean if told else None
        found[f"rate_hourly_std_{name}"] = deviation if told else None
        found[f"zscore_{name}"] = (rate - mean) / deviation if told and deviation else None
        found[f"percentile_{name}"] = (below.sum() + same.sum() / 2) / known.sum() if told else None
    return found


def stability(grid: Grid, market: int, hours: int) -> Figures | None:
    """Of the window that ends with the last midnight settled; None without a covered hour."""
    series = grid.recording.series[market]
    end = int(series.hour[-1]) // 24 * 24
    rates = grid.window(market, end, hours)
    known = rates[np.isfinite(rates)]
    if not len(known):
        return None
    coverage = share(len(known), live_hours(series, end - hours, end))
    found: Figures = {"covered_hours": len(known), "coverage": coverage}
    if coverage < ENOUGH:
        return found
    mean, deviation = _moments(rates)
    signs = np.sign(known)
    turning = signs[signs != 0]
    return found | {
        "rate_hourly_mean": mean,
        "rate_hourly_std": deviation,
        "variation": deviation / abs(mean) if mean else None,
        "sign_changes": int((turning[1:] != turning[:-1]).sum()),
        "sign_persistence": float((signs == np.sign(mean)).mean()) if mean else None,
        "autocorrelation_8h": _autocorrelation(rates, 8) if deviation else None,
        "autocorrelation_24h": _autocorrelation(rates, 24) if deviation else None,
    }


def _autocorrelation(rates: Floats, lag: int) -> float | None:
    x, y = rates[lag:], rates[:-lag]
    both = np.isfinite(x) & np.isfinite(y)
    return pearson(x[both], y[both]) if both.sum() >= 24 else None


def pearson(x: Floats, y: Floats) -> float | None:
    a, b = x - math.fsum(x) / len(x), y - math.fsum(y) / len(y)
    if np.abs(a).max() <= SAME * np.abs(x).max() or np.abs(b).max() <= SAME * np.abs(y).max():
        return None
    return math.fsum(a * b) / math.sqrt(math.fsum(a * a) * math.fsum(b * b))


def seasons(grid: Grid, market: int, until: int) -> Iterator[tuple[str, int, Figures]]:
    """By hour of the day and weekday, of the 90 (else 30) days up to the midnight `until`."""
    series = grid.recording.series[market]
    for days in (90, 30):
        hours = 24 * days
        rates = grid.window(market, until, hours)
        covered = int(np.isfinite(rates).sum())
        if share(covered, live_hours(series, until - hours, until)) >= ENOUGH:
            break
    begins = np.arange(until - hours, until)
    lived = np.array([live_hours(series, hour, hour + 1) == 1 for hour in begins.tolist()])
    slots = {"hour": begins % 24, "weekday": (begins // 24 + 3) % 7 + 1}
    for kind, slot in slots.items():
        for number in np.unique(slot).tolist():
            mine = rates[slot == number]
            known = mine[np.isfinite(mine)]
            if not len(known):
                continue
            coverage = share(len(known), int(lived[slot == number].sum()))
            told = coverage >= ENOUGH
            yield (
                kind,
                number,
                {
                    "rate_hourly_mean": math.fsum(known) / len(known) if told else None,
                    "positive_share": float((known > 0).mean()) if told else None,
                    "hours": len(known),
                    "coverage": coverage,
                    "window_days": days,
                },
            )


# --- carry -------------------------------------------------------------------------------------


def carry(series: Series, opened: int, closed: int, newest: int) -> Figures | None:
    """Of 1 USD opened and closed at these hours; `newest`: the last settlement of all markets."""
    got = (series.hour > opened) & (series.hour <= closed)
    if not got.any():
        return None
    hours, covered = series.hour[got], covered_hours(series)[got]
    end = min(closed, newest)
    if end < hours[-1] + series.interval[got][-1]:
        end = int(hours[-1])
    within = int(covered.sum()) - max(0, int(covered[0] - (hours[0] - opened)))
    coverage = share(within, live_hours(series, opened, end))
    total = math.fsum(series.rate[got])
    told = coverage >= ENOUGH
    return {
        "settlements": int(got.sum()),
        "short_carry": total if told else None,
        "long_carry": -total if told else None,
        "annualised": -total / int(covered.sum()) * YEAR if told else None,
        "covered_hours": int(covered.sum()),
        "coverage": coverage,
    }
