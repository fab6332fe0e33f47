"""What every exchange must satisfy: adding one to the registry adds these tests for it.

Each is spoken to by its sandbox (spoken.py), which shares no code with it. What its history is, the
sandbox declares: paging applies to PAGED, what is asked of a history at all to SETTLED, the rest to
EACH.
"""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.collection.budget import Priority, SharedBudget
from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.records import Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import Exchange, Request, TellsNewest
from funding_pipeline.exchanges.registry import EXCHANGES, select
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.wire import Reply
from funding_pipeline.settings import Settings
from funding_pipeline_tests.exchanges.spoken import Listed, Spoken, drive

HOUR = 3_600_000
START = 1_789_430_400_000  # 2026-09-15: today's form of every answer
NOW = START + 30 * 60_000
EACH = pytest.mark.parametrize("name", EXCHANGES)
SETTLED = pytest.mark.parametrize("name", [n for n in EXCHANGES if SANDBOX[n].history != "none"])
PAGED = pytest.mark.parametrize("name", [n for n in EXCHANGES if SANDBOX[n].history == "pages"])
SAMPLED = pytest.mark.parametrize(
    "name", [n for n, e in EXCHANGES.items() if e.spec.samples_estimates]
)
NEWEST = pytest.mark.parametrize(
    "name", [n for n, e in EXCHANGES.items() if isinstance(e, TellsNewest)]
)
GARBAGE = {
    "a page": b"<!DOCTYPE html><html></html>",
    "nothing": b"",
    "null": b"null",
    "a number": b"17",
    "a text": b'"ok"',
    "another object": b'{"error": "no"}',
    "another list": b'[{"a": 1}]',
    "cut short": b'{"result": {"list": [{"sym',
    "no text at all": b"\xff\xfe\x00",
    "a NaN": b"[NaN]",
}
SPOILT = pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())


def hourly(count: int) -> list[int]:
    """Settlements with jitter of some ms."""
    return [START + i * HOUR + i * 37 % 101 for i in range(count)]


def read(spoken: Spoken, window: Window) -> tuple[dict[int, float], list[Request]]:
    """What a history plan brings, as it would be stored."""
    market = spoken.market()
    raw, requests = drive(spoken.exchange.history(market, window), spoken)
    assert {row.market for row in raw} <= {market.market}
    assert all(window.start_ms <= row.time_ms < window.end_ms for row in raw)
    return spoken.valid(raw), requests


def told(spoken: Spoken, window: Window) -> Any:
    """The same to a hair: a float went through text or a division."""
    return pytest.approx(spoken.settled(window.start_ms, window.end_ms), rel=1e-9, abs=1e-15)


def test_every_exchange_has_a_sandbox() -> None:
    assert EXCHANGES.keys() == SANDBOX.keys()


# --- the declaration


@EACH
def test_the_declaration_is_complete(name: str, tmp_path: Path) -> None:
    spec = EXCHANGES[name].spec
    assert spec.name == name
    assert "" in spec.origins
    assert all(origin.startswith("https://") for origin in spec.origins.values())
    assert not any(origin.endswith("/") for origin in spec.origins.values())
    assert spec.api_docs.startswith("https://")
    assert 0 < spec.max_abs_rate < 1
    assert spec.limits, "an exchange without a limit would be asked without restraint"
    if isinstance(spec.interval, FixedInterval):
        assert spec.interval.eras[0][0] == 0
        assert list(spec.interval.eras) == sorted(spec.interval.eras)
    assert spec.kind == ("recorded" if SANDBOX[name].history == "none" else "settled")
    assert spec.samples_estimates or spec.kind == "settled"
    assert spec.experimental is None or len(spec.experimental) > 20, "the doubt is named"
    SharedBudget(tmp_path, name, spec.limits, Priority.TICK).close()


@EACH
def test_no_request_weighs_more_than_the_limit_ever_allows(name: str) -> None:
    exchange, full = EXCHANGES[name], Listed(name, NOW, 20)
    _, requests = drive(exchange.markets(), full)
    if exchange.spec.samples_estimates:
        requests += drive(exchange.estimates(), full)[1]
    if SANDBOX[name].history == "pages":
        requests += read(Spoken(name, hourly(744)), Window(START, START + 744 * HOUR))[1]
    for limit in exchange.spec.limits:
        weights = [r.weight for r in requests if limit.scope in r.scopes]
        assert 1 <= min(weights, default=1) <= max(weights, default=1) <= limit.weight
    scopes = {limit.scope for limit in exchange.spec.limits}
    assert {scope for r in requests for scope in r.scopes} <= scopes


