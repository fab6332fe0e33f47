"""edgeX V2, USDC-settled perpetuals of coins, shares, metals and currencies.

Source: edgex-1.gitbook.io (V2, public API), recorded responses of 2026-09. V1 answers with empty
lists since 2026-09; its contract ids and names are others.

Settled history: newest first, at most 100 rows, `filterBeginTimeInclusive` and
`filterEndTimeExclusive` in ms, so that no cursor is needed; `filterSettlementFundingRate=true` must
be asked for, else every minute's forecast comes. Rates are fractions per `fundingRateIntervalMin`
(240 everywhere), which each row carries; stamps are exact hours in ms as text. Requests name the
contract by its id.

Of the latest rates `fundingRate` is what settled at `fundingTime`, digit by digit the history's row
(contract 30000001 of 2026-09-13), `forecastFundingRate` the running estimate of the next settlement
("" while there is none), `predictedFundingRate` only the interest component, always 0.00005; their
prices are those of the minute and not of the settlement. Open interest and volume are told market
by market and not taken. The base coin is named by `coinList`, as contract names may be Chinese;
shares and currencies are flagged, metals are not told from coins. Limits are not published;
requests 300 ms apart were never refused.
"""

from collections.abc import Generator, Iterator, Sequence

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
from funding_pipeline.exchanges.wire import decode, number, optional_number

SPEC = ExchangeSpec(
    name="edgex",
    title="edgeX",
    origins={"": "https://edgex-prod-v2.edgex.exchange"},
    api_docs="https://edgex-1.gitbook.io/edgeX-documentation/api-v2/public-api/funding-api",
    rate_unit=RateUnit.FRACTION,
    interval="row",
    max_abs_rate=0.06,  # caps are 2 % now; -3.95 % was seen on V1
    page_rows=100,
    limits=(RateLimit(10, 3.0),),
)
# 173 contracts in one call were answered; the address must not grow for ever.
_CONTRACTS_PER_CALL = 200


class _Coin(msgspec.Struct):
    coinId: str
    coinName: str


class _Contract(msgspec.Struct):
    contractId: str
    contractName: str
    baseCoinId: str
    quoteCoinId: str
    enableTrade: bool
    enableDisplay: bool
    enableOpenPosition: bool
    fundingRateIntervalMin: str
    fundingMaxRate: str = ""
    fundingMinRate: str = ""
    isStock: bool = False
    isFx: bool = False


class _MetaData(msgspec.Struct):
    coinList: list[_Coin]
    contractList: list[_Contract]


class _MetaAnswer(msgspec.Struct):
    data: _MetaData


class _Funding(msgspec.Struct):
    contractId: str
    fundingTime: int
    fundingRate: str
    fundingRateIntervalMin: str
    isSettlement: bool
    forecastFundingRate: str = ""
    markPrice: str = ""
    indexPrice: str = ""


class _Page(msgspec.Struct):
    dataList: list[_Funding]


class _PageAnswer(msgspec.Struct):
    data: _Page


class _LatestAnswer(msgspec.Struct):
    data: list[_Funding]


_META = msgspec.json.Decoder(_MetaAnswer)
# strict=False: stamps arrive as text. A rate that arrives as a number is still an error.
_PAGE = msgspec.json.Decoder(_PageAnswer, strict=False)
_LATEST = msgspec.json.Decoder(_LatestAnswer, strict=False)


def _hours(minutes: str, endpoint: str, path: str) -> int:
    if not minutes.isdecimal() or int(minutes) == 0 or int(minutes) % 60:
        detail = f"{minutes!r} min is no whole number of hours"
        raise MalformedResponseError(SPEC.name, endpoint, detail, f"{path}.fundingRateIntervalMin")
    return int(minutes) // 60


def _asset_class(item: _Contract) -> str | None:
    """Only what is flagged: a contract without a flag may be a coin or a metal."""
    if item.isFx:
        return "fx"
    return "equity" if item.isStock else None


