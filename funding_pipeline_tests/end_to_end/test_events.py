"""Which kinds of events really come: whole loads against a sandbox in which everything happens."""

from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from funding_pipeline.collection import load as load_module
from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import TICK_REACH_MS, Job
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.faults import Fault, FaultPlan
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp, transaction
from funding_pipeline.warehouse.event_kinds import MEANINGS
from funding_pipeline.warehouse.gaps import refresh
from funding_pipeline.warehouse.repairs import ask_again, due
from funding_pipeline_tests.end_to_end.support import sandbox_settings

T0 = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000
T1 = T0 + DAY_MS
T2 = T1 + DAY_MS

# Written by what these loads do not reach; seen in the tests of each.
ELSEWHERE = {
    "imported", "imported market", "import differs", "symbol collision", "run failed",
    "quarantined", "dropped", "volume", "held", "released", "alert sent",
}  # fmt: skip


def market(
    base: str, *, late: int | None = None, without: range = range(0), first: int = -30
) -> SandboxMarket:
    """Every 8 hours from number `first` to 30, counted from T0; one three minutes late."""
    numbers = [n for n in range(first, 31) if n not in without]
    return SandboxMarket(
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        times=array("q", [T0 + n * 8 * HOUR_MS + (180_000 if n == late else 0) for n in numbers]),
        rates=array("d", [(n % 7 - 3) * 0.00001 for n in numbers]),
        interval_hours_at=lambda ms: 8,
        rate_cap=0.01,
    )


def hourly(base: str) -> SandboxMarket:
    return SandboxMarket(
        symbol=base,
        base=base,
        quote="USDC",
        times=array("q", [T0 + n * HOUR_MS for n in range(-300, 300)]),
        rates=array("d", [0.00001] * 600),
        interval_hours_at=lambda ms: 1,
        rate_cap=0.04,
    )


BASES = ("BTC", "ETH", "SOL", "XRP", "DOGE", "MATIC")
DATASET = Dataset(
    {
        "bybit": (
            *map(market, BASES),
            market("LTC", late=-3),
            market("ADA", without=range(-5, -3)),
            market("NEW", first=5),
        ),
        "hyperliquid": (hourly("BTC"), hourly("SOL")),
    },
    source="test",
)
FAULTS = [
    Fault(kind="delisted", exchange="hyperliquid", market="SOL", time=T1),
    Fault(kind="relisted", exchange="bybit", market="XRPUSDT", time=T1, until=T2),
    Fault(kind="interval_change", exchange="bybit", market="DOGEUSDT", time=T1, hours=4),
    Fault(kind="renamed", exchange="bybit", market="MATICUSDT", to="POLUSDT", time=T1),
    Fault(kind="late_correction", exchange="bybit", market="ETHUSDT", time=T0 - 8 * HOUR_MS),
    Fault(kind="legal_block", exchange="bybit", market="BTCUSDT", after=2, times=1),
    Fault(kind="geo_block", exchange="hyperliquid", times=3),
]


class World:
    """The sandbox's and the pipeline's one clock."""

    def __init__(self, settings: Settings, clock: list[int], patch: pytest.MonkeyPatch) -> None:
        self.settings, self._clock, self._patch = settings, clock, patch
        self.database = Database(settings)

    def load(
        self, reason: Any, start_ms: int, now_ms: int, *exchanges: str, **job: Any
    ) -> list[LoadReport]:
        """Run a load to its end."""
        self._clock[0] = now_ms
        self._patch.setattr(load_module, "utc_now", lambda: timestamp(now_ms))
        wanted = Job(reason, Window(start_ms, now_ms), **job)
        chosen = select(self.settings, exchanges)
        return list(collect_each(chosen, wanted, self.settings, self.database, now_ms=now_ms))

    def look_for_gaps(self, now_ms: int) -> None:
        with self.database.open() as connection, transaction(connection):
            refresh(connection, now=timestamp(now_ms), markets=())

    def repair(self, now_ms: int) -> None:
        with self.database.open() as connection:
            holes = due(
                connection,
                kept_since={"bybit": 0},
                tick_reach_ms=TICK_REACH_MS,
                now=timestamp(now_ms),
            ).holes
        self.load("repair", T0 - 10 * DAY_MS, now_ms, "bybit", holes=holes)

    def change(self, sql: str) -> None:
        with self.database.open() as connection:
            connection.execute(sql)

    def kinds(self, where: str = "true") -> set[str]:
        with self.database.open() as connection:
            found = connection.execute(f"SELECT DISTINCT kind FROM events WHERE {where}")
            return {kind for (kind,) in found.fetchall()}


