"""Real recordings of single exchanges through sandbox, engine and warehouse: exactly what they are.

The clock stands at the end of each window, so that an exchange's look-back holds as it did then.
"""

from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pytest

from funding_pipeline.collection.engine import collect_each
from funding_pipeline.collection.planning import Job
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import EXCHANGES, select
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.end_to_end.support import ms, sandbox_settings

pytestmark = pytest.mark.slow

HOUR = 3_600_000
# What each window holds: an interval change, a hole, odd steps, jitter.
WINDOWS = {
    "okx, 8 h and 4 h": ("okx", (2026, 4, 5), (2026, 6, 30)),
    "kraken, missing hours": ("kraken", (2025, 6, 1), (2026, 3, 7)),
    "dydx, jitter up to a second": ("dydx", (2026, 1, 25), (2026, 3, 7)),
    "gate, 752 hours missing": ("gate", (2020, 11, 1), (2021, 2, 1)),
    "htx, odd steps": ("htx", (2021, 1, 2), (2023, 12, 31)),
    "kucoin, off the grid of 8 h": ("kucoin", (2021, 1, 2), (2023, 12, 31)),
    "mexc": ("mexc", (2021, 1, 2), (2023, 12, 31)),
}


def recording(folder: Path, name: str, window: Window) -> pl.DataFrame:
    """Market, hour, rate and interval (null where the recording has none)."""
    frame = pl.read_parquet(folder / f"{name}.parquet")
    return (
        frame.with_columns(
            pl.col("market").replace_strict({m: SANDBOX[name].native(m) for m in frame["market"]}),
            ((pl.col("time").dt.epoch("ms") + 5_000) // HOUR * HOUR).alias("hour"),
        )
        .filter(pl.col("hour").is_between(window.start_ms, window.end_ms, closed="left"))
        .select("market", "hour", "rate", pl.col("interval_hours").cast(pl.Int64))
        .sort("market", "hour")
    )


@pytest.mark.parametrize(("name", "first", "last"), WINDOWS.values(), ids=WINDOWS.keys())
def test_a_recording_comes_out_as_it_is(
    name: str,
    first: tuple[int, int, int],
    last: tuple[int, int, int],
    recorded_dir: Path,
    tmp_path: Path,
) -> None:
    if name not in EXCHANGES:
        pytest.skip(f"{name} is not known")
    window = Window(ms(*first), ms(*last))
    now_ms = window.end_ms + 10 * 60_000
    world = load_recorded(recorded_dir, [SANDBOX[name]], now_ms=now_ms)
    with running_sandbox(world, now=lambda: now_ms) as url:
        settings = sandbox_settings(tmp_path / "data", url)
        job = Job("backfill", window)
        (report,) = collect_each(
            select(settings, [name]), job, settings, Database(settings), now_ms=now_ms
        )
    assert (report.outcome, report.counts.quarantined) == ("complete", 0), report.summary()
    with duckdb.connect(str(settings.history_path), read_only=True) as connection:
        stored = connection.execute(
            """SELECT market, epoch_ms(funding_time) AS hour, rate, interval_hours
            FROM funding_rates ORDER BY market, funding_time"""
        ).fetchall()
    truth = recording(recorded_dir, name, window).rows()
    assert len(truth) > 100
    assert [row[:3] for row in stored] == [row[:3] for row in truth]
    labels = Counter(
        (row[3], real[3]) for row, real in zip(stored, truth, strict=True) if row[3] != real[3]
    )
    # Where the exchange settled in odd steps (3, 5, 6 h) the recording holds the step, we the
    # period that was quoted; one row without any spacing has no label at all.
    assert all(real is None or real not in (1, 2, 4, 8) for _, real in labels), labels
