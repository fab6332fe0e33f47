"""Answers of the newer exchanges beside recorded ones: keys, types, order, text of numbers."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.exchanges.binance_like_rows import rate_text
from funding_pipeline.sandbox.wire import plain
from funding_pipeline_tests.sandbox.conftest import WORLD_NOW_MS
from funding_pipeline_tests.sandbox.test_sandbox_shapes import recorded, same_shape

HOUR_S = WORLD_NOW_MS // 3_600_000 * 3600


def ask(client: httpx.Client, path: str, **params: Any) -> Any:
    return client.get(path, params=params).json()


@pytest.mark.parametrize(
    ("name", "path", "params"),
    [
        ("funding_rate_btcusdt_2026-09-04", "fundingRate", {"symbol": "BTCUSDT"}),
        ("funding_info_2026-09-04", "fundingInfo", {}),
        ("premium_index_2026-09-04", "premiumIndex", {}),
        ("doc_fapi_v1_openinterest", "openInterest", {"symbol": "BTCUSDT"}),
        ("doc_fapi_v1_ticker_24hr", "ticker/24hr", {"symbol": "BTCUSDT"}),
    ],
)
def test_binance(
    world_client: httpx.Client, responses_dir: Path, name: str, path: str, params: Any
) -> None:
    real = recorded(responses_dir, f"binance/{name}.json")
    ours = ask(world_client, f"/binance/fapi/v1/{path}", **params)
    same_shape(ours, real)
    if isinstance(real, list):
        assert [list(row) for row in ours] == [list(real[0])] * len(ours)
    else:
        assert list(ours) == list(real)


def test_binance_exchange_info(world_client: httpx.Client, responses_dir: Path) -> None:
    real = recorded(responses_dir, "binance/doc_fapi_v1_exchangeinfo.json")
    ours = ask(world_client, "/binance/fapi/v1/exchangeInfo")
    assert list(ours) == list(real)
    row, real_row = ours["symbols"][0], real["symbols"][0]
    assert list(row) == list(real_row)
    assert [f["filterType"] for f in row["filters"]] == [
        f["filterType"] for f in real_row["filters"]
    ]
    for name in set(real_row) - {"filters"}:
        same_shape(row[name], real_row[name], name)


def test_binance_rates_are_written_as_the_exchange_writes_them(
    world_client: httpx.Client, recorded_dir: Path, responses_dir: Path
) -> None:
    rows = recorded(responses_dir, "binance/funding_rate_btcusdt_2026-09-04.json")
    premiums = json.loads((recorded_dir / "raw/binance/fapi-v1-premiumIndex.json").read_text())
    texts = [row["fundingRate"] for row in rows] + [row["lastFundingRate"] for row in premiums]
    assert [rate_text(float(text)) for text in texts] == texts
    prices = [row["markPrice"] for row in rows]
    assert all(len(price.partition(".")[2]) == 8 for price in prices)
    ours = ask(world_client, "/binance/fapi/v1/fundingRate", symbol="BTCUSDT")
    assert all(len(row["markPrice"].partition(".")[2]) == 8 for row in ours)


def test_lighter_fundings(world_client: httpx.Client, responses_dir: Path) -> None:
    real = recorded(responses_dir, "lighter/fundings_btc_2026-09-11.json")
    ours = ask(
        world_client,
        "/lighter/api/v1/fundings",
        market_id=1,
        resolution="1h",
        start_timestamp=HOUR_S - 86_400,
        end_timestamp=HOUR_S,
        count_back=0,
    )
    assert list(ours) == list(real)
    same_shape(ours, real)
    for row in ours["fundings"] + real["fundings"]:
        assert list(row) == ["timestamp", "value", "rate", "direction"]
        assert re.fullmatch(r"\d\.\d{4}", row["rate"])
        assert re.fullmatch(r"\d+\.\d{8}", row["value"])


def test_lighter_lists(world_client: httpx.Client, responses_dir: Path) -> None:
    real = recorded(responses_dir, "lighter/funding_rates_2026-09-11.json")
    ours = ask(world_client, "/lighter/api/v1/funding-rates")
    same_shape(ours, real)
    assert [list(row) for row in ours["funding_rates"]] == [list(real["funding_rates"][0])] * len(
        ours["funding_rates"]
    )
    # The exchange's own float noise: 0.0012 percent per hour as a fraction per 8 hours.
    own = [row["rate"] for row in ours["funding_rates"] if row["exchange"] == "lighter"]
    assert real["funding_rates"][-1]["rate"] in own
    real = recorded(responses_dir, "lighter/doc_api_v1_orderbooks.json")
    ours = ask(world_client, "/lighter/api/v1/orderBooks")
    same_shape(ours, real)
    assert list(ours["order_books"][0]) == list(real["order_books"][0])
    real = recorded(responses_dir, "lighter/order_book_details_2026-09-11.json")
    same_shape(ask(world_client, "/lighter/api/v1/orderBookDetails"), real)


def test_paradex_samples(world_client: httpx.Client, responses_dir: Path) -> None:
    now = ask(world_client, "/paradex/v1/funding/data", market="BTC-USD-PERP", page_size=1)
    for name, ours in (
        ("funding_data_btc_2026-09-04", now),
        (
            "funding_data_btc_legacy_2025-11-26",
            ask(
                world_client,
                "/paradex/v1/funding/data",
                market="BTC-USD-PERP",
                end_at=1764160327843,
                page_size=1,
            ),
        ),
    ):
        real = recorded(responses_dir, f"paradex/{name}.json")
        assert list(ours) == list(real)
        row, real_row = ours["results"][0], real["results"][0]
        assert list(row) == list(real_row)
        same_shape(row, real_row)
        for field in ("funding_index", "funding_premium", "funding_rate"):
            assert len(row[field].partition(".")[2]) == len(real_row[field].partition(".")[2])
    row = recorded(responses_dir, "paradex/funding_data_btc_2026-09-04.json")["results"][0]
    # Cut off, not rounded: 0.00007785743334 is shown as 0.00007785.
    assert row["funding_rate"].startswith(row["funding_rate_8h"])
    row = now["results"][0]
    assert row["funding_rate"].startswith(row["funding_rate_8h"])


def test_paradex_lists(world_client: httpx.Client, responses_dir: Path) -> None:
    real = recorded(responses_dir, "paradex/markets_btc_2026-09.json")
    ours = ask(world_client, "/paradex/v1/markets")
    assert list(ours["results"][0]) == list(real["results"][0])
    same_shape(ours, real)
    real = recorded(responses_dir, "paradex/markets_summary_all_2026-09-11.json")["results"]
    ours = ask(world_client, "/paradex/v1/markets/summary", market="ALL")["results"]
    same_shape(ours[0], real[0])
    assert list(ours[0]) == list(real[0])
    option = next(row for row in ours if row["funding_rate"] == "")
    assert set(option) >= set(real[2]) - {"future_funding_rate", "forward_rate"}


def test_variational(world_client: httpx.Client, responses_dir: Path) -> None:
    real = recorded(responses_dir, "variational/metadata_stats_2026-09-13.json")
    ours = ask(world_client, "/variational/metadata/stats")
    assert list(ours) == list(real)
    same_shape({**ours, "listings": []}, {**real, "listings": []})
    swaps = [row for row in ours["listings"] if row["name"].startswith("Swap on")]
    for row, real_row in (
        (ours["listings"][0], real["listings"][1]),
        (swaps[0], real["listings"][4]),
    ):
        assert list(row) == list(real_row)
        # The deepest quote is there where a market carries it.
        assert set(row["quotes"]) - {"size_1m"} <= set(real_row["quotes"])
        same_shape({**row, "quotes": {}}, {**real_row, "quotes": {}})
    texts = [row["funding_rate"] for row in real["listings"]]
    assert [plain(round(float(text), 6)) for text in texts] == texts
