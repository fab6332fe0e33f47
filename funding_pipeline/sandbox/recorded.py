"""Markets from recorded Parquet files: `<exchange>.parquet`, one row per settlement.

Columns used: `market`, `time`, `rate`, `interval_hours`. Belongs here: reading those files,
shifting them in time, ordering markets by relevance. Does not belong here: snapshots of running
estimates (`*_snapshot.parquet`), which did not settle, and anything of the wire formats.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import polars as pl

from funding_pipeline.sandbox.market import DAY_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.wire import Exchange

# Shifted data reach at least this far ahead of now, to be revealed as time passes.
AHEAD_MS = 3 * DAY_MS
_LEADERS = ("BTC", "ETH", "SOL")
_RATE_CAPS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.1, 1.0)


def load_recorded(
    folder: Path,
    exchanges: Iterable[Exchange],
    *,
    now_ms: int,
    markets: int | None = None,
    shift_to_now: bool = False,
) -> Dataset:
    """The recorded markets of those `exchanges` that the folder has files of."""
    found: dict[str, tuple[SandboxMarket, ...]] = {}
    shifts: dict[str, int] = {}
    for exchange in exchanges:
        files = [folder / f"{stem}.parquet" for stem in exchange.recorded_files]
        files = [file for file in files if file.exists()]
        if not files:
            continue
        frame = pl.concat([_read(file) for file in files])
        days = _shift_days(frame, now_ms) if shift_to_now else 0
        found[exchange.name] = _markets(frame, exchange, days * DAY_MS, markets)
        shifts[exchange.name] = days
    return Dataset(found, source="recorded", shift_days=shifts)


def _read(file: Path) -> pl.DataFrame:
    return (
        pl.scan_parquet(file)
        .select(
            "market",
            pl.col("time").dt.epoch("ms").alias("time_ms"),
            "rate",
            pl.col("interval_hours").cast(pl.Int64),
        )
        .sort("market", "time_ms")
        .collect()
    )


def _shift_days(frame: pl.DataFrame, now_ms: int) -> int:
    last_ms = int(frame.select(pl.col("time_ms").max()).item())
    return max(0, -(-(now_ms + AHEAD_MS - last_ms) // DAY_MS))


def _markets(
    frame: pl.DataFrame, exchange: Exchange, shift_ms: int, limit: int | None
) -> tuple[SandboxMarket, ...]:
    parts = frame.partition_by("market", maintain_order=True)
    parts.sort(key=lambda part: _relevance(exchange, part))
    return tuple(_market(part, exchange, shift_ms) for part in parts[:limit])


def _relevance(exchange: Exchange, part: pl.DataFrame) -> tuple[int, int, str]:
    symbol = str(part["market"][0])
    base, _ = exchange.split_symbol(symbol)
    leader = _LEADERS.index(base) if base in _LEADERS else len(_LEADERS)
    return leader, -part.height, symbol


def _market(part: pl.DataFrame, exchange: Exchange, shift_ms: int) -> SandboxMarket:
    symbol = str(part["market"][0])
    base, quote = exchange.split_symbol(symbol)
    times = array("q", (part["time_ms"] + shift_ms).to_list())
    rates = array("d", part["rate"].to_list())
    highest = max(abs(rate) for rate in rates)
    return SandboxMarket(
        symbol=symbol,
        base=base,
        quote=quote,
        times=times,
        rates=rates,
        interval_hours_at=_interval_rule(times, part["interval_hours"].to_list()),
        rate_cap=next((cap for cap in _RATE_CAPS if cap >= highest), highest),
    )


def _interval_rule(times: Sequence[int], hours: Sequence[int]) -> Callable[[int], int]:
    """Only the changes are kept: (last settlement before the change, interval from then on)."""
    changes = [i for i in range(1, len(hours)) if hours[i] != hours[i - 1]]
    since = array("q", [times[i - 1] for i in changes])
    intervals = [hours[0], *(hours[i] for i in changes)]

    def interval_hours_at(ms: int) -> int:
        return intervals[bisect_right(since, ms)]

    return interval_hours_at
