"""`funding repair`: find every gap, ask again for the open ones, derive, publish, say what is left.

Belongs here: the order of these steps, what a person is told, the exit code. Does not: which gaps
there are (warehouse.gaps), asking (collection). Imported only when a repair runs: it is heavy.
"""

from collections.abc import Sequence

import click

from funding_pipeline.cli.backfill import derive_and_publish, open_once
from funding_pipeline.cli.progress import display
from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import TICK_REACH_MS, Job, kept_since
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.exchanges.registry import select
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, milliseconds, transaction, utc_now
from funding_pipeline.warehouse.gaps import refresh, rescan
from funding_pipeline.warehouse.ledger import MixedOriginError
from funding_pipeline.warehouse.repairs import Due, ask_again, due

COMPLETE, INCOMPLETE = 0, 1


def run_repair(exchanges: Sequence[str], *, retry_given_up: bool) -> int:
    """The exit code: 1 where some exchange could not be asked in full."""
    settings = Settings()
    try:
        chosen = select(settings, exchanges)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    database = Database(settings)
    names = [exchange.spec.name for exchange in chosen]
    with display(limited=settings.budget_dir is not None) as out:
        open_once(database, out)
        with database.open() as connection:
            with transaction(connection):
                rescan(connection, now=utc_now())
            if retry_given_up:
                reopened = ask_again(connection, names, now=utc_now())
                out.say(f"{reopened:,} gaps that were given up are asked for again")
        wanted = _due(chosen, database)
        for name, gaps in wanted.gaps.items():
            out.say(f"{name}: {gaps:,} open gaps, {wanted.missing[name]:,} settlements missing")
        asked = [exchange for exchange in chosen if exchange.spec.name in wanted.holes]
        outcomes = []
        if asked:
            job = Job("repair", wanted.window(), insist=bool(exchanges), holes=wanted.holes)
            now_ms = milliseconds(utc_now())
            try:
                for report in collect_each(
                    asked, job, settings, database, now_ms=now_ms, progress=out
                ):
                    outcomes.append(report.outcome)
                    out.finished(report)
            except MixedOriginError as error:
                raise click.UsageError(str(error)) from None
        else:
            out.say("no open gap can be asked for")
    with database.open() as connection, transaction(connection):
        refresh(connection, now=utc_now(), markets=())
    derive_and_publish(database)
    for line in _left(database, names):
        click.echo(line)
    return COMPLETE if all(outcome == "complete" for outcome in outcomes) else INCOMPLETE


def _due(chosen: Sequence[Exchange], database: Database) -> Due:
    now = utc_now()
    specs = [exchange.spec for exchange in chosen if exchange.spec.kind == "settled"]
    with database.open() as connection:
        return due(
            connection,
            kept_since={spec.name: kept_since(spec, milliseconds(now)) for spec in specs},
            tick_reach_ms=TICK_REACH_MS,
            now=now,
            everything=True,
        )


def _left(database: Database, names: Sequence[str]) -> list[str]:
    with database.open() as connection:
        rows = connection.execute(
            """SELECT exchange, state, reason, count(*), sum(missing) FROM gaps
            WHERE state IN ('open', 'given up')
              AND exchange IN (SELECT unnest(CAST(? AS VARCHAR[])))
            GROUP BY ALL ORDER BY exchange, state, reason""",
            [list(names)],
        ).fetchall()
    if not rows:
        return ["nothing is missing"]
    return [
        f"{exchange}: {gaps:,} gaps {state}, {missing:,} settlements missing: {reason}"
        for exchange, state, reason, gaps, missing in rows
    ]
