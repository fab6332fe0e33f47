"""Every fault of the sandbox against every exchange: what came of it, in one table.

Run: python -m funding_pipeline_tests.end_to_end.fault_matrix [FAULT]...

A cell is right when the run under the fault ended as a user would want, and a run after it left
exactly the settlements that a run without any fault finds: none lost, doubled or wrong.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx

from funding_pipeline.collection import client
from funding_pipeline.collection.estimates import sample_estimates
from funding_pipeline.collection.report import LoadReport
from funding_pipeline.domain.grid import DAY_MS, HOUR_MS
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import select
from funding_pipeline.sandbox.faults import FaultPlan, parse_faults
from funding_pipeline.sandbox.server import load_dataset, running_sandbox
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline_tests.end_to_end.support import collect, sandbox_settings

MARKETS = 4
# After the window's start; the interval changes at a settlement.
EVENT_MS, AGAIN_MS, CHANGE_MS = 12 * HOUR_MS, 30 * HOUR_MS, 16 * HOUR_MS
Rows = dict[tuple[str, str, str], float]

# A few requests suffer; the rest of the run must not notice.
PASSING: dict[str, dict[str, Any]] = {
    "timeout": {"seconds": 2, "times": 1},
    "reset": {"times": 2},
    "http_500": {"times": 2},
    "http_502": {"times": 2},
    "http_503": {"times": 2},
    "rate_limited": {"times": 2, "retry_after": 1},
    "truncated_json": {"times": 2},
    "duplicate_rows": {},
    "shuffled_rows": {},
    "page_limit": {"rows": 7},
}
# Every request suffers.
BLOCKING = ("geo_block", "legal_block", "html_200")
MALFORMING = ("wrong_type", "missing_field")
BAD_ROWS = ("nan_rate", "empty_rate")
# Faults of pages; Hyperliquid's estimates are joined by index and have none.
OF_PAGES = ("duplicate_rows", "shuffled_rows", "page_limit")
# A row of the window: the context around it is never stored, and its bad rows are nobody's loss.
BAD_ROW = {"hyperliquid": 5, "lighter": 5, "bybit": 5, "binance": 16}
HISTORY = {
    "hyperliquid": "fundingHistory",
    "lighter": "fundings",
    "paradex": "funding/data",
    "variational": "no history",
    "binance": "fundingRate",
    "bybit": "funding/history",
}
# Events of one market; where the interval is fixed it cannot change.
EVENTS = ("delisted", "relisted", "renamed", "interval_change")
CHANGING = ("binance", "bybit")
FAULTS = (*PASSING, *BLOCKING, *MALFORMING, *BAD_ROWS, "late_correction", *EVENTS)


def window() -> Window:
    """Two complete days, three days back."""
    today = int(time.time() * 1000) // DAY_MS * DAY_MS
    return Window(today - 4 * DAY_MS, today - 2 * DAY_MS)


def rules(kind: str) -> list[dict[str, Any]]:
    """The fault, once for each exchange, so that each has counters of its own."""
    fields = dict(PASSING.get(kind, {}))
    middle = window().start_ms + DAY_MS
    if kind in EVENTS:
        fields = {
            "time": window().start_ms + (CHANGE_MS if kind == "interval_change" else EVENT_MS)
        }
    found = []
    for exchange in CHANGING if kind == "interval_change" else HISTORY:
        rule = {"kind": kind, "exchange": exchange, **fields}
        if kind in OF_PAGES:
            rule["endpoint"] = HISTORY[exchange]
        if kind in BAD_ROWS:
            rule["row"] = BAD_ROW.get(exchange, 0)
        if kind in EVENTS:
            rule["market"] = _second_market(exchange)
        if kind == "relisted":
            rule["until"] = window().start_ms + AGAIN_MS
        if kind == "interval_change":
            rule["hours"] = 4
        if kind == "renamed":
            rule["to"] = _renamed(exchange)
        if kind == "late_correction":
            rule |= {"endpoint": HISTORY[exchange], "after": 0, "time": middle}
        found.append(rule)
    return found


def _second_market(exchange: str) -> str:
    return load_dataset(None, markets=MARKETS).markets[exchange][1].symbol


def _renamed(exchange: str) -> str:
    return _second_market(exchange).replace("ETH", "ETHNEW")


@contextmanager
def sandbox(kind: str | None) -> Iterator[str]:
    faults = FaultPlan(parse_faults(json.dumps(rules(kind) if kind else [])))
    with running_sandbox(load_dataset(None, markets=MARKETS), faults=faults) as url:
        yield url


def settlements(folder: Path) -> dict[str, Rows]:
    """Rate by (market, time), exchange by exchange; a doubled row raises."""
    found: dict[str, Rows] = {name: {} for name in HISTORY}
    with duckdb.connect(str(folder / "history.duckdb"), read_only=True) as connection:
        rows = connection.sql(
            """SELECT exchange, market, CAST(funding_time AS VARCHAR), kind, rate
            FROM funding_rates"""
        ).fetchall()
    for exchange, market, stamp, kind, rate in rows:
        key = (market, stamp, kind)
        if key in found[exchange]:
            raise AssertionError(f"doubled: {exchange} {key}")
        found[exchange][key] = rate
    return found


def truth() -> dict[str, Rows]:
    """What a run without faults finds."""
    with tempfile.TemporaryDirectory() as folder, sandbox(None) as url:
        collect(sandbox_settings(Path(folder), url), window(), HISTORY)
        return settlements(Path(folder))


def run_fault(kind: str, right: dict[str, Rows]) -> dict[str, str]:
    """By exchange: "ok: …" or "WRONG: …", under one fault for all of them at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "late_correction":
            with sandbox(None) as url:
                collect(sandbox_settings(folder, url), window(), HISTORY)
        with sandbox(kind) as url:
            settings = sandbox_settings(folder, url)
            reports = collect(settings, window(), HISTORY, refetch=kind == "late_correction")
            sampled = sample_estimates(select(settings, HISTORY), settings, Database(settings))
            samples = {sample.exchange: sample for sample in sampled}
            revised = _revisions(folder)
        under_fault = settlements(folder)
        hours = _intervals(folder)
        if kind not in EVENTS:
            with sandbox(None) as url:
                collect(sandbox_settings(folder, url), window(), HISTORY, refetch=True)
        after = settlements(folder)
    cells = {}
    for exchange, report in reports.items():
        if exchange == "variational":
            cells[exchange] = _sampled(kind, samples[exchange].error, samples[exchange].markets)
            continue
        verdict = _ended(kind, report, revised.get(exchange, 0))
        if verdict is None and kind == "interval_change":
            verdict = _changed(exchange, right[exchange], under_fault[exchange], hours)
        if verdict is None:
            verdict = _left(kind, exchange, right[exchange], under_fault[exchange], after[exchange])
        cells[exchange] = verdict
    return cells


