"""HTX (formerly Huobi), USDT-margined linear perpetuals.

Source: huobiapi.github.io/docs/usdt_swap/v1/en, recorded responses of 2026-09, a replay of recorded
settlements of 2021-2023.

Settled history: newest first, by page number, at most 100 rows a page, no times; it reaches back
to the listing in 2020. Rates are fractions per the contract's settlement period, which is declared
in hours and only as of now; a few settlements of the past came off the grid of 8 h. Stamps are
exact settlement times in ms, as text. `funding_rate` of the snapshot is the running estimate,
`estimated_rate` is always null; dated futures have null for a rate and delisted swaps keep their
last one, with an old time. Open interest and turnover are USDT values of both sides. Without its
label a share cannot be told from a token. 240 requests per 3 s for all of these endpoints.
"""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
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
from funding_pipeline.exchanges.wire import decode, number

SPEC = ExchangeSpec(
    name="htx",
    title="HTX",
    origins={"": "https://api.hbdm.com"},
    api_docs="https://huobiapi.github.io/docs/usdt_swap/v1/en/#general-query-historical-funding-rate",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest seen: 0.4 % (recorded settlements of 2021-2023)
    page_rows=100,
    limits=(RateLimit(240, 3.0),),
)
_LISTED = 1
_CLASSES = {"commodities": "commodity", "stock": "equity", "indices": "index"}


class _Contract(msgspec.Struct):
    symbol: str
    contract_code: str
    contract_status: int
    settlement_period: int
    business_type: str
    create_date: str = ""
    labels: list[str] = []
    trade_partition: str = "USDT"


class _Estimate(msgspec.Struct):
    contract_code: str
    funding_rate: str | None
    funding_time: int | None


class _OpenInterest(msgspec.Struct):
    contract_code: str
    value: float | None = None
    trade_turnover: float | None = None


class _Settlement(msgspec.Struct):
    contract_code: str
    funding_rate: str
    funding_time: int


class _Page(msgspec.Struct):
    data: list[_Settlement]
    total_page: int


Data = TypeVar("Data")


class _Answer(msgspec.Struct, Generic[Data]):
    data: Data


# strict=False: whole numbers arrive as text. A rate that arrives as a number is still an error.
_CONTRACTS = msgspec.json.Decoder(_Answer[list[_Contract]], strict=False)
_ESTIMATES = msgspec.json.Decoder(_Answer[list[_Estimate]], strict=False)
_SIZES = msgspec.json.Decoder(_Answer[list[_OpenInterest]])
_HISTORY = msgspec.json.Decoder(_Answer[_Page], strict=False)


def parse_markets(body: bytes) -> list[Market]:
    """All swaps of the list, suspended and delisted ones marked so; no dated futures."""
    endpoint = "swap_contract_info"
    markets = []
    for index, item in enumerate(decode(body, _CONTRACTS, SPEC.name, endpoint).data):
        if item.business_type != "swap":
            continue
        if item.settlement_period <= 0:
            detail = f"{item.contract_code}: no number of hours: {item.settlement_period}"
            field = f"$.data[{index}].settlement_period"
            raise MalformedResponseError(SPEC.name, endpoint, detail, field)
        base, _, quote = item.contract_code.rpartition("-")
        symbol, multiplier = unify(base)
        markets.append(
            Market(
                market=item.contract_code,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote,
                settle=item.trade_partition,
                asset_class=next((_CLASSES[tag] for tag in item.labels if tag in _CLASSES), None),
                live=item.contract_status == _LISTED,
                listed_at_ms=_day_ms(item.create_date),
                interval_hours=item.settlement_period,
            )
        )
    return markets


def _day_ms(day: str) -> int | None:
    """20201021 is the day of listing; side information, hence no error where it is none."""
    try:
        return round(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def parse_history(body: bytes) -> tuple[list[RawSettlement], int]:
    """Settled rows of one page, and how many pages there are."""
    page = decode(body, _HISTORY, SPEC.name, "swap_historical_funding_rate").data
    rows = [RawSettlement(r.contract_code, r.funding_time, r.funding_rate) for r in page.data]
    return rows, page.total_page


def parse_estimates(contracts: bytes, rates: bytes, sizes: bytes) -> list[Estimate]:
    """Running estimates of the listed swaps, with open interest and volume of one side."""
    endpoint = "swap_batch_funding_rate"
    hours = {m.market: m.interval_hours for m in parse_markets(contracts) if m.live}
    known = decode(sizes, _SIZES, SPEC.name, "swap_open_interest").data
    size = {item.contract_code: item for item in known}
    estimates = []
    for index, item in enumerate(decode(rates, _ESTIMATES, SPEC.name, endpoint).data):
        interval_hours = hours.get(item.contract_code)
        if interval_hours is None:
            continue
        text = item.funding_rate or ""
        both_sides = size.get(item.contract_code, _OpenInterest(item.contract_code))
        estimates.append(
            Estimate(
                market=item.contract_code,
                rate=number(text, SPEC.name, endpoint, f"$.data[{index}].funding_rate"),
                raw_rate=text,
                interval_hours=interval_hours,
                next_funding_ms=item.funding_time,
                open_interest_usd=_half(both_sides.value),
                volume_24h_usd=_half(both_sides.trade_turnover),
            )
        )
    return estimates


def _half(value: float | None) -> float | None:
    return None if value is None else value / 2


class Htx:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All swaps, one call."""
        return parse_markets((yield _get("swap_contract_info", {"business_type": "swap"})))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Pages from the newest settlement down to the window."""
        assert market is not None, "history is per market here"

        def page(place: int) -> Generator[Request, bytes, tuple[list[RawSettlement], int | None]]:
            params: dict[str, str | int] = {
                "contract_code": market.market,
                "page_index": place,
                "page_size": SPEC.page_rows,
            }
            rows, pages = parse_history((yield _get("swap_historical_funding_rate", params)))
            return rows, place + 1 if place < pages else None

        return walked(page, 1, window)

    def estimates(self) -> EstimatesPlan:
        """Contracts for the intervals, the snapshot for rates, positions for the rest."""
        swaps: dict[str, str | int] = {"business_type": "swap"}
        contracts = yield _get("swap_contract_info", swaps)
        rates = yield _get("swap_batch_funding_rate", {})
        return parse_estimates(contracts, rates, (yield _get("swap_open_interest", swaps)))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A status other than ok; which one, a code tells (1032: asked too often)."""
        told = coded(SPEC, request, status, body, code="status", text="err_msg", good={"ok"})
        if told is None:
            return None
        return coded(
            SPEC,
            request,
            status,
            body,
            code="err_code",
            text="err_msg",
            good=(),
            too_often={"1032"},
        )


def _get(endpoint: str, params: dict[str, str | int]) -> Request:
    return Request(endpoint=endpoint, path=f"/linear-swap-api/v1/{endpoint}", params=params)
