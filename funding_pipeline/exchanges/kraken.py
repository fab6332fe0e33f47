"""Kraken Futures: linear (`PF_`) and inverse (`PI_`) perpetuals.

Source: docs.kraken.com (futures REST), recorded responses of 2026-09, a year of recorded hours.

Settled history: all of about one year in one answer, oldest first, no times and no pages to ask
for. `relativeFundingRate` is the fraction per hour; `fundingRate` beside it is an absolute amount:
USD per unit of base on linear contracts, base per USD on inverse ones. Stamps are whole hours in
ISO 8601. Some hours are missing, two in a row at most. Tickers tell absolute amounts only:
`fundingRate` of the newest row of history, `fundingRatePrediction` of the one to come; divided by
the price (inverse: times it) they are fractions. Open interest is one side's, in base units
(inverse: USD). Dated contracts share the types and begin with FF_ or FI_. Public limits are not
published; requests are spaced by 600 ms on average.

Doubt: whether a stamp is the end or the start of its hour. At 08:36 the rate in force was the row
of 08:00 and the one announced for 09:00 differed, which hints at the start.
"""

from datetime import UTC, datetime

import msgspec

from funding_pipeline.domain.errors import (
    ExchangeError,
    MalformedResponseError,
    RateLimitedError,
)
from funding_pipeline.domain.grid import DAY_MS
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
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, digits, iso_ms, notional

SPEC = ExchangeSpec(
    name="kraken",
    title="Kraken Futures",
    origins={"": "https://futures.kraken.com"},
    api_docs="https://docs.kraken.com/api/docs/futures-api/trading/historical-funding-rates",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="ISO 8601",
    stamp_edge="unknown",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.01,  # widest limit declared: 0.5 %; recorded: 0.25 %
    page_rows=8784,
    limits=(RateLimit(5, 3.0),),
    look_back_days=365,
)

_LINEAR, _INVERSE = "PF_", "PI_"


class _Instrument(msgspec.Struct):
    symbol: str
    tradeable: bool
    base: str = ""
    quote: str = ""
    openingDate: str = ""
    maxRelativeFundingRate: float | None = None
    tradfi: bool | None = None


class _Instruments(msgspec.Struct):
    instruments: list[_Instrument]


class _Rate(msgspec.Struct):
    timestamp: str
    relativeFundingRate: msgspec.Raw


class _Rates(msgspec.Struct):
    rates: list[_Rate]


class _Ticker(msgspec.Struct):
    symbol: str
    fundingRatePrediction: msgspec.Raw = msgspec.Raw()
    markPrice: float | None = None
    indexPrice: float | None = None
    openInterest: float | None = None
    vol24h: float | None = None
    volumeQuote: float | None = None
    suspended: bool = False


class _Tickers(msgspec.Struct):
    tickers: list[_Ticker]


_INSTRUMENTS = msgspec.json.Decoder(_Instruments)
_RATES = msgspec.json.Decoder(_Rates)
_TICKERS = msgspec.json.Decoder(_Tickers)


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals; dated futures and indices share the list. Inverse ones settle in their base."""
    markets = []
    found = decode(body, _INSTRUMENTS, SPEC.name, "instruments").instruments
    for index, item in enumerate(found):
        if not item.symbol.startswith((_LINEAR, _INVERSE)):
            continue
        path = f"$.instruments[{index}]"
        for field, text in (("base", item.base), ("quote", item.quote)):
            if not text:
                detail = f"{item.symbol} has none"
                raise MalformedResponseError(SPEC.name, "instruments", detail, f"{path}.{field}")
        symbol, multiplier = unify(item.base)
        opened = item.openingDate
        field = f"{path}.openingDate"
        cap = item.maxRelativeFundingRate
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote,
                settle=item.quote if item.symbol.startswith(_LINEAR) else symbol,
                asset_class="crypto" if item.tradfi is False else None,
                live=item.tradeable,
                listed_at_ms=iso_ms(opened, SPEC.name, "instruments", field) if opened else None,
                interval_hours=1,
                rate_cap=cap,
                rate_floor=None if cap is None else -cap,
            )
        )
    return markets


def parse_history(body: bytes, market: str, window: Window) -> list[RawSettlement]:
    """The rows of the window's days, and perhaps of the days beside; they do not name their
    contract. A year of rows is sent and a tick wants one: others are left as the texts they are.
    """
    endpoint = "historicalfundingrates"
    first, last = (_day(ms) for ms in (window.start_ms - DAY_MS, window.end_ms + DAY_MS))
    rows = []
    for index, row in enumerate(decode(body, _RATES, SPEC.name, endpoint).rates):
        day = row.timestamp[:10]
        if day[4:5] == "-" and not first <= day <= last:
            continue
        path = f"$.rates[{index}]"
        rows.append(
            RawSettlement(
                market,
                iso_ms(row.timestamp, SPEC.name, endpoint, f"{path}.timestamp"),
                digits(row.relativeFundingRate, SPEC.name, endpoint, f"{path}.relativeFundingRate"),
            )
        )
    return rows


def _day(time_ms: int) -> str:
    return str(datetime.fromtimestamp(max(time_ms, 0) // 1000, UTC).date())


def parse_estimates(body: bytes) -> list[Estimate]:
    """What is announced for the next hour, of perpetuals that trade and have a prediction."""
    endpoint = "tickers"
    estimates = []
    for index, item in enumerate(decode(body, _TICKERS, SPEC.name, endpoint).tickers):
        linear = item.symbol.startswith(_LINEAR)
        if not (linear or item.symbol.startswith(_INVERSE)) or item.suspended:
            continue
        if bytes(item.fundingRatePrediction) in (b"", b"null"):
            continue
        path = f"$.tickers[{index}]"
        field = f"{path}.fundingRatePrediction"
        amount = digits(item.fundingRatePrediction, SPEC.name, endpoint, field)
        mark = item.markPrice
        if not mark or mark <= 0:
            detail = f"{item.symbol} has no price: {mark}"
            raise MalformedResponseError(SPEC.name, endpoint, detail, f"{path}.markPrice")
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=float(amount) / mark if linear else float(amount) * mark,
                raw_rate=amount,
                interval_hours=1,
                mark_price=mark,
                index_price=item.indexPrice,
                open_interest_usd=notional(item.openInterest, mark if linear else 1.0),
                volume_24h_usd=item.volumeQuote if linear else item.vol24h,
            )
        )
    return estimates


class Kraken:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All instruments, one call."""
        return parse_markets((yield _get("v3", "instruments")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """The whole year, of which the window is kept."""
        assert market is not None, "history is per market here"
        if window.start_ms >= window.end_ms:
            return []
        body = yield _get("v4", "historicalfundingrates", symbol=market.market)
        rows = parse_history(body, market.market, window)
        return [row for row in rows if window.start_ms <= row.time_ms < window.end_ms]

    def estimates(self) -> EstimatesPlan:
        """All tickers, one call."""
        return parse_estimates((yield _get("v3", "tickers")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Every answer tells its result; refusals name an `error` or a list of `errors`."""
        if b'"apiLimitExceeded"' in body:
            return RateLimitedError(SPEC.name, request.endpoint, "apiLimitExceeded")
        text = "errors" if b'"errors"' in body else "error"
        return coded(SPEC, request, status, body, code="result", text=text, good={"success"})


def _get(version: str, endpoint: str, **params: str) -> Request:
    path = f"/derivatives/api/{version}/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params)
