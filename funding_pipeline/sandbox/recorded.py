"""Markets from recorded Parquet files: `<exchange>.parquet`, one row per settlement.

Columns used: `market`, `time`, `rate`, `interval_hours`. Where an exchange declares `Snapshots`,
its file holds polls of the running rate (`interval_hours` not used, `mark_price` if it is there)
and each settlement is the last poll before it; after `POLL_HOLDS_MS` without a poll there is none.

Belongs here: reading those files, shifting them in time, ordering markets by relevance. Does not
belong here: anything of the wire formats.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import polars as pl

from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Dataset, SandboxMarket
from funding_pipeline.sandbox.wire import Exchange, Snapshots

# Shifted data reach at least this far ahead of now, to be revealed as time passes.
AHEAD_MS = 3 * DAY_MS
# A poll says nothing about what the rate was later than that.
POLL_HOLDS_MS = 6 * HOUR_MS
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
    notes: dict[str, str] = {}
    for exchange in exchanges:
        parts = [_read(file) for file in _existing(folder, exchange.recorded_files)]
        if exchange.snapshots is not None:
            for file in _existing(folder, [exchange.snapshots.file]):
                parts.append(_read_polls(file, exchange.snapshots))
                notes[exchange.name] = exchange.snapshots.note
        if not parts:
            continue
        frame = pl.concat(parts)
        days = _shift_days(frame, now_ms) if shift_to_now else 0
        found[exchange.name] = _markets(frame, exchange, days * DAY_MS, markets)
        shifts[exchange.name] = days
    return Dataset(found, source="recorded", shift_days=shifts, notes=notes)


def _existing(folder: Path, stems: Iterable[str]) -> list[Path]:
    files = [folder / f"{stem}.parquet" for stem in stems]
    return [file for file in files if file.exists()]


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


def _read_polls(file: Path, snapshots: Snapshots) -> pl.DataFrame:
    """Settlements that follow from polls; the polls themselves where the exchange accrues."""
    lazy = pl.scan_parquet(file)
    prices = [name for name in ("mark_price",) if name in lazy.collect_schema().names()]
    time_ms = pl.col("time").dt.epoch("ms").alias("time_ms")
    polls = lazy.select("market", time_ms, "rate", *prices).sort("time_ms").collect()
    hours = snapshots.settles_hours
    if hours is not None:
        step_ms = hours * HOUR_MS
        spans = polls.group_by("market").agg(
            ((pl.col("time_ms").min() // step_ms + 1) * step_ms).alias("first"),
            (pl.col("time_ms").max() + POLL_HOLDS_MS).alias("last"),
        )
        grid = spans.select(
            "market", pl.int_ranges("first", pl.col("last") + 1, step_ms).alias("time_ms")
        ).explode("time_ms")
        polls = (
            grid.sort("time_ms")
            .join_asof(
                polls,
                on="time_ms",
                by="market",
                tolerance=POLL_HOLDS_MS,
                allow_exact_matches=False,
                check_sortedness=False,
            )
            .drop_nulls("rate")
        )
    return polls.select(
        "market",
        "time_ms",
        pl.col("rate") * snapshots.scale,
        pl.lit(hours or 1, pl.Int64).alias("interval_hours"),
        *prices,
    ).sort("market", "time_ms")


def _shift_days(frame: pl.DataFrame, now_ms: int) -> int:
    last_ms = int(frame.select(pl.col("time_ms").max()).item())
    return max(0, -(-(now_ms + AHEAD_MS - last_ms) // DAY_MS))


def _markets(
    frame: pl.DataFrame, exchange: Exchange, shift_ms: int, limit: int | None
) -> tuple[SandboxMarket, ...]:
    parts = frame.partition_by("market", maintain_order=True)
    parts.sort(key=lambda part: _relevance(exchange, part))
    return tuple(
        _market(part, exchange, shift_ms, number) for number, part in enumerate(parts[:limit])
    )


def _relevance(exchange: Exchange, part: pl.DataFrame) -> tuple[int, int, str]:
    symbol = exchange.native(str(part["market"][0]))
    base, _ = exchange.split_symbol(symbol)
    leader = _LEADERS.index(base) if base in _LEADERS else len(_LEADERS)
    return leader, -part.height, symbol


def _market(part: pl.DataFrame, exchange: Exchange, shift_ms: int, number: int) -> SandboxMarket:
    symbol = exchange.native(str(part["market"][0]))
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
        number=number,
        prices=array("d", part["mark_price"].to_list()) if "mark_price" in part.columns else None,
    )


def _interval_rule(times: Sequence[int], hours: Sequence[int]) -> Callable[[int], int]:
    """Only the changes are kept: (last settlement before the change, interval from then on)."""
    changes = [i for i in range(1, len(hours)) if hours[i] != hours[i - 1]]
    since = array("q", [times[i - 1] for i in changes])
    intervals = [hours[0], *(hours[i] for i in changes)]

    def interval_hours_at(ms: int) -> int:
        return intervals[bisect_right(since, ms)]

    return interval_hours_at
