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
@click.option(
    "--exchange", "exchanges", multiple=True, metavar="NAME", help="Only this one; repeatable."
)
@click.option(
    "--days", type=click.IntRange(1, 400), default=30, show_default=True, help="Full UTC days."
)
def coverage(exchanges: tuple[str, ...], days: int) -> None:
    """A map of which days are complete, and why the others are not.

    One line per exchange; with a single --exchange, one per market, the least complete first. Reads
    the published read.duckdb only. Expected are the stored settlements and those missing between,
    before and after them; every missing one has a reason. The table is coverage_by_day, by market
    market_coverage_by_day, and each hole is a row of gaps.

    \b
    Example: funding coverage --exchange bybit --days 60
    """
    from funding_pipeline.cli.coverage import run_coverage

    run_coverage(exchanges, days)


@main.command()
@click.option(
    "--exchange",
    "exchanges",
    multiple=True,
    metavar="NAME",
    help="Only this exchange; may be repeated.  [default: $FUNDING_EXCHANGES, else all]",
)
@click.option(
    "--retry-given-up", is_flag=True, help="Ask also for what was given up after empty answers."
)
def repair(exchanges: tuple[str, ...], retry_given_up: bool) -> None:
    """Look for every missing settlement, ask for it again, derive, publish.

    What is open is asked for by itself; this does it at once, and searches all of history first.
    After three empty answers over at least a day a gap is given up and not asked for again, unless
    with --retry-given-up. Ends with 1 when an exchange failed wholly or in part.

    \b
    Example: funding repair --exchange hyperliquid
    """
    from funding_pipeline.cli.repair import run_repair

    click.get_current_context().exit(run_repair(exchanges, retry_given_up=retry_given_up))


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
    "--out", required=True, type=click.Path(path_type=Path), help="The file, or the folder."
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv", "feather"]),
    help="[default: csv where PATH ends in .csv, feather where in .feather, else parquet]",
)
@click.option(
    "--partitioned",
    is_flag=True,
    help="A folder of Parquet files by exchange and month, with manifest.json.",
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
    partitioned: bool,
    first: datetime | None,
    last: datetime | None,
    exchanges: tuple[str, ...],
    symbols: tuple[str, ...],
) -> None:
    """Write a published TABLE to a file, or to a folder of files by exchange and month.

    Rates and APRs are fractions, times UTC. What exists is replaced, and only when the new one is
    complete; a folder only if it is such an export. The folder leaves out what its manifest says
    how to compute. `funding import` takes funding_rates back. TABLE: funding_rates, daily_stats,
    moving_averages, latest_rates, apr, markets, rate_revisions, quarantine, events and others; a
    wrong one lists all.

    \b
    Example: funding export funding_rates --out btc.parquet --symbol BTC --from 2025-05-01
             funding export funding_rates --out rates --partitioned
    """
    from funding_pipeline.cli.exports import run_export
    from funding_pipeline.warehouse.export import Selection

    selection = Selection(
        first.date() if first else None, last.date() if last else None, exchanges, symbols
    )
    run_export(table, out, file_format, selection, partitioned=partitioned)


@main.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--exchange", metavar="NAME", help="Of which exchange the rates are.")
@click.option(
    "--market", metavar="NAME", help="Of which market, in the exchange's own spelling: of all rows."
)
@click.option(
    "--map", "mapping", metavar="NAME=COLUMN,...", help="What the columns are; see above."
)
@click.option(
    "--complete",
    is_flag=True,
    help="No settlement is missing between the first and the last of each market: count these "
    "spans as collected, so that nobody asks for them again.",
)
def import_(
    source: Path, exchange: str | None, market: str | None, mapping: str | None, complete: bool
) -> None:
    """Add settlements that were recorded elsewhere, derive, publish.

    SOURCE is recognised by itself: a folder of `funding export --partitioned`; funding_rates as a
    single Parquet, CSV or Feather file; funding files of freqtrade (one, or a folder; with
    --exchange); an SQLite file with lighter_funding_v2 or unified_v3; any other table with --map.

    Imported rows pass the checks of collected ones and are marked source = 'import'. What the
    exchange itself sent is never changed by them; where the two differ, events tell. Anything else
    is as with a collection: the same again changes nothing.

    --map names, for each thing, the column: market, time (the end of the paid period), rate
    (positive: longs pay); and the units, which are not guessed: unit (fraction, percent, x18 per
    interval, or annual_fraction) and time_unit (s, ms, us, ns, iso). Optional: exchange,
    mark_price, interval_hours (a column, or a number for all), direction (a column with long or
    short, who pays, where the rate has no sign).

    \b
    Example: funding import rates/
             funding import user_data/data/bybit/futures --exchange bybit
             funding import old.csv --exchange kucoin \\
                 --map market=coin,time=ts,rate=funding,unit=percent,time_unit=ms
    """
    from funding_pipeline.cli.imports import run_import

    code = run_import(source, exchange=exchange, market=market, mapping=mapping, complete=complete)
    click.get_current_context().exit(code)
