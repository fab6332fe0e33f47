"""Paradex, perpetuals: funding accrues every second.

Source: docs.paradex.trade (funding mechanism), recorded responses of 2026-09.

`/funding/data` holds 5-second samples: the rate per funding period (8 h) and the funding index,
which advances by premium x dt / period, in USDC per unit of base. What an hour paid is the advance
of the index over it, divided by a price; samples are never summed. The newest sample at or before
an hour is asked for by `end_at` and `page_size=1`, one call per hour. The price is the mean of both
boundary spots (premium / rate), the elapsed time is scaled to the hour, since samples lie up to 5 s
before the boundary. Uncertainty: half the hour's price move. No usual resting rate (the premium is
smoothed), so that the baseline test of units does not apply.
"""

from dataclasses import dataclass

import msgspec

from funding_pipeline.domain.errors import ExchangeError
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
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

SPEC = ExchangeSpec(
    name="paradex",
    title="Paradex",
    origins={"": "https://api.prod.paradex.trade"},
    api_docs="https://docs.paradex.trade/api/prod/markets/get-funding-data",
    rate_unit=RateUnit.FRACTION,
    interval=FixedInterval(((0, 1),)),
    max_abs_rate=0.04,  # declared: 2 % per 8 h; recorded: beyond 1 % an hour
    page_rows=1,
    limits=(RateLimit(50, 1.0), RateLimit(1500, 60.0)),
    concurrency=16,
)

_PERIOD_HOURS = 8  # rows before mid-2026 carry 0 or no period
_OLDEST_SAMPLE_MS = 60_000
_PRICED_RATE = 1e-9  # from here on premium / rate is a price to 5 parts in a million


class _Market(msgspec.Struct):
    symbol: str
    base_currency: str
    quote_currency: str
    settlement_currency: str
    asset_kind: str
    open_at: int = 0
    funding_period_hours: int = 0
    max_funding_rate: str = ""


class _Markets(msgspec.Struct):
    results: list[_Market]


class _Sample(msgspec.Struct):
    market: str
    created_at: int
    funding_index: str
    funding_rate: str
    funding_premium: str


class _Samples(msgspec.Struct):
    results: list[_Sample]


class _Summary(msgspec.Struct):
    symbol: str
    funding_rate: str = ""
    mark_price: str = ""
    underlying_price: str = ""
    open_interest: str = ""
    volume_24h: str = ""


class _Summaries(msgspec.Struct):
    results: list[_Summary]


_MARKETS = msgspec.json.Decoder(_Markets)
_SAMPLES = msgspec.json.Decoder(_Samples)
_SUMMARIES = msgspec.json.Decoder(_Summaries)


@dataclass(frozen=True, slots=True)
class Boundary:
    """The funding index just before a whole hour; `price` None where the rate is too near to 0 to
    tell it: rates have 14 decimals.
    """

    time_ms: int
    index: float
    index_text: str
    price: float | None


def parse_boundary(body: bytes, boundary_ms: int) -> Boundary | None:
    """The newest sample of an answer, None where none lies within a minute before the boundary."""
    endpoint = "funding/data"
    samples = decode(body, _SAMPLES, SPEC.name, endpoint).results
    if not samples:
        return None
    sample = max(samples, key=lambda each: each.created_at)
    if not 0 <= boundary_ms - sample.created_at <= _OLDEST_SAMPLE_MS:
        return None
    field = "$.results[0]."
    rate = number(sample.funding_rate, SPEC.name, endpoint, f"{field}funding_rate")
    premium = number(sample.funding_premium, SPEC.name, endpoint, f"{field}funding_premium")
    return Boundary(
        sample.created_at,
        number(sample.funding_index, SPEC.name, endpoint, f"{field}funding_index"),
        sample.funding_index,
        premium / rate if abs(rate) >= _PRICED_RATE else None,
    )


def hourly_rate(before: Boundary, after: Boundary) -> float | None:
    """Fraction of notional paid in the hour between two boundaries; None without any price."""
    advance = after.index - before.index
    if advance == 0:
        return 0.0
    prices = [price for price in (before.price, after.price) if price and price > 0]
    elapsed_ms = after.time_ms - before.time_ms
    if not prices or elapsed_ms <= 0:
        return None
    return advance / (sum(prices) / len(prices)) * HOUR_MS / elapsed_ms


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals; options and spot share the list. All settle continuously: an hour is ours."""
    markets = []
    for item in decode(body, _MARKETS, SPEC.name, "markets").results:
        if item.asset_kind != "PERP":
            continue
        symbol, multiplier = unify(item.base_currency)
        period = item.funding_period_hours or _PERIOD_HOURS
        cap = optional_number(item.max_funding_rate)
        hourly_cap = None if cap is None else cap / period
        markets.append(
            Market(
                market=item.symbol,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote_currency,
                settle=item.settlement_currency,
                listed_at_ms=item.open_at or None,
                interval_hours=1,
                rate_cap=hourly_cap,
                rate_floor=None if hourly_cap is None else -hourly_cap,
            )
        )
    return markets


def parse_estimates(summaries: bytes, markets: bytes) -> list[Estimate]:
    """Running estimates per hour; option rows carry an empty rate. Open interest is in base."""
    periods = {
        item.symbol: item.funding_period_hours or _PERIOD_HOURS
        for item in decode(markets, _MARKETS, SPEC.name, "markets").results
        if item.asset_kind == "PERP"
    }
    estimates = []
    found = decode(summaries, _SUMMARIES, SPEC.name, "markets/summary").results
    for index, item in enumerate(found):
        if item.symbol not in periods or item.funding_rate == "":
            continue
        field = f"$.results[{index}].funding_rate"
        mark = optional_number(item.mark_price)
        interest = optional_number(item.open_interest)
        rate = number(item.funding_rate, SPEC.name, "markets/summary", field)
        estimates.append(
            Estimate(
                market=item.symbol,
                rate=rate / periods[item.symbol],
                raw_rate=item.funding_rate,
                interval_hours=1,
                mark_price=mark,
                index_price=optional_number(item.underlying_price),
                open_interest_usd=notional(interest, mark),
                volume_24h_usd=optional_number(item.volume_24h),
            )
        )
    return estimates


class Paradex:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All markets, one call."""
        return parse_markets((yield _get("markets")))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """One row per whole hour of the window between whose boundaries the index is known."""
        assert market is not None, "history is per market here"
        first = -(-window.start_ms // HOUR_MS) * HOUR_MS
        if first >= window.end_ms:
            return []
        rows: list[RawSettlement] = []
        before: Boundary | None = None
        for boundary_ms in range(first - HOUR_MS, window.end_ms, HOUR_MS):
            request = _get("funding/data", market=market.market, end_at=boundary_ms, page_size=1)
            after = parse_boundary((yield request), boundary_ms)
            rate = hourly_rate(before, after) if before and after else None
            if after is not None and rate is not None:
                rows.append(
                    RawSettlement(
                        market.market,
                        boundary_ms,
                        repr(rate),
                        None,
                        after.price,
                        float(after.index_text),
                    )
                )
            before = after
        return rows

    def estimates(self) -> EstimatesPlan:
        """The summary of all markets, with the period from their list."""
        summaries = yield _get("markets/summary", market="ALL")
        return parse_estimates(summaries, (yield _get("markets")))

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """Nothing beyond what the status says."""
        return None


def _get(endpoint: str, **params: str | int) -> Request:
    return Request(endpoint=endpoint, path=f"/v1/{endpoint}", params=params)
