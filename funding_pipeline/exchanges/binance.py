"""Binance USD-M perpetuals.

Source: developers.binance.com (USD-M futures, market data), recorded responses of 2026-09.

Settled history: `symbol` is optional; without it the rows of all symbols come back ascending, at
most 1000, and a page may end inside a group of equal stamps. Fractions per the market's interval,
which changes over time; `fundingInfo` declares the current one, 8 h where it lists no exception.
Stamps in ms, 0-5 ms late, both ends inclusive. 500 requests per 5 minutes for funding history and
info together; 2400 weight a minute for everything. 451 or 403 where the location is restricted.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, PermanentError
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
from funding_pipeline.exchanges.paging import PagePlan, ascending, ascending_inclusive
from funding_pipeline.exchanges.wire import decode, number, optional_number

SPEC = ExchangeSpec(
    name="binance",
    title="Binance USD-M",
    origins={"": "https://fapi.binance.com"},
    api_docs="https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    history_of_all=True,
    max_abs_rate=0.05,  # widest cap seen: 3 % (recorded settlements: 2 %)
    page_rows=1000,
    limits=(RateLimit(2400, 60.0), RateLimit(500, 300.0, scope="funding")),
    concurrency=2,
)

_DEFAULT_HOURS = 8
_PERPETUAL = {"PERPETUAL", "TRADIFI_PERPETUAL"}


class _Symbol(msgspec.Struct):
    symbol: str
    contractType: str
    status: str
    baseAsset: str
    quoteAsset: str
    marginAsset: str
    onboardDate: int = 0
    underlyingType: str = ""


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


class _FundingInfo(msgspec.Struct):
    symbol: str
    fundingIntervalHours: int
    adjustedFundingRateCap: str = ""
    adjustedFundingRateFloor: str = ""


class _Funding(msgspec.Struct):
    symbol: str
    fundingTime: int
    fundingRate: str
    markPrice: str = ""


class _Premium(msgspec.Struct):
    symbol: str
    lastFundingRate: str
    nextFundingTime: int
    markPrice: str = ""
    indexPrice: str = ""


class _Ticker(msgspec.Struct):
    symbol: str
    quoteVolume: str = ""


class _Error(msgspec.Struct):
    code: int
    msg: str = ""


_EXCHANGE_INFO = msgspec.json.Decoder(_ExchangeInfo)
_FUNDING_INFO = msgspec.json.Decoder(list[_FundingInfo])
_HISTORY = msgspec.json.Decoder(list[_Funding])
_PREMIUM = msgspec.json.Decoder(list[_Premium])
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_ERROR = msgspec.json.Decoder(_Error)


def parse_intervals(body: bytes) -> dict[str, _FundingInfo]:
    """Declared interval, cap and floor by symbol."""
    found = decode(body, _FUNDING_INFO, SPEC.name, "fundingInfo")
    return {item.symbol: item for item in found}


def parse_markets(info: bytes, intervals: bytes) -> list[Market]:
    """Perpetuals; a symbol without an entry of its own settles every 8 h (documented)."""
    declared = parse_intervals(intervals)
    markets = []
    for item in decode(info, _EXCHANGE_INFO, SPEC.name, "exchangeInfo").symbols:
        if item.contractType not in _PERPETUAL:
            continue
        symbol, multiplier = unify(item.baseAsset)
        own = declared.get(item.symbol)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteAsset,
                settle=item.marginAsset,
                asset_class="crypto" if item.underlyingType == "COIN" else None,
                live=item.status == "TRADING",
                listed_at_ms=item.onboardDate or None,
                interval_hours=own.fundingIntervalHours if own else _DEFAULT_HOURS,
                rate_cap=optional_number(own.adjustedFundingRateCap) if own else None,
                rate_floor=optional_number(own.adjustedFundingRateFloor) if own else None,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows, of one symbol or of all."""
    return [
        RawSettlement(
            row.symbol,
            row.fundingTime,
            row.fundingRate,
            None,
            optional_number(row.markPrice),
        )
        for row in decode(body, _HISTORY, SPEC.name, "fundingRate")
    ]


def parse_estimates(premiums: bytes, intervals: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of all perpetuals; dated futures carry an empty rate."""
    declared = parse_intervals(intervals)
    volumes = {
        item.symbol: optional_number(item.quoteVolume)
        for item in decode(tickers, _TICKERS, SPEC.name, "ticker/24hr")
    }
    estimates = []
    found = decode(premiums, _PREMIUM, SPEC.name, "premiumIndex")
    for index, item in enumerate(found):
        if item.lastFundingRate == "" or not item.nextFundingTime:
            continue
        field = f"$[{index}].lastFundingRate"
        own = declared.get(item.symbol)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.lastFundingRate, SPEC.name, "premiumIndex", field),
                raw_rate=item.lastFundingRate,
                interval_hours=own.fundingIntervalHours if own else _DEFAULT_HOURS,
                next_funding_ms=item.nextFundingTime,
                mark_price=optional_number(item.markPrice),
                index_price=optional_number(item.indexPrice),
                volume_24h_usd=volumes.get(item.symbol),
            )
        )
    return estimates


class Binance:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All symbols, with their declared intervals."""
        info = yield _get("exchangeInfo", {})
        return parse_markets(info, (yield _funding("fundingInfo", {})))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one market, or of all at once."""

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "startTime": rest.start_ms,
                "endTime": rest.end_ms - 1,
                "limit": SPEC.page_rows,
            }
            if market is not None:
                params["symbol"] = market.market
            return parse_history((yield _funding("fundingRate", params)))

        if market is None:
            return ascending_inclusive(page, window, SPEC)
        return ascending(page, window)

    def estimates(self) -> EstimatesPlan:
        """Premium index of all symbols, intervals and 24 h volume."""
        premiums = yield _get("premiumIndex", {}, weight=10)
        intervals = yield _funding("fundingInfo", {})
        return parse_estimates(premiums, intervals, (yield _get("ticker/24hr", {}, weight=40)))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A 400 carries a code and its meaning."""
        if status != 400:
            return None
        error = decode(body, _ERROR, SPEC.name, request.endpoint)
        return PermanentError(SPEC.name, request.endpoint, f"code {error.code}: {error.msg}")


def _get(endpoint: str, params: dict[str, str | int], weight: int = 1) -> Request:
    return Request(endpoint=endpoint, path=f"/fapi/v1/{endpoint}", params=params, weight=weight)


def _funding(endpoint: str, params: dict[str, str | int]) -> Request:
    return Request(
        endpoint=endpoint, path=f"/fapi/v1/{endpoint}", params=params, scopes=("", "funding")
    )
