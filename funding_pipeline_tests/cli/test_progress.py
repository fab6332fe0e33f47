"""What a backfill shows: how often, and that foreign text is no markup."""

import io

from rich.console import Console
from rich.progress import Progress

from funding_pipeline.cli.progress import LINE_EVERY_S, Bars, Lines, plan_words
from funding_pipeline.collection.planning import Forecast
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window


class Collected(Lines):
    def __init__(self) -> None:
        super().__init__(limited=True, clock=lambda: self.now)
        self.now = 0.0
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_line_every_few_seconds_and_exchange() -> None:
    out = Collected()
    out.planned("a", Forecast(1000, 1000, 5000, 90.0))
    out.planned("b", Forecast(1000, 1000, 5000, 90.0))
    del out.lines[:]
    for second in range(101):
        out.now = second / 10
        out.advanced("a", 5)
        if second > 90:
            out.advanced("b", 1)
    assert LINE_EVERY_S == 5.0
    assert out.lines == [
        "a: 51 of 1,000 windows, 255 settlements",
        "b: 1 of 1,000 windows, 1 settlements",
        "a: 101 of 1,000 windows, 505 settlements",
    ]


def test_plans_in_words() -> None:
    plan = Forecast(3, 20, 50_000, 150.0)
    assert plan_words(plan, limited=True) == (
        "3 market windows to collect, at least 20 requests, about 50,000 settlements, "
        "about 2 min at the exchange's limit"
    )
    assert "limit" not in plan_words(plan, limited=False)
    assert "less than a minute" in plan_words(Forecast(3, 20, 50, 59.0), limited=True)
    assert plan_words(Forecast(0, 0, 0, 0.0), limited=True).startswith("nothing to ask")


def test_bars_come_and_go_and_text_stays_as_it_is() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, _environ={})
    with Progress(console=console) as rich_bars:
        bars = Bars(rich_bars, limited=False)
        bars.planned("a", Forecast(2, 2, 10, 0.0))
        bars.planned("idle", Forecast(0, 0, 0, 0.0))
        bars.advanced("a", 5)
        (task,) = rich_bars.tasks
        assert (task.description, task.completed, task.total) == ("a", 1, 2)
        failed = LoadReport("a", Window(0, 1), outcome="failed", error="[bold] is what it sent")
        bars.finished(failed)
        bars.finished(LoadReport("idle", Window(0, 1)))
        assert not rich_bars.tasks
    assert "a: FAILED: [bold] is what it sent" in file.getvalue()
