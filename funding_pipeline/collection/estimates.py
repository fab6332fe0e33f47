"""Sampling running estimates of all markets, shortly before each hour.

Belongs here: asking every exchange once and storing what it answers. Does not: settled history.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from funding_pipeline.collection.access import http_client, origins, tls_context
from funding_pipeline.collection.budget import Priority, budget_of
from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.records import Estimate, Market
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.assets import settle_assets
from funding_pipeline.warehouse.breakers import not_closed
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.estimates import record_estimates
from funding_pipeline.warehouse.ledger import claim_origin
from funding_pipeline.warehouse.markets import known_markets, record_markets

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SampleReport:
    """One exchange's sample: markets stored, requests made, seconds; `error` when it failed, or was
    not asked because it is left alone after failures.
    """

    exchange: str
    markets: int
    requests: int
    seconds: float
    error: str | None = None
    asked: bool = True


def sample_estimates(
    exchanges: Iterable[Exchange], settings: Settings, database: Database
) -> list[SampleReport]:
    """Ask side by side all exchanges that have a call for all markets; one that fails is reported
    and stops no other. One that is left alone after failures is not asked, nor tried.

    MixedOriginError before anything is asked if the database holds data of the other origin.
    """
    with database.open() as connection:
        claim_origin(connection, "sandbox" if settings.sandbox_url else "live")
        alone = not_closed(connection)
    sampled = [exchange for exchange in exchanges if exchange.spec.samples_estimates]

    async def all_of_them() -> list[SampleReport]:
        tls = tls_context(settings)
        tasks = [
            _sample(exchange, settings, database, tls)
            for exchange in sampled
            if exchange.spec.name not in alone
        ]
        return await asyncio.gather(*tasks)

    reports = asyncio.run(all_of_them())
    # When all are in, since prices are compared with those of the same minutes.
    with database.open() as connection:
        settle_assets(connection, utc_now())
    left = [e.spec.name for e in sampled if e.spec.name in alone]
    reports += [SampleReport(name, 0, 0, 0.0, f"{name}: {alone[name]}", False) for name in left]
    return reports


async def _sample(
    exchange: Exchange, settings: Settings, database: Database, tls: ssl.SSLContext | bool
) -> SampleReport:
    name = exchange.spec.name
    started = time.monotonic()
    budget = budget_of(exchange.spec, settings, Priority.TICK)
    http = http_client(exchange, settings, tls)
    client = ExchangeClient(http, exchange, budget, origins(exchange, settings))
    stored, error = 0, None
    try:
        # In threads: to wait for the database must not keep the others from sampling in time.
        new = await asyncio.to_thread(_is_new, database, name)
        listed = await client.run(exchange.markets()) if new else []
        estimates = await client.run(exchange.estimates())
        stored = await asyncio.to_thread(_store, database, name, listed, estimates, utc_now())
    except ExchangeError as failed:
        error = str(failed)
        logger.warning("no estimates: %s", error)
    except Exception as unexpected:
        # A defect or a full disk: loud here, but the other exchanges go on.
        error = f"{name}: {type(unexpected).__name__}: {unexpected}"
        logger.exception("no estimates: %s", error)
    finally:
        budget.close()
        await http.aclose()
    return SampleReport(name, stored, client.traffic.requests, time.monotonic() - started, error)


def _is_new(database: Database, exchange: str) -> bool:
    with database.open() as connection:
        return not known_markets(connection, exchange)


def _store(
    database: Database,
    exchange: str,
    listed: Sequence[Market],
    estimates: Sequence[Estimate],
    observed_at: datetime,
) -> int:
    with database.open() as connection:
        if listed:
            record_markets(connection, exchange, listed, observed_at)
        return record_estimates(connection, exchange, estimates, observed_at)
