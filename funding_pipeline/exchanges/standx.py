"""StandX, experimental: page limit and edges of its history are not documented.

Source: docs.standx.com (perps HTTP API, rate limits, funding), recorded response of 2026-09.

Settled history: oldest first; symbol and both times (ms) are required. The page limit is unknown:
960 rows, 40 days, came in one answer, so at most 720 hours are asked for at once and every piece is
paged until exhausted. Whether `start_time` itself is included is not documented: a row on the very
edge of a window is asked for with a millisecond more. Rates are fractions per hour
(`funding_interest_rate` 0.0000125, which is the documented 0.01 % per 8 h), stamps are ISO times on
the hour. Caps are declared per market. Open interest comes in quote currency, taken to be one side.
Everything is quoted and settled in DUSD. Status other than `trading` is not live.

Limit: 50 requests per second are documented, a bucket of 20 was measured; the lower one counts.
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
from funding_pipeline.exchanges.paging import PagePlan, sliced
from funding_pipeline.exchanges.wire import decode, iso_ms, number, optional_number

SPEC = ExchangeSpec(
    name="standx",
    title="StandX",
    origins={"": "https://perps.standx.com"},
    api_docs="https://docs.standx.com/standx-api/perps-http",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="ISO 8601",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.01,  # widest cap declared: 0.25 % an hour (shares, 2026-09)
    page_rows=720,
    limits=(RateLimit(20, 1.0),),
    experimental="Page limit, edges of the window and sides of the open interest are not known.",
)

_HOURS = 1


class _Symbol(msgspec.Struct):
    symbol: str
    base_asset: str
    status: str
    quote_asset: str = "DUSD"
    created_at: str = ""
    funding_rate_cap: str = ""
    funding_rate_floor: str = ""


class _Overview(msgspec.Struct):
    symbol: str
    funding_rate: str
    mark_price: str = ""
    open_interest_notional: str = ""
    volume_quote_24h: str = ""


class _Overviews(msgspec.Struct):
    symbols: list[_Overview]


class _Funding(msgspec.Struct):
    symbol: str
    time: str
    funding_rate: str
    mark_price: str = ""


_SYMBOLS = msgspec.json.Decoder(list[_Symbol])
_OVERVIEW = msgspec.json.Decoder(_Overviews)
_HISTORY = msgspec.json.Decoder(list[_Funding])


def parse_markets(body: bytes) -> list[Market]:
    """All symbols; there are only perpetuals."""
    endpoint = "query_symbol_info"
    symbols = decode(body, _SYMBOLS, SPEC.name, endpoint)
    markets = []
    for index, item in enumerate(symbols):
        symbol, multiplier = unify(item.base_asset)
        created = item.created_at
        field = f"$[{index}].created_at"
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote_asset,
                settle=item.quote_asset,
                live=item.status == "trading",
                listed_at_ms=iso_ms(created, SPEC.name, endpoint, field) if created else None,
                interval_hours=_HOURS,
                rate_cap=optional_number(item.funding_rate_cap),
                rate_floor=optional_number(item.funding_rate_floor),
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    endpoint = "query_funding_rates"
    rows = decode(body, _HISTORY, SPEC.name, endpoint)
    return [
        RawSettlement(
            row.symbol,
            iso_ms(row.time, SPEC.name, endpoint, f"$[{index}].time"),
            row.funding_rate,
            mark_price=optional_number(row.mark_price),
        )
        for index, row in enumerate(rows)
    ]


def parse_estimates(symbols: bytes, overview: bytes) -> list[Estimate]:
    """Running estimates of the symbols that are traded."""
    endpoint = "query_market_overview"
    live = {market.market for market in parse_markets(symbols) if market.live}
    estimates = []
    for index, item in enumerate(decode(overview, _OVERVIEW, SPEC.name, endpoint).symbols):
        if item.symbol not in live:
            continue
        field = f"$.symbols[{index}].funding_rate"
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.funding_rate, SPEC.name, endpoint, field),
                raw_rate=item.funding_rate,
                interval_hours=_HOURS,
                mark_price=optional_number(item.mark_price),
                open_interest_usd=optional_number(item.open_interest_notional),
                volume_24h_usd=optional_number(item.volume_quote_24h),
            )
        )
    return estimates


class StandX:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All symbols, one call."""
        return parse_markets((yield _get("query_symbol_info")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one symbol, a month at a time."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            # Rows are stamped on whole hours; a later page starts behind one of them.
            at_edge = rest.start_ms % HOUR_MS == 0
            params: dict[str, str | int] = {
                "symbol": market.market,
                "start_time": rest.start_ms - 1 if at_edge else rest.start_ms,
                "end_time": rest.end_ms - 1,
            }
            return parse_history((yield _get("query_funding_rates", params)))

        return sliced(page, window, SPEC.page_rows)

    def estimates(self) -> EstimatesPlan:
        """The symbol list tells which are traded, the overview their rates."""
        symbols = yield _get("query_symbol_info")
        return parse_estimates(symbols, (yield _get("query_market_overview")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Nothing beyond what the status says."""
        return None


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=f"/api/{endpoint}", params=params or {})
