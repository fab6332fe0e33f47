"""What an exchange module provides and what it is given; numbers as exchanges write them.

Belongs here: the shapes shared by `app` and the exchange modules, and text forms of numbers. Does
not belong here: any single exchange's paths or fields, sockets, the clock.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import Dataset, Listing, SandboxMarket


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `path` is what follows the exchange's origin, `body` is parsed JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for, in the exchange's own terms."""

    endpoint: str
    market: str | None
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """What the exchange knows at one instant."""

    dataset: Dataset
    now_ms: int
    # A page limit below the documented one (a fault); None leaves the documented one.
    page_cap: int | None = None

    def page_limit(self, documented: int) -> int:
        return documented if self.page_cap is None else min(documented, self.page_cap)


@dataclass(slots=True)
class Reply:
    """An answer before encoding. `rows` is the list inside `payload` that holds the records."""

    payload: Any
    status: int = 200
    rows: list[Any] | None = None
    # In lists a field is a place.
    rate_field: str | int | None = None
    time_field: str | int | None = None
    # Milliseconds in one unit of `time_field`; of no account where stamps are ISO texts.
    time_unit: float = 1
    weight: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    # None: the payload is encoded as JSON; else it is text of this media type.
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Recorded polls of a running rate, served where no settled history was recorded."""

    file: str
    # Settlements are so many hours apart, each the last poll before it. None: the exchange accrues
    # continuously, and every poll is kept as a step of the rate.
    settles_hours: int | None
    # From the polled rate to the rate of one settlement.
    scale: float
    note: str


def as_settled(market: SandboxMarket, index: int) -> float:
    """For exchanges whose answers tell a settled rate exactly."""
    return market.rates[index]


def no_usage(_: Sequence[int]) -> dict[str, str]:
    """For exchanges that do not tell how much of a limit is used."""
    return {}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange of the sandbox."""

    name: str
    limits: tuple[Limit, ...]
    # File stems of recorded settlements that belong to this exchange.
    recorded_files: tuple[str, ...]
    split_symbol: Callable[[str], tuple[str, str]]
    listings: Callable[[], list[Listing]]
    read: Callable[[Request], Call]
    answer: Callable[[Call, Moment], Reply]
    refuse: Callable[[Refusal], Reply]
    # Headers that tell how much of each limit is used.
    usage: Callable[[Sequence[int]], dict[str, str]] = no_usage
    snapshots: Snapshots | None = None
    # The fraction per interval that the answers tell of a settlement, after the wire's rounding.
    settled_rate: Callable[[SandboxMarket, int], float] = as_settled
    # Listed beside its perpetuals, without funding; no collector should take it for one.
    unfunded: Callable[[SandboxMarket], bool] = lambda _: False
    # The exchange's own symbol of a market that was recorded under another spelling.
    native: Callable[[str], str] = str
    # What there is of a past: pages of settlements, one sample per boundary, or nothing.
    history: Literal["pages", "boundaries", "none"] = "pages"

    @property
    def file_stems(self) -> tuple[str, ...]:
        """Every recorded file that this exchange can be served from."""
        return (*self.recorded_files, *([self.snapshots.file] if self.snapshots else ()))


@lru_cache(maxsize=8192)
def plain(value: float) -> str:
    """The shortest decimal text, without exponent, that gives the same float: 0 is "0"."""
    # Adding zero takes the sign off a negative zero.
    text = repr(value + 0.0)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text[:-2] if text.endswith(".0") else text


def pointed(value: float) -> str:
    """As `plain`, but always with a decimal point: 0 is "0.0", 77158 is "77158.0"."""
    text = plain(value)
    return text if "." in text else text + ".0"


def parameter(params: Mapping[str, Any], name: str) -> int | None:
    """A whole number; an absent or empty parameter is None, anything but digits a ValueError."""
    text = params.get(name) or ""
    return int(text) if text else None
