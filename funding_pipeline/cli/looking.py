"""The commands that look at what is there and take it away: status, coverage, exchanges, export.

Belongs here: their options and help. Does not: the work, imported when a command runs.
"""

import json
from datetime import datetime
from pathlib import Path

import click

from funding_pipeline.cli.collecting import DAY


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts: fractions, seconds, UTC times.")
def status(as_json: bool) -> None:
    """Whether all is well, how fresh and how complete the published data are.

    Reads the published read.duckdb only and never waits for a writer; what happened since the
    publication does not show. Overdue: live markets whose next settlement should be here, an hour
    of grace given. Coverage: see the note below the table. Ends with 0 where all is well and with 1
    where something is not: nothing published for two hours, or an exchange that is late, failing,
    down, geo-blocked, held, left alone after failures or was never collected. So it serves as a
    health check.

    \b
    Example: funding status --json
    """
    from funding_pipeline.cli.text import as_plain, status_lines
    from funding_pipeline.exchanges.registry import select
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse.status import naive_utc_now, read_status
    from funding_pipeline.warehouse.verdict import reasons

    settings = Settings()
    path = settings.read_path
    now = naive_utc_now()
    chosen = [exchange.spec.name for exchange in select(settings)]
    found = read_status(path, chosen, now=now)
    wrong = reasons(found, chosen)
    if as_json:
        click.echo(json.dumps(as_plain(found, wrong), indent=2))
    else:
        for line in status_lines(found, wrong, path, now):
            click.echo(line)
    click.get_current_context().exit(1 if wrong else 0)


@click.command()
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


@click.command()
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


@click.command()
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
@click.option("--from", "first", type=DAY, metavar="DATE", help="First day, YYYY-MM-DD.")
@click.option("--to", "last", type=DAY, metavar="DATE", help="Last day, included.")
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
