"""From the rows as sent to rows fit for the warehouse: unit, bounds, slot; or quarantine.

Belongs here: every check that needs nothing but the rows and the declaration. Does not: intervals
(they need stored neighbours), a market's own caps and past (plausible), comparison with other
exchanges.
"""

from collections.abc import Iterable

from funding_pipeline.domain.grid import slot_of
from funding_pipeline.domain.rates import RateUnit, fraction
from funding_pipeline.domain.records import Quarantined, RawSettlement, Slotted

FUTURE_MS = 60_000


def validate(
    rows: Iterable[RawSettlement], *, unit: RateUnit, max_abs_rate: float, now_ms: int
) -> tuple[list[Slotted], list[Quarantined]]:
    """Rows of one market, ascending by slot, one per slot; and the rows that failed, with reason.

    Reasons, each naming its check up to the colon: not a number, beyond the exchange's bound, in
    the future, off the grid, or slot taken: another row is nearer (on a tie the earlier stamp, then
    the first sent, stays). An exact repetition is the same row twice and vanishes.
    """
    slots: dict[int, Slotted] = {}
    rejected: list[Quarantined] = []
    for raw in rows:
        try:
            rate = fraction(raw.rate_text, unit, raw.interval_hours)
        except ValueError as error:
            rejected.append(Quarantined(raw, f"not a number: {error}"))
            continue
        slot = slot_of(raw.time_ms)
        if abs(rate) > max_abs_rate:
            rejected.append(Quarantined(raw, f"beyond the bound: |{rate}| > {max_abs_rate}"))
        elif raw.time_ms > now_ms + FUTURE_MS:
            rejected.append(
                Quarantined(raw, f"in the future: {(raw.time_ms - now_ms) / 1000:.0f} s")
            )
        elif slot is None:
            rejected.append(Quarantined(raw, "off grid: no whole hour within -5 s .. +30 min"))
        else:
            row = Slotted(slot, rate, raw)
            other = slots.setdefault(slot, row)
            if other is not row and other.raw != raw:
                near, far = sorted((other, row), key=lambda r: (abs(r.lag_ms), r.lag_ms))
                slots[slot] = near
                rejected.append(Quarantined(far.raw, "slot taken: another row is nearer to it"))
    return [slots[slot] for slot in sorted(slots)], rejected
