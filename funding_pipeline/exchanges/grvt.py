"""GRVT, USDT-settled perpetuals.

Source: api-docs.grvt.io (market data), the schema of gravity-technologies/grvt-pysdk, public
captures of 2026-07 and 2026-09.

POST with a JSON body throughout. Settled history: newest first, at most 1000 rows, `start_time` and
`end_time` in nanoseconds as text, both inclusive. Rates are PERCENT per `funding_interval_hours`,
which each row carries; 8-hour markets rest at 0.01. `agg_type` FUNDING_INTERVAL (the default) is
asked for by name: the others add several settlements up. `funding_rate_8_h_avg` is no average but
the same value. Captures of 2025-10 hold a row for every minute with an interval of 0 hours: those
are running rates, no settlements, and are left out. Caps are percent per interval, too.

Only markets that trade are listed, `create_time` is the time of the exchange's last restart, and
`asset_class` is UNSPECIFIED everywhere, so none of these is taken. There is no call for the running
estimates of all markets. Limits: 1500 light requests a minute (the header tells 1500; ccxt keeps to
25 a second), of which one for history costs three.
"""

import msgspec

from funding_pipeline.domain.errors import ExchangeError, MalformedResponseError
from funding_pipeline.domain.rates import RateUnit, fraction
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.domain.symbols import unify
from funding_pipeline.exchanges.base import (
    EstimatesPlan,
    ExchangeSpec,
    HistoryPlan,
    MarketsPlan,
    RateLimit,
    Request,
)
from funding_pipeline.exchanges.paging import PagePlan, descending
from funding_pipeline.exchanges.refusals import coded
from funding_pipeline.exchanges.wire import decode, optional_number

SPEC = ExchangeSpec(
    name="grvt",
    title="GRVT",
    origins={"": "https://market-data.grvt.io"},
    api_docs="https://api-docs.grvt.io/market_data_api/#funding-rate",
    rate_unit=RateUnit.PERCENT,
    stamp_unit="ns",
    interval="row",
    max_abs_rate=0.05,  # widest cap: 2 % (instruments of 2026-09)
    page_rows=1000,
    page_weight=3,
    limits=(RateLimit(1500, 60.0),),
    samples_estimates=False,
)
_NS_PER_MS = 1_000_000
# Coins traded by the thousand, with a capital K (currencies of the documentation, marks compared
# with 1000PEPE elsewhere). A list and no rule: KAITO and KAS are coins of their own.
_THOUSANDS = frozenset({"KPEPE", "KBONK", "KSHIB", "KFLOKI"})


class _Instrument(msgspec.Struct):
    instrument: str
    base: str
    quote: str
    kind: str
    funding_interval_hours: int
    adjusted_funding_rate_cap: str | None = None
    adjusted_funding_rate_floor: str | None = None


class _Instruments(msgspec.Struct):
    result: list[_Instrument]


class _Funding(msgspec.Struct):
    instrument: str
    funding_rate: str
    funding_time: int
    funding_interval_hours: int
    mark_price: str = ""


class _Fundings(msgspec.Struct):
    result: list[_Funding]


_INSTRUMENTS = msgspec.json.Decoder(_Instruments)
# strict=False: stamps arrive as text. A rate that arrives as a number is still an error.
_FUNDINGS = msgspec.json.Decoder(_Fundings, strict=False)


def _unified(base: str) -> tuple[str, int]:
    return unify("k" + base[1:] if base in _THOUSANDS else base)


def _bound(text: str | None) -> float | None:
    """Percent per interval as a fraction."""
    if text is None or optional_number(text) is None:
        return None
    return fraction(text, RateUnit.PERCENT)


def parse_markets(body: bytes) -> list[Market]:
    """Perpetuals among the active instruments."""
    markets = []
    for index, item in enumerate(decode(body, _INSTRUMENTS, SPEC.name, "all_instruments").result):
        if item.kind != "PERPETUAL":
            continue
        if item.funding_interval_hours <= 0:
            detail = f"{item.instrument}: an interval of {item.funding_interval_hours} hours"
            field = f"$.result[{index}].funding_interval_hours"
            raise MalformedResponseError(SPEC.name, "all_instruments", detail, field)
        symbol, multiplier = _unified(item.base)
        markets.append(
            Market(
                market=item.instrument,
                symbol=symbol,
                multiplier=multiplier,
                quote=item.quote,
                settle=item.quote,
                interval_hours=item.funding_interval_hours,
                rate_cap=_bound(item.adjusted_funding_rate_cap),
                rate_floor=_bound(item.adjusted_funding_rate_floor),
            )
        )
    return markets


def parse_history(body: bytes) -> list[RawSettlement]:
    """Settled rows of one page, each with its interval."""
    return [
        RawSettlement(
            row.instrument,
            row.funding_time // _NS_PER_MS,
            row.funding_rate,
            interval_hours=row.funding_interval_hours,
            mark_price=optional_number(row.mark_price),
        )
        for row in decode(body, _FUNDINGS, SPEC.name, "funding").result
        if row.funding_interval_hours > 0
    ]


class Grvt:
    """The exchange as the engine sees it."""

    spec = SPEC

    def markets(self) -> MarketsPlan:
        """All active instruments, one call."""
        return parse_markets((yield _post("all_instruments", {"is_active": True})))

    def history(self, market: Market | None, window: Window) -> HistoryPlan:
        """Settlements with start_time <= stamp <= end_time."""
        assert market is not None, "history is per market here"

        def page(rest: Window) -> PagePlan:
            asked: dict[str, str | int | bool] = {
                "instrument": market.market,
                "start_time": str(rest.start_ms * _NS_PER_MS),
                "end_time": str(rest.end_ms * _NS_PER_MS - 1),
                "limit": SPEC.page_rows,
                "agg_type": "FUNDING_INTERVAL",
            }
            return parse_history((yield _post("funding", asked, weight=SPEC.page_weight)))

        return descending(
            page, window, interval_hours=market.interval_hours, page_rows=SPEC.page_rows
        )

    def estimates(self) -> EstimatesPlan:
        """Not to be had: tickers are told one by one."""
        raise NotImplementedError("no call for the estimates of all markets")
        yield

    def refusal(self, request: Request, status: int, body: bytes) -> ExchangeError | None:
        """An error has a code and a status of its own; good answers have no code."""
        if status == 200:
            return None
        return coded(
            SPEC, request, status, body, code="code", text="message", good=(), too_often={"1006"}
        )


def _post(endpoint: str, asked: dict[str, str | int | bool], weight: int = 1) -> Request:
    return Request(
        endpoint=endpoint, path=f"/full/v1/{endpoint}", method="POST", body=asked, weight=weight
    )
