"""`funding backfill`: drive the engine, derive, publish, tell Dagster, and say what happened.

Belongs here: the order of these steps, what a person is told, the exit code. Does not: collecting
(collection), SQL (warehouse), the options (cli). Imported only when a backfill runs: it is heavy.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import click

from funding_pipeline.cli.days import days_in_words, window_of
from funding_pipeline.cli.failures import explanation
from funding_pipeline.cli.progress import Lines, display
from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.exchanges.registry import select
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, milliseconds, utc_now
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.ledger import MixedOriginError
from funding_pipeline.warehouse.markets import known_markets
from funding_pipeline.warehouse.publish import publish

COMPLETE, INCOMPLETE, BAD_USAGE = 0, 1, 2
_PATIENCE_S = 3.0
_SUGGESTIONS = 5


def run_backfill(
    *,
    days: int | None,
    first: date | None,
    last: date | None,
    exchanges: Sequence[str],
    markets: Sequence[str],
) -> int:
    """The exit code. Bad usage that shows before anything was asked is a UsageError."""
    settings = Settings()
    window = window_of(days, first, last, today=utc_now().date())
    chosen = _chosen(exchanges, settings)
    database = Database(settings)
    with display(limited=settings.budget_dir is not None) as out, _engine_log(out):
        open_once(database, out)
        names = ", ".join(exchange.spec.name for exchange in chosen)
        out.say(f"backfill of {days_in_words(window)}, both included, UTC: {names}")
        job = Job("backfill", window, frozenset(markets), insist=bool(exchanges))
        now_ms = milliseconds(utc_now())
        reports = []
        try:
            for report in collect_each(
                chosen, job, settings, database, now_ms=now_ms, progress=out
            ):
                reports.append(report)
                out.finished(report)
        except MixedOriginError as error:
            raise click.UsageError(str(error)) from None
    derive_and_publish(database)
    if not markets:
        _report_to_dagster(reports, window)
    return _verdict(reports, database)


def _chosen(names: Sequence[str], settings: Settings) -> list[Exchange]:
    try:
        return select(settings, names)
    except ValueError as error:
        source = "--exchange" if names else "FUNDING_EXCHANGES"
        raise click.UsageError(f"{source}: {error}") from None


def open_once(database: Database, out: Lines) -> None:
    """Find out before any request whether the database can be written at all."""
    told = threading.Timer(
        _PATIENCE_S, out.say, [f"waiting: another process is writing to {database.path}"]
    )
    told.daemon = True
    told.start()
    try:
        with database.open():
            pass
    except RuntimeError as error:  # written by a newer version
        raise click.ClickException(str(error)) from None
    finally:
        told.cancel()


def derive_and_publish(database: Database) -> None:
    """Bring everybody's data up to date with what was merged, and say so."""
    derivation = derive(database, now=utc_now())
    for hold in derivation.held:
        click.echo(
            f"HELD: {hold.exchange} is left out, {hold.mistake}: {hold.detail}. "
            f"See `funding release --help`.",
            err=True,
        )
    if derivation.markets:
        click.echo(
            f"derived {derivation.daily_rows:,} daily and {derivation.average_rows:,} average rows "
            f"of {derivation.markets:,} markets, {derivation.seconds:.1f} s"
        )
    else:
        click.echo("derived: nothing had changed")
    publication = publish(database)
    click.echo(
        f"published {publication.size_bytes / 1e6:,.1f} MB; read it with: "
        f"duckdb -readonly {publication.path}"
    )


def _report_to_dagster(reports: Sequence[LoadReport], window: Window) -> None:
    """Let the asset graph show what was collected here. The data are safe whatever happens.

    Not for single markets: a partition of the graph stands for all markets of its exchange.
    """
    if not os.environ.get("DAGSTER_HOME"):
        return
    try:
        from funding_pipeline.defs.report import report_backfill

        told = report_backfill(reports, window)
    except Exception as error:  # noqa: BLE001 - a foreign system: anything may come
        click.echo(f"warning: Dagster was not told: {type(error).__name__}: {error}", err=True)
    else:
        click.echo(f"told Dagster of {told:,} collected days, counted per exchange")


def _verdict(reports: Sequence[LoadReport], database: Database) -> int:
    """A market is unknown when every asked exchange gave its list and none has it."""
    unknown = frozenset.intersection(*(frozenset(report.unknown_markets) for report in reports))
    for market in sorted(unknown):
        similar = _similar(market, [report.exchange for report in reports], database)
        hint = f"; there is {', '.join(similar)}" if similar else ""
        click.echo(f"Error: no asked exchange has a market {market}{hint}", err=True)
    if unknown:
        return BAD_USAGE
    complete = all(report.outcome == "complete" for report in reports)
    return COMPLETE if complete else INCOMPLETE


def _similar(market: str, exchanges: Sequence[str], database: Database) -> list[str]:
    with database.open() as connection:
        known = [m for exchange in exchanges for m in known_markets(connection, exchange)]
    found = sorted({m for m in known if market.lower() in m.lower()}, key=lambda m: (len(m), m))
    return found[:_SUGGESTIONS]


@contextmanager
def _engine_log(out: Lines) -> Iterator[None]:
    """The engine's warnings among the progress lines, without breaking a bar."""
    handler = _SayingHandler(out)
    logger = logging.getLogger("funding_pipeline")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _SayingHandler(logging.Handler):
    """A traceback only where it helps: not for a full disk or a lock."""

    def __init__(self, out: Lines) -> None:
        super().__init__(logging.WARNING)
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        words = explanation(error) if error else None
        if words:
            self._out.say(f"{record.getMessage()}: {words}")
        else:
            self._out.say(self.format(record))
