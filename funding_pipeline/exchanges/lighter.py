"""Lighter, perpetuals.

Source: apidocs.lighter.xyz, the exchange's agent kit, recorded responses of 2026-09.

Settled history: `rate` is PERCENT per hour without a sign; `direction` names the side that pays.
Proof: `value` (USDC per unit of base) equals rate / 100 x price, and the usual 0.0012 is 0.00125 %
truncated to four decimals. Stamps are seconds, the end of the hour, both ends inclusive; all five
parameters are required; at most about 750 rows, of a wider window the newest. The estimates
(`/funding-rates`) are another unit: a signed fraction per 8 h, of which an eighth is paid hourly.
Open interest is one side, in base units. 60 requests a minute and address.
"""

from typing import Literal

import msgspec

from funding_pipeline.domain.errors import ExchangeError, PermanentError
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
from funding_pipeline.exchanges.wire import decode, notional, optional_number

SPEC = ExchangeSpec(
    name="lighter",
    title="Lighter",
    origins={"": "https://mainnet.zklighter.elliot.ai"},
    api_docs="https://apidocs.lighter.xyz/reference/fundings",
    rate_unit=RateUnit.PERCENT,
    sign="the direction that pays",
    stamp_unit="s",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.02,  # settlements of -0.5 % an hour were seen, at what looks like a cap
    page_rows=720,
    limits=(RateLimit(60, 60.0),),
    concurrency=4,
)

_ESTIMATE_HOURS = 8


class _OrderBook(msgspec.Struct):
    symbol: str
    market_id: int
    status: str
    market_type: str


class _OrderBooks(msgspec.Struct):
    order_books: list[_OrderBook]


class _Funding(msgspec.Struct):
    timestamp: int
    rate: str
    direction: Literal["long", "short"]
    value: str = ""


class _Fundings(msgspec.Struct):
    fundings: list[_Funding]


class _Detail(msgspec.Struct):
    symbol: str
    mark_price: str | None = None
    index_price: str | None = None
    open_interest: float | None = None
    daily_quote_token_volume: float | None = None


class _Details(msgspec.Struct):
    order_book_details: list[_Detail]


class _Running(msgspec.Struct):
    exchange: str
    symbol: str
    rate: float


class _RunningRates(msgspec.Struct):
    funding_rates: list[_Running]


class _Status(msgspec.Struct):
    code: int
    message: str = ""


_ORDER_BOOKS = msgspec.json.Decoder(_OrderBooks)
_FUNDINGS = msgspec.json.Decoder(_Fundings)
_DETAILS = msgspec.json.Decoder(_Details)
_RUNNING = msgspec.json.Decoder(_RunningRates)
_STATUS = msgspec.json.Decoder(_Status)


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals; spot books share the list."""
    markets = []
    for book in decode(body, _ORDER_BOOKS, SPEC.name, "orderBooks").order_books:
        if book.market_type != "perp":
            continue
        symbol, multiplier = unify(book.symbol)
        markets.append(
            Market(
                market=book.symbol,
                api_id=str(book.market_id),
                symbol=symbol,
                multiplier=multiplier,
                quote="USDC",
                settle="USDC",
                live=book.status == "active",
                interval_hours=1,
            )
        )
    return markets


def parse_history(body: bytes, market: str) -> list[RawSettlement]:
    """Settled rows; the text gets the sign that `direction` says (short pays: negative)."""
    rows = decode(body, _FUNDINGS, SPEC.name, "fundings").fundings
    return [
        RawSettlement(
            market,
            row.timestamp * 1000,
            f"-{row.rate}" if row.direction == "short" else row.rate,
        )
        for row in rows
    ]


def parse_estimates(rates: bytes, details: bytes) -> list[Estimate]:
    """Running hourly estimates of Lighter's own markets; relayed rows are left out."""
    known = {
        detail.symbol: detail
        for detail in decode(details, _DETAILS, SPEC.name, "orderBookDetails").order_book_details
    }
    estimates = []
    for row in decode(rates, _RUNNING, SPEC.name, "funding-rates").funding_rates:
        detail = known.get(row.symbol)
        if row.exchange != SPEC.name or detail is None:
            continue
        mark = optional_number(detail.mark_price)
        interest = detail.open_interest
        estimates.append(
            Estimate(
                market=row.symbol,
                rate=row.rate / _ESTIMATE_HOURS,
                raw_rate=repr(row.rate),
                interval_hours=1,
                mark_price=mark,
                index_price=optional_number(detail.index_price),
                open_interest_usd=notional(interest, mark),
                volume_24h_usd=detail.daily_quote_token_volume,
            )
        )
    return estimates


class Lighter:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All order books, one call."""
        return parse_markets((yield _get("orderBooks")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one market; its id is the exchange's number."""
        assert market is not None, "history is per market here"
        name, api_id = market.market, market.api_id or ""

        def page(rest: Window) -> PagePlan:
            body = yield _get(
                "fundings",
                market_id=api_id,
                resolution="1h",
                start_timestamp=-(-rest.start_ms // 1000),
                end_timestamp=(rest.end_ms - 1) // 1000,
                count_back=0,
            )
            return parse_history(body, name)

        return descending(page, window)

    def estimates(self) -> EstimatesPlan:
        """Running rates, and prices and open interest from the order books' details."""
        rates = yield _get("funding-rates")
        return parse_estimates(rates, (yield _get("orderBookDetails")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Answers carry a code of their own; 20001 is a bad parameter."""
        text = body.strip()
        if status not in (200, 400) or not (text.startswith(b"{") and text.endswith(b"}")):
            return None  # a page, or cut short: the client tells
        if status == 200 and text.startswith(b'{"code":200,'):
            return None
        answer = decode(body, _STATUS, SPEC.name, request.endpoint)
        if answer.code == 200:
            return None
        return PermanentError(SPEC.name, request.endpoint, f"code {answer.code}: {answer.message}")


def _get(endpoint: str, **params: str | int) -> Request:
    return Request(endpoint=endpoint, path=f"/api/v1/{endpoint}", params=params)
