"""From --days, --from and --to to the window that they mean.

Belongs here: the rules of those options. Does not: what of the window is still missing (planning).
"""

from datetime import date, timedelta

import click

from funding_pipeline.domain.grid import DAY_MS
from funding_pipeline.domain.records import Window

DEFAULT_DAYS = 30
# The first perpetual future was listed in May 2016; an earlier day is a slip of the finger.
FIRST_DAY = date(2016, 5, 1)
_EPOCH = date(1970, 1, 1)


def window_of(days: int | None, first: date | None, last: date | None, *, today: date) -> Window:
    """Whole UTC days, today included although it has not ended. UsageError where they clash."""
    if days is not None and (first or last):
        raise click.UsageError("--days goes without --from and --to")
    if last and not first:
        raise click.UsageError("--to needs --from")
    if first is None:
        try:
            first = today - timedelta(days=DEFAULT_DAYS if days is None else days)
        except OverflowError:
            first = date.min
    last = last or today
    if first > today or last > today:
        raise click.UsageError(f"{max(first, last)} is in the future; today (UTC) is {today}")
    if first > last:
        raise click.UsageError(f"--from {first} is after --to {last}")
    if first < FIRST_DAY:
        raise click.UsageError(f"no perpetual future existed before {FIRST_DAY}")
    return Window(_ms(first), _ms(last) + DAY_MS)


def days_in_words(window: Window) -> str:
    """The window's first and last day, for a person."""
    first = _EPOCH + timedelta(milliseconds=window.start_ms)
    last = _EPOCH + timedelta(milliseconds=window.end_ms - DAY_MS)
    return f"{first} to {last}"


def _ms(day: date) -> int:
    return (day - _EPOCH).days * DAY_MS
