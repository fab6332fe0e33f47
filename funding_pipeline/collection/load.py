"""One exchange's load: its market list, each market's missing windows, batch by batch.

Belongs here: concurrency, batching, the verdict over an exchange. Does not: HTTP details (client),
what to ask (planning, queries), what an ended load leaves behind (closing), SQL (warehouse).

Memory is bounded by the batch, progress is durable with each batch: a killed run resumes where the
last batch ended. A failing market stops none of its exchange, unless more than a fifth fail.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence

import httpx

from funding_pipeline.collection.access import origins
from funding_pipeline.collection.budget import Priority, budget_of
from funding_pipeline.collection.client import ATTEMPTS, ExchangeClient
from funding_pipeline.collection.closing import close
from funding_pipeline.collection.newest import Lone, ask_newest, lone
from funding_pipeline.collection.planning import Job, Unit, forecast, plan
from funding_pipeline.collection.queries import Query, answers, arranged
from funding_pipeline.collection.report import LoadReport, Progress
from funding_pipeline.domain.errors import (
    ErrorKind,
    ExchangeError,
    ExchangeFailedError,
    PageOverflowError,
    PermanentError,
)
from funding_pipeline.domain.records import Answered, Market, Window
from funding_pipeline.exchanges.base import Exchange, TellsNewest
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.estimates import sampled_settlements
from funding_pipeline.warehouse.ledger import start_load
from funding_pipeline.warehouse.markets import known_markets, observations, record_markets
from funding_pipeline.warehouse.merge import merge
from funding_pipeline.warehouse.volume import Volume
from funding_pipeline.warehouse.windows import collected

BATCH_ROWS = 100_000
BATCH_SECONDS = 15.0
FAILED_SHARE = 0.2
PATIENT = {"backfill", "sweep", "repair"}  # reasons that give way to others in the rate budget

_BROKE = "%s: collection broke"

logger = logging.getLogger(__name__)


class Load:
    """One exchange's share of a job."""

    def __init__(
        self,
        exchange: Exchange,
        job: Job,
        settings: Settings,
        database: Database,
        http: httpx.AsyncClient,
        now_ms: int,
        progress: Progress,
        *,
        trying: bool = False,
    ) -> None:
        self._exchange = exchange
        self._spec = exchange.spec
        self._job = job
        self._database = database
        self._now_ms = now_ms
        self._progress = progress
        self._report = LoadReport(self._spec.name, job.window, trying=trying)
        priority = Priority.BACKFILL if job.reason in PATIENT else Priority.TICK
        self._budget = budget_of(exchange.spec, settings, priority)
        self._client = ExchangeClient(http, exchange, self._budget, origins(exchange, settings))
        self._report.traffic = self._client.traffic
        self._load_id: int | None = None
        self._listed: dict[str, Market] = {}
        self._intervals: dict[str, int | None] = {}
        self._lone: list[Lone] = []
        self._batch: list[Answered] = []
        self._flushed_at = time.monotonic()
        self._merging = asyncio.Lock()
        self._answered: list[tuple[str, Window]] = []
        self._volume = Volume()

    async def run(self) -> LoadReport:
        """Collect; every failure ends in the report and in the ledger."""
        started = time.monotonic()
        try:
            await self._load()
        except asyncio.CancelledError:
            self._report.outcome, self._report.error = "interrupted", "interrupted"
            raise
        finally:
            self._budget.close()
            if self._load_id is not None:
                await asyncio.to_thread(self._end, self._load_id)
            self._report.seconds = time.monotonic() - started
        logger.info(self._report.summary())
        return self._report

    async def _load(self) -> None:
        try:
            units = await asyncio.to_thread(self._begin, await self._list())
            left = await self._newest(units)
            await self._collect(arranged(self._spec, self._job, left, self._intervals))
        except* ExchangeFailedError as failed:
            first = failed.exceptions[0]
            assert isinstance(first, ExchangeFailedError), "raised by a worker, in no inner group"
            self._fail(str(first), first.kind)
        except* Exception as unexpected:
            # A defect or a full disk: loud here, but the other exchanges go on.
            logger.exception(_BROKE, self._spec.name)
            self._fail("; ".join(f"{type(e).__name__}: {e}" for e in unexpected.exceptions))

    async def _list(self) -> Sequence[Market] | None:
        """The market list; None where it could not be had."""
        # A try of what was left alone is a single request, before anything else.
        attempts = 1 if self._report.trying else ATTEMPTS
        try:
            listed: list[Market] = await self._client.run(self._exchange.markets(), attempts)
        except ExchangeError as error:
            self._fail(str(error), error.kind)
            return None
        return listed

    def _fail(self, message: str, kind: ErrorKind | None = None) -> None:
        self._report.outcome = "failed"
        self._report.error, self._report.error_kind = message, kind

    def _begin(self, listed: Sequence[Market] | None) -> list[Unit]:
        """Open the load, store the market list, plan. Nothing to plan without a list.

        Where there is no history, what was sampled is taken here and nothing is left to ask.
        """
        name, job = self._spec.name, self._job
        told = job.reason == "tick" and isinstance(self._exchange, TellsNewest)
        with self._database.open() as connection:
            load_id = start_load(connection, name, job.reason, job.window, utc_now())
            self._load_id = self._report.load_id = load_id
            if listed is None:
                return []
            record_markets(connection, name, listed, utc_now())
            known = known_markets(connection, name)
            covered = collected(connection, name)
            observed = observations(connection, name) if told else {}
            if self._spec.kind == "recorded":
                self._batch = sampled_settlements(connection, self._spec, job.window, self._now_ms)
        self._listed = {market.market: market for market in listed}
        askable = [] if self._spec.kind == "recorded" else known.values()
        asked = [market for market in askable if market.market in self._listed]
        units = plan(job, self._spec, asked, covered, self._now_ms)
        self._lone = lone(units, known, observed) if told else []
        if self._spec.history_of_all and len(self._lone) < len(units):
            self._lone = []  # the history is asked in any case, and tells them all
        self._report.markets_listed = len(listed)
        self._report.markets_asked = len({unit.market for unit in units})
        wanted = job.markets.union(job.holes.get(name, ()))
        self._report.unknown_markets = wanted.difference(self._listed)
        settled = (m.last_settlement_ms for m in known.values() if m.last_settlement_ms)
        self._report.newest_ms = max(settled, default=None)
        self._intervals = {market: m.interval_hours for market, m in known.items()}
        self._progress.planned(name, forecast(self._spec, units, self._intervals))
        return units

    async def _newest(self, units: Sequence[Unit]) -> list[Unit]:
        """Take what is told for all markets at once; returns what is left to ask."""
        client, exchange = self._client, self._exchange
        taken = await ask_newest(client, exchange, self._lone, self._listed, self._now_ms)
        for answer in taken:
            await self._take(answer)
        told = {answer.market for answer in taken}
        return [unit for unit in units if unit.market not in told]

    async def _collect(self, found: Sequence[Query]) -> None:
        queue = deque(found)

        async def worker() -> None:
            while queue:
                query = queue.popleft()
                market = None if query.market is None else self._listed[query.market]
                try:
                    raw = await self._client.run(self._exchange.history(market, query.ask))
                except ExchangeError as error:
                    # A page that cannot hold one moment, or an exchange that wants a market named.
                    apart = isinstance(error, PageOverflowError | PermanentError)
                    if query.market is None and apart:
                        logger.warning("%s; asked market by market instead", error)
                        queue.extend(Query(unit.market, unit.ask, (unit,)) for unit in query.units)
                        for _ in range(self._spec.concurrency - 1):
                            group.create_task(worker())
                    else:
                        self._note_failure(query, error)
                else:
                    self._volume.page(self._spec, query.market, raw)
                    for answer in answers(self._spec, query, raw, self._listed, self._now_ms):
                        await self._take(answer)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._spec.concurrency, len(found))):
                group.create_task(worker())

    def _note_failure(self, query: Query, error: ExchangeError) -> None:
        failures, total = self._report.failures, self._report.markets_asked
        text = f"{query.market or 'all markets'}: {error}"
        failures.update((unit.market, text) for unit in query.units)
        logger.warning("%s", text)
        self._report.outcome = "partial"
        if len(failures) > FAILED_SHARE * total:
            raise ExchangeFailedError(
                f"{len(failures)} of {total} markets failed, the last one {text}", error
            )

    async def _take(self, answer: Answered) -> None:
        self._batch.append(answer)
        self._progress.advanced(self._spec.name, len(answer.rows))
        if answer.rows:
            newest = answer.rows[-1].slot_ms
            self._report.newest_ms = max(self._report.newest_ms or newest, newest)
        full = sum(len(waiting.rows) for waiting in self._batch) >= BATCH_ROWS
        if full or time.monotonic() - self._flushed_at > BATCH_SECONDS:
            await self._flush()

    async def _flush(self) -> None:
        async with self._merging:
            batch, self._batch = self._batch, []
            self._flushed_at = time.monotonic()
            await asyncio.to_thread(self._merge, batch)

    def _merge(self, batch: Sequence[Answered]) -> None:
        if not batch:
            return
        assert self._load_id is not None, "units exist only in an opened load"
        with self._database.open() as connection:
            counts = merge(connection, self._spec, batch, load_id=self._load_id, now=utc_now())
        self._report.counts.add(counts)
        self._volume.take(batch)
        if self._job.reason == "repair":
            self._answered += [(answer.market, answer.window) for answer in batch]

    def _end(self, load_id: int) -> None:
        """Merge the rest and close the load; the file is opened once for both."""
        with self._database.open():
            try:
                self._merge(self._batch)
            except Exception as broken:
                logger.exception(_BROKE, self._spec.name)
                self._fail(f"{type(broken).__name__}: {broken}")
            with self._database.open() as connection:
                close(
                    connection,
                    self._spec,
                    self._job,
                    self._report,
                    self._answered,
                    self._volume,
                    load_id,
                    utc_now(),
                )
