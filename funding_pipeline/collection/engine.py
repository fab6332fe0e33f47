"""Collecting from several exchanges side by side; a failing one stops no other.

Belongs here: the two entrances, asynchronous and not. Does not: one exchange's load (load).
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack

from funding_pipeline.collection.access import http_client, tls_context
from funding_pipeline.collection.load import Load
from funding_pipeline.collection.planning import Job
from funding_pipeline.collection.report import LoadReport, Progress
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.breakers import permits
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.ledger import claim_origin


async def collect(
    exchanges: Iterable[Exchange],
    job: Job,
    settings: Settings,
    database: Database,
    *,
    now_ms: int,
    progress: Progress | None = None,
) -> AsyncGenerator[LoadReport]:
    """Collect a job from several exchanges at once; yields each one's report as it ends. Those that
    are left alone after failures (warehouse.breakers) are reported as skipped.

    MixedOriginError before anything is asked if the database holds data of the other origin.
    """
    chosen = {exchange.spec.name: exchange for exchange in exchanges}
    with database.open() as connection:
        claim_origin(connection, "sandbox" if settings.sandbox_url else "live")
        permitted = permits(connection, chosen, timestamp(now_ms), insist=job.insist)
    for name, permit in permitted.items():
        if permit.refused:
            yield LoadReport(name, job.window, outcome="skipped", error=permit.refused)
    tls = tls_context(settings)
    async with AsyncExitStack() as stack:
        tasks = []
        for name, exchange in chosen.items():
            if permitted[name].refused:
                continue
            http = await stack.enter_async_context(http_client(exchange, settings, tls))
            load = Load(
                exchange,
                job,
                settings,
                database,
                http,
                now_ms,
                progress or Progress(),
                trying=permitted[name].trying,
            )
            tasks.append(asyncio.create_task(load.run()))
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def collect_each(
    exchanges: Iterable[Exchange],
    job: Job,
    settings: Settings,
    database: Database,
    *,
    now_ms: int,
    progress: Progress | None = None,
) -> Iterator[LoadReport]:
    """`collect` for callers that are not asynchronous."""
    reports = collect(exchanges, job, settings, database, now_ms=now_ms, progress=progress)
    with asyncio.Runner() as runner:
        try:
            while True:
                yield runner.run(_next(reports))
        except StopAsyncIteration:
            pass
        finally:
            runner.run(reports.aclose())


async def _next(reports: AsyncGenerator[LoadReport]) -> LoadReport:
    return await anext(reports)
