"""Extended (Starknet).

Source: api.docs.extended.exchange, recorded responses of 2026-09.

Settled history: newest first, start and end in ms both required, at most 1000 rows (measured; the
documentation says 10,000). Rates are hourly fractions of six decimals, so that quiet markets read
0.000013; stamps are 0.7-1.7 s after the hour. `marketStats.nextFundingRate` is the time of the next
payment and no rate. Open interest is told in USD, one side. Requests without a User-Agent are
refused with 403. 1000 requests a minute and address.

Equities carry their trading session in the name: MU_24_5 is MU. A market that only reduces
positions still pays funding and counts as live; one that is announced (PRELISTED) is no market yet.
`hourlyFundingRateCap` (0.25 of Bitcoin, 1 of
shares) does not tell its unit, most likely percent, and is not kept.
"""

from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.intervals import FixedInterval
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
from funding_pipeline.exchanges.wire import decode, number, optional_number

_INTERVAL_HOURS = 1

SPEC = ExchangeSpec(
    name="extended",
    title="Extended",
    origins={"": "https://api.starknet.extended.exchange"},
    api_docs="https://api.docs.extended.exchange/#get-funding-rates-history",
    rate_unit=RateUnit.FRACTION,
    interval=FixedInterval(((0, _INTERVAL_HOURS),)),
    max_abs_rate=0.05,  # widest seen: 0.14 % (hourly averages of 2026-01)
    page_rows=1000,
    limits=(RateLimit(1000, 60.0),),
    headers={"User-Agent": "funding-pipeline"},
)
_LIVE = {"ACTIVE", "REDUCE_ONLY"}
_SESSION = "_24_5"
_CLASSES = {
    "Equity": "equity",
    "Pre-market": "equity",
    "ETF/Index": "index",
    "Commodity": "commodity",
    "FX": "fx",
}
_CRYPTO = {"Crypto", "L1", "L2", "Infra"}


class _Stats(msgspec.Struct):
    fundingRate: str | None = None
    nextFundingRate: int | None = None
    markPrice: str | None = None
    indexPrice: str | None = None
    openInterest: str | None = None
    dailyVolume: str | None = None


class _Market(msgspec.Struct):
    name: str
    type: str
    status: str
    category: str | None = None
    subCategory: str | None = None
    createdAt: int | None = None
    marketStats: _Stats = msgspec.field(default_factory=_Stats)


class _Funding(msgspec.Struct):
    m: str
    f: str
    T: int


Row = TypeVar("Row")


class _Answer(msgspec.Struct, Generic[Row]):
    data: list[Row]


_MARKETS = msgspec.json.Decoder(_Answer[_Market])
_HISTORY = msgspec.json.Decoder(_Answer[_Funding])


def _asset_class(item: _Market) -> str | None:
    """What the categories tell; those of before 2026 name the kind of token."""
    if item.category in _CRYPTO:
        return "crypto"
    return _CLASSES.get(item.subCategory or "") if item.category == "RWA" else None


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals that were ever traded, the closed ones marked so; spot is left out."""
    markets = []
    for item in decode(body, _MARKETS, SPEC.name, "info/markets").data:
        if item.type != "PERPETUAL" or item.status == "PRELISTED":
            continue
        base, _, quote = item.name.rpartition("-")
        symbol, multiplier = unify(base.removesuffix(_SESSION))
        markets.append(
            Market(
                market=item.name,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote,
                settle="USDC",
                asset_class=_asset_class(item),
                live=item.status in _LIVE,
                listed_at_ms=item.createdAt,
                interval_hours=_INTERVAL_HOURS,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    rows = decode(body, _HISTORY, SPEC.name, "info/funding").data
    return [RawSettlement(row.m, row.T, row.f) for row in rows]


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running estimates of the live perpetuals, with open interest and volume."""
    endpoint = "info/markets"
    estimates = []
    for index, item in enumerate(decode(body, _MARKETS, SPEC.name, endpoint).data):
        if item.type != "PERPETUAL" or item.status not in _LIVE:
            continue
        stats = item.marketStats
        raw_rate = stats.fundingRate or ""
        field = f"$.data[{index}].marketStats.fundingRate"
        estimates.append(
            Estimate(
                market=item.name,
                rate=number(raw_rate, SPEC.name, endpoint, field),
                raw_rate=raw_rate,
                interval_hours=_INTERVAL_HOURS,
                next_funding_ms=stats.nextFundingRate,
                mark_price=optional_number(stats.markPrice),
                index_price=optional_number(stats.indexPrice),
                open_interest_usd=optional_number(stats.openInterest),
                volume_24h_usd=optional_number(stats.dailyVolume),
            )
        )
    return estimates


class Extended:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All markets, one call."""
        return parse_markets((yield _get("info/markets")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with startTime <= stamp <= endTime."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            answer = yield Request(
                endpoint="info/funding",
                path=f"/api/v1/info/{market.market}/funding",
                params={
                    "startTime": rest.start_ms,
                    "endTime": rest.end_ms - 1,
                    "limit": SPEC.page_rows,
                },
            )
            return parse_history(answer)

        return descending(page, window)

    def estimates(self) -> EstimatesPlan:
        """The list of markets holds them."""
        return parse_estimates((yield _get("info/markets")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """An error is a status other than OK, with its code and text in `error`."""
        return coded(SPEC, request, status, body, code="status", text="error", good={"OK"})


def _get(endpoint: str) -> Request:
    return Request(endpoint=endpoint, path=f"/api/v1/{endpoint}")
