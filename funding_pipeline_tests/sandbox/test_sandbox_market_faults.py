"""Events of a market in all exchanges: renamed, delisted, listed again, another interval."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.exchanges.paradex_index import funding_index
from funding_pipeline.sandbox.faults import FaultFileError, FaultPlan, parse_faults
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS, Dataset
from funding_pipeline.sandbox.market_faults import reshape
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

EVENT_MS = WORLD_NOW_MS // DAY_MS * DAY_MS - 10 * DAY_MS
SYMBOLS = {
    "hyperliquid": ("SOL", "NEWSOL"),
    "bybit": ("SOLUSDT", "NEWSOLUSDT"),
    "binance": ("SOLUSDT", "NEWSOLUSDT"),
    "lighter": ("SOL", "NEWSOL"),
    "paradex": ("SOL-USD-PERP", "NEWSOL-USD-PERP"),
    "variational": ("SOL", "NEWSOL"),
}
Serve = Callable[..., tuple[httpx.Client, list[int]]]


@pytest.fixture
def serve(world: Dataset) -> Iterator[Serve]:
    """A sandbox with one event; the client and the time, which the test may change."""
    with ExitStack() as running:

        def start(**rule: Any) -> tuple[httpx.Client, list[int]]:
            clock = [WORLD_NOW_MS]
            plan = FaultPlan(parse_faults(json.dumps([rule])))
            url = running.enter_context(running_sandbox(world, now=lambda: clock[0], faults=plan))
            return running.enter_context(httpx.Client(base_url=url, timeout=10)), clock

        yield start


def listed(client: httpx.Client, exchange: str) -> dict[str, bool]:
    """Every perpetual an exchange lists, and whether it says that it is traded."""

    def get(path: str, **params: Any) -> Any:
        return client.get(f"/{exchange}/{path}", params=params).json()

    match exchange:
        case "hyperliquid":
            meta = client.post("/hyperliquid/info", json={"type": "meta"}).json()
            return {u["name"]: not u.get("isDelisted", False) for u in meta["universe"]}
        case "bybit":
            answers = [
                get("v5/market/instruments-info", category="linear", limit=1000, status=status)
                for status in ("Trading", "Closed")
            ]
            rows = [row for answer in answers for row in answer["result"]["list"]]
            return {row["symbol"]: row["status"] == "Trading" for row in rows}
        case "binance":
            symbols = get("fapi/v1/exchangeInfo")["symbols"]
            return {row["symbol"]: row["status"] == "TRADING" for row in symbols}
        case "lighter":
            books = get("api/v1/orderBookDetails")["order_book_details"]
            return {row["symbol"]: row["status"] == "active" for row in books}
        case "paradex":
            return {row["symbol"]: True for row in get("v1/markets")["results"]}
    return {row["ticker"]: True for row in get("metadata/stats")["listings"]}


def times(client: httpx.Client, exchange: str, symbol: str, start: int, end: int) -> list[int]:
    """The stamps of a market's history, by hour; -1 for an error."""
    match exchange:
        case "hyperliquid":
            body = {"type": "fundingHistory", "coin": symbol, "startTime": start, "endTime": end}
            rows = client.post("/hyperliquid/info", json=body).json()
            return [-1] if rows is None else [row["time"] // HOUR_MS for row in rows]
        case "bybit":
            params: dict[str, Any] = {
                "category": "linear", "symbol": symbol, "startTime": start, "endTime": end
            }  # fmt: skip
            answer = client.get("/bybit/v5/market/funding/history", params=params).json()
            if answer["retCode"]:
                return [-1]
            return [int(r["fundingRateTimestamp"]) // HOUR_MS for r in answer["result"]["list"]]
        case "binance":
            params = {"symbol": symbol, "startTime": start, "endTime": end, "limit": 1000}
            rows = client.get("/binance/fapi/v1/fundingRate", params=params).json()
            return [-1] if "code" in rows else [row["fundingTime"] // HOUR_MS for row in rows]
        case "lighter":
            params = {
                "market_id": 2, "resolution": "1h", "count_back": 0,
                "start_timestamp": start // 1000, "end_timestamp": end // 1000,
            }  # fmt: skip
            rows = client.get("/lighter/api/v1/fundings", params=params).json()["fundings"]
            return [row["timestamp"] // 3600 for row in rows]
    raise AssertionError(exchange)


@pytest.mark.parametrize("exchange", SYMBOLS)
def test_renamed(serve: Serve, exchange: str) -> None:
    old, new = SYMBOLS[exchange]
    client, clock = serve(kind="renamed", exchange=exchange, market=old, to=new, time=EVENT_MS)
    after = listed(client, exchange)
    clock[0] = EVENT_MS - 1
    before = listed(client, exchange)
    assert old in before and new not in before
    assert set(after) - set(before) == {new}
    assert set(before) - set(after) == {old}
    assert list(before).index(old) == list(after).index(new)


@pytest.mark.parametrize("exchange", ["hyperliquid", "bybit", "binance"])
def test_the_new_name_has_the_whole_history_and_the_old_one_is_unknown(
    serve: Serve, exchange: str
) -> None:
    old, new = SYMBOLS[exchange]
    client, clock = serve(kind="renamed", exchange=exchange, market=old, to=new, time=EVENT_MS)
    window = (EVENT_MS - 5 * DAY_MS, EVENT_MS - 1)
    assert times(client, exchange, old, *window) == [-1]
    history = times(client, exchange, new, *window)
    clock[0] = EVENT_MS - 1
    assert times(client, exchange, new, *window) == [-1]
    assert times(client, exchange, old, *window) == history
    assert len(history) >= 15


def test_a_renamed_market_keeps_its_number_on_lighter(serve: Serve) -> None:
    client, _ = serve(kind="renamed", exchange="lighter", market="SOL", to="NEWSOL", time=EVENT_MS)
    rows = client.get("/lighter/api/v1/orderBooks").json()["order_books"]
    assert {row["symbol"]: row["market_id"] for row in rows}["NEWSOL"] == 2
    assert len(times(client, "lighter", "", EVENT_MS - DAY_MS, EVENT_MS + DAY_MS)) == 49


@pytest.mark.parametrize("exchange", SYMBOLS)
def test_delisted_and_listed_again(serve: Serve, exchange: str) -> None:
    symbol, _ = SYMBOLS[exchange]
    until = EVENT_MS + 3 * DAY_MS
    client, clock = serve(
        kind="relisted", exchange=exchange, market=symbol, time=EVENT_MS, until=until
    )
    seen = []
    for now in (EVENT_MS - 1, EVENT_MS, until - 1, until):
        clock[0] = now
        seen.append(listed(client, exchange).get(symbol, False))
    assert seen == [True, False, False, True]
    assert listed(client, exchange)[SYMBOLS[exchange][0].replace("SOL", "BTC")]


@pytest.mark.parametrize("exchange", ["hyperliquid", "bybit", "binance", "lighter"])
@pytest.mark.parametrize("kind", ["delisted", "relisted"])
def test_nothing_is_settled_in_between(serve: Serve, exchange: str, kind: str) -> None:
    symbol, _ = SYMBOLS[exchange]
    until = EVENT_MS + 3 * DAY_MS
    more = {"until": until} if kind == "relisted" else {}
    client, _ = serve(kind=kind, exchange=exchange, market=symbol, time=EVENT_MS, **more)
    hours = times(client, exchange, symbol, EVENT_MS - DAY_MS, EVENT_MS + 6 * DAY_MS)
    event, again = EVENT_MS // HOUR_MS, until // HOUR_MS
    assert event in hours
    assert not [hour for hour in hours if event < hour <= again]
    assert any(hour > again for hour in hours) == (kind == "relisted")


def test_a_delisted_paradex_market_accrues_no_more(world: Dataset) -> None:
    faults = parse_faults(
        json.dumps(
            [{"kind": "delisted", "exchange": "paradex", "market": "SOL-USD-PERP",
              "time": EVENT_MS + 60_000}]
        )
    )  # fmt: skip
    market = reshape(world, faults, EXCHANGES).market("paradex", "SOL-USD-PERP", WORLD_NOW_MS)
    assert market is not None
    index = funding_index(market)
    assert index.index_at(EVENT_MS + 60_000) == index.index_at(WORLD_NOW_MS)
    assert index.index_at(EVENT_MS) != index.index_at(EVENT_MS + 60_000)
    newest = index.sample_at_or_before(WORLD_NOW_MS)
    assert newest is not None and EVENT_MS + 55_000 <= newest < EVENT_MS + 60_000


@pytest.mark.parametrize(("exchange", "hours"), [("bybit", 4), ("binance", 1), ("hyperliquid", 8)])
def test_another_interval_from_a_moment_on(
    serve: Serve, world: Dataset, exchange: str, hours: int
) -> None:
    symbol, _ = SYMBOLS[exchange]
    event = EVENT_MS + 8 * HOUR_MS
    rule = {"exchange": exchange, "market": symbol, "time": event, "hours": hours}
    client, _ = serve(kind="interval_change", **rule)
    stamps = sorted(times(client, exchange, symbol, event - 2 * DAY_MS, event + DAY_MS))
    gaps = [after - before for before, after in pairwise(stamps)]
    change = stamps.index(event // HOUR_MS)
    before = 1 if exchange == "hyperliquid" else 8
    assert set(gaps[:change]) == {before}
    assert set(gaps[change:]) == {hours}
    faults = parse_faults(json.dumps([{"kind": "interval_change", **rule}]))
    changed = reshape(world, faults, EXCHANGES).market(exchange, symbol, WORLD_NOW_MS)
    original = world.market(exchange, symbol, WORLD_NOW_MS)
    assert changed is not None and original is not None
    assert changed.interval_hours_at(event - 1) == before
    assert changed.interval_hours_at(event) == hours
    boundary = event + DAY_MS
    rates = [m.rates[m.settled(boundary, boundary + 1000, WORLD_NOW_MS)[0]]
             for m in (original, changed)]  # fmt: skip
    assert rates[1] == pytest.approx(rates[0] * hours / before, abs=1e-8)


def test_the_interval_in_force_is_told(serve: Serve) -> None:
    client, clock = serve(
        kind="interval_change", exchange="binance", market="BTCUSDT", time=EVENT_MS, hours=4
    )

    def told() -> int:
        rows = client.get("/binance/fapi/v1/fundingInfo").json()
        return int({r["symbol"]: r["fundingIntervalHours"] for r in rows}["BTCUSDT"])

    assert told() == 4
    clock[0] = EVENT_MS - 1
    assert told() == 8


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"kind": "renamed", "time": 1}, "needs `to`"),
        ({"kind": "relisted", "time": 5, "until": 5}, "`until` must be after"),
        ({"kind": "delisted"}, "needs `time`"),
        ({"kind": "interval_change", "time": 1, "hours": 7}, "`hours` must be one of"),
    ],
)
def test_a_wrong_event_is_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(FaultFileError, match=said):
        parse_faults(json.dumps([{"exchange": "binance", "market": "BTCUSDT", **rule}]))


@pytest.mark.parametrize(
    ("exchange", "market", "kind"),
    [
        ("binance", "NOPEUSDT", "delisted"),
        ("closed", "BTC_USDT", "delisted"),
        ("paradex", "SOL-USD-PERP", "interval_change"),
    ],
)
def test_an_event_that_cannot_be_is_refused(
    world: Dataset, exchange: str, market: str, kind: str
) -> None:
    rule = {"kind": kind, "exchange": exchange, "market": market, "time": EVENT_MS, "hours": 4}
    with pytest.raises(FaultFileError):
        reshape(world, parse_faults(json.dumps([rule])), EXCHANGES)
