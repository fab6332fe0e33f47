"""Small answers of our own in five exchanges' documented shapes, for what recordings do not hold.

Belongs here: the shapes, with a way to change one field. Does not: what all exchanges must satisfy
(test_contract asks the sandbox), recorded responses.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from funding_pipeline.domain.records import Market
from funding_pipeline.exchanges.base import Request

Row = dict[str, Any]


class Paged(Protocol):
    """What `History` needs of a speaker with pages of settlements."""

    page_rows: int
    newest_first: bool  # which end of a too wide window a page holds
    stamp_ms: int  # one unit of its stamps

    def row(self, market: str, time_ms: int, rate: str) -> Row: ...
    def history(self, rows: list[Row]) -> bytes: ...
    def asked(self, request: Request) -> tuple[str, int, int]:
        """(market, first ms, last ms), both inclusive."""
        ...


def unchanged(_: Row) -> None:
    pass


class HyperliquidSpeaker:
    market = "BTC"
    stamp_ms = 1
    page_rows = 500
    newest_first = False

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
    stamp_ms = 1
    page_rows = 200
    newest_first = True

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
    stamp_ms = 1000
    page_rows = 720
    newest_first = True

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
    stamp_ms = 1
    page_rows = 1
    newest_first = True

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
    stamp_ms = 1
    page_rows = 1
    newest_first = False

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


def listed(market: str) -> Market:
    """The market as a list would name it."""
    return Market(market=market, api_id="1", symbol=market, quote="USD", settle="USD")


class History:
    """Answers history requests from a list of stamps, with the exchange's order and limit."""

    def __init__(self, speaker: Paged, times: list[int], limit: int | None = None) -> None:
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
