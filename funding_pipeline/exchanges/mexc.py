"""MEXC, perpetuals: linear (USDT, USDC, USD1) and coin-margined (BTC_USD and the like).

Source: mexc.com/api-docs/futures (market endpoints), recorded responses of 2026-09.

Settled history: newest first, by page number; 100 rows are asked for (up to 1000 are said to come).
Each row carries its own interval, `collectCycle` hours; a row without one is left to the spacing
rule. Rates are JSON numbers, fractions per that interval. Stamps are exact settlement times in ms.
`totalPage` is not used, since it may rest on another page size than the one that was given.
`funding_rate` without a symbol tells of all markets. Tickers also come for withdrawn contracts.
Positions are counted in contracts of `contractSize` base units, one side; of coin-margined ones a
contract is worth so many US dollars, and their turnover is told in the coin. 20 requests per 2 s.
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
from funding_pipeline.exchanges.wire import decode, digits, notional, number

SPEC = ExchangeSpec(
    name="mexc",
    title="MEXC",
    origins={"": "https://contract.mexc.com"},
    api_docs="https://www.mexc.com/api-docs/futures/market-endpoints/get-funding-rate-history",
    rate_unit=RateUnit.FRACTION,
    interval="row",
    max_abs_rate=0.1,  # widest limit seen: 3 % (XAU, 2026-09)
    page_rows=100,
    limits=(RateLimit(20, 2.0),),
)

_LIVE = 0


class _Settled(msgspec.Struct):
    symbol: str
    fundingRate: msgspec.Raw
    settleTime: int
    collectCycle: int | None = None


class _Page(msgspec.Struct):
    resultList: list[_Settled]


class _Contract(msgspec.Struct):
    symbol: str
    baseCoin: str
    quoteCoin: str
    settleCoin: str
    contractSize: float
    state: int
    createTime: int | None = None


class _Running(msgspec.Struct):
    symbol: str
    fundingRate: msgspec.Raw
    collectCycle: int
    nextSettleTime: int
    maxFundingRate: float | None = None
    minFundingRate: float | None = None


class _Ticker(msgspec.Struct):
    symbol: str
    fairPrice: float | None = None
    indexPrice: float | None = None
    holdVol: float | None = None
    amount24: float | None = None


Data = TypeVar("Data")


class _Answer(msgspec.Struct, Generic[Data]):
    data: Data


_HISTORY = msgspec.json.Decoder(_Answer[_Page])
_CONTRACTS = msgspec.json.Decoder(_Answer[list[_Contract]])
_RUNNING = msgspec.json.Decoder(_Answer[list[_Running]])
_TICKERS = msgspec.json.Decoder(_Answer[list[_Ticker]])


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page, each with its interval."""
    endpoint = "funding_rate/history"
    rows = []
    for index, row in enumerate(decode(body, _HISTORY, SPEC.name, endpoint).data.resultList):
        path = f"$.data.resultList[{index}]"
        hours = row.collectCycle
        if hours is not None:
            hours = _hours(hours, endpoint, f"{path}.collectCycle")
        rate = digits(row.fundingRate, SPEC.name, endpoint, f"{path}.fundingRate")
        rows.append(RawSettlement(row.symbol, row.settleTime, rate, hours))
    return rows


def _hours(declared: int, endpoint: str, field: str) -> int:
    if declared < 1:
        detail = f"{declared} is no number of hours"
        raise MalformedResponseError(SPEC.name, endpoint, detail, field)
    return declared


def parse_markets(contracts: bytes, running: bytes) -> list[Market]:
    """All contracts, with interval and limits of their running rate where there is one."""
    rates = {row.symbol: row for row in decode(running, _RUNNING, SPEC.name, "funding_rate").data}
    markets = []
    for item in decode(contracts, _CONTRACTS, SPEC.name, "detail").data:
        symbol, multiplier = unify(item.baseCoin)
        rate = rates.get(item.symbol)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteCoin,
                settle=item.settleCoin,
                live=item.state == _LIVE,
                listed_at_ms=item.createTime or None,
                interval_hours=(rate.collectCycle or None) if rate else None,
                rate_cap=rate.maxFundingRate if rate else None,
                rate_floor=rate.minFundingRate if rate else None,
            )
        )
    return markets


def parse_estimates(contracts: bytes, running: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of the contracts that trade, with open interest and volume."""
    endpoint = "funding_rate"
    listed = decode(contracts, _CONTRACTS, SPEC.name, "detail").data
    live = {item.symbol: item for item in listed if item.state == _LIVE}
    told = {row.symbol: row for row in decode(tickers, _TICKERS, SPEC.name, "ticker").data}
    estimates = []
    for index, row in enumerate(decode(running, _RUNNING, SPEC.name, endpoint).data):
        if (item := live.get(row.symbol)) is None:
            continue
        path = f"$.data[{index}]"
        rate = digits(row.fundingRate, SPEC.name, endpoint, f"{path}.fundingRate")
        ticker = told.get(row.symbol) or _Ticker(row.symbol)
        in_coin = item.settleCoin == item.baseCoin
        size = None if ticker.holdVol is None else ticker.holdVol * item.contractSize
        estimates.append(
            Estimate(
                market=row.symbol,
                rate=number(rate, SPEC.name, endpoint, f"{path}.fundingRate"),
                raw_rate=rate,
                interval_hours=_hours(row.collectCycle, endpoint, f"{path}.collectCycle"),
                next_funding_ms=row.nextSettleTime,
                mark_price=ticker.fairPrice,
                index_price=ticker.indexPrice,
                open_interest_usd=size if in_coin else notional(size, ticker.fairPrice),
                volume_24h_usd=(
                    notional(ticker.amount24, ticker.fairPrice) if in_coin else ticker.amount24
                ),
            )
        )
    return estimates


class Mexc:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, and the running rates for their intervals."""
        contracts = yield _get("detail")
        return parse_markets(contracts, (yield _get("funding_rate")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements from the newest on, page by page, down to the window's start."""
        assert market is not None, "history is per market here"

        def page(place: int) -> Generator[Request, bytes, tuple[list[RawSettlement], int | None]]:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "page_num": place,
                "page_size": SPEC.page_rows,
            }
            return parse_history((yield _get("funding_rate/history", params))), place + 1

        return walked(page, 1, window)

    def estimates(self) -> EstimatesPlan:
        """Contracts for their size, running rates, tickers for open interest and volume."""
        contracts = yield _get("detail")
        running = yield _get("funding_rate")
        return parse_estimates(contracts, running, (yield _get("ticker")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 0."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="message",
            good={"0"},
            too_often={"510"},
        )


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    path = f"/api/v1/contract/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params or {})
