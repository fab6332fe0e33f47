"""For each exchange a little server in its documented shape: what the contract suite talks to.

Adding an exchange: write its speaker and add it to SPEAKERS.
"""

from collections.abc import Callable, Generator
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from funding_pipeline.domain.records import Market
from funding_pipeline.exchanges.base import Request

Result = TypeVar("Result")
Row = dict[str, Any]


class Speaker(Protocol):
    """How one exchange talks.

    What its history is decides which parts of the suite apply to it: "pages" of settlements,
    "boundaries" (one sample per hour, from which the rate follows), or "none".
    """

    market: str  # one that `markets` lists
    kind_of_history: Literal["pages", "boundaries", "none"]
    page_rows: int
    newest_first: bool  # which end of a too wide window a page holds
    stamp_ms: int  # one unit of its stamps
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
    kind_of_history: Literal["pages"] = "pages"
    stamp_ms = 1
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
    kind_of_history: Literal["pages"] = "pages"
    stamp_ms = 1
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


class LighterSpeaker:
    """Seconds; unsigned percent and the side that pays; of a wide window the newest rows."""

    market = "BTC"
    kind_of_history: Literal["pages"] = "pages"
    stamp_ms = 1000
    page_rows = 720
    newest_first = True
    rate_field, time_field = "rate", "timestamp"
    estimate_rate_field = "rate"
    required_market_fields = ("symbol", "market_id", "status", "market_type")

    def row(self, market: str, time_ms: int, rate: str) -> Row:
        return {
            "timestamp": time_ms // 1000,
            "value": "0.1",
            "rate": rate.removeprefix("-"),
            "direction": "short" if rate.startswith("-") else "long",
        }

    def history(self, rows: list[Row]) -> bytes:
        return msgspec.json.encode({"code": 200, "resolution": "1h", "fundings": rows})

    def asked(self, request: Request) -> tuple[str, int, int]:
        params = request.params
        assert (request.path, request.method) == ("/api/v1/fundings", "GET")
        assert params.keys() == {
            *("market_id", "resolution", "start_timestamp", "end_timestamp", "count_back")
        }, "all five are required"
        assert (params["resolution"], params["count_back"]) == ("1h", 0)
        assert params["market_id"] == "1", "asked for by its number"
        first, last = int(params["start_timestamp"]), int(params["end_timestamp"])
        return self.market, first * 1000, last * 1000

    def markets(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        assert request.path == "/api/v1/orderBooks"
        perp: Row = {
            "symbol": "BTC",
            "market_id": 1,
            "market_type": "perp",
            "status": "active",
        }
        others = [
            {**perp, "symbol": "1000PEPE", "market_id": 4},
            {**perp, "symbol": "PIPPIN", "market_id": 135, "status": "inactive"},
            {**perp, "symbol": "ETH/USDC", "market_id": 2048, "market_type": "spot"},
        ]
        change(perp)
        return msgspec.json.encode({"code": 200, "order_books": [perp, *others]})

    def estimates(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        if request.path == "/api/v1/orderBookDetails":
            details = [
                {
                    "symbol": symbol,
                    "mark_price": "100.0",
                    "index_price": "99.0",
                    "open_interest": 10.5,
                    "daily_quote_token_volume": 1000,
                }
                for symbol in ("BTC", "1000PEPE")
            ]
            return msgspec.json.encode({"code": 200, "order_book_details": details})
        assert request.path == "/api/v1/funding-rates"
        rows: list[Row] = [
            {"market_id": 1, "exchange": exchange, "symbol": symbol, "rate": 9.6e-05}
            for exchange in ("lighter", "binance", "bybit", "hyperliquid")
            for symbol in ("BTC", "1000PEPE")
        ]
        change(rows[0])
        return msgspec.json.encode({"code": 200, "funding_rates": rows})


class ParadexSpeaker:
    """One sample before each whole hour; what counts in it is the funding index."""

    market = "BTC-USD-PERP"
    kind_of_history: Literal["boundaries"] = "boundaries"
    stamp_ms = 1
    page_rows = 1
    newest_first = True
    rate_field, time_field = "funding_index", "created_at"
    estimate_rate_field = "funding_rate"
    required_market_fields = (
        *("symbol", "base_currency", "quote_currency", "settlement_currency", "asset_kind"),
    )

    def row(self, market: str, time_ms: int, rate: str) -> Row:
        """A sample; `rate` is the index, the price is 100."""
        return {
            "market": market,
            "funding_index": rate,
            "funding_premium": "0.01",
            "funding_rate": "0.0001",
            "funding_rate_8h": "0.00010000",
            "funding_period_hours": 8,
            "created_at": time_ms,
        }

    def history(self, rows: list[Row]) -> bytes:
        return msgspec.json.encode({"next": None, "prev": None, "results": rows})

    def asked(self, request: Request) -> tuple[str, int, int]:
        """The boundary, twice: there is no first."""
        params = request.params
        assert (request.path, request.method) == ("/v1/funding/data", "GET")
        assert params.keys() == {"market", "end_at", "page_size"}
        assert params["page_size"] == 1
        return str(params["market"]), int(params["end_at"]), int(params["end_at"])

    def markets(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        assert request.path == "/v1/markets"
        return self._markets(change)

    def _markets(self, change: Callable[[Row], None] = unchanged) -> bytes:
        perp: Row = {
            "symbol": "BTC-USD-PERP",
            "base_currency": "BTC",
            "quote_currency": "USD",
            "settlement_currency": "USDC",
            "asset_kind": "PERP",
            "open_at": 1_696_431_006_398,
            "funding_period_hours": 8,
            "max_funding_rate": "0.02",
        }
        option = {**perp, "symbol": "BTC-USD-96000-C", "asset_kind": "PERP_OPTION"}
        change(perp)
        return msgspec.json.encode({"results": [perp, option]})

    def estimates(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        if request.path == "/v1/markets":
            return self._markets()
        assert request.path == "/v1/markets/summary"
        assert request.params == {"market": "ALL"}
        perp: Row = {
            "symbol": "BTC-USD-PERP",
            "funding_rate": "0.0001",
            "mark_price": "100.0",
            "underlying_price": "99.0",
            "open_interest": "10.5",
            "volume_24h": "1000.0",
        }
        options = [
            {**perp, "symbol": "BTC-USD-96000-C", "funding_rate": "0.001"},
            {**perp, "symbol": "BTC-USD-25JUN27-86000-C", "funding_rate": ""},
        ]
        change(perp)
        return msgspec.json.encode({"results": [perp, *options]})


class VariationalSpeaker:
    """One endpoint for everything, no history."""

    market = "BTC"
    kind_of_history: Literal["none"] = "none"
    stamp_ms = 1
    page_rows = 1
    newest_first = False
    rate_field = time_field = ""
    estimate_rate_field = "funding_rate"
    required_market_fields = ("ticker", "funding_rate", "funding_interval_s")

    def row(self, market: str, time_ms: int, rate: str) -> Row:
        raise NotImplementedError("no history")

    def history(self, rows: list[Row]) -> bytes:
        raise NotImplementedError("no history")

    def asked(self, request: Request) -> tuple[str, int, int]:
        raise NotImplementedError("no history")

    def markets(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        assert (request.path, request.method) == ("/metadata/stats", "GET")
        listing = self.listing()
        change(listing)
        swap = self.listing(ticker="XAUS", funding_rate="0", funding_interval_s=0)
        return self.stats([listing, swap])

    estimates = markets

    def listing(self, **fields: Any) -> Row:
        return {
            "ticker": "BTC",
            "name": "Bitcoin",
            "mark_price": "100.0",
            "volume_24h": "1000.0",
            "open_interest": {"long_open_interest": "12.0", "short_open_interest": "10.0"},
            "funding_rate": "0.1095",
            "funding_interval_s": 28800,
        } | fields

    def stats(self, listings: list[Row]) -> bytes:
        return msgspec.json.encode({"num_markets": len(listings), "listings": listings})


class BinanceSpeaker:
    """Ascending, both ends inclusive; one symbol here, all at once in test_binance."""

    market = "BTCUSDT"
    kind_of_history: Literal["pages"] = "pages"
    stamp_ms = 1
    page_rows = 1000
    newest_first = False
    rate_field, time_field = "fundingRate", "fundingTime"
    estimate_rate_field = "lastFundingRate"
    required_market_fields = (
        *("symbol", "contractType", "status", "baseAsset", "quoteAsset", "marginAsset"),
    )

    def row(self, market: str, time_ms: int, rate: str) -> Row:
        return {
            "symbol": market,
            "fundingTime": time_ms,
            "fundingRate": rate,
            "markPrice": "34287.54619963",
            "rateType": "Regular",
        }

    def history(self, rows: list[Row]) -> bytes:
        return msgspec.json.encode(rows)

    def asked(self, request: Request) -> tuple[str, int, int]:
        params = request.params
        assert (request.path, request.method) == ("/fapi/v1/fundingRate", "GET")
        assert params["limit"] == self.page_rows, "100 rows come unless asked for more"
        assert set(request.scopes) == {"", "funding"}, "a limit of its own"
        return str(params.get("symbol", "")), int(params["startTime"]), int(params["endTime"])

    def markets(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        if request.path == "/fapi/v1/fundingInfo":
            return self.intervals()
        assert request.path == "/fapi/v1/exchangeInfo"
        contract = self.contract()
        change(contract)
        dated = self.contract(symbol="BTCUSDT_261225", contractType="CURRENT_QUARTER")
        return msgspec.json.encode({"symbols": [contract, dated]})

    def contract(self, **fields: Any) -> Row:
        return {
            "symbol": "BTCUSDT",
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "onboardDate": 1_569_398_400_000,
            "underlyingType": "COIN",
        } | fields

    def intervals(self, **hours: int) -> bytes:
        rows = [
            {
                "symbol": symbol,
                "adjustedFundingRateCap": "0.00300",
                "adjustedFundingRateFloor": "-0.00300",
                "fundingIntervalHours": interval,
            }
            for symbol, interval in ({"BTCUSDT": 8} | hours).items()
        ]
        return msgspec.json.encode(rows)

    def estimates(self, request: Request, change: Callable[[Row], None] = unchanged) -> bytes:
        if request.path == "/fapi/v1/fundingInfo":
            return self.intervals()
        if request.path == "/fapi/v1/ticker/24hr":
            return msgspec.json.encode([{"symbol": "BTCUSDT", "quoteVolume": "1000.0"}])
        assert request.path == "/fapi/v1/premiumIndex"
        row: Row = {
            "symbol": "BTCUSDT",
            "markPrice": "80680.2",
            "indexPrice": "80709.2",
            "lastFundingRate": "0.00008384",
            "nextFundingTime": 1_788_508_800_000,
        }
        dated = [
            {**row, "symbol": "BTCUSDT_261225", "lastFundingRate": "", "nextFundingTime": 0},
            {**row, "symbol": "ETHUSDT_261225", "nextFundingTime": 0},
        ]
        change(row)
        return msgspec.json.encode([row, *dated])


SPEAKERS: dict[str, Speaker] = {
    "hyperliquid": HyperliquidSpeaker(),
    "lighter": LighterSpeaker(),
    "paradex": ParadexSpeaker(),
    "variational": VariationalSpeaker(),
    "binance": BinanceSpeaker(),
    "bybit": BybitSpeaker(),
}


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
    return Market(market=market, api_id="1", symbol=market, quote="USD", settle="USD")


class History:
    """Answers history requests from a list of stamps, with the exchange's order and limit."""

    def __init__(self, speaker: Speaker, times: list[int], limit: int | None = None) -> None:
        self._speaker = speaker
        self.times = sorted(times)
        assert not any(time % speaker.stamp_ms for time in times)
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
