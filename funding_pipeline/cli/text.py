"""How results look: aligned tables for people, plain values for JSON.

Belongs here: words, percent, h:mm. Does not: queries. No rich here: these tables are also read
through pipes, where nothing may be cut to a width, and importing it takes longer than printing.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.warehouse.status import NEVER, ExchangeStatus, Status

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS_HEAD = (
    "exchange", "status", "last settlement", "lag", "live markets", "overdue", "coverage",
    "last run", "last success",
)  # fmt: skip
_EXCHANGES_HEAD = (
    "name", "title", "unit", "interval", "rows a page", "limits", "facts", "docs"
)  # fmt: skip
_INTERVAL_WORDS = {"declared": "each market's own, declared", "row": "in each row"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def status_lines(status: Status, wrong: Sequence[str], path: Path, now: datetime) -> Iterator[str]:
    """The verdict first; then the published state, what is wrong, and what coverage means."""
    yield verdict(status, wrong)
    if status.published is None or status.age_s is None:
        yield f"Nothing is published yet: there is no {path}."
        yield "Start with `funding backfill`, or let `dagster dev` run past the next full hour."
        return
    invented = "; SANDBOX DATA, not real rates" if status.origin == "sandbox" else ""
    yield f"{path}: published {_moment(status.published)} UTC, {_ago(status.age_s)}{invented}"
    yield ""
    yield from table(_STATUS_HEAD, [_status_row(e, now) for e in status.exchanges])
    yield ""
    yield from wrong
    told = "".join(wrong)
    for exchange in status.exchanges:
        if exchange.last_error and exchange.status != "ok" and exchange.last_error not in told:
            yield f"{exchange.name}: {exchange.last_error}"
        for load in exchange.open_loads:
            state = "running" if load.state == "running" else "interrupted, or stuck"
            yield (
                f"{exchange.name}: load {load.load_id} ({load.reason}) since "
                f"{_moment(load.started)}: {state}"
            )
    yield (
        "Coverage: hours of the last 30 days that were asked and answered, of all hours in which "
        "the live markets were listed."
    )


def verdict(status: Status, wrong: Sequence[str]) -> str:
    """One line: all well, or how much is wrong."""
    if wrong:
        return f"NOT WELL: {wrong[0] if len(wrong) == 1 else f'{len(wrong)} things, see below'}"
    partial = [exchange.name for exchange in status.exchanges if exchange.status == "partial"]
    return f"all well; in part: {', '.join(partial)}" if partial else "all well"


def _status_row(exchange: ExchangeStatus, now: datetime) -> tuple[str, ...]:
    never = exchange.status == NEVER
    return (
        exchange.name,
        exchange.status,
        _moment(exchange.last_settlement),
        "-" if exchange.lag_s is None else hours_minutes(exchange.lag_s),
        "-" if never else f"{exchange.markets_live:,}",
        "-" if never else f"{exchange.markets_stale:,}",
        "-" if exchange.coverage_30d is None else percent(exchange.coverage_30d),
        _since(exchange.last_run, now),
        _since(exchange.last_success, now),
    )


def hours_minutes(seconds: int) -> str:
    """h:mm, full minutes."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}"


def percent(fraction: float) -> str:
    """One decimal, rounded down: 100.0 % means all of it."""
    # The small term keeps 0.999 from being 99.8 by binary rounding.
    return f"{floor(fraction * 1000 + 1e-9) / 10:.1f} %"


def as_plain(status: Status, wrong: Sequence[str]) -> dict[str, Any]:
    """The status as JSON values: the field names are the keys, times end in Z."""
    found = {"well": not wrong, "verdict": verdict(status, wrong), "reasons": list(wrong)}
    return found | {key: _plain(value) for key, value in dataclasses.asdict(status).items()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds") + "Z"
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def declaration(spec: ExchangeSpec) -> dict[str, Any]:
    """What an exchange declares, as JSON values."""
    return {
        "name": spec.name,
        "title": spec.title,
        "rate_unit": spec.rate_unit.name.lower(),
        "sign": spec.sign,
        "interval": interval_words(spec.interval),
        "page_rows": spec.page_rows,
        "limits": [dataclasses.asdict(limit) for limit in spec.limits],
        "experimental": spec.experimental,
        "docs": spec.api_docs,
    }


def exchange_lines(declared: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Declarations as a table; limits are weight per time, a request costs one or more."""
    rows = [
        (
            d["name"],
            d["title"],
            d["rate_unit"],
            d["interval"],
            f"{d['page_rows']:,}",
            ", ".join(f"{x['weight']:,} per {x['seconds']:g} s" for x in d["limits"]) or "none",
            "experimental" if d["experimental"] else "sure",
            d["docs"],
        )
        for d in declared
    ]
    yield from table(_EXCHANGES_HEAD, rows)
    doubtful = [d for d in declared if d["experimental"]]
    if doubtful:
        yield ""
        yield "Experimental ones are off unless named, or all of them with FUNDING_EXPERIMENTAL=on:"
        yield from (f"  {d['name']}: {d['experimental']}" for d in doubtful)


def interval_words(interval: FixedInterval | str) -> str:
    """The interval rule, its newest era first: "1 h (8 h before 2023-06-08)"."""
    if not isinstance(interval, FixedInterval):
        return _INTERVAL_WORDS[interval]
    (_, hours), *_ = eras = interval.eras[::-1]
    earlier = [
        f"{before} h before {(_EPOCH + timedelta(milliseconds=since)).date()}"
        for (since, _), (_, before) in pairwise(eras)
    ]
    return f"{hours} h" + (f" ({', '.join(earlier)})" if earlier else "")


def _moment(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}"


def _since(time: datetime | None, now: datetime) -> str:
    return "-" if time is None else _ago(int((now - time).total_seconds()))


def _ago(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{max(0, seconds)} s ago"
