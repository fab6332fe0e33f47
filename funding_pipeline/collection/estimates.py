"""Sampling running estimates of all markets, shortly before each hour.

Belongs here: asking every exchange once and storing what it answers. Does not: settled history.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from funding_pipeline.collection.budget import Priority, budget_of
from funding_pipeline.collection.client import ExchangeClient, origins
from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.estimates import record_estimates
from funding_pipeline.warehouse.markets import known_markets, record_markets

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SampleReport:
    """One exchange's sample: markets stored, requests made, seconds; `error` when it failed."""

    exchange: str
    markets: int
    requests: int
    seconds: float
    error: str | None = None


def sample_estimates(
    exchanges: Iterable[Exchange], settings: Settings, database: Database
) -> list[SampleReport]:
    """Ask all exchanges side by side; one that fails is reported and stops no other."""

    async def all_of_them() -> list[SampleReport]:
        async with httpx.AsyncClient() as http:
            tasks = [_sample(exchange, settings, database, http) for exchange in exchanges]
            return await asyncio.gather(*tasks)

    return asyncio.run(all_of_them())


async def _sample(
    exchange: Exchange, settings: Settings, database: Database, http: httpx.AsyncClient
) -> SampleReport:
    name = exchange.spec.name
    started = time.monotonic()
    budget = budget_of(exchange.spec, settings, Priority.TICK)
    client = ExchangeClient(http, exchange, budget, origins(exchange, settings))
    stored, error = 0, None
    try:
        with database.open() as connection:
            new = not known_markets(connection, name)
        listed = await client.run(exchange.markets()) if new else []
        estimates = await client.run(exchange.estimates())
        observed_at = utc_now()
        with database.open() as connection:
            if new:
                record_markets(connection, name, listed, observed_at)
            stored = record_estimates(connection, name, estimates, observed_at)
    except ExchangeError as failed:
        error = str(failed)
        logger.warning("no estimates: %s", error)
    finally:
        budget.close()
    return SampleReport(name, stored, client.traffic.requests, time.monotonic() - started, error)
