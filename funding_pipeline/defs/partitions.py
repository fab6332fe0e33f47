"""The one partitions definition: a settlement belongs to the UTC day of its stamp, [D, D+1)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from funding_pipeline.domain.records import Window

# end_offset=1: today's key exists and is collected anew every hour until the day is over.
DAYS = dg.DailyPartitionsDefinition(start_date="2019-09-01", timezone="UTC", end_offset=1)


def day_window(keys: Sequence[str]) -> Window:
    """The window from the first to the end of the last of ascending day keys."""
    start, last = (datetime.fromisoformat(key).replace(tzinfo=UTC) for key in (keys[0], keys[-1]))
    return Window(_ms(start), _ms(last + timedelta(days=1)))


def day_keys(window: Window) -> list[str]:
    """The days that a window touches, ascending."""
    day = datetime.fromtimestamp(window.start_ms / 1000, UTC).date()
    last = datetime.fromtimestamp((window.end_ms - 1) / 1000, UTC).date()
    return [str(day + timedelta(days=n)) for n in range((last - day).days + 1)]


def _ms(time: datetime) -> int:
    return int(time.timestamp()) * 1000
