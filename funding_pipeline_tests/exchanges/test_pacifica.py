"""Pacifica: recorded responses with values checked by hand, cursor, credits, ccxt, refusals."""

from pathlib import Path

import polars as pl
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Estimate, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.pacifica import (
    SPEC,
    Pacifica,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.against_ccxt import NOW_MS, assert_agreement
from funding_pipeline_tests.exchanges.spoken import Listed, drive, recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="info", path="/api/v1/info")


def test_recorded_history(responses_dir: Path) -> None:
    body = recorded(responses_dir, "pacifica/funding_rate_history_btc_2026-09-13")
    rows, cursor = parse_history(body, "BTC")
    assert cursor == "1111Yd1mZ"
    assert [(row.time_ms, row.rate_text) for row in rows] == [
        (1_789_336_800_497, "0.00000383"),
        (1_789_333_200_405, "0.00000632"),
        (1_789_329_600_426, "0.00000466"),
    ]
    assert all(400 <= row.time_ms % HOUR < 500 for row in rows), "half a second after the hour"
    # A fraction per hour: 3.4 % a year.
    assert apr(fraction(rows[0].rate_text, SPEC.rate_unit), 1) == pytest.approx(0.0335508)


def test_quiet_markets_rest_at_the_hourly_interest(responses_dir: Path, recorded_dir: Path) -> None:
    averages = pl.read_parquet(
        recorded_dir / "market_stats" / "multi_exchange_hourly_avg_2026-01.parquet"
    ).filter(pl.col("exchange") == SPEC.name)
    usual = averages["rate_min"].mode().item()
    assert usual == fraction("0.0000125", SPEC.rate_unit)
    quiet = next(e for e in estimates(responses_dir) if e.market == "XPL")
    assert quiet.rate == usual
    assert apr(quiet.rate, quiet.interval_hours) == pytest.approx(0.1095)


def estimates(responses_dir: Path) -> list[Estimate]:
    return parse_estimates(
        recorded(responses_dir, "pacifica/info_2026-09-13"),
        recorded(responses_dir, "pacifica/info_prices_2026-09-13"),
    )


def test_recorded_markets(responses_dir: Path) -> None:
    found = {
        m.market: m for m in parse_markets(recorded(responses_dir, "pacifica/info_2026-09-13"))
    }
    assert len(found) == 9
    assert "SOL-USDC" not in found, "spot"
    btc, bonk, euro = found["BTC"], found["kBONK"], found["EURUSD"]
    assert (btc.symbol, btc.quote, btc.settle, btc.live) == ("BTC", "USDC", "USDC", True)
    assert (btc.interval_hours, btc.listed_at_ms) == (1, 1_748_881_333_944)
    assert (bonk.symbol, bonk.multiplier) == ("BONK", 1000)
    assert (euro.symbol, euro.asset_class) == ("EURUSD", None)


def test_recorded_estimates(responses_dir: Path) -> None:
    found = {e.market: e for e in estimates(responses_dir)}
    assert found.keys() == {"BTC", "ETH", "NVDA", "kBONK", "XPL"}, "spot has a price, no funding"
    btc = found["BTC"]
    assert (btc.rate, btc.raw_rate, btc.interval_hours) == (0.00000475, "0.00000475", 1)
    # Base units: 412.34157 BTC at 76,922.3; as USD it would be less than one coin.
    assert btc.open_interest_usd == pytest.approx(31_718_261.9, rel=1e-8)
    assert (btc.volume_24h_usd, btc.index_price) == (158_617_298.66148, 76_956.945987)
    assert btc.next_funding_ms == 1_789_340_400_000, "of 22:12 the hour of 23:00"
    # A thousand of each: kBONK's base unit and price go together.
    assert found["kBONK"].open_interest_usd == pytest.approx(34_788_040 * 0.002715)


def test_the_estimate_is_the_rate_of_the_next_settlement(responses_dir: Path) -> None:
    """Asked at 22:12: neither what 22:00 settled nor what 24:00 may settle."""
    settled = {"funding_rate": "0.00000383", "next_funding_rate": "0.00000475"}
    body = recorded(responses_dir, "pacifica/funding_rate_history_btc_2026-09-13")
    assert parse_history(body, "BTC")[0][0].rate_text == settled["funding_rate"]
    btc = next(e for e in estimates(responses_dir) if e.market == "BTC")
    assert btc.raw_rate == settled["next_funding_rate"]


def test_pages_are_walked_down_to_the_window_by_cursor() -> None:
    listed = Listed("pacifica", NOW_MS, 1)
    market = drive(Pacifica().markets(), listed)[0][0]
    long_ago = Window(NOW_MS - 5000 * HOUR, NOW_MS - 4900 * HOUR)
    rows, requests = drive(Pacifica().history(market, long_ago), listed)
    assert len(rows) == 100
    assert [request.params.get("cursor") is None for request in requests] == [True, False]
    assert {request.params["limit"] for request in requests} == {4000}


def test_history_is_heavy_whatever_its_length() -> None:
    market = drive(Pacifica().markets(), Listed("pacifica", NOW_MS, 1))[0][0]
    request = next(Pacifica().history(market, Window(NOW_MS - HOUR, NOW_MS)))
    assert request.weight == SPEC.page_weight == 12


def test_more_rows_without_a_cursor_are_no_end() -> None:
    with pytest.raises(MalformedResponseError, match=r"\$\.next_cursor"):
        parse_history(b'{"success":true,"data":[],"has_more":true,"next_cursor":null}', "BTC")
    last = b'{"success":true,"data":[],"has_more":false,"next_cursor":"1111"}'
    assert parse_history(last, "BTC") == ([], None)


def test_refusals() -> None:
    body = b'{"success":false,"data":null,"error":"Market not found","code":404}'
    told = Pacifica().refusal(REQUEST, 404, body)
    assert isinstance(told, PermanentError)
    assert "Market not found" in str(told)
    assert isinstance(Pacifica().refusal(REQUEST, 200, body), PermanentError)
    assert isinstance(Pacifica().refusal(REQUEST, 429, body), RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement("pacifica", "pacifica", ["BTC/USDC:USDC", "ARB/USDC:USDC"])
