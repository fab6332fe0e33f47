"""Decoding answers: bytes to typed wire records, with the exchange named in every error.

Belongs here: what all parsers share. Does not: the shape of any exchange's answer.
"""

import math
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from funding_pipeline.domain.errors import MalformedResponseError

T = TypeVar("T")


def decode(body: bytes, decoder: msgspec.json.Decoder[T], exchange: str, endpoint: str) -> T:
    """The decoded answer; MalformedResponseError with the offending field's path otherwise."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at ")
        raise MalformedResponseError(exchange, endpoint, detail, path.strip("`") or "$") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedResponseError(
            exchange, endpoint, f"no JSON: {error}; begins {body[:60]!r}"
        ) from error


def number(text: str, exchange: str, endpoint: str, field: str) -> float:
    """A finite number from text; MalformedResponseError on "", "NaN" and the like."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MalformedResponseError(exchange, endpoint, f"no finite number: {text!r}", field)
    return value


def optional_number(text: str | None) -> float | None:
    """A finite number, or None where the exchange sends none for side information (null, "")."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def digits(raw: msgspec.Raw, exchange: str, endpoint: str, field: str) -> str:
    """A JSON number's own digits, for rates that are sent as numbers and not as text."""
    text = bytes(raw).decode()
    if not text or text[0] not in "-0123456789":
        raise MalformedResponseError(exchange, endpoint, f"no number: {text[:60]}", field)
    return text


def iso_ms(text: str, exchange: str, endpoint: str, field: str) -> int:
    """An ISO 8601 time as UTC milliseconds; without an offset it is taken as UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedResponseError(exchange, endpoint, f"no time: {text!r}", field) from error
    return round(time.replace(tzinfo=time.tzinfo or UTC).timestamp() * 1000)


def notional(base_units: float | None, price: float | None) -> float | None:
    """Value of base units in quote currency; None where either is not sent."""
    return None if base_units is None or price is None else base_units * price
