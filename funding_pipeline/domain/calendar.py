"""The settlement calendar: which settlements a market should have, and which of them are missing.

Belongs here: the rule, over plain slots. Does not: reading what is stored, why something is missing
(warehouse.gaps).

Expected are the stored settlements and those missing; a missing one is inferred from its stored
neighbours and the periods that these quote, never from a calendar of 00:00, 08:00, 16:00, for
exchanges settle late and change their intervals at odd hours. The rule errs on the side of fewest:

* Between two settlements `d` hours apart that quote `p` and `q` hours, `d // max(p, q) - 1` are
  missing. So a change of the interval (8 h to 1 h, with steps of 3, 5 or 6 h between) is no hole,
  nor is a settlement 1 to 3 hours late on 8 h; and across a hole in which the interval changed the
  longer one counts. (An interval that came and went within one hole leaves no trace: nothing but
  asking again tells.)
* Before the first settlement the interval of that one counts, back to the market's listing (whose
  own hour settles nothing, and whose first period may be cut short or left out) or to where
  collection began while the market lived already (whose hour counts).
* After the last one counts the longer of its own interval and the one declared now, up to a
  delisting or to the present.
* A market without any settlement should have settled at each whole multiple of its declared
  interval, the first one not counted.
* While the market was off its exchange's list it owes nothing.

Missing settlements of one gap are `hours` apart, so that first, number and step tell each one.
Times are UTC milliseconds on whole hours unless said otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.records import Window


@dataclass(frozen=True, slots=True)
class Settled:
    """A stored settlement: its hour, and the funding period in hours that it quotes."""

    slot_ms: int
    hours: int


@dataclass(frozen=True, slots=True)
class Gap:
    """`missing` settlements at `first_ms` and every `hours` from there."""

    first_ms: int
    missing: int
    hours: int

    @property
    def last_ms(self) -> int:
        return self.first_ms + (self.missing - 1) * self.hours * HOUR_MS

    @property
    def slots(self) -> range:
        return range(self.first_ms, self.last_ms + 1, self.hours * HOUR_MS)


@dataclass(frozen=True, slots=True)
class Life:
    """When settlements are expected of a market, as far as that is known (any milliseconds).

    start_ms: the listing, or where collection began in a market that `lived_before`; None where
    its first settlement is taken for the beginning. end_ms: last moment at which a settlement may
    lie; None where the last one is taken for the end. `hours`: the interval declared now. `absent`:
    ascending spans in which it was not listed.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    hours: int | None = None
    lived_before: bool = False
    absent: Sequence[Window] = ()


def gaps(settled: Sequence[Settled], life: Life) -> list[Gap]:
    """All gaps of a market, ascending. `settled` is its whole history in ascending order, one per
    hour; settlements outside `life` prove that it lived, whatever its dates say.
    """
    if not settled:
        found = [unsettled(life)]
    else:
        found = [head(settled[0], life)]
        for before, after in pairwise(settled):
            found += between(before, after, life.absent)
        found.append(tail(settled[-1], life))
    return [gap for gap in found if gap is not None]


def expected(settled: Sequence[Settled], life: Life, window: Window) -> list[int]:
    """The hours in [window.start, window.end) at which the market settled or should have."""
    slots = {row.slot_ms for row in settled}
    for gap in gaps(settled, life):
        slots.update(gap.slots)
    return sorted(slot for slot in slots if window.start_ms <= slot < window.end_ms)


