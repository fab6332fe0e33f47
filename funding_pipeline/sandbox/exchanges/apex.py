"""ApeX Omni's public endpoints, as the sandbox answers them.

Facts this module rests on: history wants BTC-USDT, comes newest first, at most 100 rows, begin
included and end not, in ms; rates are fractions per hour with eight decimals, stamps exact hours, a
row's price is the index. Tickers are named BTCUSDT, one at a time or all at once, those of
prediction contracts among them. The list holds contracts that were withdrawn. Errors are {code,
msg} of status 200, code 3 for a bad parameter. 600 requests a minute; 403 after that.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from funding_pipeline.sandbox.catalogue import catalogue
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import HOUR_MS, Listing, SandboxMarket, utc_ms
from funding_pipeline.sandbox.paging import newest_first
from funding_pipeline.sandbox.prices import contract_price, day_volume_usd, open_interest_usd
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter, plain

NAME = "apex"
PAGE_ROWS = 100
_BASE_PATH = "/api/v3/"
_BAD_PARAMETER = 3
_CATEGORIES = {"XAU": "COMMODITY", "XAG": "COMMODITY"}
_SHARES = ("NVDA", "TSLA", "AAPL", "COIN", "HOOD", "PLTR", *_CATEGORIES)
_ELECTION = "Donald_Trump_win_Presidential_Election_2028"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote coin."""
    base, _, quote = symbol.rpartition("-")
    return base, quote


def listings() -> list[Listing]:
    """The generated markets: hourly tokens, cheap ones by the thousand, shares and metals."""
    return catalogue(
        NAME,
        lambda base: f"{base}-USDT",
        quote="USDT",
        count=110,
        hours=1,
        launch_ms=utc_ms(2024, 7, 1),
        rate_cap=0.005,
        shares=len(_SHARES),
    )


def read(request: Request) -> Call:
    """Which endpoint is asked for, and about which market."""
    endpoint = request.path.removeprefix(_BASE_PATH)
    if request.method != "GET" or endpoint not in _ENDPOINTS:
        return Call("unknown path", None, {})
    return Call(endpoint, request.query.get("symbol"), request.query)


def answer(call: Call, moment: Moment) -> Reply:
    """The answer of the endpoint, or the error that the exchange gives."""
    if call.endpoint == "unknown path":
        return Reply({"code": 404, "msg": "not found"}, status=404)
    return _ENDPOINTS[call.endpoint](call, moment)


def refuse(_: Refusal) -> Reply:
    """403, as the documentation has it."""
    return Reply({"code": 403, "msg": "You request too many times"}, status=403)


def _bad_parameter(text: str) -> Reply:
    return Reply({"code": _BAD_PARAMETER, "msg": text, "timeCost": 1})


def settled_rate(rate: float) -> float:
    """The fraction that is left of a rate after it went over the wire."""
    return round(rate, 8)


def _cross(market: SandboxMarket) -> str:
    return f"{market.base}{market.quote}"


def _symbols(_: Call, moment: Moment) -> Reply:
    known = moment.dataset.known(NAME, moment.now_ms)
    tokens = [_contract_row(m, moment) for m in known if m.base not in _SHARES]
    shares = [_contract_row(m, moment) for m in known if m.base in _SHARES]
    lists = {
        "perpetualContract": tokens,
        "stockContract": shares,
        "predictionContract": [_prediction_row()],
        "prelaunchContract": [],
    }
    data = {"spotConfig": {}, "contractConfig": lists}
    return Reply({"data": data, "timeCost": 0}, rows=tokens + shares)


def _contract_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    trades = not market.is_delisted(moment.now_ms)
    share = market.base in _SHARES
    cap = plain(market.rate_cap)
    return {
        **_parts(market.base, market.quote, market.symbol, enabled=trades),
        "crossSymbolId": 10 + market.number,
        "fundingMaxRate": cap,
        "fundingMinRate": f"-{cap}",
        "category": _CATEGORIES.get(market.base, "STOCK") if share else "L1",
        "contractType": "STOCK_CONTRACT" if share else "PERPETUAL_CONTRACT",
    }


def _prediction_row() -> dict[str, Any]:
    row = _parts(_ELECTION, "USDT", f"{_ELECTION}-USDT", enabled=True)
    return {**row, "category": "POLITICS", "contractType": "PREDICTION_CONTRACT"}


