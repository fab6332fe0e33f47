"""What the mutation table claims, on recorded rates; and declarations broken on the real way in.

The table itself is printed by `make mutations`, the false alarms by `make false-alarms`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec import structs

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOXED
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.transforms.baseline import FACTORS
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.holds import held
from funding_pipeline_tests.end_to_end import canary_worlds
from funding_pipeline_tests.end_to_end.canary_worlds import MARKETS, MISTAKE
from funding_pipeline_tests.end_to_end.mutation_table import MISTAKES, caught, false_alarms
from funding_pipeline_tests.end_to_end.support import ms, sandbox_settings

pytestmark = pytest.mark.slow

VOUCHED = ("binance", "bybit", "edgex", "hyperliquid", "lighter")


@pytest.fixture(scope="module")
def recordings(recorded_dir: Path) -> pl.DataFrame:
    assert recorded_dir == canary_worlds.RECORDED_DIR
    return canary_worlds.recordings()


@pytest.fixture(scope="module")
def weeks(recordings: pl.DataFrame) -> pl.DataFrame:
    """Those around the mistake."""
    fortnight = timedelta(days=14)
    return recordings.filter(
        pl.col("funding_time").is_between(MISTAKE - fortnight, MISTAKE + fortnight)
    )


@pytest.mark.parametrize("factor", MISTAKES)
@pytest.mark.parametrize("exchange", VOUCHED)
def test_with_a_baseline_the_first_settlement_gives_it_away(
    weeks: pl.DataFrame, exchange: str, factor: float
) -> None:
    case = caught(weeks, exchange, factor)
    assert case is not None
    assert case.after <= timedelta(hours=3)  # 8 h markets settle three hours after it
    assert FACTORS[factor] in case.mistake
    assert case.others == ()


@pytest.mark.parametrize(
    ("factor", "days"), [(100.0, 1), (1 / 100, 1), (24.0, 1), (8.0, 1), (-1.0, 6), (1 / 8, 7)]
)
def test_paradex_has_none_and_takes_up_to_a_week(
    weeks: pl.DataFrame, factor: float, days: int
) -> None:
    case = caught(weeks, "paradex", factor)
    assert case is not None and case.others == ()
    assert case.after <= timedelta(days=days)


def test_a_factor_of_three_is_within_what_paradex_honestly_did(weeks: pl.DataFrame) -> None:
    assert caught(weeks, "paradex", 3.0) is None


def test_no_false_alarm_since_2023(recordings: pl.DataFrame) -> None:
    assert list(false_alarms(recordings)) == []


# --- the real way in: sandbox, requests, parsing, merge, derivation


def mirrored(rows: list[RawSettlement]) -> list[RawSettlement]:
    return [
        structs.replace(
            row, rate_text=row.rate_text[1:] if row.rate_text[0] == "-" else f"-{row.rate_text}"
        )
        for row in rows
    ]


def mistaken(exchange: Exchange, spec: dict[str, Any], parsed: Callable[..., Any]) -> Exchange:
    """The exchange with parts of its declaration, or what it parses, wrong."""

    def history(self: Exchange, *asked: Any) -> Any:
        return parsed((yield from type(exchange).history(exchange, *asked)))

    wrong = {"spec": replace(exchange.spec, **spec), "history": history}
    return type("Mistaken", (type(exchange),), wrong)()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("exchange", "spec", "parsed", "factor"),
    [
        ("bybit", {"rate_unit": RateUnit.PERCENT}, list, 1 / 100),
        ("lighter", {"rate_unit": RateUnit.FRACTION}, list, 100.0),
        ("hyperliquid", {"interval": FixedInterval(((0, 8),))}, list, 1 / 8),
        ("bybit", {}, mirrored, -1.0),
    ],
)
def test_a_broken_module_is_held_by_the_first_derivation(
    tmp_path: Path, exchange: str, spec: dict[str, Any], parsed: Any, factor: float
) -> None:
    names = ("bybit", "hyperliquid", "lighter")
    clock = ms(2026, 9, 20, 12, 40)
    world = generate((SANDBOXED[name] for name in names), markets=MARKETS)
    with running_sandbox(world, limits=False, now=lambda: clock) as url:
        settings = sandbox_settings(tmp_path / "data", url)
        database = Database(settings)
        chosen = [
            mistaken(right, spec, parsed) if right.spec.name == exchange else right
            for right in select(settings, names)
        ]
        job = Job("backfill", Window(ms(2026, 9, 18), clock))
        for report in collect_each(chosen, job, settings, database, now_ms=clock):
            assert report.outcome == "complete", report.summary()
    derive(database, now=timestamp(clock))
    with database.open() as connection:
        (hold,) = held(connection)
        left = connection.execute("SELECT DISTINCT exchange FROM latest_rates").fetchall()
    assert hold.exchange == exchange
    assert FACTORS[factor] in hold.mistake
    assert {name for (name,) in left} == set(names) - {exchange}
