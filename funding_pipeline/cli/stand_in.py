"""The command that serves the exchanges' wire formats on this machine.

Belongs here: its options and help. Does not: the server (`sandbox.server`).
"""

from pathlib import Path

import click

SANDBOX_PORT = 8900


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
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
