"""What every exchange must satisfy: adding one to the registry adds these tests for it.

Each is spoken to by its speaker (speakers.py), a small server of its documented shape. What its
history is, the speaker declares: paging applies to PAGED, what is asked of a history at all to
SETTLED, the rest to EACH.
"""

import random
from collections.abc import Callable, Iterable
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
from funding_pipeline.exchanges.base import Exchange, Request
from funding_pipeline.exchanges.registry import EXCHANGES, select
from funding_pipeline_tests.exchanges.speakers import (
    SPEAKERS,
    History,
    Row,
    Speaker,
    drive,
    listed,
    rate_of,
)

HOUR = 3_600_000
START = 1_746_057_600_000  # 2025-05-01
EACH = pytest.mark.parametrize("name", SPEAKERS)
SETTLED = pytest.mark.parametrize(
    "name", [name for name, speaker in SPEAKERS.items() if speaker.kind_of_history != "none"]
)
PAGED = pytest.mark.parametrize(
    "name", [name for name, speaker in SPEAKERS.items() if speaker.kind_of_history == "pages"]
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


def both(name: str) -> tuple[Exchange, Speaker]:
    return EXCHANGES[name], SPEAKERS[name]


def read(
    name: str, history: History, window: Window
) -> tuple[list[tuple[int, str]], list[Request]]:
    exchange, speaker = both(name)
    rows, requests = drive(exchange.history(listed(speaker.market), window), history)
    assert {row.market for row in rows} <= {speaker.market}
    return sorted({(row.time_ms, row.rate_text) for row in rows}), requests


def expected(times: list[int], window: Window) -> list[tuple[int, str]]:
    return [(t, rate_of(t)) for t in sorted(times) if window.start_ms <= t < window.end_ms]


def hourly(speaker: Speaker, count: int) -> list[int]:
    """Settlements with jitter, in whole units of the exchange's stamps."""
    return stamped(speaker, [START + i * HOUR + i * 37 % 101 for i in range(count)])


def stamped(speaker: Speaker, times: Iterable[int]) -> list[int]:
    return sorted({time // speaker.stamp_ms * speaker.stamp_ms for time in times})


def good_answers(speaker: Speaker) -> list[bytes]:
    if speaker.kind_of_history == "none":
        return [speaker.estimates(Request(endpoint="metadata/stats", path="/metadata/stats"))]
    return [speaker.history([speaker.row(speaker.market, START, rate)]) for rate in ("0", "0.0001")]


def test_every_exchange_has_a_speaker() -> None:
    assert SPEAKERS.keys() == EXCHANGES.keys()


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
    assert spec.page_rows == SPEAKERS[name].page_rows
    assert spec.limits, "an exchange without a limit would be asked without restraint"
    if isinstance(spec.interval, FixedInterval):
        assert spec.interval.eras[0][0] == 0
        assert list(spec.interval.eras) == sorted(spec.interval.eras)
    kind = SPEAKERS[name].kind_of_history
    assert spec.kind == ("recorded" if kind == "none" else "settled")
    assert {1: "ms", 1000: "s"}[SPEAKERS[name].stamp_ms] == spec.stamp_unit
    SharedBudget(tmp_path, name, spec.limits, Priority.TICK).close()


@EACH
def test_no_request_weighs_more_than_the_limit_ever_allows(name: str) -> None:
    exchange, speaker = both(name)
    _, requests = drive(exchange.markets(), speaker.markets)
    _, more = drive(exchange.estimates(), speaker.estimates)
    requests += more
    if speaker.kind_of_history == "pages":
        month = Window(START, START + 744 * HOUR)
        answer = History(speaker, hourly(speaker, 744))
        _, more = drive(exchange.history(listed(speaker.market), month), answer)
        requests += more
    for limit in exchange.spec.limits:
        weights = [r.weight for r in requests if limit.scope in r.scopes]
        assert 1 <= min(weights) <= max(weights) <= limit.weight
    scopes = {limit.scope for limit in exchange.spec.limits}
    assert {scope for r in requests for scope in r.scopes} <= scopes


def test_exchanges_are_selected_by_name_in_a_fixed_order() -> None:
    assert [e.spec.name for e in select([])] == list(EXCHANGES)
    assert [e.spec.name for e in select(reversed(EXCHANGES))] == list(EXCHANGES)
    with pytest.raises(ValueError, match=r"unknown exchange \['nope'\]; known: "):
        select(["nope"])


# --- paging


@PAGED
@pytest.mark.parametrize("count", [0, 1, 2, 24, 199, 200, 201, 499, 500, 501, 744, 1100])
def test_every_row_of_the_window_comes_and_no_other(name: str, count: int) -> None:
    times = hourly(SPEAKERS[name], count)
    around = [START - 2 * HOUR, START - 1, *times, START + count * HOUR, START + 9999 * HOUR]
    around = stamped(SPEAKERS[name], around)
    window = Window(START, START + max(count, 1) * HOUR)
    found, _ = read(name, History(SPEAKERS[name], around), window)
    assert found == expected(around, window)


@PAGED
@pytest.mark.parametrize("count", [1, 150, 200, 201, 500, 501, 744, 1000, 1100])
def test_no_request_more_than_the_pages_need(name: str, count: int) -> None:
    """The window ends right behind the last row: one never asks what cannot hold anything."""
    speaker = SPEAKERS[name]
    history = History(speaker, hourly(speaker, count))
    _, requests = read(name, history, Window(START, START + count * HOUR))
    assert len(requests) == -(-count // speaker.page_rows)


@PAGED
def test_an_empty_window_of_time_costs_one_request(name: str) -> None:
    found, requests = read(name, History(SPEAKERS[name], []), Window(START, START + 744 * HOUR))
    assert (found, len(requests)) == ([], 1)


@PAGED
def test_a_window_of_no_length_costs_none(name: str) -> None:
    found, requests = read(
        name, History(SPEAKERS[name], hourly(SPEAKERS[name], 3)), Window(START, START)
    )
    assert (found, requests) == ([], [])


@PAGED
@pytest.mark.parametrize("limit", [1, 7, 50, 199])
def test_a_page_limit_lower_than_documented_loses_nothing(name: str, limit: int) -> None:
    times = hourly(SPEAKERS[name], 90)
    window = Window(START, START + 90 * HOUR)
    found, _ = read(name, History(SPEAKERS[name], times, limit), window)
    assert found == expected(times, window)


@PAGED
def test_a_page_limit_higher_than_documented_loses_nothing(name: str) -> None:
    times = hourly(SPEAKERS[name], 1038)
    window = Window(START, START + 1038 * HOUR)
    found, requests = read(name, History(SPEAKERS[name], times, 5000), window)
    assert found == expected(times, window)
    assert len(requests) == 1


@PAGED
def test_repeated_and_shuffled_rows_lose_nothing_and_end(name: str) -> None:
    times = hourly(SPEAKERS[name], 744)
    window = Window(START, START + 744 * HOUR)
    history = History(SPEAKERS[name], times)

    def twice_in_disorder(rows: list[Row]) -> list[Row]:
        doubled = rows + rows
        random.Random(1).shuffle(doubled)
        return doubled

    history.spoil = twice_in_disorder
    found, _ = read(name, history, window)
    assert found == expected(times, window)


@PAGED
def test_an_exchange_that_ignores_the_window_does_not_trap_us(name: str) -> None:
    """The same page whatever is asked: rows outside the rest of the window end the paging."""
    exchange, speaker = both(name)
    times = hourly(speaker, 20)
    rows = [speaker.row(speaker.market, t, rate_of(t)) for t in times]
    window = Window(START + 5 * HOUR, START + 15 * HOUR)

    def always_the_same(_: Request) -> bytes:
        return speaker.history(rows)

    found, _ = drive(exchange.history(listed(speaker.market), window), always_the_same, at_most=5)
    assert sorted(r.time_ms for r in found) == [t for t, _ in expected(times, window)]


@PAGED
def test_requests_stay_inside_the_window(name: str) -> None:
    exchange, speaker = both(name)
    window = Window(START - 5_000, START + 744 * HOUR)
    answer = History(speaker, hourly(speaker, 2000))
    _, requests = drive(exchange.history(listed(speaker.market), window), answer)
    for request in requests:
        market, first, last = speaker.asked(request)
        assert market == speaker.market
        assert window.start_ms <= first <= last < window.end_ms
    asked = [speaker.asked(r)[1:] for r in requests]
    assert {window.start_ms} <= {first for first, _ in asked}
    assert window.end_ms - speaker.stamp_ms <= max(last for _, last in asked)


@PAGED
@settings(max_examples=30)
@given(data=st.data())
def test_any_history_any_window_any_limit(name: str, data: st.DataObject) -> None:
    hours = data.draw(st.sets(st.integers(0, 120), max_size=60))
    jitters = st.sampled_from([0, 0, 0, 47, 1_400, -4_000, 887_000])
    times = stamped(SPEAKERS[name], [START + h * HOUR + data.draw(jitters) for h in hours])
    start = data.draw(st.integers(-2, 121))
    length = data.draw(st.integers(0, 130))
    window = Window(START + start * HOUR - 5_000, START + (start + length) * HOUR)
    limit = data.draw(st.integers(1, 60))
    found, _ = read(name, History(SPEAKERS[name], times, limit), window)
    assert found == expected(times, window)


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
@pytest.mark.parametrize("what", ["markets", "estimates"])
def test_garbage_is_a_typed_error_that_names_exchange_and_endpoint(
    name: str, body: bytes, what: str
) -> None:
    exchange, _ = both(name)
    plans = {"markets": exchange.markets, "estimates": exchange.estimates}
    refused(exchange, plans[what](), lambda _: body)


@SETTLED
@SPOILT
def test_garbage_for_history_is_a_typed_error_and_no_empty_answer(name: str, body: bytes) -> None:
    exchange, speaker = both(name)
    plan = exchange.history(listed(speaker.market), Window(START, START + HOUR))
    refused(exchange, plan, lambda _: body)


def spoil(kind: str, row: Row, field: str) -> None:
    if kind == "missing":
        del row[field]
    else:
        row[field] = {"null": None, "list": [1], "object": {}, "bool": True}[kind]


@SETTLED
@pytest.mark.parametrize("kind", ["missing", "null", "list", "object"])
def test_a_spoilt_history_field_is_named(name: str, kind: str) -> None:
    exchange, speaker = both(name)
    window = Window(START, START + 10 * HOUR)
    for field in (speaker.rate_field, speaker.time_field):
        rows = [speaker.row(speaker.market, t, "0.0001") for t in hourly(speaker, 10)]
        spoil(kind, rows[3], field)
        answer = speaker.history(rows)
        error = refused(
            exchange, exchange.history(listed(speaker.market), window), lambda _, a=answer: a
        )
        assert field in str(error)


@SETTLED
def test_a_rate_that_is_a_number_and_no_text_is_refused(name: str) -> None:
    """The text is what is kept; a number would have lost its digits already."""
    exchange, speaker = both(name)
    row = speaker.row(speaker.market, START, "0.0001") | {speaker.rate_field: 0.0001}
    plan = exchange.history(listed(speaker.market), Window(START, START + HOUR))
    assert speaker.rate_field in str(refused(exchange, plan, lambda _: speaker.history([row])))


@SETTLED
@pytest.mark.parametrize("time", ["soon", "", "2025-05-01T00:00:00Z", "17.5", "NaN"])
def test_a_stamp_that_is_no_integer_is_refused(name: str, time: str) -> None:
    exchange, speaker = both(name)
    row = speaker.row(speaker.market, START, "0.0001") | {speaker.time_field: time}
    plan = exchange.history(listed(speaker.market), Window(START, START + HOUR))
    assert speaker.time_field in str(refused(exchange, plan, lambda _: speaker.history([row])))


@PAGED
@pytest.mark.parametrize("text", ["", "NaN", "inf", "<html>", "1_0", " 1", "99.0"])
def test_a_bad_rate_text_is_quarantined_later_and_its_neighbours_live(name: str, text: str) -> None:
    exchange, speaker = both(name)
    rows = [speaker.row(speaker.market, t, "0.0001") for t in hourly(speaker, 3)]
    rows[1][speaker.rate_field] = text
    answer = speaker.history(rows)
    window = Window(START, START + 3 * HOUR)
    raw, _ = drive(exchange.history(listed(speaker.market), window), lambda _: answer)
    spec = exchange.spec
    valid, rejected = validate(
        raw, unit=spec.rate_unit, max_abs_rate=spec.max_abs_rate, now_ms=START + 99 * HOUR
    )
    assert [row.slot_ms for row in valid] == [START, START + 2 * HOUR]
    assert [q.raw.rate_text for q in rejected] == [text]


@EACH
@pytest.mark.parametrize("kind", ["missing", "null", "list"])
def test_a_spoilt_market_field_is_named(name: str, kind: str) -> None:
    exchange, speaker = both(name)
    for field in speaker.required_market_fields:
        error = refused(
            exchange,
            exchange.markets(),
            lambda r, f=field: speaker.markets(r, lambda row: spoil(kind, row, f)),
        )
        assert field in str(error)


@EACH
@pytest.mark.parametrize("text", ["NaN", "inf", "x", "<html>"])
def test_an_estimate_is_never_a_silent_zero(name: str, text: str) -> None:
    exchange, speaker = both(name)
    field = speaker.estimate_rate_field
    error = refused(
        exchange,
        exchange.estimates(),
        lambda r: speaker.estimates(r, lambda row: row.update({field: text})),
    )
    assert field in str(error)


# --- markets, estimates, refusals


@EACH
def test_markets_and_estimates_name_the_same_markets(name: str) -> None:
    exchange, speaker = both(name)
    markets, _ = drive(exchange.markets(), speaker.markets)
    estimates, _ = drive(exchange.estimates(), speaker.estimates)
    names = [m.market for m in markets]
    assert speaker.market in names
    assert len(names) == len(set(names))
    assert {e.market for e in estimates} == {m.market for m in markets if m.live}
    assert all(e.interval_hours >= 1 for e in estimates)
    assert all(m.multiplier >= 1 and m.symbol and m.quote and m.settle for m in markets)


@EACH
def test_a_history_of_all_is_declared_by_those_that_have_one(name: str) -> None:
    exchange, _ = both(name)
    window = Window(START, START + HOUR)
    if exchange.spec.history_of_all:
        assert next(exchange.history(None, window)).endpoint
    else:
        with pytest.raises((AssertionError, NotImplementedError)):
            next(exchange.history(None, window))


@EACH
def test_good_answers_are_no_refusals(name: str) -> None:
    exchange, speaker = both(name)
    request = Request(endpoint="x", path="/x")
    for body in good_answers(speaker):
        assert exchange.refusal(request, 200, body) is None


@EACH
@pytest.mark.parametrize("status", [200, 403, 429, 451, 500, 502])
def test_pages_and_torn_answers_are_left_to_the_client(name: str, status: int) -> None:
    """It tells a block from a cut: the exchange's own reading of refusals must not go before."""
    exchange, speaker = both(name)
    good = good_answers(speaker)[-1]
    for body in (b"<html><body>Request blocked</body></html>", b"", good[: len(good) // 2]):
        assert exchange.refusal(Request(endpoint="x", path="/x"), status, body) is None
