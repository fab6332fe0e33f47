"""Lighter: recorded responses with values checked by hand, the unit's proof, refusals."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from funding_pipeline.domain.errors import MalformedResponseError, PermanentError
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.lighter import (
    SPEC,
    Lighter,
    parse_estimates,
    parse_history,
    parse_markets,
)
from funding_pipeline_tests.exchanges.payloads import LighterSpeaker, listed
from funding_pipeline_tests.exchanges.spoken import drive

HOUR = 3_600_000
SPEAKER = LighterSpeaker()
REQUEST = Request(endpoint="fundings", path="/api/v1/fundings")


def response(folder: Path, name: str) -> Any:
    return json.loads((folder / "lighter" / f"{name}.json").read_text())["response"]


def rates(body: bytes) -> list[float]:
    valid, rejected = validate(
        parse_history(body, "BTC"),
        unit=SPEC.rate_unit,
        max_abs_rate=SPEC.max_abs_rate,
        now_ms=1_800_000_000_000,
    )
    assert rejected == []
    return [row.rate for row in valid]


def one_row(rate: str, direction: str) -> bytes:
    row = {"timestamp": 1_789_135_200, "value": "0.1", "rate": rate, "direction": direction}
    return SPEAKER.history([row])


def test_0_0012_percent_that_longs_pay_is_10_512_percent_a_year() -> None:
    """The specification's 0.12 % per hour is off by 100."""
    (rate,) = rates(one_row("0.0012", "long"))
    assert rate == 0.000012
    assert apr(rate, 1) == pytest.approx(0.10512, rel=1e-12)


def test_what_shorts_pay_is_negative() -> None:
    assert rates(one_row("0.0012", "short")) == [-0.000012]
    assert rates(one_row("0.0000", "short")) == [0.0]


def test_a_sign_in_the_unsigned_text_is_not_taken_for_a_rate() -> None:
    """Should the exchange begin to sign its rates, nobody guesses what two signs mean."""
    raw = parse_history(one_row("-0.0012", "short"), "BTC")
    valid, rejected = validate(raw, unit=SPEC.rate_unit, max_abs_rate=1, now_ms=1_800_000_000_000)
    assert (valid, [q.raw.rate_text for q in rejected]) == ([], ["--0.0012"])


@pytest.mark.parametrize("direction", ["Long", "", "none", None, 1])
def test_a_side_that_is_unknown_is_refused(direction: Any) -> None:
    with pytest.raises(MalformedResponseError, match="direction"):
        parse_history(one_row("0.0012", direction), "BTC")


def test_recorded_history(responses_dir: Path) -> None:
    body = msgspec.json.encode(response(responses_dir, "fundings_btc_2026-09-11"))
    assert [(r.market, r.time_ms, r.rate_text) for r in parse_history(body, "BTC")] == [
        ("BTC", 1_789_135_200_000, "0.0010"),
        ("BTC", 1_789_138_800_000, "0.0001"),
        ("BTC", 1_789_142_400_000, "0.0001"),
        ("BTC", 1_789_146_000_000, "0.0010"),
    ]
    assert rates(body) == [0.00001, 0.000001, 0.000001, 0.00001]


def test_the_unit_is_percent_because_value_is_the_rate_of_the_price(responses_dir: Path) -> None:
    """value / rate is a Bitcoin price, nearly the same in all four hours, as its ticker shows it;
    with the text as a fraction it would be 779 dollars.
    """
    rows = response(responses_dir, "fundings_btc_2026-09-11")["fundings"]
    converted = rates(SPEAKER.history(rows))
    prices = [float(row["value"]) / rate for row, rate in zip(rows, converted, strict=True)]
    assert prices == pytest.approx([79_227.6, 78_799.4, 77_732.7, 77_916.5], rel=1e-12)
    (btc, *_) = response(responses_dir, "order_book_details_2026-09-11")["order_book_details"]
    assert max(prices) / min(prices) < 1.02
    assert prices[-1] == pytest.approx(float(btc["mark_price"]), rel=0.003)


def test_history_and_estimates_of_the_same_hour_agree(responses_dir: Path) -> None:
    """Percent per hour against fraction per 8 h: a factor of 800 apart before conversion."""
    settled = rates(SPEAKER.history(response(responses_dir, "fundings_btc_2026-09-11")["fundings"]))
    estimates = recorded_estimates(responses_dir)
    assert estimates[1].market == "BTC"
    assert 0.5 < estimates[1].rate / settled[-1] < 2


def recorded_estimates(folder: Path) -> list[Any]:
    return parse_estimates(
        msgspec.json.encode(response(folder, "funding_rates_2026-09-11")),
        msgspec.json.encode(response(folder, "order_book_details_2026-09-11")),
    )


