"""What the row and volume checks say to all recorded settlements. Run: python -m … [FOLDER]

Belongs here: feeding recordings to the checks, and the table of their alarms. Does not: the checks.

Every settlement of every recording goes through `validate` and `implausible` as a row that came
just then, its past known. Caps: those that the exchanges declared in the recorded responses of
2026, taken to stand for the whole past, which is harder than what the pipeline asks of them. The
volume checks see an hourly tick over all markets between their first and last recorded settlement.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.plausible import Cap, implausible
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import RawSettlement
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.warehouse.volume import (
    LEAST_EXPECTED,
    LEAST_LISTED,
    LEAST_LOADS,
    LEAST_SHARE,
)
from funding_pipeline_tests.conftest import SHARED

WEEK_HOURS = 7 * 24
SHOWN = 6
# By recording: the exchange whose bounds hold, where it bears another name or none.
BOUNDS = {
    "hyperliquid_xyz": "hyperliquid",
    "apollox": "aster",
    "dydx_v3": "dydx",
    "bitmex": "bybit",
}
# Declared in 2026 for markets that are recorded (fundingInfo, instruments-info, contracts, funding
# rates); per interval, either way.
CAPS = {
    "binance": {"BTCUSDT": 0.003, "ETHUSDT": 0.003},
    "bybit": {"BTCUSDT": 0.00333, "ETHUSDT": 0.00333, "1000BONKPERP": 0.02, "0GUSDT": 0.005},
    "gate": {"BTC-USDT": 0.003, "ETH-USDT": 0.003},
    "kucoin": {"BTC-USDT": 0.003, "ETH-USDT": 0.00375},
    "mexc": {"BTC-USDT": 0.0018},
    "okx": {"BTC-USDT-SWAP": 0.00375, "BTC-USD-SWAP": 0.00375, "ETH-USDT-SWAP": 0.0075},
    "kraken": {"PF_XBTUSD": 0.001},
}


@dataclass(frozen=True)
class Alarms:
    """Of one recording: settlements, alarms by check, hours in which ticks sounded by finding."""

    name: str
    rows: int
    capped: int
    by_check: Counter[str]
    examples: Sequence[str]
    ticks: int
    by_finding: dict[str, list[int]]


def alarms_of(path: Path) -> Alarms:
    """Every check over one recording of settlements."""
    frame = pl.read_parquet(path).with_columns(pl.col("time").dt.epoch("ms")).sort("market", "time")
    name = path.stem
    bound = EXCHANGES[BOUNDS.get(name, name)].spec.max_abs_rate
    by_check: Counter[str] = Counter()
    examples = []
    capped = 0
    for (market,), own in frame.group_by("market", maintain_order=True):
        raw = [RawSettlement(str(market), t, repr(r)) for t, r in own.select("time", "rate").rows()]
        rows, rejected = validate(
            raw, unit=RateUnit.FRACTION, max_abs_rate=bound, now_ms=own["time"].max()  # type: ignore[arg-type]
        )  # fmt: skip
        high = CAPS.get(name, {}).get(str(market))
        capped += len(rows) if high else 0
        rejected += implausible(rows, (), (Cap(0, high, -high),) if high else ())
        by_check.update(row.reason.partition(":")[0] for row in rejected)
        examples += [f"{market} {row.raw.time_ms} {row.reason}" for row in rejected[:2]]
    ticks, by_finding = volume_alarms(frame)
    return Alarms(name, len(frame), capped, by_check, examples, ticks, by_finding)


def volume_alarms(frame: pl.DataFrame) -> tuple[int, dict[str, list[int]]]:
    """Hourly ticks over a recording: how many had something due, and the hours that would tell of
    each finding. Due is what the intervals before and after a hole agree on, as gaps are found.
    """
    hour = (pl.col("time") + 5_000) // HOUR_MS
    slots = frame.select("market", hour=hour, hours=pl.col("interval_hours").cast(pl.Int64))
    slots = slots.unique(["market", "hour"]).sort("market", "hour")
    step = pl.max_horizontal("hours", "next_hours")
    due = (
        slots.with_columns(
            until=pl.col("hour").shift(-1).over("market"),
            next_hours=pl.col("hours").shift(-1).over("market"),
        )
        .drop_nulls()
        .filter(step > 0)
        .select(due=pl.int_ranges(pl.col("hour") + step, pl.col("until") + 1, step))
        .explode("due")
        .drop_nulls()
        .group_by(hour="due")
        .agg(expected=pl.len())
    )
    came = slots.group_by("hour").agg(came=pl.len())
    ticks = due.join(came, on="hour", how="left").with_columns(pl.col("came").fill_null(0))
    ticks = ticks.sort("hour").with_columns(share=pl.col("came") / pl.col("expected"))
    compared = ticks.filter(pl.col("expected") >= LEAST_EXPECTED).with_columns(usual("share"))
    lives = slots.group_by("market").agg(first=pl.min("hour"), last=pl.max("hour"))
    listed = (
        lives.select(hour=pl.int_ranges("first", pl.col("last") + 1))
        .explode("hour")
        .group_by("hour")
        .agg(listed=pl.len())
        .sort("hour")
        .with_columns(usual("listed"))
    )
    found = {
        "no rows": ticks.filter(pl.col("came") == 0),
        "fewer rows": compared.filter(
            pl.col("came") > 0, pl.col("share") < LEAST_SHARE * pl.col("usual")
        ),
        "fewer markets": listed.filter(pl.col("listed") < LEAST_LISTED * pl.col("usual")),
    }
    return ticks.height, {name: hours["hour"].to_list() for name, hours in found.items()}


def usual(figure: str) -> pl.Expr:
    """The median of the 7 days before, once there are enough ticks."""
    time = pl.from_epoch(pl.col("hour") * 3600)
    median = pl.col(figure).rolling_median_by(
        time, f"{WEEK_HOURS}h", min_samples=LEAST_LOADS, closed="left"
    )
    return median.alias("usual")


def episodes(hours: Sequence[int]) -> Iterator[str]:
    """Alarms less than 25 hours apart as one: when it began and how many hours told of it."""
    start, count, last = 0, 0, None
    for hour in [*hours, None]:
        if last is not None and (hour is None or hour - last > 25):
            yield f"{datetime.fromtimestamp(start * 3600, UTC):%Y-%m-%d %H}h ({count})"
            count = 0
        if hour is not None:
            start, count, last = (start if count else hour), count + 1, hour


def all_alarms(folder: Path) -> Iterator[Alarms]:
    """Recording by recording; polled running rates are no settlements and left out."""
    for path in sorted(folder.glob("*.parquet")):
        if not path.stem.endswith("_snapshot"):
            yield alarms_of(path)


def main(folder: Path) -> None:
    total: Counter[str] = Counter()
    rows = 0
    print(f"{'recording':16}{'settlements':>12}{'with a cap':>12}{'ticks':>8}  rows quarantined")
    for found in all_alarms(folder):
        told = ", ".join(f"{check} {count:,}" for check, count in found.by_check.items())
        print(
            f"{found.name:16}{found.rows:12,}{found.capped:12,}{found.ticks:8,}  {told or 'none'}"
        )
        for example in found.examples[:3]:
            print(f"    e.g. {example}")
        for finding, hours in found.by_finding.items():
            if hours:
                when = list(episodes(hours))
                more = f", and {len(when) - SHOWN} more" if len(when) > SHOWN else ""
                print(f"    {finding} in {len(hours):,} ticks: {', '.join(when[:SHOWN])}{more}")
        total += found.by_check
        rows += found.rows
    print(f"{rows:,} settlements, {total.total():,} of them would have been quarantined")
    print("Each tick named lies in a hole or at the end of the recording: see its index.")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "recorded")
