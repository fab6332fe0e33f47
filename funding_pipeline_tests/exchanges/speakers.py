"""For each exchange a little server in its documented shape: what the contract suite talks to.

Adding an exchange: write its speaker and add it to SPEAKERS.
"""

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

import msgspec

from funding_pipeline.domain.records import Market
from funding_pipeline.exchanges.base import Request

Result = TypeVar("Result")
Row = dict[str, Any]


class Speaker(Protocol):
    """How one exchange talks."""

    market: str  # one that `markets` lists
    page_rows: int
    newest_first: bool
    rate_field: str
    time_field: str
    required_market_fields: tuple[str, ...]

    def row(self, market: str, time_ms: int, rate: str) -> Row: ...
    def history(self, rows: list[Row]) -> bytes: ...
    def asked(self, request: Request) -> tuple[str, int, int]:
        """(market, first ms, last ms), both inclusive."""
        ...

    def markets(self, request: Request, change: Callable[[Row], None] = ...) -> bytes: ...
    def estimates(self, request: Request, change: Callable[[Row], None] = ...) -> bytes: ...

    estimate_rate_field: str


def unchanged(_: Row) -> None:
    pass


class HyperliquidSpeaker:
    market = "BTC"
    page_rows = 500
    newest_first = False
    rate_field, time_field = "fundingRate", "time"
    estimate_rate_field = "funding"
    required_market_fields = ("name",)

    def row(self, market: str, time_ms: int, rate: str) -> Row:
        return {"coin": market, "fundingRate": rate, "premium": "0.0001", "time": time_ms}

    def history(self, rows: list[Row]) -> bytes:
        return msgspec.json.encode(rows)

    def asked(self, request: Request) -> tuple[str, int, int]:
        body = request.body or {}
        assert (request.path, request.method, body["type"]) == ("/info", "POST", "fundingHistory")
        return body["coin"], body["startTime"], body["endTime"]

    def markets(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        return self._info(request, change, unchanged)

    def estimates(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        return self._info(request, unchanged, change)

    def _info(
        self, request: Request, asset: Callable[[Row], None], context: Callable[[Row], None]
    ) -> bytes:
        body = request.body or {}
        if body["type"] == "perpDexs":
            return msgspec.json.encode([None, {"name": "xyz", "fullName": "XYZ"}])
        prefix = f"{body['dex']}:" if "dex" in body else ""
        universe: list[Row] = [{"name": f"{prefix}{n}", "szDecimals": 5} for n in ("BTC", "kPEPE")]
        contexts: list[Row] = [
            {
                "funding": "0.0000125",
                "openInterest": "10.5",
                "dayNtlVlm": "1000.0",
                "markPx": "100.0",
                "oraclePx": "99.0",
            }
            for _ in universe
        ]
        asset(universe[0])
        context(contexts[0])
        meta = {"universe": universe, "marginTables": [], "collateralToken": 0}
        return msgspec.json.encode([meta, contexts])


class BybitSpeaker:
    market = "BTCUSDT"
    page_rows = 200
    newest_first = True
    rate_field, time_field = "fundingRate", "fundingRateTimestamp"
    estimate_rate_field = "fundingRate"
    required_market_fields = (
        *("symbol", "contractType", "status", "baseCoin", "quoteCoin", "settleCoin"),
        *("launchTime", "fundingInterval"),
    )

    def row(self, market: str, time_ms: int, rate: str) -> Row:
        return {"symbol": market, "fundingRate": rate, "fundingRateTimestamp": str(time_ms)}

    def history(self, rows: list[Row]) -> bytes:
        return self.answer(rows)

    def answer(self, rows: list[Row], cursor: str | None = None) -> bytes:
        result: Row = {"category": "linear", "list": rows}
        if cursor is not None:
            result["nextPageCursor"] = cursor
        return msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": result, "time": 1})

    def asked(self, request: Request) -> tuple[str, int, int]:
        params = request.params
        assert (request.path, request.method) == ("/v5/market/funding/history", "GET")
        assert params["category"] == "linear"
        return str(params["symbol"]), int(params["startTime"]), int(params["endTime"])

    def markets(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        return self.answer([self.instrument(change)], cursor="")

    def instrument(self, change: Callable[[Row], None] = unchanged, **fields: Any) -> Row:
        row = {
            "symbol": "BTCUSDT",
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": "BTC",
            "quoteCoin": "USDT",
            "settleCoin": "USDT",
            "launchTime": "1584230400000",
            "fundingInterval": 480,
            "upperFundingRate": "0.00333",
            "lowerFundingRate": "-0.00333",
        } | fields
        change(row)
        return row

    def estimates(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        row: Row = {
            "symbol": "BTCUSDT",
            "fundingRate": "0.0001",
            "nextFundingTime": "1789171200000",
            "fundingIntervalHour": "8",
            "markPrice": "77766.70",
            "indexPrice": "77797.59",
            "openInterestValue": "4000",
            "singleOpenInterestValue": "2000",
            "turnover24h": "6285417277.3",
        }
        change(row)
        return self.answer([row])


SPEAKERS: dict[str, Speaker] = {"hyperliquid": HyperliquidSpeaker(), "bybit": BybitSpeaker()}


def drive(
    plan: Generator[Request, bytes, Result], answer: Callable[[Request], bytes], at_most: int = 100
) -> tuple[Result, list[Request]]:
    """A plan fed with bytes: its result and the requests it made."""
    requests: list[Request] = []
    try:
        request = next(plan)
        while True:
            requests.append(request)
            assert len(requests) <= at_most, "it never ends"
            request = plan.send(answer(request))
    except StopIteration as done:
        return done.value, requests


def listed(market: str) -> Market:
    """The market as a list would name it."""
    return Market(market=market, symbol=market, quote="USD", settle="USD")


class History:
    """Answers history requests from a list of stamps, with the exchange's order and limit."""

    def __init__(self, speaker: Speaker, times: list[int], limit: int | None = None) -> None:
        self._speaker = speaker
        self.times = sorted(times)
        self._limit = limit or speaker.page_rows
        self.spoil: Callable[[list[Row]], list[Row]] = list

    def __call__(self, request: Request) -> bytes:
        market, first, last = self._speaker.asked(request)
        inside = [t for t in self.times if first <= t <= last]
        page = inside[-self._limit :] if self._speaker.newest_first else inside[: self._limit]
        rows = [self._speaker.row(market, t, rate_of(t)) for t in page]
        if self._speaker.newest_first:
            rows.reverse()
        return self._speaker.history(self.spoil(rows))


def rate_of(time_ms: int) -> str:
    """Another rate for every hour."""
    return f"{(time_ms // 3_600_000 % 997 - 498) * 1e-7:.8f}"
