"""What can happen on the way to an exchange, over real sockets: TLS, tunnels, broken answers."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from funding_pipeline.collection.access import http_client, tls_context
from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.domain.errors import TransientError
from funding_pipeline.settings import Settings
from funding_pipeline_tests.collection.fakes import REQUEST, CountingBudget, FakeExchange

FINE = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"fine": true}'

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback that does this with every connection; its port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request of a connection."""
    while await reader.readline():
        while (await reader.readline()).strip():
            pass
        writer.write(FINE)
        await writer.drain()


def at_once(answer: bytes) -> Behaviour:
    """Answers so and closes the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return behave


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Breaks the connection off without a good-bye."""
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
    )
    writer.transport.abort()


BROKEN: dict[str, Behaviour] = {
    "closed without an answer": at_once(b""),
    "reset": reset,
    "no HTTP": at_once(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "cut headers": at_once(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut body": at_once(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"fine"'),
    "broken chunks": at_once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "broken compression": at_once(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nplain"
    ),
    "endless header": at_once(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n{}"),
}


async def asked(origin: str, times: int = 1, attempts: int = 2) -> bytes:
    """The body of the last of so many answers."""
    settings = Settings()
    exchange = FakeExchange()
    async with http_client(exchange, settings, tls_context(settings)) as http:
        client = ExchangeClient(
            http, exchange, CountingBudget(), {"": origin}, back_off=lambda _: 0.0
        )
        return [await client.send(REQUEST, attempts) for _ in range(times)][-1]


@pytest.mark.parametrize("behave", BROKEN.values(), ids=BROKEN.keys())
def test_whatever_breaks_is_transient(behave: Behaviour) -> None:
    async def meet() -> None:
        async with serving(behave) as port:
            await asked(f"http://127.0.0.1:{port}")

    with pytest.raises(TransientError, match=r"127\.0\.0\.1: \w+: \S"):
        asyncio.run(meet())


def test_a_connection_is_kept_and_its_silent_end_heals() -> None:
    connections = []

    async def three_times(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(FINE)
            await writer.drain()

    async def meet() -> bytes:
        async with serving(three_times) as port:
            return await asked(f"http://127.0.0.1:{port}", times=6)

    assert asyncio.run(meet()) == b'{"fine": true}'
    assert len(connections) == 2


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A certificate authority that the environment trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


def secured(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def test_certificates_are_checked(authority: trustme.CA) -> None:
    async def meet(context: ssl.SSLContext) -> bytes:
        async with serving(fine, context) as port:
            return await asked(f"https://127.0.0.1:{port}")

    assert asyncio.run(meet(secured(authority, "127.0.0.1"))) == b'{"fine": true}'
    for forged in (secured(authority, "other.invalid"), secured(trustme.CA(), "127.0.0.1")):
        with pytest.raises(TransientError, match=r"127\.0\.0\.1.*[Cc]ertificate"):
            asyncio.run(meet(forged))


class Tunnel:
    """A proxy that leads every CONNECT to one port and keeps what it was told."""

    def __init__(self, port: int) -> None:
        self.told: list[str] = []
        self._port = port

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.told.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back, there = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_pipe(reader, there), _pipe(back, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


# httpx-aiohttp 0.2 asks for aiohttp 3, and hands passwords over in a way that 4 will not know.
@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'proxy_auth' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("variable", ["FUNDING_MADEUP_PROXY", "HTTPS_PROXY"])
def test_tls_through_a_proxy_with_a_password(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async def meet() -> Tunnel:
        async with serving(fine, secured(authority, "exchange.invalid")) as port:
            tunnel = Tunnel(port)
            async with serving(tunnel) as proxy:
                monkeypatch.setenv(variable, f"http://me:secret@127.0.0.1:{proxy}")
                assert await asked("https://exchange.invalid") == b'{"fine": true}'
        return tunnel

    (told,) = asyncio.run(meet()).told
    assert told.startswith("CONNECT exchange.invalid:443 HTTP/1.1")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:secret').decode()}" in told


def test_no_proxy_for_what_the_environment_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    async def meet() -> bytes:
        async with serving(fine) as port:
            return await asked(f"http://127.0.0.1:{port}")

    assert asyncio.run(meet()) == b'{"fine": true}'


def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(TransientError, match=r"exchange\.invalid: ClientConnectorDNSError"):
        asyncio.run(asked("https://exchange.invalid", attempts=1))
