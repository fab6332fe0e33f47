"""One query for many markets: slices, context at outer edges, dealing the answer out again."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.collection.load import Load
from funding_pipeline.collection.planning import CONTEXT_MS, Job, Unit, plan
from funding_pipeline.collection.queries import SLICE_MS, Query, answers, queries
from funding_pipeline.collection.report import LoadReport, Progress
from funding_pipeline.domain.errors import PageOverflowError, PermanentError
from funding_pipeline.domain.grid import EARLIEST_MS, HOUR_MS
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.domain.spans import coalesce
from funding_pipeline.exchanges.base import HistoryPlan, Request
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.markets import KnownMarket
from funding_pipeline_tests.collection.fakes import FakeExchange
from funding_pipeline_tests.warehouse.world import DECLARED, LATER_MS, at, sent

HOURS_OF_A_SLICE = SLICE_MS // HOUR_MS


def unit(market: str, first: float, last: float, before: float = 24, after: float = 24) -> Unit:
    """Hours; asked with context on both sides, as planning does."""
    ask = Window(at(first - before) + EARLIEST_MS, at(last + after))
    return Unit(market, Window(at(first), at(last)), ask)


def together(*units: Unit) -> list[Query]:
    return queries(DECLARED, units, together=True)


def dealt(
    query: Query, raw: Sequence[RawSettlement], known: Sequence[str] = ("AAA", "BBB")
) -> dict[str, tuple[list[int], list[int], list[str]]]:
    """By market: slots of rows and context in hours, and why rows were rejected."""
    return {
        a.market: (
            [(r.slot_ms - at(0)) // HOUR_MS for r in a.rows],
            [(r.slot_ms - at(0)) // HOUR_MS for r in a.context],
            [q.reason for q in a.rejected],
        )
        for a in answers(DECLARED, query, raw, known, LATER_MS)
    }


# --- grouping


def test_apart_every_unit_is_a_query_of_its_own() -> None:
    units = [unit("AAA", 0, 8), unit("BBB", 0, 8), unit("AAA", 100, 108)]
    found = queries(DECLARED, units, together=False)
    assert [(q.market, q.ask, q.units) for q in found] == [(u.market, u.ask, (u,)) for u in units]


def test_together_all_markets_of_a_window_are_one_query() -> None:
    units = [unit("AAA", 0, 8), unit("BBB", 0, 8)]
    (query,) = together(*units)
    assert (query.market, query.ask, query.units) == (None, units[0].ask, tuple(units))


def test_windows_that_overlap_or_touch_grow_together_and_keep_their_own_edges() -> None:
    """A market listed at hour 20, one that lags from hour 4 on."""
    units = [unit("AAA", 4, 30), unit("BBB", 20, 30, before=0)]
    (query,) = together(*units)
    assert query.ask == Window(at(4 - 24) + EARLIEST_MS, at(54))
    assert [part.window for part in query.units] == [u.window for u in units]


def test_windows_far_apart_are_asked_apart() -> None:
    first, second = together(unit("AAA", 0, 8), unit("BBB", 500, 508))
    assert [u.market for u in first.units] == ["AAA"]
    assert [u.market for u in second.units] == ["BBB"]


def test_a_listing_date_narrows_its_market_and_no_other() -> None:
    """As planned: the union reaches back to what the old market needs."""
    known = [
        KnownMarket(1, "OLD", True, 8, None, None),
        KnownMarket(2, "NEW", True, 8, at(240), None),
    ]
    job = Job("backfill", Window(at(0), at(480)))
    (query,) = together(*plan(job, DECLARED, known, {}, LATER_MS))
    assert query.ask.start_ms == at(0) - CONTEXT_MS + EARLIEST_MS
    assert {u.market: u.window for u in query.units} == {
        "OLD": Window(at(0), at(480)),
        "NEW": Window(at(240), at(480)),
    }


def test_long_windows_are_cut_into_slices_with_context_at_the_outer_edges_only() -> None:
    size = HOURS_OF_A_SLICE
    first, second, third = together(unit("AAA", 0, 2.5 * size))
    assert [q.units[0].window for q in (first, second, third)] == [
        Window(at(0), at(size)),
        Window(at(size), at(2 * size)),
        Window(at(2 * size), at(2.5 * size)),
    ]
    assert first.ask == Window(at(-24) + EARLIEST_MS, at(size))
    assert second.ask == Window(at(size) + EARLIEST_MS, at(2 * size)), "5 s for early stamps"
    assert third.ask == Window(at(2 * size) + EARLIEST_MS, at(2.5 * size + 24))


def test_an_early_stamp_at_an_inner_edge_is_stored_exactly_once() -> None:
    row = sent(HOURS_OF_A_SLICE, lag_ms=-4_000)
    found = [
        dealt(query, [row] if query.ask.start_ms <= row.time_ms < query.ask.end_ms else [])
        for query in together(unit("AAA", 0, 2 * HOURS_OF_A_SLICE))
    ]
    assert [len(each["AAA"][0]) for each in found] == [0, 1]


def test_a_market_outside_a_slice_is_no_part_of_it() -> None:
    size = HOURS_OF_A_SLICE
    first, second = together(unit("AAA", 0, 2 * size), unit("BBB", size, 2 * size))
    assert [u.market for u in first.units] == ["AAA"]
    assert [u.market for u in second.units] == ["AAA", "BBB"]
    assert second.ask.start_ms == at(size - 24) + EARLIEST_MS, "the outer edge of BBB"


SPANS = st.lists(
    st.tuples(st.sampled_from(["AAA", "BBB", "CCC"]), st.integers(0, 2000), st.integers(1, 1500)),
    max_size=8,
)


@given(spans=SPANS)
def test_every_hour_of_every_unit_is_in_exactly_one_part_and_asked_for(
    spans: list[tuple[str, int, int]],
) -> None:
    units = [unit(market, start, start + length) for market, start, length in spans]
    for market in ("AAA", "BBB", "CCC"):
        own = [u.window for u in units if u.market == market]
        parts = [
            (part.window, query.ask)
            for query in together(*units)
            for part in query.units
            if part.market == market
        ]
        assert coalesce(window for window, _ in parts) == coalesce(own)
        assert sum(w.end_ms - w.start_ms for w, _ in parts) == sum(
            w.end_ms - w.start_ms for w in own
        )
        for window, ask in parts:
            assert ask.start_ms <= window.start_ms + EARLIEST_MS
            assert window.end_ms <= ask.end_ms
            assert window.end_ms - window.start_ms <= SLICE_MS


# --- dealing out


def test_rows_go_to_their_market_and_what_lies_around_is_context() -> None:
    (query,) = together(unit("AAA", 8, 24), unit("BBB", 16, 24))
    raw = [sent(h, market=m) for h in range(0, 40, 8) for m in ("AAA", "BBB")]
    assert dealt(query, raw) == {
        "AAA": ([8, 16], [0, 24, 32], []),
        "BBB": ([16], [0, 8, 24, 32], []),
    }


def test_a_market_without_a_row_was_answered_all_the_same() -> None:
    """An empty answer is an answer: its window counts as collected."""
    (query,) = together(unit("AAA", 8, 24), unit("BBB", 8, 24))
    found = answers(DECLARED, query, [sent(8)], ["AAA", "BBB"], LATER_MS)
    assert {a.market: a.window for a in found} == dict.fromkeys(
        ("AAA", "BBB"), Window(at(8), at(24))
    )


def test_rows_of_unknown_markets_are_quarantined_with_a_reason() -> None:
    (query,) = together(unit("AAA", 8, 24))
    raw = [sent(8), sent(8, market="ZZZ"), sent(16, "0.7", market="ZZZ")]
    found = answers(DECLARED, query, raw, ["AAA"], LATER_MS)
    assert [a.market for a in found] == ["AAA", "ZZZ"]
    stranger = found[1]
    assert (stranger.rows, stranger.context, stranger.window) == ((), (), Window(0, 0))
    assert [q.raw for q in stranger.rejected] == raw[1:]
    assert {q.reason for q in stranger.rejected} == {"unknown market: not on the exchange's list"}


def test_rows_of_known_markets_that_were_not_asked_for_are_dropped() -> None:
    (query,) = together(unit("AAA", 8, 24))
    raw = [sent(8), sent(8, market="BBB")]
    assert dealt(query, raw) == {"AAA": ([8], [], [])}


def test_of_one_market_foreign_rows_are_quarantined_with_it() -> None:
    (query,) = queries(DECLARED, [unit("AAA", 8, 24)], together=False)
    assert dealt(query, [sent(8), sent(16, market="BBB")]) == {
        "AAA": ([8], [], ["another market: BBB"])
    }


# --- through the engine


class Together(FakeExchange):
    """All markets in one list, at /history without a market."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(history_of_all=True, **changes)

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        if market is not None:
            return (yield from super().history(market, window))
        body = yield Request(
            endpoint="history",
            path="/history",
            params={"start": window.start_ms, "end": window.end_ms},
        )
        return [RawSettlement(name, *row) for name, *row in self._decode(body, "history")]


