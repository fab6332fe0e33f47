"""What the canaries are tried on: two worlds collected through the whole pipeline, and recordings.

Belongs here: collecting them, once each, and reading them as the canaries get to see them. Does
not: mistakes, verdicts (`mutation_table`).
"""

import re
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.estimates import sample_estimates
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.records import Window
from funding_pipeline.domain.symbols import unify
from funding_pipeline.exchanges.registry import EXCHANGES, select
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOXED
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.warehouse.database import Database, milliseconds
from funding_pipeline_tests.end_to_end.support import PROJECT, sandbox_settings

RECORDED_DIR = PROJECT.parent / "shared" / "recorded"
# Exchanges with recordings around the day of the mistake.
RECORDED = (
    "binance",
    "bybit",
    "dydx",
    "edgex",
    "hyperliquid",
    "kraken",
    "lighter",
    "okx",
    "paradex",
)
MISTAKE = datetime(2026, 2, 24, 5)
BEFORE, AFTER = timedelta(days=7), timedelta(days=8)
MARKETS = 25
_HOUR = timedelta(hours=1)


def collected(folder: Path, world: Dataset, names: tuple[str, ...]) -> pl.DataFrame:
    """The settlements around the mistake of these exchanges, as the canaries get to see them."""
    clock = MISTAKE - BEFORE
    end = MISTAKE + AFTER
    with (
        running_sandbox(world, limits=False, now=lambda: milliseconds(clock)) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("funding_pipeline.collection.estimates.utc_now", lambda: clock)
        settings = sandbox_settings(folder, url)
        database = Database(settings)
        sampled = [name for name in names if EXCHANGES[name].spec.kind == "recorded"]
        while sampled and clock < end:
            clock += _HOUR - timedelta(minutes=4)
            sample_estimates(select(settings, sampled), settings, database)
            clock += timedelta(minutes=4)
        clock = end
        window = Window(milliseconds(MISTAKE - BEFORE), milliseconds(end))
        chosen = select(settings, names)
        for report in collect_each(
            chosen, Job("backfill", window), settings, database, now_ms=milliseconds(end)
        ):
            if report.outcome != "complete":
                raise RuntimeError(report.summary())
    with database.open() as connection:
        frame: pl.DataFrame = connection.sql(
            """SELECT exchange, asset, funding_time, rate_hourly FROM funding_rates
            ORDER BY funding_time, exchange, asset"""
        ).pl()
    return frame


def generated(folder: Path) -> pl.DataFrame:
    """All exchanges on invented markets."""
    return collected(folder, generate(SANDBOXED.values(), markets=MARKETS), tuple(EXCHANGES))


def recorded(folder: Path) -> pl.DataFrame:
    """The exchanges that were recorded then, on what was recorded."""
    return collected(folder, load_dataset(RECORDED_DIR), RECORDED)


def recordings() -> pl.DataFrame:
    """All recorded rates since 2023 (`RECORDED_DIR`), exchanges outside the registry as well.

    Polls count as settlements: the last one of each hour, of edgex's 4 hours. Left out:
    hyperliquid's polls, whose settlements are there, and what the index warns of at paradex.
    """
    frames = []
    for file in sorted(RECORDED_DIR.glob("*.parquet")):
        name, polled = file.stem.removesuffix("_xyz"), file.stem.endswith("_snapshot")
        if file.stem != "hyperliquid_snapshot":
            frames.append(_recording(file, name.removesuffix("_snapshot"), polled))
    since = datetime(2023, 1, 1)
    return pl.concat(frames).filter(pl.col("funding_time") > since).sort("funding_time")


def _recording(file: Path, exchange: str, polled: bool) -> pl.DataFrame:
    utc = pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us"))
    frame = pl.read_parquet(file).drop_nulls("rate")
    assets = {market: _asset(exchange, market) for market in frame["market"].unique()}
    frame = frame.select(
        "market",
        asset=pl.col("market").replace_strict(assets, return_dtype=pl.String),
        exchange=pl.lit(exchange),
        funding_time=(utc + timedelta(seconds=5)).dt.truncate("1h"),
        rate_hourly=pl.col("rate") / pl.col("interval_hours"),
    )
    if polled:
        last = frame.group_by("market", "asset", "exchange", "funding_time", maintain_order=True)
        frame = last.last().with_columns(pl.col("funding_time") + _HOUR)
    if exchange == "edgex":
        frame = frame.filter(pl.col("funding_time").dt.hour() % 4 == 0)
    if exchange == "paradex":
        frame = frame.filter(~pl.col("asset").is_in(["BTC", "ETH", "HYPE"]))
    return frame.select("exchange", "asset", "funding_time", "rate_hourly")


def _asset(exchange: str, market: str) -> str:
    """By the sandbox's reading of the symbol, of closed exchanges by leaving off the quote."""
    if exchange in SANDBOXED:
        told = SANDBOXED[exchange]
        base, _ = told.split_symbol(told.native(market))
    else:
        base = re.sub(r"[-_]?USD[TC]?$", "", market)
    return unify(base.split(":")[-1])[0]
