"""The command line `funding`: the group that its commands belong to.

Belongs here: which commands there are, and the surroundings they all run in. Does not: options and
help (`collecting`, `looking`, `quarantine`, `tending`, `alerts`, `stand_in`), the work, how it
looks (`text`).

Everything heavy is imported inside the commands, so that `funding status` answers at once.
"""

from typing import Any

import click

from funding_pipeline.cli import alerts, collecting, looking, quarantine, stand_in, tending
from funding_pipeline.cli.failures import plain_failures
from funding_pipeline.cli.surroundings import env_file


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


for command in (
    collecting.backfill,
    collecting.repair,
    collecting.import_,
    collecting.verify,
    looking.status,
    looking.coverage,
    looking.exchanges,
    looking.export,
    tending.release,
    quarantine.quarantine,
    alerts.alerts,
    stand_in.sandbox,
):
    main.add_command(command)
