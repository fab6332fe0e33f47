"""WOO X, USDT-margined perpetuals.

Experimental: no recorded answer was at hand.

Source: developer.woox.io/api-reference (public_data), the samples that ccxt 4.5.90 keeps in its
source; the counts below are from a public survey of the live API of 2026-09-23.

Settled history: newest first, pages of 25 rows; a `size` is heeded, but its maximum is not known,
so it is not sent. Both ends are taken to be inclusive. Rates are text, fractions per the market's
own interval (4 h on 149 markets, 8 h on 74), declared as of now; a row names the settlement after
it, which says nothing about its own period. Stamps are settlement times in ms. A market can stand
still while it is listed as trading: its next funding time then lies in the past. Open interest is
in base units; that it counts one side is assumed. Some markets declare a floor equal to their cap
and settle below it. 10 requests per second and address for each endpoint; a fault of the gateway
comes as 200 without `success`.
"""

from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import (
    ExchangeError,
    MalformedResponseError,
    TransientError,
)
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
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

SPEC = ExchangeSpec(
    name="woo",
    title="WOO X",
    origins={"": "https://api.woox.io"},
    api_docs="https://developer.woox.io/api-reference/endpoint/public_data/fundingRateHistory",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest cap reported: 2 %
    page_rows=25,
    limits=(RateLimit(10, 1.0),),
    experimental=(
        "The answers' form, the unit and the inclusive ends rest on documentation samples; no "
        "recorded answer was at hand."
    ),
)


class _Instrument(msgspec.Struct):
    symbol: str
    status: str
    baseAssetMultiplier: int = 1
    fundingIntervalHours: int | None = None
    fundingCap: float | None = None
    fundingFloor: float | None = None


class _Estimate(msgspec.Struct):
    symbol: str
    estFundingRate: str
    estFundingIntervalHours: int
    nextFundingTime: int


class _Future(msgspec.Struct):
    symbol: str
    markPrice: str | None = None
    indexPrice: str | None = None
    openInterest: str | None = None
    amount: str | None = msgspec.field(name="24hAmount", default=None)


class _Settlement(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingRateTimestamp: int
    markPrice: str | None = None


Row = TypeVar("Row")


class _Rows(msgspec.Struct, Generic[Row]):
    rows: list[Row]


class _Answer(msgspec.Struct, Generic[Row]):
    data: _Rows[Row]
    timestamp: int


# strict=False: the guide promises decimals as text, the samples of instruments show no perpetual.
_INSTRUMENTS = msgspec.json.Decoder(_Answer[_Instrument], strict=False)
_ESTIMATES = msgspec.json.Decoder(_Answer[_Estimate])
_FUTURES = msgspec.json.Decoder(_Answer[_Future])
_HISTORY = msgspec.json.Decoder(_Answer[_Settlement])


def parse_markets(body: bytes) -> list[Market]:
    """The perpetuals among the instruments; those that do not trade are marked so."""
    endpoint = "instruments"
    markets = []
    for index, item in enumerate(decode(body, _INSTRUMENTS, SPEC.name, endpoint).data.rows):
        path = f"$.data.rows[{index}]"
        parts = item.symbol.split("_")
        if parts[0] != "PERP":
            continue
        if len(parts) != 3:
            detail = f"no base and quote in {item.symbol!r}"
            raise MalformedResponseError(SPEC.name, endpoint, detail, f"{path}.symbol")
        if not item.fundingIntervalHours:
            detail = f"{item.symbol}: no number of hours: {item.fundingIntervalHours}"
            field = f"{path}.fundingIntervalHours"
            raise MalformedResponseError(SPEC.name, endpoint, detail, field)
        symbol, multiplier = unify(parts[1])
        cap, floor = item.fundingCap, item.fundingFloor
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier * item.baseAssetMultiplier,
                quote=parts[2],
                settle=parts[2],
                live=item.status == "TRADING",
                interval_hours=item.fundingIntervalHours,
                rate_cap=cap,
                rate_floor=floor if cap is None or floor is None or floor < cap else None,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    rows = decode(body, _HISTORY, SPEC.name, "fundingRateHistory").data.rows
    return [
        RawSettlement(
            row.symbol,
            row.fundingRateTimestamp,
            row.fundingRate,
            mark_price=optional_number(row.markPrice),
        )
        for row in rows
    ]


def parse_estimates(rates: bytes, futures: bytes) -> list[Estimate]:
    """Running estimates; one whose settlement is over already stands still and is left out."""
    endpoint = "fundingRate"
    traded = {f.symbol: f for f in decode(futures, _FUTURES, SPEC.name, "futures").data.rows}
    answer = decode(rates, _ESTIMATES, SPEC.name, endpoint)
    estimates = []
    for index, item in enumerate(answer.data.rows):
        if item.nextFundingTime < answer.timestamp:
            continue
        field = f"$.data.rows[{index}].estFundingRate"
        future = traded.get(item.symbol, _Future(item.symbol))
        mark = optional_number(future.markPrice)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.estFundingRate, SPEC.name, endpoint, field),
                raw_rate=item.estFundingRate,
                interval_hours=item.estFundingIntervalHours,
                next_funding_ms=item.nextFundingTime,
                mark_price=mark,
                index_price=optional_number(future.indexPrice),
                open_interest_usd=notional(optional_number(future.openInterest), mark),
                volume_24h_usd=optional_number(future.amount),
            )
        )
    return estimates


class Woo:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All instruments, spot among them, one call."""
        return parse_markets((yield _get("instruments")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with startTime <= stamp <= endTime, both taken as inclusive."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "startTime": rest.start_ms,
                "endTime": rest.end_ms - 1,
            }
            return parse_history((yield _get("fundingRateHistory", params)))

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """Rates with their intervals, and futures for prices and open interest."""
        rates = yield _get("fundingRate")
        return parse_estimates(rates, (yield _get("futures")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """`success` is false; the gateway's own fault has none and goes by."""
        if status == 200 and b"[GW]" in body and b'"success"' not in body:
            detail = body[:200].decode(errors="replace")
            return TransientError(SPEC.name, request.endpoint, detail)
        return coded(SPEC, request, status, body, code="success", text="message", good={"True"})


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=f"/v3/public/{endpoint}", params=params or {})
