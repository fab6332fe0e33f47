"""Refusals that an exchange tells in the answer's body and not by its status.

Belongs here: the reading that exchanges with a code in every answer share. Does not: the codes of
one exchange, statuses and web pages (the client reads those).
"""

from collections.abc import Container
from functools import cache
from typing import Any

import msgspec

from funding_pipeline.domain.errors import (
    ExchangeError,
    GeoBlockedError,
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.exchanges.base import ExchangeSpec, Request

_ANY = msgspec.json.Decoder()


def coded(
    spec: ExchangeSpec,
    request: Request,
    status: int,
    body: bytes,
    *,
    code: str,
    text: str,
    good: Container[str],
    too_often: Container[str] = (),
    blocked: Container[str] = (),
) -> ExchangeError | None:
    """The error that an object's field `code` tells, compared as text, with its `text`.

    None where it is good, and where the body is no whole object: a page, or cut short, is for the
    client to judge. An object of status 200 without the code is malformed.
    """
    body = body.strip()
    if not (body.startswith(b"{") and body.endswith(b"}")) or status >= 500:
        return None
    try:
        found: Any = _code(code).decode(body).code
    except msgspec.DecodeError:
        return None
    if found is None or isinstance(found, list | dict):
        if status != 200:
            return None
        raise MalformedResponseError(spec.name, request.endpoint, "no status code", f"$.{code}")
    told = str(found)
    if told in good:
        return None
    detail = f"{code} {told}: {_ANY.decode(body).get(text)}"
    if told in too_often or status == 429:
        return RateLimitedError(spec.name, request.endpoint, detail)
    if told in blocked:
        return GeoBlockedError(spec.name, request.endpoint, detail)
    return PermanentError(spec.name, request.endpoint, detail)


@cache
def _code(field: str) -> msgspec.json.Decoder[Any]:
    """Reads the one field and skips the rest, which may be a year of settlements."""
    found = ("code", Any, msgspec.field(default=None, name=field))
    return msgspec.json.Decoder(msgspec.defstruct("Coded", [found]))
