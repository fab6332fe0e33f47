"""OKX, perpetual swaps: linear (USDT, USDC, USD) and inverse (coin-margined).

Source: okx.com/docs-v5 (public data), recorded responses of 2026-09.

Settled history: newest first, `before` and `after` exclude the stamps they name, at most 100 rows
(the documentation has said 400 since; 100 are asked for). It is kept for about three months.
`realizedRate` is what was charged; `fundingRate`, which was announced, may differ and is not used.
Rates are fractions per interval; stamps are exact settlement times in ms, as text. The interval
that the upcoming settlement pays is the step from `prevFundingTime` to `fundingTime`; where that is
no funding interval, after a halt or before the first one, the step to `nextFundingTime`.
`funding-rate?instId=ANY` also lists dated futures with funding (XPERP): whatever is no `-SWAP` is
left out, and so are instruments before their opening and for tests, which lack most fields. The
same row tells what settled last: `settFundingRate` at `prevFundingTime`, digit by digit what the
history calls `realizedRate` (BTC-USDT-SWAP of 2026-09-11), once `settState` is "settled"; while it
is "processing" the rate is already that of the settlement under way. The list of markets needs
these rows anyway, so that the newest settlements cost nothing.
USD-margined swaps are called BTC-USD_UM-SWAP: their quote is USD. Open interest is told in USD,
one side; the volume in base units for linear and inverse swaps alike.

10 requests per 2 s, published per address and instrument. A limit cannot be declared for each of
hundreds of instruments, so all share one: 5 requests a second at most, well inside what is allowed.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.intervals import ALLOWED_HOURS
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
    name="okx",
    title="OKX",
    origins={"": "https://www.okx.com"},
    api_docs="https://www.okx.com/docs-v5/en/#public-data-rest-api-get-funding-rate-history",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest limit seen: 1 % (funding rates of 2026-09)
    page_rows=100,
    limits=(RateLimit(10, 2.0),),
    look_back_days=90,
)

_SWAP = "-SWAP"
_STEPS_MS = {hours * HOUR_MS for hours in ALLOWED_HOURS}
_NOT_YET = {"preopen", "test"}
_ASSET_CLASSES = {"1": "crypto", "3": "equity", "4": "commodity", "5": "fx"}


class _Settled(msgspec.Struct):
    instId: str
    fundingTime: int
    realizedRate: str


class _Instrument(msgspec.Struct):
    instId: str
    state: str
    settleCcy: str = ""
    instCategory: str = ""
    listTime: str = ""


class _Running(msgspec.Struct):
    instId: str
    fundingRate: str
    fundingTime: str
    nextFundingTime: str
    maxFundingRate: str = ""
    minFundingRate: str = ""
    method: str = ""
    prevFundingTime: str = ""
    settFundingRate: str = ""
    settState: str = ""


class _Interest(msgspec.Struct):
    instId: str
    oiUsd: str = ""


class _Ticker(msgspec.Struct):
    instId: str
    last: str = ""
    volCcy24h: str = ""


class _Mark(msgspec.Struct):
    instId: str
    markPx: str = ""


Row = TypeVar("Row")


class _Answer(msgspec.Struct, Generic[Row]):
    data: list[Row]


# strict=False: integers arrive as text. A rate that arrives as a number is still an error.
_HISTORY = msgspec.json.Decoder(_Answer[_Settled], strict=False)
_INSTRUMENTS = msgspec.json.Decoder(_Answer[_Instrument])
_RUNNING = msgspec.json.Decoder(_Answer[_Running])
_INTEREST = msgspec.json.Decoder(_Answer[_Interest])
_TICKERS = msgspec.json.Decoder(_Answer[_Ticker])
_MARKS = msgspec.json.Decoder(_Answer[_Mark])


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page, with the rate that was charged."""
    rows = decode(body, _HISTORY, SPEC.name, "funding-rate-history").data
    return [RawSettlement(row.instId, row.fundingTime, row.realizedRate) for row in rows]


