"""Which funding period a settlement pays for.

Belongs here: the order of evidence and the spacing rule, over plain lists of slots. Does not:
where declared intervals are stored, what an exchange declares.

Order of evidence: the row's own field; the exchange's fixed interval with dated eras; the market's
declared interval as observed at that time; spacing. The gap to the previous settlement alone is
not the interval: after a hole it is wrong. There is no default.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from funding_pipeline.domain.grid import HOUR_MS

ALLOWED_HOURS = frozenset({1, 2, 4, 8, 24})
DECLARED_NEAR_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class FixedInterval:
    """An exchange-wide interval: (first slot in ms, hours) eras, ascending, the first from 0."""

    eras: tuple[tuple[int, int], ...]

    def at(self, slot_ms: int) -> int:
        """Hours that a settlement at this slot pays for."""
        index = bisect_right(self.eras, slot_ms, key=lambda era: era[0]) - 1
        return self.eras[index][1]


@dataclass(frozen=True, slots=True)
class Observation:
    """The exchange declared `hours` at both ends of this span and was not seen to differ within."""

    from_ms: int
    to_ms: int
    hours: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A settlement as the spacing rule sees it. `hours` is its evidence, None where there is none.

    `seed` marks hours that were decided earlier from rows outside this list: they hold only for the
    first row, whose own gap is unknown here.
    """

    slot_ms: int
    hours: int | None = None
    seed: int | None = None


def declared_at(slot_ms: int, observations: Sequence[Observation]) -> int | None:
    """The declared interval that was observed on both sides of a slot."""
    for seen in observations:
        if seen.from_ms <= slot_ms <= seen.to_ms:
            return seen.hours
    return None


def declared_near(slot_ms: int, observations: Sequence[Observation]) -> int | None:
    """The declaration nearest to a slot within a day: provisional evidence for a newest row."""
    near = min(
        observations,
        key=lambda seen: max(seen.from_ms - slot_ms, slot_ms - seen.to_ms, 0),
        default=None,
    )
    if near is None or max(near.from_ms - slot_ms, slot_ms - near.to_ms, 0) > DECLARED_NEAR_MS:
        return None
    return near.hours


def intervals(rows: Sequence[Slot], observations: Sequence[Observation]) -> list[int | None]:
    """Hours of each row of one market, ascending by slot; None where there is no evidence at all.

    Spacing, with p = interval of the previous row, gp and gn = gaps before and after: gp if allowed
    and (gp <= p or gn >= gp); else gn if allowed; else p. First row: its seed, else gn. Newest row
    with gp > p: the interval declared now, provisional until a row follows.
    """
    decided: list[int | None] = []
    previous: int | None = None
    for index, row in enumerate(rows):
        before = _gap_hours(rows, index - 1)
        after = _gap_hours(rows, index)
        hours = row.hours or declared_at(row.slot_ms, observations)
        if hours is None and before is None and row.seed is not None:
            hours = row.seed
        if hours is None:
            hours = _by_spacing(row.slot_ms, previous, before, after, observations)
        decided.append(hours)
        previous = hours or previous
    return decided


def _by_spacing(
    slot_ms: int,
    previous: int | None,
    before: int | None,
    after: int | None,
    observations: Sequence[Observation],
) -> int | None:
    allowed_before = before if before in ALLOWED_HOURS else None
    allowed_after = after if after in ALLOWED_HOURS else None
    if after is None and (previous is None or before is None or before > previous):
        return declared_near(slot_ms, observations) or previous or allowed_before
    if before is None or previous is None:
        return allowed_after or allowed_before or declared_near(slot_ms, observations)
    if allowed_before and (before <= previous or (after is not None and after >= before)):
        return allowed_before
    return allowed_after or previous


def _gap_hours(rows: Sequence[Slot], index: int) -> int | None:
    """Hours between row `index` and the one after it."""
    if index < 0 or index + 1 >= len(rows):
        return None
    return (rows[index + 1].slot_ms - rows[index].slot_ms) // HOUR_MS


def covered_hours(interval_hours: int, gap_hours: int | None) -> int:
    """Weight of a settlement in means: real interval changes have odd steps (3 h, 6 h)."""
    return interval_hours if gap_hours is None else min(interval_hours, gap_hours)
