"""Every kind of fault over real HTTP, its counters, and the errors of a wrong fault file."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.faults import KINDS, FaultFileError, FaultPlan, parse_faults
from funding_pipeline.sandbox.market import HOUR_MS, Dataset
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS

Serve = Callable[..., httpx.Client]
HISTORY = {"type": "fundingHistory", "coin": "BTC", "startTime": 0}


def faulty(serve: Serve, kind: str, **rule: Any) -> httpx.Client:
    return serve(faults=json.dumps([{"kind": kind, **rule}]))


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/hyperliquid/info", json=HISTORY)


def bybit_rows(client: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    params = {"category": "linear", "symbol": "BTCUSDT", **params}
    answer = client.get("/bybit/v5/market/funding/history", params=params)
    rows: list[dict[str, Any]] = answer.json()["result"]["list"]
    return rows


def test_timeout_delays_the_answer(serve: Serve) -> None:
    client = faulty(serve, "timeout", seconds=0.3, first=1)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/hyperliquid/info", json=HISTORY, timeout=0.1)
    begun = time.monotonic()
    assert ask(client).status_code == 200
    assert time.monotonic() - begun < 0.3


def test_reset_closes_the_connection_in_the_middle(serve: Serve) -> None:
    client = faulty(serve, "reset", first=1)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client)
    assert len(ask(client).json()) == 500


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("http_500", 500),
        ("http_502", 502),
        ("http_503", 503),
        ("geo_block", 403),
        ("legal_block", 451),
        ("html_200", 200),
    ],
)
def test_pages_instead_of_answers(serve: Serve, kind: str, status: int) -> None:
    answer = ask(faulty(serve, kind))
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")


def test_rate_limited_tells_when_to_come_back(serve: Serve) -> None:
    client = faulty(serve, "rate_limited", first=3, retry_after=7)
    answers = [ask(client) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"


def test_truncated_json_cannot_be_decoded(serve: Serve) -> None:
    answer = ask(faulty(serve, "truncated_json"))
    assert answer.status_code == 200
    assert answer.text.startswith('[{"coin"')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_wrong_type_sends_a_number_for_a_string(serve: Serve) -> None:
    rows = ask(faulty(serve, "wrong_type", row=3)).json()
    assert isinstance(rows[3]["fundingRate"], float)
    assert isinstance(rows[2]["fundingRate"], str)
    rows = ask(faulty(serve, "wrong_type", field="time")).json()
    assert isinstance(rows[0]["time"], str)


def test_missing_field(serve: Serve) -> None:
    rows = ask(faulty(serve, "missing_field", field="premium")).json()
    assert "premium" not in rows[0]
    assert "premium" in rows[1]


@pytest.mark.parametrize(("kind", "text"), [("nan_rate", "NaN"), ("empty_rate", "")])
def test_rates_that_are_no_numbers(serve: Serve, kind: str, text: str) -> None:
    client = faulty(serve, kind)
    assert bybit_rows(client)[0]["fundingRate"] == text
    _, contexts = client.post("/hyperliquid/info", json={"type": "metaAndAssetCtxs"}).json()
    assert contexts[0]["funding"] == text


def test_duplicate_rows(serve: Serve) -> None:
    rows = bybit_rows(faulty(serve, "duplicate_rows"), limit=10)
    assert len(rows) == 20
    assert rows[0::2] == rows[1::2]


def test_shuffled_rows_are_the_same_rows_in_another_order(serve: Serve) -> None:
    client = faulty(serve, "shuffled_rows", first=1)
    shuffled, ordered = bybit_rows(client), bybit_rows(client)
    assert shuffled != ordered
    assert sorted(shuffled, key=str) == sorted(ordered, key=str)


def test_late_correction_changes_the_newest_settlement_later(serve: Serve) -> None:
    client = faulty(serve, "late_correction", exchange="bybit", after=2, add=0.0003)
    first, second, third, fourth = (bybit_rows(client, limit=5) for _ in range(4))
    assert first == second
    assert third == fourth
    assert float(third[0]["fundingRate"]) == pytest.approx(float(first[0]["fundingRate"]) + 0.0003)
    assert third[1:] == first[1:]


def test_late_correction_of_a_named_settlement(serve: Serve, now_ms: int) -> None:
    stamp = now_ms // (8 * HOUR_MS) * 8 * HOUR_MS - 16 * HOUR_MS
    client = faulty(serve, "late_correction", market="BTCUSDT", time=stamp)
    before, after = bybit_rows(client, limit=5), bybit_rows(client, limit=5)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [row["fundingRateTimestamp"] for row in changed] == [str(stamp)]


def test_late_corrections_keep_each_exchanges_stamps_and_decimals(
    world: Dataset, world_client: httpx.Client
) -> None:
    hour_s = WORLD_NOW_MS // HOUR_MS * 3600
    window = f"start_timestamp={hour_s - 7200}&end_timestamp={hour_s}"
    paths = {
        f"/lighter/api/v1/fundings?market_id=1&resolution=1h&count_back=0&{window}": "fundings",
        "/binance/fapi/v1/fundingRate?symbol=BTCUSDT&limit=3": None,
        f"/paradex/v1/funding/data?market=BTC-USD-PERP&page_size=3&end_at={hour_s}000": "results",
    }
    for path, key in paths.items():
        plan = FaultPlan(parse_faults('[{"kind": "late_correction", "after": 0, "add": 0.0008}]'))
        with (
            running_sandbox(world, now=lambda: WORLD_NOW_MS, faults=plan) as url,
            httpx.Client(base_url=url) as client,
        ):
            before, after = (c.get(path).json() for c in (world_client, client))
        if key is not None:
            before, after = before[key], after[key]
        field = {"fundings": "rate", "results": "funding_index"}.get(key or "", "fundingRate")
        pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert len(pairs) == (3 if key == "results" else 1)
        for old, new in pairs:
            assert {name for name in old if old[name] != new[name]} == {field}
            assert float(new[field]) == pytest.approx(float(old[field]) + 0.0008)
            assert len(new[field]) == len(old[field])


def test_page_limit_lower_than_documented_keeps_paging_intact(serve: Serve) -> None:
    client = faulty(serve, "page_limit", rows=40)
    rows = ask(client).json()
    assert len(rows) == 40
    start = rows[-1]["time"] + 1
    following = client.post("/hyperliquid/info", json={**HISTORY, "startTime": start}).json()
    assert following[0]["time"] // HOUR_MS == rows[-1]["time"] // HOUR_MS + 1
    newest = bybit_rows(client)
    assert len(newest) == 40
    assert newest == bybit_rows(client, limit=40)


def test_every_kind_is_tested_here() -> None:
    files = (Path(__file__), Path(__file__).with_name("test_sandbox_market_faults.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        ({}, "xxxxxxxx"),
        ({"first": 2}, "xx......"),
        ({"every": 3}, "..x..x.."),
        ({"every": 2, "times": 2}, ".x.x...."),
        ({"after": 3, "first": 2}, "...xx..."),
        ({"after": 1, "every": 3}, "...x..x."),
        ({"market": "ETH"}, "........"),
        ({"endpoint": "meta"}, "........"),
        ({"exchange": "bybit"}, "........"),
        ({"exchange": "hyperliquid", "endpoint": "fundingHistory", "market": "BTC"}, "xxxxxxxx"),
    ],
)
def test_counters_and_conditions(serve: Serve, rule: dict[str, Any], struck: str) -> None:
    client = faulty(serve, "http_500", **rule)
    statuses = [ask(client).status_code for _ in range(8)]
    assert "".join("x" if status == 500 else "." for status in statuses) == struck


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"kind": "explode"}]', r"explode.*\[0\]\.kind.*Known kinds: timeout"),
        ('[{"kind": "reset", "evry": 2}]', "evry"),
        ('[{"kind": "reset", "every": 0}]', "`every` must be at least 1"),
        ('[{"exchange": "bybit"}]', "kind"),
        ('{"kind": "reset"}', "array"),
        ("kind: reset", "malformed"),
    ],
)
def test_a_wrong_fault_file_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(FaultFileError, match=said):
        parse_faults(text)
