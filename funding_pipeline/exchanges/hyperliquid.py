"""Hyperliquid, its HIP-3 builder dexes included.

Source: hyperliquid.gitbook.io (info endpoint, rate limits), the official Python SDK, recorded
responses of 2023-07 and 2026-09.

One endpoint, POST /info, the request type in the body. Settled history: ascending, both ends
inclusive, 500 rows a page (1,038 in 2023). Rates are fractions per hour; before 2023-06-08T01:00Z
they settled every 8 h. Stamps are settlement times with a jitter of 0-100 ms, minutes at times.
Published HIP-3 rates already include the dex's funding multiplier (likely: the observed baseline
of xyz is half the usual one). Weight: 20 a call, history one more per 20 rows returned.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError, PermanentError
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
from funding_pipeline.exchanges.paging import PagePlan, ascending
from funding_pipeline.exchanges.wire import decode, notional, number, optional_number

SPEC = ExchangeSpec(
    name="hyperliquid",
    title="Hyperliquid",
    origins={"": "https://api.hyperliquid.xyz"},
    api_docs="https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint",
    rate_unit=RateUnit.FRACTION,
    interval=FixedInterval(((0, 8), (1_686_186_000_000, 1))),  # 2023-06-08T01:00Z
    max_abs_rate=0.04,  # documented cap: 4 % an hour
    page_rows=500,
    page_weight=45,
    limits=(RateLimit(1200, 60.0),),
)

_CALL_WEIGHT = 20
_ROWS_PER_WEIGHT = 20


class _Funding(msgspec.Struct):
    coin: str
    fundingRate: str
    time: int


class _Dex(msgspec.Struct):
    name: str


class _Asset(msgspec.Struct):
    name: str
    isDelisted: bool = False


class _Meta(msgspec.Struct):
    universe: list[_Asset]
    collateralToken: int = 0


class _Context(msgspec.Struct):
    funding: str
    openInterest: str
    dayNtlVlm: str
    markPx: str | None = None
    oraclePx: str | None = None


_HISTORY = msgspec.json.Decoder(list[_Funding])
_DEXES = msgspec.json.Decoder(list[_Dex | None])
_META = msgspec.json.Decoder(tuple[_Meta, list[_Context]])


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page; `time` is the settlement in ms."""
    rows = decode(body, _HISTORY, SPEC.name, "fundingHistory")
    return [RawSettlement(row.coin, row.time, row.fundingRate) for row in rows]


def parse_dexes(body: bytes) -> list[str]:
    """Names of all dexes; the main one, sent as null, is the empty name."""
    return [dex.name if dex else "" for dex in decode(body, _DEXES, SPEC.name, "perpDexs")]


def parse_meta(body: bytes) -> list[tuple[_Asset, _Context, int]]:
    """Each asset with its context (joined by index) and the dex's collateral token."""
    meta, contexts = decode(body, _META, SPEC.name, "metaAndAssetCtxs")
    if len(meta.universe) != len(contexts):
        detail = f"{len(meta.universe)} assets but {len(contexts)} contexts"
        raise MalformedResponseError(SPEC.name, "metaAndAssetCtxs", detail, "$[1]")
    return [
        (asset, context, meta.collateralToken)
        for asset, context in zip(meta.universe, contexts, strict=True)
    ]


def parse_markets(body: bytes) -> list[Market]:
    """The markets of one dex; HIP-3 names keep their prefix, their symbol goes without."""
    markets = []
    for asset, _, collateral in parse_meta(body):
        symbol, multiplier = unify(asset.name.rpartition(":")[2])
        settle = "USDC" if collateral == 0 else f"token {collateral}"
        markets.append(
            Market(
                market=asset.name,
                symbol=symbol,
                multiplier=multiplier,
                quote="USD",
                settle=settle,
                live=not asset.isDelisted,
                interval_hours=1,
                rate_cap=SPEC.max_abs_rate,
                rate_floor=-SPEC.max_abs_rate,
            )
        )
    return markets


def parse_estimates(body: bytes) -> list[Estimate]:
    """Running hourly estimates of one dex's live markets. Open interest is in base units."""
    estimates = []
    for index, (asset, context, _) in enumerate(parse_meta(body)):
        if asset.isDelisted:
            continue
        mark = optional_number(context.markPx)
        interest = optional_number(context.openInterest)
        rate = number(context.funding, SPEC.name, "metaAndAssetCtxs", f"$[1][{index}].funding")
        estimates.append(
            Estimate(
                market=asset.name,
                rate=rate,
                raw_rate=context.funding,
                interval_hours=1,
                mark_price=mark,
                index_price=optional_number(context.oraclePx),
                open_interest_usd=notional(interest, mark),
                volume_24h_usd=optional_number(context.dayNtlVlm),
            )
        )
    return estimates


class Hyperliquid:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """The main dex and every builder dex, one call each."""
        markets: list[Market] = []
        for dex in parse_dexes((yield _info("perpDexs"))):
            markets += parse_markets((yield _meta(dex)))
        return markets

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with startTime <= time <= endTime, both inclusive."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            hours = (rest.end_ms - rest.start_ms) // HOUR_MS + 1
            rows = min(hours, SPEC.page_rows)
            weight = _CALL_WEIGHT + -(-rows // _ROWS_PER_WEIGHT)
            return parse_history(
                (
                    yield _info(
                        "fundingHistory",
                        weight,
                        coin=market.market,
                        startTime=rest.start_ms,
                        endTime=rest.end_ms - 1,
                    )
                )
            )

        return ascending(page, window)

    def estimates(self) -> EstimatesPlan:
        """Running estimates of every dex, one call each."""
        estimates: list[Estimate] = []
        for dex in parse_dexes((yield _info("perpDexs"))):
            estimates += parse_estimates((yield _meta(dex)))
        return estimates

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """An unknown coin answers 500 with the body null."""
        if status == 500 and body.strip() == b"null":
            asked = dict(request.body or {})
            return PermanentError(SPEC.name, request.endpoint, f"unknown coin in {asked}")
        return None


def _meta(dex: str) -> Request:
    return _info("metaAndAssetCtxs", dex=dex) if dex else _info("metaAndAssetCtxs")


def _info(kind: str, weight: int = _CALL_WEIGHT, **fields: str | int) -> Request:
    return Request(
        endpoint=kind, path="/info", method="POST", body={"type": kind, **fields}, weight=weight
    )
