"""Faults on request: what goes wrong between an exchange and its clients, made deterministic.

A fault file is a JSON list of rules. Every rule has

    kind        what goes wrong, see below
    exchange    "bybit", ...                         (left out: every exchange)
    endpoint    "fundingHistory", "funding/history"  (left out: every endpoint)
    market      the native symbol that the request names ("BTC", "BTCUSDT")  (left out: any)

and counts the requests it matches. Of those it strikes all, or only

    after: n    those following the first n     (late_correction: default 1, else 0)
    first: n    the first n                     (counted after `after`)
    every: n    every n-th                      (counted after `after`)
    times: n    at most n altogether

Kinds and what they take:

    timeout          waits `seconds` (30) before the answer
    reset            closes the connection in the middle of the answer
    http_500, http_502, http_503    a gateway's HTML page with that status
    rate_limited     429 with `Retry-After: retry_after` (1), within the limits or not
    geo_block        403 with a CDN's HTML page
    legal_block      451
    truncated_json   status 200, the second half of the body missing
    html_200         an HTML page with status 200
    wrong_type       a number where the exchange sends a string (and the other way round)
    missing_field    the field is left out
    nan_rate         the text NaN
    empty_rate       an empty string
    duplicate_rows   every row twice
    shuffled_rows    rows in another order, the same one at every start
    late_correction  the rate of one settlement differs by `add` (0.0001) from then on; `time` (ms)
                     names it, else it is the newest of the first answer that matches
    page_limit       pages hold at most `rows` (50)

wrong_type, missing_field, nan_rate and empty_rate strike row `row` (0) of the answer, in `field`
(left out: the funding rate; in Paradex's history the index). Answers without rows pass unharmed.
On Lighter the market of a history request is its `market_id`.

Other kinds are events of one market. They need `exchange`, `market` (its symbol), `time` (ms) and

    renamed          called `to` from `time` on, with its whole history; the old symbol is unknown
    delisted         from `time` on, as the exchange shows it; no further settlements
    relisted         delisted at `time` and listed again at `until` (ms)
    interval_change  settled every `hours` hours after `time`

Belongs here: rules, counters, when they strike. Does not belong here: what they do to rows
(`spoiling`), markets (`market_faults`) and answers (`app`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from funding_pipeline.sandbox import spoiling
from funding_pipeline.sandbox.market import HOUR_MS
from funding_pipeline.sandbox.wire import Call, Reply

Kind = Literal[
    "timeout",
    "reset",
    "http_500",
    "http_502",
    "http_503",
    "rate_limited",
    "geo_block",
    "legal_block",
    "truncated_json",
    "html_200",
    "wrong_type",
    "missing_field",
    "nan_rate",
    "empty_rate",
    "duplicate_rows",
    "shuffled_rows",
    "late_correction",
    "page_limit",
    "renamed",
    "delisted",
    "relisted",
    "interval_change",
]
KINDS: tuple[str, ...] = get_args(Kind)
# What an event of a market needs beside exchange, market and time.
_EVENTS = {"renamed": "to", "delisted": None, "relisted": "until", "interval_change": "hours"}
_INTERVALS = (1, 2, 4, 8)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule of a fault file, as written."""

    kind: Kind
    exchange: str | None = None
    endpoint: str | None = None
    market: str | None = None
    after: int | None = None
    first: int | None = None
    every: int | None = None
    times: int | None = None
    seconds: float = 30.0
    retry_after: int = 1
    field: str | None = None
    row: int = 0
    add: float = 0.0001
    time: int | None = None
    rows: int = 50
    to: str | None = None
    until: int | None = None
    hours: int | None = None

    @property
    def is_event(self) -> bool:
        """Whether it happens to a market and not to requests."""
        return self.kind in _EVENTS

    def __post_init__(self) -> None:
        for name in ("first", "every", "times", "rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, not {value}")
        event = ("exchange", "market", "time", _EVENTS[self.kind]) if self.is_event else ()
        for needed in event:
            if needed is not None and getattr(self, needed) is None:
                raise ValueError(f"{self.kind} needs `{needed}`")
        if self.until is not None and self.until <= (self.time or 0):
            raise ValueError("`until` must be after `time`")
        if self.hours is not None and self.hours not in _INTERVALS:
            raise ValueError(f"`hours` must be one of {_INTERVALS}, not {self.hours}")


