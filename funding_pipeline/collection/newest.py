"""What a tick need not ask market by market: the one settlement that is due, told for all at once.

Belongs here: of which markets the newest settlement is all that is missing, asking for it, and the
answers that are made of it. Does not: what is missing (planning), storing (load).

A newest settlement says nothing about those before it. It is the whole answer only where a market
lacks the single one that follows its last by the declared interval; whatever looks different (an
older hole, an interval that changed, another stamp, no row) is asked of the history. No sample is
compared: the correction sweep reads the same hours from the history and revises what differs.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.collection.planning import Unit, answered
from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.intervals import Observation
from funding_pipeline.domain.records import Answered, Market, RawSettlement
from funding_pipeline.exchanges.base import Exchange, ExchangeSpec, TellsNewest
from funding_pipeline.warehouse.markets import KnownMarket

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lone:
    """A unit that lacks one settlement: the hour it ends, the hours it pays for."""

    unit: Unit
    slot_ms: int
    interval_hours: int


def lone(
    units: Sequence[Unit],
    known: Mapping[str, KnownMarket],
    observed: Mapping[int, Sequence[Observation]],
) -> list[Lone]:
    """The units that lack exactly one settlement; `observed` are intervals by market_id."""
    windows = Counter(unit.market for unit in units)
    found = []
    for unit in units:
        market = known[unit.market]
        last, hours = market.last_settlement_ms, market.interval_hours
        if last is None or hours is None or windows[unit.market] > 1:
            continue
        slot, after = last + hours * HOUR_MS, last + 2 * hours * HOUR_MS
        alone = last < unit.window.start_ms <= slot < unit.window.end_ms <= after
        if alone and not _changed(observed.get(market.market_id, ()), hours, last):
            found.append(Lone(unit, slot, hours))
    return found


def _changed(observed: Iterable[Observation], hours: int, since_ms: int) -> bool:
    """Whether another interval was declared at any time since."""
    return any(seen.hours != hours and seen.to_ms >= since_ms for seen in observed)


def answers(
    spec: ExchangeSpec, wanted: Iterable[Lone], raw: Iterable[RawSettlement], now_ms: int
) -> list[Answered]:
    """The units that these rows answer; a row with another stamp or interval answers none."""
    rows = {row.market: row for row in raw}
    found = []
    for one in wanted:
        row = rows.get(one.unit.market)
        if row is None or row.interval_hours not in (None, one.interval_hours):
            continue
        answer = answered(spec, one.unit, [row], now_ms)
        if [valid.slot_ms for valid in answer.rows] == [one.slot_ms]:
            found.append(answer)
    return found


async def ask_newest(
    client: ExchangeClient,
    exchange: Exchange,
    wanted: Sequence[Lone],
    listed: Mapping[str, Market],
    now_ms: int,
) -> list[Answered]:
    """What the exchange tells at once of these units; nothing where that fails, with a warning."""
    if not wanted or not isinstance(exchange, TellsNewest):
        return []
    markets = [listed[one.unit.market] for one in wanted]
    try:
        raw: list[RawSettlement] = await client.run(exchange.newest(markets))
    except ExchangeError as error:
        logger.warning("%s; asked market by market instead", error)
        return []
    return answers(exchange.spec, wanted, raw, now_ms)
