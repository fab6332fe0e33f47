"""HTX: recorded responses with values checked by hand, replayed settlements, ccxt, refusals."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.htx import Htx, parse_estimates, parse_history, parse_markets
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Moment
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import answer_of, drive, recorded

REQUEST = Request(endpoint="swap_contract_info", path="/linear-swap-api/v1/swap_contract_info")
BATCH = "htx/swap_batch_funding_rate_2026-09-13"
# Settlement period, status and labels of some swaps of that day.
CONTRACTS = {
    "BTC-USDT": ("8", 1, ["hot", "common"]),
    "PEPE-USDT": ("8", 1, ["hot", "common"]),
    "BOME-USDT": ("4", 1, ["common"]),
    "XAU-USDT": ("4", 1, ["tradfi", "commodities", "common"]),
    "META-USDT": ("8", 1, ["tradfi", "stock", "new"]),
    "JP225-USDT": ("1", 1, ["tradfi", "indices"]),
    "CYBER-USDT": ("4", 3, ["common"]),
}
# Both sides of the same minute.
SIZES = (
    b'{"status":"ok","data":[{"contract_code":"BTC-USDT","volume":28808125,"amount":28808.125,'
    b'"value":2221334021.6875,"trade_turnover":145152802.919}],"ts":1}'
)


def contracts(**changes: Any) -> bytes:
    """The list of contracts, with a quarterly future at its end."""
    rows = [
        {
            "symbol": code.removesuffix("-USDT"),
            "contract_code": code,
            "create_date": "20201021",
            "contract_status": status,
            "settlement_period": hours,
            "labels": labels,
            "business_type": "swap",
            "trade_partition": "USDT",
            **changes,
        }
        for code, (hours, status, labels) in CONTRACTS.items()
    ]
    dated = {**rows[0], "contract_code": "BTC-USDT-260918", "business_type": "futures"}
    return msgspec.json.encode({"status": "ok", "data": [*rows, dated], "ts": 1})


def test_recorded_history(responses_dir: Path) -> None:
    rows, pages = parse_history(
        recorded(responses_dir, "htx/swap_historical_funding_rate_btc_2026-09-13")
    )
    assert pages == 1292
    assert [(r.market, r.time_ms, r.rate_text) for r in rows[::3]] == [
        ("BTC-USDT", 1_789_315_200_000, "0.000100000000000000"),  # 2026-09-13 16:00
        ("BTC-USDT", 1_789_228_800_000, "0.000050684203575903"),
    ]
    assert apr(fraction(rows[0].rate_text), 8) == pytest.approx(0.1095)


def test_markets() -> None:
    markets = {m.market: m for m in parse_markets(contracts())}
    assert list(markets) == list(CONTRACTS), "no dated future"
    btc = markets["BTC-USDT"]
    assert (btc.symbol, btc.quote, btc.settle, btc.multiplier) == ("BTC", "USDT", "USDT", 1)
    assert datetime.fromtimestamp((btc.listed_at_ms or 0) / 1000, UTC).date().isoformat() == (
        "2020-10-21"
    )
    # One contract is a million of them, yet the price is that of one.
    assert (markets["PEPE-USDT"].symbol, markets["PEPE-USDT"].multiplier) == ("PEPE", 1)
    assert [m.market for m in markets.values() if not m.live] == ["CYBER-USDT"]
    assert [m.interval_hours for m in markets.values()] == [8, 8, 4, 4, 8, 1, 4]
    assert [m.asset_class for m in markets.values()] == [
        *(None, None, None, "commodity", "equity", "index", None)
    ]


def test_recorded_estimates(responses_dir: Path) -> None:
    found = parse_estimates(contracts(), recorded(responses_dir, BATCH), SIZES)
    estimates = {e.market: e for e in found}
    # Neither the delisted swap, which keeps its last rate, nor the dated future, which has none.
    assert estimates.keys() == CONTRACTS.keys() - {"CYBER-USDT"}
    btc = estimates["BTC-USDT"]
    assert (btc.raw_rate, btc.next_funding_ms) == ("0.000043173429077120", 1_789_344_000_000)
    # 28,808 BTC of both sides at 77,108 USDT
    assert btc.open_interest_usd == 1_110_667_010.84375
    assert btc.volume_24h_usd == 72_576_401.4595
    assert estimates["META-USDT"].rate == 0.0, "sent as 0E-18"
    assert estimates["META-USDT"].open_interest_usd is None
    yearly = {name: apr(e.rate, e.interval_hours) for name, e in estimates.items()}
    assert yearly["PEPE-USDT"] == pytest.approx(0.1095), "0.0001 per 8 h"
    assert yearly["BOME-USDT"] == pytest.approx(0.1095), "0.00005 per 4 h"
    assert yearly["JP225-USDT"] == pytest.approx(0.05475), "0.00000625 per hour"


def test_a_listed_swap_without_a_rate_is_refused(responses_dir: Path) -> None:
    answer = json.loads(recorded(responses_dir, BATCH))
    answer["data"][0]["funding_rate"] = None
    with pytest.raises(MalformedResponseError, match=r"\$\.data\[0\]\.funding_rate"):
        parse_estimates(contracts(), msgspec.json.encode(answer), SIZES)


def test_an_interval_of_no_hours_is_refused() -> None:
    with pytest.raises(MalformedResponseError, match=r"BTC-USDT: .*\[0\]\.settlement_period"):
        parse_markets(contracts(settlement_period="0"))


@pytest.mark.parametrize(("year", "month", "odd"), [(2021, 10, (3,)), (2022, 10, (19,))])
@pytest.mark.parametrize("name", ["BTC-USDT", "ETH-USDT"])
def test_a_recorded_month_comes_exactly(
    recorded_dir: Path, name: str, year: int, month: int, odd: tuple[int, ...]
) -> None:
    """Months with settlements off the grid of 8 h, found from 2024 on: many pages back."""
    now_ms = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1000
    moment = Moment(load_recorded(recorded_dir, [SANDBOX["htx"]], now_ms=now_ms), now_ms)
    first, last = datetime(year, month, 1, tzinfo=UTC), datetime(year, month + 1, 1, tzinfo=UTC)
    window = Window(int(first.timestamp()) * 1000, int(last.timestamp()) * 1000)
    market = Market(market=name, symbol=name[:3], quote="USDT", settle="USDT")
    rows, requests = drive(
        Htx().history(market, window),
        lambda r: msgspec.json.encode(answer_of("htx", r, moment).payload),
    )
    truth = (
        pl.read_parquet(recorded_dir / "htx.parquet")
        .filter(pl.col("market") == name, pl.col("time") >= first, pl.col("time") < last)
        .select(pl.col("time").dt.epoch("ms"), "rate")
    )
    assert {row.time_ms: fraction(row.rate_text) for row in rows} == dict(truth.iter_rows())
    assert len(rows) == truth.height > 90
    assert {row.time_ms // 3_600_000 % 24 for row in rows} == {0, 8, 16, *odd}
    newer = pl.read_parquet(recorded_dir / "htx.parquet").filter(
        pl.col("market") == name, pl.col("time") >= first
    )
    assert len(requests) == -(-newer.height // 100), "no page more than needed"


def test_refusals() -> None:
    often = b'{"status":"error","err_code":1032,"err_msg":"The number of access exceeded","ts":1}'
    assert isinstance(Htx().refusal(REQUEST, 200, often), RateLimitedError)
    unknown = b'{"status":"error","err_code":1332,"err_msg":"The contract doesn\'t exist.","ts":1}'
    told = Htx().refusal(REQUEST, 200, unknown)
    assert isinstance(told, PermanentError)
    assert "1332: The contract doesn't exist." in str(told)


def test_ccxt_agrees() -> None:
    """It asks the v5 sibling of the history, by times: the same settlements."""
    types = {"spot": False, "linear": True, "inverse": False}
    symbols = ["BTC/USDT:USDT", "ARB/USDT:USDT"]
    assert_agreement("htx", "htx", symbols, fetchMarkets={"types": types})
