"""Unified symbols: what a native base ticker holds, and how many of it.

Belongs here: the anchored rule that proposes symbol and multiplier. Does not: splitting a native
symbol into base and quote (exchange modules know how), dated corrections, scaling of rates: a rate
is a fraction of notional, so a multiplier never touches it.
"""

import re

_PREFIX = re.compile(r"(10{3,})([A-Z][A-Z0-9]*)")
_SUFFIX = re.compile(r"([A-Z]{2,})(10{3,})")
_THOUSAND = re.compile(r"k([A-Z][A-Z0-9]+)")
_MILLION = re.compile(r"1M([A-Z]{3,})")
_ALIASES = {"XBT": "BTC"}


def unify(base: str) -> tuple[str, int]:
    """(symbol, multiplier) of a base ticker: kPEPE, 1000PEPE -> PEPE, 1000; KAITO -> KAITO, 1.

    Only a lower-case k is a thousand; digits count only as 1 followed by three or more zeros, so
    that 1INCH, 2Z, API3 and LUNA2 stay what they are.
    """
    if match := _PREFIX.fullmatch(base):
        return match[2], int(match[1])
    if match := _SUFFIX.fullmatch(base):
        return match[1], int(match[2])
    if match := _THOUSAND.fullmatch(base):
        return match[1], 1_000
    if match := _MILLION.fullmatch(base):
        return match[1], 1_000_000
    return _ALIASES.get(base, base), 1