def test_exchanges_are_selected_by_name_in_a_fixed_order() -> None:
    sure = [name for name, e in EXCHANGES.items() if e.spec.experimental is None]
    assert [e.spec.name for e in select(Settings())] == sure
    assert [e.spec.name for e in select(Settings(experimental=True))] == list(EXCHANGES)
    assert [e.spec.name for e in select(Settings(), reversed(EXCHANGES))] == list(EXCHANGES)
    chosen = Settings(exchanges=("bybit", "hyperliquid"))
    assert [e.spec.name for e in select(chosen)] == ["hyperliquid", "bybit"]
    assert [e.spec.name for e in select(chosen, ["lighter"])] == ["lighter"]
    with pytest.raises(ValueError, match=r"unknown exchange \['nope'\]; known: "):
        select(Settings(), ["nope"])


def test_a_variable_of_an_unknown_exchange_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_BYBBIT_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ValueError, match=r"unknown exchange \['bybbit'\]"):
        select(Settings())


# --- paging


@PAGED
@pytest.mark.parametrize("count", [0, 1, 2, 24, 99, 100, 101, 499, 500, 501, 720])
def test_every_row_of_the_window_comes_and_no_other(name: str, count: int) -> None:
    times = hourly(count)
    spoken = Spoken(name, [START - 2 * HOUR, *times, START + count * HOUR, START + 740 * HOUR])
    window = Window(START, START + max(count, 1) * HOUR)
    found, requests = read(spoken, window)
    if count:
        assert found == told(spoken, window)
    else:
        assert found.keys() <= {START}
    inside = [body for body in spoken.served if body]
    assert sum(spoken.served.values()) - len(inside) < max(len(requests), 2), "rows asked for twice"


