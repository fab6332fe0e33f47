"""Whether a load brought as much as it should have: against the calendar, and against last week.

Belongs here: what is counted while a load goes, what is found at its end. Does not: finding single
missing settlements (gaps), comparing rates.

Thresholds, measured by an hourly tick over all recorded settlements: see `row_check_alarms` in the
tests. A finding names the likely cause; nothing waits for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb

from funding_pipeline.domain.calendar import due_within
from funding_pipeline.domain.records import Answered, RawSettlement, Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.exchanges.paging import Unproven
from funding_pipeline.warehouse.database import milliseconds
from funding_pipeline.warehouse.ledger import Event, Reason, record_events

WEEK = timedelta(days=7)
# A share of expected rows is compared where so many are expected, with so many loads before.
LEAST_EXPECTED = 20
LEAST_LOADS = 5
LEAST_SHARE = 0.5
LEAST_LISTED = 0.8
JUDGED: tuple[Reason, ...] = ("tick", "sweep", "backfill", "manual")
# Only these ask for the present, of which last week tells something.
_RECENT = ("tick", "sweep")


@dataclass(slots=True)
class Volume:
    """What a load was answered: rows, the windows they lie in, pages that may hide more."""

    rows: int = 0
    windows: list[tuple[str, Window]] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)

    def page(self, spec: ExchangeSpec, market: str | None, raw: Sequence[RawSettlement]) -> None:
        """Note an answer whose paging ended on a full page, with nothing behind it as proof."""
        if isinstance(raw, Unproven) and raw.last_page >= spec.page_rows:
            self.unproven.append(market or "all markets")

    def take(self, batch: Iterable[Answered]) -> None:
        """Count a batch as merged."""
        for answer in batch:
            self.rows += len(answer.rows)
            self.windows.append((answer.market, answer.window))


def judge(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    volume: Volume,
    *,
    load_id: int,
    reason: Reason,
    listed: int,
    now: datetime,
) -> list[str]:
    """What is wrong with a load's volume, in words; told as events and kept with the load.

    Settlements are expected of live markets, by their declared interval, from their first one on.
    """
    if reason not in JUDGED:
        return []
    expected = _expected(connection, spec, volume.windows, now)
    found = [
        *_nothing(volume.rows, expected),
        *_fewer_markets(connection, spec, listed, now),
        *(_fewer_rows(connection, spec, volume.rows, expected, now) if reason in _RECENT else ()),
        *_full_pages(volume.unproven),
    ]
    connection.execute(
        """UPDATE loads SET markets_listed = ?, rows_answered = ?, rows_expected = ?
        WHERE load_id = ?""",
        [listed, volume.rows, expected, load_id],
    )
    events = [Event("volume", None, text) for text in found]
    record_events(connection, spec.name, events, load_id, now)
    return found


def _expected(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    windows: Sequence[tuple[str, Window]],
    now: datetime,
) -> int:
    if spec.kind == "recorded":
        return 0  # what was not sampled is known to be missing
    lives = {
        market: (hours, milliseconds(since), None if last is None else milliseconds(last))
        for market, hours, since, last in connection.execute(
            """SELECT market, interval_hours,
                      coalesce(first_settlement, greatest(listed_at, $week_ago), $week_ago),
                      last_settlement
            FROM base.markets
            WHERE exchange = $exchange AND status = 'live' AND interval_hours IS NOT NULL""",
            {"exchange": spec.name, "week_ago": now - WEEK},
        ).fetchall()
    }
    return sum(
        due_within(Window(max(window.start_ms, since), window.end_ms), hours, last)
        for market, window in windows
        if market in lives
        for hours, since, last in [lives[market]]
    )


def _nothing(rows: int, expected: int) -> list[str]:
    if rows or not expected:
        return []
    return [
        f"no rows, though {expected:,} settlements were due: an outage, or its answers changed form"
    ]


def _fewer_markets(
    connection: duckdb.DuckDBPyConnection, spec: ExchangeSpec, listed: int, now: datetime
) -> list[str]:
    usual = _usual(connection, spec, "markets_listed", "markets_listed > 0", now)
    if usual is None or listed >= LEAST_LISTED * usual:
        return []
    return [f"{listed:,} markets listed, {usual:,.0f} in the last 7 days: a list cut short"]


def _fewer_rows(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    rows: int,
    expected: int,
    now: datetime,
) -> list[str]:
    if expected < LEAST_EXPECTED or not rows:
        return []
    comparable = f"rows_expected >= {LEAST_EXPECTED} AND reason IN {_RECENT}"
    usual = _usual(connection, spec, "rows_answered / rows_expected", comparable, now)
    if usual is None or rows / expected >= LEAST_SHARE * usual:
        return []
    return [
        f"{rows:,} rows of {expected:,} settlements due, where {usual:.0%} came in the last "
        "7 days: pages cut short, or many markets silent"
    ]


def _usual(
    connection: duckdb.DuckDBPyConnection,
    spec: ExchangeSpec,
    figure: str,
    comparable: str,
    now: datetime,
) -> float | None:
    """The median over the exchange's loads of the last 7 days, None with too few of them."""
    loads, median = connection.execute(
        f"""SELECT count(*), median({figure}) FROM loads
        WHERE exchange = ? AND started >= ? AND ended IS NOT NULL AND outcome <> 'failed'
          AND {comparable}""",
        [spec.name, now - WEEK],
    ).fetchall()[0]
    return median if loads >= LEAST_LOADS else None


def _full_pages(unproven: Sequence[str]) -> list[str]:
    if not unproven:
        return []
    return [
        f"{len(unproven):,} histories end on a full page, e.g. {unproven[0]}: what lies behind it "
        "cannot be seen, rows may be missing"
    ]
