"""First start and absence: what is lacking is backfilled by itself, once, and not for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from funding_pipeline.collection.planning import TICK_REACH_MS
from funding_pipeline.defs import first_days
from funding_pipeline.defs.jobs import BACKFILL, HOURLY, SWEEP
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.absence import (
    FIRST_WAIT,
    LONGEST_WAIT,
    OPEN_LOAD,
    Lack,
    Tries,
    decide,
    dump_tries,
    lacks,
    last_days,
    load_tries,
    wait,
)
from funding_pipeline.warehouse.breakers import note_failure
from funding_pipeline.warehouse.database import Database, milliseconds, timestamp, utc_now
from funding_pipeline.warehouse.ledger import start_load
from funding_pipeline_tests.defs.ticks import days_of, execute, live_market, sense, tick

NOW = datetime(2026, 3, 31, 9, 30)
MIDNIGHT = datetime(2026, 3, 31)
START = datetime(2026, 3, 1)
EVERYTHING, SOME, NOTHING = Lack(0, 9), Lack(1, 9), Lack(0, 0)


def asked(
    definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None
) -> set[str]:
    requests, _, _ = sense(definitions, instance, "first_days", cursor)
    return {key.to_user_string() for r in requests for key in r.asset_selection or ()}


def complete(exchange: str) -> None:
    days = last_days(utc_now())
    live_market(exchange, "BTC", (timestamp(days.start_ms), timestamp(days.end_ms)))


def lacking(now: datetime = NOW, kept_since: int = 0) -> Lack:
    with Database(Settings()).open() as connection:
        return lacks(
            connection,
            ["bybit"],
            tick_reach_ms=TICK_REACH_MS,
            kept_since={"bybit": kept_since},
            now=now,
        )["bybit"]


def test_the_last_days_are_thirty_full_ones_that_end_yesterday() -> None:
    days = last_days(NOW)
    assert (timestamp(days.start_ms), timestamp(days.end_ms)) == (START, MIDNIGHT)
    assert last_days(MIDNIGHT) == days
    assert last_days(MIDNIGHT - timedelta(milliseconds=1)) != days


def test_an_exchange_that_was_never_collected_lacks_everything(data_dir: Path) -> None:
    assert not lacking().complete


def test_what_is_left_alone_after_failures_is_not_asked_for(
    definitions: dg.Definitions, instance: dg.DagsterInstance, data_dir: Path
) -> None:
    with Database(Settings()).open() as connection:
        for _ in range(3):
            note_failure(connection, "bybit", "no", utc_now(), tried=False, load_id=None)
    assert asked(definitions, instance) == {"hyperliquid"}
    complete("hyperliquid")
    _, _, why = sense(definitions, instance, "first_days")
    assert why is not None and why.startswith("bybit: breaker open until")


def test_a_hole_counts_and_a_market_without_one_does_not(data_dir: Path) -> None:
    live_market("bybit", "WHOLE", (START, MIDNIGHT))
    assert lacking() == Lack(0, 1)
    hole = datetime(2026, 3, 15, 7)
    live_market("bybit", "HOLE", (START, hole), (hole + timedelta(hours=1), MIDNIGHT))
    assert lacking() == Lack(1, 2)


def test_time_before_the_listing_and_slivers_without_a_settlement_are_no_holes(
    data_dir: Path,
) -> None:
    hole = datetime(2026, 3, 15, 7, 0, 1)
    live_market(
        "bybit",
        "NEW",
        (datetime(2026, 3, 10, 5), hole),
        (hole + timedelta(minutes=59), MIDNIGHT),
        listed_at="2026-03-10 05:20",
    )
    assert lacking() == Lack(0, 1)


def test_what_the_next_tick_will_fetch_is_not_lacking_but_what_it_cannot_reach_is(
    data_dir: Path,
) -> None:
    live_market("bybit", "EIGHT_HOURS", (START, datetime(2026, 3, 30, 16, 59)))
    live_market("bybit", "OFF_FOR_DAYS", (START, NOW - timedelta(days=6)))
    assert lacking().complete
    live_market("bybit", "OFF_FOR_LONG", (START, NOW - timedelta(days=8)))
    assert lacking() == Lack(1, 3)


def test_what_an_exchange_does_not_keep_is_not_lacking(data_dir: Path) -> None:
    kept = START + timedelta(days=3)
    live_market("bybit", "AAA", (kept, MIDNIGHT))
    assert lacking() == Lack(1, 1)
    assert lacking(kept_since=milliseconds(kept)) == Lack(0, 1)
    assert lacking(kept_since=milliseconds(kept) - 3_600_000) == Lack(1, 1)


def test_delisted_markets_count_for_nothing(data_dir: Path) -> None:
    live_market("bybit", "WHOLE", (START, MIDNIGHT))
    live_market("bybit", "GONE")
    with Database(Settings()).open() as connection:
        connection.execute("UPDATE base.markets SET status = 'delisted' WHERE market = 'GONE'")
    assert lacking() == Lack(0, 1)


def test_waits_double_from_ten_minutes_to_a_day() -> None:
    assert [wait(n) for n in (1, 2, 3)] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert wait(8) == timedelta(minutes=1280)
    assert wait(9) == wait(10**9) == LONGEST_WAIT == timedelta(hours=24)
    assert wait(-1) == FIRST_WAIT


def test_a_backfill_is_asked_for_once_and_again_only_after_the_wait() -> None:
    first = decide({"bybit": SOME, "okx": EVERYTHING}, (), {}, {}, now=NOW)
    assert first.start == ["bybit"]
    assert first.tries == {"bybit": Tries(1, NOW + FIRST_WAIT)}
    soon = decide({"bybit": NOTHING}, (), {}, first.tries, now=NOW + FIRST_WAIT / 2)
    assert soon.start == []
    assert soon.tries == first.tries
    again = decide({"bybit": SOME}, (), {}, soon.tries, now=NOW + FIRST_WAIT)
    assert again.start == ["bybit"]
    assert again.tries == {"bybit": Tries(2, NOW + 3 * FIRST_WAIT)}


def test_the_wait_counts_from_the_end_of_a_backfill_that_runs_for_hours() -> None:
    later = NOW + timedelta(hours=5)
    busy = decide({"bybit": SOME}, {"bybit"}, {}, {"bybit": Tries(1, NOW)}, now=later)
    assert busy.start == []
    assert busy.tries == {"bybit": Tries(1, later + FIRST_WAIT)}


def test_the_count_starts_anew_when_everything_was_there_once() -> None:
    assert decide({"bybit": EVERYTHING}, (), {}, {"bybit": Tries(7, NOW)}, now=NOW).tries == {}


def test_what_a_person_cancelled_stays_so_for_a_day() -> None:
    cancelled = {"bybit": NOW}
    for hours, start in ((1, []), (23.9, []), (24, ["bybit"])):
        now = NOW + timedelta(hours=hours)
        assert decide({"bybit": SOME}, (), cancelled, {}, now=now).start == start


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        *("", "{", "7", "[]", '{"a": 1}', '{"a": [1]}', '{"a": [1, "x"]}', '{"a": ["x", 2]}'),
        *('{"a": [1, "2026-01-01T00:00:00+00:00"]}', '{"a": [null, "2026-01-01"]}'),
    ],
)
def test_a_cursor_of_garbage_is_none(garbage: str | None) -> None:
    assert load_tries(garbage, now=NOW) == {}


def test_a_cursor_comes_back_as_it_was_but_never_waits_longer_than_the_longest() -> None:
    tries = {"bybit": Tries(3, NOW + FIRST_WAIT)}
    assert load_tries(dump_tries(tries), now=NOW) == tries
    never = {"bybit": Tries(3, datetime(9999, 1, 1))}
    assert load_tries(dump_tries(never), now=NOW)["bybit"].again == NOW + LONGEST_WAIT


def test_at_the_first_start_each_exchange_gets_one_run_over_thirty_days(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    requests, cursor, _ = sense(definitions, instance, "first_days")
    assert {r.tags["funding/exchange"] for r in requests} == {"hyperliquid", "bybit"}
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    for request in requests:
        assert request.asset_selection == [dg.AssetKey(request.tags["funding/exchange"])]
        assert request.tags["funding/reason"] == "backfill"
        assert days_of(request) == (str(yesterday - timedelta(days=29)), str(yesterday))
    assert asked(definitions, instance, cursor) == set()
    assert asked(definitions, instance, "garbage") == {"hyperliquid", "bybit"}


def test_nothing_is_asked_for_when_nothing_lacks(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    complete("bybit")
    assert asked(definitions, instance) == {"hyperliquid"}
    complete("hyperliquid")
    requests, cursor, why = sense(definitions, instance, "first_days")
    assert (requests, cursor, why) == ([], "{}", "the last 30 days are complete")


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
@pytest.mark.parametrize("job", [BACKFILL, "__ASSET_JOB"])
def test_no_second_backfill_of_an_exchange_while_one_is_active(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    status: dg.DagsterRunStatus,
) -> None:
    run = instance.create_run_for_job(
        definitions.resolve_job_def(job),
        status=status,
        asset_selection=frozenset({dg.AssetKey("bybit")}),
    )
    assert asked(definitions, instance) == {"hyperliquid"}
    instance.report_run_failed(run)
    assert asked(definitions, instance) == {"hyperliquid", "bybit"}


@pytest.mark.parametrize("job", [HOURLY, SWEEP])
def test_ticks_and_sweeps_are_no_backfills(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str
) -> None:
    instance.create_run_for_job(
        definitions.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED
    )
    assert asked(definitions, instance) == {"hyperliquid", "bybit"}


def test_a_partition_backfill_counts_before_it_has_runs(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    waiting = PartitionBackfill(
        "x", BulkActionStatus.REQUESTED, False, {}, 0.0, asset_selection=[dg.AssetKey("bybit")]
    )
    instance.add_backfill(waiting)
    assert asked(definitions, instance) == {"hyperliquid"}
    instance.update_backfill(waiting.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert asked(definitions, instance) == {"hyperliquid", "bybit"}


def test_a_backfill_of_the_command_line_counts_until_it_must_be_dead(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    with Database(Settings()).open() as connection:
        start_load(connection, "bybit", "backfill", Window(0, 1), utc_now())
        start_load(connection, "hyperliquid", "tick", Window(0, 1), utc_now())
    assert asked(definitions, instance) == {"hyperliquid"}
    with Database(Settings()).open() as connection:
        connection.execute("UPDATE loads SET started = started - ?", [OPEN_LOAD])
    assert asked(definitions, instance) == {"hyperliquid", "bybit"}


def test_the_load_of_a_run_that_was_killed_holds_nothing_up(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    with Database(Settings()).open() as connection:
        start_load(connection, "bybit", "backfill", Window(0, 1), utc_now())
    run = instance.create_run_for_job(
        definitions.resolve_job_def(BACKFILL),
        status=dg.DagsterRunStatus.STARTED,
        tags={"funding/exchange": "bybit"},
    )
    instance.report_run_failed(run)
    assert asked(definitions, instance) == {"hyperliquid", "bybit"}


def test_a_cancelled_run_is_not_started_again_at_once(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    run = instance.create_run_for_job(
        definitions.resolve_job_def(BACKFILL),
        status=dg.DagsterRunStatus.STARTED,
        tags={"funding/exchange": "bybit"},
    )
    instance.report_run_canceled(run)
    assert asked(definitions, instance) == {"hyperliquid"}


@pytest.mark.slow
def test_a_machine_that_was_off_for_three_days_is_completed_by_its_first_tick(
    sandbox: str,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = utc_now()
    then = now - timedelta(days=3)
    with monkeypatch.context() as earlier:
        earlier.setattr(Pipeline, "now_ms", lambda self: milliseconds(then))
        earlier.setattr(first_days, "utc_now", lambda: then)
        requests, _, _ = sense(definitions, instance, "first_days")
        assert len(requests) == 2
        for request in requests:
            assert execute(definitions, instance, BACKFILL, request).success
        assert asked(definitions, instance) == set(), "what was collected is not asked for again"
        request = tick(definitions, instance, "hourly", then.replace(tzinfo=UTC))
        assert isinstance(request, dg.RunRequest)
        assert execute(definitions, instance, HOURLY, request).success
    assert asked(definitions, instance) == set(), "three days are the tick's work"
    request = tick(definitions, instance, "hourly", now.replace(tzinfo=UTC))
    assert isinstance(request, dg.RunRequest)
    assert days_of(request)[0] <= str(then.date())
    assert execute(definitions, instance, HOURLY, request).success
    with Database(Settings()).open() as connection:
        # Without any reach of a tick: nothing may be left.
        left = lacks(
            connection,
            ["hyperliquid", "bybit"],
            tick_reach_ms=0,
            kept_since={"hyperliquid": 0, "bybit": 0},
            now=now,
        )
    assert left == {"hyperliquid": Lack(0, 5), "bybit": Lack(0, 5)}
    with duckdb.connect(str(data_dir / "history.duckdb"), read_only=True) as connection:
        per_day = connection.execute(
            """SELECT DISTINCT count(*) FROM funding_rates
            WHERE exchange = 'hyperliquid' AND funding_time >= ? AND funding_time < ?
            GROUP BY market, CAST(funding_time AS DATE)""",
            [last_midnight(now) - timedelta(days=33), last_midnight(now)],
        ).fetchall()
    assert per_day == [(24,)]


def last_midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
