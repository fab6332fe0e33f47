"""Whether all is well, for a person at a glance and for a health check.

Belongs here: what counts as wrong, over a status that was read. Does not: reading it (status), how
it looks (cli.text). Imports nothing heavy.

A few failing markets (`partial`) or single overdue ones are no reason: they are seen in the table,
asked again within the hour, and an alarm that is always on warns of nothing.
"""

from collections.abc import Collection
from datetime import timedelta

from funding_pipeline.warehouse.status import ExchangeStatus, Status

# Published are estimates every hour and whatever was collected: later than this nothing runs.
PUBLISHED_AT_LEAST = timedelta(hours=2)
FINE = {"ok", "partial"}


def reasons(status: Status, chosen: Collection[str]) -> list[str]:
    """What is wrong, a line each; nothing where all is well. Exchanges that are in the database
    but not among the chosen ones are not looked at.
    """
    if status.age_s is None:
        return ["nothing is published yet"]
    found = []
    if status.age_s > PUBLISHED_AT_LEAST.total_seconds():
        hours = status.age_s / 3600
        found.append(f"published {hours:.1f} hours ago: nothing seems to run")
    judged = [exchange for exchange in status.exchanges if exchange.name in chosen]
    return found + [_reason(exchange) for exchange in judged if exchange.status not in FINE]


def _reason(exchange: ExchangeStatus) -> str:
    text = f"{exchange.name}: {exchange.status}"
    if exchange.status == "late":
        return (
            f"{text}: {exchange.markets_stale:,} of {exchange.markets_live:,} markets are overdue"
        )
    if exchange.retry_at is not None:
        text += f", tried again after {exchange.retry_at:%Y-%m-%d %H:%M} UTC"
    return f"{text}: {exchange.last_error}" if exchange.last_error else text