@pytest.fixture
def world(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[World]:
    clock = [T0]
    with running_sandbox(DATASET, faults=FaultPlan(FAULTS), now=lambda: clock[0]) as url:
        yield World(sandbox_settings(settings.data_dir, url), clock, monkeypatch)


@pytest.mark.slow
def test_every_kind_comes_when_it_happens(world: World) -> None:
    now = T0 + HOUR_MS
    # The days of T0 - 6 to - 4 are left out at first.
    world.load("backfill", T0 - 4 * DAY_MS, now, "bybit")
    assert world.kinds() == {"collected", "late stamp"}, "a first list is no news"
    world.load("backfill", T0 - 9 * DAY_MS, now, "bybit", markets=frozenset(["ETHUSDT"]))
    world.change("DELETE FROM events")
    world.look_for_gaps(now)
    assert world.kinds() == {"gap found"}, "two of ADA lack on the exchange, too"
    world.change("DELETE FROM events")

    # Three tries over more than a day; a person has other ideas.
    for hours in (2, 15, 27):
        world.repair(T0 + hours * HOUR_MS)
    assert "gap given up" in world.kinds()
    with world.database.open() as connection:
        ask_again(connection, ["bybit"], now=timestamp(T1 + 3 * HOUR_MS))
    assert world.kinds("kind LIKE 'gap %'") == {"gap given up", "gap asked for again"}

    # A day later some markets are not what they were.
    world.load("tick", T0 - 6 * DAY_MS, T1 + 17 * HOUR_MS, "bybit")
    assert {"unlisted", "renamed", "interval changed", "listed"} <= world.kinds()
    world.change("UPDATE settlements SET interval_hours = 4 WHERE funding_time = '2026-03-01'")
    world.change("UPDATE base.markets SET rate_cap = 0.5, symbol = 'XBT' WHERE market = 'BTCUSDT'")
    world.load("sweep", T0 - 2 * DAY_MS, T2 + HOUR_MS, "bybit", refetch=True)
    assert {
        "relisted", "revised", "reinterpreted", "cap changed", "identity changed", "market failed",
    } <= world.kinds()  # fmt: skip

    # Ticks missed for a while leave a hole, the next backfill fills it.
    world.change("DELETE FROM events WHERE kind LIKE 'gap %'")
    gone = "'2026-02-27' AND '2026-02-28'"
    world.change(f"DELETE FROM settlements WHERE funding_time BETWEEN {gone}")
    with world.database.open() as connection, transaction(connection):
        connection.execute("DELETE FROM base.gap_watermark")
        refresh(connection, now=timestamp(T2 + HOUR_MS), markets=())
    world.load("sweep", T0 - 4 * DAY_MS, T2 + 2 * HOUR_MS, "bybit", refetch=True)
    world.look_for_gaps(T2 + 3 * HOUR_MS)
    assert {"gap found", "gap filled"} <= world.kinds("kind LIKE 'gap %'")

    for minute in range(3):
        world.load("tick", T0, T0 + minute * 60_000, "hyperliquid")
    world.load("backfill", T0, T0 + 5 * 60_000, "hyperliquid", insist=True)
    assert world.kinds("exchange = 'hyperliquid'") == {
        "breaker opened", "breaker closed", "collected",
    }  # fmt: skip
    world.load("tick", T0, T1 + HOUR_MS, "hyperliquid")
    assert "delisted" in world.kinds("exchange = 'hyperliquid'")


@pytest.mark.slow
def test_a_load_is_one_event_and_one_that_brings_nothing_is_none(world: World) -> None:
    now = T0 + HOUR_MS
    for _ in range(3):
        world.load("backfill", T0 - 3 * DAY_MS, now, "bybit")
    world.load("sweep", T0 - 3 * DAY_MS, now, "bybit", refetch=True)
    with world.database.open() as connection:
        found = connection.execute(
            "SELECT exchange, market, detail, load_id FROM events WHERE kind = 'collected'"
        ).fetchall()
    assert found == [("bybit", None, "78 new settlements (backfill)", 1)]


def test_the_kinds_that_do_not_come_here_are_registered() -> None:
    assert set(MEANINGS) >= ELSEWHERE
