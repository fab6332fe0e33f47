"""Recorded windows as series of settlements, and a database that holds them and what is derived.

Belongs here: which rows of the recordings are settlements, what the markets are. Does not: any
figure (`by_definition`).

* Seven months: bybit and hyperliquid, 2024-10-01 to 2025-05-15, all as settled.
* Five exchanges: 2026-02-15 to 2026-03-20. Binance and bybit as settled, of hyperliquid 15 coins.
  The rest of hyperliquid, lighter and paradex were only polled: the last poll of an hour stands for
  its settlement. All polls are samples as well, and so is binance's open interest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from funding_pipeline.warehouse.database import Database, visible
from funding_pipeline.warehouse.derive import derive

EPOCH = datetime(1970, 1, 1)
HOUR = timedelta(hours=1)
# So many hours without a settlement at an edge of the window: listed or delisted within it.
SETTLING = 72


@dataclass(frozen=True)
class Series:
    """One market's settlements; hours are counted from 1970-01-01."""

    market_id: int
    exchange: str
    market: str
    asset: str
    hour: NDArray[np.int64]
    rate: NDArray[np.float64]
    interval: NDArray[np.int64]
    listed: int | None  # the hour of its listing and its end, if within the window
    delisted: int | None


@dataclass(frozen=True)
class Recording:
    """A window (start, end]; samples: market_id, observed_at, rate, interval_hours, mark_price,
    open_interest_usd.
    """

    start: int
    end: int
    series: Sequence[Series]
    samples: pl.DataFrame

    @property
    def now(self) -> datetime:
        return time_of(self.end) + timedelta(minutes=40)


def hour_of(time: datetime) -> int:
    return (time - EPOCH) // HOUR


def time_of(hour: int) -> datetime:
    return EPOCH + int(hour) * HOUR


def asset_of(market: str) -> str:
    """BTCUSDT, BTCPERP, BTC-USD-PERP, 1000PEPEUSDT, kPEPE: without quote and multiplier."""
    name = re.sub(r"(-USD-PERP|PERP|USDT|USDC)$", "", market)
    return re.sub(r"^(k(?=[A-Z])|10{2,}(?=[A-Z]))", "", name).upper()


def seven_months(folder: Path) -> Recording:
    start, end = datetime(2024, 10, 1), datetime(2025, 5, 15)
    rows = [_settled(folder, name, start, end) for name in ("bybit", "hyperliquid")]
    return Recording(hour_of(start), hour_of(end), _series(pl.concat(rows), start, end), _NONE)


def five_exchanges(folder: Path) -> Recording:
    start, end = datetime(2026, 2, 15), datetime(2026, 3, 20)
    names = ("binance", "bybit", "hyperliquid")
    settled = pl.concat(_settled(folder, name, start, end) for name in names)
    polls = pl.concat(
        _polled(folder, name, hours, start, end)
        for name, hours in (("hyperliquid", 1), ("lighter", 8), ("paradex", 8))
    )
    standing = (
        polls.unique(["exchange", "market", "hour"], keep="last", maintain_order=True)
        .join(settled, on=["exchange", "market"], how="anti")
        .select(settled.columns)
    )
    series = _series(pl.concat([settled, standing]), start, end)
    ids = pl.DataFrame(
        {
            "market_id": [s.market_id for s in series],
            "exchange": [s.exchange for s in series],
            "market": [s.market for s in series],
        }
    )
    seen = polls.join(ids, on=["exchange", "market"]).select(
        "market_id",
        "rate",
        "mark_price",
        observed_at="time",
        interval_hours="interval",
        open_interest_usd=pl.lit(None, dtype=pl.Float64),
    )
    samples = pl.concat([seen, _open_interest(folder, settled, ids, start, end)], how="diagonal")
    return Recording(hour_of(start), hour_of(end), series, samples.sort("observed_at", "market_id"))


_NONE = pl.DataFrame()


def _time() -> pl.Expr:
    return pl.col("time").dt.replace_time_zone(None).cast(pl.Datetime("us"))


def _settled(folder: Path, exchange: str, start: datetime, end: datetime) -> pl.DataFrame:
    return (
        pl.read_parquet(folder / f"{exchange}.parquet")
        .select(
            "exchange",
            "market",
            hour=_time().dt.epoch("s") // 3600,
            rate="rate",
            interval=pl.col("interval_hours").cast(pl.Int64),
        )
        .filter(pl.col("hour") > hour_of(start), pl.col("hour") <= hour_of(end))
        .unique(["market", "hour"], keep="first", maintain_order=True)
    )


