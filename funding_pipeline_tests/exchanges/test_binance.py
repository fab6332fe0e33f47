"""Binance: recorded responses, all symbols in one list, refusals, limits of its own.

What COIN-M and Aster share with it is tested here.
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.domain.errors import MalformedResponseError, PermanentError
from funding_pipeline.domain.records import RawSettlement, Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.binance import SPEC, Binance
from funding_pipeline.exchanges.binance_like import parse_estimates, parse_history, parse_markets
from funding_pipeline_tests.exchanges.against_ccxt import assert_agreement
from funding_pipeline_tests.exchanges.spoken import Listed, drive

HOUR = 3_600_000
START = 1_772_323_200_000  # 2026-03-01
Rows = list[tuple[int, str]]


def response(folder: Path, name: str) -> Any:
    return json.loads((folder / "binance" / f"{name}.json").read_text())["response"]


def recorded(folder: Path, name: str) -> bytes:
    return msgspec.json.encode(response(folder, name))


def rate_of(time_ms: int) -> str:
    """Another rate for every hour."""
    return f"{(time_ms // HOUR % 997 - 498) * 1e-7:.8f}"


def history(rows: Rows) -> bytes:
    return msgspec.json.encode(
        [
            {"symbol": symbol, "fundingTime": t, "fundingRate": rate_of(t), "rateType": "Regular"}
            for t, symbol in rows
        ]
    )


def contract(**fields: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "onboardDate": 1_569_398_400_000,
        "underlyingType": "COIN",
    } | fields


def intervals(**hours: int) -> bytes:
    return msgspec.json.encode(
        [{"symbol": symbol, "fundingIntervalHours": h} for symbol, h in hours.items()]
    )


class Everyone:
    """History of all symbols: by time, then by symbol, at most `limit` rows, oldest first."""

    def __init__(self, rows: Rows, limit: int | Callable[[int], int] = 1000) -> None:
        self.rows = sorted(rows)
        self._limit = limit if callable(limit) else lambda _: limit
        self.asked: list[tuple[int, int]] = []

    def __call__(self, request: Request) -> bytes:
        assert "symbol" not in request.params, "all symbols: none is named"
        first, last = int(request.params["startTime"]), int(request.params["endTime"])
        self.asked.append((first, last))
        inside = [row for row in self.rows if first <= row[0] <= last]
        page = inside[: self._limit(len(self.asked))]
        return history(page)


def read(everyone: Everyone, window: Window, at_most: int = 2000) -> Rows:
    rows, _ = drive(Binance().history(None, window), everyone, at_most)
    found = [(row.time_ms, row.market) for row in rows]
    assert len(set(found)) == len(found), "no row twice"
    assert all(row.rate_text == rate_of(row.time_ms) for row in rows)
    return sorted(found)


def expected(rows: Rows, window: Window) -> Rows:
    return sorted(row for row in rows if window.start_ms <= row[0] < window.end_ms)


def largest_group(rows: Rows) -> int:
    times = [time for time, _ in rows]
    return max((times.count(time) for time in set(times)), default=0)


# --- recorded responses


def test_recorded_history(responses_dir: Path) -> None:
    rows = parse_history(SPEC, recorded(responses_dir, "funding_rate_btcusdt_2026-09-04"))
    assert len(rows) == 20
    assert rows[:2] == [
        RawSettlement("BTCUSDT", 1_787_904_000_000, "0.00010000", None, 79_645.6),
        RawSettlement("BTCUSDT", 1_787_932_800_001, "0.00005913", None, 78_308.9),
    ]
    valid, rejected = validate(
        rows, unit=SPEC.rate_unit, max_abs_rate=SPEC.max_abs_rate, now_ms=1_800_000_000_000
    )
    assert (len(valid), rejected) == (20, [])
    assert {b.slot_ms - a.slot_ms for a, b in itertools.pairwise(valid)} == {8 * HOUR}
    assert {row.lag_ms for row in valid} <= set(range(6))
    assert valid[1].rate == 0.00005913


def test_the_usual_recorded_rate_is_the_baseline_per_8_hours(responses_dir: Path) -> None:
    texts = [
        r.rate_text
        for r in parse_history(SPEC, recorded(responses_dir, "funding_rate_btcusdt_2026-09-04"))
    ]
    common = max(set(texts), key=texts.count)
    assert common == "0.00010000"
    assert float(common) / 8 * 8760 == pytest.approx(0.1095)


def test_recorded_markets(responses_dir: Path) -> None:
    """The interval comes from the other list, 8 h where it names none."""
    (blz,) = parse_markets(
        SPEC,
        recorded(responses_dir, "doc_fapi_v1_exchangeinfo"),
        recorded(responses_dir, "doc_fapi_v1_fundinginfo"),
    )
    assert (blz.market, blz.symbol, blz.quote, blz.settle) == ("BLZUSDT", "BLZ", "USDT", "USDT")
    assert (blz.live, blz.listed_at_ms, blz.asset_class) == (True, 1_598_252_400_000, "crypto")
    assert (blz.interval_hours, blz.rate_cap, blz.rate_floor) == (8, 0.025, -0.025)


def test_recorded_estimates(responses_dir: Path) -> None:
    volumes = [response(responses_dir, "doc_fapi_v1_ticker_24hr") | {"symbol": "BTCUSDT"}]
    eth, btc = parse_estimates(
        SPEC,
        recorded(responses_dir, "premium_index_2026-09-04"),
        recorded(responses_dir, "funding_info_2026-09-04"),
        msgspec.json.encode(volumes),
    )
    assert (btc.market, btc.rate, btc.raw_rate) == ("BTCUSDT", 0.00008384, "0.00008384")
    assert (btc.interval_hours, btc.next_funding_ms) == (8, 1_788_508_800_000)
    assert (btc.mark_price, btc.index_price) == (80_680.2, 80_709.2276087)
    assert (btc.volume_24h_usd, eth.volume_24h_usd) == (15.3, None)


def test_relayed_and_own_rate_of_the_same_hour_are_one_unit(responses_dir: Path) -> None:
    """Lighter relays Binance's Bitcoin rate as a fraction per 8 h: 0.00002494, of this size."""
    texts = parse_history(SPEC, recorded(responses_dir, "funding_rate_btcusdt_2026-09-04"))
    relayed = json.loads((responses_dir / "lighter" / "funding_rates_2026-09-11.json").read_text())[
        "response"
    ]["funding_rates"]
    rate = next(r["rate"] for r in relayed if r["exchange"] == "binance")
    own = sorted(float(row.rate_text) for row in texts)
    assert 0.1 < rate / own[len(own) // 2] < 10


# --- markets


def markets(intervals: bytes, *contracts: dict[str, Any]) -> list[Any]:
    return parse_markets(SPEC, msgspec.json.encode({"symbols": list(contracts)}), intervals)


def test_contracts_that_end_are_left_out() -> None:
    found = markets(
        b"[]",
        contract(symbol="BTCUSDT_261225", contractType="CURRENT_QUARTER"),
        contract(symbol="ETHUSDT_261225", contractType="NEXT_QUARTER"),
        contract(symbol="OLDUSDT", contractType=""),
        contract(),
    )
    assert [m.market for m in found] == ["BTCUSDT"]


@pytest.mark.parametrize(
    ("kind", "asset_class"),
    [
        ("EQUITY", "equity"),
        ("KR_EQUITY", "equity"),
        ("COMMODITY", "commodity"),
        ("INDEX", "index"),
        ("PREMARKET", None),
    ],
)
def test_shares_and_the_like_are_kept_with_their_class(kind: str, asset_class: str | None) -> None:
    share = contract(symbol="TSLAUSDT", baseAsset="TSLA", contractType="TRADIFI_PERPETUAL")
    (found,) = markets(intervals(TSLAUSDT=4), share | {"underlyingType": kind})
    assert (found.market, found.interval_hours, found.asset_class) == ("TSLAUSDT", 4, asset_class)


def test_a_symbol_that_the_list_of_intervals_leaves_out_settles_every_8_hours() -> None:
    (found,) = markets(b"[]", contract())
    assert (found.interval_hours, found.rate_cap, found.rate_floor) == (8, None, None)


@pytest.mark.parametrize("status", ["SETTLING", "PENDING_TRADING", "CLOSE", "DELIVERING"])
def test_a_market_that_does_not_trade_is_not_live(status: str) -> None:
    (found,) = markets(b"[]", contract(status=status))
    assert not found.live


def test_symbols_are_unified() -> None:
    pepe = contract(symbol="1000PEPEUSDC", baseAsset="1000PEPE", quoteAsset="USDC")
    (found,) = markets(b"[]", pepe)
    assert (found.symbol, found.multiplier, found.quote) == ("PEPE", 1000, "USDC")


def test_the_estimate_of_a_4_hour_market_is_per_4_hours(responses_dir: Path) -> None:
    estimates = parse_estimates(
        SPEC, recorded(responses_dir, "premium_index_2026-09-04"), intervals(BTCUSDT=4), b"[]"
    )
    assert [(e.market, e.rate, e.interval_hours) for e in estimates] == [
        ("ETHUSDT", 0.0001, 8),
        ("BTCUSDT", 0.00008384, 4),
    ]


# --- all symbols at once


def test_an_hour_of_780_symbols_is_at_most_two_requests() -> None:
    for jitter in (1, 6, 800):
        rows = [(START + i % jitter, f"S{i:03}USDT") for i in range(780)]
        before = [(START - 8 * HOUR, symbol) for _, symbol in rows]
        everyone = Everyone(before + rows)
        window = Window(START - 5_000, START + HOUR - 5_000)
        assert read(everyone, window) == expected(rows, window)
        assert len(everyone.asked) <= 2, jitter


def test_an_empty_hour_is_one_request() -> None:
    everyone = Everyone([(START - HOUR, "AUSDT")])
    assert read(everyone, Window(START, START + HOUR)) == []
    assert len(everyone.asked) == 1


def test_thirty_days_of_780_symbols_are_about_a_page_per_thousand_rows() -> None:
    rows = [
        (START + h * HOUR + i % 4, f"S{i:03}USDT") for h in range(0, 720, 8) for i in range(780)
    ]
    everyone = Everyone(rows)
    window = Window(START, START + 720 * HOUR)
    assert read(everyone, window) == expected(rows, window)
    assert len(everyone.asked) < 1.5 * len(rows) / 1000


@settings(max_examples=150)
@given(data=st.data())
def test_any_histories_of_many_symbols_in_pages_larger_than_a_group(data: st.DataObject) -> None:
    """Pages that end inside equal stamps lose nothing and repeat nothing."""
    symbols = [f"S{i}USDT" for i in range(data.draw(st.integers(1, 12), label="symbols"))]
    jitter = st.sampled_from([0, 0, 0, 1, 2, 5, 900_000])
    rows: Rows = []
    for symbol in symbols:
        for hour in data.draw(st.sets(st.integers(-30, 60), max_size=25)):
            rows.append((START + hour * HOUR + data.draw(jitter), symbol))
    limit = max(2, largest_group(rows) + 1) + data.draw(st.integers(0, 30), label="more")
    first = data.draw(st.integers(-31, 61))
    length = data.draw(st.integers(0, 90))
    window = Window(START + first * HOUR - 5_000, START + (first + length) * HOUR)
    assert read(Everyone(rows, limit), window) == expected(rows, window)


@settings(max_examples=150)
@given(data=st.data())
def test_a_group_that_no_page_can_hold_is_exact_or_an_error_and_never_a_loss(
    data: st.DataObject,
) -> None:
    """Every market settles every hour, as in a tick: nothing shows the limit but its effect."""
    symbols = data.draw(st.integers(2, 12), label="symbols")
    limit = data.draw(st.integers(1, symbols), label="limit")
    length = data.draw(st.integers(1, 5), label="hours")
    jitter = data.draw(st.lists(st.sampled_from([0, 0, 1, 7]), min_size=12, max_size=12))
    rows = [
        (START + hour * HOUR + jitter[i], f"S{i:02}USDT")
        for i in range(symbols)
        for hour in range(-2, 6)
    ]
    window = Window(START - 5_000, START + length * HOUR - 5_000)
    try:
        found = read(Everyone(rows, limit), window)
    except MalformedResponseError as error:
        assert limit <= largest_group(rows), "what fits is no error"
        assert "fill a page" in str(error)
        assert error.exchange == "binance"
    else:
        assert found == expected(rows, window)


@pytest.mark.parametrize("short", [2, 3, 4, 5])
def test_a_page_that_is_shorter_than_others_ends_nothing(short: int) -> None:
    """The limit is lowered for one page only, as an exchange does under load."""
    rows = [(START + h * HOUR + i, f"S{i}USDT") for h in range(40) for i in range(5)]
    window = Window(START, START + 40 * HOUR)
    everyone = Everyone(rows, lambda request: 4 if request == short else 30)
    assert read(everyone, window) == expected(rows, window)


def test_a_short_page_that_holds_nothing_new_is_no_end_but_an_error() -> None:
    rows = [(START + h * HOUR, f"S{i}USDT") for h in range(40) for i in range(5)]
    everyone = Everyone(rows, lambda request: 2 if request == 3 else 33)
    with pytest.raises(MalformedResponseError, match="fill a page"):
        read(everyone, Window(START, START + 40 * HOUR))


def test_a_full_page_of_one_stamp_at_the_end_of_all_is_an_error() -> None:
    """1000 rows of one moment, nothing before and after: nobody knows whether there are more."""
    rows = [(START, f"S{i:04}USDT") for i in range(1200)]
    with pytest.raises(MalformedResponseError, match="1000 settlements"):
        read(Everyone(rows), Window(START - 5_000, START + HOUR))


def test_an_exchange_that_ignores_the_window_does_not_trap_us() -> None:
    rows = [(START + h * HOUR, f"S{i}USDT") for h in range(20) for i in range(3)]
    window = Window(START + 5 * HOUR, START + 15 * HOUR)
    same = history(rows)
    found, _ = drive(Binance().history(None, window), lambda _: same, at_most=5)
    assert sorted((r.time_ms, r.market) for r in found) == expected(rows, window)


def test_repeated_and_shuffled_rows_lose_nothing() -> None:
    rows = [(START + h * HOUR, f"S{i}USDT") for h in range(20) for i in range(3)]
    everyone = Everyone(rows, 10)

    def twice_backwards(request: Request) -> bytes:
        page = json.loads(everyone(request))
        return msgspec.json.encode((page + page)[::-1])

    window = Window(START, START + 20 * HOUR)
    found, _ = drive(Binance().history(None, window), twice_backwards)
    assert sorted((r.time_ms, r.market) for r in found) == expected(rows, window)


# --- requests and refusals


def test_history_of_one_symbol_names_it_and_of_all_names_none() -> None:
    window = Window(1000, 2000)
    (btc,) = markets(b"[]", contract())
    _, (one,) = drive(Binance().history(btc, window), lambda _: b"[]")
    _, (every,) = drive(Binance().history(None, window), lambda _: b"[]")
    common = {"startTime": 1000, "endTime": 1999, "limit": 1000}
    assert dict(one.params) == {**common, "symbol": "BTCUSDT"}
    assert dict(every.params) == common


def test_history_and_intervals_count_in_the_limit_of_their_own() -> None:
    full = Listed("binance", START)
    _, lists = drive(Binance().markets(), full)
    _, running = drive(Binance().estimates(), full)
    (btc,) = markets(b"[]", contract())
    history_scopes = next(Binance().history(btc, Window(START, START + HOUR))).scopes
    assert set(history_scopes) == {"", "funding"}
    scopes = {r.endpoint: set(r.scopes) for r in lists + running}
    assert scopes == {
        "exchangeInfo": {""},
        "fundingInfo": {"", "funding"},
        "premiumIndex": {""},
        "ticker/24hr": {""},
    }
    weights = {r.endpoint: r.weight for r in running}
    assert (weights["premiumIndex"], weights["ticker/24hr"]) == (10, 40)


def test_an_unknown_symbol_is_refused_for_good() -> None:
    request = Request(endpoint="fundingRate", path="/fapi/v1/fundingRate")
    error = Binance().refusal(request, 400, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert type(error) is PermanentError
    assert "code -1121: Invalid symbol." in str(error)


@pytest.mark.parametrize("status", [200, 403, 418, 429, 451, 500])
def test_what_the_status_tells_is_left_to_the_client(status: int) -> None:
    request = Request(endpoint="fundingRate", path="/fapi/v1/fundingRate")
    body = b'{"code":-1003,"msg":"Too many requests"}'
    assert Binance().refusal(request, status, body) is None


def test_ccxt_agrees() -> None:
    symbols = ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDC:USDC"]
    assert_agreement("binance", "binance", symbols, fetchMarkets=["linear"], defaultType="swap")
