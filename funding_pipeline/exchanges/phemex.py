"""Phemex perpetuals, settled in USDT, USDC or a coin.

Source: phemex-docs.github.io (contract and USD-M REST), ccxt; no response of its own recorded.

Settled history: asked by the contract's funding symbol (.BTCUSDTFR8H, whatever the interval), at
most 100 rows, oldest first, the newest of them up to `end`. `start` is never sent, because it is
not known which end of a wider window a page then holds; as many rows are asked for as the window
has hours. Each row carries its interval in seconds; rates
are fractions per that interval, stamps in ms, numbers or text. An unknown symbol has no rows, which
is no error. Contracts settled in coins are asked under /v1.

Products list what was delisted as well; coin-settled ones name their size (USD) where others name
the base. `real-funding-rates` is the running estimate of everything listed; the 24 h ticker knows
those settled in USDT and USDC, with open interest in base units (one side) and turnover in
quote currency. Answers have a code, 0 is good; the ticker's have none. 300 requests a minute are
told in the headers, 5000 per 5 minutes documented.
"""

from typing import Generic, TypeVar

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
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

SPEC = ExchangeSpec(
    name="phemex",
    title="Phemex",
    origins={"": "https://api.phemex.com"},
    api_docs="https://phemex-docs.github.io/#query-funding-rate-history-2",
    rate_unit=RateUnit.FRACTION,
    interval="row",
    max_abs_rate=0.05,  # no cap is documented; other exchanges' widest is 4 %
    page_rows=100,
    limits=(RateLimit(300, 60.0),),
    experimental="no answer was recorded: the history's paths, order and page are other clients'",
)

_HISTORY_PATH = "/api-data/public/data/funding-rate-history"
_TICKER = "/md/v3/ticker/24hr/all"
_STABLE = ("USDT", "USDC")
_NO_COINS = ("TradFi", "PreMarket")


class _Product(msgspec.Struct):
    """Spot pairs stand in the same list and lack most of these."""

    symbol: str
    type: str
    status: str
    quoteCurrency: str | None = None
    settleCurrency: str | None = None
    contractUnderlyingAssets: str | None = None
    fundingRate8hSymbol: str | None = None
    fundingInterval: int | None = None
    listTime: int | None = None
    perpProductSubType: str | None = None


class _ProductLists(msgspec.Struct):
    products: list[_Product]
    perpProductsV2: list[_Product]