def _parts(base: str, quote: str, symbol: str, *, enabled: bool) -> dict[str, Any]:
    """What contracts of every kind tell."""
    return {
        "crossSymbolName": f"{base}{quote}",
        "displayMaxLeverage": "50",
        "enableDisplay": enabled,
        "enableOpenPosition": enabled,
        "enableTrade": enabled,
        "fundingInterestRate": "0.0003",
        "settleAssetId": quote,
        "baseTokenId": base,
        "tokenName": base,
        "stepSize": "0.001",
        "symbol": symbol,
        "symbolDisplayName": f"{base}{quote}",
        "tickSize": "0.1",
        "minOrderSize": "0.001",
        "maxOrderSize": "50",
        "enableFundingSettlement": enabled,
        "l2PairId": "50001",
        "isPrelaunch": False,
    }


def _ticker(call: Call, moment: Moment) -> Reply:
    listed = moment.dataset.listed(NAME, moment.now_ms)
    rows = [_ticker_row(market, moment) for market in listed if _cross(market) == call.market]
    return _tickers_reply(rows)


def _all_tickers(_: Call, moment: Moment) -> Reply:
    rows = [_ticker_row(market, moment) for market in moment.dataset.listed(NAME, moment.now_ms)]
    if rows:
        rows.append({**rows[0], "symbol": f"{_ELECTION}USDT", "fundingRate": "0"})
    return _tickers_reply(rows)


def _tickers_reply(rows: list[dict[str, Any]]) -> Reply:
    return Reply({"data": rows, "timeCost": 30}, rows=rows, rate_field="fundingRate")


def _ticker_row(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    hour = moment.now_ms // HOUR_MS
    price = contract_price(market.base, hour)
    volume = day_volume_usd(market.base, hour)
    last = plain(round(price, 8))
    following = datetime.fromtimestamp(market.next_settlement_ms(moment.now_ms) / 1000, UTC)
    return {
        "fundingRate": plain(settled_rate(market.running_rate(moment.now_ms))),
        "highPrice24h": last,
        "indexPrice": plain(round(price * 1.0002, 8)),
        "lastPrice": last,
        "lowPrice24h": last,
        "nextFundingTime": following.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "openInterest": plain(round(open_interest_usd(market.base, hour) / price, 3)),
        "oraclePrice": "",
        "markPrice": last,
        "predictedFundingRate": "0.0000125",
        "price24hPcnt": "0.005",
        "symbol": _cross(market),
        "tradeCount": "",
        "turnover24h": plain(round(volume, 4)),
        "volume24h": plain(round(volume / price, 3)),
    }


def _history(call: Call, moment: Moment) -> Reply:
    market = moment.dataset.market(NAME, call.market or "", moment.now_ms)
    if market is None:
        return _bad_parameter(f"invalid symbol: {call.market or ''}")
    try:
        begin = parameter(call.params, "beginTimeInclusive") or 0
        end = parameter(call.params, "endTimeExclusive") or moment.now_ms + 1
        limit = parameter(call.params, "limit") or PAGE_ROWS
    except ValueError as error:
        return Reply({"code": 400, "msg": f"strconv.ParseInt: {error}", "timeCost": 1})
    if limit > PAGE_ROWS:
        return _bad_parameter(f"invalid get page size: {limit}")
    rows = [_funding_row(market, i) for i in newest_first(market, begin, end - 1, moment, limit)]
    return Reply(
        {"data": {"historyFunds": rows, "totalSize": len(rows)}, "timeCost": 0},
        rows=rows,
        rate_field="rate",
        time_field="fundingTime",
    )


def _funding_row(market: SandboxMarket, index: int) -> dict[str, Any]:
    time_ms = market.times[index]
    return {
        "symbol": market.symbol,
        "rate": f"{settled_rate(market.rates[index]):.8f}",
        "price": plain(round(contract_price(market.base, time_ms // HOUR_MS), 8)),
        "fundingTime": time_ms,
        "fundingTimestamp": time_ms,
    }


_ENDPOINTS: dict[str, Callable[[Call, Moment], Reply]] = {
    "symbols": _symbols,
    "ticker": _ticker,
    "data/all-ticker-info": _all_tickers,
    "history-funding": _history,
}

EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=600, window_s=60),),
    recorded_files=(),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
    settled_rate=lambda market, index: settled_rate(market.rates[index]),
)
