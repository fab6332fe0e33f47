"""KuCoin Futures, perpetuals: linear (USDT, USDC) and inverse (coin-margined).

Source: kucoin.com/docs-new (futures), recorded responses of 2026-09.

Settled history: newest first, 100 rows, `from` and `to` in ms and both inclusive; where nothing
lies between them `data` is null. Rates are JSON numbers, fractions per interval. Stamps are exact
settlement times in ms. The interval is declared in ms and only as of now, in
`currentFundingRateGranularity`, and where that is null in `fundingRateGranularity`. Positions are
counted in lots, one side: a lot is `multiplier` base units, of inverse contracts one US dollar,
written -1. Inverse contracts tell their turnover in base units. Bitcoin is called XBT. Withdrawn
contracts are no longer listed. 2000 weights per 30 s; a page of history is 5, the list 3.

The list tells `lastTimeFundingRate` as well, what settled last, but no time of it: that it settled
one interval before `nextFundingRateDateTime` is deduced (right 1.3 hours after a settlement of
XBTUSDTM, 2026-09-11). Minutes after the hour a list that is not yet renewed would put the rate of
the settlement before under the new hour, and as most contracts rest at the same rate, a look at the
former one would not tell. It is therefore not taken for the newest settlement.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.grid import HOUR_MS
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
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, digits, notional, number, optional_number

SPEC = ExchangeSpec(
    name="kucoin",
    title="KuCoin",
    origins={"": "https://api-futures.kucoin.com"},
    api_docs="https://www.kucoin.com/docs-new/rest/futures-trading/funding-fees/get-public-funding-history",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest limit seen: 2 % (contracts of 2026-09)
    page_rows=100,
    page_weight=5,
    limits=(RateLimit(2000, 30.0),),
)

_LIST_WEIGHT = 3
_PERPETUAL = "FFWCSX"
_ASSET_CLASSES = {
    "CRYPTO": "crypto",
    "STOCK": "equity",
    "METAL": "commodity",
    "COMMODITY": "commodity",
}


class _Settled(msgspec.Struct):
    symbol: str
    fundingRate: msgspec.Raw
    timepoint: int


class _History(msgspec.Struct):
    data: list[_Settled] | None


class _Contract(msgspec.Struct):
    symbol: str
    type: str
    status: str
    isInverse: bool
    baseCurrency: str
    quoteCurrency: str
    settleCurrency: str
    multiplier: float
    fundingFeeRate: msgspec.Raw
    fundingRateGranularity: int | None = None
    currentFundingRateGranularity: int | None = None
    nextFundingRateDateTime: int | None = None
    fundingRateCap: float | None = None
    fundingRateFloor: float | None = None
    firstOpenDate: int | None = None
    assetClass: str | None = None
    openInterest: str | None = None
    turnoverOf24h: float | None = None
    markPrice: float | None = None
    indexPrice: float | None = None


class _Contracts(msgspec.Struct):
    data: list[_Contract]


_HISTORY = msgspec.json.Decoder(_History)
_CONTRACTS = msgspec.json.Decoder(_Contracts)


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page; null is a window without any."""
    endpoint = "funding-rates"
    return [
        RawSettlement(
            row.symbol,
            row.timepoint,
            digits(row.fundingRate, SPEC.name, endpoint, f"$.data[{index}].fundingRate"),
        )
        for index, row in enumerate(decode(body, _HISTORY, SPEC.name, endpoint).data or ())
    ]


def _perpetuals(body: bytes) -> list[tuple[_Contract, int | None, str]]:
    """Perpetuals with their interval in hours and the row's path."""
    found = []
    for index, item in enumerate(decode(body, _CONTRACTS, SPEC.name, "contracts/active").data):
        if item.type != _PERPETUAL:
            continue
        path = f"$.data[{index}]"
        granularity = item.currentFundingRateGranularity
        field = f"{path}.currentFundingRateGranularity"
        if granularity is None:
            granularity, field = item.fundingRateGranularity, f"{path}.fundingRateGranularity"
        if granularity is not None and (granularity <= 0 or granularity % HOUR_MS):
            detail = f"{item.symbol}: {granularity} ms is no whole number of hours"
            raise MalformedResponseError(SPEC.name, "contracts/active", detail, field)
        hours = None if granularity is None else granularity // HOUR_MS
        found.append((item, hours, path))
    return found


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals of the list."""
    markets = []
    for item, hours, _ in _perpetuals(body):
        symbol, multiplier = unify(item.baseCurrency)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteCurrency,
                settle=unify(item.settleCurrency)[0],
                asset_class=_ASSET_CLASSES.get(item.assetClass or ""),
                live=item.status == "Open",
                listed_at_ms=item.firstOpenDate,
                interval_hours=hours,
                rate_cap=item.fundingRateCap,
                rate_floor=item.fundingRateFloor,
            )
        )
    return markets


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running estimates of the perpetuals that trade."""
    endpoint = "contracts/active"
    estimates = []
    for item, hours, path in _perpetuals(body):
        # A contract may be open before it has a rate.
        if item.status != "Open" or bytes(item.fundingFeeRate) == b"null":
            continue
        if hours is None:
            detail, field = f"{item.symbol}: no interval", f"{path}.fundingRateGranularity"
            raise MalformedResponseError(SPEC.name, endpoint, detail, field)
        field = f"{path}.fundingFeeRate"
        rate = digits(item.fundingFeeRate, SPEC.name, endpoint, field)
        lots = optional_number(item.openInterest)
        size = None if lots is None else lots * abs(item.multiplier)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(rate, SPEC.name, endpoint, field),
                raw_rate=rate,
                interval_hours=hours,
                next_funding_ms=item.nextFundingRateDateTime,
                mark_price=item.markPrice,
                index_price=item.indexPrice,
                open_interest_usd=size if item.isInverse else notional(size, item.markPrice),
                volume_24h_usd=(
                    notional(item.turnoverOf24h, item.markPrice)
                    if item.isInverse
                    else item.turnoverOf24h
                ),
            )
        )
    return estimates


class Kucoin:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, one call."""
        return parse_markets((yield _contracts()))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with from <= stamp <= to."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            body = yield Request(
                endpoint="funding-rates",
                path="/api/v1/contract/funding-rates",
                params={"symbol": market.market, "from": rest.start_ms, "to": rest.end_ms - 1},
                weight=SPEC.page_weight,
            )
            return parse_history(body)

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """All contracts, one call."""
        return parse_estimates((yield _contracts()))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 200000."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="msg",
            good={"200000"},
            too_often={"429000"},
        )


def _contracts() -> Request:
    path = "/api/v1/contracts/active"
    return Request(endpoint="contracts/active", path=path, weight=_LIST_WEIGHT)
