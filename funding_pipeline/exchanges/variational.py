"""Variational (Omni): no history, recorded from estimates.

Source: docs.variational.io/technical-documentation/api, recorded response of 2026-09.

`/metadata/stats` is the only endpoint with funding, all listings at once. `funding_rate` is an
ANNUALISED FRACTION: 0.1095 (= 0.0000125 x 8760) is the usual value on 1 h, 4 h and 8 h listings
alike. `funding_interval_s` is the cadence of payment; 0 marks swaps without funding. The next
payment is taken to lie on the UTC grid of the interval (assumed: the exchange does not say). The
sample taken in the ten minutes before a boundary is written as that boundary's settlement, of kind
`recorded`; without a sample the hour is a gap. Open interest is in USD, per side.
10 requests per 10 s and address; answers are cached for a minute.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.rates import RateUnit, fraction
from funding_pipeline.domain.records import Estimate, Market, Window
from funding_pipeline.domain.symbols import unify
from funding_pipeline.exchanges.base import (
    EstimatesPlan,
    ExchangeSpec,
    HistoryPlan,
    MarketsPlan,
    RateLimit,
    Request,
)
from funding_pipeline.exchanges.wire import decode, optional_number

SPEC = ExchangeSpec(
    name="variational",
    title="Variational",
    origins={"": "https://omni-client-api.prod.ap-northeast-1.variational.io"},
    api_docs="https://docs.variational.io/technical-documentation/api",
    rate_unit=RateUnit.ANNUAL_FRACTION,
    interval="row",
    kind="recorded",
    max_abs_rate=0.16,  # 2 % an hour, at 8 h
    page_rows=1,
    limits=(RateLimit(10, 10.0),),
    concurrency=1,
)

_ENDPOINT = "metadata/stats"
_HOUR_S = 3600


class _Sides(msgspec.Struct):
    long_open_interest: str = ""
    short_open_interest: str = ""


class _Listing(msgspec.Struct):
    ticker: str
    funding_rate: str
    funding_interval_s: int
    mark_price: str = ""
    volume_24h: str = ""
    open_interest: _Sides = msgspec.field(default_factory=_Sides)


class _Stats(msgspec.Struct):
    listings: list[_Listing]


_STATS = msgspec.json.Decoder(_Stats)


def _listings(body: bytes) -> list[tuple[int, _Listing]]:
    found = decode(body, _STATS, SPEC.name, _ENDPOINT).listings
    for index, item in enumerate(found):
        if item.funding_interval_s < 0 or item.funding_interval_s % _HOUR_S:
            detail = f"no whole number of hours: {item.funding_interval_s} s"
            field = f"$.listings[{index}].funding_interval_s"
            raise MalformedResponseError(SPEC.name, _ENDPOINT, detail, field)
    return [(index, item) for index, item in enumerate(found) if item.funding_interval_s]


def parse_markets(body: bytes) -> list[Market]:
    """Listings that pay funding."""
    markets = []
    for _, item in _listings(body):
        symbol, multiplier = unify(item.ticker)
        markets.append(
            Market(
                market=item.ticker,
                symbol=symbol,
                multiplier=multiplier,
                quote="USDC",
                settle="USDC",
                interval_hours=item.funding_interval_s // _HOUR_S,
            )
        )
    return markets


def parse_estimates(body: bytes) -> list[Estimate]:
    """What each listing will pay at its next boundary, per interval."""
    estimates = []
    for index, item in _listings(body):
        hours = item.funding_interval_s // _HOUR_S
        field = f"$.listings[{index}].funding_rate"
        try:
            rate = fraction(item.funding_rate, SPEC.rate_unit, hours)
        except ValueError as error:
            raise MalformedResponseError(SPEC.name, _ENDPOINT, str(error), field) from error
        sides = [
            side
            for side in (
                optional_number(item.open_interest.long_open_interest),
                optional_number(item.open_interest.short_open_interest),
            )
            if side is not None
        ]
        estimates.append(
            Estimate(
                market=item.ticker,
                rate=rate,
                raw_rate=item.funding_rate,
                interval_hours=hours,
                mark_price=optional_number(item.mark_price),
                open_interest_usd=sum(sides) / len(sides) if sides else None,
                volume_24h_usd=optional_number(item.volume_24h),
            )
        )
    return estimates


class Variational:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All listings with funding, one call."""
        return parse_markets((yield _stats()))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """There is none."""
        raise NotImplementedError(f"{SPEC.name} has no history; it is recorded from estimates")
        yield  # makes it a plan, as the protocol has it

    def estimates(self) -> EstimatesPlan:
        """All listings with funding, one call."""
        return parse_estimates((yield _stats()))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Nothing beyond what the status says."""
        return None


def _stats() -> Request:
    return Request(endpoint=_ENDPOINT, path=f"/{_ENDPOINT}")
