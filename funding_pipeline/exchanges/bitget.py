"""Bitget, linear perpetuals: USDT-FUTURES and USDC-FUTURES.

Source: bitget.com/api-doc (v3 for lists and running rates, v2 for history), recorded responses of
2026-09.

Settled history: newest first, at most 100 rows, by page number only; startTime and endTime are
ignored, so each window is reached from the newest row on. Rates are fractions per the market's
interval, which is declared in hours and only as of now. Stamps are exact settlement times in ms, as
text. Running rates also come for test symbols, which no list of instruments holds. Positions are
counted in base units, one side. 20 requests per second.
"""

from collections.abc import Generator
from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Estimate, Market, RawSettlement, Window
from funding_pipeline.domain.symbols import unify
from funding_pipeline.exchanges.base import (
    EstimatesPlan,
    ExchangeSpec,
    HistoryPlan,
    MarketsPlan,
    RateLimit,
    Request,
)
from funding_pipeline.exchanges.paging import walked
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

SPEC = ExchangeSpec(
    name="bitget",
    title="Bitget",
    origins={"": "https://api.bitget.com"},
    api_docs="https://www.bitget.com/api-doc/contract/market/Get-History-Funding-Rate",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest limit seen: 2 % (running rates of 2026-09)
    page_rows=100,
    limits=(RateLimit(20, 1.0),),
)

# Each is named after the coin that it quotes and settles in.
_CATEGORIES = ("USDT-FUTURES", "USDC-FUTURES")
_FUND_RATE = "current-fund-rate"
_ASSET_CLASSES = {"stock": "equity", "metal": "commodity", "commodity": "commodity"}


class _Settled(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingTime: int


class _Instrument(msgspec.Struct):
    symbol: str
    type: str
    status: str
    baseCoin: str
    quoteCoin: str
    fundInterval: int
    symbolType: str = ""
    isRwa: str = ""
    launchTime: str = ""


class _Running(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingRateInterval: int
    nextUpdate: str = ""
    maxFundingRate: str | None = None
    minFundingRate: str | None = None


class _Ticker(msgspec.Struct):
    symbol: str
    markPrice: str = ""
    indexPrice: str = ""
    openInterest: str = ""
    turnover24h: str = ""


Row = TypeVar("Row")


class _Answer(msgspec.Struct, Generic[Row]):
    data: list[Row]


# strict=False: integers arrive as text. A rate that arrives as a number is still an error.
_HISTORY = msgspec.json.Decoder(_Answer[_Settled], strict=False)
_INSTRUMENTS = msgspec.json.Decoder(_Answer[_Instrument], strict=False)
_RUNNING = msgspec.json.Decoder(_Answer[_Running], strict=False)
_TICKERS = msgspec.json.Decoder(_Answer[_Ticker])


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    rows = decode(body, _HISTORY, SPEC.name, "history-fund-rate").data
    return [RawSettlement(row.symbol, row.fundingTime, row.fundingRate) for row in rows]


def _hours(declared: int, endpoint: str, field: str) -> int:
    if declared < 1:
        detail = f"{declared} is no number of hours"
        raise MalformedResponseError(SPEC.name, endpoint, detail, field)
    return declared


def _asset_class(item: _Instrument) -> str | None:
    """Currencies, indices and some shares are called crypto and only marked as real-world."""
    if item.symbolType == "crypto" and item.isRwa == "NO":
        return "crypto"
    return _ASSET_CLASSES.get(item.symbolType)


def parse_markets(instruments: bytes, running: bytes) -> list[Market]:
    """Perpetuals of one category, with the limits of their running rates."""
    limits = {row.symbol: row for row in decode(running, _RUNNING, SPEC.name, _FUND_RATE).data}
    markets = []
    for index, item in enumerate(decode(instruments, _INSTRUMENTS, SPEC.name, "instruments").data):
        if item.type != "perpetual":
            continue
        field = f"$.data[{index}].fundInterval"
        symbol, multiplier = unify(item.baseCoin)
        limit = limits.get(item.symbol)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteCoin,
                settle=item.quoteCoin,
                asset_class=_asset_class(item),
                live=item.status == "online",
                listed_at_ms=int(optional_number(item.launchTime) or 0) or None,
                interval_hours=_hours(item.fundInterval, "instruments", field),
                rate_cap=optional_number(limit.maxFundingRate) if limit else None,
                rate_floor=optional_number(limit.minFundingRate) if limit else None,
            )
        )
    return markets


def parse_estimates(instruments: bytes, running: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of one category's perpetuals that trade."""
    live = {market.market for market in parse_markets(instruments, running) if market.live}
    sizes = {row.symbol: row for row in decode(tickers, _TICKERS, SPEC.name, "tickers").data}
    estimates = []
    for index, row in enumerate(decode(running, _RUNNING, SPEC.name, _FUND_RATE).data):
        if row.symbol not in live:
            continue
        path = f"$.data[{index}]"
        ticker = sizes.get(row.symbol)
        mark = optional_number(ticker.markPrice) if ticker else None
        size = optional_number(ticker.openInterest) if ticker else None
        estimates.append(
            Estimate(
                market=row.symbol,
                rate=number(row.fundingRate, SPEC.name, _FUND_RATE, f"{path}.fundingRate"),
                raw_rate=row.fundingRate,
                interval_hours=_hours(
                    row.fundingRateInterval, _FUND_RATE, f"{path}.fundingRateInterval"
                ),
                next_funding_ms=int(optional_number(row.nextUpdate) or 0) or None,
                mark_price=mark,
                index_price=optional_number(ticker.indexPrice) if ticker else None,
                open_interest_usd=notional(size, mark),
                volume_24h_usd=optional_number(ticker.turnover24h) if ticker else None,
            )
        )
    return estimates


class Bitget:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """Instruments and running rates of both categories."""
        markets: list[Market] = []
        for category in _CATEGORIES:
            instruments = yield _list("instruments", category)
            markets += parse_markets(instruments, (yield _list(_FUND_RATE, category)))
        return markets

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements from the newest on, page by page, down to the window's start."""
        assert market is not None, "history is per market here"

        def page(place: int) -> Generator[Request, bytes, tuple[list[RawSettlement], int | None]]:
            body = yield Request(
                endpoint="history-fund-rate",
                path="/api/v2/mix/market/history-fund-rate",
                params={
                    "symbol": market.market,
                    "productType": f"{market.settle}-FUTURES",
                    "pageSize": SPEC.page_rows,
                    "pageNo": place,
                },
            )
            return parse_history(body), place + 1

        return walked(page, 1, window)

    def estimates(self) -> EstimatesPlan:
        """Three lists for each category: instruments to tell the test symbols, rates, tickers."""
        estimates: list[Estimate] = []
        for category in _CATEGORIES:
            instruments = yield _list("instruments", category)
            running = yield _list(_FUND_RATE, category)
            tickers = yield _list("tickers", category)
            estimates += parse_estimates(instruments, running, tickers)
        return estimates

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 00000."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="msg",
            good={"00000"},
            too_often={"429"},
        )


def _list(endpoint: str, category: str) -> Request:
    path = f"/api/v3/market/{endpoint}"
    return Request(endpoint=endpoint, path=path, params={"category": category})
