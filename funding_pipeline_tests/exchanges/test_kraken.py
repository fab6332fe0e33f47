"""Kraken Futures: recorded responses and a recorded month, absolute amounts, ccxt, refusals."""

import json
from itertools import pairwise
from pathlib import Path

import msgspec
import polars as pl
import pytest

from funding_pipeline.domain.errors import MalformedResponseError, PermanentError, RateLimitedError
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.kraken import (
    Kraken,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline.sandbox.market import HOUR_MS, utc_ms
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Moment
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import answer_of, drive, recorded

REQUEST = Request(
    endpoint="historicalfundingrates", path="/derivatives/api/v4/historicalfundingrates"
)
EVER = Window(0, utc_ms(2100, 1, 1))
HISTORY = "krakenfutures/historical_funding_rates_pf_xbtusd_2026-09-04"


def test_recorded_history(responses_dir: Path) -> None:
    body = recorded(responses_dir, HISTORY)
    rows = parse_history(body, "PF_XBTUSD", EVER)
    assert len(rows) == 12
    assert [row.time_ms for row in rows] == [
        utc_ms(2026, 8, 18) + hour * HOUR_MS for hour in range(12, 24)
    ]
    rates = [fraction(row.rate_text) for row in rows]
    assert rates[:2] == [7.262745833333e-06, -9.33858333333e-07]
    assert apr(rates[0], 1) == pytest.approx(0.06362165, rel=1e-6)
    # The absolute amount beside it is the fraction of a price of 64,286 USD.
    absolute = json.loads(body)["rates"][0]["fundingRate"]
    assert absolute / rates[0] == pytest.approx(64_286, abs=1)


def test_digits_are_those_of_the_answer() -> None:
    row = b'{"timestamp":"2025-09-24T08:00:00Z","relativeFundingRate":1.1795815277778e-05}'
    assert (
        parse_history(b'{"rates":[' + row + b"]}", "X", EVER)[0].rate_text == "1.1795815277778e-05"
    )


def test_rows_of_other_days_are_left_as_texts_and_a_text_that_is_no_time_is_still_told() -> None:
    day = Window(utc_ms(2025, 9, 24), utc_ms(2025, 9, 25))
    row = b'{"timestamp":"%s","relativeFundingRate":1e-05}'

    def parsed(*times: bytes) -> list[int]:
        body = b'{"rates":[' + b",".join(row % time for time in times) + b"]}"
        return [one.time_ms for one in parse_history(body, "X", day)]

    old, own, new = b"2025-09-22T23:00:00Z", b"2025-09-24T23:00:00Z", b"2025-09-27T00:00:00Z"
    assert parsed(old, own, new) == [utc_ms(2025, 9, 24) + 23 * HOUR_MS]
    for broken in (b"yesterday", b"1758672000", b"2025-09-24 noon"):
        with pytest.raises(MalformedResponseError, match="no time"):
            parsed(old, broken)


def test_instruments_of_the_documentation(responses_dir: Path) -> None:
    body = recorded(responses_dir, "krakenfutures/doc_derivatives_api_v3_instruments")
    markets = {m.market: m for m in parse_markets(body)}
    assert markets.keys() == {"PI_XBTUSD", "PF_XBTUSD"}, "no dated future"
    linear, inverse = markets["PF_XBTUSD"], markets["PI_XBTUSD"]
    assert (linear.symbol, linear.quote, linear.settle, linear.live) == ("BTC", "USD", "USD", True)
    assert (inverse.symbol, inverse.quote, inverse.settle) == ("BTC", "USD", "BTC")
    assert (linear.rate_cap, linear.interval_hours) == (0.001, 1)
    assert linear.listed_at_ms == utc_ms(2022, 1, 1)
    assert linear.asset_class == "crypto"


def test_an_estimate_of_a_linear_contract_is_divided_by_the_price() -> None:
    ticker = (
        b'{"symbol":"PF_ENJUSD","markPrice":0.0434,"indexPrice":0.043391,"suspended":false,'
        b'"fundingRate":-0.000000756414717067,"fundingRatePrediction":0.000000195218676,'
        b'"openInterest":72513.0,"vol24h":1696,"volumeQuote":73.5216}'
    )
    suspended = ticker.replace(b'"suspended":false', b'"suspended":true')
    body = b'{"tickers":[' + ticker + b"," + suspended + b',{"symbol":"in_xbtusd"}]}'
    (estimate,) = parse_estimates(body)
    assert estimate.rate == pytest.approx(4.498126e-06, rel=1e-6)
    assert estimate.raw_rate == "0.000000195218676", "what is to come, not what is settled"
    assert estimate.open_interest_usd == pytest.approx(3147.0642)
    assert estimate.volume_24h_usd == 73.5216


def test_an_estimate_of_an_inverse_contract_is_multiplied(responses_dir: Path) -> None:
    """The example was at the limit of then: its `fundingRate` is 0.25 % of the spot price."""
    body = recorded(responses_dir, "krakenfutures/doc_derivatives_api_v3_tickers")
    (estimate,) = parse_estimates(body)
    assert estimate.market == "PI_XBTUSD", "no dated future, no index"
    assert (estimate.raw_rate, estimate.mark_price) == ("1.1852486794e-7", 30209.9)
    assert estimate.rate == pytest.approx(1.1852486794e-07 * 30209.9)
    assert estimate.index_price == 21087.8
    assert float(estimate.raw_rate) * estimate.index_price == pytest.approx(0.0025, rel=1e-3)
    # Contracts of one dollar.
    assert (estimate.open_interest_usd, estimate.volume_24h_usd) == (149_655, 15_304)


def test_a_prediction_without_a_price_is_refused() -> None:
    with pytest.raises(Exception, match=r"PF_XUSD has no price.*\[0\]\.markPrice"):
        parse_estimates(b'{"tickers":[{"symbol":"PF_XUSD","fundingRatePrediction":1e-6}]}')


def test_a_recorded_month_comes_back_row_by_row(recorded_dir: Path) -> None:
    """November 2025 lacks hours: two in a row on the 1st, one on the 2nd and one on the 19th."""
    now_ms = utc_ms(2026, 3, 7) + 9 * HOUR_MS
    dataset = load_recorded(recorded_dir, [SANDBOX["kraken"]], now_ms=now_ms)
    moment = Moment(dataset, now_ms)

    def answer(request: Request) -> bytes:
        return msgspec.json.encode(answer_of("kraken", request, moment).payload)

    window = Window(utc_ms(2025, 11, 1), utc_ms(2025, 12, 1))
    month = pl.read_parquet(recorded_dir / "kraken.parquet").with_columns(
        pl.col("time").dt.epoch("ms")
    )
    month = month.filter(
        pl.col("time").is_between(window.start_ms, window.end_ms, closed="left")
    ).sort("time")
    markets = {m.market: m for m in drive(Kraken().markets(), answer)[0]}
    assert len(markets) == 5
    for name, market in markets.items():
        rows, requests = drive(Kraken().history(market, window), answer)
        truth = month.filter(pl.col("market") == name)
        assert len(requests) == 1
        assert [(row.time_ms, fraction(row.rate_text)) for row in rows] == list(
            truth.select("time", "rate").iter_rows()
        )
        assert len(rows) == 30 * 24 - 4
        stamps = [row.time_ms for row in rows]
        gaps = [(b - a) // HOUR_MS for a, b in pairwise(stamps)]
        assert sorted(gaps)[-4:] == [1, 2, 2, 3]


def test_refusals() -> None:
    unknown = b'{"status":"BAD_REQUEST","result":"error","errors":[{"code":11,"message":"symbol"}]}'
    told = Kraken().refusal(REQUEST, 400, unknown)
    assert isinstance(told, PermanentError)
    assert "'message': 'symbol'" in str(told)
    word = Kraken().refusal(REQUEST, 200, b'{"result":"error","error":"requiredArgumentMissing"}')
    assert isinstance(word, PermanentError)
    assert "requiredArgumentMissing" in str(word)
    limited = Kraken().refusal(REQUEST, 200, b'{"result":"error","error":"apiLimitExceeded"}')
    assert isinstance(limited, RateLimitedError)


def test_ccxt_agrees() -> None:
    assert_agreement(
        "kraken",
        "krakenfutures",
        ["BTC/USD:USD", "DOGE/USD:USD", "LTC/USD:LTC"],
        # ccxt puts the version right behind its base, which ends with a slash there, not here.
        versions={"public": {"GET": {"instruments": "/v3", "historicalfundingrates": "/v4"}}},
    )
