"""The API that Binance wrote and others copied: USD-M, COIN-M and Aster speak it.

Belongs here: what they share. Does not: hosts, paths, limits and doubts of one (its own module).

Settled history: without `symbol` the rows of all symbols come back ascending, at most 1000, and a
page may end inside a group of equal stamps. Stamps in ms, both ends inclusive. Fractions per the
market's interval, which changes over time; `fundingInfo` declares the current one, 8 h where it
does not list the symbol. `lastFundingRate` of `premiumIndex` is the running estimate despite its
name. Open interest is told one symbol at a time only, hence not sampled.
"""

from collections.abc import Mapping, Sequence

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
from funding_pipeline.exchanges.paging import PagePlan, ascending, ascending_inclusive
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

# The scope of a limit that only history and intervals count in.
FUNDING = "funding"
_DEFAULT_HOURS = 8
_PERPETUAL = {"PERPETUAL", "TRADIFI_PERPETUAL"}
_ASSET_CLASSES = {"COIN": "crypto", "INDEX": "index", "COMMODITY": "commodity"}
_ASSET_CLASSES |= dict.fromkeys(("EQUITY", "KR_EQUITY", "HK_EQUITY"), "equity")


def declared(
    name: str,
    title: str,
    origin: str,
    api_docs: str,
    limits: Sequence[RateLimit],
    *,
    history_of_all: bool = True,
) -> ExchangeSpec:
    """The declaration of an exchange that speaks this API."""
    return ExchangeSpec(
        name=name,
        title=title,
        origins={"": origin},
        api_docs=api_docs,
        rate_unit=RateUnit.FRACTION,
        interval="declared",
        history_of_all=history_of_all,
        max_abs_rate=0.05,  # widest cap seen: 3 % (recorded settlements: 2 %)
        page_rows=1000,
        limits=tuple(limits),
        concurrency=2,
    )


class _Symbol(msgspec.Struct):
    """COIN-M names the status otherwise."""

    symbol: str
    contractType: str
    quoteAsset: str
    marginAsset: str
    status: str = ""
    contractStatus: str = ""
    baseAsset: str | None = None
    onboardDate: int = 0
    underlyingType: str = ""


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


class _FundingInfo(msgspec.Struct):
    """Caps are text at Binance, numbers under another name at Aster."""

    symbol: str
    fundingIntervalHours: int
    adjustedFundingRateCap: str = ""
    adjustedFundingRateFloor: str = ""
    fundingFeeCap: float | None = None
    fundingFeeFloor: float | None = None


class _Funding(msgspec.Struct):
    symbol: str
    fundingTime: int
    fundingRate: str
    markPrice: str = ""


class _Premium(msgspec.Struct):
    symbol: str
    lastFundingRate: str
    nextFundingTime: int
    markPrice: str = ""
    indexPrice: str = ""


class _Ticker(msgspec.Struct):
    """COIN-M tells base coins in place of quote currency (`volume` there counts contracts)."""

    symbol: str
    quoteVolume: str = ""
    baseVolume: str = ""
    weightedAvgPrice: str = ""


_EXCHANGE_INFO = msgspec.json.Decoder(_ExchangeInfo)
_FUNDING_INFO = msgspec.json.Decoder(list[_FundingInfo])
_HISTORY = msgspec.json.Decoder(list[_Funding])
_PREMIUM = msgspec.json.Decoder(list[_Premium])
_TICKERS = msgspec.json.Decoder(list[_Ticker])


def _intervals(spec: ExchangeSpec, body: bytes) -> dict[str, _FundingInfo]:
    return {item.symbol: item for item in decode(body, _FUNDING_INFO, spec.name, "fundingInfo")}


def parse_markets(spec: ExchangeSpec, info: bytes, intervals: bytes) -> list[Market]:
    """Perpetuals; a symbol without an entry of its own settles every 8 h (documented)."""
    declared_now = _intervals(spec, intervals)
    markets = []
    symbols = decode(info, _EXCHANGE_INFO, spec.name, "exchangeInfo").symbols
    for index, item in enumerate(symbols):
        if item.contractType not in _PERPETUAL:
            continue
        status = item.status or item.contractStatus
        if not status:
            detail = f"{item.symbol} has neither status nor contractStatus"
            raise MalformedResponseError(spec.name, "exchangeInfo", detail, f"$.symbols[{index}]")
        symbol, multiplier = unify(item.baseAsset or item.symbol.removesuffix(item.quoteAsset))
        own = declared_now.get(item.symbol)
        cap = floor = None
        if own:
            cap = optional_number(own.adjustedFundingRateCap) or own.fundingFeeCap
            floor = optional_number(own.adjustedFundingRateFloor) or own.fundingFeeFloor
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteAsset,
                settle=item.marginAsset,
                asset_class=_ASSET_CLASSES.get(item.underlyingType),
                live=status == "TRADING",
                listed_at_ms=item.onboardDate or None,
                interval_hours=own.fundingIntervalHours if own else _DEFAULT_HOURS,
                rate_cap=cap,
                rate_floor=floor,
            )
        )
    return markets


