"""ApeX Omni, USDT-settled perpetuals of coins, shares, metals and indices.

Source: api-docs.omni.apex.exchange (v3), recorded responses of 2026-09.

Settled history: newest first, at most 100 rows (a larger `limit` is refused), `beginTimeInclusive`
and `endTimeExclusive` in ms; also of markets that no longer trade. Rates are fractions per hour,
stamps exact hours; `price` of a row is the index and no mark, `totalSize` is no count. History
wants BTC-USDT where tickers say BTCUSDT. `fundingRate` of a ticker is the running estimate;
`predictedFundingRate` is the interest component alone, always 0.0000125. Positions are counted in
base units, one side. Estimates of all markets come from data/all-ticker-info, which clients use and
the documentation does not name. Errors are {code, msg}, of status 200 too; good answers have no
code. 600 requests a minute and address, 403 for who asks more often.
"""

from collections.abc import Iterator

import msgspec

from funding_pipeline.domain.errors import (
    ExchangeError,
    MalformedResponseError,
    RateLimitedError,
)
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
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, iso_ms, notional, number, optional_number

SPEC = ExchangeSpec(
    name="apex",
    title="ApeX Omni",
    origins={"": "https://omni.apex.exchange"},
    api_docs="https://api-docs.omni.apex.exchange/#publicapi-v3-for-omni-get-funding-rate-history-v3",
    rate_unit=RateUnit.FRACTION,
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.05,  # widest cap: 2 % (symbols of 2026-09)
    page_rows=100,
    limits=(RateLimit(600, 60.0),),
)
_STOCK_CLASSES = {"STOCK": "equity", "COMMODITY": "commodity", "INDEX": "index"}


class _Contract(msgspec.Struct):
    symbol: str
    crossSymbolName: str
    baseTokenId: str
    settleAssetId: str
    enableTrade: bool
    enableDisplay: bool
    enableOpenPosition: bool
    category: str | None = None
    fundingMaxRate: str = ""
    fundingMinRate: str = ""

    @property
    def live(self) -> bool:
        return self.enableTrade and self.enableDisplay and self.enableOpenPosition


class _Contracts(msgspec.Struct):
    perpetualContract: list[_Contract]
    stockContract: list[_Contract]


class _Config(msgspec.Struct):
    contractConfig: _Contracts


class _Symbols(msgspec.Struct):
    data: _Config


class _Funding(msgspec.Struct):
    symbol: str
    rate: str
    fundingTime: int


class _History(msgspec.Struct):
    historyFunds: list[_Funding]


class _HistoryAnswer(msgspec.Struct):
    data: _History


class _Ticker(msgspec.Struct):
    symbol: str
    fundingRate: str
    nextFundingTime: str
    markPrice: str = ""
    indexPrice: str = ""
    openInterest: str = ""
    turnover24h: str = ""


class _Tickers(msgspec.Struct):
    data: list[_Ticker]


class _Refusal(msgspec.Struct):
    code: int = 0


_SYMBOLS = msgspec.json.Decoder(_Symbols)
_FUNDINGS = msgspec.json.Decoder(_HistoryAnswer)
_TICKERS = msgspec.json.Decoder(_Tickers)
_REFUSAL = msgspec.json.Decoder(_Refusal)


def _contracts(body: bytes) -> Iterator[tuple[_Contract, str | None]]:
    """Each perpetual with its class; prediction and prelaunch contracts are none."""
    lists = decode(body, _SYMBOLS, SPEC.name, "symbols").data.contractConfig
    for item in lists.perpetualContract:
        yield item, "crypto"
    for item in lists.stockContract:
        yield item, _STOCK_CLASSES.get(item.category or "")


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals, those that are withdrawn or only closed out included."""
    markets = []
    for item, asset_class in _contracts(body):
        symbol, multiplier = unify(item.baseTokenId)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.settleAssetId,
                settle=item.settleAssetId,
                asset_class=asset_class,
                live=item.live,
                interval_hours=1,
                rate_cap=optional_number(item.fundingMaxRate),
                rate_floor=optional_number(item.fundingMinRate),
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    rows = decode(body, _FUNDINGS, SPEC.name, "history-funding").data.historyFunds
    return [RawSettlement(row.symbol, row.fundingTime, row.rate) for row in rows]


def parse_estimates(symbols: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of the live perpetuals; prediction contracts have tickers, too."""
    live = {item.crossSymbolName: item.symbol for item, _ in _contracts(symbols) if item.live}
    endpoint = "all-ticker-info"
    estimates = []
    for index, row in enumerate(decode(tickers, _TICKERS, SPEC.name, endpoint).data):
        if row.symbol not in live:
            continue
        path = f"$.data[{index}]"
        mark = optional_number(row.markPrice)
        estimates.append(
            Estimate(
                market=live[row.symbol],
                rate=number(row.fundingRate, SPEC.name, endpoint, f"{path}.fundingRate"),
                raw_rate=row.fundingRate,
                interval_hours=1,
                next_funding_ms=iso_ms(
                    row.nextFundingTime, SPEC.name, endpoint, f"{path}.nextFundingTime"
                ),
                mark_price=mark,
                index_price=optional_number(row.indexPrice),
                open_interest_usd=notional(optional_number(row.openInterest), mark),
                volume_24h_usd=optional_number(row.turnover24h),
            )
        )
    return estimates


class Apex:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, one call."""
        return parse_markets((yield _get("symbols")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with beginTimeInclusive <= stamp < endTimeExclusive."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "beginTimeInclusive": rest.start_ms,
                "endTimeExclusive": rest.end_ms,
                "limit": SPEC.page_rows,
            }
            return parse_history((yield _get("history-funding", params)))

        return descending(page, window)

    def estimates(self) -> EstimatesPlan:
        """Symbols for what is live and how tickers name it, then all tickers."""
        symbols = yield _get("symbols")
        return parse_estimates(symbols, (yield _get("data/all-ticker-info")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code in the answer, whatever its status; 403 is said to who asks too often."""
        try:
            code = decode(body, _REFUSAL, SPEC.name, request.endpoint).code
        except MalformedResponseError:
            return None
        if not code:
            return None
        if status == 403:
            return RateLimitedError(SPEC.name, request.endpoint, f"403, code {code}")
        return coded(SPEC, request, status, body, code="code", text="msg", good=())


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=f"/api/v3/{endpoint}", params=params or {})
