"""The made-up exchanges, published once for all tests that only read."""

import shutil
from pathlib import Path

import pytest

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.client.made_up import store


@pytest.fixture(scope="session")
def made_up_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made_up")
    store(Database(Settings(data_dir=folder)))
    return folder


@pytest.fixture
def published(made_up_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, in force."""
    monkeypatch.setenv("FUNDING_DATA_DIR", str(made_up_dir))
    return made_up_dir


@pytest.fixture
def own(made_up_dir: Path, database: Database) -> Database:
    """A copy that a test may write to."""
    shutil.copytree(made_up_dir, database.path.parent)
    return database
