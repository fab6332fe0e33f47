"""Nado.

Source: docs.nado.xyz/developer-resources/api (archive: contracts, funding rate; gateway: symbols;
rate limits), recorded responses of 2026-09.

Settled history: oldest first, at most 1000 rows, times in seconds, asked for by product id. Rates
are hourly fractions times 1e18, as text; so are the stamps, in whole seconds on the hour. The
snapshot's `funding_rate` is the predicted rate of 24 hours: a twenty-fourth of it is what one hour
pays. Open interest is told in USD, one side.

The snapshot lists every perpetual, traded or not; the gateway tells the trading status. A market
that is restricted (post only, reduce only) still pays funding and counts as live; so does one whose
status is not told. Prices of shares and metals are not told apart from tokens.

The gateway answers 403 to whoever accepts no compression. Limits per address, for both hosts
together: 2400 weight a minute and 400 per 10 s, of which the second holds the first; history weighs
2 and one for each 100 rows asked for.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError
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
from funding_pipeline.exchanges.paging import PagePlan, ascending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, digits, number

_INTERVAL_HOURS = 1
_PREDICTED_HOURS = 24
_CALL_WEIGHT = 2
_ROWS_PER_WEIGHT = 100

SPEC = ExchangeSpec(
    name="nado",
    title="Nado",
    origins={"": "https://archive.prod.nado.xyz", "gateway": "https://gateway.prod.nado.xyz"},
    api_docs="https://docs.nado.xyz/developer-resources/api/archive-indexer/funding-rate",
    rate_unit=RateUnit.X18,
    stamp_unit="s",
    interval=FixedInterval(((0, _INTERVAL_HOURS),)),
    max_abs_rate=0.05,  # no cap is told; settlements seen are below 0.1 %
    page_rows=1000,
    page_weight=_CALL_WEIGHT + 1000 // _ROWS_PER_WEIGHT,
    limits=(RateLimit(400, 10.0),),
    headers={"Accept-Encoding": "gzip"},
)


class _Contract(msgspec.Struct):
    product_id: int
    ticker_id: str
    base_currency: str
    quote_currency: str
    product_type: str
    funding_rate: msgspec.Raw
    next_funding_rate_timestamp: int | None = None
    mark_price: float | None = None
    index_price: float | None = None
    open_interest_usd: float | None = None
    quote_volume: float | None = None


class _Symbol(msgspec.Struct):
    symbol: str
    trading_status: str


class _Symbols(msgspec.Struct):
    symbols: dict[str, _Symbol]


class _Gateway(msgspec.Struct):
    data: _Symbols


class _Funding(msgspec.Struct):
    timestamp: int
    funding_rate_x18: str


class _History(msgspec.Struct):
    funding_rates: list[_Funding]


_CONTRACTS = msgspec.json.Decoder(dict[str, _Contract])
_SYMBOLS = msgspec.json.Decoder(_Gateway)
# strict=False: stamps arrive as text. A rate that arrives as a number is still an error.
_HISTORY = msgspec.json.Decoder(_History, strict=False)


def _perpetuals(contracts: bytes, symbols: bytes) -> list[tuple[_Contract, bool]]:
    """The perpetuals, and whether they are traded."""
    told = decode(symbols, _SYMBOLS, SPEC.name, "symbols").data.symbols.values()
    closed = {item.symbol for item in told if item.trading_status == "not_tradable"}
    found = decode(contracts, _CONTRACTS, SPEC.name, "contracts").values()
    return [
        (item, item.base_currency not in closed)
        for item in found
        if item.product_type == "perpetual"
    ]


def parse_markets(contracts: bytes, symbols: bytes) -> list[Market]:
    """All perpetuals; those that are not tradable are marked so."""
    markets = []
    for item, live in _perpetuals(contracts, symbols):
        symbol, multiplier = unify(item.base_currency.removesuffix("-PERP"))
        markets.append(
            Market(
                market=item.ticker_id,
                api_id=str(item.product_id),
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote_currency,
                settle=item.quote_currency,
                live=live,
                interval_hours=_INTERVAL_HOURS,
            )
        )
    return markets


def parse_history(body: bytes, market: str) -> list[RawSettlement]:
    """Settled rows of one page; they name the product and not the market."""
    rows = decode(body, _HISTORY, SPEC.name, "funding_rate_history").funding_rates
    return [RawSettlement(market, row.timestamp * 1000, row.funding_rate_x18) for row in rows]


def parse_estimates(contracts: bytes, symbols: bytes) -> list[Estimate]:
    """What the running hour is predicted to settle, of the perpetuals that are traded."""
    estimates = []
    for item, live in _perpetuals(contracts, symbols):
        if not live:
            continue
        field = f"$.{item.ticker_id}.funding_rate"
        raw_rate = digits(item.funding_rate, SPEC.name, "contracts", field)
        next_s = item.next_funding_rate_timestamp
        estimates.append(
            Estimate(
                market=item.ticker_id,
                rate=number(raw_rate, SPEC.name, "contracts", field) / _PREDICTED_HOURS,
                raw_rate=raw_rate,
                interval_hours=_INTERVAL_HOURS,
                next_funding_ms=None if next_s is None else next_s * 1000,
                mark_price=item.mark_price,
                index_price=item.index_price,
                open_interest_usd=item.open_interest_usd,
                volume_24h_usd=item.quote_volume,
            )
        )
    return estimates


class Nado:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """The contracts, and from the other host which of them are traded."""
        contracts = yield _contracts()
        return parse_markets(contracts, (yield _symbols()))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one product; the page's ends are whole seconds, both inside."""
        assert market is not None and market.api_id is not None, "history is per market here"
        product_id = int(market.api_id)

        def page(rest: Window) -> PagePlan:
            hours = -(-(rest.end_ms - rest.start_ms) // HOUR_MS)
            limit = min(hours + 1, SPEC.page_rows)
            asked = {
                "product_id": product_id,
                "start_time": -(-rest.start_ms // 1000),
                "end_time": (rest.end_ms - 1) // 1000,
                "limit": limit,
            }
            answer = yield Request(
                endpoint="funding_rate_history",
                path="/v1",
                method="POST",
                body={"funding_rate_history": asked},
                weight=_CALL_WEIGHT + -(-limit // _ROWS_PER_WEIGHT),
            )
            return parse_history(answer, market.market)

        return ascending(page, window)

    def estimates(self) -> EstimatesPlan:
        """The contracts hold them; which of them are traded tells the other host."""
        contracts = yield _contracts()
        return parse_estimates(contracts, (yield _symbols()))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Only errors carry a code."""
        if b'"error_code"' not in body:
            return None
        return coded(
            SPEC,
            request,
            status,
            body,
            code="error_code",
            text="error",
            good=(),
            too_often={"1000", "1015"},
            blocked={"1002", "1003"},
        )


def _contracts() -> Request:
    # edge=false: of this chain alone, not of all that share the book.
    return Request(
        endpoint="contracts", path="/v2/contracts", params={"edge": "false"}, weight=_CALL_WEIGHT
    )


def _symbols() -> Request:
    return Request(
        endpoint="symbols",
        path="/v1/query",
        params={"type": "symbols"},
        weight=_CALL_WEIGHT,
        origin="gateway",
    )
