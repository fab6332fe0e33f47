"""Backpack, USDC-settled perpetuals.

Source: docs.backpack.exchange, support.backpack.exchange (futures specs, FAQ), recorded responses
of 2026-09.

Settled history: newest first, at most 1000 rows, by offset; it knows no times, and an unknown
symbol answers with an empty list. `intervalEndTimestamp` is ISO 8601 without an offset: UTC, end of
the interval. The newest row is the RUNNING hour: its stamp lies in the future and its rate moves
until some minutes after the hour; the end of the window keeps it out. Rates are fractions per
`fundingInterval` (ms): one hour since 2025-08-20, 8 or 4 before, so that spacing decides for the
past. Bounds are basis points per interval. Positions are counted in base units, kPEPE in thousands,
one side. Limits: 20 requests a second (what ccxt keeps to). Published are 2000 a minute, and 30 a
minute for candles and trades; history by offset was asked 170 times a minute without a refusal,
hence 120 here. `createdAt` is the same early second for all older markets: no listing date.
"""

from collections.abc import Generator

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.grid import HOUR_MS
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
from funding_pipeline.exchanges.wire import decode, iso_ms, notional, number, optional_number

SPEC = ExchangeSpec(
    name="backpack",
    title="Backpack",
    origins={"": "https://api.backpack.exchange"},
    api_docs="https://docs.backpack.exchange/#tag/Markets/operation/get_funding_interval_rates",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="ISO 8601",
    interval="declared",
    max_abs_rate=0.05,  # widest bound: 150 basis points (markets of 2026-09)
    page_rows=1000,
    limits=(RateLimit(20, 1.0), RateLimit(120, 60.0, "history")),
)
_BASIS_POINT = 1e-4
_LIST_REBUILT_MS = 1_737_441_294_692  # 2025-01-21 06:34:54: `createdAt` of all that is older
_SHARE = ".US"


class _Market(msgspec.Struct):
    symbol: str
    marketType: str
    baseSymbol: str
    quoteSymbol: str
    orderBookState: str
    visible: bool
    fundingInterval: int | None
    createdAt: str | None = None
    rwaMarketType: str | None = None
    fundingRateUpperBound: str | None = None
    fundingRateLowerBound: str | None = None


class _Funding(msgspec.Struct):
    symbol: str
    fundingRate: str
    intervalEndTimestamp: str


class _MarkPrice(msgspec.Struct):
    symbol: str
    fundingRate: str
    nextFundingTimestamp: int
    markPrice: str | None = None
    indexPrice: str | None = None


class _OpenInterest(msgspec.Struct):
    symbol: str
    openInterest: str | None = None


class _Ticker(msgspec.Struct):
    symbol: str
    quoteVolume: str | None = None


_MARKETS = msgspec.json.Decoder(list[_Market])
_HISTORY = msgspec.json.Decoder(list[_Funding])
_MARK_PRICES = msgspec.json.Decoder(list[_MarkPrice])
_OPEN_INTEREST = msgspec.json.Decoder(list[_OpenInterest])
_TICKERS = msgspec.json.Decoder(list[_Ticker])


def _asset_class(item: _Market) -> str | None:
    """Shares and ETF carry .US; what else is no crypto is not told apart."""
    if item.baseSymbol.endswith(_SHARE):
        return "equity"
    return "crypto" if item.rwaMarketType is None else None


