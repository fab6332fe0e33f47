"""Releasing and dropping quarantined rows: ask, decide, derive, publish, say what happened.

Belongs here: the order of these steps and their words. Imported only when a decision is made: it
is heavy. Does not: options (cli.quarantine), the work (warehouse).
"""

from collections.abc import Sequence

import click

from funding_pipeline.cli.backfill import derive_and_publish
from funding_pipeline.cli.quarantine import DONE, NOT_ALL
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, transaction, utc_now
from funding_pipeline.warehouse.gaps import refresh
from funding_pipeline.warehouse.quarantine import Choice, Row, resolve, rows_of
from funding_pipeline.warehouse.release import release

_SHOWN = 10


def release_rows(choice: Choice, *, ask: bool) -> int:
    """The exit code: 1 where a chosen row cannot be a settlement."""
    database = Database(Settings())
    chosen = _chosen(database, choice, "release", ask=ask)
    if not chosen:
        return DONE
    refused = []
    for name in sorted({row.exchange for row in chosen}):
        own = [row for row in chosen if row.exchange == name]
        if name not in EXCHANGES:
            refused += [(row, "this version does not know the exchange") for row in own]
            continue
        with database.open() as connection:
            found = release(connection, EXCHANGES[name].spec, own, utc_now())
        refused += found.refused
        click.echo(
            f"{name}: {len(found.rows):,} rows released: {found.counts.new:,} new settlements, "
            f"{found.counts.changed:,} changed"
        )
    with database.open() as connection, transaction(connection):
        refresh(connection, now=utc_now(), markets=())
    for row, why in refused[:_SHOWN]:
        click.echo(f"not released: {_words(row)}: {why}")
    if len(refused) > _SHOWN:
        click.echo(f"and {len(refused) - _SHOWN:,} more that cannot be released")
    derive_and_publish(database)
    return NOT_ALL if refused else DONE


def drop_rows(choice: Choice, *, ask: bool) -> int:
    """The exit code."""
    database = Database(Settings())
    chosen = _chosen(database, choice, "drop", ask=ask)
    if chosen:
        with database.open() as connection, transaction(connection):
            resolve(connection, "dropped", chosen, utc_now())
        click.echo(f"{len(chosen):,} rows dropped")
        derive_and_publish(database)
    return DONE


def _chosen(database: Database, choice: Choice, verb: str, *, ask: bool) -> Sequence[Row]:
    """From the database itself: what was published may be decided already."""
    with database.open() as connection:
        chosen = rows_of(connection, choice)
    if not chosen:
        click.echo("no such row is in quarantine")
        return []
    for row in chosen[:_SHOWN]:
        click.echo(_words(row))
    if len(chosen) > _SHOWN:
        click.echo(f"and {len(chosen) - _SHOWN:,} more")
    if ask:
        click.confirm(f"{verb} {len(chosen):,} rows?", abort=True)
    return chosen


def _words(row: Row) -> str:
    return f"{row.exchange} {row.market} {row.stamp} {row.raw_rate} ({row.reason})"
