"""What a market trades, and since when: the rule proposes, a checked-in file decides.

Belongs here: identities with their dates, and what corrections make of them. Does not: the form of
corrections, storing identities (warehouse.registry), prices (domain.collisions).

An identity says which unified symbol a native market stands for, and how many units of it. It
never touches settlements: these stay with their native market, whatever it is called.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from itertools import pairwise
from typing import Any, Literal

import msgspec

from funding_pipeline.domain.corrections import Correction, Corrections
from funding_pipeline.domain.records import Market

Source = Literal["rule", "correction"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a native market trades within [valid_from, valid_to): naive UTC, None is open.

    `predecessor` is a native symbol of the same exchange, `predecessor_symbol` a unified one that
    the exchange's list has to find; at most one of them is set.
    """

    symbol: str
    multiplier: int
    quote: str
    settle: str
    asset_class: str | None = None
    asset: str | None = None
    predecessor: str | None = None
    predecessor_symbol: str | None = None
    predecessor_ratio: float | None = None
    renamed_on: date | None = None
    source: Source = "rule"
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def succeeding(self, predecessor: str | None) -> "Identity":
        """The same with its predecessor found in the list, or with none where there is none."""
        return msgspec.structs.replace(
            self,
            predecessor=predecessor,
            predecessor_symbol=None,
            predecessor_ratio=self.predecessor_ratio if predecessor else None,
        )


def propose(market: Market) -> Identity:
    """What the list and the rule say of a market, without dates."""
    return Identity(
        symbol=market.symbol,
        multiplier=market.multiplier,
        quote=market.quote,
        settle=market.settle,
        asset_class=market.asset_class,
    )


def observed(history: Sequence[Identity], proposed: Identity, now: datetime) -> list[Identity]:
    """Proposals up to now: a change ends the newest one and begins another.

    What was before the first sight is taken to have been the same. An asset class that is told for
    the first time, or no longer, is no change of the market: what is known stays known.
    """
    if not history:
        return [proposed]
    last = history[-1]
    told = proposed.asset_class or last.asset_class if proposed.symbol == last.symbol else None
    new = msgspec.structs.replace(
        proposed, asset_class=told or proposed.asset_class, valid_from=last.valid_from
    )
    if new == last:
        return list(history)
    if new == msgspec.structs.replace(last, asset_class=last.asset_class or new.asset_class):
        return [*history[:-1], new]
    return [
        *history[:-1],
        msgspec.structs.replace(last, valid_to=now),
        msgspec.structs.replace(new, valid_from=now),
    ]


def resolve(
    exchange: str, market: str, proposals: Sequence[Identity], corrections: Corrections
) -> list[Identity]:
    """A market's dated identities: its proposals, cut at the dates of the corrections that apply
    and changed by them; a particular one beats a general one. Equal neighbours are one.
    """
    found: list[Identity] = []
    for proposal in proposals:
        applying = corrections.applying(exchange, market, proposal.symbol)
        for piece in _pieces(proposal, applying):
            identity = _corrected(piece, applying)
            if found and _same_but_dates(found[-1], identity):
                identity = msgspec.structs.replace(identity, valid_from=found.pop().valid_from)
            found.append(identity)
    return found


def at(identities: Sequence[Identity], moment: datetime) -> Identity:
    """The identity that holds at a moment."""
    return next(i for i in identities if i.valid_to is None or moment < i.valid_to)


def _pieces(proposal: Identity, applying: Sequence[Correction]) -> list[Identity]:
    cuts = {
        datetime.combine(day, time())
        for entry in applying
        for day in (entry.start, entry.to)
        if day
    }
    inside = sorted(
        cut
        for cut in cuts
        if (proposal.valid_from is None or cut > proposal.valid_from)
        and (proposal.valid_to is None or cut < proposal.valid_to)
    )
    edges = [proposal.valid_from, *inside, proposal.valid_to]
    return [
        msgspec.structs.replace(proposal, valid_from=start, valid_to=end)
        for start, end in pairwise(edges)
    ]


def _corrected(piece: Identity, applying: Sequence[Correction]) -> Identity:
    changes: dict[str, Any] = {}
    for entry in applying:
        if not _covers(entry, piece):
            continue
        decided = {
            "symbol": entry.symbol,
            "multiplier": entry.multiplier,
            "asset_class": entry.asset_class,
            "asset": entry.asset,
        }
        changes |= {name: value for name, value in decided.items() if value is not None}
        if entry.predecessor:
            changes |= {
                "predecessor": entry.predecessor if entry.market else None,
                "predecessor_symbol": entry.predecessor if entry.base else None,
                "predecessor_ratio": entry.ratio,
                "renamed_on": entry.on,
            }
    corrected = msgspec.structs.replace(piece, **changes)
    return (
        corrected if corrected == piece else msgspec.structs.replace(corrected, source="correction")
    )


def _covers(entry: Correction, piece: Identity) -> bool:
    """Pieces are cut at every date, so that an entry covers one as a whole or not at all."""
    after_start = entry.start is None or (
        piece.valid_from is not None and piece.valid_from >= datetime.combine(entry.start, time())
    )
    before_end = entry.to is None or (
        piece.valid_to is not None and piece.valid_to <= datetime.combine(entry.to, time())
    )
    return after_start and before_end


def _same_but_dates(one: Identity, other: Identity) -> bool:
    return one == msgspec.structs.replace(other, valid_from=one.valid_from, valid_to=one.valid_to)
