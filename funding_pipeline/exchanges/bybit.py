"""Bybit v5, linear perpetuals (USDT and USDC).

Source: bybit-exchange.github.io/docs/v5/market, recorded responses of 2026-09.

Settled history: newest first, both ends inclusive, at most 200 rows; startTime alone is refused.
Rates are fractions per the market's interval, which changes over time and is declared (in minutes)
only as of now. Stamps are exact settlement times in ms, as text. Open interest counts both sides;
the `single…` fields one. Limit: 600 requests per 5 s and address; excess answers 403 with a text
of its own, which is no geo-block.
"""

from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import (
    ExchangeError,
    MalformedResponseError,
    RateLimitedError,
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
from funding_pipeline.exchanges.wire import decode, number, optional_number

SPEC = ExchangeSpec(
    name="bybit",
    title="Bybit",
    origins={"": "https://api.bybit.com"},
    api_docs="https://bybit-exchange.github.io/docs/v5/market/history-fund-rate",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest cap seen: 4 % (recorded settlements of 2023-2026)
    page_rows=200,
    limits=(RateLimit(600, 5.0),),
)


class _History(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingRateTimestamp: int


class _Instrument(msgspec.Struct):
    symbol: str
    contractType: str
    status: str
    baseCoin: str
    quoteCoin: str
    settleCoin: str
    launchTime: int
    fundingInterval: int
    upperFundingRate: str = ""
    lowerFundingRate: str = ""


class _Ticker(msgspec.Struct):
    symbol: str
    fundingRate: str
    nextFundingTime: str
    markPrice: str = ""
    indexPrice: str = ""
    openInterestValue: str = ""
    singleOpenInterestValue: str = ""
    turnover24h: str = ""
    fundingIntervalHour: str = ""


Row = TypeVar("Row")


class _Result(msgspec.Struct, Generic[Row]):
    list: list[Row]
    nextPageCursor: str = ""


class _Answer(msgspec.Struct, Generic[Row]):
    result: _Result[Row]


# strict=False: integers arrive as text. A rate that arrives as a number is still an error.
_HISTORY = msgspec.json.Decoder(_Answer[_History], strict=False)
_INSTRUMENTS = msgspec.json.Decoder(_Answer[_Instrument], strict=False)
_TICKERS = msgspec.json.Decoder(_Answer[_Ticker])


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    rows = decode(body, _HISTORY, SPEC.name, "funding/history").result.list
    return [RawSettlement(row.symbol, row.fundingRateTimestamp, row.fundingRate) for row in rows]


def parse_markets(body: bytes) -> tuple[list[Market], str]:
    """Perpetuals of one page of instruments, and the cursor of the next ("" at the end)."""
    answer = decode(body, _INSTRUMENTS, SPEC.name, "instruments-info").result
    markets = []
    for index, item in enumerate(answer.list):
        if item.contractType != "LinearPerpetual":
            continue
        if item.fundingInterval <= 0 or item.fundingInterval % 60:
            detail = f"{item.symbol}: {item.fundingInterval} min is no whole number of hours"
            field = f"$.result.list[{index}].fundingInterval"
            raise MalformedResponseError(SPEC.name, "instruments-info", detail, field)
        symbol, multiplier = unify(item.baseCoin)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteCoin,
                settle=item.settleCoin,
                live=item.status == "Trading",
                listed_at_ms=item.launchTime or None,
                interval_hours=item.fundingInterval // 60,
                rate_cap=optional_number(item.upperFundingRate),
                rate_floor=optional_number(item.lowerFundingRate),
            )
        )
    return markets, answer.nextPageCursor


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running estimates of all perpetuals; dated futures carry an empty rate and are left out."""
    endpoint = "tickers"
    estimates = []
    for index, item in enumerate(decode(body, _TICKERS, SPEC.name, endpoint).result.list):
        if item.fundingRate == "":
            continue
        path = f"$.result.list[{index}]"
        both_sides = optional_number(item.openInterestValue)
        one_side = optional_number(item.singleOpenInterestValue)
        if one_side is None and both_sides is not None:
            one_side = both_sides / 2
        next_ms = number(item.nextFundingTime, SPEC.name, endpoint, f"{path}.nextFundingTime")
        hours = number(item.fundingIntervalHour, SPEC.name, endpoint, f"{path}.fundingIntervalHour")
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.fundingRate, SPEC.name, endpoint, f"{path}.fundingRate"),
                raw_rate=item.fundingRate,
                interval_hours=int(hours),
                next_funding_ms=int(next_ms),
                mark_price=optional_number(item.markPrice),
                index_price=optional_number(item.indexPrice),
                open_interest_usd=one_side,
                volume_24h_usd=optional_number(item.turnover24h),
            )
        )
    return estimates


class Bybit:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All linear instruments, following the cursor to its end."""
        markets: list[Market] = []
        cursor = ""
        followed = {cursor}
        while True:
            params: dict[str, str | int] = {"category": "linear", "limit": 1000}
            if cursor:
                params["cursor"] = cursor
            page, cursor = parse_markets((yield _get("instruments-info", params)))
            markets += page
            if not cursor:
                return markets
            if cursor in followed:
                detail, field = f"the cursor {cursor!r} came before", "$.result.nextPageCursor"
                raise MalformedResponseError(SPEC.name, "instruments-info", detail, field)
            followed.add(cursor)

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with startTime <= stamp <= endTime, both inclusive."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            return parse_history(
                (
                    yield _get(
                        "funding/history",
                        {
                            "category": "linear",
                            "symbol": market.market,
                            "startTime": rest.start_ms,
                            "endTime": rest.end_ms - 1,
                            "limit": SPEC.page_rows,
                        },
                    )
                )
            )

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """Running estimates of all linear perpetuals, one call."""
        return parse_estimates((yield _get("tickers", {"category": "linear"})))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A 403 for asking too often, or a retCode other than 0 in an answer of status 200."""
        if status == 403 and b"access too frequent" in body:
            return RateLimitedError(SPEC.name, request.endpoint, "403 access too frequent")
        return coded(
            SPEC,
            request,
            status,
            body,
            code="retCode",
            text="retMsg",
            good={"0"},
            too_often={"10006", "10018"},
            blocked={"10024"},
        )


def _get(endpoint: str, params: dict[str, str | int]) -> Request:
    return Request(endpoint=endpoint, path=f"/v5/market/{endpoint}", params=params)
