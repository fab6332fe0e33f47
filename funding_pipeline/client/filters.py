"""What the keywords of the questions mean: names, spans of time.

Belongs here: checking them against what is published and turning them into a condition with bound
values. Does not: the questions (tables).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any

import duckdb

Names = str | Iterable[str] | None
Moment = datetime | date | timedelta | str

_SHOWN = 40


class UnknownNameError(ValueError):
    """A filter names something that is not in the published data; the message says what is."""


class Conditions:
    """Conditions that are joined by AND, and the values bound to them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._texts: list[str] = []
        self.values: dict[str, Any] = {}

    def add(self, text: str, **values: Any) -> None:
        """A condition with its own values."""
        self._texts.append(text)
        self.values |= values

    def markets(self, **wanted: Names) -> None:
        """Columns of `markets` (exchange, market, symbol, asset) among the names."""
        for column, names in wanted.items():
            if names is not None:
                self.add(
                    f"{column} IN (SELECT unnest(CAST(${column} AS VARCHAR[])))",
                    **{column: known(self._connection, column, names)},
                )

    def window(self, names: Names, table: str) -> None:
        """Windows among those that a table of ours has; in an empty one nothing can be wrong."""
        if names is not None:
            there = self._connection.execute(f'SELECT DISTINCT "window" FROM {table}').fetchall()
            by_length = sorted((name for (name,) in there), key=lambda name: (len(name), name))
            self.add(
                '"window" IN (SELECT unnest(CAST($windows AS VARCHAR[])))',
                windows=_checked("window", names, by_length) if there else _listed("window", names),
            )

    def stamps(self, column: str, since: Moment | None, until: Moment | None) -> None:
        """Ends of paid hours within (since, until]."""
        self._within(column, "{column} > ${since}", since, "{column} <= ${until}", until)

    def days(self, column: str, since: Moment | None, until: Moment | None) -> None:
        """Days that have hours within (since, until]."""
        after = "{column} + INTERVAL 1 DAY > ${since}"
        self._within(column, after, since, "{column} < ${until}", until)

    def _within(
        self, column: str, after: str, since: Moment | None, before: str, until: Moment | None
    ) -> None:
        start, end = span(self._connection, since, until)
        names = {"column": column, "since": f"{column}_since", "until": f"{column}_until"}
        if start is not None:
            self.add(after.format(**names), **{names["since"]: start})
        if end is not None:
            self.add(before.format(**names), **{names["until"]: end})

    def __str__(self) -> str:
        return " WHERE " + " AND ".join(self._texts) if self._texts else ""


def known(
    connection: duckdb.DuckDBPyConnection, column: str, names: str | Iterable[str]
) -> list[str]:
    """The names, all of which some market has in that column; UnknownNameError otherwise."""
    found = connection.execute(
        f"SELECT DISTINCT {column} FROM markets WHERE {column} IS NOT NULL ORDER BY ALL"
    ).fetchall()
    return _checked(column, names, [name for (name,) in found])


def _checked(what: str, names: str | Iterable[str], there: Sequence[str]) -> list[str]:
    wanted = _listed(what, names)
    for name in wanted:
        if name not in there:
            raise UnknownNameError(f"no {what} {name!r}; {_instead(name, there)}")
    return wanted


def _listed(what: str, names: str | Iterable[str]) -> list[str]:
    wanted = [names] if isinstance(names, str) else sorted(set(names))
    if not wanted:
        raise ValueError(f"{what}: name at least one, or leave it out for all")
    return wanted


def _instead(name: str, there: Sequence[str]) -> str:
    if len(there) <= _SHOWN:
        return f"there are: {', '.join(there)}" if there else "there is none yet"
    by_lower = {candidate.lower(): candidate for candidate in there}
    close = get_close_matches(str(name).lower(), by_lower, n=5, cutoff=0.5)
    similar = f"; similar: {', '.join(by_lower[found] for found in close)}" if close else ""
    return f"there are {len(there)} others{similar}"


def span(
    connection: duckdb.DuckDBPyConnection, since: Moment | None, until: Moment | None
) -> tuple[datetime | None, datetime | None]:
    """Both ends, naive UTC. A day is meant whole: as `since` from its beginning, as `until` to its
    end. A timedelta counts back from the newest settlement that is published. ValueError when
    `since` is not before `until`.
    """
    start = _moment(connection, "since", since, whole_day=False)
    end = _moment(connection, "until", until, whole_day=True)
    if start is not None and end is not None and start >= end:
        raise ValueError(f"since ({start} UTC) must lie before until ({end} UTC)")
    return start, end


def _moment(
    connection: duckdb.DuckDBPyConnection, what: str, value: Moment | None, *, whole_day: bool
) -> datetime | None:
    if isinstance(value, str):
        value = _parsed(what, value)
    match value:
        case None:
            return None
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        case date():
            return datetime.combine(value, time()) + timedelta(days=whole_day)
        case timedelta():
            newest = newest_settlement(connection)
            return None if newest is None else newest - value
        case _:
            raise TypeError(f"{what}: expected a time, a day, a timedelta or text, not {value!r}")


def _parsed(what: str, text: str) -> datetime | date:
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text)
        except ValueError:
            continue
    raise ValueError(
        f"{what}: expected text such as '2026-03-01' or '2026-03-01 08:00', not {text!r}"
    )


def newest_settlement(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """The stamp of the newest settlement of all markets; None before the first."""
    newest: datetime | None = connection.execute(
        "SELECT max(last_settlement) FROM markets"
    ).fetchall()[0][0]
    return newest
