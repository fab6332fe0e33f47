"""Velocity (on Solana), which went on from Drift on 2026-07-01.

Source: data.velocity.exchange/playground, docs.velocity.exchange (funding rates, data API
glossary), recorded responses of 2026-09.

Settled history: newest first, at most 750 rows, by cursor and without times; 31 days are kept. A
record tells what longs pay in quote currency per base unit, so the fraction per hour is
`fundingRateLong / oraclePriceTwap`: the rate text of a settlement is THIS QUOTIENT, computed from
the two texts in decimal arithmetic and rounded to 18 significant digits. The mean of 24 records
reproduces the exchange's own `fundingRate24h`. Where the texts are no numbers the rate text is
`fundingRateLong/oraclePriceTwap` as sent, which no validation lets pass. Stamps are seconds, about
a minute after the hour; the update is lazy and may come later.

Running estimates have another unit and another sign: `fundingRate.long` is PERCENT per hour as the
long side's profit, so longs that pay read negative and rate = -long / 100. Open interest is in base
units per side, shorts negative; the pool holds the difference, so the larger side is all of it.
The exchange publishes no rate limit.
"""

from collections.abc import Generator
from decimal import Context, Decimal

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import RateUnit, fraction
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
from funding_pipeline.exchanges.wire import decode, notional, optional_number

SPEC = ExchangeSpec(
    name="velocity",
    title="Velocity",
    origins={"": "https://data.velocity.exchange"},
    api_docs="https://docs.velocity.exchange/developers/data-api/glossary",
    rate_unit=RateUnit.FRACTION,
    stamp_unit="s",
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.01,  # widest seen: 0.008 % an hour, at a premium of 0.2 % (records of 2026-09)
    page_rows=750,
    limits=(RateLimit(2, 1.0),),
    concurrency=2,
    look_back_days=31,
)

_HOURS = 1
_SUFFIX = "-PERP"
_QUOTIENT = Context(prec=18)


class _Sides(msgspec.Struct):
    long: str
    short: str = ""


class _Listing(msgspec.Struct):
    symbol: str
    marketType: str
    status: str
    uiStatus: str = ""
    quoteAsset: str = "USDT"
    fundingRate: _Sides | None = None
    openInterest: _Sides | None = None
    oraclePrice: str = ""
    markPrice: str = ""
    quoteVolume: str = ""

    @property
    def is_live(self) -> bool:
        return self.status == "active" and self.uiStatus != "hidden"


class _Listings(msgspec.Struct):
    markets: list[_Listing]


class _Record(msgspec.Struct):
    ts: int
    symbol: str
    fundingRateLong: str
    oraclePriceTwap: str


class _Meta(msgspec.Struct):
    nextPage: str | None = None


class _Records(msgspec.Struct):
    records: list[_Record]
    meta: _Meta = msgspec.field(default_factory=_Meta)


_LISTINGS = msgspec.json.Decoder(_Listings)
_RECORDS = msgspec.json.Decoder(_Records)


def _perpetuals(body: bytes) -> list[tuple[int, _Listing]]:
    found = decode(body, _LISTINGS, SPEC.name, "stats/markets").markets
    return [(index, item) for index, item in enumerate(found) if item.marketType == "perp"]


def parse_markets(body: bytes) -> list[Market]:
    """All perpetuals; spot markets stand in the same list."""
    markets = []
    for _, item in _perpetuals(body):
        symbol, multiplier = unify(item.symbol.removesuffix(_SUFFIX))
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quoteAsset,
                settle="USDT",
                live=item.is_live,
                interval_hours=_HOURS,
            )
        )
    return markets


def rate_text(per_unit: str, price: str) -> str:
    """What longs pay per base unit, as a fraction of the price; at most 18 significant digits."""
    try:
        fraction(per_unit)
        is_price = fraction(price) > 0
    except ValueError:
        is_price = False
    if not is_price:
        return f"{per_unit}/{price}"
    return format(_QUOTIENT.divide(Decimal(per_unit), Decimal(price)), "f")


def parse_history(body: bytes) -> tuple[list[RawSettlement], str | None]:
    """Settled rows of one page, and the cursor of the next (None at the end)."""
    answer = decode(body, _RECORDS, SPEC.name, "fundingRates")
    rows = [
        RawSettlement(
            row.symbol, row.ts * 1000, rate_text(row.fundingRateLong, row.oraclePriceTwap)
        )
        for row in answer.records
    ]
    return rows, answer.meta.nextPage or None


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running estimates of the perpetuals that are traded."""
    estimates = []
    for index, item in _perpetuals(body):
        if not item.is_live:
            continue
        field = f"$.markets[{index}].fundingRate.long"
        profit = item.fundingRate.long if item.fundingRate else ""
        try:
            paid_to_longs = fraction(profit, RateUnit.PERCENT)
        except ValueError as error:
            raise MalformedResponseError(SPEC.name, "stats/markets", str(error), field) from error
        mark = optional_number(item.markPrice)
        sides = item.openInterest
        units = [optional_number(side) for side in (sides.long, sides.short)] if sides else []
        interest = max((abs(side) for side in units if side is not None), default=None)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=0.0 - paid_to_longs,
                raw_rate=profit,
                interval_hours=_HOURS,
                mark_price=mark,
                index_price=optional_number(item.oraclePrice),
                open_interest_usd=notional(interest, mark),
                volume_24h_usd=optional_number(item.quoteVolume),
            )
        )
    return estimates


class Velocity:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All markets, one call."""
        return parse_markets((yield _get("stats/markets", "stats/markets")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements of one market from the newest down to the window."""
        assert market is not None, "history is per market here"

        def page(cursor: str) -> Generator[Request, bytes, tuple[list[RawSettlement], str | None]]:
            params: dict[str, str | int] = {"limit": SPEC.page_rows}
            if cursor:
                params["page"] = cursor
            path = f"market/{market.market}/fundingRates"
            return parse_history((yield _get("fundingRates", path, params)))

        return walked(page, "", window)

    def estimates(self) -> EstimatesPlan:
        """All markets, one call."""
        return parse_estimates((yield _get("stats/markets", "stats/markets")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Every answer says whether it is a success."""
        return coded(SPEC, request, status, body, code="success", text="message", good={"True"})


def _get(endpoint: str, path: str, params: dict[str, str | int] | None = None) -> Request:
    return Request(endpoint=endpoint, path=f"/{path}", params=params or {})