class _Funding(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingTime: int
    intervalSeconds: int


class _Running(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingInterval: int
    nextfundingTime: int


T = TypeVar("T")


class _Rows(msgspec.Struct, Generic[T]):
    rows: list[T]
    total: int = 0


class _Answer(msgspec.Struct, Generic[T]):
    data: T


class _Ticker(msgspec.Struct):
    symbol: str
    markRp: str = ""
    indexRp: str = ""
    openInterestRv: str = ""
    turnoverRv: str = ""


class _Tickers(msgspec.Struct):
    result: list[_Ticker]


_PRODUCTS = msgspec.json.Decoder(_Answer[_ProductLists])
# strict=False: integers may arrive as text. A rate that arrives as a number is still an error.
_HISTORY = msgspec.json.Decoder(_Answer[_Rows[_Funding]], strict=False)
_RUNNING = msgspec.json.Decoder(_Answer[_Rows[_Running]])
_TICKERS = msgspec.json.Decoder(_Tickers)


def _hours(seconds: int, endpoint: str, field: str) -> int:
    if seconds <= 0 or seconds % 3600:
        detail = f"{seconds} s is no whole number of hours"
        raise MalformedResponseError(SPEC.name, endpoint, detail, field)
    return seconds // 3600


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals of both lists, delisted ones too."""
    lists = decode(body, _PRODUCTS, SPEC.name, "products").data
    named = {"perpProductsV2": lists.perpProductsV2, "products": lists.products}
    return [
        _market(item, f"$.data.{name}[{index}]")
        for name, products in named.items()
        for index, item in enumerate(products)
        if item.type.startswith("Perpetual")
    ]


def _market(item: _Product, path: str) -> Market:
    quote, settle = item.quoteCurrency, item.settleCurrency
    if not quote or not settle:
        detail = f"{item.symbol} lacks quoteCurrency or settleCurrency"
        raise MalformedResponseError(SPEC.name, "products", detail, path)
    base = item.contractUnderlyingAssets or item.symbol.removesuffix(quote)
    # Where the size is told in quote currency, the base is what it is settled in. "1000 PEPE".
    symbol, multiplier = unify((settle if base == quote else base).replace(" ", ""))
    seconds = item.fundingInterval
    return Market(
        market=item.symbol,
        api_id=item.fundingRate8hSymbol or f".{item.symbol}FR8H",
        symbol=symbol,
        multiplier=multiplier,
        quote=quote,
        settle=settle,
        asset_class=None if item.perpProductSubType in _NO_COINS else "crypto",
        live=item.status == "Listed",
        listed_at_ms=item.listTime or None,
        interval_hours=_hours(seconds, "products", f"{path}.fundingInterval") if seconds else None,
    )


def parse_history(body: bytes, market: Market) -> list[RawSettlement]:
    """Settled rows of one page, named by the contract unless they are of another one."""
    endpoint = "funding-rate-history"
    rows = decode(body, _HISTORY, SPEC.name, endpoint).data.rows
    return [
        RawSettlement(
            market.market if row.symbol == market.api_id else row.symbol,
            row.fundingTime,
            row.fundingRate,
            _hours(row.intervalSeconds, endpoint, f"$.data.rows[{index}].intervalSeconds"),
        )
        for index, row in enumerate(rows)
    ]


def parse_estimates(running: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of all that is listed; prices and sizes where the ticker knows them."""
    endpoint = "real-funding-rates"
    sizes = {item.symbol: item for item in decode(tickers, _TICKERS, SPEC.name, "ticker").result}
    found = decode(running, _RUNNING, SPEC.name, endpoint).data
    if found.total > len(found.rows):
        detail = f"{len(found.rows)} of {found.total} markets on one page"
        raise MalformedResponseError(SPEC.name, endpoint, detail, "$.data.rows")
    estimates = []
    for index, item in enumerate(found.rows):
        path = f"$.data.rows[{index}]"
        ticker = sizes.get(item.symbol, _Ticker(item.symbol))
        mark = optional_number(ticker.markRp)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.fundingRate, SPEC.name, endpoint, f"{path}.fundingRate"),
                raw_rate=item.fundingRate,
                interval_hours=_hours(item.fundingInterval, endpoint, f"{path}.fundingInterval"),
                next_funding_ms=item.nextfundingTime,
                mark_price=mark,
                index_price=optional_number(ticker.indexRp),
                open_interest_usd=notional(optional_number(ticker.openInterestRv), mark),
                volume_24h_usd=optional_number(ticker.turnoverRv),
            )
        )
    return estimates


class Phemex:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All products, one answer of some 3 MB."""
        return parse_markets((yield _get("/public/products")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one contract, from the window's end down to its start."""
        assert market is not None and market.api_id is not None, "history is per market here"
        path = ("" if market.settle in _STABLE else "/v1") + _HISTORY_PATH
        api_id = market.api_id

        def page(rest: Window) -> PagePlan:
            last = rest.end_ms - 1
            limit = min(last // HOUR_MS - rest.start_ms // HOUR_MS + 1, SPEC.page_rows)
            asked = _get(path, symbol=api_id, end=last, limit=limit)
            return parse_history((yield asked), market)

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """Rates of everything listed, then prices and sizes."""
        path = "/contract-biz/public/real-funding-rates"
        running = yield _get(path, pageSize=500)
        return parse_estimates(running, (yield _get(_TICKER)))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 0; the ticker has none."""
        if request.path == _TICKER:
            return None
        good, often = {"0"}, {"39995"}
        return coded(
            SPEC, request, status, body, code="code", text="msg", good=good, too_often=often
        )


def _get(path: str, **params: str | int) -> Request:
    return Request(endpoint=path.rsplit("/", 1)[-1], path=path, params=params)