def load(
    settings: Settings,
    rows: Mapping[str, Sequence[int]],
    *,
    window: Window,
    broken: bool = False,
    markets: Sequence[str] = (),
    listed: Sequence[str] = ("AAA", "BBB", "CCC"),
) -> tuple[LoadReport, list[httpx.QueryParams]]:
    """One load against a made-up exchange whose markets settle at those hours."""
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/markets"):
            return httpx.Response(200, json=list(listed))
        asked.append(request.url.params)
        if broken:
            return httpx.Response(451, text="not from here")
        start, end = int(asked[-1]["start"]), int(asked[-1]["end"])
        one = asked[-1].get("market")
        found = [
            [*([] if one else [m]), at(h), "0.0001"]
            for m, hours in rows.items()
            for h in hours
            if start <= at(h) < end and one in (None, m)
        ]
        return httpx.Response(200, json=found)

    async def run() -> LoadReport:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            job = Job("backfill", window, frozenset(markets))
            exchange = Together(limits=())
            database = Database(settings)
            return await Load(exchange, job, settings, database, http, LATER_MS, Progress()).run()

    return asyncio.run(run()), asked


def table(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with Database(settings).open() as connection:
        return connection.execute(sql).fetchall()


EIGHT_HOURLY = {m: range(-24, 1500, 8) for m in ("AAA", "BBB", "CCC")}


def test_all_markets_cost_one_query_and_the_second_load_none(settings: Settings) -> None:
    window = Window(at(0), at(240))
    report, asked = load(settings, EIGHT_HOURLY, window=window)
    assert (report.outcome, report.counts.new, len(asked)) == ("complete", 90, 1)
    assert "market" not in asked[0]
    report, asked = load(settings, EIGHT_HOURLY, window=window)
    assert (report.counts.new, report.markets_asked, asked) == (0, 0, [])


def test_slices_store_every_row_once_with_its_interval(settings: Settings) -> None:
    """Also the last row of a slice, whose follower came with the next one."""
    report, asked = load(settings, EIGHT_HOURLY, window=Window(at(0), at(1440)))
    assert (report.outcome, report.counts.new, len(asked)) == ("complete", 3 * 180, 2)
    assert table(settings, "SELECT DISTINCT interval_hours, covered_hours FROM settlements") == [
        (8, 8)
    ]


def test_single_markets_are_asked_one_by_one(settings: Settings) -> None:
    report, asked = load(
        settings, EIGHT_HOURLY, window=Window(at(0), at(240)), markets=["AAA", "CCC"]
    )
    assert [params["market"] for params in asked] == ["AAA", "CCC"]
    assert report.counts.new == 60


def test_a_failing_query_of_all_markets_fails_every_one_of_them(settings: Settings) -> None:
    report, _ = load(settings, EIGHT_HOURLY, window=Window(at(0), at(240)), broken=True)
    assert report.outcome == "failed"
    assert report.failures.keys() == {"AAA", "BBB", "CCC"}
    assert "3 of 3 markets failed" in (report.error or "")
    assert "all markets: madeup history" in (report.error or "")
    assert table(settings, "SELECT count(*) FROM collected_windows") == [(0,)]


def test_where_a_page_cannot_hold_all_markets_each_is_asked_by_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Together.history

    def overflowing(self: Together, market: Market | None, window: Window) -> HistoryPlan:
        rows = yield from whole(self, market, window)
        if market is None:
            raise PageOverflowError("madeup", "history", "3 settlements at once fill a page")
        return rows

    monkeypatch.setattr(Together, "history", overflowing)
    report, asked = load(settings, EIGHT_HOURLY, window=Window(at(0), at(240)))
    assert (report.outcome, report.counts.new, report.failures) == ("complete", 90, {})
    assert [params.get("market") for params in asked] == [None, "AAA", "BBB", "CCC"]


def test_where_an_exchange_wants_a_market_named_each_is_asked_by_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Together.history

    def picky(self: Together, market: Market | None, window: Window) -> HistoryPlan:
        if market is None:
            raise PermanentError("madeup", "history", "parameter 'market' was not sent")
        return (yield from whole(self, market, window))

    monkeypatch.setattr(Together, "history", picky)
    report, asked = load(settings, EIGHT_HOURLY, window=Window(at(0), at(240)))
    assert (report.outcome, report.counts.new, report.failures) == ("complete", 90, {})
    assert sorted(params["market"] for params in asked) == ["AAA", "BBB", "CCC"]


def test_strangers_reach_the_quarantine_and_count_as_collected_nowhere(
    settings: Settings,
) -> None:
    report, _ = load(settings, EIGHT_HOURLY, window=Window(at(0), at(24)), listed=["AAA", "BBB"])
    assert report.counts.new == 6
    assert table(settings, "SELECT DISTINCT market, reason FROM quarantine") == [
        ("CCC", "unknown market: not on the exchange's list")
    ]
    assert table(settings, "SELECT DISTINCT market FROM collected_windows ORDER BY 1") == [
        ("AAA",),
        ("BBB",),
    ]
