"""What a load does and did, for people and for metadata.

Belongs here: the figures of one exchange's load, its one-line summary, and what it tells while it
goes.
"""

from dataclasses import dataclass, field

from funding_pipeline.collection.client import Traffic
from funding_pipeline.collection.planning import Forecast
from funding_pipeline.domain.errors import ErrorKind
from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.ledger import Outcome
from funding_pipeline.warehouse.merge import MergeCounts


class Progress:
    """What a run tells about itself while it goes; override what you want to show."""

    def planned(self, exchange: str, forecast: Forecast) -> None:
        """A plan was made."""

    def advanced(self, exchange: str, rows: int) -> None:
        """One more unit was answered, with so many rows."""


@dataclass(slots=True)
class LoadReport:
    """One exchange's load. `newest_ms`: newest settlement seen or stored, if any.

    `markets_listed`: on the exchange now; `markets_asked`: of those, lacking something. `volume`:
    what tells that it brought too little. `error_kind`: what the exchange did, where it failed
    because of that. `trying`: the exchange had been left alone after failures, and this load was
    the try.
    """

    exchange: str
    window: Window
    load_id: int | None = None
    outcome: Outcome = "complete"
    markets_listed: int = 0
    markets_asked: int = 0
    counts: MergeCounts = field(default_factory=MergeCounts)
    traffic: Traffic = field(default_factory=Traffic)
    newest_ms: int | None = None
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    error_kind: ErrorKind | None = None
    trying: bool = False
    unknown_markets: frozenset[str] = frozenset()
    volume: list[str] = field(default_factory=list)

    @property
    def nothing_new(self) -> bool:
        """Nothing came, and nobody expected it: the exchange is left alone, or its try failed."""
        return self.outcome == "skipped" or (self.trying and self.outcome == "failed")

    def summary(self) -> str:
        """One line a person can read."""
        if self.outcome == "failed":
            return f"{self.exchange}: FAILED: {self.error}"
        if self.outcome == "skipped":
            return (
                f"{self.exchange}: not asked: {self.error} "
                f"(`funding backfill --exchange {self.exchange}` tries at once)"
            )
        text = (
            f"{self.exchange}: {self.counts.new:,} new, {self.counts.changed:,} changed, "
            f"{self.counts.unchanged:,} unchanged; {self.markets_asked} of {self.markets_listed} "
            f"markets asked, {self.traffic.requests:,} requests, {self.seconds:.1f} s"
        )
        if self.counts.quarantined:
            text += f"; {self.counts.quarantined} rows quarantined"
        if self.volume:
            text += f"; {'; '.join(self.volume)}"
        if self.failures:
            text += (
                f"; {len(self.failures)} markets failed, e.g. {next(iter(self.failures.values()))}"
            )
        return text
