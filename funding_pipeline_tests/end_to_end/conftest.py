"""The sandbox on recorded data, and one month collected twice, shared by all tests here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.end_to_end.support import collect, ms, sandbox_settings

EXCHANGES = ("hyperliquid", "bybit")


@dataclass(frozen=True, slots=True)
class Month:
    """A month collected, collected again, and what the sandbox counted each time."""

    settings: Settings
    window: Window
    first: dict[str, LoadReport]
    again: dict[str, LoadReport]
    first_requests: dict[str, Any]
    again_requests: dict[str, Any]


@pytest.fixture(scope="session")
def recorded_world(recorded_dir: Path) -> Dataset:
    return load_dataset(recorded_dir)


@pytest.fixture(scope="session")
def recorded_url(recorded_world: Dataset) -> Iterator[str]:
    """A sandbox on all recorded data, without limits."""
    with running_sandbox(recorded_world, limits=False) as url:
        yield url


@pytest.fixture(scope="session")
def may_2025(recorded_url: str, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Both exchanges, 2025-05-01 to 2025-05-31, collected twice and published."""
    settings = sandbox_settings(tmp_path_factory.mktemp("may") / "data", recorded_url)
    window = Window(ms(2025, 5, 1), ms(2025, 6, 1))
    httpx.post(f"{recorded_url}/_requests/reset")
    first = collect(settings, window, EXCHANGES)
    first_requests = httpx.get(f"{recorded_url}/_requests").json()
    httpx.post(f"{recorded_url}/_requests/reset")
    again = collect(settings, window, EXCHANGES)
    again_requests = httpx.get(f"{recorded_url}/_requests").json()
    publish(Database(settings))
    return Month(settings, window, first, again, first_requests, again_requests)