@PAGED
@pytest.mark.parametrize("count", [1, 100, 150, 200, 201, 500, 501, 720])
def test_no_request_more_than_the_pages_need(name: str, count: int) -> None:
    """The window ends right behind the last row: one never asks what cannot hold anything."""
    spoken = Spoken(name, hourly(count))
    _, requests = read(spoken, Window(START, START + count * HOUR))
    assert len(requests) == -(-count // spoken.exchange.spec.page_rows)


@PAGED
def test_an_empty_window_of_time_costs_one_request(name: str) -> None:
    found, requests = read(Spoken(name, [START]), Window(START + HOUR, START + 700 * HOUR))
    assert (found, len(requests)) == ({}, 1)


@SETTLED
def test_a_window_of_no_length_costs_none(name: str) -> None:
    assert read(Spoken(name, hourly(3)), Window(START, START)) == ({}, [])


@PAGED
@pytest.mark.parametrize("limit", [1, 7, 50, 199])
def test_a_page_limit_lower_than_documented_loses_nothing(name: str, limit: int) -> None:
    spoken = Spoken(name, hourly(90), page_cap=limit)
    window = Window(START, START + 90 * HOUR)
    assert read(spoken, window)[0] == told(spoken, window)


@PAGED
def test_repeated_and_shuffled_rows_lose_nothing_and_end(name: str) -> None:
    spoken = Spoken(name, hourly(720))
    window = Window(START, START + 720 * HOUR)

    def twice_in_disorder(reply: Reply) -> None:
        assert reply.rows is not None
        reply.rows += list(reply.rows)
        random.Random(1).shuffle(reply.rows)

    spoken.spoil = twice_in_disorder
    assert read(spoken, window)[0] == told(spoken, window)


@PAGED
def test_an_exchange_that_ignores_the_window_does_not_trap_us(name: str) -> None:
    """The same page whatever is asked: rows outside the rest of the window end the paging."""
    spoken = Spoken(name, hourly(20))
    market = spoken.market()
    window = Window(START + 5 * HOUR, START + 15 * HOUR)
    everything: list[bytes] = []

    def always_the_same(request: Request) -> bytes:
        everything.append(spoken(request))
        return everything[0]

    whole = Window(START, START + 20 * HOUR)
    drive(spoken.exchange.history(market, whole), always_the_same, at_most=5)
    raw, _ = drive(spoken.exchange.history(market, window), lambda _: everything[0], at_most=5)
    assert spoken.valid(raw) == told(spoken, window)


@PAGED
@settings(max_examples=15)
@given(data=st.data())
def test_any_history_any_window_any_limit(name: str, data: st.DataObject) -> None:
    hours = data.draw(st.sets(st.integers(0, 120), max_size=60))
    jitters = st.sampled_from([0, 0, 0, 47, 1_400, 887_000])
    times = [START + h * HOUR + data.draw(jitters) for h in hours]
    start = data.draw(st.integers(-2, 121))
    length = data.draw(st.integers(0, 130))
    window = Window(START + start * HOUR, START + (start + length) * HOUR)
    spoken = Spoken(name, times, page_cap=data.draw(st.integers(1, 60)))
    assert read(spoken, window)[0] == told(spoken, window)


# --- bad answers


def refused(exchange: Exchange, plan: Any, answer: Callable[[Request], bytes]) -> ExchangeError:
    with pytest.raises(MalformedResponseError) as caught:
        drive(plan, answer)
    error = caught.value
    assert error.exchange == exchange.spec.name
    assert error.endpoint
    assert error.field.startswith("$")
    assert exchange.spec.name in str(error)
    assert error.field in str(error)
    return error


@EACH
@SPOILT
def test_garbage_for_markets_is_a_typed_error(name: str, body: bytes) -> None:
    refused(EXCHANGES[name], EXCHANGES[name].markets(), lambda _: body)


@SAMPLED
@SPOILT
def test_garbage_for_estimates_is_a_typed_error(name: str, body: bytes) -> None:
    refused(EXCHANGES[name], EXCHANGES[name].estimates(), lambda _: body)


@SETTLED
@SPOILT
def test_garbage_for_history_is_a_typed_error_and_no_empty_answer(name: str, body: bytes) -> None:
    spoken = Spoken(name, [START])
    plan = spoken.exchange.history(spoken.market(), Window(START, START + HOUR))
    refused(spoken.exchange, plan, lambda _: body)


def spoilt_history(name: str, change: Callable[[Any, Any], None], field: str) -> ExchangeError:
    """The error of a history whose fourth row of ten has one field changed."""
    spoken = Spoken(name, hourly(10))
    plan = spoken.exchange.history(spoken.market(), Window(START, START + 10 * HOUR))

    def spoil(reply: Reply) -> None:
        rows = reply.rows or []
        change(rows[min(3, len(rows) - 1)], getattr(reply, field))

    spoken.spoil = spoil
    return refused(spoken.exchange, plan, spoken)


@SETTLED
@pytest.mark.parametrize("field", ["rate_field", "time_field"])
@pytest.mark.parametrize("kind", ["missing", "null", "list", "object"])
def test_a_spoilt_history_field_is_named(name: str, kind: str, field: str) -> None:
    def change(row: Any, at: Any) -> None:
        if kind == "missing":
            del row[at]
        else:
            row[at] = {"null": None, "list": [1], "object": {}}[kind]

    if kind == "missing" and SANDBOX[name].history == "boundaries" and name == "bitfinex":
        pytest.skip("rows are lists: without a field all others move up")
    spoilt_history(name, change, field)


@SETTLED
def test_a_rate_of_another_type_is_refused(name: str) -> None:
    """The text is what is kept: a number in its place would have lost digits already."""

    def change(row: Any, at: Any) -> None:
        row[at] = float(row[at]) if isinstance(row[at], str) else str(row[at])

    spoilt_history(name, change, "rate_field")


@SETTLED
@pytest.mark.parametrize("time", ["soon", "", "17.5", "NaN"])
def test_a_stamp_that_is_no_time_is_refused(name: str, time: str) -> None:
    def change(row: Any, at: Any) -> None:
        row[at] = time

    spoilt_history(name, change, "time_field")


@PAGED
@pytest.mark.parametrize("text", ["", "NaN", "inf", "<html>", "1_0", " 1", "1e30"])
def test_a_bad_rate_text_is_quarantined_later_and_its_neighbours_live(name: str, text: str) -> None:
    spoken = Spoken(name, hourly(3))
    market, window = spoken.market(), Window(START, START + 3 * HOUR)

    def spoil(reply: Reply) -> None:
        assert reply.rows is not None
        if isinstance(reply.rows[1][reply.rate_field], str):
            reply.rows[1][reply.rate_field] = text
        else:
            reply.rows[1][reply.rate_field] = 1e30

    spoken.spoil = spoil
    raw, _ = drive(spoken.exchange.history(market, window), spoken)
    spec = spoken.exchange.spec
    valid, rejected = validate(
        raw, unit=spec.rate_unit, max_abs_rate=spec.max_abs_rate, now_ms=spoken.now_ms
    )
    assert [row.slot_ms for row in valid] == [START, START + 2 * HOUR]
    assert len(rejected) == 1


@EACH
def test_a_market_row_without_a_field_never_drops_a_market_in_silence(name: str) -> None:
    exchange, full = EXCHANGES[name], Listed(name, NOW, 3)
    first: list[Reply] = []
    full.spoil = first.append
    markets, _ = drive(exchange.markets(), full)
    names = [m.market for m in markets]
    assert any(reply.rows for reply in first), "the sandbox tells which rows its answers hold"
    for number, reply in enumerate(first):
        for key in list(reply.rows[0]) if reply.rows and isinstance(reply.rows[0], dict) else ():
            full.spoil = without(key, number)
            try:
                again, _ = drive(exchange.markets(), full)
            except MalformedResponseError as error:
                assert error.exchange == name
                assert str(key) in str(error), f"{key}: {error}"
            else:
                assert [m.market for m in again] == names, f"without {key} a market is gone"


def without(key: str, number: int) -> Callable[[Reply], None]:
    """Takes the field out of the first row of the answer of that number."""
    answers = itertools.count()

    def spoil(reply: Reply) -> None:
        if next(answers) == number and reply.rows:
            del reply.rows[0][key]

    return spoil


@SAMPLED
@pytest.mark.parametrize("text", ["NaN", "inf", "x", "<html>"])
def test_an_estimate_is_never_a_silent_zero(name: str, text: str) -> None:
    exchange, full = EXCHANGES[name], Listed(name, NOW, 3)
    spoilt: list[str] = []

    def spoil(reply: Reply) -> None:
        if reply.rows and reply.rate_field is not None:
            reply.rows[0][reply.rate_field] = text
            spoilt.append(str(reply.rate_field))

    full.spoil = spoil
    error = refused(exchange, exchange.estimates(), full)
    assert spoilt, "the sandbox tells where its estimates are"
    assert any(field in str(error) for field in spoilt)


# --- markets, estimates, refusals


@EACH
def test_markets_are_those_that_are_listed(name: str) -> None:
    full = Listed(name, NOW)
    markets, _ = drive(EXCHANGES[name].markets(), full)
    names = [m.market for m in markets]
    assert len(names) == len(set(names))
    assert {m.market for m in markets if m.live} == full.listed
    assert all(m.multiplier >= 1 and m.symbol and m.quote and m.settle for m in markets)


@SAMPLED
def test_estimates_are_of_the_live_markets(name: str) -> None:
    full = Listed(name, NOW)
    estimates, _ = drive(EXCHANGES[name].estimates(), full)
    names = [e.market for e in estimates]
    assert len(names) == len(set(names))
    assert set(names) == full.listed
    assert all(e.interval_hours >= 1 for e in estimates)
    # The sandbox's open interest and volume are those of the asset: a multiple would be a mistake
    # in lots, sides or thousands.
    known = [e.open_interest_usd for e in estimates if e.open_interest_usd is not None]
    assert all(1e5 < value < 5e9 for value in known), sorted(known)[:3] + sorted(known)[-3:]


@NEWEST
def test_the_newest_settlement_is_the_history_s(name: str) -> None:
    """Text, stamp and interval, digit by digit; of every market that is traded, in few requests."""
    exchange, full = EXCHANGES[name], Listed(name, NOW, 12)
    assert isinstance(exchange, TellsNewest)
    markets = [m for m in drive(exchange.markets(), full)[0] if m.live]
    newest, requests = drive(exchange.newest(markets), full)
    assert len(requests) <= 1
    told = {row.market: (row.time_ms, row.rate_text, row.interval_hours) for row in newest}
    for market in markets:
        plan = exchange.history(market, Window(NOW - 24 * HOUR, NOW))
        last = max(drive(plan, full)[0], key=lambda row: row.time_ms)
        assert told[market.market] == (last.time_ms, last.rate_text, last.interval_hours)
        # The sandbox's running rate is the one of the next settlement, mostly another.
        assert last.time_ms <= NOW


@EACH
def test_a_history_of_all_is_declared_by_those_that_have_one(name: str) -> None:
    exchange = EXCHANGES[name]
    window = Window(START, START + HOUR)
    if exchange.spec.history_of_all:
        assert next(exchange.history(None, window)).endpoint
    else:
        with pytest.raises((AssertionError, NotImplementedError)):
            next(exchange.history(None, window))


def good_answers(name: str) -> list[tuple[Request, bytes]]:
    exchange, full = EXCHANGES[name], Listed(name, NOW, 3)
    answers: list[tuple[Request, bytes]] = []

    def keep(request: Request, answer: Callable[[Request], bytes]) -> bytes:
        answers.append((request, answer(request)))
        return answers[-1][1]

    drive(exchange.markets(), lambda r: keep(r, full))
    if exchange.spec.samples_estimates:
        drive(exchange.estimates(), lambda r: keep(r, full))
    if SANDBOX[name].history != "none":
        spoken = Spoken(name, hourly(2))
        plan = exchange.history(spoken.market(), Window(START, START + 2 * HOUR))
        drive(plan, lambda r: keep(r, spoken))
    return answers


@EACH
def test_good_answers_are_no_refusals(name: str) -> None:
    for request, body in good_answers(name):
        assert EXCHANGES[name].refusal(request, 200, body) is None


@EACH
@pytest.mark.parametrize("status", [200, 403, 429, 451, 500, 502])
def test_pages_and_torn_answers_are_left_to_the_client(name: str, status: int) -> None:
    """It tells a block from a cut: the exchange's own reading of refusals must not go before."""
    request, good = good_answers(name)[-1]
    for body in (b"<html><body>Request blocked</body></html>", b"", good[: len(good) // 2]):
        assert EXCHANGES[name].refusal(request, status, body) is None
