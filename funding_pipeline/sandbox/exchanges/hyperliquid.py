"""Hyperliquid's `POST /info`, its own dex and the HIP-3 ones, as the sandbox answers it.

Facts this module rests on: rates are fractions per hour (per 8 h until 2023-06-08), `time` is the
settlement with up to 100 ms of delay, history is ascending with both ends included, 500 rows a
page; every call weighs 20, history one more per 20 rows, 1200 a minute. HIP-3 coins carry their dex
as a prefix and rest at half the usual rate. An unknown coin gets status 500 and `null`.
"""

from typing import Any

from funding_pipeline.sandbox import names
from funding_pipeline.sandbox.exchanges.hyperliquid_meta import (
    CALL_WEIGHT,
    HOURLY_MS,
    NAME,
    meta_reply,
    perp_dexs,
    predicted_fundings,
    premium_of,
)
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import DAY_MS, Listing, utc_ms
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, pointed

PAGE_ROWS = 500
_ROWS_PER_WEIGHT = 20
_RATE_CAP = 0.04


_START_MS, _HIP3_MS, _DELISTED_MS = utc_ms(2023, 5, 12), utc_ms(2024, 6, 1), utc_ms(2024, 9, 10)


def split_symbol(symbol: str) -> tuple[str, str]:
    """The coin itself, dex prefix included; everything is quoted in USDC."""
    return symbol, "USDC"


def listings() -> list[Listing]:
    """The generated markets: the own dex and, prefixed, one HIP-3 dex."""
    main = [_listing(asset, rank) for rank, asset in enumerate(names.ASSETS)]
    builder = [
        Listing(f"xyz:{s}", f"xyz:{s}", "USDC", s, ((_HIP3_MS, 1),), _RATE_CAP, 10, 100, 0.5)
        for s in names.STOCKS
    ]
    # A few HIP-3 markets early, so that a small selection holds some of them.
    return main[:20] + builder[:3] + main[20:] + builder[3:]


def _listing(asset: str, rank: int) -> Listing:
    symbol = f"k{asset}" if asset in names.THOUSANDS else asset
    if rank < 25:
        eras: tuple[tuple[int, int], ...] = ((_START_MS, 8), (HOURLY_MS, 1))
    else:
        eras = ((HOURLY_MS + int(uniform("hyperliquid|launch", rank) * 350) * DAY_MS, 1),)
    delisted = _DELISTED_MS if asset in names.DELISTED else None
    return Listing(
        symbol, symbol, "USDC", asset, eras, _RATE_CAP, 10, jitter_ms=100, delisted_ms=delisted
    )


def read(request: Request) -> Call:
    """Which `type` of information is asked for, and about which coin."""
    body = request.body if isinstance(request.body, dict) else {}
    kind = body.get("type")
    if request.method != "POST" or request.path != "/info":
        return Call("unknown path", None, {})
    coin = body.get("coin")
    return Call(str(kind), coin if isinstance(coin, str) else None, body)


def answer(call: Call, moment: Moment) -> Reply:
    """The information asked for, or the error that the exchange gives."""
    match call.endpoint:
        case "unknown path":
            return Reply("Not Found", status=404, media_type="text/plain")
        case "fundingHistory":
            return _funding_history(call, moment)
        case "meta":
            return meta_reply(call, moment, with_contexts=False)
        case "metaAndAssetCtxs":
            return meta_reply(call, moment, with_contexts=True)
        case "perpDexs":
            return Reply(perp_dexs(moment), weight=CALL_WEIGHT)
        case "predictedFundings":
            return Reply(predicted_fundings(moment), weight=CALL_WEIGHT)
        case "spotMeta":
            return Reply(_spot_meta(), weight=CALL_WEIGHT)
        case "spotMetaAndAssetCtxs":
            return Reply([_spot_meta(), []], weight=CALL_WEIGHT)
    return _undecodable()


def refuse(_: Refusal) -> Reply:
    """What an address gets that has used up its weight."""
    return Reply(None, status=429)


def _undecodable() -> Reply:
    text = "Failed to deserialize the JSON body into the target type"
    return Reply(text, status=422, weight=CALL_WEIGHT, media_type="text/plain; charset=utf-8")


def _funding_history(call: Call, moment: Moment) -> Reply:
    start, end = call.params.get("startTime"), call.params.get("endTime")
    if call.market is None or type(start) is not int or type(end) not in (int, type(None)):
        return _undecodable()
    market = moment.dataset.market(NAME, call.market, moment.now_ms)
    if market is None:
        return Reply(None, status=500, weight=CALL_WEIGHT)
    end_ms = moment.now_ms if end is None else int(end)
    low, high = market.settled(start, end_ms, moment.now_ms)
    high = min(high, low + moment.page_limit(PAGE_ROWS))
    rows: list[dict[str, Any]] = [
        {
            "coin": market.symbol,
            "fundingRate": pointed(rate),
            "premium": pointed(premium_of(market, rate, time)),
            "time": time,
        }
        for time, rate in zip(market.times[low:high], market.rates[low:high], strict=True)
    ]
    weight = CALL_WEIGHT + -(-len(rows) // _ROWS_PER_WEIGHT)
    return Reply(rows, rows=rows, rate_field="fundingRate", time_field="time", weight=weight)


def _spot_meta() -> dict[str, Any]:
    """No spot pairs; the token list names the collateral that perpetuals settle in."""
    token = {
        "name": "USDC",
        "szDecimals": 8,
        "weiDecimals": 8,
        "index": 0,
        "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
        "isCanonical": True,
        "evmContract": None,
        "fullName": None,
        "deployerTradingFeeShare": "0.0",
    }
    return {"universe": [], "tokens": [token]}


EXCHANGE = Exchange(
    name=NAME,
    limits=(Limit(weight=1200, window_s=60),),
    recorded_files=("hyperliquid", "hyperliquid_xyz"),
    split_symbol=split_symbol,
    listings=listings,
    read=read,
    answer=answer,
    refuse=refuse,
)
