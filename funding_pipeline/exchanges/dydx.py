"""dYdX v4.

Source: docs.dydx.xyz/indexer-client/http, dydxprotocol/v4-chain (indexer), recorded responses of
2026-09. dYdX v3 was another exchange: its history is not part of this one.

Settled history: newest first, at most 1000 rows; `effectiveBeforeOrAt` is inclusive and there is no
lower bound, so `limit` is what keeps a page inside the window. Rates are fractions per hour for
every market since the beginning; many are exactly 0. Stamps are ISO times, recorded 0-1.1 s after
the hour they end. `status` other than ACTIVE is no longer traded. Open interest is in base units,
one side; positions are marked at the oracle price. Markets that anybody may list carry their pool
in the ticker (`ARC,RAYDIUM,<address>-USD`). 100 requests per 10 s and address; 403 by location.
"""

from datetime import UTC, datetime

import msgspec

from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.grid import HOUR_MS
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
from funding_pipeline.exchanges.wire import decode, iso_ms, notional, number, optional_number

SPEC = ExchangeSpec(
    name="dydx",
    title="dYdX",
    origins={"": "https://indexer.dydx.trade"},
    api_docs="https://docs.dydx.xyz/indexer-client/http#get-historical-funding",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="ISO 8601",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.075,  # 600 % of initial less maintenance margin (20 % - 10 %) per 8 h
    page_rows=1000,
    limits=(RateLimit(100, 10.0),),
)

_HOURS = 1


class _Perpetual(msgspec.Struct):
    ticker: str
    status: str
    nextFundingRate: str
    oraclePrice: str | None = None
    openInterest: str = ""
    volume24H: str = ""


class _Perpetuals(msgspec.Struct):
    markets: dict[str, _Perpetual]


class _Funding(msgspec.Struct):
    ticker: str
    rate: str
    effectiveAt: str
    price: str = ""


class _History(msgspec.Struct):
    historicalFunding: list[_Funding]


_PERPETUALS = msgspec.json.Decoder(_Perpetuals)
_HISTORY = msgspec.json.Decoder(_History)


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals; those in final settlement, paused or not yet open are not live."""
    markets = []
    for item in decode(body, _PERPETUALS, SPEC.name, "perpetualMarkets").markets.values():
        base, _, quote = item.ticker.rpartition("-")
        symbol, multiplier = unify(base.partition(",")[0])
        markets.append(
            Market(
                market=item.ticker,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote,
                settle="USDC",
                live=item.status == "ACTIVE",
                interval_hours=_HOURS,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page, with the oracle price they were charged at."""
    endpoint = "historicalFunding"
    rows = decode(body, _HISTORY, SPEC.name, endpoint).historicalFunding
    return [
        RawSettlement(
            row.ticker,
            iso_ms(row.effectiveAt, SPEC.name, endpoint, f"$.historicalFunding[{i}].effectiveAt"),
            row.rate,
            mark_price=optional_number(row.price),
        )
        for i, row in enumerate(rows)
    ]


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running estimates of the markets that are traded."""
    endpoint = "perpetualMarkets"
    estimates = []
    for item in decode(body, _PERPETUALS, SPEC.name, endpoint).markets.values():
        if item.status != "ACTIVE":
            continue
        field = f"$.markets.{item.ticker}.nextFundingRate"
        oracle = optional_number(item.oraclePrice)
        estimates.append(
            Estimate(
                market=item.ticker,
                rate=number(item.nextFundingRate, SPEC.name, endpoint, field),
                raw_rate=item.nextFundingRate,
                interval_hours=_HOURS,
                mark_price=oracle,
                index_price=oracle,
                open_interest_usd=notional(optional_number(item.openInterest), oracle),
                volume_24h_usd=optional_number(item.volume24H),
            )
        )
    return estimates


class Dydx:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All perpetuals, one call."""
        return parse_markets((yield _get("perpetualMarkets")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one market; as many rows are asked for as the window has hours."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            hours = -(-(rest.end_ms - rest.start_ms) // HOUR_MS)
            params: dict[str, str | int] = {
                "limit": min(hours + 1, SPEC.page_rows),
                "effectiveBeforeOrAt": _iso(rest.end_ms - 1),
            }
            request = _get("historicalFunding", f"/{market.market}", params)
            return parse_history((yield request))

        return descending(page, window)

    def estimates(self) -> EstimatesPlan:
        """All perpetuals, one call."""
        return parse_estimates((yield _get("perpetualMarkets")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Nothing beyond what the status says."""
        return None


def _iso(time_ms: int) -> str:
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _get(endpoint: str, tail: str = "", params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=f"/v4/{endpoint}{tail}", params=params or {})