def _polled(
    folder: Path, exchange: str, quoted_hours: int, start: datetime, end: datetime
) -> pl.DataFrame:
    """Polls, ascending, with their hour's end; rates for that hour."""
    frame = pl.read_parquet(folder / f"{exchange}_snapshot.parquet").with_columns(time=_time())
    if "mark_price" not in frame.columns:
        frame = frame.with_columns(mark_price=pl.lit(None, dtype=pl.Float64))
    return (
        frame.select(
            "exchange",
            "market",
            "time",
            "mark_price",
            hour=pl.col("time").dt.epoch("s") // 3600 + 1,
            rate=pl.col("rate") / quoted_hours,
            interval=pl.lit(1, dtype=pl.Int64),
        )
        .filter(pl.col("hour") > hour_of(start), pl.col("hour") <= hour_of(end))
        .sort("market", "time")
    )


def _open_interest(
    folder: Path, settled: pl.DataFrame, ids: pl.DataFrame, start: datetime, end: datetime
) -> pl.DataFrame:
    """Binance's, every four hours; the rate that settled last stands for the prediction."""
    frame = pl.read_parquet(folder / "market_stats" / "binance_open_interest_4h_2026.parquet")
    return (
        frame.select("exchange", "market", "open_interest_usd", observed_at=_time())
        .filter(pl.col("observed_at") > start, pl.col("observed_at") <= end)
        .with_columns(hour=pl.col("observed_at").dt.epoch("s") // 3600)
        .sort("hour")
        .join_asof(
            settled.sort("hour"),
            on="hour",
            by=["exchange", "market"],
            check_sortedness=False,  # both sides come sorted; polars cannot check within groups
        )
        .drop_nulls("rate")
        .join(ids, on=["exchange", "market"])
        .select(
            "market_id",
            "rate",
            "observed_at",
            "open_interest_usd",
            interval_hours="interval",
        )
    )


def _series(rows: pl.DataFrame, start: datetime, end: datetime) -> list[Series]:
    first, last = hour_of(start), hour_of(end)
    groups = rows.sort("exchange", "market", "hour").partition_by(
        "exchange", "market", maintain_order=True
    )
    found = []
    for number, group in enumerate(groups, start=1):
        exchange, market, *_ = group.row(0)
        hours, rates, intervals = (group[name].to_numpy() for name in ("hour", "rate", "interval"))
        begins = int(hours[0] - intervals[0])
        found.append(
            Series(
                number,
                exchange,
                market,
                asset_of(market),
                hours,
                rates,
                intervals,
                listed=begins if begins > first + SETTLING else None,
                delisted=int(hours[-1]) if hours[-1] < last - SETTLING else None,
            )
        )
    return found


def derived(recording: Recording, database: Database) -> None:
    """Store everything at once, as if all was live then, and derive from it."""
    with database.open() as connection:
        _store(connection, recording)
    done = derive(database, now=recording.now)
    assert done.broken == {}


def _store(connection: duckdb.DuckDBPyConnection, recording: Recording) -> None:
    markets = pl.DataFrame(
        [_market(s, recording.now) for s in recording.series], infer_schema_length=None
    )
    rows = pl.concat(
        pl.DataFrame(
            {"market_id": s.market_id, "h": s.hour, "rate": s.rate, "interval_hours": s.interval},
            schema_overrides={"market_id": pl.Int32},
        ).with_columns(
            covered_hours=pl.min_horizontal(
                "interval_hours", pl.col("h").diff().fill_null(pl.col("interval_hours"))
            )
        )
        for s in recording.series
    )
    with visible(connection, "found", markets), visible(connection, "fresh", rows):
        connection.execute("INSERT INTO base.markets BY NAME FROM found")
        connection.execute(
            """INSERT INTO settlements BY NAME
            SELECT market_id, make_timestamp(h * 3600000000) AS funding_time, rate, interval_hours,
                covered_hours, 'settled' AS kind, CAST(rate AS VARCHAR) AS raw_rate, 0 AS lag_ms,
                'api' AS source, 1 AS load_id, funding_time AS collected_at
            FROM fresh ORDER BY h, market_id"""
        )
    connection.execute(
        """INSERT INTO dirty_days (market_id, day, since) SELECT DISTINCT market_id,
            CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE),
            CAST($now AS TIMESTAMP) FROM settlements""",
        {"now": recording.now},
    )
    if len(recording.samples):
        with visible(connection, "samples", recording.samples):
            connection.execute(
                """INSERT INTO base.predicted_rates BY NAME
                SELECT *, CAST(rate AS VARCHAR) AS raw_rate FROM samples"""
            )


def _market(series: Series, now: datetime) -> dict[str, Any]:
    return {
        "market_id": series.market_id,
        "exchange": series.exchange,
        "market": series.market,
        "symbol": series.asset,
        "asset": series.asset,
        "multiplier": 1,
        "quote": "USD",
        "settle": "USD",
        "status": "live" if series.delisted is None else "delisted",
        "first_seen": now,
        "last_seen": now,
        "listed_at": None if series.listed is None else time_of(series.listed),
        "delisted_at": None if series.delisted is None else time_of(series.delisted),
        "first_settlement": time_of(int(series.hour[0])),
        "last_settlement": time_of(int(series.hour[-1])),
    }
