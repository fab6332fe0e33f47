"""Hibachi.

Source: api-doc.hibachi.xyz, docs.hibachi.xyz (funding), recorded responses of 2026-09.

Settled history: oldest first, at most 100 rows, times in seconds and both ends inside. Rates are
fractions of six decimals per interval; stamps are whole seconds on the hour. Funding is paid every
hour; until some day between 2025-07 and 2026-07 it was paid every 8 hours, which the documentation
still says. So the interval counts as declared now, and the spacing of rows decides for the past.

The inventory holds all markets with their estimates, those that closed with null in every place.
It tells no time of the next payment. Open interest is in base units, one side; volume in USDT. No
limit is published: 4 requests a second are assumed to be modest enough.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError
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
from funding_pipeline.exchanges.paging import PagePlan, ascending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

_INTERVAL_HOURS = 1

SPEC = ExchangeSpec(
    name="hibachi",
    title="Hibachi",
    origins={"": "https://data-api.hibachi.xyz"},
    api_docs="https://api-doc.hibachi.xyz/#079586af-0d94-41ea-99bb-7afcd93bf438",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="s",
    interval="declared",
    max_abs_rate=0.05,  # no cap is told; settlements seen are below 0.1 %
    page_rows=100,
    limits=(RateLimit(4, 1.0),),
)


class _Contract(msgspec.Struct):
    symbol: str
    status: str
    underlyingSymbol: str
    settlementSymbol: str
    category: str | None = None
    marketCreationTimestamp: str | None = None


class _Info(msgspec.Struct):
    estimatedFundingRate: str | None = None
    markPrice: str | None = None
    spotPrice: str | None = None
    openInterestQuantity: str | None = None
    volume24h: str | None = None
    tags: list[str] | None = None


class _Listed(msgspec.Struct):
    contract: _Contract
    info: _Info


class _Inventory(msgspec.Struct):
    markets: list[_Listed]


class _Funding(msgspec.Struct):
    fundingTimestamp: int
    fundingRate: str


class _History(msgspec.Struct):
    data: list[_Funding]


_INVENTORY = msgspec.json.Decoder(_Inventory)
_HISTORY = msgspec.json.Decoder(_History)


def _asset_class(item: _Listed) -> str | None:
    """The category; metals are filed under currencies, with a tag."""
    match item.contract.category:
        case "CRYPTO":
            return "crypto"
        case "FX":
            return "commodity" if "commodity" in (item.info.tags or ()) else "fx"
    return None


def parse_markets(body: bytes) -> list[Market]:
    """All contracts; those that closed are marked so."""
    markets = []
    for item in decode(body, _INVENTORY, SPEC.name, "inventory").markets:
        contract = item.contract
        symbol, multiplier = unify(contract.underlyingSymbol)
        created_s = optional_number(contract.marketCreationTimestamp)
        markets.append(
            Market(
                market=contract.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=contract.symbol.partition("/")[2].removesuffix("-P"),
                settle=contract.settlementSymbol,
                asset_class=_asset_class(item),
                live=contract.status == "LIVE",
                listed_at_ms=None if created_s is None else round(created_s * 1000),
                interval_hours=_INTERVAL_HOURS,
            )
        )
    return markets


def parse_history(body: bytes, market: str) -> list[RawSettlement]:
    """Settled rows of one page; they name the contract by its number only."""
    rows = decode(body, _HISTORY, SPEC.name, "funding-rates").data
    return [RawSettlement(market, row.fundingTimestamp * 1000, row.fundingRate) for row in rows]


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running estimates of the contracts that trade, with open interest and volume."""
    estimates = []
    for index, item in enumerate(decode(body, _INVENTORY, SPEC.name, "inventory").markets):
        if item.contract.status != "LIVE":
            continue
        info = item.info
        raw_rate = info.estimatedFundingRate or ""
        field = f"$.markets[{index}].info.estimatedFundingRate"
        mark = optional_number(info.markPrice)
        estimates.append(
            Estimate(
                market=item.contract.symbol,
                rate=number(raw_rate, SPEC.name, "inventory", field),
                raw_rate=raw_rate,
                interval_hours=_INTERVAL_HOURS,
                mark_price=mark,
                index_price=optional_number(info.spotPrice),
                open_interest_usd=notional(optional_number(info.openInterestQuantity), mark),
                volume_24h_usd=optional_number(info.volume24h),
            )
        )
    return estimates


class Hibachi:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, one call."""
        return parse_markets((yield _get("inventory", "/market/inventory")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one contract; the page's ends are whole seconds, both inside."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "startTime": -(-rest.start_ms // 1000),
                "endTime": (rest.end_ms - 1) // 1000,
                "limit": SPEC.page_rows,
            }
            answer = yield _get("funding-rates", "/market/data/funding-rates", params)
            return parse_history(answer, market.market)

        return ascending(page, window)

    def estimates(self) -> EstimatesPlan:
        """The inventory holds them."""
        return parse_estimates((yield _get("inventory", "/market/inventory")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Only errors carry a code."""
        if b'"errorCode"' not in body:
            return None
        return coded(SPEC, request, status, body, code="errorCode", text="message", good=())


def _get(endpoint: str, path: str, params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=path, params=params or {})
