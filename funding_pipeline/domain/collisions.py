"""Tickers that mean several assets: told apart by asset class and price, and kept apart.

Belongs here: which markets of one symbol trade the same thing, and the key (`asset`) that joins
them. Does not: where prices come from, storing keys (warehouse.assets).

The key of a symbol's first known meaning is the symbol itself. A further meaning is the symbol with
its declared class, `SPX (index)`, or where nothing is declared with a number, `BOB#2`. A key is
never given to another meaning and never renamed, whatever becomes larger later: among meanings that
are found at the same time the plain symbol goes to declared crypto, then to the one with more
markets, then to the cheaper one. Two keys never become one by price, since prices of different
assets may cross; a correction can do it. A market that prices have told changes its key only when
it contradicts the others for a whole day. What nothing tells has no key, and joins nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

# Prices of one asset on different exchanges lay within 1.5 % of each other in each of 736 recorded
# hours of symbols on eight exchanges; the meanings of CAT, SPX, BB and BOB are apart by 500 and
# more. 2 leaves room for thin markets, and is less than any wrong multiplier.
FACTOR = 2.0
# Where a ticker is known to have several meanings they may lie close: on 2026-07-04 the token QNT
# cost 68.94 and the share 76.79.
AMBIGUOUS_FACTOR = 1.05

# Exchanges file one fund under shares or indices, and gold under metals or currencies. Shares and
# commodities stay apart: CL is Colgate-Palmolive and crude oil, at similar prices.
_FAMILIES = {
    "crypto": "crypto",
    "equity": "shares",
    "index": "shares",
    "fx": "macro",
    "commodity": "macro",
}

By = Literal["name", "class", "price", "correction"]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A market of the symbol in question. `unit_price`: in dollars for one unit of the symbol, None
    where it is not known now. `asset`: the key that it has, and `by` what told that. `doubted`: it
    has contradicted the others of its key for a day.
    """

    market_id: int
    asset_class: str | None = None
    unit_price: float | None = None
    asset: str | None = None
    by: By | None = None
    doubted: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """The key of a market, what told it, and whether the price now contradicts it."""

    market_id: int
    asset: str | None
    by: By
    contradicts: bool = False


class Parting(msgspec.Struct, frozen=True):
    """A further meaning that was found, and the market that showed it."""

    asset: str
    market_id: int


def groups(quotes: Iterable[Quote], factor: float = FACTOR) -> list[list[Quote]]:
    """Priced markets by what they trade, whatever order they come in: prices within a factor of
    each other, classes that can be one. Where classes part equal prices, those without a class are
    a group of their own, since nothing tells to which they belong.
    """
    priced = [(q.unit_price, q.market_id, q) for q in quotes if q.unit_price is not None]
    ordered = sorted(priced, key=lambda one: one[:2])
    clusters = [ordered] if ordered else []
    found: list[list[Quote]] = []
    while clusters:
        cluster = clusters.pop()
        prices = [price for price, _, _ in cluster]
        if prices[-1] <= factor * prices[0]:
            found += _by_class([quote for _, _, quote in cluster])
            continue
        ratios = [high / low for low, high in pairwise(prices)]
        cut = ratios.index(max(ratios)) + 1
        clusters += [cluster[cut:], cluster[:cut]]
    return found


def _by_class(cluster: Sequence[Quote]) -> list[list[Quote]]:
    if _compatible(_families(cluster)):
        return [list(cluster)]
    parts: dict[frozenset[str], list[Quote]] = {}
    for quote in cluster:
        parts.setdefault(frozenset(_families([quote])), []).append(quote)
    return list(parts.values())


def settle(
    symbol: str,
    quotes: Collection[Quote],
    *,
    taken: Collection[str] = (),
    ambiguous: bool = False,
) -> tuple[list[Verdict], list[Parting]]:
    """The keys of all markets of a symbol, in order of market_id, and meanings found just now.

    `taken`: keys given before, also those that no market has any more. `ambiguous`: the ticker
    alone tells nothing.
    """
    return _Settling(symbol, quotes, taken, ambiguous).result()


