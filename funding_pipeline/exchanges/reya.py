"""Reya: no history, recorded from estimates.

Source: docs.reya.xyz/developers, Reya-Labs/reya-api-specs, recorded responses of 2026-09.

`perpMarkets/summary` tells the running rate of every market that ever was; `marketDefinitions`
lists those that are live. A dead market keeps its last rate for ever (MKR: 0.2917), so only listed
ones are sampled. `fundingRate` is PERCENT per hour: over 204 s the funding accumulator of BTC rose
by 1.0074e-5 of the price per hour while it read 1.0070e-3. Funding accrues continuously, so there
is no settlement: the sample taken in the ten minutes before a whole hour is written as that hour's
payment, of kind `recorded`; without a sample the hour is a gap. `longFundingValue` and
`shortFundingValue` are cumulative indices and no rates; where they differ, shorts are credited less
than longs are charged, which one rate cannot tell. Open interest is in base units, one side; the
oracle price is the mark price. 1000 requests per 60 s and address.
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
from funding_pipeline.exchanges.wire import decode, notional, optional_number

SPEC = ExchangeSpec(
    name="reya",
    title="Reya",
    origins={"": "https://api.reya.xyz"},
    api_docs="https://docs.reya.xyz/developers",
    rate_unit=RateUnit.PERCENT,
    interval="row",
    kind="recorded",
    max_abs_rate=0.01,  # widest seen: 0.29 % an hour, of a dead market (2026-09)
    page_rows=1,
    limits=(RateLimit(1000, 60.0),),
    concurrency=2,
)

_DEFINITIONS = "marketDefinitions"
_SUMMARY = "perpMarkets/summary"
_SUFFIX = "RUSDPERP"
_HOURS = 1


class _Definition(msgspec.Struct):
    symbol: str


class _Market(msgspec.Struct):
    symbol: str
    fundingRate: str
    oiQty: str = ""
    volume24h: str = ""
    throttledOraclePrice: str = ""


_DEFINED = msgspec.json.Decoder(list[_Definition])
_MARKETS = msgspec.json.Decoder(list[_Market])


def _listed(definitions: bytes) -> list[str]:
    found = decode(definitions, _DEFINED, SPEC.name, _DEFINITIONS)
    return [item.symbol for item in found if item.symbol.endswith(_SUFFIX)]


def parse_markets(definitions: bytes, summary: bytes) -> list[Market]:
    """The listed markets, then those that only the summary still holds, which are dead."""
    listed = _listed(definitions)
    found = decode(summary, _MARKETS, SPEC.name, _SUMMARY)
    dead = [item.symbol for item in found if item.symbol not in listed]
    return [_market(symbol, live=True) for symbol in listed] + [
        _market(symbol, live=False) for symbol in dead if symbol.endswith(_SUFFIX)
    ]


def _market(native: str, *, live: bool) -> Market:
    symbol, multiplier = unify(native.removesuffix(_SUFFIX))
    return Market(
        market=native,
        symbol=symbol,
        multiplier=multiplier,
        quote="RUSD",
        settle="RUSD",
        live=live,
        interval_hours=_HOURS,
    )


def parse_estimates(definitions: bytes, summary: bytes) -> list[Estimate]:
    """What each listed market pays per hour now."""
    listed = set(_listed(definitions))
    found = decode(summary, _MARKETS, SPEC.name, _SUMMARY)
    estimates = []
    for index, item in enumerate(found):
        if item.symbol not in listed:
            continue
        try:
            rate = fraction(item.fundingRate, SPEC.rate_unit)
        except ValueError as error:
            field = f"$[{index}].fundingRate"
            raise MalformedResponseError(SPEC.name, _SUMMARY, str(error), field) from error
        oracle = optional_number(item.throttledOraclePrice)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=rate,
                raw_rate=item.fundingRate,
                interval_hours=_HOURS,
                mark_price=oracle,
                index_price=oracle,
                open_interest_usd=notional(optional_number(item.oiQty), oracle),
                volume_24h_usd=optional_number(item.volume24h),
            )
        )
    return estimates


class Reya:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """The definitions tell what is live, the summary what was."""
        definitions = yield _get(_DEFINITIONS)
        return parse_markets(definitions, (yield _get(_SUMMARY)))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """There is none."""
        raise NotImplementedError(f"{SPEC.name} has no history; it is recorded from estimates")
        yield  # makes it a plan, as the protocol has it

    def estimates(self) -> EstimatesPlan:
        """The definitions tell what is live, the summary the rates."""
        definitions = yield _get(_DEFINITIONS)
        return parse_estimates(definitions, (yield _get(_SUMMARY)))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Nothing beyond what the status says."""
        return None


def _get(endpoint: str) -> Request:
    return Request(endpoint=endpoint, path=f"/v2/{endpoint}")
