"""Deribit: which interest is taken, both kinds of contracts, ccxt's other choice, refusals."""

from pathlib import Path

import pytest

from funding_pipeline.domain.errors import PermanentError, RateLimitedError
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.deribit import Deribit
from funding_pipeline.exchanges.deribit_like import parse_estimates, parse_history, parse_markets
from funding_pipeline.sandbox.market import HOUR_MS
from funding_pipeline_tests.exchanges.against_ccxt import histories
from funding_pipeline_tests.exchanges.spoken import Listed, Spoken, drive, recorded

REQUEST = Request(
    endpoint="get_funding_rate_history", path="/api/v2/public/get_funding_rate_history"
)
NOW = 1_789_432_200_000  # 2026-09-15 00:30
MARKETS = b"""{"result":[
{"instrument_name":"BTC-27MAY22","settlement_period":"month","base_currency":"BTC",
 "quote_currency":"USD","settlement_currency":"BTC","is_active":true},
{"instrument_name":"BTC-PERPETUAL","settlement_period":"perpetual","base_currency":"BTC",
 "quote_currency":"USD","settlement_currency":"BTC","is_active":true,
 "creation_timestamp":1534242287000},
{"instrument_name":"SOL_USDC-PERPETUAL","settlement_period":"perpetual","base_currency":"SOL",
 "quote_currency":"USDC","settlement_currency":"USDC","is_active":false}]}"""


def test_the_hours_own_interest_is_taken(responses_dir: Path) -> None:
    body = recorded(responses_dir, "deribit/doc_get_funding_rate_history")
    (row,) = parse_history("deribit", body, "BTC-PERPETUAL")
    assert row.time_ms == 1_569_891_600_000
    assert fraction(row.rate_text) == -4.739622041017375e-07, "not interest_8h"


def test_eight_hours_and_one_hour_fit_together() -> None:
    """Ether on 2023-08-04, as a ccxt pull request showed it: the trailing sum moves by the hour
    that came less the one that left, which itself was small.
    """
    body = (
        b'{"result":[{"timestamp":1691157600000,"interest_1h":0.000040037341082362756,'
        b'"interest_8h":0.0003108118735316121},{"timestamp":1691161200000,'
        b'"interest_1h":0.000042599284093567054,"interest_8h":0.0003472644414748492}]}'
    )
    rows = parse_history("deribit", body, "ETH-PERPETUAL")
    assert [row.rate_text for row in rows] == [
        "0.000040037341082362756",
        "0.000042599284093567054",
    ], "every digit"
    left = fraction(rows[1].rate_text) - (0.0003472644414748492 - 0.0003108118735316121)
    assert 0 < left < fraction(rows[1].rate_text)
    assert apr(fraction(rows[1].rate_text), 1) == pytest.approx(0.37316973, rel=1e-6)


def test_markets_of_both_kinds() -> None:
    inverse, linear = parse_markets("deribit", MARKETS)
    assert (inverse.market, inverse.symbol) == ("BTC-PERPETUAL", "BTC")
    assert (inverse.quote, inverse.settle, inverse.live) == ("USD", "BTC", True)
    assert inverse.listed_at_ms == 1_534_242_287_000
    assert (linear.quote, linear.settle, linear.live) == ("USDC", "USDC", False)


def test_estimates_are_quoted_per_eight_hours() -> None:
    """Of an example of 2019: the price stood 0.55 % above the index, 0.05 % were free."""
    premium = 3931.97 / 3910.46 - 1
    assert premium - 0.0005 == pytest.approx(0.00500063, rel=1e-4)
    markets = {m.market: m for m in parse_markets("deribit", MARKETS)}
    body = (
        b'{"result":[{"instrument_name":"BTC-PERPETUAL","current_funding":0.00500063,'
        b'"mark_price":3931.97,"open_interest":18918470,"volume_usd":366000},'
        b'{"instrument_name":"SOL_USDC-PERPETUAL","current_funding":0,"mark_price":150.5,'
        b'"open_interest":1000},{"instrument_name":"BTC-27MAY22","mark_price":4000}]}'
    )
    inverse, linear = parse_estimates("deribit", body, markets)
    assert (inverse.rate, inverse.interval_hours) == (0.00500063 / 8, 1)
    assert inverse.raw_rate == "0.00500063"
    assert inverse.open_interest_usd == 18_918_470, "inverse: already USD"
    assert (linear.rate, linear.open_interest_usd) == (0.0, 150_500)


def test_a_live_perpetual_without_funding_is_an_error() -> None:
    markets = {m.market: m for m in parse_markets("deribit", MARKETS)}
    with pytest.raises(Exception, match=r"\$\.result\[0\]\.current_funding"):
        parse_estimates("deribit", b'{"result":[{"instrument_name":"BTC-PERPETUAL"}]}', markets)


def test_one_summary_for_each_settlement_currency() -> None:
    _, requests = drive(Deribit().estimates(), Listed("deribit", NOW))
    asked = [r.params.get("currency") for r in requests]
    assert asked == ["any", "BTC", "ETH", "USDC"]


def test_a_stamp_at_the_start_of_the_window_comes() -> None:
    """start_timestamp is exclusive: the millisecond before the window is asked for."""
    start = NOW // HOUR_MS * HOUR_MS
    spoken = Spoken("deribit", [start + hour * HOUR_MS for hour in range(3)])
    window = Window(start, start + 2 * HOUR_MS)
    rows, requests = drive(Deribit().history(spoken.market(), window), spoken)
    assert [row.time_ms for row in rows] == [start, start + HOUR_MS]
    (request,) = requests
    assert request.params["start_timestamp"] == start - 1
    assert request.params["end_timestamp"] == start + 2 * HOUR_MS - 1


def test_refusals() -> None:
    body = (
        b'{"jsonrpc":"2.0","error":{"message":"Invalid params","data":{"param":"instrument_name",'
        b'"reason":"wrong format"},"code":-32602},"testnet":false}'
    )
    told = Deribit().refusal(REQUEST, 400, body)
    assert isinstance(told, PermanentError)
    assert "-32602: Invalid params" in str(told)
    assert "instrument_name" in str(told)
    limited = b'{"error":{"message":"too_many_requests","code":10028}}'
    assert isinstance(Deribit().refusal(REQUEST, 200, limited), RateLimitedError)


def assert_ccxt_tells_trailing_sums(name: str, ccxt_id: str, symbols: list[str]) -> None:
    """The exception: ccxt maps `interest_8h` onto hourly rows, which is the sum of eight of ours;
    summing ccxt's would count each hour eight times.
    """
    for native, theirs, ours in histories(name, ccxt_id, symbols):
        assert theirs.keys() == ours.keys(), native
        later = sorted(ours)[7:]
        assert len(later) > 60, native
        for hour in later:
            trailing = [ours[hour - back * HOUR_MS] for back in range(8)]
            assert theirs[hour] == pytest.approx(sum(trailing), abs=1e-15), native
        assert len({ours[hour] for hour in later}) > 10, "not all at rest"


def test_ccxt_tells_eight_hours_on_hourly_rows() -> None:
    assert_ccxt_tells_trailing_sums("deribit", "deribit", ["BTC/USD:BTC", "DOGE/USDC:USDC"])
