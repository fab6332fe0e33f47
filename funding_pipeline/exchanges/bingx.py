"""BingX perpetuals, settled in USDT or USDC.

Source: bingx-api.github.io/docs-v3 (swap, market data), recorded responses of 2026-09.

Settled history: the newest rows of the window, newest first, at most 1000 (more is refused), both
ends inclusive, in ms. Rates are fractions per the market's interval, which `premiumIndex` declares
in hours and only as of now; its `lastFundingRate` is the running estimate despite its name. No row
in the window is told as `data: null`. 500 requests per 10 s. Every answer has a code, 0 is good.

Contracts of shares, indices, commodities and currencies are named by code: NCSKTSLA2USD is Tesla's
share (SK equity, SI index, CO commodity, FX currency) in USD. The unified symbol is what stands
between: TSLA, SP500, EUR, and GOLD, which is not taken for XAU; what is priced in anything but USD
keeps both names (USDJPY). `displayName` is not used: two contracts may show the same one.

Status 1 trades, 0 is gone (never seen in the list), 5 is to come, 25 is suspended: shares and
currencies outside their trading hours, a fifth of all. The history of a suspended market is refused
(109415) and so it is left out of the list until it trades again; what it settled meanwhile is asked
for then.
Open interest is told one symbol at a time only, hence not sampled.

Doubt: for windows far back the null was seen now and then although there are rows.
"""

import re

import msgspec

from funding_pipeline.domain.errors import ExchangeError
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
    name="bingx",
    title="BingX",
    origins={"": "https://open-api.bingx.com"},
    api_docs="https://bingx-api.github.io/docs-v3/#/en/Swap/Market%20Data",
    rate_unit=RateUnit.FRACTION,
    interval="declared",
    max_abs_rate=0.05,  # widest cap seen: 4 % (2026-08)
    page_rows=1000,
    limits=(RateLimit(500, 10.0),),
)

_LIVE = 1
_UNANSWERED = {5, 25}
_ASSET_CLASSES = {"SK": "equity", "SI": "index", "CO": "commodity", "FX": "fx"}
_CODE = re.compile(r"NC(SK|SI|CO|FX)(.+?)(?:2([A-Z]{3})|USDT)?")


class _Contract(msgspec.Struct):
    symbol: str
    currency: str
    status: int
    launchTime: int = 0


class _Contracts(msgspec.Struct):
    data: list[_Contract]


class _Premium(msgspec.Struct):
    symbol: str
    lastFundingRate: str
    nextFundingTime: int
    fundingIntervalHours: int
    markPrice: str = ""
    indexPrice: str = ""
    minFundingRate: str = ""
    maxFundingRate: str = ""


class _Premiums(msgspec.Struct):
    data: list[_Premium]


class _Ticker(msgspec.Struct):
    symbol: str
    quoteVolume: str = ""


class _Tickers(msgspec.Struct):
    data: list[_Ticker]


class _Funding(msgspec.Struct):
    symbol: str
    fundingRate: str
    fundingTime: int
    markPrice: str = ""


class _History(msgspec.Struct):
    data: list[_Funding] | None


_CONTRACTS = msgspec.json.Decoder(_Contracts)
_PREMIUMS = msgspec.json.Decoder(_Premiums)
_TICKERS = msgspec.json.Decoder(_Tickers)
_HISTORY = msgspec.json.Decoder(_History)


def named(base: str) -> tuple[str, int, str]:
    """Unified symbol, multiplier and asset class of what stands before the hyphen."""
    match = _CODE.fullmatch(base)
    if match is None:
        return *unify(base), "crypto"
    kind, name, priced_in = match.groups()
    symbol = name if priced_in in (None, "USD") else name + priced_in
    return symbol, 1, _ASSET_CLASSES[kind]


def parse_markets(contracts: bytes, premiums: bytes) -> list[Market]:
    """Contracts whose history is answered; the other list tells intervals and caps of most."""
    running = {p.symbol: p for p in decode(premiums, _PREMIUMS, SPEC.name, "premiumIndex").data}
    markets = []
    for item in decode(contracts, _CONTRACTS, SPEC.name, "contracts").data:
        if item.status in _UNANSWERED:
            continue
        base, _, quote = item.symbol.rpartition("-")
        symbol, multiplier, asset_class = named(base)
        premium = running.get(item.symbol)
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote,
                settle=item.currency,
                asset_class=asset_class,
                live=item.status == _LIVE,
                listed_at_ms=item.launchTime or None,
                interval_hours=premium.fundingIntervalHours if premium else None,
                rate_cap=optional_number(premium.maxFundingRate) if premium else None,
                rate_floor=optional_number(premium.minFundingRate) if premium else None,
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page."""
    rows = decode(body, _HISTORY, SPEC.name, "fundingRate").data or ()
    return [
        RawSettlement(r.symbol, r.fundingTime, r.fundingRate, None, optional_number(r.markPrice))
        for r in rows
    ]


def parse_estimates(contracts: bytes, premiums: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of the contracts that trade."""
    listed = decode(contracts, _CONTRACTS, SPEC.name, "contracts").data
    live = {item.symbol for item in listed if item.status == _LIVE}
    volumes = {
        item.symbol: optional_number(item.quoteVolume)
        for item in decode(tickers, _TICKERS, SPEC.name, "ticker").data
    }
    estimates = []
    for index, item in enumerate(decode(premiums, _PREMIUMS, SPEC.name, "premiumIndex").data):
        if item.symbol not in live:
            continue
        field = f"$.data[{index}].lastFundingRate"
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=number(item.lastFundingRate, SPEC.name, "premiumIndex", field),
                raw_rate=item.lastFundingRate,
                interval_hours=item.fundingIntervalHours,
                next_funding_ms=item.nextFundingTime,
                mark_price=optional_number(item.markPrice),
                index_price=optional_number(item.indexPrice),
                volume_24h_usd=volumes.get(item.symbol),
            )
        )
    return estimates


class BingX:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, with their declared intervals."""
        contracts = yield _get("contracts")
        return parse_markets(contracts, (yield _get("premiumIndex")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one contract."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "symbol": market.market,
                "startTime": rest.start_ms,
                "endTime": rest.end_ms - 1,
                "limit": SPEC.page_rows,
            }
            return parse_history((yield _get("fundingRate", params)))

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """What trades, the premium index of all and 24 h volume."""
        contracts = yield _get("contracts")
        premiums = yield _get("premiumIndex")
        return parse_estimates(contracts, premiums, (yield _get("ticker")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """A code other than 0 in an answer of status 200."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="code",
            text="msg",
            good={"0"},
            # The last one: "the current system is busy, please try again later".
            too_often={"100410", "109429", "109500"},
        )


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    path = f"/openApi/swap/v2/quote/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params or {})
