"""`funding verify`: ask an exchange a handful of things and show how its raw values become ours.

Belongs here: what is asked, the verdict, the lines a person reads. Does not: storing anything (it
opens no database), parsing (exchanges), waiting for a rate budget (collection). Imported only when
it runs.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import click

from funding_pipeline.cli.text import interval_words, table
from funding_pipeline.collection.access import http_client, origins, tls_context
from funding_pipeline.collection.budget import Priority, budget_of
from funding_pipeline.collection.client import ExchangeClient
from funding_pipeline.domain.errors import ExchangeError
from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.intervals import (
    FixedInterval,
    Observation,
    Slot,
    intervals,
)
from funding_pipeline.domain.rates import apr, rate_hourly
from funding_pipeline.domain.records import Estimate, Market, Quarantined, Slotted, Window
from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.base import Exchange, ExchangeSpec
from funding_pipeline.exchanges.registry import select
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import milliseconds, utc_now

GOOD, BAD = 0, 1
LOOK_BACK_MS = 48 * HOUR_MS
_SHOWN = 12
_HEAD = ("stamp as sent", "settles", "lag", "raw rate", "h", "rate", "per hour", "APR", "mark")


@dataclass(slots=True)
class Findings:
    """What was found; `error` is the first request that failed."""

    market: Market | None = None
    listed: int = 0
    live: int = 0
    rows: list[Slotted] = field(default_factory=list)
    hours: list[int | None] = field(default_factory=list)
    rejected: list[Quarantined] = field(default_factory=list)
    estimate: Estimate | None = None
    error: ExchangeError | None = None
    requests: int = 0
    weight: int = 0
    seconds: float = 0.0


def run_verify(name: str, market: str | None) -> int:
    """The exit code: 0 where everything asked for was answered and makes sense, else 1."""
    settings = Settings()
    try:
        (exchange,) = select(settings, [name])
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    now_ms = milliseconds(utc_now())
    for line in _declared(exchange.spec, origins(exchange, settings)):
        click.echo(line)
    found = asyncio.run(_ask(exchange, market, settings, now_ms))
    for line in _told(exchange.spec, found, market):
        click.echo(line)
    if exchange.spec.kind == "recorded":
        return GOOD if found.estimate else BAD
    return GOOD if found.error is None and found.rows and not found.rejected else BAD


async def _ask(exchange: Exchange, wanted: str | None, settings: Settings, now_ms: int) -> Findings:
    found = Findings()
    budget = budget_of(exchange.spec, settings, Priority.TICK)
    started = time.monotonic()
    async with http_client(exchange, settings, tls_context(settings)) as http:
        client = ExchangeClient(http, exchange, budget, origins(exchange, settings))
        try:
            await _ask_each(exchange, client, wanted, now_ms, found)
        except ExchangeError as error:
            found.error = error
        finally:
            budget.close()
    found.requests, found.weight = client.traffic.requests, client.traffic.weight
    found.seconds = time.monotonic() - started
    return found


async def _ask_each(
    exchange: Exchange, client: ExchangeClient, wanted: str | None, now_ms: int, found: Findings
) -> None:
    spec = exchange.spec
    markets: list[Market] = await client.run(exchange.markets())
    found.listed, found.live = len(markets), sum(m.live for m in markets)
    found.market = market = _chosen(markets, wanted)
    if market is None:
        return
    if spec.samples_estimates:
        estimates: list[Estimate] = await client.run(exchange.estimates())
        found.estimate = next((e for e in estimates if e.market == market.market), None)
    if spec.kind == "recorded":
        return
    window = Window(now_ms - LOOK_BACK_MS, now_ms)
    raw = await client.run(exchange.history(market, window))
    found.rows, found.rejected = validate(
        raw, unit=spec.rate_unit, max_abs_rate=spec.max_abs_rate, now_ms=now_ms
    )
    found.hours = _hours(spec, market, found.rows, now_ms)


def _chosen(markets: Sequence[Market], wanted: str | None) -> Market | None:
    """The one asked for; else Bitcoin's, else the first that trades."""
    if wanted is not None:
        return next((m for m in markets if m.market == wanted), None)
    live = [m for m in markets if m.live]
    return next((m for m in live if m.symbol == "BTC"), live[0] if live else None)