class _Settling:
    """One decision about one symbol; `_held` is the key of each market as decided so far."""

    def __init__(
        self, symbol: str, quotes: Iterable[Quote], taken: Collection[str], ambiguous: bool
    ) -> None:
        self._symbol = symbol
        self._quotes = sorted(quotes, key=lambda quote: quote.market_id)
        self._taken = {*taken, *(q.asset for q in self._quotes if q.asset)}
        self._ambiguous = ambiguous
        self._factor = AMBIGUOUS_FACTOR if ambiguous else FACTOR
        self._groups = groups(self._quotes, self._factor)
        self._home: dict[str, int] = {}  # the group in which a key is at home
        self._held: dict[int, str | None] = {q.market_id: q.asset for q in self._quotes}
        self._verdicts: dict[int, Verdict] = {}
        self._partings: list[Parting] = []

    def result(self) -> tuple[list[Verdict], list[Parting]]:
        self._find_homes()
        for index, group in enumerate(self._groups):
            self._keep_the_told(index, group)
        for index, group in sorted(enumerate(self._groups), key=lambda one: _precedence(one[1])):
            self._decide_by_price(index, group)
        for quote in sorted(self._quotes, key=lambda one: _precedence([one])):
            if quote.market_id not in self._verdicts:
                self._decide_without_price(quote)
        return [self._verdicts[q.market_id] for q in self._quotes], self._partings

    def _find_homes(self) -> None:
        """A key is at home where most of its told markets are; then where the oldest one is."""
        best: dict[str, tuple[int, int]] = {}
        for index, group in enumerate(self._groups):
            told = [q for q in group if _told(q)]
            for key in {q.asset for q in told if q.asset}:
                members = [q.market_id for q in told if q.asset == key]
                rank = (len(members), -min(members))
                if key not in best or rank > best[key]:
                    best[key], self._home[key] = rank, index

    def _keep_the_told(self, index: int, group: Sequence[Quote]) -> None:
        for quote in group:
            if quote.asset and quote.by and _told(quote):
                away = self._home[quote.asset] != index and quote.by != "correction"
                self._give(quote, quote.asset, quote.by, contradicts=away)

    def _decide_by_price(self, index: int, group: Sequence[Quote]) -> None:
        """The markets of a group that nothing has told yet."""
        undecided = [q for q in group if q.market_id not in self._verdicts]
        possible = [key for key, home in self._home.items() if home == index]
        if not possible and not self._between(index, group):
            possible = self._silent(group)
            if not possible:
                possible = [self._new(group)] if undecided else []
        if len(possible) == 1:
            self._home[possible[0]] = index
        for quote in undecided:
            if len(possible) == 1:
                self._give(quote, possible[0], "price")
            else:
                self._give(quote, quote.asset if quote.asset in possible else None, "name")

    def _between(self, index: int, group: Sequence[Quote]) -> bool:
        """Whether a group without a class has the price of groups that have one."""
        near = [
            other
            for i, other in enumerate(self._groups)
            if i != index and len(groups([*group, *other], self._factor)) == 1
        ]
        return len(near) > 1

    def _silent(self, group: Sequence[Quote]) -> list[str]:
        """Keys without any price now that the group may have: its own first."""
        family = _families(group)
        inside = {q.market_id for q in group}
        silent = [
            key
            for key in self._keys()
            if key not in self._home
            and _compatible(
                family | _families(q for q in self._holders(key) if q.market_id not in inside)
            )
        ]
        own = [key for key in silent if any(q.asset == key for q in group)]
        return own or silent

    def _decide_without_price(self, quote: Quote) -> None:
        if quote.asset and quote.by in ("price", "correction"):
            self._give(quote, quote.asset, quote.by)
            return
        family = _families([quote])
        keys = self._keys()
        possible = [k for k in keys if _compatible(family | _families(self._holders(k)))]
        declared = [k for k in possible if family & _families(self._holders(k))]
        if len(keys) > 1 and len(declared) == 1:
            self._give(quote, declared[0], "class")
        elif not possible and (family or not self._ambiguous):
            self._give(quote, self._new([quote]), "class" if keys else "name")
        elif len(possible) == 1 and (declared or not self._ambiguous):
            self._give(quote, possible[0], "name")
        else:
            self._give(quote, None, "name")

    def _give(self, quote: Quote, asset: str | None, by: By, *, contradicts: bool = False) -> None:
        self._held[quote.market_id] = asset
        self._verdicts[quote.market_id] = Verdict(quote.market_id, asset, by, contradicts)

    def _keys(self) -> list[str]:
        return sorted({key for key in self._held.values() if key})

    def _holders(self, key: str) -> list[Quote]:
        return [q for q in self._quotes if self._held[q.market_id] == key]

    def _new(self, group: Sequence[Quote]) -> str:
        classes = sorted({q.asset_class for q in group if q.asset_class})
        names = [self._symbol, *(f"{self._symbol} ({name})" for name in classes)]
        names += [f"{self._symbol}#{number}" for number in range(2, len(self._taken) + 3)]
        key = next(name for name in names if name not in self._taken)
        if self._taken:
            self._partings.append(Parting(key, min(q.market_id for q in group)))
        self._taken.add(key)
        return key


def _told(quote: Quote) -> bool:
    return quote.by == "correction" or (quote.by == "price" and not quote.doubted)


def _families(quotes: Iterable[Quote]) -> set[str]:
    return {_FAMILIES.get(q.asset_class, q.asset_class) for q in quotes if q.asset_class}


def _compatible(families: set[str]) -> bool:
    return len(families) <= 1


def _precedence(group: Sequence[Quote]) -> tuple[bool, bool, int, float, int]:
    """Declared crypto, then any declared class, then more markets, then the cheaper one."""
    families = _families(group)
    price = min((q.unit_price for q in group if q.unit_price is not None), default=0.0)
    ids = min(q.market_id for q in group)
    return ("crypto" not in families, not families, -len(group), price, ids)
