"""What Hyperliquid tells about its markets: universe, contexts, dexes, predictions.

Belongs here: the rows of `meta`, `metaAndAssetCtxs`, `perpDexs` and `predictedFundings`, and what
follows from a symbol. Does not belong here: dispatch, history, errors (`hyperliquid`).
"""

from datetime import UTC, datetime
from math import floor, log10
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS, SandboxMarket
from funding_pipeline.sandbox.noise import uniform
from funding_pipeline.sandbox.prices import (
    asset_of,
    day_volume_usd,
    mark_price,
    open_interest_usd,
)
from funding_pipeline.sandbox.relay import counterpart
from funding_pipeline.sandbox.wire import Call, Moment, Reply, pointed

NAME = "hyperliquid"
CALL_WEIGHT = 20
# Until then rates were settled every 8 hours.
HOURLY_MS = int(datetime(2023, 6, 8, tzinfo=UTC).timestamp()) * 1000
_DEX_NAMES = {"xyz": "XYZ"}


def dex_of(symbol: str) -> str:
    """The builder dex in front of the colon; empty for the exchange's own."""
    return symbol.partition(":")[0] if ":" in symbol else ""


def _name(symbol: str) -> str:
    return symbol.rpartition(":")[2]


def premium_of(market: SandboxMarket, rate: float, time_ms: int) -> float:
    """The premium that the funding formula turns into this rate; any inside the dead band."""
    multiplier = 0.5 if ":" in market.symbol else 1.0
    # The settlement of the change itself, milliseconds late, still paid for 8 hours.
    interval = 8 if time_ms < HOURLY_MS + 60_000 else 1
    clamp = 0.0003 if interval == 8 else 0.0005
    fee = rate / multiplier * 8 / interval
    if abs(fee - 0.0001) < 1e-9:
        within = uniform(f"premium|{market.symbol}", time_ms // HOUR_MS)
        premium = 0.0001 + clamp * (2 * within - 1)
    else:
        premium = fee + clamp if fee > 0.0001 else fee - clamp
    return round(premium, 10)


def meta_reply(call: Call, moment: Moment, *, with_contexts: bool) -> Reply:
    """`meta`, or with the contexts `metaAndAssetCtxs`: two lists joined by position."""
    dex = call.params.get("dex") or ""
    markets = [m for m in moment.dataset.known(NAME, moment.now_ms) if dex_of(m.symbol) == dex]
    if dex and not markets:
        return Reply(None, status=500, weight=CALL_WEIGHT)
    universe = [_universe_entry(m, moment) for m in markets]
    leverages = sorted({entry["marginTableId"] for entry in universe})
    meta = {
        "universe": universe,
        "marginTables": [
            [
                leverage,
                {
                    "description": "",
                    "marginTiers": [{"lowerBound": "0.0", "maxLeverage": leverage}],
                },
            ]
            for leverage in leverages
        ],
        "collateralToken": 0,
    }
    if not with_contexts:
        return Reply(meta, rows=universe, weight=CALL_WEIGHT)
    contexts = [_context(m, moment.now_ms) for m in markets]
    return Reply([meta, contexts], rows=contexts, rate_field="funding", weight=CALL_WEIGHT)


def _size_decimals(symbol: str) -> int:
    """About a dollar is the smallest size, as on the exchange."""
    asset, units = asset_of(_name(symbol))
    return min(5, max(0, floor(log10(mark_price(asset, 0) * units)) + 1))


def _universe_entry(market: SandboxMarket, moment: Moment) -> dict[str, Any]:
    leverage = {"BTC": 40, "ETH": 25, "SOL": 20}.get(market.symbol, 10)
    entry: dict[str, Any] = {
        "szDecimals": _size_decimals(market.symbol),
        "name": market.symbol,
        "maxLeverage": leverage,
        "marginTableId": leverage,
    }
    if market.is_delisted(moment.now_ms):
        entry["isDelisted"] = True
    if ":" in market.symbol:
        entry["growthMode"] = "enabled"
        entry["lastFeeScaleChangeTime"] = "2025-11-23T17:37:10.033211662"
        entry["deployerFeeScale"] = "1.0"
    return entry


def _price_text(price: float, size_decimals: int) -> str:
    """Five significant digits, at most 6 - szDecimals decimals; whole numbers always allowed."""
    decimals = min(6 - size_decimals, max(0, 4 - floor(log10(price))))
    return pointed(round(price, decimals))


def _context(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    asset, units = asset_of(_name(market.symbol))
    hour = now_ms // HOUR_MS
    decimals = _size_decimals(market.symbol)
    if market.is_delisted(now_ms):
        last = _price_text(
            mark_price(asset, (market.delisted_ms or 0) // HOUR_MS) * units, decimals
        )
        return {
            "funding": "0.0",
            "openInterest": "0.0",
            "prevDayPx": last,
            "dayNtlVlm": "0.0",
            "premium": None,
            "oraclePx": last,
            "markPx": last,
            "midPx": None,
            "impactPxs": None,
            "dayBaseVlm": "0.0",
        }
    rate = market.running_rate(now_ms)
    premium = premium_of(market, rate, now_ms)
    mark = mark_price(asset, hour) * units
    volume = day_volume_usd(asset, hour)
    price = _price_text(mark, decimals)
    return {
        "funding": pointed(rate),
        "openInterest": pointed(round(open_interest_usd(asset, hour) / mark, decimals)),
        "prevDayPx": _price_text(mark_price(asset, hour - 24) * units, decimals),
        "dayNtlVlm": pointed(round(volume, 6)),
        "premium": pointed(premium),
        "oraclePx": _price_text(mark * (1 - premium), decimals),
        "markPx": price,
        "midPx": price,
        "impactPxs": [
            _price_text(mark * 0.9999, decimals),
            _price_text(mark * 1.0001, decimals),
        ],
        "dayBaseVlm": pointed(round(volume / mark, decimals)),
    }


def perp_dexs(moment: Moment) -> list[dict[str, Any] | None]:
    """`null` for the own dex, then one entry per builder dex."""
    markets = moment.dataset.known(NAME, moment.now_ms)
    dexes = dict.fromkeys(dex_of(market.symbol) for market in markets)
    account = "0x" + "0" * 40
    return [
        None,
        *(
            {
                "name": dex,
                "fullName": _DEX_NAMES.get(dex, dex),
                "deployer": account,
                "oracleUpdater": None,
                "feeRecipient": None,
                "assetToStreamingOiCap": [
                    [market.symbol, "100000000.0"]
                    for market in markets
                    if dex_of(market.symbol) == dex
                ],
                "assetToFundingMultiplier": [
                    [market.symbol, "0.5"] for market in markets if dex_of(market.symbol) == dex
                ],
            }
            for dex in dexes
            if dex
        ),
    ]


def predicted_fundings(moment: Moment) -> list[list[Any]]:
    """The coming rate of every own coin here and, where listed, on two other exchanges."""
    markets = moment.dataset.known(NAME, moment.now_ms)
    return [
        [
            market.symbol,
            [
                ["BinPerp", _relayed(moment, "binance", market.symbol)],
                ["HlPerp", _prediction(market, moment.now_ms)],
                ["BybitPerp", _relayed(moment, "bybit", market.symbol)],
            ],
        ]
        for market in sorted(markets, key=lambda m: m.symbol)
        if ":" not in market.symbol
    ]


def _relayed(moment: Moment, exchange: str, coin: str) -> dict[str, Any] | None:
    market = counterpart(moment.dataset, exchange, coin, moment.now_ms)
    return None if market is None else _prediction(market, moment.now_ms)


def _prediction(market: SandboxMarket, now_ms: int) -> dict[str, Any]:
    rate = 0.0 if market.is_delisted(now_ms) else market.running_rate(now_ms)
    return {
        "fundingRate": pointed(rate),
        "nextFundingTime": market.next_settlement_ms(now_ms),
        "fundingIntervalHours": market.interval_hours_at(now_ms),
    }
