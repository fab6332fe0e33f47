"""The definition of carry, written out slowly and exactly: the tests' second opinion.

Belongs here: one market's carry over a span from plain rows. Does not: anything from the package.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from .hour_by_hour import HOUR, Life, Row, covered


@dataclass(frozen=True)
class Cash:
    """What a long got, exactly, and what that rests on."""

    long: Fraction
    settlements: int
    covered_hours: int
    coverage: float
    first: datetime
    last: datetime


def whole_hours(start: datetime, end: datetime) -> list[datetime]:
    """The ends of the whole hours that begin at or after `start` and end by `end`."""
    hour = start.replace(minute=0, second=0, microsecond=0)
    ends = []
    while hour + HOUR <= end:
        if hour >= start:
            ends.append(hour + HOUR)
        hour += HOUR
    return ends


def cash(rows: list[Row], life: Life, start: datetime, end: datetime) -> Cash | None:
    """Of a position opened at `start`, closed at `end` (not after the newest settlement of all)."""
    got = [(row, hours) for row, hours in zip(rows, covered(rows), strict=True) if row.time > start]
    got = [(row, hours) for row, hours in got if row.time <= end]
    if not got:
        return None
    last = got[-1][0]
    nothing_due = end - last.time < timedelta(hours=last.interval)
    listed, delisted = life
    paid = {row.time - back * HOUR for row, hours in got for back in range(hours)}
    in_span = whole_hours(start, last.time if nothing_due else end)
    live = [
        hour
        for hour in in_span
        if (listed is None or hour - HOUR >= listed) and (delisted is None or hour <= delisted)
    ]
    covered_within = len([hour for hour in in_span if hour in paid])
    divisor = max(covered_within, len(live))
    return Cash(
        long=-sum((Fraction(row.rate) for row, _ in got), Fraction(0)),
        settlements=len(got),
        covered_hours=sum(hours for _, hours in got),
        coverage=covered_within / divisor if divisor else 1.0,
        first=got[0][0].time,
        last=last.time,
    )


def agrees(row: dict[str, object], exact: Cash) -> bool:
    """Whether a row of `carry` says the same; amounts within 1e-12, the rest exactly."""
    told = exact.coverage >= 0.8
    amounts = {
        "long_carry": exact.long,
        "short_carry": -exact.long,
        "annualised": exact.long / exact.covered_hours * 8760,
    }
    facts = {
        "settlements": exact.settlements,
        "covered_hours": exact.covered_hours,
        "coverage": exact.coverage,
        "first_stamp": exact.first,
        "last_stamp": exact.last,
    }
    return all(row[name] == fact for name, fact in facts.items()) and all(
        near(row[name], amount) if told else row[name] is None for name, amount in amounts.items()
    )


def near(actual: object, exact: Fraction) -> bool:
    return isinstance(actual, float) and math.isclose(
        actual, float(exact), rel_tol=1e-12, abs_tol=1e-26
    )
