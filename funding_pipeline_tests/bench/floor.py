"""What the engine costs beyond the bare work: a month of one exchange, without limits.

Belongs here: the same requests by a bare script (httpx, msgspec, Arrow into DuckDB, no checks) and
by ccxt's asynchronous client with a plain insert, in turns with the engine in one run. Does not:
limits (pace).
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import ccxt.async_support
import duckdb
import httpx
import msgspec
import polars as pl

from funding_pipeline.collection.engine import collect
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.bench.figures import Figure

_ROUNDS = 5
_PAGE = 500
_START_MS = round(datetime(2025, 5, 1, tzinfo=UTC).timestamp() * 1000)
_END_MS = round(datetime(2025, 6, 1, tzinfo=UTC).timestamp() * 1000)
_AT_ONCE = EXCHANGES["hyperliquid"].spec.concurrency


class _Row(msgspec.Struct):
    coin: str
    fundingRate: str
    time: int


Collector = Callable[[str, Path], Awaitable[int]]


def floor_figures(recorded: Path | None) -> Iterator[Figure]:
    """Hyperliquid in May 2025: recorded where the recordings are, else generated."""
    with _sandbox(recorded) as url:
        seconds: dict[str, list[float]] = {"bare": [], "engine": [], "ccxt": []}
        rows: dict[str, int] = {}
        for _ in range(_ROUNDS):
            for name, collector in (("bare", _bare), ("engine", _engine), ("ccxt", _ccxt)):
                with tempfile.TemporaryDirectory() as folder:
                    # The engine's tables are made once in the life of a database.
                    with Database(_settings(url, Path(folder))).open():
                        pass
                    started = time.perf_counter()
                    rows[name] = asyncio.run(_run(collector, url, Path(folder)))
                    seconds[name].append(time.perf_counter() - started)
    if len(set(rows.values())) != 1:
        raise AssertionError(f"not the same rows: {rows}")
    median = {name: statistics.median(values) for name, values in seconds.items()}
    told = ", ".join(f"{name} {value:.2f} s" for name, value in median.items())
    source = "recorded" if recorded else "generated"
    note = f"hyperliquid, May 2025, {source}, {rows['engine']:,} rows; medians: {told}"
    yield Figure(
        "without limits: engine ÷ bare script", median["engine"] / median["bare"], 1.5, "", note
    )
    yield Figure("without limits: engine ÷ ccxt", median["engine"] / median["ccxt"], 1.0)


async def _run(collector: Collector, url: str, folder: Path) -> int:
    return await collector(url, folder)


async def _engine(url: str, folder: Path) -> int:
    settings = _settings(url, folder)
    job = Job("backfill", Window(_START_MS, _END_MS))
    reports = collect(
        [EXCHANGES["hyperliquid"]],
        job,
        settings,
        Database(settings),
        now_ms=time.time_ns() // 1_000_000,
    )
    (report,) = [report async for report in reports]
    if report.outcome != "complete":
        raise AssertionError(report.summary())
    return report.counts.new


def _settings(url: str, folder: Path) -> Settings:
    return Settings(data_dir=folder, sandbox_url=url, limits=False)


async def _bare(url: str, folder: Path) -> int:
    decode = msgspec.json.Decoder(list[_Row]).decode
    async with httpx.AsyncClient(base_url=f"{url}/hyperliquid") as http:

        async def ask(**body: Any) -> bytes:
            return (await http.post("/info", json=body)).content

        coins = []
        for dex in msgspec.json.decode(await ask(type="perpDexs")):
            meta = {"dex": dex["name"]} if dex else {}
            told, _ = msgspec.json.decode(await ask(type="metaAndAssetCtxs", **meta))
            coins += [one["name"] for one in told["universe"]]

        async def history(coin: str) -> list[_Row]:
            rows: list[_Row] = []
            start = _START_MS
            while start < _END_MS:
                page = decode(
                    await ask(
                        type="fundingHistory", coin=coin, startTime=start, endTime=_END_MS - 1
                    )
                )
                rows += page
                if len(page) < _PAGE:
                    break
                start = page[-1].time + 1
            return rows

        found = await _side_by_side(history, coins)
    return _insert(folder, [(r.coin, r.time, float(r.fundingRate)) for r in found])


async def _ccxt(url: str, folder: Path) -> int:
    client = ccxt.async_support.hyperliquid({"enableRateLimit": False})
    client.urls["api"] = dict.fromkeys(client.urls["api"], f"{url}/hyperliquid")
    try:
        markets = await client.load_markets()

        async def history(symbol: str) -> list[Any]:
            rows: list[Any] = []
            start = _START_MS
            while start < _END_MS:
                page = await client.fetch_funding_rate_history(symbol, start, _PAGE)
                rows += [row for row in page if row["timestamp"] < _END_MS]
                if len(page) < _PAGE or page[-1]["timestamp"] >= _END_MS:
                    break
                start = page[-1]["timestamp"] + 1
            return rows

        found = await _side_by_side(history, [s for s, m in markets.items() if m["swap"]])
    finally:
        await client.close()
    return _insert(folder, [(r["symbol"], r["timestamp"], r["fundingRate"]) for r in found])


async def _side_by_side(
    history: Callable[[str], Awaitable[list[Any]]], names: list[str]
) -> list[Any]:
    rows: list[Any] = []
    waiting = iter(names)

    async def worker() -> None:
        for name in waiting:
            rows.extend(await history(name))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(worker())
    return rows


def _insert(folder: Path, rows: list[tuple[str, int, float]]) -> int:
    frame = pl.DataFrame(
        rows,
        schema={"market": pl.String, "time_ms": pl.Int64, "rate": pl.Float64},
        orient="row",
    )
    with duckdb.connect(str(folder / "bare.duckdb")) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE rates AS FROM frame")
    return len(frame)


@contextmanager
def _sandbox(recorded: Path | None) -> Iterator[str]:
    """A sandbox in a process of its own, without limits."""
    data = ["--data", str(recorded)] if recorded else []
    script = "from funding_pipeline.cli import main; main()"
    command = [sys.executable, "-c", script, "sandbox", "--no-limits", "--port", "0", *data]
    process = Popen(command, stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.removeprefix("sandbox ready at ").split()[0]
    finally:
        process.terminate()
        process.wait()
