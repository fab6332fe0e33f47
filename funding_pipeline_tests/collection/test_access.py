"""How exchanges are reached: hosts, proxies, User-Agent."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from funding_pipeline.collection.access import USER_AGENT, http_client, origins, tls_context
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.settings import Settings
from funding_pipeline_tests.collection.fakes import FakeExchange


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES.keys())
def test_the_sandbox_replaces_the_origin_and_nothing_else(exchange: Exchange) -> None:
    own = origins(exchange, Settings())
    assert own == dict(exchange.spec.origins)
    there = origins(exchange, Settings(sandbox_url="http://127.0.0.1:1/"))
    assert there[""] == f"http://127.0.0.1:1/{exchange.spec.name}"
    assert there.keys() == own.keys()


def test_another_host_for_one_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_BYBIT_ORIGIN", "https://api.bytick.com/")
    assert origins(EXCHANGES["bybit"], Settings()) == {"": "https://api.bytick.com"}
    assert origins(EXCHANGES["binance"], Settings()) == dict(EXCHANGES["binance"].spec.origins)
    sandboxed = Settings(sandbox_url="http://127.0.0.1:1")
    assert origins(EXCHANGES["bybit"], sandboxed) == {"": "http://127.0.0.1:1/bybit"}


class OneAnswer:
    """A server that keeps what it is asked and answers {}."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                self.asked.append(client.recv(65536).decode())
                client.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                )

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[OneAnswer]:
    serving = OneAnswer()
    try:
        yield serving
    finally:
        serving.close()


def asked_of(exchange: Exchange, settings: Settings, url: str) -> None:
    async def ask() -> None:
        async with http_client(exchange, settings, tls_context(settings)) as http:
            assert (await http.get(url)).text == "{}"

    asyncio.run(ask())


def test_one_exchange_goes_through_its_proxy(
    server: OneAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNDING_MADEUP_PROXY", server.url)
    asked_of(FakeExchange(), Settings(), "http://exchange.invalid/markets")
    assert server.asked[0].startswith("GET http://exchange.invalid/markets HTTP/1.1")
    assert f"User-Agent: {USER_AGENT}".lower() in server.asked[0].lower()


def test_the_environments_proxy_holds_for_all_but_the_sandbox(
    server: OneAnswer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    asked_of(FakeExchange(), Settings(), "http://exchange.invalid/markets")
    assert server.asked[0].startswith("GET http://exchange.invalid/markets")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    asked_of(FakeExchange(), Settings(sandbox_url=server.url), f"{server.url}/madeup/markets")
    assert server.asked[1].startswith("GET /madeup/markets")
