"""A network that is a dictionary, and settings that lead into it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from funding_pipeline.settings import Settings
from funding_pipeline_tests.collection.fakes import Answer


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What each host answers, by exchange name; a host that is not in it refuses connections."""
    hosts: dict[str, Answer] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        served = hosts.get(request.url.path.split("/")[1])
        if served is None:
            raise httpx.ConnectError("All connection attempts failed")
        return served(request)

    def mocked(**_: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(answer))

    monkeypatch.setattr("httpx_aiohttp.HttpxAiohttpClient", mocked)
    return hosts


@pytest.fixture
def sandboxed(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, sandbox_url="http://mock.invalid", limits=False)
