"""Three exchanges with 40 days that are known to the last rate, derived and published.

Belongs here: the history, how it comes into a data folder, and the same as plain rows to compute
with. Run: python -m … prints what the client answers from FUNDING_DATA_DIR.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from funding_pipeline import client
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.warehouse.world import DECLARED, at, collect, time_of

END = 40 * 24  # 2025-04-10 00:00 UTC, counted in hours from 2025-03-01
NEWEST = time_of(END)
HOLE = (20 * 24, 22 * 24)  # bybit's BTC has no settlement in there: (start, end]
GONE = 30 * 24  # the last settlement of the market that is delisted
_EIGHT = range(8, END + 1, 8)
_ONE = range(1, END + 1)


@dataclass(frozen=True)
class Made:
    exchange: str
    market: str
    symbol: str
    interval: int
    hours: Sequence[int]
    offset: int  # added to the rates, in millionths


MADE = (
    Made("bybit", "BTCUSDT", "BTC", 8, [h for h in _EIGHT if not HOLE[0] < h <= HOLE[1]], 0),
    Made("bybit", "ETHUSDT", "ETH", 8, _EIGHT, 30),
    Made("bybit", "OLDUSDT", "OLD", 8, range(8, GONE + 1, 8), 5),
    Made("hyperliquid", "BTC", "BTC", 1, _ONE, 40),
    Made("hyperliquid", "ETH", "ETH", 1, _ONE, -20),
    Made("okx", "BTC-USDT-SWAP", "BTC", 8, _EIGHT, 200),
)


def millionths(made: Made, hour: int) -> int:
    """The rate of a settlement; every market has others."""
    return hour % 89 - 44 + made.offset


@dataclass(frozen=True)
class Paid:
    exchange: str
    market: str
    symbol: str
    time: datetime
    rate: float
    interval: int


def paid() -> Iterator[Paid]:
    """Every settlement there is, by exchange, market and time."""
    for made in MADE:
        for hour in made.hours:
            rate = float(f"{millionths(made, hour) * 1e-6:.6f}")
            yield Paid(made.exchange, made.market, made.symbol, time_of(hour), rate, made.interval)


def store(database: Database, *, start: int = 0, end: int = END) -> None:
    """Collect the settlements of [start, end], in hours from the beginning, derive, publish."""
    now = time_of(end) + timedelta(minutes=40)
    for exchange in {made.exchange: None for made in MADE}:
        ours = [made for made in MADE if made.exchange == exchange]
        history = {
            made.market: [
                RawSettlement(made.market, at(h), f"{millionths(made, h) * 1e-6:.6f}")
                for h in made.hours
            ]
            for made in ours
        }
        with database.open() as connection:
            for gone, seen in ((False, time_of(start)), (True, now)):
                listed = [m for m in ours if not gone or m.symbol != "OLD" or end <= GONE]
                record_markets(connection, exchange, [_listed(made) for made in listed], seen)
                if not gone:
                    window = Window(at(start), at(end + 1))
                    declaration = replace(DECLARED, name=exchange)
                    collect(connection, history, window, declaration=declaration, now=now)
    derive(database, now=now)
    publish(database)


def _listed(made: Made) -> Market:
    return Market(
        market=made.market,
        symbol=made.symbol,
        quote="USD",
        settle="USD",
        interval_hours=made.interval,
        listed_at_ms=at(0),
    )


def answers() -> Iterator[str]:
    """What the client says to questions in which local time would show."""
    week = timedelta(days=7)
    for frame in (
        client.rates(asset="BTC", since="2025-03-08", until="2025-03-10"),
        client.hourly(exchange="bybit", since="2025-03-09 01:00", until="2025-03-09 12:00"),
        client.stats(asset="ETH", since="2025-03-08", until="2025-03-10"),
        client.moving_averages(window="24h", newest=True),
        client.latest(),
        client.spreads(window=None),
        client.carry(week),
        client.cumulative("2025-04-09", exchange="okx"),
        client.coverage(),
        client.query("SELECT CAST(TIMESTAMPTZ '2025-03-09 00:00:00+00' AS TIMESTAMP) AS midnight"),
    ):
        yield frame.write_csv()


if __name__ == "__main__":
    print(*answers(), sep="\n")
