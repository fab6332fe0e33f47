"""Ethereal, experimental: no answer of its history has been recorded.

Source: docs.ethereal.trade (trading API), the published OpenAPI schema of api.ethereal.trade.

Settled history: by product id (a UUID) and range, of which MONTH is the widest, taken as 30 days;
`order=desc` brings the newest first, by cursor, so that a recent window costs one page. At most 100
rows are asked for. Rates are fractions per hour: the documented sample 0.00022831 is 2 / 8760, the
cap of 200 % a year. Stamps are ms, in the sample 1 ms after the hour. `fundingMaxApr` is
the cap as a fraction per year. Everything is settled in USDe.

The running estimates stand behind `funding/projected-rate`, which wants every product id as a
repeated parameter; `fundingRate1h` of the product list is the last charge and no estimate. So none
are sampled. The exchange's rate limits are unknown.
"""

from collections.abc import Generator

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import HOURS_PER_YEAR, RateUnit
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.domain.symbols import unify
from funding_pipeline.exchanges.base import (
    EstimatesPlan,
    ExchangeSpec,
    HistoryPlan,
    MarketsPlan,
    RateLimit,
    Request,
)
from funding_pipeline.exchanges.paging import walked
from funding_pipeline.exchanges.wire import decode, optional_number

SPEC = ExchangeSpec(
    name="ethereal",
    title="Ethereal",
    origins={"": "https://api.ethereal.trade"},
    api_docs="https://docs.ethereal.trade/developer-guides/trading-api",
    rate_unit=RateUnit.FRACTION,
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.005,  # documented cap: 200 % a year, 0.00023 an hour
    page_rows=100,
    limits=(RateLimit(10, 1.0),),
    concurrency=4,
    look_back_days=30,
    samples_estimates=False,
    experimental=(
        "The unit rests on one documented sample and no answer of the history has been recorded."
    ),
)

_PERPETUAL = 0
_HOURS = 1


class _Product(msgspec.Struct):
    id: str
    ticker: str
    engineType: int
    baseTokenName: str
    quoteTokenName: str
    # Later than the documented sample, which is without.
    status: str = "ACTIVE"
    createdAt: int = 0
    fundingMaxApr: str = ""


class _Products(msgspec.Struct):
    data: list[_Product]
    hasNext: bool
    nextCursor: str | None = None


class _Funding(msgspec.Struct):
    createdAt: int
    fundingRate1h: str


class _History(msgspec.Struct):
    data: list[_Funding]
    hasNext: bool
    nextCursor: str | None = None


_PRODUCTS = msgspec.json.Decoder(_Products)
_HISTORY = msgspec.json.Decoder(_History)


def _following(answer: _Products | _History, endpoint: str) -> str | None:
    """The cursor of the next page, None where there is none."""
    if not answer.hasNext:
        return None
    if not answer.nextCursor:
        detail = "there is a next page, but no cursor"
        raise MalformedResponseError(SPEC.name, endpoint, detail, "$.nextCursor")
    return answer.nextCursor


def parse_markets(body: bytes) -> tuple[list[Market], str | None]:
    """Perpetuals of one page of products, and the cursor of the next (None at the end)."""
    answer = decode(body, _PRODUCTS, SPEC.name, "product")
    markets = []
    for item in answer.data:
        if item.engineType != _PERPETUAL:
            continue
        symbol, multiplier = unify(item.baseTokenName)
        yearly = optional_number(item.fundingMaxApr)
        cap = None if yearly is None else yearly * _HOURS / HOURS_PER_YEAR
        markets.append(
            Market(
                market=item.ticker,
                api_id=item.id,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteTokenName,
                settle="USDe",
                live=item.status == "ACTIVE",
                listed_at_ms=item.createdAt or None,
                interval_hours=_HOURS,
                rate_cap=cap,
                rate_floor=None if cap is None else -cap,
            )
        )
    return markets, _following(answer, "product")


def parse_history(body: bytes, market: str) -> tuple[list[RawSettlement], str | None]:
    """Settled rows of one page, which do not name their product, and the cursor of the next."""
    answer = decode(body, _HISTORY, SPEC.name, "funding")
    rows = [RawSettlement(market, row.createdAt, row.fundingRate1h) for row in answer.data]
    return rows, _following(answer, "funding")


class Ethereal:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All products, following the cursor to its end."""
        markets: list[Market] = []
        followed: set[str | None] = set()
        cursor: str | None = ""
        while cursor is not None:
            if cursor in followed:
                detail, field = f"the cursor {cursor!r} came before", "$.nextCursor"
                raise MalformedResponseError(SPEC.name, "product", detail, field)
            followed.add(cursor)
            page, cursor = parse_markets((yield _page("product", "asc", cursor, {})))
            markets += page
        return markets

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one product from the newest down to the window."""
        assert market is not None, "history is per market here"
        about = {"productId": market.api_id or market.market, "range": "MONTH"}

        def page(cursor: str) -> Generator[Request, bytes, tuple[list[RawSettlement], str | None]]:
            return parse_history((yield _page("funding", "desc", cursor, about)), market.market)

        return walked(page, "", window)

    def estimates(self) -> EstimatesPlan:
        """None can be asked for: see above."""
        raise NotImplementedError(f"{SPEC.name}: the running estimates need a repeated parameter")
        yield  # makes it a plan, as the protocol has it

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Nothing beyond what the status says."""
        return None


def _page(endpoint: str, order: str, cursor: str, about: dict[str, str]) -> Request:
    params: dict[str, str | int] = {
        **about,
        "order": order,
        "orderBy": "createdAt",
        "limit": SPEC.page_rows,
    }
    if cursor:
        params["cursor"] = cursor
    return Request(endpoint=endpoint, path=f"/v1/{endpoint}", params=params)
