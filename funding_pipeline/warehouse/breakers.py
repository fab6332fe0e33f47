"""Which exchanges are left alone now, and who may try one: the breakers that all processes share.

Belongs here: the table `breakers` and its events. Does not: states and pauses (domain.breaker),
what counts as a failure (collection.closing). Claims are safe because whoever holds a connection
holds the database's lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from funding_pipeline.domain.breaker import Breaker
from funding_pipeline.warehouse.database import transaction
from funding_pipeline.warehouse.ledger import Event, record_events


@dataclass(frozen=True, slots=True)
class Permit:
    """Whether an exchange may be asked: `refused` says why not; `trying` with a single request
    before anything else.
    """

    trying: bool = False
    refused: str | None = None


def permits(
    connection: duckdb.DuckDBPyConnection, exchanges: Iterable[str], now: datetime, *, insist: bool
) -> dict[str, Permit]:
    """A permit for each exchange; a half-open breaker's try goes to the caller, and to nobody else.

    insist: a person wants it asked, whatever the pause.
    """
    found = {}
    with transaction(connection):
        known = _read(connection)
        for name in exchanges:
            breaker, error = known.get(name, (Breaker(), ""))
            if breaker.closed:
                found[name] = Permit()
            elif insist or breaker.may_try(now):
                _write(connection, name, breaker.claimed(now), error)
                found[name] = Permit(trying=True)
            else:
                found[name] = Permit(refused=_in_words(breaker, error))
    return found


def left_alone(connection: duckdb.DuckDBPyConnection, now: datetime) -> dict[str, str]:
    """Exchanges that may not be asked now, and why."""
    return {
        name: _in_words(breaker, error)
        for name, (breaker, error) in _read(connection).items()
        if not breaker.closed and not breaker.may_try(now)
    }


def not_closed(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Exchanges whose breaker is open or half-open, and why: for those who must not try."""
    return {
        name: _in_words(breaker, error)
        for name, (breaker, error) in _read(connection).items()
        if not breaker.closed
    }


def note_failure(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    error: str,
    now: datetime,
    *,
    tried: bool,
    load_id: int | None,
) -> None:
    """Count a failure of a whole exchange; opens its breaker when it was one too many."""
    with transaction(connection):
        before, told = _read(connection).get(exchange, (Breaker(), ""))
        after = before.after_failure(now, tried=tried)
        _write(connection, exchange, after, told if after is before else error)
        if before.closed and not after.closed:
            event = Event("breaker opened", None, _in_words(after, error))
            record_events(connection, exchange, [event], load_id, now)


def note_success(
    connection: duckdb.DuckDBPyConnection, exchange: str, now: datetime, load_id: int | None
) -> None:
    """The exchange answers: forget its failures."""
    with transaction(connection):
        before, _ = _read(connection).get(exchange, (Breaker(), ""))
        if not before.failures:
            return
        connection.execute("DELETE FROM breakers WHERE exchange = ?", [exchange])
        if before.opened_at is not None:
            detail = f"open since {before.opened_at:%Y-%m-%d %H:%M} UTC"
            record_events(
                connection, exchange, [Event("breaker closed", None, detail)], load_id, now
            )


def _read(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[Breaker, str]]:
    rows = connection.execute(
        "SELECT exchange, failures, opened_at, retry_at, error FROM breakers"
    ).fetchall()
    return {name: (Breaker(*state), error) for name, *state, error in rows}


def _write(
    connection: duckdb.DuckDBPyConnection, exchange: str, breaker: Breaker, error: str
) -> None:
    connection.execute("DELETE FROM breakers WHERE exchange = ?", [exchange])
    connection.execute(
        "INSERT INTO breakers VALUES (?, ?, ?, ?, ?)",
        [exchange, breaker.failures, breaker.opened_at, breaker.retry_at, error],
    )


def _in_words(breaker: Breaker, error: str) -> str:
    return (
        f"breaker open until {breaker.retry_at:%Y-%m-%d %H:%M} UTC after {breaker.failures} "
        f"failures, the last one {error}"
    )
