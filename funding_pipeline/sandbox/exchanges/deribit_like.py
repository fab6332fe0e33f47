"""Deribit's public API v2 (JSON-RPC over GET), as Deribit and Coinbase International answer it.

Facts this module rests on: history holds one row per hour, stamped in ms, ascending, at most 744,
the newest of (start, end], with the interest of that hour and the sum of the trailing eight; the
funding of the instant is quoted per 8 hours. Lists hold dated futures, options and spot beside the
perpetuals unless a kind is named. Open interest is in USD on inverse contracts, in base units on
linear ones. Errors are {error: {code, message, data}} with status 400; 429 with code 10028.

Belongs here: what both exchanges answer alike. Does not belong here: their markets and limits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from funding_pipeline.sandbox.exchanges.deribit_like_rows import (
    funding_row,
    instrument_row,
    other_instruments,
    paid,
    settle,
    summary_row,
    ticker,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

PAGE_ROWS = 744
SUFFIX = "-PERPETUAL"
_BASE_PATH = "/api/v2/public/"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin: BTC-PERPETUAL is quoted in USD, BTC_USDC-PERPETUAL in USDC."""
    base, _, quote = symbol.removesuffix(SUFFIX).partition("_")
    return base, quote or "USD"


def exchange(name: str, listings: Callable[[], list[Listing]], limit: Limit) -> Exchange:
    """An exchange of this API."""
    return Exchange(
        name=name,
        limits=(limit,),
        recorded_files=(),
        split_symbol=split_symbol,
        listings=listings,
        read=_read,
        answer=partial(_answer, name),
        refuse=_refuse,
    )


def _read(request: Request) -> Call:
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("instrument_name"), request.query)


def _answer(name: str, call: Call, moment: Moment) -> Reply:
    if call.endpoint == "unknown path":
        return _error(-32601, "Method not found", moment, {})
    try:
        return _ENDPOINTS[call.endpoint](_Asked(name, call, moment))
    except (KeyError, ValueError) as error:
        data = {"reason": "wrong format", "param": str(error.args[0])}
        return _error(-32602, "Invalid params", moment, data)


def _refuse(_: Refusal) -> Reply:
    payload = {"jsonrpc": "2.0", "error": {"code": 10028, "message": "too_many_requests"}}
    return Reply(payload, status=429)


@dataclass(frozen=True, slots=True)
class _Asked:
    name: str
    call: Call
    moment: Moment

    def market(self) -> SandboxMarket:
        found = self.moment.dataset.market(self.name, self.call.market or "", self.moment.now_ms)
        if found is None:
            raise KeyError("instrument_name")
        return found

    def time(self, field: str, default: int | None = None) -> int:
        found = parameter(self.call.params, field)
        found = default if found is None else found
        if found is None:
            raise KeyError(field)
        return found


def _envelope(moment: Moment, **fields: Any) -> dict[str, Any]:
    now_us = moment.now_ms * 1000
    stamps = {"usIn": now_us, "usOut": now_us + 232, "usDiff": 232, "testnet": False}
    return {"jsonrpc": "2.0", **fields, **stamps}


def _error(code: int, message: str, moment: Moment, data: dict[str, str]) -> Reply:
    error = {"message": message, "data": data, "code": code}
    return Reply(_envelope(moment, error=error), status=400)


def _instruments(asked: _Asked) -> Reply:
    known = asked.moment.dataset.known(asked.name, asked.moment.now_ms)
    rows = [instrument_row(market, asked.moment.now_ms) for market in known]
    rows += other_instruments(rows[0]) if rows else []
    currency, kind = asked.call.params.get("currency"), asked.call.params.get("kind")
    if currency not in (None, "any"):
        rows = [row for row in rows if row.get("settlement_currency") == currency]
    if kind is not None:
        rows = [row for row in rows if row["kind"] == kind]
    return Reply(_envelope(asked.moment, result=rows), rows=rows)


def _summaries(asked: _Asked) -> Reply:
    currency = asked.call.params.get("currency")
    if not currency or currency == "any":
        raise KeyError("currency")
    now_ms = asked.moment.now_ms
    listed = asked.moment.dataset.listed(asked.name, now_ms)
    rows = [summary_row(market, now_ms) for market in listed if settle(market) == currency]
    if rows:
        dated = rows[0] | {"instrument_name": f"{rows[0]['base_currency']}-25DEC26"}
        del dated["current_funding"], dated["funding_8h"]
        rows.append(dated)
    return Reply(_envelope(asked.moment, result=rows), rows=rows, rate_field="current_funding")


def _ticker(asked: _Asked) -> Reply:
    result = ticker(asked.market(), asked.moment.now_ms)
    return Reply(_envelope(asked.moment, result=result))


def _value(asked: _Asked) -> Reply:
    """The sum over the asked time; without times over eight hours, where the real one refuses."""
    market = asked.market()
    end = asked.time("end_timestamp", asked.moment.now_ms)
    start = asked.time("start_timestamp", end - 8 * HOUR_MS)
    return Reply(_envelope(asked.moment, result=paid(market, end, (end - start) // HOUR_MS)))


def _history(asked: _Asked) -> Reply:
    market = asked.market()
    start, end = asked.time("start_timestamp"), asked.time("end_timestamp")
    found = newest_first(market, start + 1, end, asked.moment, PAGE_ROWS)
    rows = [funding_row(market, index) for index in reversed(found)]
    return Reply(
        _envelope(asked.moment, result=rows),
        rows=rows,
        rate_field="interest_1h",
        time_field="timestamp",
    )


_ENDPOINTS = {
    "get_instruments": _instruments,
    "get_book_summary_by_currency": _summaries,
    "get_funding_rate_history": _history,
    "get_funding_rate_value": _value,
    "ticker": _ticker,
}
