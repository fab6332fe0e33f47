"""The commands that bring data in: backfill, repair, import, verify.

Belongs here: their options and help. Does not: the work (`cli.backfill`, `cli.repair`,
`cli.imports`, `cli.verify`), imported when a command runs.
"""

from datetime import datetime
from pathlib import Path

import click

DAY = click.DateTime(["%Y-%m-%d"])
_EXCHANGES = click.option(
    "--exchange",
    "exchanges",
    multiple=True,
    metavar="NAME",
    help="Only this exchange; may be repeated.  [default: $FUNDING_EXCHANGES, else all]",
)


@click.command()
@click.option(
    "--days",
    type=click.IntRange(min=1),
    help="The last N full days plus today so far.  [default: 30]",
)
@click.option("--from", "first", type=DAY, metavar="DATE", help="First day, YYYY-MM-DD.")
@click.option("--to", "last", type=DAY, metavar="DATE", help="Last day, included. [default: today]")
@_EXCHANGES
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


@click.command()
@_EXCHANGES
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


@click.command("import")
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


@click.command()
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