def _ended(kind: str, report: LoadReport, revised: int) -> str | None:
    """What is wrong with how the run under the fault ended."""
    error = report.error or next(iter(report.failures.values()), "")
    computed = report.exchange == "paradex"  # its rows are computed: a bad number spoils the answer
    if kind in BLOCKING:
        good = report.outcome == "failed" and "blocked from this location" in error
    elif kind in MALFORMING or (kind in BAD_ROWS and computed):
        good = report.outcome == "failed" and "malformed answer" in error and "field $" in error
    elif kind in BAD_ROWS:
        good = report.outcome == "complete" and report.counts.quarantined > 0
    elif kind == "late_correction":
        good = report.outcome == "complete" and report.counts.changed == revised > 0
    else:
        good = report.outcome == "complete"
    return None if good else f"WRONG: {report.outcome}, {error or report.counts}"


def _left(kind: str, exchange: str, right: Rows, under_fault: Rows, after: Rows) -> str:
    """What the tables hold, under the fault and after it."""
    if kind in PASSING and under_fault != right:
        return f"WRONG: {len(under_fault)} of {len(right)} rows under the fault"
    computed_anew = kind == "relisted" and exchange == "paradex"
    expects_others = kind in ("late_correction", "renamed") or computed_anew
    if not expects_others and not under_fault.items() <= right.items():
        return "WRONG: a rate that nobody settled"
    if kind == "relisted":
        # The sandbox's Paradex accrues with its samples: up to six hours on, three hours late.
        late_ms = 3 * HOUR_MS if exchange == "paradex" else 0
        start, end = (timestamp(window().start_ms + ms) for ms in (EVENT_MS, AGAIN_MS + late_ms))
        paused = {
            (market, stamp, kind_)
            for market, stamp, kind_ in right
            if market == _second_market(exchange) and str(start) < stamp <= str(end)
        }
        missing = right.keys() - under_fault.keys()
        whole = missing <= paused if exchange == "paradex" else missing == paused
        if not whole or not missing or not under_fault.keys() <= right.keys():
            return "WRONG: more or less than the pause is missing"
        return f"ok: {len(under_fault)} rows, {len(missing)} fewer in the pause"
    if kind == "delisted":
        dead = _second_market(exchange)
        gone = {key for key in right if key[0] == dead} - set(under_fault)
        others = {key: rate for key, rate in right.items() if key[0] != dead}
        if not gone or not others.items() <= under_fault.items():
            return "WRONG: rows after the delisting, or another market's are missing"
        return f"ok: {len(under_fault)} rows, the delisted market ends"
    if kind == "renamed":
        old, new = _second_market(exchange), _renamed(exchange)
        expected = {(new if m == old else m, t, k): rate for (m, t, k), rate in right.items()}
        # Paradex's rates are computed over a price, and the new name has another one here.
        tolerance = 0.01 if exchange == "paradex" else 0.0
        if under_fault.keys() != expected.keys() or any(
            abs(under_fault[key] - rate) > tolerance * abs(rate) for key, rate in expected.items()
        ):
            return "WRONG: not the whole history under the new name"
        return f"ok: {len(under_fault)} rows, all under the new name"
    if after != right:
        return f"WRONG: {len(after)} of {len(right)} rows right after the fault"
    return f"ok: {len(under_fault)} of {len(right)} rows under the fault, all after it"


