"""Names of trailing windows: a number of hours or days, as in `24h` or `7d`.

Belongs here: what a name means and which are allowed. Does not: what is computed over a window.
"""

import re
from collections.abc import Iterable

LONGEST_DAYS = 366
DEFAULT_WINDOWS = ("24h", "3d", "7d", "14d", "30d")

_NAME = re.compile(r"([1-9][0-9]{0,4})([hd])")


def windows_hours(names: Iterable[str]) -> dict[str, int]:
    """Hours by name, in ascending order of length.

    Raises ValueError when a name is no number of hours (`h`) or days (`d`), lasts longer than 366
    days, or two last equally long (one would say the same twice), and when there is none.
    """
    hours: dict[str, int] = {}
    for name in names:
        found = _NAME.fullmatch(name)
        if not found:
            raise ValueError(f"window {name!r}: expected hours or days, such as 24h or 7d")
        length = int(found[1]) * (24 if found[2] == "d" else 1)
        if length > LONGEST_DAYS * 24:
            raise ValueError(f"window {name!r} is longer than {LONGEST_DAYS} days")
        if length in hours.values():
            raise ValueError(f"window {name!r}: another one is as long")
        hours[name] = length
    if not hours:
        raise ValueError("no window is named")
    return dict(sorted(hours.items(), key=lambda item: item[1]))
