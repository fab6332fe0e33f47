"""`funding alerts`: what is wrong, what was told of it, and whether the channels work.

Belongs here: the command and how it looks. Does not: what is told and when (alerts).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import click

SHOWN = 10


@click.command()
@click.option(
    "--dry-run", is_flag=True, help="Show what would be told now; send and store nothing."
)
@click.option("--test", is_flag=True, help="Send a test message to every channel.")
def alerts(dry_run: bool, test: bool) -> None:
    """What is wrong now, and what was told lately.

    Whom to tell is set by FUNDING_ALERT_URLS, addresses as Apprise writes them (tgram://TOKEN/CHAT,
    slack://…, discord://…, mailto://…, json://HOST), apart by commas. While `dagster dev` runs, the
    sensor `alerts` looks once a minute: what is new is told at once, what lasts again after
    FUNDING_ALERT_COOL_DOWN_HOURS (6), and what is over when it has been gone for ten minutes.
    Check results are known as of the sensor's last look. Ends with 1 where --test failed with a
    channel.

    \b
    Example: funding alerts --test
    """
    if dry_run and test:
        raise click.UsageError("--dry-run sends nothing, --test does: choose one")
    if test:
        click.get_current_context().exit(_run_test())
    for line in _told_now() if dry_run else _open_and_sent():
        click.echo(line)


def _run_test() -> int:
    from funding_pipeline.alerts.channels import channels, send
    from funding_pipeline.alerts.message import Message
    from funding_pipeline.settings import Settings

    chosen = channels(Settings().alert_urls)
    if not chosen:
        raise click.UsageError("there is no channel: FUNDING_ALERT_URLS is not set")
    message = Message(
        "Funding rates: a test", "Alerts of the funding pipeline will arrive here.", "test"
    )
    failed = 0
    for channel in chosen:
        error = send(channel, message)
        failed += error is not None
        click.echo(f"{channel.name}: {error or 'works'}")
    return 1 if failed else 0


def _told_now() -> Iterator[str]:
    from funding_pipeline.alerts.channels import channels
    from funding_pipeline.alerts.look import preview
    from funding_pipeline.exchanges.registry import select
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse.database import Database, utc_now

    settings = Settings()
    if not settings.history_path.exists():
        yield f"Nothing is collected yet: there is no {settings.history_path}."
        return
    now = utc_now()
    found, drafts = preview(
        Database(settings),
        channels(settings.alert_urls),
        timedelta(hours=settings.alert_cool_down_hours),
        exchanges=[exchange.spec.name for exchange in select(settings)],
        now=now,
    )
    if not settings.alert_urls:
        yield "Nobody would be told: FUNDING_ALERT_URLS is not set."
    elif not drafts:
        yield "Nothing new: no channel would be told anything."
    for draft in drafts:
        yield f"{draft.channel.name}: {draft.message.title}"
        yield from (f"  {line}" for line in draft.message.body.splitlines())
    yield ""
    yield f"{sum(alert.lasts for alert in found)} findings now."


def _open_and_sent() -> Iterator[str]:
    from funding_pipeline.alerts.state import read_alerts, read_sent
    from funding_pipeline.settings import Settings
    from funding_pipeline.warehouse.database import Database

    settings = Settings()
    if not settings.history_path.exists():
        yield f"Nothing is collected yet: there is no {settings.history_path}."
        return
    with Database(settings).open() as connection:
        lasting = [alert for alert in read_alerts(connection) if not alert.closed]
        sent = read_sent(connection, SHOWN)
    yield f"{len(lasting)} open at the last look of the sensor"
    for alert in lasting:
        finding = alert.finding
        words = f"{finding.title}, {finding.detail}" if finding.detail else finding.title
        told = ", ".join(sorted(alert.told)) or "nobody"
        yield (
            f"  {finding.severity}  {finding.exchange}: {words}; since {_moment(alert.opened)}, "
            f"told: {told}" + ("; gone, waiting whether it stays so" if alert.missing_since else "")
        )
    yield ""
    yield f"Sent lately{'' if sent else ': nothing'}"
    for message in sent:
        yield f"  {_moment(message.sent)}  {message.channel}  {message.title}"
        yield from (f"    {line}" for line in message.body.splitlines())


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
