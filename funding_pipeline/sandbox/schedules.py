"""When generated markets were launched and how often they settle, for exchanges with intervals.

Belongs here: the mixture of 8, 4 and 1 hour markets that Binance and Bybit have. Does not belong
here: names of markets, rates.
"""

from funding_pipeline.sandbox.market import DAY_MS, utc_ms
from funding_pipeline.sandbox.noise import uniform

_FIRST_LAUNCH_MS = utc_ms(2021, 1, 1)
_INTERVAL_CHANGE_MS = utc_ms(2024, 7, 1)
DELISTED_MS = utc_ms(2024, 9, 10)

Eras = tuple[tuple[int, int], ...]


def mixed_eras(exchange: str, rank: int) -> Eras:
    """The ten most traded markets are old and settle every 8 hours; others differ."""
    day = 0 if rank < 10 else int(uniform(f"{exchange}|launch", rank) * 1200)
    launch = _FIRST_LAUNCH_MS + day * DAY_MS
    chance = 0.0 if rank < 10 else uniform(f"{exchange}|interval", rank)
    if chance > 0.93:
        return ((launch, 1),)
    if chance > 0.55:
        return ((launch, 4),)
    if chance > 0.45:
        return ((launch, 8), (_INTERVAL_CHANGE_MS, 4))
    return ((launch, 8),)


def restless_eras(launch_ms: int, days: int, end_ms: int) -> Eras:
    """8 and 4 hours in turn, with an hourly spell now and then, changing every so many days."""
    spells = (8, 4, 8, 1, 4)
    starts = range(launch_ms, end_ms, days * DAY_MS)
    return tuple((start, spells[i % len(spells)]) for i, start in enumerate(starts))
