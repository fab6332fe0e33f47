"""`funding coverage`: a map of which days are complete, and why the others are not.

Belongs here: how it looks, on a terminal and elsewhere. Does not: queries (warehouse.coverage).
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta

import click

from funding_pipeline.cli.text import percent, table
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.coverage import Coverage, Row, read_coverage
from funding_pipeline.warehouse.status import naive_utc_now

MOST_MARKETS = 40
# From nothing to nearly everything; complete, and nothing expected.
_BLOCKS, _COMPLETE, _NOTHING = "▁▂▃▄▅▆▇", "█", "·"
_DIGITS, _PLAIN_COMPLETE, _PLAIN_NOTHING = "0123456789", "#", "."


def run_coverage(exchanges: Sequence[str], days: int) -> None:
    """Print the map of the last full UTC days."""
    settings = Settings()
    last = naive_utc_now().date() - timedelta(days=1)
    found = read_coverage(settings.read_path, last=last, days=days, exchanges=exchanges)
    if found is None:
        click.echo(f"Nothing is published yet: there is no {settings.read_path}.")
        return
    one = exchanges[0] if len(exchanges) == 1 else None
    for line in coverage_lines(found, one, blocks=sys.stdout.isatty()):
        click.echo(line)


def coverage_lines(found: Coverage, exchange: str | None, *, blocks: bool) -> Iterator[str]:
    """A line for each exchange, or for the least complete markets of one; then the reasons."""
    if not found.rows:
        yield "No settlement is expected or stored in these days."
        return
    shown = found.rows if exchange is None else found.rows[:MOST_MARKETS]
    head = "exchange" if exchange is None else f"market of {exchange}"
    days = found.days
    yield from table(
        (head, "share", "missing", _ruler(found)),
        [
            (
                row.name,
                percent(row.stored / row.expected),
                f"{row.expected - row.stored:,}",
                _cells(found, row, blocks=blocks),
            )
            for row in shown
        ],
    )
    if rest := found.rows[len(shown) :]:
        complete = sum(row.stored == row.expected for row in rest)
        yield f"and {len(rest):,} more markets, {complete:,} of them complete"
    yield ""
    yield (
        f"{days[0]} .. {days[-1]}, a character a UTC day, in which the paid period begins: "
        + ("█ complete, ▁ to ▇ in part, · none expected" if blocks else _PLAIN_LEGEND)
    )
    if found.holes:
        yield ""
        yield from table(
            ("missing", "exchange", "why", "markets", "days"),
            [
                (
                    f"{hole.missing:,}",
                    hole.exchange,
                    hole.reason,
                    f"{hole.markets:,}",
                    f"{hole.first} .. {hole.last}",
                )
                for hole in found.holes
            ],
        )


_PLAIN_LEGEND = "# complete, 0 to 9 tenths of it, . none expected"


def _ruler(found: Coverage) -> str:
    """The day of the month under each Monday's character."""
    ruler = [" "] * (len(found.days) + 2)
    for n, day in enumerate(found.days):
        if day.weekday() == 0:
            ruler[n : n + 2] = f"{day.day:02d}"
    return "".join(ruler).rstrip()


def _cells(found: Coverage, row: Row, *, blocks: bool) -> str:
    steps = _BLOCKS if blocks else _DIGITS
    complete = _COMPLETE if blocks else _PLAIN_COMPLETE
    nothing = _NOTHING if blocks else _PLAIN_NOTHING

    def cell(share: float | None) -> str:
        if share is None:
            return nothing
        return complete if share >= 1 else steps[int(share * len(steps))]

    return "".join(cell(row.shares.get(day)) for day in found.days)
