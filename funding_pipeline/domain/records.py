"""The records that flow from parsers to the warehouse: typed, frozen, unit in the name.

Belongs here: one definition per thing that crosses a package border. Does not: behaviour.
Times are UTC milliseconds since 1970. Rates are signed fractions of notional unless the name says
otherwise; positive means that longs pay shorts.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

Kind = Literal["settled", "recorded"]


class Window(msgspec.Struct, frozen=True, order=True):
    """Half-open span of time [start_ms, end_ms)."""

    start_ms: int
    end_ms: int


class RawSettlement(msgspec.Struct, frozen=True, gc=False):
    """One settled row as sent: the rate is still the exchange's text, the stamp has its jitter.

    `interval_hours` only where the row itself carries it.
    """

    market: str
    time_ms: int
    rate_text: str
    interval_hours: int | None = None
    mark_price: float | None = None
    cumulative_value: float | None = None


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One perpetual market as its exchange lists it now.

    `market` is the native symbol, `api_id` what requests name it by where that differs; `symbol`
    the unified one, of which the contract holds `multiplier` units (kPEPE: PEPE, 1000).
    `interval_hours`: the funding period declared now, None where the exchange does not say. Caps
    are per interval. `newest`: its newest settlement, where the list itself tells it.
    """

    market: str
    api_id: str | None = None
    symbol: str
    multiplier: int = 1
    quote: str
    settle: str
    asset_class: str | None = None
    live: bool = True
    listed_at_ms: int | None = None
    interval_hours: int | None = None
    rate_cap: float | None = None
    rate_floor: float | None = None
    newest: RawSettlement | msgspec.UnsetType = msgspec.UNSET  # leaves no trace in an export


class Slotted(msgspec.Struct, frozen=True, gc=False):
    """A settlement in its slot of the hourly grid, rate in the one unit; interval not yet decided.

    `slot_ms` is the whole hour that the settlement ends; `lag_ms` how late the stamp was.
    """

    slot_ms: int
    rate: float
    raw: RawSettlement

    @property
    def lag_ms(self) -> int:
        return self.raw.time_ms - self.slot_ms


class Quarantined(msgspec.Struct, frozen=True):
    """A row that failed validation: kept with its reason, outside the settlements."""

    raw: RawSettlement
    reason: str


class Answered(msgspec.Struct, frozen=True):
    """What an exchange answered for one market and window, validated.

    `window` is what may count as collected; `rows` lie inside it, `context` around it: evidence for
    intervals, never stored.
    """

    market: str
    window: Window
    rows: Sequence[Slotted]
    context: Sequence[Slotted] = ()
    rejected: Sequence[Quarantined] = ()


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The running estimate of the next settlement; never part of the settled history.

    `rate` is a fraction per `interval_hours`, `raw_rate` the text it was made of. Prices in quote
    currency, open interest (one side) and 24 h volume in USD.
    """

    market: str
    rate: float
    raw_rate: str
    interval_hours: int
    next_funding_ms: int | None = None
    mark_price: float | None = None
    index_price: float | None = None
    open_interest_usd: float | None = None
    volume_24h_usd: float | None = None
