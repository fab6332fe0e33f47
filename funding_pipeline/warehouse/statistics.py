"""The statistics behind the daily figures and averages: in which order they are brought up to date.

Belongs here: the list, and that one of them that breaks stops no other. Does not: what each of them
is (their own modules), when a derivation runs.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import duckdb

from funding_pipeline.warehouse import asset_averages, gaps, related, seasonality, spreads
from funding_pipeline.warehouse.database import Database, transaction

logger = logging.getLogger(__name__)


class Refresh(Protocol):
    """Brings one part up to date inside the caller's transaction; returns the rows written."""

    def __call__(
        self, connection: duckdb.DuckDBPyConnection, *, now: datetime, markets: Sequence[int]
    ) -> int: ...


PARTS: dict[str, Refresh] = {
    "gaps": gaps.refresh,
    "asset_averages": asset_averages.refresh,
    "spreads": spreads.refresh,
    "seasonality": seasonality.refresh,
    "rate_correlations": related.refresh,
}


def refresh_statistics(
    database: Database,
    *,
    now: datetime,
    markets: Sequence[int],
    told: Callable[[str, int, float], None],
) -> dict[str, str]:
    """Refresh every part, each in a transaction of its own; returns what broke, by part.

    `markets` are those whose settlements changed, `told` gets part, rows written and seconds. What
    breaks keeps its rows of before; the next derivation tries again.
    """
    broken: dict[str, str] = {}
    for name, refresh in PARTS.items():
        started = time.monotonic()
        try:
            with database.open() as connection, transaction(connection):
                rows = refresh(connection, now=now, markets=markets)
        except Exception as error:
            logger.exception("%s could not be brought up to date", name)
            broken[name] = f"{type(error).__name__}: {error}"
        else:
            told(name, rows, time.monotonic() - started)
    return broken
