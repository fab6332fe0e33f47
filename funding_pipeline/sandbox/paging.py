"""Which settlements of one market a page of history holds.

Belongs here: the two orders that exchanges page in. Does not belong here: rows, parameters, and
lists of several markets (`settlements`).
"""

from funding_pipeline.sandbox.market import SandboxMarket
from funding_pipeline.sandbox.wire import Moment


def oldest_first(
    market: SandboxMarket, start_ms: int, end_ms: int, moment: Moment, limit: int
) -> range:
    """Indexes of the first `limit` settlements in [start, end], ascending."""
    low, high = market.settled(start_ms, end_ms, moment.now_ms)
    return range(low, min(high, low + moment.page_limit(limit)))


def newest_first(
    market: SandboxMarket, start_ms: int, end_ms: int, moment: Moment, limit: int, skip: int = 0
) -> range:
    """Indexes of the last `limit` settlements in [start, end] before the `skip` newest, falling."""
    low, high = market.settled(start_ms, end_ms, moment.now_ms)
    top = max(low, high - skip)
    return range(top - 1, max(low, top - moment.page_limit(limit)) - 1, -1)


def numbered_page(market: SandboxMarket, number: int, size: int, moment: Moment) -> range:
    """Indexes on a page of the whole history, newest first, pages counted from 1."""
    size = moment.page_limit(size)
    return newest_first(market, 0, moment.now_ms, moment, size, skip=(number - 1) * size)
