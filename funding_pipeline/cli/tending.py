"""The commands that decide about what the guards have set aside: release.

Belongs here: their options and help, what a person is told. Does not: what is held, and why
(warehouse.holds). Everything heavy is imported when a command runs.
"""

import click


@click.command()
@click.argument("exchange", required=False)
@click.option("--note", metavar="TEXT", help="Why its rates are right; kept with the hold.")
def release(exchange: str | None, note: str | None) -> None:
    """Let a held exchange back into the tables; without EXCHANGE, tell what is held and why.

    An exchange is held when its rates cannot be right: 100 times those of all others, say, or with
    the sign mirrored. It is collected and stored as before, but left out of all derived tables,
    views and exports. Look first (its settlements are in history.duckdb), correct the cause, fetch
    the days again, then release. What was looked at does not hold it again; later settlements can.

    \b
    Example: funding release bybit --note "0.03 % per 8 h is what it charges"
    """
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse import holds
    from funding_pipeline.warehouse.database import Database, transaction, utc_now

    database = Database(Settings())
    if exchange is None:
        with database.open() as connection:
            found = holds.held(connection)
        for hold in found:
            click.echo(f"{hold.exchange}: held since {hold.held_at:%Y-%m-%d %H:%M} UTC")
            click.echo(f"  {hold.mistake}: {hold.detail}")
        if not found:
            click.echo("nothing is held")
        return
    with database.open() as connection, transaction(connection):
        released = holds.release(connection, exchange, note=note, now=utc_now())
    if not released:
        raise click.UsageError(f"{exchange} is not held")
    for hold in released:
        click.echo(f"{exchange}: released ({hold.mistake})")

    from funding_pipeline.cli.backfill import derive_and_publish

    derive_and_publish(database)
