"""When other windows are chosen for the moving averages: everything is owed anew.

Belongs here: noticing it and marking what has to be derived. Does not: the windows (settings), the
derivation.
"""

from collections.abc import Iterable
from datetime import datetime

import duckdb


def owe_chosen_windows(
    connection: duckdb.DuckDBPyConnection, windows: Iterable[str], now: datetime
) -> bool:
    """If the moving averages were made for other windows, drop them and owe every day; says
    whether. Inside the caller's transaction; what is owed survives a derivation that is killed.
    """
    chosen = set(windows)
    made_for = connection.execute('SELECT "window" FROM base.chosen_windows').fetchall()
    if {window for (window,) in made_for} == chosen:
        return False
    connection.execute("DELETE FROM base.chosen_windows")
    connection.executemany(
        "INSERT INTO base.chosen_windows VALUES (?)", [[window] for window in sorted(chosen)]
    )
    connection.execute("DELETE FROM base.moving_averages")
    connection.execute("DELETE FROM base.latest_averages")
    connection.execute("DELETE FROM base.asset_averages_members")  # looks at all midnights again
    connection.execute(
        """INSERT INTO dirty_days (market_id, day, since)
        SELECT *, CAST($now AS TIMESTAMP) FROM (
            SELECT DISTINCT market_id,
                CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE)
            FROM settlements
            EXCEPT SELECT market_id, day FROM dirty_days WHERE settled_until IS NULL)""",
        {"now": now},
    )
    return True
