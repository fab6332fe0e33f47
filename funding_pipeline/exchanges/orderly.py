"""Orderly Network, the order book behind WOOFi Pro and about a hundred other brokers.

Source: orderly.network/docs/build-on-omnichain/restful-api/public, recorded responses of 2026-09.

Settled history: newest first, both ends inclusive, at most 500 rows (more are cut, not refused).
Times have 13 digits: seconds mean 1970 and silently bring nothing, as an unknown symbol does. Rates
are JSON numbers, fractions per the market's own funding period (8 or 4 h, declared as of now), and
not per 8 h as the documentation suggests: markets of 4 h rest at 0.00005, those of 8 h at 0.0001.
Stamps are exact settlement times in ms; a row also names the settlement after it, which says
nothing about its own period. Brokers list markets of their own with their name behind the symbol;
they trade on the same book. No asset class is declared. Open interest is in base units, one side.
`funding_rates` tells of all markets what settled last, with its stamp: the history's very row
(PERP_BTC_USDC and PERP_HYPE_USDC of 2026-09-13); beside it stands the running estimate.
10 requests per second and address; some addresses of data centres are refused with 403.
"""

from collections.abc import Sequence
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
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, digits, notional, number

SPEC = ExchangeSpec(
    name="orderly",
    title="Orderly",
    origins={"": "https://api.orderly.org"},
    api_docs="https://orderly.network/docs/build-on-omnichain/restful-api/public/get-funding-rate-history-for-one-market",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest cap seen: 2 % (info of 2026-09)
    page_rows=500,
    limits=(RateLimit(10, 1.0),),
)


class _Info(msgspec.Struct):
    symbol: str
    status: str
    funding_period: int
    cap_funding: float | None = None
    floor_funding: float | None = None
    created_time: int | None = None


class _Estimate(msgspec.Struct):
    symbol: str
    est_funding_rate: msgspec.Raw
    next_funding_time: int
    last_funding_rate: msgspec.Raw = msgspec.Raw(b"null")
    last_funding_rate_timestamp: int | None = None


class _Future(msgspec.Struct):
    symbol: str
    mark_price: float | None = None
    index_price: float | None = None
    open_interest: float | None = None
    amount: float | None = msgspec.field(name="24h_amount", default=None)


class _Settlement(msgspec.Struct):
    symbol: str
    funding_rate: msgspec.Raw
    funding_rate_timestamp: int


Row = TypeVar("Row")


class _Rows(msgspec.Struct, Generic[Row]):
    rows: list[Row]


class _Answer(msgspec.Struct, Generic[Row]):
    data: _Rows[Row]


_INFO = msgspec.json.Decoder(_Answer[_Info])
_ESTIMATES = msgspec.json.Decoder(_Answer[_Estimate])
_FUTURES = msgspec.json.Decoder(_Answer[_Future])
_HISTORY = msgspec.json.Decoder(_Answer[_Settlement])


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals, of the network and of its brokers; those not ACTIVE are marked so."""
    markets = []
    for index, item in enumerate(decode(body, _INFO, SPEC.name, "info").data.rows):
        path = f"$.data.rows[{index}]"
        parts = item.symbol.split("_")
        if parts[0] != "PERP":
            continue
        if len(parts) < 3:
            raise MalformedResponseError(
                SPEC.name, "info", f"no base and quote in {item.symbol!r}", f"{path}.symbol"
            )
        if item.funding_period <= 0:
            detail = f"{item.symbol}: no number of hours: {item.funding_period}"
            raise MalformedResponseError(SPEC.name, "info", detail, f"{path}.funding_period")
        symbol, multiplier = unify(parts[1])
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=parts[2],
                settle="USDC",
                live=item.status == "ACTIVE",
                listed_at_ms=item.created_time,
                interval_hours=item.funding_period,
                rate_cap=item.cap_funding,
                rate_floor=item.floor_funding,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    endpoint = "funding_rate_history"
    rows = decode(body, _HISTORY, SPEC.name, endpoint).data.rows
    return [
        RawSettlement(
            row.symbol,
            row.funding_rate_timestamp,
            digits(row.funding_rate, SPEC.name, endpoint, f"$.data.rows[{index}].funding_rate"),
        )
        for index, row in enumerate(rows)
    ]


def parse_newest(body: bytes) -> list[RawSettlement]:
    """What settled last; a market that never settled has none."""
    endpoint = "funding_rates"
    rows = decode(body, _ESTIMATES, SPEC.name, endpoint).data.rows
    return [
        RawSettlement(
            row.symbol,
            row.last_funding_rate_timestamp,
            digits(
                row.last_funding_rate,
                SPEC.name,
                endpoint,
                f"$.data.rows[{index}].last_funding_rate",
            ),
        )
        for index, row in enumerate(rows)
        if row.last_funding_rate_timestamp and bytes(row.last_funding_rate) != b"null"
    ]


def parse_estimates(info: bytes, rates: bytes, futures: bytes) -> list[Estimate]:
    """Running estimates of the active markets, each per its own funding period."""
    endpoint = "funding_rates"
    hours = {m.market: m.interval_hours for m in parse_markets(info) if m.live}
    traded = {f.symbol: f for f in decode(futures, _FUTURES, SPEC.name, "futures").data.rows}
    estimates = []
    for index, item in enumerate(decode(rates, _ESTIMATES, SPEC.name, endpoint).data.rows):
        interval_hours = hours.get(item.symbol)
        if interval_hours is None:
            continue
        field = f"$.data.rows[{index}].est_funding_rate"
        text = digits(item.est_funding_rate, SPEC.name, endpoint, field)
        future = traded.get(item.symbol, _Future(item.symbol))
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(text, SPEC.name, endpoint, field),
                raw_rate=text,
                interval_hours=interval_hours,
                next_funding_ms=item.next_funding_time,
                mark_price=future.mark_price,
                index_price=future.index_price,
                open_interest_usd=notional(future.open_interest, future.mark_price),
                volume_24h_usd=future.amount,
            )
        )
    return estimates


class Orderly:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All markets, one call."""
        return parse_markets((yield _get("info")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with start_t <= stamp <= end_t, both inclusive."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "start_t": rest.start_ms,
                "end_t": rest.end_ms - 1,
                "size": SPEC.page_rows,
            }
            return parse_history((yield _get("funding_rate_history", params)))

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def newest(self, markets: Sequence[Market]) -> HistoryPlan:
        """Of all markets, one call."""
        return parse_newest((yield _get("funding_rates")))

    def estimates(self) -> EstimatesPlan:
        """Info for the periods, the rates, futures for prices and open interest."""
        info = yield _get("info")
        rates = yield _get("funding_rates")
        return parse_estimates(info, rates, (yield _get("futures")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """`success` is false; an excess is 429 and needs no code."""
        return coded(SPEC, request, status, body, code="success", text="message", good={"True"})


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=f"/v1/public/{endpoint}", params=params or {})
