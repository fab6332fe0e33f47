"""What is wrong now, as the database knows it.

Belongs here: from stored facts to findings, in a handful of bounded queries. Does not: judging
settlements (checks, gaps), whom to tell (decide). Times are naive UTC.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from funding_pipeline.alerts.decide import Finding, Severity
from funding_pipeline.warehouse.freshness import FRESH, exchange_freshness
from funding_pipeline.warehouse.holds import held

# A failed run counts until it succeeded since, or for so long: the next ticks tell by themselves.
FAILED_RUN_COUNTS = timedelta(hours=2)
# For so long an occurrence is offered to channels that have not heard of it.
NEWS = timedelta(days=1)
_LONGEST_DETAIL = 160


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One evaluation of an asset check. `detail`: what it counted, in words."""

    asset: str
    name: str
    passed: bool
    severity: Severity
    detail: str
    evaluated: datetime


def findings(
    connection: duckdb.DuckDBPyConnection, exchanges: Collection[str], now: datetime
) -> list[Finding]:
    """Everything that is wrong with these exchanges and with what concerns all of them.

    A failed run of an exchange whose status tells the same is left out: one cause, one finding.
    """
    statuses = list(_statuses(connection))
    told = {finding.exchange for finding in statuses}
    found = [
        *_stale(connection, exchanges, now),
        *statuses,
        *_held(connection),
        *(run for run in _failed_runs(connection, now) if run.exchange not in told),
        *_failing_checks(connection, exchanges),
        *_broken_derivation(connection),
        *_given_up(connection, now),
    ]
    return [finding for finding in found if finding.exchange in {"all", *exchanges}]


def record_checks(
    connection: duckdb.DuckDBPyConnection,
    results: Sequence[CheckResult],
    known: Collection[tuple[str, str]],
) -> None:
    """Bring `base.failing_checks` up to date with these evaluations; checks that are not `known`
    any more go.

    A failure counts although the same look shows a later success: the two may be of different days,
    and it would be lost between two looks. The next success ends it.
    """
    held = connection.execute("SELECT asset, name, evaluated FROM base.failing_checks").fetchall()
    passed: dict[tuple[str, str], datetime] = {}
    failed: dict[tuple[str, str], CheckResult] = {}
    for result in sorted(results, key=lambda result: result.evaluated):
        if result.passed:
            passed[result.asset, result.name] = result.evaluated
        else:
            failed[result.asset, result.name] = result
    for asset, name, evaluated in held:
        over = (asset, name) in passed and passed[asset, name] > evaluated
        if over or (asset, name) in failed or (asset, name) not in known:
            connection.execute(
                "DELETE FROM base.failing_checks WHERE asset = ? AND name = ?", [asset, name]
            )
    for result in failed.values():
        if (result.asset, result.name) in known:
            connection.execute(
                "INSERT INTO base.failing_checks VALUES (?, ?, ?, ?, ?)",
                [result.asset, result.name, result.severity, result.detail, result.evaluated],
            )


def publication_is_good(
    connection: duckdb.DuckDBPyConnection, exchanges: Collection[str], now: datetime
) -> bool:
    """Whether most of the exchanges that have markets are fresh: the pipeline as a whole works.

    One exchange that is blocked is for an alert; a dead man's switch that it kept silent would be
    switched off.
    """
    found = exchange_freshness(connection, exchanges, now).values()
    return 2 * sum(exchange.late for exchange in found) < len(found)


