"""Another choice of windows: what is derived afterwards is what a rebuild with it gives."""

from datetime import timedelta

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.warehouse.test_derive import END, HISTORY, derived, owed, rebuilt, tick
from funding_pipeline_tests.warehouse.world import at, listed, register, rows, time_of


def test_other_windows_are_derived_for_the_whole_history_and_kept_up(settings: Settings) -> None:
    now = timestamp(at(END)) + timedelta(minutes=40)
    first = Database(settings)
    with first.open() as connection:
        register(connection, listed("AAA", "BBB", listed_at_ms=at(0)), time_of(0))
    tick(first, HISTORY, 0, END - 30)
    chosen = Database(settings.model_copy(update={"windows": ("8h", "36h", "45d")}))
    derive(chosen, now=now - timedelta(hours=31))
    for hour in range(END - 30, END, 5):
        tick(chosen, HISTORY, hour, hour + 5)
    pieces = derived(chosen)
    assert {row[1] for row in pieces["base.moving_averages"]} == {"8h", "36h", "45d"}
    assert owed(chosen) == []
    assert pieces == rebuilt(chosen, now)
    with chosen.open() as connection:
        named = rows(connection, 'SELECT DISTINCT "window" FROM asset_averages')
    found = {name for (name,) in named}
    assert found == {"8h", "36h", "45d", "latest"}
