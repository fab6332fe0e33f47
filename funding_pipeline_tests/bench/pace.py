"""How near the pace of a backfill comes to what an exchange's published limit allows.

Thirty days of every exchange, against the sandbox that enforces the published limits on sliding
windows and answers after 80 to 110 ms, on a simulated clock: what is measured is waiting, and
neither this machine's speed nor its load.

The floor is an ideal client's: the same requests in the same order, without latency, each at the
first moment that the published sliding windows allow.
"""

import asyncio
import math
import random
import tempfile
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx

from funding_pipeline.collection.budget import SharedBudget
from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.collection.engine import collect
from funding_pipeline.collection.planning import CONTEXT_MS, TICK_REACH_MS, Job, kept_since
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Exchange, ExchangeSpec, TellsNewest
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.app import create_app
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.registry import EXCHANGES as SPOKEN
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.bench.virtual_time import VirtualLoop

NOW_MS = 1_780_000_000_000 // HOUR_MS * HOUR_MS + 20 * 60_000
_LATENCY_S = (0.08, 0.11)
_PAST_THE_HOUR_S = 20 * 60
_LIST_TELLS = {"okx"}


@dataclass(slots=True)
class Pace:
    """One exchange's backfill: seconds, the floor in seconds, requests and refusals (429)."""

    exchange: str
    seconds: float = 0.0
    floor_s: float = 0.0
    requests: int = 0
    listing: int = 0
    needed: int = 0
    refusals: int = 0
    outcome: str = ""
    tick_seconds: float = 0.0
    granted: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Time over floor; 0 where the limit is never reached."""
        return self.seconds / self.floor_s if self.floor_s else 0.0

    @property
    def thrift(self) -> float:
        """Requests beside the market list over those of the cheapest exact plan."""
        asked = self.requests - self.listing
        return asked / self.needed if self.needed else 1.0 + asked


def measure(name: str, *, days: int = 30, markets: int | None = None, tick: bool = False) -> Pace:
    """Backfill `days` of one exchange at its limits; with `tick` an hourly run in its middle."""
    exchange, pace = EXCHANGES[name], Pace(name)
    with (
        simulation([name], markets) as (loop, dataset, transport, settings),
        simulated(loop, transport, pace),
    ):
        report = loop.run_until_complete(_run(loop, exchange, settings, pace, days, tick))
        counted = loop.run_until_complete(_counted(transport, name))
    pace.refusals = counted["refusals"]
    # A list may tell of markets that have left: whether they settled, only asking tells.
    gone = report.markets_asked - len(dataset.listed(name, NOW_MS))
    alone = 0 if exchange.spec.history_of_all else max(0, gone)
    pace.needed = needed(exchange.spec, dataset, days) + alone
    pace.floor_s = floor_s(exchange.spec, pace.granted)
    return pace


def measure_tick(name: str, *, markets: int | None = None) -> Pace:
    """The hourly run of midnight, when every market settles; the hour before was collected."""
    exchange, pace = EXCHANGES[name], Pace(name)
    with simulation([name], markets) as (loop, dataset, transport, settings):

        async def two_hours() -> None:
            await asyncio.sleep((DAY_MS - HOUR_MS - NOW_MS % DAY_MS) / 1000 + _PAST_THE_HOUR_S)
            before = simulated_now_ms(loop)
            backfill = Job("backfill", Window(before - TICK_REACH_MS, before))
            with simulated(loop, transport, Pace(name)):
                await _collected(exchange, backfill, settings, before)
            await asyncio.sleep((before + HOUR_MS - simulated_now_ms(loop)) / 1000)
            now_ms = simulated_now_ms(loop)
            with simulated(loop, transport, pace):
                tick = Job("tick", Window(now_ms - TICK_REACH_MS, now_ms))
                report, _ = await _collected(exchange, tick, settings, now_ms)
            pace.outcome, pace.requests = report.outcome, report.traffic.requests
            pace.needed = needed_by_tick(exchange, dataset, before, now_ms)

        loop.run_until_complete(two_hours())
    return pace


def needed_by_tick(exchange: Exchange, dataset: Dataset, before_ms: int, now_ms: int) -> int:
    """Requests of the cheapest exact plan for what settled in between, beside the list: none where
    the list tells it, a page where one answer tells it of all, else one for each market.
    """
    spans = [
        m.settled(before_ms, now_ms, now_ms) for m in dataset.listed(exchange.spec.name, now_ms)
    ]
    settled = sum(end > start for start, end in spans)
    if not isinstance(exchange, TellsNewest):
        return settled
    return 0 if exchange.spec.name in _LIST_TELLS else math.ceil(settled / exchange.spec.page_rows)


def floor_s(spec: ExchangeSpec, requests: Sequence[tuple[int, Collection[str]]]) -> float:
    """When an ideal client sends the last of these requests (weight, scopes), from the first on."""
    windows = [(limit, deque[tuple[float, int]]()) for limit in spec.limits]
    now = 0.0
    for weight, scopes in requests:
        mine = [(limit, sent) for limit, sent in windows if limit.scope in scopes]
        for limit, sent in mine:
            used = sum(w for _, w in sent) + weight
            while used > limit.weight:
                left, w = sent.popleft()
                now, used = max(now, left + limit.seconds), used - w
        for _, sent in mine:
            sent.append((now, weight))
    return now


def needed(spec: ExchangeSpec, dataset: Dataset, days: int) -> int:
    """History requests of the cheapest exact plan: full pages of what settled, and a day before it
    where that day tells intervals; one request even where nothing did. One row is enough to see
    that a page was the last, unless it is full.
    """
    first_ms = max((NOW_MS // DAY_MS - days) * DAY_MS, kept_since(spec, NOW_MS))
    if not isinstance(spec.interval, FixedInterval):
        first_ms = max(first_ms - CONTEXT_MS, kept_since(spec, NOW_MS))
    listed = dataset.listed(spec.name, NOW_MS)
    if spec.page_rows == 1:
        rows = [(NOW_MS - max(first_ms, m.launch_ms)) // HOUR_MS for m in listed]
    else:
        spans = (market.settled(first_ms, NOW_MS, NOW_MS) for market in listed)
        rows = [end - start for start, end in spans]
    if spec.history_of_all:
        # Markets that have left come along.
        known = dataset.known(spec.name, NOW_MS)
        return _inclusive_pages(
            sorted(t for m in known for t in m.times if first_ms <= t <= NOW_MS), spec.page_rows
        )
    return sum(max(1, math.ceil(n / spec.page_rows)) for n in rows)


def _inclusive_pages(times: Sequence[int], page_rows: int) -> int:
    """Pages of all markets together: each begins at the newest stamp of the one before, whose rows
    may have been cut. After a full one another is needed to see that it was the last.
    """
    pages, start = 1, 0
    while start + page_rows <= len(times):
        start = bisect_left(times, times[start + page_rows - 1])
        pages += 1
    return pages


async def _run(
    loop: VirtualLoop, exchange: Exchange, settings: Settings, pace: Pace, days: int, tick: bool
) -> LoadReport:
    started = loop.time()
    now_ms = simulated_now_ms(loop)
    backfill = Job("backfill", Window((now_ms // DAY_MS - days) * DAY_MS, now_ms))
    running = loop.create_task(_collected(exchange, backfill, settings, now_ms))
    if tick:
        await asyncio.sleep(_middle_s(exchange.spec))
        began = loop.time()
        now_ms = simulated_now_ms(loop)
        job = Job("tick", Window(now_ms - 7 * DAY_MS, now_ms))
        await _collected(exchange, job, settings, now_ms)
        pace.tick_seconds = loop.time() - began
    report, ended = await running
    pace.seconds = ended - started
    pace.outcome = report.outcome
    pace.requests = report.traffic.requests
    return report


def simulated_now_ms(loop: VirtualLoop) -> int:
    return NOW_MS + round(loop.time() * 1000)


def _middle_s(spec: ExchangeSpec) -> float:
    return 1.5 * max(limit.seconds for limit in spec.limits)


async def _collected(
    exchange: Exchange, job: Job, settings: Settings, now_ms: int
) -> tuple[LoadReport, float]:
    """The load's report, and when it came."""
    (report,) = [
        r async for r in collect([exchange], job, settings, Database(settings), now_ms=now_ms)
    ]
    return report, asyncio.get_running_loop().time()


