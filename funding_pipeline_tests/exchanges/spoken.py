"""An exchange of the sandbox, spoken to without a socket: what the contract suite asks.

The sandbox shares no code with the exchange modules, so that what one side gets wrong shows.
Belongs here: driving plans, known settlements, spoiling answers. Does not: what must hold
(test_contract).
"""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from funding_pipeline.domain.records import Market, RawSettlement
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import Exchange, Request
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Moment, Reply
from funding_pipeline.sandbox.wire import Request as Asked

Result = TypeVar("Result")
MINUTE_MS = 60_000


def drive(
    plan: Generator[Request, bytes, Result], answer: Callable[[Request], bytes], at_most: int = 200
) -> tuple[Result, list[Request]]:
    """A plan fed with bytes: its result and the requests it made."""
    requests: list[Request] = []
    try:
        request = next(plan)
        while True:
            requests.append(request)
            assert len(requests) <= at_most, "it never ends"
            request = plan.send(answer(request))
    except StopIteration as done:
        return done.value, requests


def rate_of(time_ms: int) -> float:
    """Another rate for every hour, six decimals: what the coarsest exchange can tell."""
    return round((time_ms // HOUR_MS % 997 - 498) * 1e-6, 6)


class Spoken:
    """One exchange with the first market of its list, whose settlements are `times`."""

    def __init__(self, name: str, times: Sequence[int], *, page_cap: int | None = None) -> None:
        self.exchange: Exchange = EXCHANGES[name]
        self.sandbox = SANDBOX[name]
        listing = self.sandbox.listings()[0]
        # Settled once long before, so that the market exists where a test has no settlements.
        times = sorted({1_577_836_800_000, *times})
        self.truth = SandboxMarket(
            symbol=listing.symbol,
            base=listing.base,
            quote=listing.quote,
            times=array("q", times),
            rates=array("d", [rate_of(time) for time in times]),
            interval_hours_at=lambda _: 1,
            rate_cap=0.02,
        )
        self._dataset = Dataset({name: (self.truth,)}, source="test")
        self._page_cap = page_cap
        self.now_ms = times[-1] + 10 * MINUTE_MS
        self.spoil: Callable[[Reply], None] = lambda _: None
        self.served: Counter[int] = Counter()

    def __call__(self, request: Request) -> bytes:
        reply = self.reply(request)
        assert reply.status == 200, (request, reply.payload)
        if reply.time_field is not None:
            self.served.update(msgspec.json.encode(row) for row in reply.rows or ())
            self.spoil(reply)
        return msgspec.json.encode(reply.payload)

    def reply(self, request: Request) -> Reply:
        """The sandbox's answer before encoding."""
        return answer_of(
            self.sandbox.name, request, Moment(self._dataset, self.now_ms, self._page_cap)
        )

    def market(self) -> Market:
        """The market as the exchange's own list names it."""
        markets, _ = drive(
            self.exchange.markets(), lambda r: msgspec.json.encode(self.reply(r).payload)
        )
        return next(m for m in markets if m.market == self.truth.symbol)

    def settled(self, start_ms: int, end_ms: int) -> dict[int, float]:
        """What settled in [start, end): the fraction that the wire tells, by whole hour."""
        low, high = self.truth.settled(start_ms, end_ms - 1, self.now_ms)
        return {
            self.truth.times[i] // HOUR_MS * HOUR_MS: self.sandbox.settled_rate(self.truth, i)
            for i in range(low, high)
        }

    def valid(self, raw: Sequence[RawSettlement]) -> dict[int, float]:
        """Rows as they would be stored: rate by slot."""
        spec = self.exchange.spec
        rows, rejected = validate(
            raw, unit=spec.rate_unit, max_abs_rate=spec.max_abs_rate, now_ms=self.now_ms
        )
        assert not rejected, rejected
        return {row.slot_ms: row.rate for row in rows}


class Listed:
    """An exchange as the generator fills it, for its lists of markets and estimates."""

    def __init__(self, name: str, now_ms: int, markets: int = 130) -> None:
        self.name = name
        self.dataset = generate([SANDBOX[name]], markets=markets)
        self.now_ms = now_ms
        self.spoil: Callable[[Reply], None] = lambda _: None

    def __call__(self, request: Request) -> bytes:
        reply = self.reply(request)
        assert reply.status == 200, (request, reply.payload)
        self.spoil(reply)
        return msgspec.json.encode(reply.payload)

    def reply(self, request: Request) -> Reply:
        """The sandbox's answer before encoding."""
        return answer_of(self.name, request, Moment(self.dataset, self.now_ms))

    @property
    def listed(self) -> set[str]:
        """Native symbols of the perpetuals that are traded now."""
        traded = self.dataset.listed(self.name, self.now_ms)
        return {m.symbol for m in traded if not SANDBOX[self.name].unfunded(m)}


def answer_of(name: str, request: Request, moment: Moment) -> Reply:
    """What the sandbox's exchange answers to a request of the exchange module."""
    body = None if request.body is None else json.loads(msgspec.json.encode(request.body))
    path = f"/{request.origin}{request.path}" if request.origin else request.path
    asked = Asked(request.method, path, {k: str(v) for k, v in request.params.items()}, body)
    sandbox = SANDBOX[name]
    return sandbox.answer(sandbox.read(asked), moment)


def recorded(folder: Path, name: str) -> bytes:
    """The body of a recorded response, `<exchange>/<file>` without its ending."""
    return msgspec.json.encode(json.loads((folder / f"{name}.json").read_text())["response"])
