"""`funding quarantine`: what failed a check, and what a person decides about it.

Belongs here: options, words, the order of steps. Does not: SQL and rules (warehouse.quarantine,
warehouse.release), imported when a command runs.
"""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from funding_pipeline.warehouse.quarantine import Choice

DONE, NOT_ALL = 0, 1
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"])
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _choosing(command: _Command) -> _Command:
    """The options that choose rows, the same for every command."""
    for option in reversed(
        (
            click.option("--exchange", metavar="NAME", help="Only of this exchange."),
            click.option("--market", metavar="NAME", help="Only of this native symbol."),
            click.option(
                "--reason", "check", metavar="TEXT", help="Only where the reason begins with it."
            ),
            click.option("--since", type=_MOMENT, metavar="TIME", help="Stamped since then, UTC."),
            click.option("--stamp", type=_MOMENT, metavar="TIME", help="Stamped exactly so, UTC."),
            click.option("--rate", "raw_rate", metavar="TEXT", help="With this rate as sent."),
        )
    ):
        command = option(command)
    return command


@click.group()
def quarantine() -> None:
    """Rows that failed a check before they were stored: list, release or drop them.

    A quarantined row is no settlement, so its hour is a gap until it is released. Nothing is ever
    deleted, and what was decided once is not quarantined again.
    """


@quarantine.command("list")
@_choosing
@click.option("--rows", is_flag=True, help="Every row instead of a sum by exchange and reason.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def list_(rows: bool, as_json: bool, **chosen: Any) -> None:
    """What lies there undecided, as published.

    \b
    Example: funding quarantine list --exchange bybit --rows
    """
    import duckdb

    from funding_pipeline.cli.text import table
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse.quarantine import Choice, rows_of, summaries

    path = Settings().read_path
    if not path.exists():
        click.echo("[]" if as_json else f"Nothing is published yet: there is no {path}.")
        return
    with duckdb.connect(str(path), read_only=True) as connection:
        find = rows_of if rows else summaries
        found = find(connection, Choice(**chosen))
    if as_json:
        plain = [dataclasses.asdict(each) for each in found]
        click.echo(json.dumps(plain, indent=2, default=lambda time: f"{time.isoformat()}Z"))
    elif not found:
        click.echo("no row is in quarantine")
    else:
        # As wide as their content: these lines are also read through pipes.
        values = [list(dataclasses.asdict(each).items()) for each in found]
        shown = [[(key, _text(value)) for key, value in row if key in _SHOWN] for row in values]
        head = [_SHOWN[key] for key, _ in shown[0]]
        for line in table(head, [[text for _, text in row] for row in shown]):
            click.echo(line)


_SHOWN = {
    "exchange": "exchange",
    "check": "reason",
    "rows": "rows",
    "markets": "markets",
    "first": "first stamp",
    "last": "last stamp",
    "example": "newest",
    "market": "market",
    "stamp": "stamp",
    "raw_rate": "rate as sent",
    "reason": "reason",
}


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


@quarantine.command()
@_choosing
@click.option("--yes", is_flag=True, help="Do not ask.")
def release(yes: bool, **chosen: Any) -> None:
    """Make settlements of the chosen rows; they were right after all.

    What stands in the same hour is replaced and kept in rate_revisions. Derives and publishes.

    \b
    Example: funding quarantine release --exchange bybit --market AAAUSDT --reason frozen
    """
    from funding_pipeline.cli.quarantine_steps import release_rows

    raise SystemExit(release_rows(_choice(chosen), ask=not yes))


@quarantine.command()
@_choosing
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(yes: bool, **chosen: Any) -> None:
    """Refuse the chosen rows for good: they are kept, but listed no more. Publishes.

    \b
    Example: funding quarantine drop --exchange bybit --reason "slot taken"
    """
    from funding_pipeline.cli.quarantine_steps import drop_rows

    raise SystemExit(drop_rows(_choice(chosen), ask=not yes))


def _choice(chosen: dict[str, datetime | str | None]) -> "Choice":
    from funding_pipeline.warehouse.quarantine import Choice

    if not any(chosen.values()):
        raise click.UsageError("choose rows, at least by --exchange or --reason")
    return Choice(**chosen)  # type: ignore[arg-type]