def _bound(text: str | None) -> float | None:
    points = optional_number(text)
    return None if points is None else points * _BASIS_POINT


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals of the list, which holds spot and prediction markets too."""
    listed = decode(body, _MARKETS, SPEC.name, "markets")
    markets = []
    for index, item in enumerate(listed):
        if item.marketType != "PERP":
            continue
        if not item.fundingInterval or item.fundingInterval % HOUR_MS:
            detail = f"{item.symbol}: {item.fundingInterval} ms is no whole number of hours"
            field = f"$[{index}].fundingInterval"
            raise MalformedResponseError(SPEC.name, "markets", detail, field)
        symbol, multiplier = unify(item.baseSymbol.removesuffix(_SHARE))
        created = item.createdAt and iso_ms(
            item.createdAt, SPEC.name, "markets", f"$[{index}].createdAt"
        )
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteSymbol,
                settle=item.quoteSymbol,
                asset_class=_asset_class(item),
                live=item.orderBookState == "Open" and item.visible,
                listed_at_ms=created if created and created > _LIST_REBUILT_MS else None,
                interval_hours=item.fundingInterval // HOUR_MS,
                rate_cap=_bound(item.fundingRateUpperBound),
                rate_floor=_bound(item.fundingRateLowerBound),
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Rows of one page, the running hour among them; they carry no interval."""
    rows = decode(body, _HISTORY, SPEC.name, "fundingRates")
    settlements = []
    for index, row in enumerate(rows):
        field = f"$[{index}].intervalEndTimestamp"
        time_ms = iso_ms(row.intervalEndTimestamp, SPEC.name, "fundingRates", field)
        settlements.append(RawSettlement(row.symbol, time_ms, row.fundingRate))
    return settlements


def parse_estimates(
    markets: bytes, mark_prices: bytes, open_interest: bytes, tickers: bytes
) -> list[Estimate]:
    """Rates of the running hour of the live markets, with open interest and volume."""
    live = {m.market: m for m in parse_markets(markets) if m.live}
    held = {
        row.symbol: optional_number(row.openInterest)
        for row in decode(open_interest, _OPEN_INTEREST, SPEC.name, "openInterest")
    }
    volumes = {
        row.symbol: optional_number(row.quoteVolume)
        for row in decode(tickers, _TICKERS, SPEC.name, "tickers")
    }
    rates = decode(mark_prices, _MARK_PRICES, SPEC.name, "markPrices")
    estimates = []
    for index, row in enumerate(rates):
        market = live.get(row.symbol)
        if market is None or market.interval_hours is None:
            continue
        mark = optional_number(row.markPrice)
        rate = number(row.fundingRate, SPEC.name, "markPrices", f"$[{index}].fundingRate")
        estimates.append(
            Estimate(
                market=row.symbol,
                rate=rate,
                raw_rate=row.fundingRate,
                interval_hours=market.interval_hours,
                next_funding_ms=row.nextFundingTimestamp,
                mark_price=mark,
                index_price=optional_number(row.indexPrice),
                open_interest_usd=notional(held.get(row.symbol), mark),
                volume_24h_usd=volumes.get(row.symbol),
            )
        )
    return estimates


class Backpack:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All markets, one call."""
        return parse_markets((yield _get("markets")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Rows of one market from the newest down to the window."""
        assert market is not None, "history is per market here"

        def page(
            offset: int,
        ) -> Generator[Request, bytes, tuple[list[RawSettlement], int | None]]:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "limit": SPEC.page_rows,
                "offset": offset,
            }
            rows = parse_history((yield _get("fundingRates", params, scopes=("", "history"))))
            # Stamps and not rows: a row sent twice must not push others out of the next page.
            return rows, offset + len({row.time_ms for row in rows})

        return walked(page, 0, window)

    def estimates(self) -> EstimatesPlan:
        """Markets for state and interval, then rates, positions and volumes of all."""
        markets = yield _get("markets")
        mark_prices = yield _get("markPrices")
        open_interest = yield _get("openInterest")
        return parse_estimates(markets, mark_prices, open_interest, (yield _get("tickers")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """An error is an object with a code; good answers are lists."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="message",
            good=(),
            too_often={"TOO_MANY_REQUESTS"},
        )


def _get(
    endpoint: str,
    params: dict[str, str | int] | None = None,
    scopes: tuple[str, ...] = ("",),
) -> Request:
    path = f"/api/v1/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params or {}, scopes=scopes)