def between(before: Settled, after: Settled, absent: Sequence[Window] = ()) -> list[Gap]:
    """Gaps between two neighbours, before and after the time in which the market was not listed."""
    for away in absent:
        if before.slot_ms < away.end_ms and away.start_ms < after.slot_ms:
            left = Settled(max(_floor(away.start_ms), before.slot_ms), before.hours)
            back = Settled(min(_ceil(away.end_ms), after.slot_ms), after.hours)
            later = [other for other in absent if other.start_ms >= away.end_ms]
            return [*between(before, left), *between(back, after, later)]
    hours = max(before.hours, after.hours)
    missing = (after.slot_ms - before.slot_ms) // HOUR_MS // hours - 1
    if missing < 1:
        return []
    # Counted from the neighbour whose interval it is: that one's grid is known.
    step = hours * HOUR_MS
    if before.hours == hours:
        return [Gap(before.slot_ms + step, missing, hours)]
    return [Gap(after.slot_ms - missing * step, missing, hours)]


def head(first: Settled, life: Life) -> Gap | None:
    """What lacks before a market's first settlement."""
    if life.start_ms is None or life.start_ms >= first.slot_ms:
        return None
    hours = (first.slot_ms - _ceil(life.start_ms)) // HOUR_MS
    missing = hours // first.hours - (0 if life.lived_before else 1)
    if missing < 1:
        return None
    return Gap(first.slot_ms - missing * first.hours * HOUR_MS, missing, first.hours)


def tail(last: Settled, life: Life) -> Gap | None:
    """What lacks after a market's last settlement."""
    if life.end_ms is None:
        return None
    hours = max(last.hours, life.hours or 0)
    missing = (life.end_ms - last.slot_ms) // HOUR_MS // hours
    return Gap(last.slot_ms + hours * HOUR_MS, missing, hours) if missing > 0 else None


def unsettled(life: Life) -> Gap | None:
    """What lacks of a market that never settled; nothing while its interval is not known."""
    if life.start_ms is None or life.end_ms is None or life.hours is None:
        return None
    step = life.hours * HOUR_MS
    return tail(Settled(-(-life.start_ms // step) * step, life.hours), life)


def from_slot(gap: Gap, start_ms: int) -> Gap | None:
    """The part of a gap that lies at `start_ms` or later."""
    step = gap.hours * HOUR_MS
    passed = max(0, -(-(start_ms - gap.first_ms) // step))
    missing = gap.missing - passed
    return Gap(gap.first_ms + passed * step, missing, gap.hours) if missing > 0 else None


def span(gap: Gap) -> Window:
    """Where to look for what is missing: all hours at which a settlement of the gap may lie, early
    or late ones included, neighbours not. Whole hours, since stamps come late within them.
    """
    slack = (gap.hours - 1) * HOUR_MS
    return Window(gap.first_ms - slack, gap.last_ms + slack + HOUR_MS)


def kept_since(look_back_days: int | None, now_ms: int) -> int:
    """The first whole hour that an exchange still tells of; 0 where it keeps everything."""
    if look_back_days is None:
        return 0
    # An hour less than it promises: what is asked while it expires is refused.
    return now_ms // HOUR_MS * HOUR_MS - look_back_days * DAY_MS + 2 * HOUR_MS


def joined(windows: Sequence[Window], reach_ms: int) -> Iterator[Window]:
    """Windows joined where less than `reach_ms` lies between them, ascending."""
    held: Window | None = None
    for window in sorted(windows):
        if held is not None and window.start_ms - held.end_ms < reach_ms:
            held = Window(held.start_ms, max(held.end_ms, window.end_ms))
            continue
        if held is not None:
            yield held
        held = window
    if held is not None:
        yield held


def _floor(time_ms: int) -> int:
    return time_ms // HOUR_MS * HOUR_MS


def _ceil(time_ms: int) -> int:
    return -(-time_ms // HOUR_MS) * HOUR_MS


def due_within(window: Window, hours: int, last_ms: int | None) -> int:
    """How many settlements at `hours` apart lie in a window, in step with the one at `last_ms`; of
    an unknown step as few as there may be.
    """
    every = hours * HOUR_MS
    if window.end_ms <= window.start_ms:
        return 0
    if last_ms is None:
        return (window.end_ms - window.start_ms) // every
    return -((last_ms - window.end_ms) // every) + ((last_ms - window.start_ms) // every)
