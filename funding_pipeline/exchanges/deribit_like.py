"""The market data of Deribit's API v2, which Coinbase International speaks too.

Source: docs.deribit.com (market data), ccxt's notes on both, recorded responses of 2026-09.

Funding accrues every millisecond; history tells what each hour paid: `interest_1h`, a fraction of
notional. `interest_8h` in the same row is the sum of the trailing eight hours, never a rate of its
hour. Stamps are whole hours in ms. At most 744 rows, the newest of the window, `start_timestamp`
exclusive (hence one ms earlier is asked). `current_funding` is the rate of the instant per 8 hours:
0.0055 above the index told 0.0050 when 0.0005 were free of funding. Open interest is one side's, in
USD on inverse contracts, in base units on linear ones, whose quote is their settlement currency.
Rates are JSON numbers: their digits are kept. Requests pay from a pool of credits.

Doubt: whether a stamp is the end or the start of its hour. A row was there seven minutes past its
stamp, with that moment's index price and the one of an hour before, which hints at the end.

Belongs here: wire, parsers and plans of both exchanges. Does not: their declarations.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, PermanentError, RateLimitedError
from funding_pipeline.domain.records import Estimate, Market, RawSettlement, Window
from funding_pipeline.domain.symbols import unify
from funding_pipeline.exchanges.base import (
    EstimatesPlan,
    ExchangeSpec,
    HistoryPlan,
    MarketsPlan,
    Request,
)
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.wire import decode, digits, notional

PAGE_ROWS = 744
_QUOTED_HOURS = 8
_TOO_MANY_REQUESTS = 10028


class _Instrument(msgspec.Struct):
    instrument_name: str
    settlement_period: str
    base_currency: str
    quote_currency: str
    settlement_currency: str
    is_active: bool
    creation_timestamp: int = 0
    underlying_type: str = ""


class _Instruments(msgspec.Struct):
    result: list[_Instrument]


class _Funding(msgspec.Struct):
    timestamp: int
    interest_1h: msgspec.Raw


class _Fundings(msgspec.Struct):
    result: list[_Funding]


class _Summary(msgspec.Struct):
    instrument_name: str
    current_funding: msgspec.Raw = msgspec.Raw()
    mark_price: float | None = None
    open_interest: float | None = None
    volume_usd: float | None = None


class _Summaries(msgspec.Struct):
    result: list[_Summary]


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Refusal(msgspec.Struct):
    error: _Error


_INSTRUMENTS = msgspec.json.Decoder(_Instruments)
_FUNDINGS = msgspec.json.Decoder(_Fundings)
_SUMMARIES = msgspec.json.Decoder(_Summaries)
_REFUSAL = msgspec.json.Decoder(_Refusal)


def parse_markets(exchange: str, body: bytes) -> list[Market]:
    """Perpetuals; dated futures share the list."""
    markets = []
    for item in decode(body, _INSTRUMENTS, exchange, "get_instruments").result:
        if item.settlement_period != "perpetual":
            continue
        symbol, multiplier = unify(item.base_currency)
        markets.append(
            Market(
                market=item.instrument_name,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote_currency,
                settle=item.settlement_currency,
                asset_class="crypto" if item.underlying_type == "crypto" else None,
                live=item.is_active,
                listed_at_ms=item.creation_timestamp or None,
                interval_hours=1,
            )
        )
    return markets


def parse_history(exchange: str, body: bytes, market: str) -> list[RawSettlement]:
    """What each hour of one page paid; rows do not name their instrument."""
    endpoint = "get_funding_rate_history"
    return [
        RawSettlement(
            market,
            row.timestamp,
            digits(row.interest_1h, exchange, endpoint, f"$.result[{index}].interest_1h"),
        )
        for index, row in enumerate(decode(body, _FUNDINGS, exchange, endpoint).result)
    ]


def parse_estimates(exchange: str, body: bytes, live: dict[str, Market]) -> list[Estimate]:
    """Funding of this instant, as if it lasted the hour, of one settlement currency's perpetuals.

    Dated futures in the list have none.
    """
    endpoint = "get_book_summary_by_currency"
    estimates = []
    for index, item in enumerate(decode(body, _SUMMARIES, exchange, endpoint).result):
        market = live.get(item.instrument_name)
        if market is None:
            continue
        field = f"$.result[{index}].current_funding"
        rate = digits(item.current_funding, exchange, endpoint, field)
        mark = item.mark_price
        linear = market.quote == market.settle
        estimates.append(
            Estimate(
                market=item.instrument_name,
                rate=float(rate) / _QUOTED_HOURS,
                raw_rate=rate,
                interval_hours=1,
                mark_price=mark,
                open_interest_usd=notional(item.open_interest, mark if linear else 1.0),
                volume_24h_usd=item.volume_usd,
            )
        )
    return estimates


class DeribitLike:
    """An exchange of this API as the engine sees it. `of_all`: what asks for every currency."""

    def __init__(self, spec: ExchangeSpec, of_all: dict[str, str | int]) -> None:
        self.spec = spec
        self._of_all = of_all

    def markets(self) -> MarketsPlan:
        """All futures, one call."""
        body = yield _get("get_instruments", {**self._of_all, "kind": "future"})
        return parse_markets(self.spec.name, body)

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Hours with start_timestamp < stamp <= end_timestamp."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "instrument_name": market.market,
                "start_timestamp": rest.start_ms - 1,
                "end_timestamp": rest.end_ms - 1,
            }
            body = yield _get("get_funding_rate_history", params)
            return parse_history(self.spec.name, body, market.market)

        return descending(page, window)

    def estimates(self) -> EstimatesPlan:
        """The instruments, then a summary per settlement currency: three or four of them."""
        markets = yield from self.markets()
        live = {market.market: market for market in markets if market.live}
        estimates: list[Estimate] = []
        for currency in sorted({market.settle for market in live.values()}):
            params: dict[str, str | int] = {"currency": currency, "kind": "future"}
            body = yield _get("get_book_summary_by_currency", params)
            estimates += parse_estimates(self.spec.name, body, live)
        return estimates

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A JSON-RPC error; answers without one are left to the client."""
        if status >= 500 or b'"error"' not in body:
            return None
        try:
            error = _REFUSAL.decode(body).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        data = bytes(error.data).decode(errors="replace")[:200]
        detail = f"code {error.code}: {error.message} {data}".rstrip()
        if error.code == _TOO_MANY_REQUESTS or status == 429:
            return RateLimitedError(self.spec.name, request.endpoint, detail)
        return PermanentError(self.spec.name, request.endpoint, detail)


def _get(endpoint: str, params: dict[str, str | int]) -> Request:
    return Request(endpoint=endpoint, path=f"/api/v2/public/{endpoint}", params=params)
