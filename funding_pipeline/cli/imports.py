"""`funding import`: open the source, merge it, derive, publish, and say what happened.

Belongs here: the order of these steps, what a person is told, the exit code. Does not: formats
(imports), what an import may change (warehouse.imports), the options (cli).
"""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from funding_pipeline.cli.backfill import derive_and_publish, open_once
from funding_pipeline.cli.progress import Lines
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.imports.base import Source, SourceError, UsageError
from funding_pipeline.imports.sources import Options, open_source
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, milliseconds, utc_now
from funding_pipeline.warehouse.imports import ImportReport, import_source
from funding_pipeline.warehouse.ledger import MixedOriginError, Origin
from funding_pipeline.warehouse.unlisted import known_identities

COMPLETE, NOTHING = 0, 1
_NAMED = 5
# Intervals change, and then some rows overlap; where more do, the interval told is wrong.
_TIGHT_SHARE = 0.05


def run_import(
    path: Path, *, exchange: str | None, market: str | None, mapping: str | None, complete: bool
) -> int:
    """The exit code: 1 where nothing of the source could be stored."""
    settings = Settings()
    specs = {name: each.spec for name, each in EXCHANGES.items()}
    if exchange is not None and exchange not in specs:
        raise click.UsageError(f"unknown exchange {exchange}; known: {', '.join(specs)}")
    database = Database(settings)
    open_once(database, Lines(limited=False))
    try:
        options = Options(partial(known_identities, database), exchange, market, mapping)
        source = open_source(path, options)
        origin = _origin(source, settings)
        _announce(path, source, specs)
        reports = []
        for report in import_source(
            database,
            source,
            specs,
            origin=origin,
            complete=complete,
            place=str(path),
            now_ms=milliseconds(utc_now()),
        ):
            reports.append(report)
            _tell(report)
    except (UsageError, MixedOriginError) as error:
        raise click.UsageError(str(error)) from None
    except SourceError as error:
        raise click.ClickException(str(error)) from None
    derive_and_publish(database)
    stored = sum(report.read - report.counts.quarantined for report in reports)
    return COMPLETE if stored > 0 else NOTHING


def _origin(source: Source, settings: Settings) -> Origin:
    """What the source tells of itself counts; else it is taken to be of the kind collected here."""
    if source.origin == "live":
        return "live"
    if source.origin == "sandbox":
        return "sandbox"
    if source.origin is not None:
        raise SourceError(f"its data are of an unknown origin: {source.origin}")
    return "sandbox" if settings.sandbox_url else "live"


def _announce(path: Path, source: Source, specs: Mapping[str, object]) -> None:
    rows: Counter[str] = Counter()
    left_out = Counter(source.left_out)
    for portion in source.portions:
        if portion.exchange in specs:
            rows[portion.exchange] += portion.size
        else:
            left_out[f"{portion.exchange}: no exchange that this version knows"] += portion.size
    for reason, count in left_out.items():
        click.echo(f"left out: {count:,} rows, {reason}")
    if not rows:
        raise SourceError(f"{path}: nothing in it can be imported")
    held = ", ".join(f"{exchange} {count:,}" for exchange, count in rows.items())
    click.echo(f"import of {path}, {source.name}; rows: {held}")


def _tell(report: ImportReport) -> None:
    counts = report.counts
    click.echo(
        f"{report.exchange}: {counts.new:,} new, {counts.changed:,} changed, "
        f"{counts.unchanged:,} as they were, {counts.quarantined:,} quarantined; "
        f"{report.confirmed:,} as the exchange sent them"
    )
    if report.differing:
        click.echo(
            f"{report.exchange}: {report.differing:,} settlements of "
            f"{len(report.differences):,} markets differ from what the exchange sent, which stays; "
            f"see events of load {report.load_id}"
        )
    if names := report.new_markets:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        click.echo(
            f"{report.exchange}: {len(names):,} markets were unknown: "
            f"{', '.join(names[:_NAMED])}{more}"
        )
    if report.tight > _TIGHT_SHARE * report.read:
        click.echo(
            f"warning: {report.exchange}: {report.tight:,} of {report.read:,} rows settle a longer "
            "time than has passed since the row before them; is interval_hours right?",
            err=True,
        )