class FaultFileError(ValueError):
    """The fault file cannot be used; the message says which rule and why."""


@dataclass(slots=True)
class _Rule:
    fault: Fault
    matched: int = 0
    struck: int = 0
    # The settlement hour that a late correction is about, once it is known.
    hour: int | None = None

    def matches(self, exchange: str, call: Call) -> bool:
        fault = self.fault
        return (
            fault.exchange in (None, exchange)
            and fault.endpoint in (None, call.endpoint)
            and fault.market in (None, call.market)
        )

    def strikes(self) -> bool:
        """Counts one matching request and tells whether it is struck."""
        self.matched += 1
        fault = self.fault
        after = fault.after
        if after is None:
            after = 1 if fault.kind == "late_correction" else 0
        number = self.matched - after
        struck = (
            number >= 1
            and (fault.first is None or number <= fault.first)
            and (fault.every is None or number % fault.every == 0)
            and (fault.times is None or self.struck < fault.times)
        )
        self.struck += struck
        return struck


@dataclass(slots=True)
class Strikes:
    """The rules that strike one request."""

    rules: list[_Rule] = field(default_factory=list)
    # Rules that match without striking; a late correction learns from them which row it is about.
    watching: list[_Rule] = field(default_factory=list)

    def get(self, *kinds: str) -> Fault | None:
        return next((rule.fault for rule in self.rules if rule.fault.kind in kinds), None)

    @property
    def page_cap(self) -> int | None:
        fault = self.get("page_limit")
        return None if fault is None else fault.rows

    def spoil_rows(self, reply: Reply) -> None:
        for rule in self.watching:
            _pin(rule, reply)
        for rule in self.rules:
            _spoil(rule, reply)


class FaultPlan:
    """All rules with their counters; one plan serves one run of the sandbox."""

    def __init__(self, faults: list[Fault] | None = None) -> None:
        self.events = [fault for fault in faults or [] if fault.is_event]
        self._rules = [_Rule(fault) for fault in faults or [] if not fault.is_event]

    def __len__(self) -> int:
        return len(self._rules) + len(self.events)

    def strikes(self, exchange: str, call: Call) -> Strikes:
        found = Strikes()
        for rule in self._rules:
            if rule.matches(exchange, call):
                (found.rules if rule.strikes() else found.watching).append(rule)
        return found


def parse_faults(text: str | bytes) -> list[Fault]:
    """The rules of a fault file's text; an error names the rule and the reason."""
    try:
        return msgspec.json.decode(text, type=list[Fault])
    except msgspec.DecodeError as error:
        raise FaultFileError(f"fault file: {error}. Known kinds: {', '.join(KINDS)}") from error


def read_faults(file: Path) -> list[Fault]:
    """The rules of a fault file."""
    return parse_faults(file.read_bytes())


def _pin(rule: _Rule, reply: Reply) -> None:
    if rule.fault.kind != "late_correction" or rule.hour is not None:
        return
    if rule.fault.time is not None:
        rule.hour = rule.fault.time // HOUR_MS
    else:
        rule.hour = spoiling.newest_hour(reply)


def _spoil(rule: _Rule, reply: Reply) -> None:
    rows, fault = reply.rows, rule.fault
    if not rows:
        return
    match fault.kind:
        case "duplicate_rows":
            spoiling.duplicate(rows)
        case "shuffled_rows":
            spoiling.shuffle(rows)
        case "late_correction":
            _pin(rule, reply)
            spoiling.correct(reply, rule.hour, fault.add)
        case "wrong_type" | "missing_field" | "nan_rate" | "empty_rate":
            name = fault.field or reply.rate_field
            if name is not None and fault.row < len(rows) and _has(rows[fault.row], name):
                spoiling.spoil_field(fault.kind, rows[fault.row], name)


def _has(row: Any, name: str | int) -> bool:
    return name < len(row) if isinstance(name, int) else name in row
