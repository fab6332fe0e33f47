"""Recorded data: which files are read, order of markets, whole-day shifts, intervals."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import NothingToServeError, load_dataset, running_sandbox

NOW_MS = int(datetime(2026, 10, 5, 17, 20, tzinfo=UTC).timestamp()) * 1000


def write(folder: Path, stem: str, markets: dict[str, tuple[int, int]]) -> None:
    """Per market a number of settlements every so many hours, up to the end of June 2026."""
    end = datetime(2026, 6, 30, 16, 0, 0, 47_000, tzinfo=UTC)
    rows = [
        (symbol, end - timedelta(hours=hours * i), 0.0001 * i, float(hours))
        for symbol, (count, hours) in markets.items()
        for i in range(count)
    ]
    pl.DataFrame(
        rows,
        schema={
            "market": pl.String,
            "time": pl.Datetime("ms", "UTC"),
            "rate": pl.Float64,
            "interval_hours": pl.Float64,
        },
        orient="row",
    ).write_parquet(folder / f"{stem}.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "hyperliquid", {"AVAX": (30, 1), "SOL": (5, 1), "BTC": (9, 1)})
    write(tmp_path, "hyperliquid_xyz", {"xyz:AMD": (40, 1)})
    write(tmp_path, "bybit", {"XRPUSDT": (9, 8), "ETHUSDT": (3, 8), "BTCPERP": (2, 8)})
    (tmp_path / "closed.parquet").write_bytes(b"no exchange's file, hence not read")
    return tmp_path


def test_leaders_come_first_then_the_longest(folder: Path) -> None:
    found = load_recorded(folder, EXCHANGES.values(), now_ms=NOW_MS).markets
    assert [m.symbol for m in found["hyperliquid"]] == ["BTC", "SOL", "xyz:AMD", "AVAX"]
    assert [m.symbol for m in found["bybit"]] == ["BTCPERP", "ETHUSDT", "XRPUSDT"]
    few = load_recorded(folder, EXCHANGES.values(), now_ms=NOW_MS, markets=2).markets
    assert [m.symbol for m in few["hyperliquid"]] == ["BTC", "SOL"]


def test_only_files_of_the_exchanges_asked_for_are_read(folder: Path) -> None:
    (folder / "bybit.parquet").write_bytes(b"damaged")
    found = load_recorded(folder, [EXCHANGES["hyperliquid"]], now_ms=NOW_MS)
    assert list(found.markets) == ["hyperliquid"]


def test_each_settlement_is_the_last_poll_before_it_unless_that_is_old(tmp_path: Path) -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    polls = [(20, 0.0008), (50, 0.0016), (120, 0.0024), (130, 0.0032), (900, 0.004)]
    pl.DataFrame(
        [("BTC", start + timedelta(minutes=minute), rate) for minute, rate in polls],
        schema={"market": pl.String, "time": pl.Datetime("ms", "UTC"), "rate": pl.Float64},
        orient="row",
    ).write_parquet(tmp_path / "lighter_snapshot.parquet")
    found = load_recorded(tmp_path, [EXCHANGES["lighter"]], now_ms=NOW_MS)
    (market,) = found.markets["lighter"]
    first = int(start.timestamp()) * 1000
    settled = {
        (time - first) // HOUR_MS: rate * 8
        for time, rate in zip(market.times, market.rates, strict=True)
    }
    # The poll at the very hour of 2 is not before it; six hours after a poll there is nothing.
    assert settled == {
        1: 0.0016, 2: 0.0016, **dict.fromkeys(range(3, 9), 0.0032),
        **dict.fromkeys(range(16, 22), 0.004),
    }  # fmt: skip


def test_without_shift_times_and_rates_are_as_recorded(folder: Path) -> None:
    market = load_recorded(folder, EXCHANGES.values(), now_ms=NOW_MS).markets["hyperliquid"][0]
    end = int(datetime(2026, 6, 30, 16, tzinfo=UTC).timestamp()) * 1000 + 47
    assert list(market.times) == [end - HOUR_MS * i for i in range(8, -1, -1)]
    assert list(market.rates) == [0.0001 * i for i in range(8, -1, -1)]


def test_the_shift_is_the_fewest_whole_days_that_reach_three_days_ahead(folder: Path) -> None:
    plain = load_recorded(folder, EXCHANGES.values(), now_ms=NOW_MS)
    shifted = load_recorded(folder, EXCHANGES.values(), now_ms=NOW_MS, shift_to_now=True)
    days = shifted.shift_days["bybit"]
    for before, after in zip(plain.markets["bybit"], shifted.markets["bybit"], strict=True):
        assert list(after.times) == [time + days * DAY_MS for time in before.times]
        assert before.interval_hours_at(NOW_MS) == after.interval_hours_at(NOW_MS)
    last = max(market.times[-1] for market in shifted.markets["bybit"])
    assert NOW_MS + 3 * DAY_MS <= last < NOW_MS + 4 * DAY_MS


def test_shifted_settlements_appear_as_time_passes(tmp_path: Path) -> None:
    write(tmp_path, "bybit", {"BTCUSDT": (100, 8)})
    dataset = load_recorded(tmp_path, EXCHANGES.values(), now_ms=NOW_MS, shift_to_now=True)
    clock = [NOW_MS]
    with running_sandbox(dataset, now=lambda: clock[0]) as url:

        def newest() -> int:
            params = {"category": "linear", "symbol": "BTCUSDT"}
            answer = httpx.get(f"{url}/bybit/v5/market/funding/history", params=params)
            return int(answer.json()["result"]["list"][0]["fundingRateTimestamp"])

        seen = []
        for _ in range(10):
            seen.append(newest())
            clock[0] += 8 * HOUR_MS
    assert seen == [seen[0] + 8 * HOUR_MS * i for i in range(10)]
    assert NOW_MS - 8 * HOUR_MS < seen[0] <= NOW_MS


def test_data_that_reach_far_enough_are_not_shifted(folder: Path) -> None:
    early = int(datetime(2026, 6, 20, tzinfo=UTC).timestamp()) * 1000
    found = load_recorded(folder, EXCHANGES.values(), now_ms=early, shift_to_now=True)
    assert found.shift_days == {"hyperliquid": 0, "bybit": 0}


def test_an_empty_folder_is_an_error_that_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NothingToServeError, match=r"bybit\.parquet.*hyperliquid\.parquet"):
        load_dataset(tmp_path)


def test_the_interval_in_force_follows_the_recording(recorded_dir: Path) -> None:
    found = load_recorded(recorded_dir, [EXCHANGES["bybit"]], now_ms=NOW_MS).markets["bybit"]
    rows = pl.read_parquet(recorded_dir / "bybit.parquet").sort("market", "time")
    by_symbol = {m.symbol: m for m in found}
    changing = 0
    for (symbol,), part in rows.group_by(["market"]):
        market = by_symbol[str(symbol)]
        times = part["time"].dt.epoch("ms").to_list()
        assert list(market.times) == times
        assert list(market.rates) == part["rate"].to_list()
        # The interval in force just before a settlement is the one it was recorded with.
        in_force = [market.interval_hours_at(time - 1) for time in times]
        assert in_force == part["interval_hours"].to_list()
        assert max(abs(rate) for rate in market.rates) <= market.rate_cap
        changing += len(set(in_force)) > 1
    assert changing > 50


def test_hip3_files_belong_to_hyperliquid(recorded_dir: Path) -> None:
    found = load_recorded(recorded_dir, [EXCHANGES["hyperliquid"]], now_ms=NOW_MS)
    symbols = [m.symbol for m in found.markets["hyperliquid"]]
    assert symbols[:3] == ["BTC", "ETH", "SOL"]
    assert {"xyz:AAPL", "kPEPE"} <= set(symbols)