async def _counted(transport: httpx.AsyncBaseTransport, name: str) -> dict[str, int]:
    async with httpx.AsyncClient(transport=transport) as client:
        answer = await client.get("http://sandbox.invalid/_requests")
    counted: dict[str, int] = answer.json()[name]
    return counted


class _Distant(httpx.AsyncBaseTransport):
    """The sandbox behind a network that takes its time, evenly spread, seeded."""

    def __init__(self, app: object, loop: VirtualLoop) -> None:
        self._there = httpx.ASGITransport(app)  # type: ignore[arg-type]
        self._random = random.Random(7)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        latency = self._random.uniform(*_LATENCY_S)
        await asyncio.sleep(latency / 2)
        response = await self._there.handle_async_request(request)
        await asyncio.sleep(latency / 2)
        return response


@contextmanager
def simulation(
    names: Sequence[str], markets: int | None
) -> Iterator[tuple[VirtualLoop, Dataset, httpx.AsyncBaseTransport, Settings]]:
    """A loop with a clock of its own, the exchanges' counterparts on it, an empty data folder."""
    loop = VirtualLoop()
    dataset = generate([SPOKEN[name] for name in names], markets=markets)
    app = create_app(
        dataset, limits=True, faults=None, now=lambda: simulated_now_ms(loop), clock=loop.time
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), sandbox_url="http://sandbox.invalid")
        asyncio.set_event_loop(loop)
        try:
            yield loop, dataset, _Distant(app, loop), settings
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            asyncio.set_event_loop(None)


@contextmanager
def simulated(loop: VirtualLoop, transport: httpx.AsyncBaseTransport, pace: Pace) -> Iterator[None]:
    """The engine on this loop's clock and this network, its budget counting what it grants."""
    spend, run = SharedBudget.spend, ExchangeClient.run

    @asynccontextmanager
    async def counting(
        self: SharedBudget, weight: int, scopes: Collection[str] = ("",)
    ) -> AsyncIterator[float]:
        async with spend(self, weight, scopes) as waited_s:
            pace.granted.append((weight, frozenset(scopes)))
            yield waited_s

    async def first(self: ExchangeClient, plan: Any, *more: Any) -> Any:
        """The market list comes first, by itself."""
        done = await run(self, plan, *more)
        pace.listing = pace.listing or self.traffic.requests
        return done

    clock = SimpleNamespace(time=lambda: simulated_now_ms(loop) / 1000, monotonic=loop.time)
    client = "funding_pipeline.collection.engine.http_client"
    with (
        mock.patch("funding_pipeline.collection.budget.time", clock),
        mock.patch(client, lambda *_: httpx.AsyncClient(transport=transport)),
        mock.patch.object(SharedBudget, "spend", counting),
        mock.patch.object(ExchangeClient, "run", first),
    ):
        yield