def _changed(
    exchange: str, right: Rows, under_fault: Rows, hours: dict[tuple[str, str, str], int]
) -> str:
    """8 h up to the change, 4 h after it, and the other markets as they were."""
    if exchange not in CHANGING:
        return "ok: the interval is fixed" if under_fault == right else "WRONG: other rows"
    market, change = _second_market(exchange), str(timestamp(window().start_ms + CHANGE_MS))
    others = {key: rate for key, rate in right.items() if key[0] != market}
    found = {
        stamp: paid for (name, m, stamp), paid in hours.items() if (name, m) == (exchange, market)
    }
    wrong = [stamp for stamp, paid in found.items() if paid != (8 if stamp <= change else 4)]
    if wrong or not others.items() <= under_fault.items():
        return f"WRONG: interval at {wrong}, or another market's rows"
    return f"ok: 8 h until {change}, 4 h after it, {len(found)} settlements"


def _intervals(folder: Path) -> dict[tuple[str, str, str], int]:
    with duckdb.connect(str(folder / "history.duckdb"), read_only=True) as connection:
        rows = connection.sql(
            """SELECT exchange, market, CAST(funding_time AS VARCHAR), interval_hours
            FROM funding_rates"""
        ).fetchall()
    return {(exchange, market, stamp): hours for exchange, market, stamp, hours in rows}


def _sampled(kind: str, error: str | None, markets: int) -> str:
    """Variational has no history: the sample of estimates is what a fault can spoil."""
    if kind in BLOCKING:
        good = error is not None and "blocked from this location" in error
    elif kind in MALFORMING or kind in BAD_ROWS:
        good = error is not None and "malformed answer" in error
    elif kind == "delisted":
        good = error is None and markets == MARKETS - 1
    elif kind == "renamed":
        good = error is None  # the new name is sampled once the list has brought it
    else:
        good = error is None and markets == MARKETS
    said = error or f"{markets} markets sampled"
    return f"{'ok' if good else 'WRONG'}: {said}"


def _revisions(folder: Path) -> dict[str, int]:
    with duckdb.connect(str(folder / "history.duckdb"), read_only=True) as connection:
        return dict(
            connection.sql(
                """SELECT exchange, count(*) FROM rate_revisions JOIN markets USING (market_id)
                WHERE reason = 'exchange' GROUP BY exchange"""
            ).fetchall()
        )


@contextmanager
def impatient() -> Iterator[None]:
    """Half a second instead of thirty until a request counts as timed out."""
    before = client._TIMEOUT
    client._TIMEOUT = httpx.Timeout(0.7)
    try:
        yield
    finally:
        client._TIMEOUT = before


def matrix(kinds: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    right = truth()
    for kind in kinds:
        if kind == "timeout":
            with impatient():
                yield kind, run_fault(kind, right)
        else:
            yield kind, run_fault(kind, right)


def main() -> int:
    wrong = 0
    for kind, cells in matrix(sys.argv[1:] or FAULTS):
        for exchange, verdict in cells.items():
            print(f"{kind:16} {exchange:12} {verdict[:140]}", flush=True)
            wrong += verdict.startswith("WRONG")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
