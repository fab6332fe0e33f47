"""Corrections of what markets trade: typed entries, parsed from TOML text.

Belongs here: the form of an entry, and errors that name the one that is wrong. Does not: reading
the file (warehouse.registry), what becomes of a market under its corrections (domain.identity).
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

import msgspec

AssetClass = Literal["crypto", "equity", "index", "fx", "commodity"]

_DECIDED = ("symbol", "multiplier", "asset_class", "asset", "predecessor", "ambiguous")


class CorrectionError(ValueError):
    """The file of corrections is wrong; the message names the entry."""


class Correction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: which markets it means, what it decides of them, and why.

    It means one native `market` of an `exchange`, or every market whose proposed symbol is `base`,
    on one exchange or on all. `start` (in the file: from) and `to` bound symbol, multiplier and
    asset class, [start, to) in UTC days. A market has one predecessor at any time: a native symbol
    beside `market`, a unified one beside `base`; `ratio` units of this market's symbol replaced one
    of the predecessor's, `on` that day. `asset` fixes the key that joins markets. `ambiguous`: the
    ticker has several meanings, and alone tells nothing.
    """

    why: str
    exchange: str | None = None
    market: str | None = None
    base: str | None = None
    symbol: str | None = None
    multiplier: int | None = None
    asset_class: AssetClass | None = None
    asset: str | None = None
    predecessor: str | None = None
    ratio: float = 1.0
    on: date | None = None
    ambiguous: bool = False
    start: date | None = msgspec.field(default=None, name="from")
    to: date | None = None

    def __str__(self) -> str:
        what = f"market {self.market}" if self.market else f"base {self.base}"
        return f"{self.exchange or 'all exchanges'}, {what}"


class Corrections(msgspec.Struct, frozen=True):
    """All entries by what they mean, each list from the general to the particular."""

    entries: tuple[Correction, ...] = ()
    by_market: Mapping[tuple[str, str], tuple[Correction, ...]] = msgspec.field(
        default_factory=dict
    )
    by_base: Mapping[tuple[str | None, str], tuple[Correction, ...]] = msgspec.field(
        default_factory=dict
    )
    ambiguous: frozenset[str] = frozenset()

    def applying(self, exchange: str, market: str, base: str) -> tuple[Correction, ...]:
        """Entries that mean this market; what comes later wins."""
        return (
            *self.by_base.get((None, base), ()),
            *self.by_base.get((exchange, base), ()),
            *self.by_market.get((exchange, market), ()),
        )


def parse(text: str) -> Corrections:
    """Corrections from TOML text; CorrectionError names the entry that is wrong."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CorrectionError(f"corrections: {error}") from None
    raw = document.pop("correction", [])
    if document or not isinstance(raw, list):
        raise CorrectionError("corrections: only [[correction]] entries belong here")
    entries = tuple(_entry(number, one) for number, one in enumerate(raw, start=1))
    by_market: dict[tuple[str, str], tuple[Correction, ...]] = {}
    by_base: dict[tuple[str | None, str], tuple[Correction, ...]] = {}
    for entry in entries:
        if entry.exchange and entry.market:
            key = (entry.exchange, entry.market)
            _refuse_contradiction(by_market.get(key, ()), entry)
            by_market[key] = (*by_market.get(key, ()), entry)
        elif entry.base:
            general = (entry.exchange, entry.base)
            _refuse_contradiction(by_base.get(general, ()), entry)
            by_base[general] = (*by_base.get(general, ()), entry)
    ambiguous = frozenset(entry.base for entry in entries if entry.ambiguous and entry.base)
    return Corrections(entries, by_market, by_base, ambiguous)


def _entry(number: int, raw: Any) -> Correction:
    place = f"corrections, entry {number}"
    try:
        entry = msgspec.convert(raw, Correction)
    except msgspec.ValidationError as error:
        named = [str(raw[k]) for k in ("exchange", "market", "base") if k in raw]
        raise CorrectionError(f"{place} ({', '.join(named) or 'nameless'}): {error}") from None
    if problem := _problem(entry):
        raise CorrectionError(f"{place} ({entry}): {problem}")
    return entry


def _problem(entry: Correction) -> str | None:
    """What is wrong with an entry whose types are right."""
    if not entry.why.strip():
        return "`why` is empty"
    if bool(entry.market) == bool(entry.base):
        return "needs either `market` or `base`"
    if entry.market and not entry.exchange:
        return "a native `market` needs its `exchange`"
    if not any(getattr(entry, name) for name in _DECIDED):
        return f"decides nothing: give one of {', '.join(_DECIDED)}"
    if entry.multiplier is not None and entry.multiplier < 1:
        return "`multiplier` must be at least 1"
    if entry.ratio <= 0:
        return "`ratio` must be positive"
    if entry.start and entry.to and entry.start >= entry.to:
        return "`from` is not before `to`"
    if not entry.predecessor and (entry.ratio != 1 or entry.on):
        return "`ratio` and `on` need a `predecessor`"
    if entry.predecessor and entry.predecessor in (entry.market, entry.base):
        return "is its own predecessor"
    if (entry.predecessor or entry.ambiguous or entry.asset) and (entry.start or entry.to):
        return "`from` and `to` bound symbol, multiplier and asset class only"
    if entry.asset and not entry.market:
        return "`asset` is decided market by market"
    if entry.ambiguous and not (entry.base and entry.exchange is None):
        return "`ambiguous` is said of a `base`, for all exchanges"
    return None


def _refuse_contradiction(before: Sequence[Correction], entry: Correction) -> None:
    for other in before:
        twice = [name for name in _DECIDED if getattr(entry, name) and getattr(other, name)]
        apart = (entry.to and other.start and entry.to <= other.start) or (
            other.to and entry.start and other.to <= entry.start
        )
        if twice and not apart:
            raise CorrectionError(f"corrections ({entry}): {', '.join(twice)} decided twice")
