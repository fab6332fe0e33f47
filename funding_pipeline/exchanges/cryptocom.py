"""Crypto.com Exchange, perpetuals against US dollars.

Experimental: no recorded answer was at hand.

Source: exchange-docs.crypto.com/exchange/v1/rest-ws (public/get-instruments, public/get-valuations)
and the samples that ccxt 4.5.90 keeps in its source.

Settled history: `funding_hist` of get-valuations, 25 rows unless a count is asked for, whose
maximum is not documented; without times the last 30 days. Taken to come newest first with both
ends inclusive; rows outside what was asked would mean that the times are not heeded, and are
refused. Rates are text. The documentation calls them hourly data of the rate settled in the past
hourly settlement: a fraction per hour, stamped with the hour in ms. A rate is found for four hours
at once and settled at the end of each, and groups of four equal rates were reported at 17 to 20
UTC: the stamps look like ends, which only a comparison with a live settlement proves. No call tells
rates of all markets. 100 requests per second for each method and address.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit
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
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode

SPEC = ExchangeSpec(
    name="cryptocom",
    title="Crypto.com",
    origins={"": "https://api.crypto.com"},
    api_docs="https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#public-get-valuations",
    rate_unit=RateUnit.FRACTION,
    stamp_edge="unknown",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.05,  # no cap is published; as wide as the widest of other exchanges
    page_rows=500,
    limits=(RateLimit(100, 1.0),),
    samples_estimates=False,
    experimental=(
        "Unit, hourly interval, stamp edge and paging rest on documentation; no recorded answer "
        "was at hand."
    ),
)
_CLASSES = {
    "DIGITAL_CURRENCIES": "crypto",
    "EQUITY": "equity",
    "PRE_IPO": "equity",
    "EQUITY_IND": "index",
    "COMMODITIES": "commodity",
}


class _Instrument(msgspec.Struct):
    symbol: str
    inst_type: str
    base_ccy: str
    quote_ccy: str
    tradable: bool
    product_type: str = ""


class _Instruments(msgspec.Struct):
    data: list[_Instrument]


class _InstrumentsAnswer(msgspec.Struct):
    result: _Instruments


class _Valuation(msgspec.Struct):
    v: str
    t: int


class _Valuations(msgspec.Struct):
    data: list[_Valuation]
    instrument_name: str


class _ValuationsAnswer(msgspec.Struct):
    result: _Valuations


_INSTRUMENTS = msgspec.json.Decoder(_InstrumentsAnswer)
_VALUATIONS = msgspec.json.Decoder(_ValuationsAnswer)


def parse_markets(body: bytes) -> list[Market]:
    """The perpetuals among spot pairs, dated futures and warrants."""
    markets = []
    for item in decode(body, _INSTRUMENTS, SPEC.name, "get-instruments").result.data:
        if item.inst_type != "PERPETUAL_SWAP":
            continue
        symbol, multiplier = unify(item.base_ccy)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote_ccy,
                settle=item.quote_ccy,
                asset_class=_CLASSES.get(item.product_type),
                live=item.tradable,
                interval_hours=1,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    answer = decode(body, _VALUATIONS, SPEC.name, "get-valuations").result
    return [RawSettlement(answer.instrument_name, row.t, row.v) for row in answer.data]


class Cryptocom:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All instruments, one call."""
        return parse_markets((yield _get("get-instruments")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with start_ts <= stamp <= end_ts, both taken as inclusive."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "instrument_name": market.market,
                "valuation_type": "funding_hist",
                "start_ts": rest.start_ms,
                "end_ts": rest.end_ms - 1,
                "count": SPEC.page_rows,
            }
            rows = parse_history((yield _get("get-valuations", params)))
            # The newest rows in place of the older ones asked for would end the paging unnoticed.
            if rows and not any(rest.start_ms <= row.time_ms < rest.end_ms for row in rows):
                detail = f"{market.market}: no row lies between start_ts and end_ts"
                raise MalformedResponseError(
                    SPEC.name, "get-valuations", detail, "$.result.data[0].t"
                )
            return rows

        return descending(page, window)

    def estimates(self) -> EstimatesPlan:
        """Only market by market, which is not worth a request for each."""
        raise NotImplementedError("there is no call for the estimates of all markets")

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 0 (42901: asked too often)."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="message",
            good={"0"},
            too_often={"42901"},
        )


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    path = f"/exchange/v1/public/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params or {})
