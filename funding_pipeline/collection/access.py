"""How an exchange is reached from here: its hosts, a proxy, TLS, and what may break on the way.

Belongs here: what the settings say about the way. Does not: requests (client), what is asked.

httpx speaks, aiohttp carries (docs/adr/0008). It is imported where somebody is asked: a derivation
asks nobody, and the import takes a tenth of a second.
"""

import ssl

import httpx

from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.settings import Settings

USER_AGENT = "funding-pipeline"


def origins(exchange: Exchange, settings: Settings) -> dict[str, str]:
    """Where an exchange is asked: its own hosts, another one chosen for it, or the sandbox's folder
    of that name.
    """
    spec = exchange.spec
    if settings.sandbox_url is None:
        chosen = settings.of_exchange("ORIGIN").get(spec.name)
        return {**spec.origins, **({"": chosen.rstrip("/")} if chosen else {})}
    base = f"{settings.sandbox_url.rstrip('/')}/{spec.name}"
    return {name: f"{base}/{name}" if name else base for name in spec.origins}


def tls_context(settings: Settings) -> ssl.SSLContext | bool:
    """What clients trust; False for the sandbox, which speaks plain HTTP. Making it takes longer
    than a client does: share it.
    """
    return settings.sandbox_url is None and httpx.create_ssl_context()


def http_client(
    exchange: Exchange, settings: Settings, tls: ssl.SSLContext | bool
) -> httpx.AsyncClient:
    """A client that goes through the exchange's own proxy, or through the environment's; straight
    to the sandbox. `tls`: of `tls_context`, for all clients together.
    """
    from httpx_aiohttp import HttpxAiohttpClient

    sandboxed = settings.sandbox_url is not None
    return HttpxAiohttpClient(
        verify=tls,
        proxy=None if sandboxed else settings.of_exchange("PROXY").get(exchange.spec.name),
        trust_env=not sandboxed,
        headers={"User-Agent": USER_AGENT},
    )


def broken_ways() -> tuple[type[Exception], ...]:
    """What is raised where no answer comes through. Not all errors of aiohttp become httpx's."""
    import aiohttp

    return httpx.TransportError, httpx.DecodingError, aiohttp.ClientError