def parse_markets(body: bytes) -> list[Market]:
    """All contracts; those that are hidden or closed are not live."""
    endpoint = "getMetaData"
    meta = decode(body, _META, SPEC.name, endpoint).data
    coins = {coin.coinId: coin.coinName for coin in meta.coinList}
    markets = []
    for index, item in enumerate(meta.contractList):
        path = f"$.data.contractList[{index}]"
        for field in ("baseCoinId", "quoteCoinId"):
            if getattr(item, field) not in coins:
                detail = f"{item.contractName}: no coin {getattr(item, field)} in coinList"
                raise MalformedResponseError(SPEC.name, endpoint, detail, f"{path}.{field}")
        symbol, multiplier = unify(coins[item.baseCoinId])
        markets.append(
            Market(
                market=item.contractName,
                api_id=item.contractId,
                symbol=symbol,
                multiplier=multiplier,
                quote=coins[item.quoteCoinId],
                settle=coins[item.quoteCoinId],
                asset_class=_asset_class(item),
                live=item.enableTrade and item.enableDisplay and item.enableOpenPosition,
                interval_hours=_hours(item.fundingRateIntervalMin, endpoint, path),
                rate_cap=optional_number(item.fundingMaxRate),
                rate_floor=optional_number(item.fundingMinRate),
            )
        )
    return markets


def parse_history(body: bytes, market: str) -> list[RawSettlement]:
    """Settled rows of one page; forecasts, which were not asked for, are left out."""
    endpoint = "getFundingRatePage"
    return [
        RawSettlement(
            market,
            row.fundingTime,
            row.fundingRate,
            interval_hours=_hours(
                row.fundingRateIntervalMin, endpoint, f"$.data.dataList[{index}]"
            ),
            mark_price=optional_number(row.markPrice),
        )
        for index, row in enumerate(decode(body, _PAGE, SPEC.name, endpoint).data.dataList)
        if row.isSettlement
    ]


def parse_newest(body: bytes, markets: dict[str, str]) -> Iterator[RawSettlement]:
    """What settled last; the price at that moment is told by the history alone."""
    endpoint = "getLatestFundingRate"
    for index, row in enumerate(decode(body, _LATEST, SPEC.name, endpoint).data):
        if row.contractId in markets:
            hours = _hours(row.fundingRateIntervalMin, endpoint, f"$.data[{index}]")
            market = markets[row.contractId]
            yield RawSettlement(market, row.fundingTime, row.fundingRate, interval_hours=hours)


def parse_estimates(body: bytes, markets: dict[str, str]) -> Iterator[Estimate]:
    """Forecasts for the next settlement; `markets` are native symbols by contract id."""
    endpoint = "getLatestFundingRate"
    for index, row in enumerate(decode(body, _LATEST, SPEC.name, endpoint).data):
        if row.contractId not in markets or row.forecastFundingRate == "":
            continue
        path = f"$.data[{index}]"
        hours = _hours(row.fundingRateIntervalMin, endpoint, path)
        field = f"{path}.forecastFundingRate"
        yield Estimate(
            market=markets[row.contractId],
            rate=number(row.forecastFundingRate, SPEC.name, endpoint, field),
            raw_rate=row.forecastFundingRate,
            interval_hours=hours,
            next_funding_ms=row.fundingTime + hours * HOUR_MS,
            mark_price=optional_number(row.markPrice),
            index_price=optional_number(row.indexPrice),
        )


class Edgex:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, one call."""
        return parse_markets((yield _get("meta/getMetaData")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one contract with begin <= stamp < end."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "contractId": market.api_id or market.market,
                "size": SPEC.page_rows,
                "filterSettlementFundingRate": "true",
                "filterBeginTimeInclusive": rest.start_ms,
                "filterEndTimeExclusive": rest.end_ms,
            }
            return parse_history((yield _get("funding/getFundingRatePage", params)), market.market)

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def newest(self, markets: Sequence[Market]) -> HistoryPlan:
        """The latest rates of these contracts."""
        told = {m.api_id: m.market for m in markets if m.api_id}
        return [
            row for body in (yield from _latest(list(told))) for row in parse_newest(body, told)
        ]

    def estimates(self) -> EstimatesPlan:
        """Contracts for their ids, then the latest rates of all that are live."""
        listed = parse_markets((yield _get("meta/getMetaData")))
        live = {m.api_id: m.market for m in listed if m.live and m.api_id}
        return [e for body in (yield from _latest(list(live))) for e in parse_estimates(body, live)]

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Every answer has a code, SUCCESS where it is good."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="msg",
            good={"SUCCESS"},
            too_often={"RATE_LIMIT_EXCEEDED"},
        )


def _latest(ids: Sequence[str]) -> Generator[Request, bytes, list[bytes]]:
    """The answers about these contracts, as many in one call as are answered."""
    answers = []
    for first in range(0, len(ids), _CONTRACTS_PER_CALL):
        chosen = ",".join(ids[first : first + _CONTRACTS_PER_CALL])
        answers.append((yield _get("funding/getLatestFundingRate", {"contractId": chosen})))
    return answers


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    name = endpoint.rpartition("/")[2]
    return Request(endpoint=name, path=f"/api/v2/public/{endpoint}", params=params or {})
