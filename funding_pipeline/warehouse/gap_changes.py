"""What a scan changes about the known gaps: which are new, which are gone, which go on as others.

Belongs here: the comparison, without a database. Does not: finding gaps (gap_scan, gap_edges),
writing (gaps).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from funding_pipeline.domain.calendar import Gap
from funding_pipeline.warehouse.database import milliseconds, timestamp
from funding_pipeline.warehouse.gap_events import Told
from funding_pipeline.warehouse.gap_scan import Scan

COLUMNS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "first_missing": pl.Datetime("us"),
    "last_missing": pl.Datetime("us"),
    "missing": pl.Int32(),
    "interval_hours": pl.Int16(),
    "state": pl.String(),
    "reason": pl.String(),
    "found_at": pl.Datetime("us"),
    "asked_times": pl.Int32(),
    "first_asked": pl.Datetime("us"),
    "last_asked": pl.Datetime("us"),
    "closed_at": pl.Datetime("us"),
    "answers": pl.String(),
}


@dataclass(frozen=True, slots=True)
class GapRow:
    """A row of `base.gaps`."""

    market_id: int
    first_missing: datetime
    last_missing: datetime
    missing: int
    interval_hours: int
    state: str
    reason: str
    found_at: datetime
    asked_times: int = 0
    first_asked: datetime | None = None
    last_asked: datetime | None = None
    closed_at: datetime | None = None
    answers: str | None = None

    def values(self) -> tuple[object, ...]:
        """In the order of `COLUMNS`."""
        return tuple(getattr(self, name) for name in COLUMNS)

    def told(self) -> Told:
        """For the events."""
        return self.market_id, self.first_missing, self.last_missing, self.missing


@dataclass(slots=True)
class Changes:
    """`stale` rows make way for `fresh` ones; `new` of these were not known, `vanished` of those
    are missing no more. `lessened`: gaps that remain in part; `missing` is what came of them.
    """

    stale: list[GapRow] = field(default_factory=list)
    fresh: list[GapRow] = field(default_factory=list)
    new: list[GapRow] = field(default_factory=list)
    vanished: list[GapRow] = field(default_factory=list)
    lessened: list[GapRow] = field(default_factory=list)


def compare(
    known: Mapping[int, Sequence[GapRow]],
    scan: Scan,
    outer: Mapping[int, tuple[int, int]],
    now: datetime,
) -> Changes:
    """Of the known gaps only those count that lie in what was searched. `outer`: first and last
    settlement of each market that has any. A gap that overlaps a known one continues it.
    """
    changes = Changes()
    for market_id in sorted(known.keys() | scan.found.keys()):
        old = [
            row for row in known.get(market_id, ()) if _searched(row, scan, outer.get(market_id))
        ]
        gaps = sorted(scan.found.get(market_id, ()), key=lambda gap: gap.first_ms)
        same = {_key(row) for row in old} & {(g.first_ms, g.missing, g.hours) for g in gaps}
        gone = [row for row in old if _key(row) not in same]
        kept: set[int] = set()
        for gap in gaps:
            if (gap.first_ms, gap.missing, gap.hours) in same:
                continue
            parent = next((n for n, row in enumerate(gone) if _overlaps(row, gap)), None)
            row = _row(market_id, gap, None if parent is None else gone[parent], now)
            changes.fresh.append(row)
            if parent is None:
                changes.new.append(row)
            else:
                kept.add(parent)
        changes.stale += gone
        changes.vanished += [row for n, row in enumerate(gone) if n not in kept]
        for n in sorted(kept):
            fewer = gone[n].missing - sum(g.missing for g in gaps if _overlaps(gone[n], g))
            if fewer > 0:
                changes.lessened.append(replace(gone[n], missing=fewer))
    return changes


def _searched(row: GapRow, scan: Scan, outer: tuple[int, int] | None) -> bool:
    first, last = milliseconds(row.first_missing), milliseconds(row.last_missing)
    if outer is None or first < outer[0] or last > outer[1]:
        return True
    window = scan.between.get(row.market_id)
    return window is not None and window.start_ms <= last and first <= window.end_ms


def _key(row: GapRow) -> tuple[int, int, int]:
    return milliseconds(row.first_missing), row.missing, row.interval_hours


def _overlaps(row: GapRow, gap: Gap) -> bool:
    return milliseconds(row.first_missing) <= gap.last_ms and gap.first_ms <= milliseconds(
        row.last_missing
    )


def _row(market_id: int, gap: Gap, parent: GapRow | None, now: datetime) -> GapRow:
    first, last = timestamp(gap.first_ms), timestamp(gap.last_ms)
    if parent is None:
        return GapRow(market_id, first, last, gap.missing, gap.hours, "open", "unknown", now)
    return replace(
        parent,
        first_missing=first,
        last_missing=last,
        missing=gap.missing,
        interval_hours=gap.hours,
    )


def as_frame(rows: Sequence[GapRow]) -> pl.DataFrame:
    """As a frame for SQL, columns as in the table."""
    return pl.DataFrame([row.values() for row in rows], schema=COLUMNS, orient="row")
