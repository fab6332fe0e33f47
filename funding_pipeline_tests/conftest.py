"""What all tests share: a clean environment, a data folder, the recorded test input."""

import os
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database

SHARED = Path(__file__).resolve().parents[2] / "shared"

hypothesis_settings.register_profile("default", deadline=None)
hypothesis_settings.load_profile("default")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("FUNDING_", "DAGSTER_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty data folder."""
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def database(settings: Settings) -> Database:
    """The history database of the empty data folder."""
    return Database(settings)


def _test_input(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"recorded test input is not here: no folder {name} beside the checkout")
    return folder


@pytest.fixture(scope="session")
def recorded_dir() -> Path:
    """Recorded rates as Parquet, `<exchange>.parquet`."""
    return _test_input("recorded")


@pytest.fixture(scope="session")
def responses_dir() -> Path:
    """Recorded responses as JSON, `<exchange>/<name>.json`, the answer under `response`."""
    return _test_input("responses")
