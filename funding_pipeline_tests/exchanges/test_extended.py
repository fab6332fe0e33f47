"""Extended: recorded responses with values checked by hand, lists, ccxt, refusals."""

import json
from pathlib import Path

import polars as pl
import pytest

from funding_pipeline.domain.errors import (
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
)
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.extended import (
    SPEC,
    Extended,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import recorded

HOUR = 3_600_000
REQUEST = Request(endpoint="info/funding", path="/api/v1/info/BTC-USD/funding")


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(recorded(responses_dir, "extended/funding_btc_2026-09-13"))
    assert {row.market for row in rows} == {"BTC-USD"}
    assert [row.time_ms for row in rows] == [
        1_789_336_801_693,
        1_789_333_200_772,
        1_789_329_600_932,
        1_789_326_000_772,
    ]
    assert all(700 < row.time_ms % HOUR < 1_700 for row in rows), "0.7-1.7 s after the hour"
    # 0.01 % per 8 h, rounded to six decimals: about 11 % a year, as on other exchanges.
    rate = fraction(rows[0].rate_text, SPEC.rate_unit)
    assert apr(rate, 1) == pytest.approx(0.11388)


def test_the_recorded_text_is_what_quiet_markets_have(
    responses_dir: Path, recorded_dir: Path
) -> None:
    averages = pl.read_parquet(
        recorded_dir / "market_stats" / "multi_exchange_hourly_avg_2026-01.parquet"
    ).filter(pl.col("exchange") == SPEC.name)
    body = recorded(responses_dir, "extended/funding_btc_2026-09-13")
    texts = {row.rate_text for row in parse_history(body)}
    assert {fraction(text, SPEC.rate_unit) for text in texts} == {averages["rate"].mode().item()}
    assert 10 * averages["rate"].abs().max() < SPEC.max_abs_rate


def test_recorded_markets(responses_dir: Path) -> None:
    body = recorded(responses_dir, "extended/info_markets_2026-09-13")
    btc, pepe, micron = parse_markets(body)
    assert (btc.market, btc.symbol, btc.quote, btc.settle) == ("BTC-USD", "BTC", "USD", "USDC")
    assert (btc.asset_class, btc.live, btc.interval_hours) == ("crypto", True, 1)
    assert btc.listed_at_ms == 1_752_829_532_673
    assert (pepe.market, pepe.symbol, pepe.multiplier) == ("1000PEPE-USD", "PEPE", 1000)
    assert (micron.market, micron.symbol, micron.asset_class) == ("MU_24_5-USD", "MU", "equity")


def test_recorded_estimates(responses_dir: Path) -> None:
    body = recorded(responses_dir, "extended/info_markets_2026-09-13")
    btc, _, micron = parse_estimates(body)
    assert (btc.rate, btc.raw_rate, btc.interval_hours) == (0.000013, "0.000013", 1)
    # nextFundingRate is a time: the hour after the recording.
    assert btc.next_funding_ms == 1_789_340_400_000
    # Told in USD: 579.7751 BTC at 77,060 are as much, but for the age of the price.
    assert btc.open_interest_usd == 44_808_704.907173
    assert btc.open_interest_usd == pytest.approx(579.7751 * (btc.mark_price or 0), rel=0.005)
    assert btc.volume_24h_usd == 72_466_662.2649
    assert (micron.market, micron.rate) == ("MU_24_5-USD", 0.00002)


def listed(**fields: object) -> dict[str, object]:
    return {"name": "A-USD", "type": "PERPETUAL", "status": "ACTIVE", **fields}


def answer(*rows: object) -> bytes:
    return json.dumps({"status": "OK", "data": rows}).encode()


def test_only_what_pays_funding_is_live() -> None:
    states = ("ACTIVE", "REDUCE_ONLY", "DELISTED", "PRELISTED", "DISABLED")
    body = answer(
        *(listed(name=f"{s}-USD", status=s, marketStats={"fundingRate": "0"}) for s in states),
        listed(name="BTCSPOT-USD", type="SPOT"),
    )
    live = {m.market: m.live for m in parse_markets(body)}
    assert live == {
        "ACTIVE-USD": True,
        "REDUCE_ONLY-USD": True,
        "DELISTED-USD": False,
        "DISABLED-USD": False,
    }
    assert {e.market for e in parse_estimates(body)} == {
        m for m, is_live in live.items() if is_live
    }


@pytest.mark.parametrize(
    ("category", "kind", "expected"),
    [
        ("Crypto", "Commodity", "crypto"),  # a gold token
        ("L2", None, "crypto"),
        ("RWA", "ETF/Index", "index"),
        ("RWA", "Pre-market", "equity"),
        ("RWA", "Commodity", "commodity"),
        ("RWA", "FX", "fx"),
        ("RWA", "Art", None),
        ("TradFi", None, None),
        (None, None, None),
    ],
)
def test_the_asset_class_is_told_or_none(
    category: str | None, kind: str | None, expected: str | None
) -> None:
    body = answer(listed(category=category, subCategory=kind))
    assert parse_markets(body)[0].asset_class == expected


@pytest.mark.parametrize("field", ["name", "type", "status"])
def test_a_market_without_a_needed_field_is_refused(field: str) -> None:
    row = listed()
    del row[field]
    with pytest.raises(MalformedResponseError, match=field):
        parse_markets(answer(listed(), row))


def test_a_live_market_without_a_rate_is_no_zero() -> None:
    with pytest.raises(MalformedResponseError, match=r"\$\.data\[0\]\.marketStats\.fundingRate"):
        parse_estimates(answer(listed()))


def test_a_user_agent_is_sent() -> None:
    assert SPEC.headers["User-Agent"]


def test_refusals() -> None:
    body = b'{"status":"ERROR","error":{"code":1001,"message":"Market not found"}}'
    told = Extended().refusal(REQUEST, 404, body)
    assert isinstance(told, PermanentError)
    assert "Market not found" in str(told)
    assert isinstance(Extended().refusal(REQUEST, 429, body), RateLimitedError)
    assert isinstance(Extended().refusal(REQUEST, 200, body), PermanentError)


def test_ccxt_agrees() -> None:
    assert_agreement("extended", "extended", ["BTC/USDC:USDC", "ARB/USDC:USDC"])
