"""What faults do to the rows of an answer.

Belongs here: duplicated, shuffled, changed and missing fields. Does not belong here: which answers
are struck (`faults`), and what happens to a whole answer (`app`).
"""

from copy import copy
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from funding_pipeline.sandbox.market import HOUR_MS
from funding_pipeline.sandbox.wire import Reply, plain


def newest_hour(reply: Reply) -> int | None:
    """The hour of the newest settlement in an answer, where its rows have a time."""
    if not reply.rows or reply.time_field is None:
        return None
    return max(_hour(reply, row) for row in reply.rows)


def duplicate(rows: list[Any]) -> None:
    """Every row twice."""
    rows[:] = [copy(row) for row in rows for _ in range(2)]


def shuffle(rows: list[Any]) -> None:
    """Another order, the same one at every start."""
    Random(len(rows)).shuffle(rows)


def spoil_field(kind: str, row: Any, name: str | int) -> None:
    """One field of one row."""
    match kind:
        case "missing_field":
            del row[name]
        case "nan_rate":
            row[name] = "NaN"
        case "empty_rate":
            row[name] = ""
        case "wrong_type":
            row[name] = float(row[name]) if isinstance(row[name], str) else str(row[name])


def correct(reply: Reply, hour: int | None, add: float) -> None:
    """Another rate for the settlement of that hour."""
    if not reply.rows or reply.time_field is None or reply.rate_field is None:
        return
    for row in reply.rows:
        if _hour(reply, row) == hour:
            before = row[reply.rate_field]
            # Decimal, so that no digits of float arithmetic show and no decimals get lost.
            after = f"{Decimal(str(before)) + Decimal(plain(add)):f}"
            row[reply.rate_field] = after if isinstance(before, str) else float(after)


def _hour(reply: Reply, row: Any) -> int:
    value = row[reply.time_field]
    if isinstance(value, str) and not value.isdigit():
        time = datetime.fromisoformat(value)
        return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp()) // 3600
    return int(int(value) * reply.time_unit) // HOUR_MS
