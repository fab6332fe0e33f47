"""A sandbox with invented markets, and a temporary Dagster instance on an empty data folder."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from funding_pipeline.definitions import defs
from funding_pipeline.sandbox.faults import FaultPlan, parse_faults
from funding_pipeline.sandbox.server import load_dataset, running_sandbox


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no rate budget (it counts only with a sandbox).

    Two exchanges, so that a new one in the registry changes no test here.
    """
    monkeypatch.setenv("FUNDING_EXCHANGES", "hyperliquid,bybit")
    monkeypatch.setenv("FUNDING_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FUNDING_LIMITS", "off")
    return tmp_path / "data"


@pytest.fixture
def sandbox(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Five markets per exchange."""
    with running_sandbox(load_dataset(None, markets=5)) as url:
        monkeypatch.setenv("FUNDING_SANDBOX_URL", url)
        yield url


@pytest.fixture
def bybit_down(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same, but bybit answers with a geo-block page."""
    faults = FaultPlan(parse_faults('[{"kind": "geo_block", "exchange": "bybit"}]'))
    with running_sandbox(load_dataset(None, markets=5), faults=faults) as url:
        monkeypatch.setenv("FUNDING_SANDBOX_URL", url)
        yield url


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as temporary:
        yield temporary


@pytest.fixture
def definitions(data_dir: Path, instance: dg.DagsterInstance) -> dg.Definitions:
    """Loading looks at the current instance, hence it must be there."""
    return defs()
