"""The sandbox's answers beside recorded ones of the exchanges: keys, types, order, number text."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.sandbox.wire import plain, pointed

POINTED = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def url() -> Any:
    with running_sandbox(generate(EXCHANGES.values())) as url:
        yield url


def recorded(responses_dir: Path, name: str) -> Any:
    return json.loads((responses_dir / name).read_text())["response"]


def info(url: str, **body: Any) -> Any:
    return httpx.post(f"{url}/hyperliquid/info", json=body).json()


def bybit(url: str, endpoint: str, **params: Any) -> Any:
    params = {"category": "linear", **params}
    return httpx.get(f"{url}/bybit/v5/market/{endpoint}", params=params).json()


def same_shape(ours: Any, real: Any, where: str = "$") -> None:
    """Every key of the real answer is there, in that order, with the same type of value."""
    assert type(ours) is type(real), where
    if isinstance(real, dict):
        assert [key for key in ours if key in real] == list(real), where
        for key in real:
            same_shape(ours[key], real[key], f"{where}.{key}")
    elif isinstance(real, list) and real and ours and isinstance(real[0], dict):
        same_shape(ours[0], real[0], f"{where}[0]")
    elif isinstance(real, str) and POINTED.fullmatch(real) and ours:
        assert re.fullmatch(r"-?\d+(\.\d+)?", ours), f"{where}: {ours}"


@pytest.mark.parametrize(
    ("name", "coin"),
    [
        ("hyperliquid/funding_history_btc_2026-09-11.json", "BTC"),
        ("hyperliquid/funding_history_hip3_xyz100_2026-09-11.json", "xyz:XYZ100"),
    ],
)
def test_hyperliquid_history(url: str, responses_dir: Path, name: str, coin: str) -> None:
    real = recorded(responses_dir, name)
    ours = info(url, type="fundingHistory", coin=coin, startTime=real[0]["time"])
    assert [set(row) for row in ours] == [set(real[0])] * len(ours)
    same_shape(ours, real)
    for row in ours:
        assert POINTED.fullmatch(row["fundingRate"]), row
        assert POINTED.fullmatch(row["premium"]), row


@pytest.mark.parametrize(
    ("name", "dex"),
    [
        ("hyperliquid/meta_and_asset_ctxs_2026-09-11.json", ""),
        ("hyperliquid/meta_and_asset_ctxs_hip3_xyz_2026-09-11.json", "xyz"),
    ],
)
def test_hyperliquid_contexts(url: str, responses_dir: Path, name: str, dex: str) -> None:
    real_meta, real_contexts = recorded(responses_dir, name)
    body = {"dex": dex} if dex else {}
    meta, contexts = info(url, type="metaAndAssetCtxs", **body)
    same_shape(meta, real_meta)
    live = contexts[0]
    assert list(live) == list(real_contexts[0])
    same_shape(live, real_contexts[0])
    assert all(POINTED.fullmatch(v) for v in live.values() if isinstance(v, str)), live
    same_shape(meta["universe"][0], real_meta["universe"][0])
    assert len(meta["universe"]) == len(contexts)


def test_hyperliquid_delisted_context(url: str, responses_dir: Path) -> None:
    real_meta, real_contexts = recorded(
        responses_dir, "hyperliquid/meta_and_asset_ctxs_2026-09-11.json"
    )
    meta, contexts = info(url, type="metaAndAssetCtxs")
    index = next(i for i, entry in enumerate(meta["universe"]) if entry["name"] == "MATIC")
    assert list(meta["universe"][index]) == list(real_meta["universe"][2])
    assert {k for k, v in contexts[index].items() if v is None} == {
        k for k, v in real_contexts[2].items() if v is None
    }
    assert contexts[index]["funding"] == real_contexts[2]["funding"] == "0.0"


def test_hyperliquid_dexes_and_predictions(url: str, responses_dir: Path) -> None:
    real = recorded(responses_dir, "hyperliquid/perp_dexs_2026-09-11.json")
    ours = info(url, type="perpDexs")
    assert ours[0] is real[0] is None
    same_shape(ours[1], real[1])
    real = dict(recorded(responses_dir, "hyperliquid/predicted_fundings_2026-09-04.json"))
    predicted = info(url, type="predictedFundings")
    assert [coin for coin, _ in predicted] == sorted(coin for coin, _ in predicted)
    venues, real_venues = dict(predicted)["BTC"], real["BTC"]
    assert [name for name, _ in venues] == [name for name, _ in real_venues]
    same_shape(dict(venues)["HlPerp"], dict(real_venues)["HlPerp"])
    same_shape(dict(venues)["BybitPerp"], dict(real_venues)["BybitPerp"])


@pytest.mark.parametrize(
    ("name", "endpoint", "params"),
    [
        ("funding_history_btcusdt_2026-09-04.json", "funding/history", {"symbol": "BTCUSDT"}),
        ("instruments_info_linear_2026-09-11.json", "instruments-info", {"limit": 1000}),
        ("tickers_linear_2026-09-11.json", "tickers", {}),
        ("doc_v5_market_tickers.json", "tickers", {}),
    ],
)
def test_bybit(url: str, responses_dir: Path, name: str, endpoint: str, params: Any) -> None:
    real = recorded(responses_dir, f"bybit/{name}")
    ours = bybit(url, endpoint, **params)
    if name.startswith("doc_"):
        # The documentation names the fields that the excerpt leaves out, in an older order.
        assert set(real["result"]["list"][0]) <= set(ours["result"]["list"][0])
        return
    assert list(ours) == list(real)
    same_shape(ours, real)


def test_bybit_filters_as_documented(url: str, responses_dir: Path) -> None:
    real = recorded(responses_dir, "bybit/doc_v5_market_instruments_info.json")["result"]["list"][0]
    ours = bybit(url, "instruments-info", symbol="BTCUSDT")["result"]["list"][0]
    for name in ("leverageFilter", "priceFilter", "lotSizeFilter"):
        assert set(real[name]) == set(ours[name])
    assert set(real) <= set(ours)


@pytest.mark.parametrize(
    ("name", "rows_of", "field", "write"),
    [
        ("hyperliquid/cassette_funding_history_btc_2023-07-17.json", "", "fundingRate", pointed),
        ("hyperliquid/cassette_funding_history_btc_2023-07-17.json", "", "premium", pointed),
        ("hyperliquid/funding_history_hip3_xyz100_2026-09-11.json", "", "premium", pointed),
        ("bybit/funding_history_btcusdt_2026-09-04.json", "result", "fundingRate", plain),
    ],
)
def test_numbers_are_written_as_the_exchanges_write_them(
    responses_dir: Path, name: str, rows_of: str, field: str, write: Any
) -> None:
    rows = recorded(responses_dir, name)
    rows = rows[rows_of]["list"] if rows_of else rows
    texts = [row[field] for row in rows]
    assert [write(float(text)) for text in texts] == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0000125, "0.0000125"),
        (-0.00061334, "-0.00061334"),
        (1e-10, "0.0000000001"),
        (0.0, "0"),
        (-0.0, "0"),
        (-0.04, "-0.04"),
        (77158.0, "77158"),
    ],
)
def test_plain_text_of_numbers(value: float, text: str) -> None:
    assert plain(value) == text
    assert pointed(value) == (text if "." in text else f"{text}.0")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("okx/funding_rate_any_2026-09-11.json", "okx/api/v5/public/funding-rate?instId=ANY"),
        ("orderly/funding_rates_2026-09-13.json", "orderly/v1/public/funding_rates"),
        (
            "edgex/v2_latest_funding_rate_2026-09-13.json",
            "edgex/api/v2/public/funding/getLatestFundingRate?contractId=30000001,30000002",
        ),
    ],
)
def test_newest_settlements_of_all(url: str, responses_dir: Path, name: str, path: str) -> None:
    ours, real = httpx.get(f"{url}/{path}").json()["data"], recorded(responses_dir, name)["data"]
    same_shape(ours, real)
    rows = real if isinstance(real, list) else real["rows"]
    assert set((ours if isinstance(ours, list) else ours["rows"])[0]) == set(rows[0])
