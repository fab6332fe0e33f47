"""Bitfinex, perpetuals settled in USDt and in bitcoin.

Source: docs.bitfinex.com (derivatives status), ccxt's notes, others' measurements of 2026-09.

There is no history of settlements, only of the status, about one sample a minute: arrays, newest
first, at most 5000, `end` read as whole seconds. A sample's `CURRENT_FUNDING` is the fraction that
is paid at its `NEXT_FUNDING_EVT_MTS`, every 8 h; it was fixed when the period before closed. So the
last sample before each boundary tells that settlement, and so would any other of the period.
Pages of samples are the cheaper plan: 30 days are 9 of them, one request per boundary would be 90,
at 90 requests a minute. `NEXT_FUNDING_ACCRUED` is a running mean of the premium, for the settlement
after the next, and no rate. Rates are JSON numbers: their digits are kept. Open interest is one
side's, in base units. An unknown market answers [] with status 200. After an excess of requests the
address is blocked for a minute. Contracts of paper trading (TEST...) stand in the list and are left
out; withdrawn ones vanish from it. Experimental: no real answer was recorded, and that a boundary
pays what was shown before it rests on documentation and on three settlements others compared.
"""

import msgspec

from funding_pipeline.domain.errors import (
    ExchangeError,
    MalformedResponseError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
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
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.wire import decode, digits, notional

SPEC = ExchangeSpec(
    name="bitfinex",
    title="Bitfinex",
    origins={"": "https://api-pub.bitfinex.com"},
    api_docs="https://docs.bitfinex.com/reference/rest-public-derivatives-status-history",
    rate_unit=RateUnit.FRACTION,
    stamp_edge="unknown",
    interval=FixedInterval(((0, 8),)),
    max_abs_rate=0.05,  # widest cap seen: 2.5 % (Solana)
    page_rows=10,  # settlements in 5000 samples of a minute each
    limits=(RateLimit(90, 60.0),),
    experimental=(
        "Settlements are taken from samples of the status; that a boundary pays the rate shown "
        "before it rests on documentation, no real answer was recorded."
    ),
)

_SAMPLES = 5000
_PERIOD_MS = 8 * HOUR_MS
# Codes of its own, in bases and quotes alike.
_COINS = {"UST": "USDT", "ALG": "ALGO", "ATO": "ATOM", "IOT": "IOTA"}
_REFUSALS: dict[int, type[ExchangeError]] = {11010: RateLimitedError, 20060: TransientError}


class _Sample(msgspec.Struct, array_like=True):
    """One row of history, by place; the list of all markets puts the symbol before it."""

    time_ms: int
    _1: msgspec.Raw
    deriv_price: msgspec.Raw
    spot_price: msgspec.Raw
    _4: msgspec.Raw
    insurance_fund: msgspec.Raw
    _6: msgspec.Raw
    next_funding_ms: int
    next_accrued: msgspec.Raw
    next_step: msgspec.Raw
    _10: msgspec.Raw
    current_funding: msgspec.Raw


class _Status(msgspec.Struct, array_like=True):
    """One row of the list of all markets."""

    symbol: str
    time_ms: int
    _2: msgspec.Raw
    deriv_price: msgspec.Raw
    spot_price: msgspec.Raw
    _5: msgspec.Raw
    insurance_fund: msgspec.Raw
    _7: msgspec.Raw
    next_funding_ms: int
    next_accrued: msgspec.Raw
    next_step: msgspec.Raw
    _11: msgspec.Raw
    current_funding: msgspec.Raw
    _13: msgspec.Raw
    _14: msgspec.Raw
    mark_price: float | None = None
    _16: msgspec.Raw = msgspec.Raw()
    _17: msgspec.Raw = msgspec.Raw()
    open_interest: float | None = None
    _19: msgspec.Raw = msgspec.Raw()
    _20: msgspec.Raw = msgspec.Raw()
    _21: msgspec.Raw = msgspec.Raw()
    clamp_min: float | None = None
    clamp_max: float | None = None


_HISTORY = msgspec.json.Decoder(list[_Sample])
_STATUSES = msgspec.json.Decoder(list[_Status])
_REFUSED = msgspec.json.Decoder(tuple[str, int, str])


def _statuses(body: bytes) -> list[tuple[int, _Status]]:
    """Perpetuals with their places in the answer, without those of paper trading."""
    found = decode(body, _STATUSES, SPEC.name, "status/deriv")
    return [(i, item) for i, item in enumerate(found) if not item.symbol.startswith("tTEST")]


def _coins(symbol: str, index: int) -> tuple[str, str]:
    """Base and quote coin of tBTCF0:USTF0."""
    base, _, quote = symbol.removeprefix("t").partition(":")
    if not (base.endswith("F0") and quote.endswith("F0")):
        detail = f"{symbol!r} names no perpetual"
        raise MalformedResponseError(SPEC.name, "status/deriv", detail, f"$[{index}][0]")
    base, quote = base.removesuffix("F0"), quote.removesuffix("F0")
    return _COINS.get(base, base), _COINS.get(quote, quote)


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals that have a status; the cap is per settlement."""
    markets = []
    for index, item in _statuses(body):
        base, quote = _coins(item.symbol, index)
        symbol, multiplier = unify(base)
        cap = item.clamp_max
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote,
                settle=quote,
                interval_hours=8,
                rate_cap=cap,
                rate_floor=None if cap is None else -cap,
            )
        )
    return markets


def parse_samples(body: bytes, market: str) -> list[tuple[int, RawSettlement]]:
    """Samples of one page, each with the boundary at which its rate is paid."""
    endpoint = "status/deriv/hist"
    rows, samples = decode(body, _HISTORY, SPEC.name, endpoint), []
    for index, row in enumerate(rows):
        if row.next_funding_ms % _PERIOD_MS:
            detail = f"{row.next_funding_ms} is no boundary of 8 hours"
            raise MalformedResponseError(SPEC.name, endpoint, detail, f"$[{index}][7]")
        rate = digits(row.current_funding, SPEC.name, endpoint, f"$[{index}][11]")
        samples.append((row.next_funding_ms, RawSettlement(market, row.time_ms, rate)))
    return samples


def parse_estimates(body: bytes) -> list[Estimate]:
    """What the next boundary will pay. Open interest in USD only where USDt is the quote."""
    endpoint = "status/deriv"
    estimates = []
    for index, item in _statuses(body):
        rate = digits(item.current_funding, SPEC.name, endpoint, f"$[{index}][12]")
        _, quote = _coins(item.symbol, index)
        interest = item.open_interest if quote == "USDT" else None
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=float(rate),
                raw_rate=rate,
                interval_hours=8,
                next_funding_ms=item.next_funding_ms,
                mark_price=item.mark_price,
                open_interest_usd=notional(interest, item.mark_price),
            )
        )
    return estimates


class Bitfinex:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """The status of all perpetuals, one call."""
        return parse_markets((yield _get("status/deriv", keys="ALL")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """One row per boundary of the window, from the samples of the periods that it closes."""
        assert market is not None, "history is per market here"
        first = -(-window.start_ms // _PERIOD_MS) * _PERIOD_MS
        if first >= window.end_ms:
            return []
        last = (window.end_ms - 1) // _PERIOD_MS * _PERIOD_MS
        newest: dict[int, RawSettlement] = {}

        def page(rest: Window) -> PagePlan:
            body = yield _get(
                f"status/deriv/{market.market}/hist",
                start=rest.start_ms,
                end=rest.end_ms - 1,
                limit=_SAMPLES,
            )
            samples = parse_samples(body, market.market)
            for boundary, sample in samples:
                known = newest.get(boundary)
                if known is None or sample.time_ms > known.time_ms:
                    newest[boundary] = sample
            return [sample for _, sample in samples]

        yield from descending(page, Window(first - _PERIOD_MS, last))
        return [
            RawSettlement(market.market, boundary, newest[boundary].rate_text)
            for boundary in sorted(newest)
            if first <= boundary <= last
        ]

    def estimates(self) -> EstimatesPlan:
        """The status of all perpetuals, one call."""
        return parse_estimates((yield _get("status/deriv", keys="ALL")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Errors are ["error", code, text] with status 500; too many requests are an object."""
        if b'"ERR_RATE_LIMIT"' in body:
            return RateLimitedError(SPEC.name, request.endpoint, "ERR_RATE_LIMIT")
        try:
            word, code, text = _REFUSED.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if word != "error":
            return None
        refusal = _REFUSALS.get(code, PermanentError)
        return refusal(SPEC.name, request.endpoint, f"code {code}: {text}")


def _get(endpoint: str, **params: str | int) -> Request:
    name = "status/deriv/hist" if endpoint.endswith("/hist") else endpoint
    return Request(endpoint=name, path=f"/v2/{endpoint}", params=params)
