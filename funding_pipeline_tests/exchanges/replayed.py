"""A recorded stretch of time, served by the sandbox and collected by the exchange module.

Belongs here: putting both sides beside each other. Does not: what is expected of them (the
exchanges' own tests).
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from funding_pipeline.domain.rates import fraction
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Moment
from funding_pipeline_tests.exchanges.spoken import answer_of, drive


@dataclass(frozen=True)
class Replayed:
    """One market: the fraction by stamp as collected and as recorded, the rows, the requests."""

    told: dict[int, float]
    recorded: dict[int, float]
    raw: list[RawSettlement]
    requests: int


def replay(name: str, folder: Path, window: Window, now_ms: int) -> dict[str, Replayed]:
    """Every market of `<name>.parquet`, as its exchange would tell of the window at `now_ms`."""
    exchange, sandbox = EXCHANGES[name], SANDBOX[name]
    moment = Moment(load_recorded(folder, [sandbox], now_ms=now_ms), now_ms)

    def answer(request: Request) -> bytes:
        return msgspec.json.encode(answer_of(name, request, moment).payload)

    frame = pl.read_parquet(folder / f"{name}.parquet").with_columns(pl.col("time").dt.epoch("ms"))
    inside = frame.filter(pl.col("time").is_between(window.start_ms, window.end_ms, "left"))
    found = {}
    for market in drive(exchange.markets(), answer)[0]:
        raw, requests = drive(exchange.history(market, window), answer)
        part = inside.filter(pl.col("market") == market.market)
        found[market.market] = Replayed(
            {row.time_ms: fraction(row.rate_text, exchange.spec.rate_unit) for row in raw},
            dict(zip(part["time"], part["rate"], strict=True)),
            raw,
            len(requests),
        )
    return found