def _stale(
    connection: duckdb.DuckDBPyConnection, exchanges: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Exchanges that are late; single markets are told by the check `fresh`, and by gaps."""
    for name, found in sorted(exchange_freshness(connection, exchanges, now).items()):
        if found.late:
            yield Finding(
                f"stale {name}",
                name,
                f"{found.stale:,} of {found.markets:,} markets stale",
                _newest(found.newest_settlement, now),
                "error" if 2 * found.stale > found.markets else "warning",
            )


def _newest(time: datetime | None, now: datetime) -> str:
    if time is None:
        return "nothing has settled yet"
    date = "" if now - time < timedelta(hours=20) else f"{time:%d %b} "
    return f"newest settlement {date}{time:%H:%M} UTC"


# What a person reads of a collector's status. Those that are not here are no alarm, or told with
# more figures by another source (late: `_stale`, held: `_held`).
_STATUS_WORDS: dict[str, tuple[str, Severity]] = {
    "failing": ("collecting fails", "error"),
    "geo-blocked": ("blocked from this location", "error"),
    "down": ("does not answer", "error"),
    "breaker open": ("left alone for a while after failures", "error"),
    "partial": ("some markets could not be asked", "warning"),
}


def _statuses(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT exchange, status, coalesce(last_error, '') FROM collector_status ORDER BY exchange"
    ).fetchall()
    for exchange, status, error in rows:
        if status in _STATUS_WORDS:
            words, severity = _STATUS_WORDS[status]
            yield Finding(f"status {exchange}", exchange, words, _first_line(error), severity)


def _held(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    for hold in held(connection):
        words = f"{hold.mistake} ({hold.detail})"
        title = "held back until released"
        yield Finding(f"held {hold.exchange}", hold.exchange, title, _first_line(words))


def _failed_runs(connection: duckdb.DuckDBPyConnection, now: datetime) -> Iterator[Finding]:
    """Events of the sensor `failures`: the newest of each job and exchange, unless the exchange was
    collected since.
    """
    rows = connection.execute(
        """SELECT e.exchange, split_part(e.detail, ': ', 1) AS job,
                  arg_max(e.detail, e.happened) AS newest
        FROM events e LEFT JOIN collector_status s USING (exchange)
        WHERE e.kind = 'run failed' AND e.happened > $since
          AND (s.last_success IS NULL OR s.last_success < e.happened)
        GROUP BY e.exchange, job ORDER BY e.exchange, job""",
        {"since": now - FAILED_RUN_COUNTS},
    ).fetchall()
    for exchange, job, detail in rows:
        words = _first_line(detail.removeprefix(f"{job}: "))
        yield Finding(f"run {job} {exchange}", exchange, f"run of {job} failed", words)


def _failing_checks(
    connection: duckdb.DuckDBPyConnection, exchanges: Collection[str]
) -> Iterator[Finding]:
    rows = connection.execute(
        # What the check `fresh` says of a late exchange, `_stale` says with more words.
        """SELECT asset, name, detail, severity FROM base.failing_checks
        WHERE name <> ? OR severity = 'warning' ORDER BY asset, name""",
        [FRESH],
    ).fetchall()
    for asset, name, detail, severity in rows:
        of_exchange = asset in exchanges
        title = f"check {name} fails" if of_exchange else f"check {name} of {asset} fails"
        exchange = asset if of_exchange else "all"
        yield Finding(f"check {asset} {name}", exchange, title, detail, severity)


def _broken_derivation(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT error FROM derivations ORDER BY ended DESC LIMIT 1"
    ).fetchall()
    if rows and rows[0][0]:
        yield Finding(
            "derivation", "all", "a part of the derived tables is not new", _first_line(rows[0][0])
        )


def _given_up(connection: duckdb.DuckDBPyConnection, now: datetime) -> Iterator[Finding]:
    rows = connection.execute(
        """SELECT exchange, detail, happened FROM events
        WHERE kind = 'gap given up' AND happened > $since ORDER BY happened, exchange""",
        {"since": now - NEWS},
    ).fetchall()
    for exchange, detail, happened in rows:
        yield Finding(
            f"given up {exchange} {happened}",
            exchange,
            "gaps given up after empty answers",
            _first_line(detail),
            "warning",
            once=True,
        )


def _first_line(text: str) -> str:
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1].rstrip() + "…"
