"""What is asked: windows, listing dates, context, due markets, and what may count as collected."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.collection.planning import (
    Job,
    Unit,
    answered,
    cheaper_together,
    forecast,
    plan,
)
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.ledger import Reason
from funding_pipeline.warehouse.markets import KnownMarket
from funding_pipeline_tests.warehouse.world import (
    DECLARED,
    HOUR,
    HOURLY,
    LATER_MS,
    at,
    sent,
    series,
)

EARLY = 5_000


def span(start: float, end: float) -> Window:
    return Window(at(start), at(end))


def known(
    market: str = "AAA",
    *,
    live: bool = True,
    interval: int | None = 8,
    listed_ms: int | None = None,
    last_ms: int | None = None,
) -> KnownMarket:
    return KnownMarket(1, market, live, interval, listed_ms, last_ms)


def planned(
    window: Window,
    *markets: KnownMarket,
    covered: dict[str, list[Window]] | None = None,
    now_ms: int = LATER_MS,
    spec: object = DECLARED,
    reason: Reason = "backfill",
    **job: object,
) -> list[Unit]:
    wanted = Job(reason, window, **job)  # type: ignore[arg-type]
    return plan(wanted, spec, markets or (known(),), covered or {}, now_ms)  # type: ignore[arg-type]


hours = st.integers(0, 60)
spans = st.lists(st.tuples(hours, hours).map(lambda ab: span(min(ab), max(ab))), max_size=6)


def hours_of(windows: list[Window]) -> list[int]:
    return [h for w in windows for h in range(w.start_ms // HOUR, w.end_ms // HOUR)]


@given(hours, hours, spans, hours, hours)
def test_units_and_what_is_covered_make_up_the_wanted_window_without_overlap(
    a: int, b: int, covered: list[Window], listed: int, now: int
) -> None:
    window = span(min(a, b), max(a, b))
    units = planned(window, known(listed_ms=at(listed)), covered={"AAA": covered}, now_ms=at(now))
    asked = hours_of([unit.window for unit in units])
    wanted = set(range(at(max(min(a, b), listed)) // HOUR, at(min(max(a, b), now)) // HOUR))
    assert len(asked) == len(set(asked))
    assert set(asked) == wanted - set(hours_of(covered))
    assert [unit.window for unit in units] == sorted(unit.window for unit in units)
    for unit in units:
        assert unit.ask.start_ms < unit.window.start_ms
        assert unit.ask.end_ms >= unit.window.end_ms
        assert unit.ask.end_ms <= max(at(now), unit.window.end_ms)


def test_nothing_beyond_now_is_asked() -> None:
    (unit,) = planned(span(0, 48), now_ms=at(20))
    assert unit.window == span(0, 20)
    assert unit.ask.end_ms == at(20)
    assert planned(span(24, 48), now_ms=at(20)) == []


def test_nothing_before_the_listing_hour_is_asked_neither_as_context() -> None:
    (unit,) = planned(span(0, 48), known(listed_ms=at(10.5)))
    assert unit.window == span(10, 48)
    assert unit.ask.start_ms == at(10) - EARLY
    assert planned(span(0, 8), known(listed_ms=at(10.5))) == []


def test_a_day_of_context_is_asked_where_nothing_stored_gives_it() -> None:
    (unit,) = planned(span(48, 72))
    assert unit.ask == Window(at(24) - EARLY, at(96))


def test_context_that_is_covered_is_not_asked_again() -> None:
    before, after = [span(24, 48)], [span(72, 96)]
    (unit,) = planned(span(48, 72), covered={"AAA": before})
    assert unit.ask == Window(at(48) - EARLY, at(96))
    (unit,) = planned(span(48, 72), covered={"AAA": before + after})
    assert unit.ask == Window(at(48) - EARLY, at(72))
    (unit,) = planned(span(48, 72), covered={"AAA": [span(24, 47), span(73, 96)]})
    assert unit.ask == Window(at(24) - EARLY, at(96)), "a gap within the context: ask all of it"


def test_a_fixed_interval_needs_no_context() -> None:
    (unit,) = planned(span(48, 72), spec=HOURLY)
    assert unit.ask == Window(at(48) - EARLY, at(72))


def test_refetch_asks_even_what_is_covered() -> None:
    covered = {"AAA": [span(0, 72)]}
    assert planned(span(24, 48), covered=covered) == []
    (unit,) = planned(span(24, 48), covered=covered, refetch=True)
    assert unit.window == span(24, 48)
    assert unit.ask == Window(at(24) - EARLY, at(48))


def test_only_the_named_markets_are_asked() -> None:
    units = planned(span(0, 8), known("AAA"), known("BBB"), markets=frozenset({"BBB"}))
    assert [unit.market for unit in units] == ["BBB"]


@pytest.mark.parametrize("interval", [1, 4, 8])
def test_a_tick_asks_a_market_once_its_next_settlement_is_due(interval: int) -> None:
    market = known(interval=interval, last_ms=at(16))
    for hour in range(17, 26):
        due = bool(planned(span(0, hour), market, now_ms=at(hour), reason="tick"))
        assert due == (hour >= 16 + interval), hour
    assert not planned(span(0, 99), market, now_ms=at(16 + interval) - 1, reason="tick"), (
        "not a moment before"
    )


def test_a_tick_asks_a_market_of_which_nothing_is_known() -> None:
    for market in (known(last_ms=None), known(interval=None, last_ms=at(16))):
        assert planned(span(0, 17), market, now_ms=at(17), reason="tick")


def test_a_tick_leaves_dead_markets_alone_and_a_backfill_does_not() -> None:
    market = known(live=False, last_ms=at(0))
    assert planned(span(0, 48), market, reason="tick") == []
    assert len(planned(span(0, 48), market)) == 1


# --- what an answer may count as


def unit(start: float, end: float) -> Unit:
    return Unit("AAA", span(start, end), Window(at(start - 24) - EARLY, at(end + 24)))


def test_rows_outside_the_window_are_context() -> None:
    answer = answered(DECLARED, unit(24, 48), series(range(0, 72, 8)), LATER_MS)
    assert [r.slot_ms for r in answer.rows] == [at(h) for h in (24, 32, 40)]
    assert [r.slot_ms for r in answer.context] == [at(h) for h in (0, 8, 16, 48, 56, 64)]
    assert answer.window == span(24, 48)


def test_an_early_stamp_belongs_to_the_window_of_its_slot() -> None:
    row = sent(24, lag_ms=-3_000)
    assert [r.slot_ms for r in answered(DECLARED, unit(24, 48), [row], LATER_MS).rows] == [at(24)]
    before = answered(DECLARED, unit(0, 24), [row], LATER_MS)
    assert (before.rows, len(before.context)) == ([], 1)


def test_what_may_still_be_published_does_not_count_as_collected() -> None:
    """16:00 is missing at 16:10: it may come until 16:35, so the window ends before it."""
    answer = answered(DECLARED, unit(0, 16.2), series([0, 8]), at(16) + 10 * 60_000)
    assert answer.window == Window(at(0), at(15) + 35 * 60_000)
    later = answered(DECLARED, unit(0, 17), series([0, 8]), at(16) + 40 * 60_000)
    assert later.window.end_ms > at(16), "by now it would be there"


def test_a_settlement_that_is_there_counts_at_once() -> None:
    """16:00 came at 16:02: the window reaches now, and the next one will ask for 17:00."""
    now = at(16) + 2 * 60_000
    answer = answered(DECLARED, Unit("AAA", Window(at(0), now), span(0, 17)), series([8, 16]), now)
    assert answer.window == Window(at(0), now)


def test_an_hour_that_settles_late_is_asked_again_at_the_next_tick() -> None:
    """Hourly, 10:14 and the 10:00 row is not there yet; the row of 09:00 is."""
    now = at(10) + 14 * 60_000
    answer = answered(HOURLY, Unit("AAA", Window(at(0), now), span(0, 11)), series(range(10)), now)
    assert at(9) < answer.window.end_ms <= at(10)


def test_an_answer_of_nothing_near_now_collects_nothing_of_it() -> None:
    now = at(16) + 10 * 60_000
    answer = answered(DECLARED, Unit("AAA", Window(at(16), now), span(0, 17)), [], now)
    assert answer.window.end_ms == answer.window.start_ms


def test_rejected_rows_are_those_of_the_window() -> None:
    bad = [sent(8, "NaN"), sent(32, "NaN"), sent(56, "NaN")]
    answer = answered(DECLARED, unit(24, 48), bad, LATER_MS)
    assert [q.raw.time_ms for q in answer.rejected] == [at(32)]


def test_a_row_of_another_market_is_never_stored_as_this_one_s() -> None:
    answer = answered(DECLARED, unit(0, 24), [sent(0), sent(8, market="BBB")], LATER_MS)
    assert [r.raw.market for r in answer.rows] == ["AAA"]
    assert [q.reason for q in answer.rejected] == ["another market: BBB"]


# --- forecast


def test_the_forecast_counts_pages_and_rows() -> None:
    units = planned(span(24, 24 + 720), known(interval=1), spec=HOURLY)
    found = forecast(HOURLY, units, {"AAA": 1})
    assert (found.units, found.rows, found.requests) == (1, 720, 8), "pages of 100"
    eight = forecast(HOURLY, units, {"AAA": 8})
    assert (eight.rows, eight.requests) == (90, 1)
    assert forecast(HOURLY, [], {}).requests == 0


def test_what_an_exchange_does_not_keep_is_not_asked_for() -> None:
    """Two hours less than it keeps: the oldest hour expires while it is asked for."""
    keeps = dataclasses.replace(DECLARED, look_back_days=2)
    (unit,) = planned(span(-500, 0), spec=keeps, now_ms=at(0.5))
    assert unit.window == span(-46, 0)
    assert unit.ask.start_ms == at(-46) - EARLY, "context is not asked for either"
    (unit,) = planned(span(-10, 0), spec=keeps, now_ms=at(0.5))
    assert unit.window == span(-10, 0)


# --- repairs


def repair(
    holes: dict[str, list[Window]],
    *markets: KnownMarket,
    spec: ExchangeSpec = DECLARED,
    **more: Any,
) -> list[Unit]:
    job = Job("repair", span(0, 1), holes={spec.name: holes})
    return plan(job, spec, markets or (known(),), more.get("covered", {}), LATER_MS)


def test_a_repair_asks_for_its_holes_though_they_are_covered_newest_first() -> None:
    holes = {
        "AAA": [span(2500, 2503), span(10, 11)],
        "BBB": [span(2000, 2001)],
        "CCC": [span(1, 2)],
    }
    units = repair(
        holes,
        known("AAA"),
        known("BBB", live=False),
        covered={"AAA": [span(0, 9000)], "BBB": [span(0, 9000)]},
        spec=dataclasses.replace(DECLARED, page_rows=100),
    )
    assert [(unit.market, unit.window) for unit in units] == [
        ("AAA", span(2500, 2503)),
        ("BBB", span(2000, 2001)),
        ("AAA", span(10, 11)),
    ]
    assert units[0].ask == Window(at(2500) - EARLY, at(2503)), "what is covered is context already"


def test_holes_of_one_market_within_a_page_are_one_request() -> None:
    """100 rows of 8 h: what lies less than 800 h apart."""
    (unit,) = repair({"AAA": [span(0, 1), span(800, 801), span(1600, 1601)]})
    assert unit.window == span(0, 1601)
    assert len(repair({"AAA": [span(0, 1), span(801, 802)]})) == 2
    assert len(repair({"AAA": [span(0, 1), span(800, 801)]}, known(interval=4))) == 2


def test_a_repair_asks_neither_for_what_is_not_kept_nor_for_the_future() -> None:
    spec = dataclasses.replace(DECLARED, look_back_days=10)
    now = (LATER_MS - at(0)) // HOUR
    kept = now - 240 + 2
    assert repair({"AAA": [span(kept - 50, kept - 1)]}, spec=spec) == []
    (unit,) = repair({"AAA": [span(kept - 50, kept + 3)]}, spec=spec)
    assert unit.window == span(kept, kept + 3)
    (unit,) = repair({"AAA": [span(now - 3, now + 9)]})
    assert unit.window == span(now - 3, now)
    assert repair({"AAA": [span(now + 3, now + 9)]}) == []


def test_all_markets_are_asked_at_once_where_that_takes_fewer_requests() -> None:
    spec = dataclasses.replace(HOURLY, history_of_all=True, page_rows=1000)
    markets = [known(f"M{n}", interval=1) for n in range(300)]
    intervals = {market.market: 1 for market in markets}
    outage = repair({m.market: [span(100, 101)] for m in markets}, *markets, spec=spec)
    assert cheaper_together(spec, outage, intervals), "300 rows on one page, or 300 requests"
    one = repair({"M7": [span(100, 101)]}, *markets, spec=spec)
    assert not cheaper_together(spec, one, intervals)
    month = repair({m.market: [span(0, 720)] for m in markets[:5]}, *markets, spec=spec)
    assert not cheaper_together(spec, month, intervals), "216 pages, or 5 requests"
    assert not cheaper_together(HOURLY, outage, intervals)