def parse_history(spec: ExchangeSpec, body: bytes) -> list[RawSettlement]:
    """Settled rows, of one symbol or of all."""
    rows = decode(body, _HISTORY, spec.name, "fundingRate")
    return [
        RawSettlement(r.symbol, r.fundingTime, r.fundingRate, None, optional_number(r.markPrice))
        for r in rows
    ]


def parse_estimates(
    spec: ExchangeSpec, premiums: bytes, intervals: bytes, tickers: bytes
) -> list[Estimate]:
    """Running estimates of all perpetuals; what has no next funding is dated or delisted."""
    declared_now = _intervals(spec, intervals)
    sizes = {item.symbol: item for item in decode(tickers, _TICKERS, spec.name, "ticker/24hr")}
    estimates = []
    found = decode(premiums, _PREMIUM, spec.name, "premiumIndex")
    for index, item in enumerate(found):
        if item.lastFundingRate == "" or not item.nextFundingTime:
            continue
        field = f"$[{index}].lastFundingRate"
        own = declared_now.get(item.symbol)
        ticker = sizes.get(item.symbol)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.lastFundingRate, spec.name, "premiumIndex", field),
                raw_rate=item.lastFundingRate,
                interval_hours=own.fundingIntervalHours if own else _DEFAULT_HOURS,
                next_funding_ms=item.nextFundingTime,
                mark_price=optional_number(item.markPrice),
                index_price=optional_number(item.indexPrice),
                volume_24h_usd=_volume(ticker) if ticker else None,
            )
        )
    return estimates


def _volume(row: _Ticker) -> float | None:
    if row.quoteVolume:
        return optional_number(row.quoteVolume)
    return notional(optional_number(row.baseVolume), optional_number(row.weightedAvgPrice))


class BinanceLike:
    """An exchange of this kind as the engine sees it; `path` is what stands before endpoints."""

    spec: ExchangeSpec
    path: str

    def markets(self) -> MarketsPlan:
        """All symbols, with their declared intervals."""
        info = yield self._get("exchangeInfo")
        return parse_markets(self.spec, info, (yield self._funding("fundingInfo")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one market, or of all at once."""
        assert market is not None or self.spec.history_of_all, "a symbol is mandatory"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "startTime": rest.start_ms,
                "endTime": rest.end_ms - 1,
                "limit": self.spec.page_rows,
            }
            if market is not None:
                params["symbol"] = market.market
            return parse_history(self.spec, (yield self._funding("fundingRate", params)))

        if market is None:
            return ascending_inclusive(page, window, self.spec)
        return ascending(
            page, window, interval_hours=market.interval_hours, page_rows=self.spec.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """Premium index of all symbols, intervals and 24 h volume."""
        premiums = yield self._get("premiumIndex", weight=10)
        intervals = yield self._funding("fundingInfo")
        tickers = yield self._get("ticker/24hr", weight=40)
        return parse_estimates(self.spec, premiums, intervals, tickers)

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A 400 carries a code and its meaning."""
        if status != 400:
            return None
        return coded(self.spec, request, status, body, code="code", text="msg", good=())

    def _get(self, endpoint: str, weight: int = 1) -> Request:
        return Request(endpoint=endpoint, path=f"{self.path}/{endpoint}", weight=weight)

    def _funding(self, endpoint: str, params: Mapping[str, str | int] | None = None) -> Request:
        scopes = tuple(sorted({limit.scope for limit in self.spec.limits} & {"", FUNDING}))
        path = f"{self.path}/{endpoint}"
        return Request(endpoint=endpoint, path=path, params=params or {}, scopes=scopes)


class BinanceOfAll(BinanceLike):
    """One whose history needs no symbol: without times it tells the newest rows of all."""

    def newest(self, markets: Sequence[Market]) -> HistoryPlan:
        """The newest page of all markets; what it leaves out is asked of the history."""
        wanted = {market.market for market in markets}
        body = yield self._funding("fundingRate", {"limit": self.spec.page_rows})
        rows = sorted(parse_history(self.spec, body), key=lambda row: row.time_ms)
        return list({row.market: row for row in rows if row.market in wanted}.values())
