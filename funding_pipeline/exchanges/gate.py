"""Gate, USDT-settled perpetuals.

Source: gate.com/docs/developers/apiv4 (futures), recorded responses of 2026-09.

Settled history: newest first, at most 1000 rows, `from` and `to` in seconds and both inclusive; a
`from` older than 180 days is refused. Stamps are seconds, 1-3 s after the boundary. Rates are
fractions per the contract's interval, which is declared in seconds and only as of now. Positions
are counted in contracts of `quanto_multiplier` base units, one side. 200 requests per 10 s.
"""

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
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

SPEC = ExchangeSpec(
    name="gate",
    title="Gate",
    origins={"": "https://api.gateio.ws"},
    api_docs="https://www.gate.com/docs/developers/apiv4/en/#futures",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="s",
    interval="declared",
    max_abs_rate=0.05,  # widest limit seen: 2 % (contracts of 2026-09)
    page_rows=1000,
    limits=(RateLimit(200, 10.0),),
    look_back_days=180,
)


class _Contract(msgspec.Struct):
    name: str
    type: str
    funding_interval: int
    funding_rate: str
    funding_next_apply: int
    quanto_multiplier: str
    in_delisting: bool
    status: str = "trading"
    create_time: int = 0
    launch_time: int = 0
    funding_rate_limit: str = ""
    mark_price: str = ""
    index_price: str = ""


class _Ticker(msgspec.Struct):
    contract: str
    volume_24h_quote: str = ""
    total_size: str = ""


class _Funding(msgspec.Struct):
    t: int
    r: str


_CONTRACTS = msgspec.json.Decoder(list[_Contract])
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_HISTORY = msgspec.json.Decoder(list[_Funding])


def _contracts(body: bytes) -> list[_Contract]:
    found = decode(body, _CONTRACTS, SPEC.name, "contracts")
    for index, item in enumerate(found):
        if item.funding_interval <= 0 or item.funding_interval % 3600:
            detail = f"{item.name}: {item.funding_interval} s is no whole number of hours"
            field = f"$[{index}].funding_interval"
            raise MalformedResponseError(SPEC.name, "contracts", detail, field)
    return found


def _trades(item: _Contract) -> bool:
    return item.status == "trading" and not item.in_delisting


def parse_markets(body: bytes) -> list[Market]:
    """All contracts of the list; those that no longer trade are marked so."""
    markets = []
    for item in _contracts(body):
        base, _, quote = item.name.rpartition("_")
        symbol, multiplier = unify(base)
        cap = optional_number(item.funding_rate_limit)
        listed = item.launch_time or item.create_time
        markets.append(
            Market(
                market=item.name,
                symbol=symbol,
                multiplier=multiplier,
                quote=quote,
                settle="USDT",
                live=_trades(item),
                listed_at_ms=listed * 1000 or None,
                interval_hours=item.funding_interval // 3600,
                rate_cap=cap,
                rate_floor=None if cap is None else -cap,
            )
        )
    return markets


def parse_history(body: bytes, market: str) -> list[RawSettlement]:
    """Settled rows of one page; they do not name their contract."""
    rows = decode(body, _HISTORY, SPEC.name, "funding_rate")
    return [RawSettlement(market, row.t * 1000, row.r) for row in rows]


def parse_estimates(contracts: bytes, tickers: bytes) -> list[Estimate]:
    """Running estimates of the contracts that trade, with open interest and volume."""
    sizes = {item.contract: item for item in decode(tickers, _TICKERS, SPEC.name, "tickers")}
    estimates = []
    for index, item in enumerate(_contracts(contracts)):
        if not _trades(item):
            continue
        field = f"$[{index}].funding_rate"
        mark = optional_number(item.mark_price)
        lot = number(
            item.quanto_multiplier, SPEC.name, "contracts", f"$[{index}].quanto_multiplier"
        )
        ticker = sizes.get(item.name)
        lots = optional_number(ticker.total_size) if ticker else None
        estimates.append(
            Estimate(
                market=item.name,
                rate=number(item.funding_rate, SPEC.name, "contracts", field),
                raw_rate=item.funding_rate,
                interval_hours=item.funding_interval // 3600,
                next_funding_ms=item.funding_next_apply * 1000,
                mark_price=mark,
                index_price=optional_number(item.index_price),
                open_interest_usd=notional(None if lots is None else lots * lot, mark),
                volume_24h_usd=optional_number(ticker.volume_24h_quote) if ticker else None,
            )
        )
    return estimates


class Gate:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All contracts, one call."""
        return parse_markets((yield _get("contracts")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one contract; the page's ends are whole seconds."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            params: dict[str, str | int] = {
                "contract": market.market,
                "from": rest.start_ms // 1000,
                "to": (rest.end_ms - 1) // 1000,
                "limit": SPEC.page_rows,
            }
            return parse_history((yield _get("funding_rate", params)), market.market)

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """Contracts for rate and prices, tickers for open interest and volume."""
        contracts = yield _get("contracts")
        return parse_estimates(contracts, (yield _get("tickers")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """An error is an object with a label; good answers are lists."""
        return coded(
            SPEC,
            request,
            status,
            body,
            code="label",
            text="message",
            good=(),
            too_often={"TOO_MANY_REQUESTS"},
        )


def _get(endpoint: str, params: dict[str, str | int] | None = None) -> Request:
    path = f"/api/v4/futures/usdt/{endpoint}"
    return Request(endpoint=endpoint, path=path, params=params or {})
