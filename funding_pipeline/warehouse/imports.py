"""Merging imported settlements: what the exchange itself sent stays as it is.

Belongs here: one load per exchange, batch by batch, conflicts with the exchange's rows, what counts
as collected. Does not: formats (imports), the merge of a batch (merge), words for a person (cli).

An import is a load like any other: validated, with the same rule of intervals, revised by a later
import, replaced by what the exchange sends. A killed one is resumed by running it again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from funding_pipeline.domain.records import (
    Answered,
    Market,
    Quarantined,
    Slotted,
    Window,
)
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.imports.base import Portion, Source
from funding_pipeline.imports.naming import market_of
from funding_pipeline.imports.series import Series, series
from funding_pipeline.warehouse.database import (
    Database,
    transaction,
    utc_now,
)
from funding_pipeline.warehouse.ledger import (
    Event,
    Origin,
    Outcome,
    claim_origin,
    end_load,
    record_events,
    start_load,
)
from funding_pipeline.warehouse.merge import MergeCounts, merge
from funding_pipeline.warehouse.precedence import (
    Difference,
    Sent,
    agrees,
    evidence,
    sent_beside,
)
from funding_pipeline.warehouse.unlisted import record_unlisted
from funding_pipeline.warehouse.windows import record_windows

BATCH_ROWS = 50_000
_NOTHING = Window(0, 0)


@dataclass(slots=True)
class ImportReport:
    """What an import did to one exchange. `read`: rows of the source; `confirmed`: those that the
    exchange had sent with the same value; `tight`: see imports.series.
    """

    exchange: str
    load_id: int
    read: int = 0
    counts: MergeCounts = field(default_factory=MergeCounts)
    confirmed: int = 0
    differences: dict[str, Difference] = field(default_factory=dict)
    tight: int = 0
    new_markets: list[str] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """Settlements that differ from what the exchange sent, which stays."""
        return sum(difference.count for difference in self.differences.values())


def import_source(
    database: Database,
    source: Source,
    specs: Mapping[str, ExchangeSpec],
    *,
    origin: Origin,
    complete: bool,
    place: str,
    now_ms: int,
) -> Iterator[ImportReport]:
    """Import what `specs` knows of a source, exchange by exchange; a report as each one ends.

    `complete`: the source holds every settlement between each market's first and last one there,
    so that these spans count as collected. `place` says in the events where it came from.
    MixedOriginError before anything is stored if the database holds data of the other origin.
    """
    with database.open() as connection:
        claim_origin(connection, origin)
    for exchange, portions in groupby(source.portions, key=lambda portion: portion.exchange):
        if exchange in specs:
            load = _Import(database, specs[exchange], source, list(portions), now_ms)
            yield load.run(complete, place)


class _Import:
    """One exchange's share of a source."""

    def __init__(
        self,
        database: Database,
        spec: ExchangeSpec,
        source: Source,
        portions: Sequence[Portion],
        now_ms: int,
    ) -> None:
        self._database = database
        self._spec = spec
        self._source = source
        self._portions = portions
        self._now_ms = now_ms
        # Each market's last row so far: its interval may depend on the row that follows it.
        self._held: dict[str, Slotted] = {}
        self._spans: dict[str, tuple[Window, int]] = {}

    def run(self, complete: bool, place: str) -> ImportReport:
        window = Window(
            min(portion.window.start_ms for portion in self._portions),
            max(portion.window.end_ms for portion in self._portions),
        )
        name = self._spec.name
        with self._database.open() as connection:
            load_id = start_load(connection, name, "import", window, utc_now())
        self._report = ImportReport(name, load_id)
        outcome: Outcome = "interrupted"
        error: str | None = None
        try:
            self._store()
            outcome = "complete"
        except Exception as failure:
            outcome, error = "failed", f"{type(failure).__name__}: {failure}"
            raise
        finally:
            self._end(outcome, error, complete, place)
        return self._report

    def _store(self) -> None:
        batch: list[Series] = []
        waiting = 0
        for portion in self._portions:
            for found in series(portion.rows(), self._spec, portion.unit, self._now_ms):
                batch.append(found)
                waiting += len(found.rows)
                self._report.tight += found.tight
                self._report.read += len(found.rows) + len(found.rejected)
                if waiting >= BATCH_ROWS:
                    self._merge(batch)
                    batch, waiting = [], 0
        self._merge(batch)
        self._merge([Series(market, [], [], 0) for market in self._held], last=True)

    def _merge(self, batch: Sequence[Series], *, last: bool = False) -> None:
        if not batch:
            return
        by_market: dict[str, tuple[list[Slotted], list[Quarantined]]] = {}
        for found in batch:
            rows, rejected = by_market.setdefault(found.market, ([], []))
            rows += found.rows
            rejected += found.rejected
            self._count(found)
        with self._database.open() as connection:
            answers = []
            pieces = {m: self._piece(m, rows, last) for m, (rows, _) in by_market.items()}
            sent = sent_beside(connection, self._spec.name, pieces)
            for market, (rows, following) in pieces.items():
                theirs = sent.get(market, {})
                own = [row for row in rows if not self._settled(market, row, theirs)]
                context = {row.slot_ms: row for row in following}
                context |= {slot: evidence(market, slot, *it) for slot, it in theirs.items()}
                answers.append(
                    Answered(market, _NOTHING, own, list(context.values()), by_market[market][1])
                )
            self._report.new_markets += record_unlisted(
                connection, self._spec.name, self._unknown(answers), utc_now()
            )
            counts = merge(
                connection,
                self._spec,
                answers,
                load_id=self._report.load_id,
                now=utc_now(),
                source="import",
            )
        self._report.counts.add(counts)

    def _piece(
        self, market: str, rows: list[Slotted], last: bool
    ) -> tuple[list[Slotted], list[Slotted]]:
        """What is stored now, with the row held back before, and the row held back now."""
        if held := self._held.pop(market, None):
            rows = [held, *rows]
        if last or not rows:
            return rows, []
        self._held[market] = rows[-1]
        return rows[:-1], rows[-1:]

    def _settled(self, market: str, row: Slotted, theirs: Sent) -> bool:
        """Whether the exchange itself has sent this settlement; a difference is noted."""
        found = theirs.get(row.slot_ms)
        if found is None:
            return False
        if agrees(row, found):
            self._report.confirmed += 1
        else:
            self._report.differences.setdefault(market, Difference()).note(row, found)
        return True

    def _unknown(self, answers: Iterable[Answered]) -> list[Market]:
        """Identities of the markets to be stored; the registry leaves alone those that it knows."""
        name = self._spec.name
        return [
            self._source.markets.get((name, answer.market)) or market_of(name, answer.market)
            for answer in answers
            if answer.rows or answer.context
        ]

    def _count(self, found: Series) -> None:
        if not found.rows:
            return
        first, last = found.rows[0].slot_ms, found.rows[-1].slot_ms
        window, rows = self._spans.get(found.market, (Window(first, last + 1), 0))
        wider = Window(min(window.start_ms, first), max(window.end_ms, last + 1))
        self._spans[found.market] = (wider, rows + len(found.rows))

    def _end(self, outcome: Outcome, error: str | None, complete: bool, place: str) -> None:
        report, name, now = self._report, self._spec.name, utc_now()
        events = [
            Event("imported", None, f"{self._source.name}, {place}: {report.read:,} rows"),
            *(note.event(market) for market, note in report.differences.items()),
        ]
        with self._database.open() as connection:
            if complete and outcome == "complete":
                spans = [(market, *span) for market, span in self._spans.items()]
                with transaction(connection):
                    record_windows(connection, name, spans, report.load_id)
            record_events(connection, name, events, report.load_id, now)
            end_load(
                connection,
                report.load_id,
                outcome,
                rows_new=report.counts.new,
                rows_changed=report.counts.changed,
                requests=0,
                error=error,
                now=now,
            )
