"""Whether a derivation is due: settlements were merged and nobody is about to merge more.

Belongs here: the watermark of derived tables against that of loads. Does not: deriving.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

QUIET = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)
DEAD_LOAD = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Owed:
    """Days not derived yet: how many, since when (oldest, newest merge), and loads still running.

    Times are naive UTC, None where nothing is owed.
    """

    days: int
    oldest: datetime | None
    newest: datetime | None
    loads_running: int

    def due(self, now: datetime) -> bool:
        """Quiet for five seconds with no load running; or waiting for five minutes."""
        if self.oldest is None or self.newest is None:
            return False
        if now - self.oldest >= LONGEST_WAIT:
            return True
        return self.loads_running == 0 and now - self.newest >= QUIET


def owed(connection: duckdb.DuckDBPyConnection, *, now: datetime) -> Owed:
    """What derived tables owe, but for held exchanges: theirs waits for the release.

    Loads that began half a day ago and never ended are dead.
    """
    days, oldest, newest = connection.execute(
        """SELECT count(*), min(since), max(since)
        FROM dirty_days SEMI JOIN markets USING (market_id)"""
    ).fetchall()[0]
    running: int = connection.execute(
        "SELECT count(*) FROM loads WHERE ended IS NULL AND started > ?", [now - DEAD_LOAD]
    ).fetchall()[0][0]
    return Owed(days, oldest, newest, running)
