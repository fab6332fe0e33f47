"""Bitcoin at one moment on every exchange, each through its own parser: a unit that is wrong by 8,
100 or 8760 would stand out of its table.

Belongs here: the comparison between exchanges. Does not: what else the recordings hold (the
exchanges' own tests). The expected APRs are those of an independent reading of the same recordings.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from funding_pipeline.domain.grid import slot_of
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.base import Request
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
SEP_11_17H = 1_789_146_000_000
SEP_13_16H = 1_789_315_200_000
SEP_13_20H = 1_789_329_600_000
SEP_13_22H = 1_789_336_800_000


@dataclass(frozen=True)
class Settled:
    """A settlement of the recorded history."""

    exchange: str
    file: str
    market: str
    at_ms: int
    raw: str
    hours: int
    apr_percent: float


@dataclass(frozen=True)
class Estimated:
    """A running estimate: by endpoint a recorded response, or a small one of our own."""

    exchange: str
    market: str
    raw: str
    hours: int
    apr_percent: float
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Told:
    """A raw value that no recorded response holds, or that of another exchange in a relay."""

    exchange: str
    raw: str
    hours: int
    apr_percent: float


SEP_11 = [
    Settled("lighter", "lighter/fundings_btc_2026-09-11", "BTC", SEP_11_17H, "0.0010", 1, 8.76),
    Estimated(
        "lighter",
        "BTC",
        "9.599999999999999e-05",
        1,
        10.5,
        {
            "funding-rates": "lighter/funding_rates_2026-09-11",
            "orderBookDetails": "lighter/order_book_details_2026-09-11",
        },
    ),
    # Relayed by Lighter, all per 8 hours.
    Told("hyperliquid", "0.0000655096", 8, 7.2),
    Told("bybit", "0.00004936", 8, 5.4),
    Told("binance", "0.00002494", 8, 2.7),
    Estimated(
        "hyperliquid",
        "BTC",
        "0.0000083651",
        1,
        7.3,
        {
            "perpDexs": "[null]",
            "metaAndAssetCtxs": "hyperliquid/meta_and_asset_ctxs_2026-09-11",
        },
    ),
    Estimated(
        "bybit", "BTCUSDT", "0.00004936", 8, 5.4, {"tickers": "bybit/tickers_linear_2026-09-11"}
    ),
    Estimated(
        "paradex",
        "BTC-USD-PERP",
        "0.00007688102642",
        1,
        8.4,
        {
            "markets/summary": "paradex/markets_summary_all_2026-09-11",
            "markets": "paradex/markets_btc_2026-09",
        },
    ),
    Told("okx", "0.0000593557", 8, 6.5),
    Told("kucoin", "0.000037", 8, 4.1),
    Told("mexc", "0.000029", 8, 3.2),
    Told("gate", "0.000016", 8, 1.8),
]

SEP_13 = [
    Settled(
        "pacifica",
        "pacifica/funding_rate_history_btc_2026-09-13",
        "BTC",
        SEP_13_22H,
        "0.00000383",
        1,
        3.4,
    ),
    Settled(
        "extended", "extended/funding_btc_2026-09-13", "BTC-USD", SEP_13_22H, "0.000013", 1, 11.4
    ),
    Settled(
        "apex", "apex/history_funding_btc_2026-09-13", "BTC-USDT", SEP_13_22H, "0.00000748", 1, 6.6
    ),
    Settled(
        "backpack",
        "backpack/funding_rates_btc_2026-09-13",
        "BTC_USDC_PERP",
        SEP_13_22H,
        "0.000008311",
        1,
        7.3,
    ),
    Told("nado", "6943496312518", 1, 6.1),
    Settled(
        "standx",
        "standx/query_funding_rates_btc_2026-09-13",
        "BTC-USD",
        SEP_13_22H,
        "0.00000873",
        1,
        7.6,
    ),
    Settled(
        "hibachi",
        "hibachi/funding_rates_btc_2026-09-13",
        "BTC/USDT-P",
        SEP_13_22H,
        "0.000019",
        1,
        16.6,
    ),
    Told("reya", "0.0010136", 1, 8.9),
    Told("variational", "0.091241", 8, 9.1),
    Settled(
        "edgex",
        "edgex/v2_funding_rate_page_btc_2026-09-13",
        "BTCUSDC",
        SEP_13_20H,
        "-0.00005067",
        4,
        -11.1,
    ),
    Told("grvt", "0.0061", 8, 6.7),
    Told("binance", "0.0000645", 8, 7.1),
    Settled(
        "bitget",
        "bitget/history_fund_rate_btc_2026-09-13",
        "BTCUSDT",
        SEP_13_16H,
        "0.000076",
        8,
        8.3,
    ),
    Settled(
        "bingx", "bingx/funding_rate_btc_2026-09-13", "BTC-USDT", SEP_13_16H, "0.00007800", 8, 8.5
    ),
    Settled(
        "htx",
        "htx/swap_historical_funding_rate_btc_2026-09-13",
        "BTC-USDT",
        SEP_13_16H,
        "0.000100000000000000",
        8,
        11.0,
    ),
    Told("orderly", "0.00009988", 8, 10.9),
    Settled(
        "velocity",
        "velocity/funding_rates_btc_2026-09-13",
        "BTC-PERP",
        SEP_13_22H,
        "6.399237833 / 77333.73",
        1,
        72.0,
    ),
]
TABLE = [*SEP_11, *SEP_13]


def named(row: Settled | Estimated | Told) -> str:
    return f"{row.exchange} {row.raw}"


@pytest.mark.parametrize("row", [r for r in TABLE if isinstance(r, Settled)], ids=named)
def test_a_settled_rate_of_the_table(responses_dir: Path, row: Settled) -> None:
    exchange = EXCHANGES[row.exchange]
    body = recorded(responses_dir, row.file)
    ids = json.loads(body)
    asked = Market(
        market=row.market,
        api_id=_contract_id(ids),
        symbol="BTC",
        quote="USD",
        settle="USD",
        interval_hours=row.hours,
    )
    window = Window(row.at_ms, row.at_ms + HOUR)
    rows, _ = drive(exchange.history(asked, window), lambda _: body)
    (found,) = [r for r in rows if slot_of(r.time_ms) == row.at_ms]
    assert found.market == row.market
    if " / " not in row.raw:
        assert found.rate_text == row.raw
    rate = fraction(found.rate_text, exchange.spec.rate_unit, row.hours)
    assert apr(rate, row.hours) * 100 == pytest.approx(row.apr_percent, abs=0.55 * 0.1, rel=0.01)


def _contract_id(answer: object) -> str:
    """Where rows name their contract by a number: the number of the recording."""
    found = answer.get("data") if isinstance(answer, dict) else None
    rows = found.get("dataList") if isinstance(found, dict) else None
    return str(rows[0]["contractId"]) if rows else "1"


@pytest.mark.parametrize("row", [r for r in TABLE if isinstance(r, Estimated)], ids=named)
def test_an_estimate_of_the_table(responses_dir: Path, row: Estimated) -> None:
    def answer(request: Request) -> bytes:
        known = row.answers[request.endpoint]
        return known.encode() if known[0] in "[{" else recorded(responses_dir, known)

    estimates, _ = drive(EXCHANGES[row.exchange].estimates(), answer)
    found = next(e for e in estimates if e.market == row.market)
    assert (float(found.raw_rate), found.interval_hours) == (float(row.raw), row.hours)
    assert apr(found.rate, row.hours) * 100 == pytest.approx(row.apr_percent, abs=0.06)


@pytest.mark.parametrize("row", [r for r in TABLE if isinstance(r, Told)], ids=named)
def test_a_raw_value_of_the_table(row: Told) -> None:
    """A relayed value is a fraction per 8 hours, whatever its exchange sends itself."""
    unit = EXCHANGES[row.exchange].spec.rate_unit
    rate = fraction(row.raw, unit, row.hours)
    assert apr(rate, row.hours) * 100 == pytest.approx(row.apr_percent, abs=0.06)