def _running(body: bytes) -> list[tuple[_Running, int, int, str]]:
    """Swaps with the upcoming settlement in ms, the interval in hours and the row's path."""
    endpoint = "funding-rate"
    found = []
    for index, row in enumerate(decode(body, _RUNNING, SPEC.name, endpoint).data):
        if not row.instId.endswith(_SWAP):
            continue
        path = f"$.data[{index}]"
        upcoming = int(number(row.fundingTime, SPEC.name, endpoint, f"{path}.fundingTime"))
        field = f"{path}.nextFundingTime"
        following = int(number(row.nextFundingTime, SPEC.name, endpoint, field)) - upcoming
        paid = upcoming - int(optional_number(row.prevFundingTime) or 0)
        step = paid if paid in _STEPS_MS else following
        if step <= 0 or step % HOUR_MS:
            detail = f"{row.instId}: {step} ms is no whole number of hours"
            raise MalformedResponseError(SPEC.name, endpoint, detail, field)
        found.append((row, upcoming, step // HOUR_MS, path))
    return found


def _newest(row: _Running) -> RawSettlement | None:
    """What settled last. By the former method ("next_period") another rate may have been charged
    than was announced, and which of them is told here is not known.
    """
    told = row.settState == "settled" and row.method == "current_period" and row.settFundingRate
    if not told or not row.prevFundingTime.isdecimal():
        return None
    return RawSettlement(row.instId, int(row.prevFundingTime), row.settFundingRate)


def parse_markets(instruments: bytes, running: bytes) -> list[Market]:
    """Swaps that have opened, with what their running rate tells where there is one."""
    declared = {row.instId: (row, hours) for row, _, hours, _ in _running(running)}
    markets = []
    for index, item in enumerate(decode(instruments, _INSTRUMENTS, SPEC.name, "instruments").data):
        if not item.instId.endswith(_SWAP) or item.state in _NOT_YET:
            continue
        if not item.settleCcy:
            detail, field = f"{item.instId}: no currency", f"$.data[{index}].settleCcy"
            raise MalformedResponseError(SPEC.name, "instruments", detail, field)
        base, _, quote = item.instId.removesuffix(_SWAP).rpartition("-")
        symbol, multiplier = unify(base)
        rate, hours = declared.get(item.instId, (None, None))
        markets.append(
            Market(
                market=item.instId,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote.removesuffix("_UM"),
                settle=item.settleCcy,
                asset_class=_ASSET_CLASSES.get(item.instCategory),
                live=item.state == "live",
                listed_at_ms=int(optional_number(item.listTime) or 0) or None,
                interval_hours=hours,
                rate_cap=optional_number(rate.maxFundingRate) if rate else None,
                rate_floor=optional_number(rate.minFundingRate) if rate else None,
                newest=(rate and _newest(rate)) or msgspec.UNSET,
            )
        )
    return markets


def parse_estimates(
    running: bytes, interest: bytes, tickers: bytes, marks: bytes
) -> list[Estimate]:
    """Running estimates of the swaps, with what the other three answers tell of them."""
    open_interest = {
        row.instId: optional_number(row.oiUsd)
        for row in decode(interest, _INTEREST, SPEC.name, "open-interest").data
    }
    volumes = {
        row.instId: notional(optional_number(row.volCcy24h), optional_number(row.last))
        for row in decode(tickers, _TICKERS, SPEC.name, "tickers").data
    }
    prices = {
        row.instId: optional_number(row.markPx)
        for row in decode(marks, _MARKS, SPEC.name, "mark-price").data
    }
    return [
        Estimate(
            market=row.instId,
            rate=number(row.fundingRate, SPEC.name, "funding-rate", f"{path}.fundingRate"),
            raw_rate=row.fundingRate,
            interval_hours=hours,
            next_funding_ms=upcoming,
            mark_price=prices.get(row.instId),
            open_interest_usd=open_interest.get(row.instId),
            volume_24h_usd=volumes.get(row.instId),
        )
        for row, upcoming, hours, path in _running(running)
    ]


class Okx:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """Instruments, and the running rates for their intervals."""
        instruments = yield _get("public/instruments", {"instType": "SWAP"})
        return parse_markets(instruments, (yield _running_rates()))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with before < stamp < after."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "instId": market.market,
                "before": rest.start_ms - 1,
                "after": rest.end_ms,
                "limit": SPEC.page_rows,
            }
            return parse_history((yield _get("public/funding-rate-history", params)))

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def newest(self, markets: Sequence[Market]) -> HistoryPlan:
        """Told with the list of markets: no request."""
        yield from ()
        return [market.newest for market in markets if market.newest]

    def estimates(self) -> EstimatesPlan:
        """Running rates, then open interest, volume and mark price; each of all swaps at once."""
        running = yield _running_rates()
        interest = yield _get("public/open-interest", {"instType": "SWAP"})
        tickers = yield _get("market/tickers", {"instType": "SWAP"})
        marks = yield _get("public/mark-price", {"instType": "SWAP"})
        return parse_estimates(running, interest, tickers, marks)

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 0; 50011 is asking too often, 50013 a busy system."""
        often = {"50011", "50013"}
        return coded(
            SPEC, request, status, body, code="code", text="msg", good={"0"}, too_often=often
        )


def _running_rates() -> Request:
    return _get("public/funding-rate", {"instId": "ANY"})


def _get(path: str, params: dict[str, str | int]) -> Request:
    return Request(endpoint=path.partition("/")[2], path=f"/api/v5/{path}", params=params)
