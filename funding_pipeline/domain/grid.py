"""The settlement grid: stamps with jitter become whole hours.

Belongs here: snapping. Does not: intervals, rates, which of two rows wins a slot (validate).
Stamps mark the end of the paid period. Recorded lateness: mostly below 2 s, 15 and 24 minutes
seen, early never; hence the limits.
"""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EARLIEST_MS = -5_000
LATEST_MS = 30 * 60_000
LATE_EVENT_MS = 2 * 60_000


def slot_of(time_ms: int) -> int | None:
    """The whole hour (ms) that a stamp settles, or None if it lies too far from any.

    Accepted: 5 s early to 30 min late. (Half an interval would be the other bound; the shortest
    interval is one hour, so 30 min is the smaller one everywhere.)
    """
    slot = (time_ms - EARLIEST_MS) // HOUR_MS * HOUR_MS
    return slot if time_ms - slot <= LATEST_MS else None
