"""Units of a rate: from the exchange's text to a signed fraction, per hour and per year.

Belongs here: the only conversions between units in the project. Does not: which unit an exchange
uses (its module declares that), averages (transforms).
"""

import math
import re
from enum import Enum
from fractions import Fraction
from functools import lru_cache

HOURS_PER_YEAR = 8760

_DECIMAL = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)


class RateUnit(Enum):
    """Unit of the raw text: a fraction, percent or 1e-18 per interval, or a fraction per year."""

    FRACTION = "fraction"
    PERCENT = "percent"
    X18 = "fraction x 1e18"
    ANNUAL_FRACTION = "annual fraction"


_PLACES = {RateUnit.PERCENT: -2, RateUnit.X18: -18}


def fraction(
    text: str, unit: RateUnit = RateUnit.FRACTION, interval_hours: int | None = None
) -> float:
    """The fraction per interval that a decimal text means: "0.0012" in percent is 1.2e-05.

    Conversion is exact and the float made once, so that the result is the float nearest to the
    exact value. An annual fraction needs `interval_hours`. Raises ValueError on anything that is
    no finite decimal number.
    """
    if unit is RateUnit.FRACTION:
        return _plain(text)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"no decimal number: {text!r}")
    if unit is RateUnit.ANNUAL_FRACTION:
        if interval_hours is None:
            raise ValueError(f"an annual rate without its interval: {text!r}")
        try:
            value = float(Fraction(text) * interval_hours / HOURS_PER_YEAR)
        except OverflowError:
            value = math.inf
    else:
        value = float(_shifted(match, _PLACES[unit]))
    if not math.isfinite(value):
        raise ValueError(f"not finite: {text!r}")
    return value


@lru_cache(maxsize=50_000)
def _plain(text: str) -> float:
    """Kept, since some rates come again and again: the interest alone is half of all rows."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"no decimal number: {text!r}")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"not finite: {text!r}")
    return value


def _shifted(match: re.Match[str], places: int) -> str:
    sign, whole, decimals, exponent = match.groups(default="")
    return f"{sign}{whole}.{decimals or '0'}e{int(exponent or 0) + places}"


def rate_hourly(rate: float, interval_hours: int) -> float:
    """Fraction per hour of a rate that settles `interval_hours`."""
    return rate / interval_hours


def apr(rate: float, interval_hours: int) -> float:
    """Simple annual rate as a fraction (0.1095 = 10.95 %); never compounded."""
    return rate / interval_hours * HOURS_PER_YEAR