def test_recorded_estimates(responses_dir: Path) -> None:
    """An eighth of the fraction per 8 h; what is relayed of other exchanges is left out."""
    eth, btc = recorded_estimates(responses_dir)
    assert (eth.market, btc.market) == ("ETH", "BTC")
    assert btc.rate == pytest.approx(0.000012, rel=1e-12), "the universal baseline, truncated"
    assert (btc.raw_rate, btc.interval_hours) == ("9.599999999999999e-05", 1)
    assert (btc.mark_price, btc.index_price) == (77_758.9, 77_791.3)
    assert btc.open_interest_usd == pytest.approx(2_092.76507 * 77_758.9), "base units, one side"
    assert btc.volume_24h_usd == 850_015_955.986308


def test_recorded_order_books(responses_dir: Path) -> None:
    body = msgspec.json.encode(response(responses_dir, "doc_api_v1_orderbooks"))
    (market,) = parse_markets(body)
    assert (market.market, market.api_id, market.live) == ("FARTCOIN", "21", True)
    assert (market.quote, market.settle, market.interval_hours) == ("USDC", "USDC", 1)


def test_spot_is_left_out_and_the_inactive_are_not_live() -> None:
    markets, _ = drive(Lighter().markets(), SPEAKER.markets)
    assert [(m.market, m.symbol, m.multiplier, m.live) for m in markets] == [
        ("BTC", "BTC", 1, True),
        ("1000PEPE", "PEPE", 1000, True),
        ("PIPPIN", "PIPPIN", 1, False),
    ]


def test_estimates_without_price_know_no_open_interest_and_no_nought() -> None:
    rates = {"funding_rates": [{"exchange": "lighter", "symbol": "BTC", "rate": -8e-05}]}
    details = {"order_book_details": [{"symbol": "BTC", "mark_price": "", "open_interest": 3.0}]}
    (btc,) = parse_estimates(msgspec.json.encode(rates), msgspec.json.encode(details))
    assert btc.rate == pytest.approx(-1e-05)
    assert (btc.mark_price, btc.open_interest_usd, btc.volume_24h_usd) == (None, None, None)


def test_the_ends_of_a_window_are_whole_seconds_inside_it() -> None:
    empty = SPEAKER.history([])
    window = Window(1_789_135_199_001, 1_789_142_400_000)
    _, (request,) = drive(Lighter().history(listed("BTC"), window), lambda _: empty)
    assert dict(request.params) == {
        "market_id": "1",
        "resolution": "1h",
        "start_timestamp": 1_789_135_200,
        "end_timestamp": 1_789_142_399,
        "count_back": 0,
    }


def test_a_month_of_thirty_days_is_one_request() -> None:
    """60 requests a minute: 130 markets and 30 days take two minutes, not nine."""
    start = 1_789_135_200_000
    rows = [SPEAKER.row("BTC", start + h * HOUR, "0.0012") for h in range(720)]
    window = Window(start - 5_000, start + 720 * HOUR)
    found, requests = drive(
        Lighter().history(listed("BTC"), window), lambda _: SPEAKER.history(rows)
    )
    assert (len(found), len(requests)) == (720, 1)


def test_its_own_codes_are_refusals_that_say_why() -> None:
    body = msgspec.json.encode({"code": 20001, "message": "invalid param : market_id"})
    for status in (200, 400):
        error = Lighter().refusal(REQUEST, status, body)
        assert type(error) is PermanentError
        assert "20001: invalid param : market_id" in str(error)


def test_code_200_is_no_refusal_whatever_the_order_of_its_fields() -> None:
    for body in (b'{ "code": 200, "fundings": []}', b'{"fundings": [], "code": 200}'):
        assert Lighter().refusal(REQUEST, 200, body) is None


def test_too_many_requests_are_left_to_the_client() -> None:
    body = msgspec.json.encode({"code": 23000, "message": "Too Many Requests!"})
    assert Lighter().refusal(REQUEST, 429, body) is None


def test_the_usual_recorded_rate_is_the_truncated_baseline(recorded_dir: Path) -> None:
    """3,096 settled rows of 129 markets: 0.0012 is 0.00125 % an hour, cut off (0.01 % per 8 h)."""
    file = recorded_dir / "raw/lighter/lighter_fundings_UNSIGNED_percent_2026-02-03.csv"
    header, *lines = file.read_text().splitlines()
    column = next(i for i, name in enumerate(header.split(",")) if "rate" in name)
    values = [fraction(line.split(",")[column], SPEC.rate_unit) for line in lines]
    common = max(set(values), key=values.count)
    assert len(values) == 3096
    assert common == 0.000012
    assert 0.8 < common / (0.0001 / 8) <= 1
