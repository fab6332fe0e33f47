"""The command line `funding`: its commands, their options and help.

Belongs here: what a person may type, and which function does it. Does not: the work itself
(`backfill`, `warehouse.status`, `warehouse.export`, `sandbox.server`), how it looks (`text`).

Everything heavy is imported inside the commands, so that `funding status` answers at once.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from funding_pipeline.cli.failures import plain_failures
from funding_pipeline.cli.surroundings import env_file

SANDBOX_PORT = 8900
_DAY = click.DateTime(["%Y-%m-%d"])
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class _Commands(click.Group):
    """Runs every command in the same surroundings, its expected failures told in a sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        with env_file(), plain_failures():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Funding rates of perpetual futures: collect them, look at them, take them away.

    Data live in $FUNDING_DATA_DIR (default: data). Days are UTC days. A .env file in the working
    directory counts, as it does for dagster.
    """


@main.command()
@click.option(
    "--days",
    type=click.IntRange(min=1),
    help="The last N full days plus today so far.  [default: 30]",
)
@click.option("--from", "first", type=_DAY, metavar="DATE", help="First day, YYYY-MM-DD.")
@click.option(
    "--to", "last", type=_DAY, metavar="DATE", help="Last day, included. [default: today]"
)
@click.option(
    "--exchange",
    "exchanges",
    multiple=True,
    metavar="NAME",
    help="Only this exchange; may be repeated.  [default: $FUNDING_EXCHANGES, else all]",
)
@click.option(
    "--market",
    "markets",
    multiple=True,
    metavar="NAME",
    help="Only this market, in the exchange's own spelling; may be repeated.",
)
def backfill(
    days: int | None,
    first: datetime | None,
    last: datetime | None,
    exchanges: tuple[str, ...],
    markets: tuple[str, ...],
) -> None:
    """Collect past settlements, derive, publish.

    Asks only for what is not collected yet, so the same command again resumes. `--days 2` on the
    10th at 15:00 means the 8th and 9th in full and the 10th until 15:00. Ends with 0 when complete,
    1 when an exchange failed wholly or in part (the rest is stored), 2 on bad usage.

    \b
    Example: funding backfill --from 2025-05-01 --to 2025-05-31 --exchange bybit
    """
    try:
        from funding_pipeline.cli.backfill import run_backfill

        code = run_backfill(
            days=days,
            first=first.date() if first else None,
            last=last.date() if last else None,
            exchanges=exchanges,
            markets=markets,
        )
    except KeyboardInterrupt:
        click.echo(
            "\nInterrupted. What was stored is kept; the same command goes on where it stopped.",
            err=True,
        )
        code = 130
    click.get_current_context().exit(code)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts: fractions, seconds, UTC times.")
def status(as_json: bool) -> None:
    """How fresh and how complete the published data are.

    Reads the published read.duckdb only and never waits for a writer; what happened since the
    publication does not show. Coverage: see the note below the table.

    \b
    Example: funding status --json
    """
    from funding_pipeline.cli.text import as_plain, status_lines
    from funding_pipeline.exchanges.registry import select
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse.status import naive_utc_now, read_status

    settings = Settings()
    path = settings.read_path
    now = naive_utc_now()
    chosen = [exchange.spec.name for exchange in select(settings)]
    found = read_status(path, chosen, now=now)
    if as_json:
        click.echo(json.dumps(as_plain(found), indent=2))
    else:
        for line in status_lines(found, path, now):
            click.echo(line)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def exchanges(as_json: bool) -> None:
    """The exchanges this version knows, and what each declares about its rates.

    \b
    Example: funding exchanges
    """
    from funding_pipeline.cli.text import declaration, exchange_lines
    from funding_pipeline.exchanges.registry import EXCHANGES

    declared = [declaration(exchange.spec) for exchange in EXCHANGES.values()]
    if as_json:
        click.echo(json.dumps(declared, indent=2))
    else:
        for line in exchange_lines(declared):
            click.echo(line)


@main.command()
@click.argument("exchange")
@click.option(
    "--market", metavar="NAME", help="In the exchange's own spelling.  [default: Bitcoin's]"
)
def verify(exchange: str, market: str | None) -> None:
    """Ask an EXCHANGE a handful of things and show raw beside normalised values.

    Shows unit, interval, stamps, limits and the last two days of one market, and tells a block of
    this location from an exchange that is down and from one without data. Stores nothing. Asks the
    live exchange, or the sandbox where FUNDING_SANDBOX_URL is set. Ends with 1 where something
    is wrong.

    \b
    Example: funding verify lighter
    """
    from funding_pipeline.cli.verify import run_verify

    click.get_current_context().exit(run_verify(exchange, market))


@main.command()
@click.option(
    "--data",
    type=_FOLDER,
    help="Serve recorded data: a folder of <exchange>.parquet.  [default: generated]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=SANDBOX_PORT,
    show_default=True,
    help="0 picks a free one.",
)
@click.option("--no-limits", is_flag=True, help="Do not enforce the exchanges' rate limits.")
@click.option(
    "--markets", type=click.IntRange(min=1), metavar="N", help="At most N markets an exchange."
)
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON list of faults, e.g. [{"kind": "http_503", "every": 5}].',
)
@click.option(
    "--shift-to-now", is_flag=True, help="Move recorded time by whole days up to the present."
)
def sandbox(
    data: Path | None,
    port: int,
    no_limits: bool,
    markets: int | None,
    faults: Path | None,
    shift_to_now: bool,
) -> None:
    """Serve the exchanges' wire formats on this machine, for work without a network.

    Collect from it by setting FUNDING_SANDBOX_URL to the address that it prints.

    \b
    Example: funding sandbox --no-limits --markets 25
    """
    from funding_pipeline.sandbox.faults import FaultFileError
    from funding_pipeline.sandbox.server import NothingToServeError, serve

    try:
        serve(data, port, not no_limits, markets, faults, shift_to_now)
    except (FaultFileError, NothingToServeError) as error:
        raise click.UsageError(str(error)) from None


@main.command()
@click.argument("table")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file."
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    help="[default: csv where PATH ends in .csv, else parquet]",
)
@click.option("--from", "first", type=_DAY, metavar="DATE", help="First day, YYYY-MM-DD.")
@click.option("--to", "last", type=_DAY, metavar="DATE", help="Last day, included.")
@click.option(
    "--exchange", "exchanges", multiple=True, metavar="NAME", help="Only this one; repeatable."
)
@click.option(
    "--symbol", "symbols", multiple=True, metavar="NAME", help="Only this one (BTC); repeatable."
)
def export(
    table: str,
    out: Path,
    file_format: str | None,
    first: datetime | None,
    last: datetime | None,
    exchanges: tuple[str, ...],
    symbols: tuple[str, ...],
) -> None:
    """Write a published TABLE to a Parquet or CSV file.

    Rates and APRs are fractions, times UTC. An existing file is replaced, and only when the new
    one is complete. TABLE: funding_rates, daily_stats, moving_averages, latest_rates, apr, markets,
    symbol_registry, symbol_collisions, rate_revisions, quarantine, events, collected_windows,
    loads.

    \b
    Example: funding export funding_rates --out btc.parquet --symbol BTC --from 2025-05-01
    """
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse.export import ExportError, Selection, export_table

    settings = Settings()
    if out.resolve().parent == settings.data_dir.resolve() and out.suffix == ".duckdb":
        raise click.UsageError(f"{out} is a database of the pipeline; choose another file")
    if file_format is None:
        file_format = "csv" if out.suffix.lower() == ".csv" else "parquet"
    selection = Selection(
        first.date() if first else None, last.date() if last else None, exchanges, symbols
    )
    try:
        rows = export_table(settings.read_path, table, out, file_format, selection)
    except ExportError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{rows:,} rows of {table} written to {out}")
