"""The contract between an exchange module and the engine.

Belongs here: the declaration (units, sign, stamps, limits), the request record and the protocol.
Does not: anything about one exchange.

A plan is a generator: it yields a `Request`, is sent the answer's bytes and returns records. Paging
and chained calls are therefore ordinary code without I/O, and testable by feeding it bytes.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Estimate, Kind, Market, RawSettlement, Window


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. `endpoint` names it in errors and counts; `weight` is what it will cost in
    each of the limits whose scope it names.
    """

    endpoint: str
    path: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, str | int] = {}
    body: Mapping[str, Any] | None = None
    weight: int = 1
    scopes: tuple[str, ...] = ("",)
    origin: str = ""


MarketsPlan = Generator[Request, bytes, list[Market]]
HistoryPlan = Generator[Request, bytes, list[RawSettlement]]
EstimatesPlan = Generator[Request, bytes, list[Estimate]]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `weight` in any `seconds`, per address, for requests that name the scope."""

    weight: int
    seconds: float
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSpec:
    """What an exchange declares about itself; every field has its source in the module's docstring.

    rate_unit, sign: of the raw text. stamp_edge: whether a stamp marks the end or the start of the
    paid period. interval: the fixed interval with its eras, or "declared" where it is per market
    and only the current one is known (then spacing decides for the past), or "row" where each row
    carries it. max_abs_rate: bound of a believable rate per interval, as a fraction.
    history_of_all: one plan brings the history of all markets. kind: "recorded" where there is no
    history and settlements are written from estimates. settles_within_s: a settlement is published
    at most so long after its hour; what is younger and missing is not yet a hole. page_rows,
    page_weight: rows and weight of a full page of history; for planning, never to decide that a
    page was the last. look_back_days: how far back history is kept, None where it reaches to the
    listing. samples_estimates: there is a call for the running estimates of all markets.
    experimental: why the module is not trusted yet, None where its facts are sure; such exchanges
    are off unless asked for.
    """

    name: str
    title: str
    origins: Mapping[str, str]
    api_docs: str
    rate_unit: RateUnit
    sign: Literal["positive: longs pay", "the direction that pays"] = "positive: longs pay"
    stamp_unit: Literal["ms", "s", "ns", "ISO 8601"] = "ms"
    stamp_edge: Literal["end", "start", "unknown"] = "end"
    interval: FixedInterval | Literal["declared", "row"]
    kind: Kind = "settled"
    history_of_all: bool = False
    max_abs_rate: float
    page_rows: int
    page_weight: int = 1
    limits: tuple[RateLimit, ...]
    concurrency: int = 16
    settles_within_s: int = 35 * 60
    headers: Mapping[str, str] = field(default_factory=dict)
    look_back_days: int | None = None
    samples_estimates: bool = True
    experimental: str | None = None


class Exchange(Protocol):
    """An exchange module's one object."""

    @property
    def spec(self) -> ExchangeSpec: ...

    def markets(self) -> MarketsPlan:
        """All perpetual markets, live and delisted, as listed now."""
        ...

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Every settlement of a market whose stamp lies in the window, in any order; of all markets
        where `market` is None, which only a spec with `history_of_all` allows.
        """
        ...

    def estimates(self) -> EstimatesPlan:
        """Running estimates of all markets; not called where the spec samples none."""
        ...

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """The typed error in an answer that the status code alone does not tell, else None."""
        ...


@runtime_checkable
class TellsNewest(Protocol):
    """What an exchange has besides, if it tells the newest settlements of all markets at once: with
    stamp and rate as the history tells them. Nothing deduced, no estimate.
    """

    def newest(self, markets: Sequence[Market]) -> HistoryPlan:
        """The newest settlement of these markets of the list, in fewer requests than one each; a
        market whose newest one is in doubt is left out.
        """
        ...
