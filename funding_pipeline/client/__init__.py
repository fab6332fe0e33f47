"""For notebooks and scripts: questions to the published database, answered as polars frames.

    from funding_pipeline import client
    client.latest(asset="BTC")
    client.moving_averages(window="7d", newest=True).sort(
        "apr", descending=True, nulls_last=True
    )
    client.carry("2026-03-01", exchange=["bybit", "hyperliquid"], asset="ETH")

Every call opens what is published at that moment, reads, and closes: no lock, no writer waits, and
nothing goes stale in a long session. Common to all questions:

* `exchange`, `market` (the exchange's own name), `symbol`, `asset` (the key that joins markets
  across exchanges): a name or several, all if left out; a name that is not there is an error.
* `since`, `until`: a time (naive ones are UTC), a day, text such as "2026-03-01 08:00", or a
  timedelta that counts back from the newest settlement. Funding is paid for the hours before its
  stamp, so a span is (since, until]: from midnight to midnight it holds just the hours of the days
  between. A day as `until` is included.
* `database`: the file or data folder to read, that of FUNDING_DATA_DIR if left out.

Times are naive UTC whatever the machine's time zone. Rates are signed fractions of notional (+ =
longs pay), `apr` = hourly rate × 8760, simple: 0.1095 is 10.95 %. What rests on less than 80 % of
its hours is null and shows its `coverage`.

Belongs here: reading. Does not: formulas (transforms, migrations), pictures.
"""

from funding_pipeline.client.completeness import coverage
from funding_pipeline.client.filters import UnknownNameError
from funding_pipeline.client.markets import (
    hourly,
    latest,
    moving_averages,
    rates,
    stability,
    stats,
)
from funding_pipeline.client.positions import carry, cumulative, spreads
from funding_pipeline.client.published import NotPublishedError
from funding_pipeline.client.sql import query

__all__ = [
    "NotPublishedError",
    "UnknownNameError",
    "carry",
    "coverage",
    "cumulative",
    "hourly",
    "latest",
    "moving_averages",
    "query",
    "rates",
    "spreads",
    "stability",
    "stats",
]
