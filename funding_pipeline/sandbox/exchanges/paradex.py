"""Paradex's public REST endpoints, as the sandbox answers them.

Facts this module rests on: `funding/data` holds samples every five seconds, newest first, with the
funding index so far and the rate per 8 hours; 100 a page unless asked for up to 5000, `next` and
`prev` lead on. Samples are no payments. Older ones lack the period. Options stand among the
markets and have no funding, or one of another period. 1500 requests a minute, 50 a second.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import msgspec

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.exchanges.paradex_index import FundingIndex, funding_index
from funding_pipeline.sandbox.exchanges.paradex_rows import (
    TRADFI,
    market_row,
    option_rows,
    option_summaries,
    sample_row,
    summary_row,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.wire import (
    Call,
    Exchange,
    Moment,
    Reply,
    Request,
    Snapshots,
    parameter,
)

NAME = "paradex"
PAGE_ROWS = 5000
_DEFAULT_ROWS = 100
_SECOND_LIMIT = 50
_START_MS = utc_ms(2025, 6, 1)
_SUFFIX = "-USD-PERP"


class _Cursor(msgspec.Struct, frozen=True):
    """Where a page goes on: samples before the marker, or, turned, after it."""

    market: str
    start: int
    end: int
    marker: int
    turned: bool


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote of a perpetual."""
    return symbol.removesuffix(_SUFFIX), "USD"


def listings() -> list[Listing]:
    """The generated markets; `rates` are fractions per 8 hours, a new one every hour."""
    tokens = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS[:40])]
    tradfi = [_listing(asset, 0, multiplier=4.0) for asset in TRADFI]
    return tokens[:20] + tradfi[:1] + tokens[20:] + tradfi[1:]


def _listing(asset: str, rank: int, multiplier: float = 8.0) -> Listing:
    base = f"k{asset}" if asset in names.THOUSANDS else asset
    day = 0 if rank < 25 else int(uniform("paradex|launch", rank) * 60)
    eras = ((_START_MS + day * DAY_MS, 1),)
    return Listing(f"{base}{_SUFFIX}", base, "USD", asset, eras, 0.02, 14, multiplier=multiplier)


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix("/v1/")
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("market") or None, request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return _error("NOT_FOUND", "no such path", status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(refusal: Refusal) -> Reply:
    """What an address gets that asks too often."""
    headers = {"Retry-After": str(max(1, ceil(refusal.wait_s)))}
    return Reply("Too Many Requests", status=429, headers=headers, media_type="text/plain")


def usage(used: Sequence[int]) -> dict[str, str]:
    """What is left of this second."""
    remaining = max(0, _SECOND_LIMIT - used[1])
    return {"x-ratelimit-limit": str(_SECOND_LIMIT), "x-ratelimit-remaining": str(remaining)}


def _error(code: str, text: str, status: int = 400) -> Reply:
    return Reply({"error": code, "message": text, "data": None}, status=status)


def _funding_data(call: Call, moment: Moment) -> Reply:
    if call.market is None:
        return _error("VALIDATION_ERROR", "market is required")
    try:
        start, end = parameter(call.params, "start_at"), parameter(call.params, "end_at")
        size = parameter(call.params, "page_size")
    except ValueError:
        return _error("INVALID_REQUEST_PARAMETER", "start_at, end_at or page_size is no integer")
    size = _DEFAULT_ROWS if size is None else size
    if not 1 <= size <= PAGE_ROWS:
        return _error("INVALID_REQUEST_PARAMETER", f"page_size must be in 1..{PAGE_ROWS}")
    start, end = start or 0, moment.now_ms if end is None else min(end, moment.now_ms)
    if start > end:
        return _error("INVALID_REQUEST_PARAMETER", "start_at is after end_at")
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    if market is None:
        return _error("MARKET_NOT_FOUND", f"no market {call.market}")
    cursor = _Cursor(call.market, start, end, end + 1, turned=False)
    if text := call.params.get("cursor"):
        try:
            cursor = msgspec.json.decode(urlsafe_b64decode(text), type=_Cursor)
        except ValueError:
            return _error("INVALID_REQUEST_PARAMETER", "cursor is invalid")
    return _sample_page(market, cursor, moment.page_limit(size))


def _sample_page(market: SandboxMarket, cursor: _Cursor, size: int) -> Reply:
    index = funding_index(market)
    times = _times(index, cursor, size)
    rows: list[dict[str, Any]] = [sample_row(market.symbol, index, time) for time in times]
    older = newer = None
    if times:
        before, after = index.sample_at_or_before(times[-1] - 1), index.sample_after(times[0])
        if before is not None and before >= cursor.start:
            older = _text(msgspec.structs.replace(cursor, marker=times[-1], turned=False))
        if after is not None and after <= cursor.end:
            newer = _text(msgspec.structs.replace(cursor, marker=times[0], turned=True))
    payload = {"next": older, "prev": newer, "results": rows}
    # What was paid follows from the index, so that is what a fault in the rows has to hit.
    return Reply(payload, rows=rows, rate_field="funding_index", time_field="created_at")


def _times(index: FundingIndex, cursor: _Cursor, size: int) -> list[int]:
    """The sample times of a page, newest first."""
    times: list[int] = []
    marker = cursor.marker
    while len(times) < size:
        time = (
            index.sample_after(marker) if cursor.turned else index.sample_at_or_before(marker - 1)
        )
        if time is None or not cursor.start <= time <= cursor.end:
            break
        times.append(time)
        marker = time
    return times[::-1] if cursor.turned else times


def _text(cursor: _Cursor) -> str:
    return urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def _markets(_: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [market_row(market, moment.now_ms) for market in listed] + option_rows(listed)
    return Reply({"results": rows}, rows=rows)


def _summary(call: Call, moment: Moment) -> Reply:
    if call.market is None:
        return _error("VALIDATION_ERROR", "market is required")
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [summary_row(market, moment.now_ms) for market in listed]
    rows += option_summaries(listed, moment.now_ms)
    if call.market != "ALL":
        rows = [row for row in rows if row["symbol"] == call.market]
        if not rows:
            return _error("MARKET_NOT_FOUND", f"no market {call.market}")
    return Reply({"results": rows}, rows=rows, rate_field="funding_rate")


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "markets": _markets,
    "markets/summary": _summary,
    "funding/data": _funding_data,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=1500, window_s=60), Limit(weight=_SECOND_LIMIT, window_s=1)),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    history="boundaries",
    usage=usage,
    snapshots=Snapshots(
        file="paradex_snapshot",
        settles_hours=None,
        scale=1.0,
        note="recorded polls of the rate and mark price, each held until the next, integrated "
        "into a funding index; they are not what accrued",
    ),
)
