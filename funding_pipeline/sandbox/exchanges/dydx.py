"""dYdX v4's indexer, as the sandbox answers it.

Facts this module rests on: rates are fractions per hour, stamps are ISO times up to 1.1 s after the
hour; history comes newest first, 1000 rows by default and at most, `effectiveBeforeOrAt` included,
without a lower bound. The list of perpetuals is an object by ticker and keeps those in final
settlement; open interest is in base units. 100 requests per 10 s, errors as a list of messages.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import (
    asset_of,
    contract_price,
    day_volume_usd,
    open_interest_usd,
)
from funding_pipeline.sandbox.schedules import DELISTED_MS
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, plain

NAME = "dydx"
PAGE_ROWS = 1000
_BASE_PATH = "/v4/"
_LISTED_MS = utc_ms(2023, 10, 26)
# A block about every 0.6 s.
_FIRST_BLOCK_MS, _BLOCK_MS = _LISTED_MS, 600


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote."""
    base, _, quote = symbol.rpartition("-")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: tokens, hourly all of them, and MATIC, which became another token."""
    tokens = catalogue(
        NAME,
        lambda base: f"{base}-USD",
        quote="USD",
        count=200,
        hours=1,
        launch_ms=_LISTED_MS,
        thousands="",
        decimals=9,
        jitter_ms=1056,
    )
    matic = replace(tokens[0], symbol="MATIC-USD", base="MATIC", asset="MATIC")
    return [*tokens, replace(matic, delisted_ms=DELISTED_MS)]


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint, _, ticker = request.path.removeprefix(_BASE_PATH).partition("/")
    known = endpoint in ("perpetualMarkets", "historicalFunding")
    if request.method != "GET" or not request.path.startswith(_BASE_PATH) or not known:
        return Call("unknown path", None, {})
    return Call(endpoint, ticker or None, request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "perpetualMarkets":
        return _perpetuals(moment)
    if call.endpoint == "historicalFunding":
        return _history(call, moment)
    return _error("Not Found", status=404)


def refuse(refusal: Refusal) -> Reply:
    """429 with the state of the window in headers."""
    reply = _error("Too many requests", status=429)
    reply.headers["RateLimit-Remaining"] = "0"
    reply.headers["Retry-After"] = str(max(1, ceil(refusal.wait_s)))
    return reply


def _error(message: str, status: int = 400) -> Reply:
    return Reply({"errors": [{"msg": message}]}, status=status)


def _perpetuals(moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    rows = [_perpetual(number, market, moment.now_ms) for number, market in enumerate(known)]
    payload = {"markets": {row["ticker"]: row for row in rows}}
    return Reply(payload, rows=rows, rate_field="nextFundingRate")


def _perpetual(number: int, market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    hour = now_ms // HOUR_MS
    asset, _ = asset_of(market.base)
    price = contract_price(market.base, hour)
    gone = market.is_delisted(now_ms)
    units = 0.0 if gone else round(open_interest_usd(asset, hour) / price, 3)
    return {
        "clobPairId": str(number),
        "ticker": market.symbol,
        "status": "FINAL_SETTLEMENT" if gone else "ACTIVE",
        "oraclePrice": plain(float(f"{price:.10g}")),
        "priceChange24H": plain(float(f"{price * 0.005:.6g}")),
        "volume24H": "0" if gone else plain(round(day_volume_usd(asset, hour), 4)),
        "trades24H": 0 if gone else 9387,
        "nextFundingRate": "0" if gone else plain(market.running_rate(now_ms)),
        "initialMarginFraction": "0.02",
        "maintenanceMarginFraction": "0.012",
        "openInterest": plain(units),
        "atomicResolution": -10,
        "quantumConversionExponent": -9,
        "tickSize": "1",
        "stepSize": "0.0001",
        "stepBaseQuantums": 1_000_000,
        "subticksPerTick": 100_000,
        "marketType": "CROSS",
        "openInterestLowerCap": "0",
        "openInterestUpperCap": "0",
        "baseOpenInterest": plain(units),
        "defaultFundingRate1H": "0",
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _error("ticker must be a valid ticker (BTC-USD, etc)")
    limit = _limit(call.params)
    if limit is None:
        return _error(f"limit must be a positive integer that is not greater than max: {PAGE_ROWS}")
    end_ms = moment.now_ms
    if until := call.params.get("effectiveBeforeOrAt"):
        try:
            end_ms = round(datetime.fromisoformat(until).timestamp() * 1000)
        except ValueError:
            return _error("effectiveBeforeOrAt must be an ISO 8601 time")
    rows = [_row(market, i) for i in newest_first(market, 0, end_ms, moment, limit)]
    return Reply(
        {"historicalFunding": rows}, rows=rows, rate_field="rate", time_field="effectiveAt"
    )


def _limit(params: Mapping[str, str]) -> int | None:
    """The number of rows asked for; None where it is refused."""
    text = params.get("limit") or str(PAGE_ROWS)
    return int(text) if text.isdigit() and 1 <= int(text) <= PAGE_ROWS else None


def _row(market: SandboxMarket, number: int) -> dict[str, str]:
    time_ms = market.times[number]
    time = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "ticker": market.symbol,
        "rate": plain(market.rates[number]),
        "price": plain(float(f"{contract_price(market.base, time_ms // HOUR_MS):.10g}")),
        "effectiveAtHeight": str((time_ms - _FIRST_BLOCK_MS) // _BLOCK_MS),
        "effectiveAt": time.replace("+00:00", "Z"),
    }


EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=100, window_s=10),),
    recorded_files=("dydx",),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
