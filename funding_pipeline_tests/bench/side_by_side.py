"""Whether exchanges keep each other waiting: all of them at once, and the slowest one alone.

On the simulated clock of `pace`, limits on: only waiting passes time there, so what is measured is
that no exchange waits for another one's limit, lock or turn. What processors need is no part of it:
on a machine with two of them every exchange at once is bound by these (`floor` and `ticks`).
"""

import asyncio
from collections.abc import Iterator, Sequence

from funding_pipeline.collection.engine import collect
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.grid import DAY_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.bench.figures import Figure
from funding_pipeline_tests.bench.pace import (
    Pace,
    simulated,
    simulated_now_ms,
    simulation,
)

_DAYS = 30
_MARKETS = 5


def side_by_side_figures() -> Iterator[Figure]:
    """A backfill of all exchanges over that of the one that ends last, alone."""
    names = [name for name, exchange in EXCHANGES.items() if exchange.spec.kind == "settled"]
    ended = seconds(names)
    slowest = max(ended, key=lambda name: ended[name])
    alone = seconds([slowest])[slowest]
    yield Figure(
        "exchanges side by side: wall ÷ slowest alone",
        ended[slowest] / alone,
        1.1,
        "",
        f"{len(names)} exchanges, {_MARKETS} markets each, {_DAYS} days, limits on, on a simulated "
        f"clock for which only waiting counts; {slowest} alone {alone:.0f} s",
    )


def seconds(
    names: Sequence[str], *, days: int = _DAYS, markets: int = _MARKETS
) -> dict[str, float]:
    """When each exchange of one collection was done."""
    ended: dict[str, float] = {}
    with (
        simulation(names, markets) as (loop, _, transport, settings),
        simulated(loop, transport, Pace("all")),
    ):

        async def together() -> None:
            now_ms = simulated_now_ms(loop)
            job = Job("backfill", Window((now_ms // DAY_MS - days) * DAY_MS, now_ms))
            chosen = [EXCHANGES[name] for name in names]
            database = Database(settings)
            async for report in collect(chosen, job, settings, database, now_ms=now_ms):
                if report.outcome != "complete":
                    raise AssertionError(report.summary())
                ended[report.exchange] = asyncio.get_running_loop().time()

        loop.run_until_complete(together())
    return ended
