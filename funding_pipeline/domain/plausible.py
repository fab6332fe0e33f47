"""Checks of a rate against what its market declares and what it settled before.

Belongs here: the rules and their thresholds, without I/O. Does not: unit, grid, stamps (validate),
looking up caps, neighbours and dates (warehouse.row_checks).

Thresholds come from 2.56 million recorded settlements of 13 exchanges, 2016 to 2026:

* Caps: what a market declares is a bound only together with a margin. A cap rose from one day to
  the next by up to 5.3 times (Bybit STX, 2023-02), and one exchange's running rates passed its own
  declared cap 4.6 times over (Paradex JTO, 2025). A cap says nothing about the time before it was
  first seen.
* Repetition: rates of one to three significant digits stand still for weeks where they rest on the
  baseline or a cap (up to 1,796 times). With more digits no settled rate ever came three times in
  a row; of the running rates polled beside them the longest runs outside of frozen markets are 14
  hours (stocks on closed days, Lighter) and 23 (Paradex FORM); frozen ones stood for months.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, isclose

from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.records import Quarantined, Slotted

CAP_MARGIN = 6.0
# A rate of so many significant digits may come so often in a row, or for so long.
DISTINCTIVE_DIGITS = 4
LONGEST_RUN = 8
LONGEST_STANDSTILL_MS = DAY_MS
# A market's last settlement may come so long after it left its list: the longest interval.
DELISTING_GRACE_MS = DAY_MS

# From a rate per 1 or 8 h to the quotes in which a baseline is round: per 8 h, a day, a year.
_QUOTES = (1, 3, 8, 24, 365 * 3, 8760)


@dataclass(frozen=True, slots=True)
class Cap:
    """What a market declared from `since_ms` on, fractions per interval; None: not declared."""

    since_ms: int
    high: float | None
    low: float | None


def caps_in_force(caps: Sequence[Cap], time_ms: int) -> tuple[float, float] | None:
    """The widest (floor, cap) that may have held at a time, `caps` ascending; None if unknown.

    Between two looks at the exchange's list the later declaration may have held already.
    """
    known = [i for i, cap in enumerate(caps) if cap.since_ms <= time_ms]
    if not known:
        return None
    possible = caps[known[-1] : known[-1] + 2]
    # Nothing declared, or zero, is no bound.
    return min(cap.low or -inf for cap in possible), max(cap.high or inf for cap in possible)


def beyond_cap(rate: float, bounds: tuple[float, float]) -> bool:
    """Whether a rate lies so far outside (floor, cap) that no change of these explains it."""
    low, high = bounds
    return not CAP_MARGIN * low <= rate <= CAP_MARGIN * high


def at_cap(rate: float, bounds: tuple[float, float] | None) -> bool:
    """Whether a rate is the floor or the cap itself."""
    return bounds is not None and any(isclose(rate, bound, rel_tol=1e-9) for bound in bounds)


@lru_cache(maxsize=100_000)
def is_distinctive(rate: float) -> bool:
    """Whether a rate is so particular that it cannot stand still: neither zero nor a round number.

    Counted are significant digits, six at most, in the quote in which they are fewest, so that a
    baseline of 10 % a year is as round in hours (0.0000114155) as one of 0.01 % per 8 h.
    """
    # "1.234" has a character more than digits.
    digits = min(len(f"{abs(rate) * q:.5e}".split("e")[0].rstrip("0")) - 1 for q in _QUOTES)
    return digits >= DISTINCTIVE_DIGITS


def implausible(
    rows: Sequence[Slotted],
    before: Sequence[tuple[int, float]],
    caps: Sequence[Cap] = (),
    delisted_ms: int | None = None,
) -> list[Quarantined]:
    """Those of a market's rows that fail, with reason. `before`: (slot, rate) of what is known
    around them, in any order; of two in one slot the row counts.
    """
    if not before and not _may_fail(rows, caps, delisted_ms):
        return []
    own = {row.slot_ms: row for row in rows}
    series = dict(before) | {slot: row.rate for slot, row in own.items()}
    failed: list[Quarantined] = []
    previous, run, since = None, 0, 0
    unbounded = not caps and delisted_ms is None
    for slot in sorted(series):
        rate = series[slot]
        if rate == previous:
            run += 1
        else:
            run, since, previous = 1, slot, rate
            if unbounded:
                continue
        row = own.get(slot)
        if row is not None:
            reason = _reason(row, run, slot - since, caps, delisted_ms)
            if reason is not None:
                failed.append(Quarantined(row.raw, reason))
    return failed


def _may_fail(rows: Sequence[Slotted], caps: Sequence[Cap], delisted_ms: int | None) -> bool:
    """Whether rows with nothing before them are worth a second look: cheap, and never false where
    one of them fails.
    """
    rates = [row.rate for row in rows]
    if not rates:
        return False
    # Within the tightest bounds that were ever declared, within those in force.
    low = max((cap.low or -inf for cap in caps), default=-inf)
    high = min((cap.high or inf for cap in caps), default=inf)
    if beyond_cap(min(rates), (low, high)) or beyond_cap(max(rates), (low, high)):
        return True
    if delisted_ms is not None and max(row.slot_ms for row in rows) > delisted_ms:
        return True
    often = [rate for rate, times in Counter(rates).items() if times > LONGEST_RUN]
    return any(map(is_distinctive, often))


def _reason(
    row: Slotted, run: int, stood_ms: int, caps: Sequence[Cap], delisted_ms: int | None
) -> str | None:
    bounds = caps_in_force(caps, row.raw.time_ms) if caps else None
    if bounds is not None and beyond_cap(row.rate, bounds):
        low, high = bounds
        return f"beyond the cap: {row.rate:g}, {CAP_MARGIN:g} times outside {low:g} .. {high:g}"
    late_ms = 0 if delisted_ms is None else row.slot_ms - delisted_ms
    if late_ms > DELISTING_GRACE_MS:
        return f"after delisting: {late_ms / HOUR_MS:.0f} h after the market left its list"
    if run == 1 or at_cap(row.rate, bounds) or not is_distinctive(row.rate):
        return None
    if late_ms > 0:
        return f"frozen: {row.rate:g} again after the market left its list"
    if run > LONGEST_RUN and stood_ms > LONGEST_STANDSTILL_MS:
        return f"frozen: {row.rate:g} for the {run}th time in a row, {stood_ms / HOUR_MS:.0f} h"
    return None