def _hours(
    spec: ExchangeSpec, market: Market, rows: Sequence[Slotted], now_ms: int
) -> list[int | None]:
    """As a load decides them, with today's declaration as the only observation."""
    fixed = spec.interval if isinstance(spec.interval, FixedInterval) else None
    declared = market.interval_hours
    seen = [] if declared is None else [Observation(now_ms, now_ms, declared)]
    slots = [
        Slot(row.slot_ms, row.raw.interval_hours or (fixed.at(row.slot_ms) if fixed else None))
        for row in rows
    ]
    return intervals(slots, seen)


def _declared(spec: ExchangeSpec, asked: dict[str, str]) -> Iterator[str]:
    limits = ", ".join(f"{x.weight:,} per {x.seconds:g} s" for x in spec.limits)
    yield f"{spec.title} ({', '.join(asked.values())})"
    yield f"  unit as sent   {spec.rate_unit.value} per interval, {spec.sign}"
    yield f"  interval       {interval_words(spec.interval)}"
    yield f"  stamps         {spec.stamp_unit}; they mark the {spec.stamp_edge} of the paid period"
    yield f"  limits         {limits}"
    if spec.look_back_days:
        yield f"  look-back      {spec.look_back_days} days"
    if spec.experimental:
        yield f"  EXPERIMENTAL   {spec.experimental}"
    yield f"  documentation  {spec.api_docs}"
    yield ""


def _told(spec: ExchangeSpec, found: Findings, wanted: str | None) -> Iterator[str]:
    yield f"{found.listed:,} markets listed, {found.live:,} of them live"
    if found.market is not None:
        yield from _market_lines(spec, found, found.market)
    for row in found.rejected:
        yield f"rejected: {row.raw.rate_text!r} at {_utc(row.raw.time_ms)}: {row.reason}"
    yield f"{found.requests} requests, weight {found.weight}, {found.seconds:.1f} s"
    yield f"verdict: {_verdict(spec, found, wanted)}"


def _market_lines(spec: ExchangeSpec, found: Findings, market: Market) -> Iterator[str]:
    thousands = f" x {market.multiplier:,}" if market.multiplier > 1 else ""
    yield (
        f"{market.market}: {market.symbol}{thousands} / {market.quote}, settles in {market.settle}"
        f", declared interval {market.interval_hours or 'none'} h"
    )
    rows = list(zip(found.rows, found.hours, strict=True))[-_SHOWN:]
    if rows:
        yield ""
        yield from table(_HEAD, [_row(row, hours) for row, hours in rows])
        yield ""
    if found.estimate is not None:
        e = found.estimate
        yield (
            f"running estimate: raw {e.raw_rate} -> {e.rate:.10g} per {e.interval_hours} h, "
            f"APR {_percent(apr(e.rate, e.interval_hours))}; never part of the settled history"
        )
        if e.open_interest_usd is not None:
            yield f"open interest, one side: {e.open_interest_usd:,.0f} USD"
    if found.rows and spec.kind == "settled":
        lags = [row.lag_ms / 1000 for row in found.rows]
        yield f"stamps {min(lags):.3f} to {max(lags):.3f} s after the hour"


def _row(row: Slotted, hours: int | None) -> tuple[str, ...]:
    raw = row.raw
    hourly = None if hours is None else rate_hourly(row.rate, hours)
    return (
        _utc(raw.time_ms),
        _utc(row.slot_ms)[:16],
        f"{row.lag_ms / 1000:+.3f} s",
        raw.rate_text,
        str(hours or "?"),
        f"{row.rate:.10g}",
        "-" if hourly is None else f"{hourly:.4e}",
        "-" if hours is None else _percent(apr(row.rate, hours)),
        "-" if raw.mark_price is None else f"{raw.mark_price:,.6g}",
    )


def _verdict(spec: ExchangeSpec, found: Findings, wanted: str | None) -> str:
    if found.error is not None:
        return str(found.error)
    if found.market is None:
        return f"no market {wanted}" if wanted else "no market is listed"
    if spec.kind == "recorded":
        shown = "is sampled before each boundary" if found.estimate else "IS MISSING"
        return f"there is no history to compare with; the estimate {shown}"
    if not found.rows:
        return "no data: the exchange answered, without settlements in the last 48 hours"
    if found.rejected:
        return (
            f"{len(found.rejected)} of {len(found.rows) + len(found.rejected)} rows make no sense"
        )
    return f"good: {len(found.rows)} settlements in the last 48 hours"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:+.4f} %"


def _utc(time_ms: int) -> str:
    seconds, ms = divmod(time_ms, 1000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{ms:03d}"
