"""`funding export`: to which file or folder, in which format, and what a person is told.

Belongs here: the options' rules and the last words. Does not: the writing (warehouse.export,
warehouse.dataset).
"""

from pathlib import Path

import click

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.export import ExportError, Selection, export_table
from funding_pipeline.warehouse.status import naive_utc_now

_BY_NAME = {".csv": "csv", ".feather": "feather"}


def run_export(
    table: str, out: Path, file_format: str | None, selection: Selection, *, partitioned: bool
) -> None:
    """Write, and say what was written. UsageError where the options do not fit."""
    settings = Settings()
    if out.resolve().parent == settings.data_dir.resolve() and out.suffix == ".duckdb":
        raise click.UsageError(f"{out} is a database of the pipeline; choose another file")
    if partitioned and file_format not in (None, "parquet"):
        raise click.UsageError(f"--partitioned writes Parquet, not {file_format}")
    if out.is_dir() and not partitioned:
        raise click.UsageError(f"{out} is a folder; name a file, or add --partitioned")
    try:
        if partitioned:
            _export_dataset(settings, table, out, selection)
            return
        file_format = file_format or _BY_NAME.get(out.suffix.lower(), "parquet")
        rows = export_table(settings.read_path, table, out, file_format, selection)
    except ExportError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{rows:,} rows of {table} written to {out}")


def _export_dataset(settings: Settings, table: str, out: Path, selection: Selection) -> None:
    from funding_pipeline.warehouse.dataset import export_dataset

    written = export_dataset(settings.read_path, table, out, selection, now=naive_utc_now())
    each = f", {written.bytes / written.rows:.1f} bytes a row" if written.rows else ""
    click.echo(
        f"{written.rows:,} rows of {table} written to {out} and read back: "
        f"{written.files:,} files, {written.bytes / 1e6:,.1f} MB{each}"
    )
