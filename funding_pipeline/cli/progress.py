"""What a backfill shows while it goes: bars on a terminal, a line now and then elsewhere.

Belongs here: how progress looks. Does not: what is collected, the final words.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from funding_pipeline.collection.planning import Forecast
from funding_pipeline.collection.report import LoadReport, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_S = 5.0


@dataclass(slots=True)
class _Course:
    """How far one exchange is. A unit is one market's window that was still missing."""

    units: int
    done: int = 0
    rows: int = 0
    told_at: float = 0.0


class Lines(Progress):
    """Plain lines, for a file, a pipe or a service's log.

    `limited`: whether the exchanges' rate limits apply, without which minutes mean nothing.
    """

    def __init__(self, *, limited: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._limited = limited
        self._clock = clock
        self._courses: dict[str, _Course] = {}

    def say(self, line: str) -> None:
        """One line. A reader that has gone away (`| head`) does not stop the collection."""
        with suppress(BrokenPipeError):
            click.echo(line)

    def planned(self, exchange: str, forecast: Forecast) -> None:
        """Say what will be done, before it is done."""
        self._courses[exchange] = _Course(forecast.units, told_at=self._clock())
        self.say(f"{exchange}: {plan_words(forecast, limited=self._limited)}")

    def advanced(self, exchange: str, rows: int) -> None:
        """Count, and say so every few seconds."""
        course = self._courses[exchange]
        course.done += 1
        course.rows += rows
        self.show(exchange, course)

    def show(self, exchange: str, course: _Course) -> None:
        """Bring what is seen of an exchange up to date."""
        if self._clock() - course.told_at >= LINE_EVERY_S:
            course.told_at = self._clock()
            self.say(
                f"{exchange}: {course.done:,} of {course.units:,} windows, "
                f"{course.rows:,} settlements"
            )

    def finished(self, report: LoadReport) -> None:
        """An exchange's last word."""
        self.say(report.summary())


class Bars(Lines):
    """A bar per exchange, on a terminal; lines scroll above."""

    def __init__(self, bars: "RichProgress", *, limited: bool) -> None:
        super().__init__(limited=limited)
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._adding = threading.Lock()

    def say(self, line: str) -> None:
        """Above the bars, as it is: brackets in an exchange's answer are no markup."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def planned(self, exchange: str, forecast: Forecast) -> None:
        """Say it, and start the bar."""
        super().planned(exchange, forecast)
        with self._adding:
            if forecast.units:
                self._tasks[exchange] = self._bars.add_task(
                    exchange, total=forecast.units, rows="0 settlements"
                )

    def show(self, exchange: str, course: _Course) -> None:
        """Move the bar."""
        rows = f"{course.rows:,} settlements"
        self._bars.update(self._tasks[exchange], completed=course.done, rows=rows)

    def finished(self, report: LoadReport) -> None:
        """The summary takes the bar's place."""
        if report.exchange in self._tasks:
            self._bars.remove_task(self._tasks.pop(report.exchange))
        super().finished(report)


@contextmanager
def display(*, limited: bool) -> Iterator[Lines]:
    """Bars where standard output is a terminal, lines elsewhere."""
    if not sys.stdout.isatty():
        yield Lines(limited=limited)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    with RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
    ) as bars:
        yield Bars(bars, limited=limited)


def plan_words(forecast: Forecast, *, limited: bool) -> str:
    """A plan in a line: size first, then how long it takes at the exchange's limit."""
    if not forecast.units:
        return "nothing to ask: collected already, or without a history"
    words = (
        f"{forecast.units:,} market windows to collect, at least {forecast.requests:,} requests, "
        f"about {forecast.rows:,} settlements"
    )
    if not limited:
        return words
    minutes = forecast.seconds / 60
    pace = "less than a minute" if minutes < 1 else f"about {minutes:,.0f} min"
    return f"{words}, {pace} at the exchange's limit"
