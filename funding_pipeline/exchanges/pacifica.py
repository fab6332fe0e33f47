"""Pacifica.

Source: docs.pacifica.fi, recorded responses of 2026-09.

Settled history: newest first, by cursor only, at most 4000 rows; stamps are about half a second
after the hour. Rates are hourly fractions, at most 4 % either way. A row carries the settled rate
and the one fixed for the next hour, and the snapshot does likewise: `funding` is the rate fixed for
the hour that runs, `next_funding` the estimate for the one after. The documentation calls `funding`
settled, but the snapshot of 22:12 equals the `next_funding_rate` of the 22:00 row, and not its
`funding_rate`.

Open interest is told in base units, whatever the documentation says. The list of markets has no
status; what is withdrawn disappears. Quote and settlement coin are not told, margin is in USDC.

Limits: credits per 60 s and address; documentation of different times says 125 and 100, a heavy GET
costing 3 to 12 of them. Counted here are the strictest, 100 and 12 for history (9 was measured),
whatever its `limit`.
"""

from collections.abc import Generator
from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
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
from funding_pipeline.exchanges.paging import walked
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

_INTERVAL_HOURS = 1

SPEC = ExchangeSpec(
    name="pacifica",
    title="Pacifica",
    origins={"": "https://api.pacifica.fi"},
    api_docs="https://docs.pacifica.fi/api-documentation/api/rest-api/markets",
    rate_unit=RateUnit.FRACTION,
    interval=FixedInterval(((0, _INTERVAL_HOURS),)),
    max_abs_rate=0.05,  # the documented cap is 4 %
    page_rows=4000,
    page_weight=12,
    limits=(RateLimit(100, 60.0),),
)


class _Info(msgspec.Struct):
    symbol: str
    instrument_type: str
    created_at: int | None = None


class _Price(msgspec.Struct):
    symbol: str
    funding: str
    timestamp: int | None = None
    mark: str | None = None
    oracle: str | None = None
    open_interest: str | None = None
    volume_24h: str | None = None


class _Funding(msgspec.Struct):
    funding_rate: str
    created_at: int


Row = TypeVar("Row")


class _Answer(msgspec.Struct, Generic[Row]):
    data: list[Row]


class _Page(msgspec.Struct):
    data: list[_Funding]
    has_more: bool
    next_cursor: str | None = None


_INFO = msgspec.json.Decoder(_Answer[_Info])
_PRICES = msgspec.json.Decoder(_Answer[_Price])
_HISTORY = msgspec.json.Decoder(_Page)


def _perpetuals(body: bytes) -> list[_Info]:
    """Markets without spot."""
    found = decode(body, _INFO, SPEC.name, "info").data
    return [item for item in found if item.instrument_type == "perpetual"]


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals; those that were withdrawn are not in the list."""
    markets = []
    for item in _perpetuals(body):
        symbol, multiplier = unify(item.symbol)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote="USDC",
                settle="USDC",
                listed_at_ms=item.created_at,
                interval_hours=_INTERVAL_HOURS,
            )
        )
    return markets


def parse_history(body: bytes, market: str) -> tuple[list[RawSettlement], str | None]:
    """Settled rows of one page, which do not name their market, and the next page's cursor."""
    page = decode(body, _HISTORY, SPEC.name, "funding_rate/history")
    if page.has_more and not page.next_cursor:
        detail = "there are more rows, but no cursor to them"
        raise MalformedResponseError(SPEC.name, "funding_rate/history", detail, "$.next_cursor")
    rows = [RawSettlement(market, row.created_at, row.funding_rate) for row in page.data]
    return rows, page.next_cursor if page.has_more else None


def parse_estimates(info: bytes, prices: bytes) -> list[Estimate]:
    """What the running hour will settle, of all perpetuals; spot has a price and no funding."""
    perpetuals = {item.symbol for item in _perpetuals(info)}
    estimates = []
    for index, item in enumerate(decode(prices, _PRICES, SPEC.name, "info/prices").data):
        if item.symbol not in perpetuals:
            continue
        mark = optional_number(item.mark)
        hour = None if item.timestamp is None else item.timestamp // HOUR_MS
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.funding, SPEC.name, "info/prices", f"$.data[{index}].funding"),
                raw_rate=item.funding,
                interval_hours=_INTERVAL_HOURS,
                next_funding_ms=None if hour is None else (hour + 1) * HOUR_MS,
                mark_price=mark,
                index_price=optional_number(item.oracle),
                open_interest_usd=notional(optional_number(item.open_interest), mark),
                volume_24h_usd=optional_number(item.volume_24h),
            )
        )
    return estimates


class Pacifica:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All markets, one call."""
        return parse_markets((yield _get("info")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one market, from the newest down to the window."""
        assert market is not None, "history is per market here"

        def page(
            cursor: str,
        ) -> Generator[Request, bytes, tuple[list[RawSettlement], str | None]]:
            params: dict[str, str | int] = {"symbol": market.market, "limit": SPEC.page_rows}
            if cursor:
                params["cursor"] = cursor
            request = _get("funding_rate/history", params, weight=SPEC.page_weight)
            return parse_history((yield request), market.market)

        return walked(page, "", window)

    def estimates(self) -> EstimatesPlan:
        """Prices hold the rates; which of them are perpetuals the list of markets tells."""
        info = yield _get("info")
        return parse_estimates(info, (yield _get("info/prices")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Every answer tells its success, an error its text."""
        return coded(SPEC, request, status, body, code="success", text="error", good={"True"})


def _get(endpoint: str, params: dict[str, str | int] | None = None, weight: int = 1) -> Request:
    path = f"/api/v1/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params or {}, weight=weight)
