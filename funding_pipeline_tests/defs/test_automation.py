"""Schedule and sensor, driven by ticks on an ephemeral instance."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from funding_pipeline.defs.jobs import DERIVATION, HOURLY
from funding_pipeline.defs.runs import RANGE_END, RANGE_START
from funding_pipeline.defs.schedules import tick_days
from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp, utc_now
from funding_pipeline.warehouse.ledger import start_load
from funding_pipeline.warehouse.owed import DEAD_LOAD, LONGEST_WAIT, QUIET, Owed
from funding_pipeline.warehouse.windows import oldest_watermark, record_windows
from funding_pipeline_tests.warehouse.stored import hold


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, at: datetime
) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=definitions.get_repository_def(),
        resources={"pipeline": definitions.resources["pipeline"]},
    )
    result = definitions.resolve_schedule_def("hourly").evaluate_tick(context)
    if result.skip_message:
        return dg.SkipReason(result.skip_message)
    (request,) = result.run_requests
    return request


def sense(definitions: dg.Definitions, instance: dg.DagsterInstance) -> int:
    """Runs that the watermark sensor asks for now."""
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=definitions.get_repository_def(),
        resources={"pipeline": definitions.resources["pipeline"]},
    )
    result = definitions.resolve_sensor_def("watermark").evaluate_tick(context)
    return len(result.run_requests)


def collected_up_to(time: datetime) -> None:
    """Make a live market of bybit that is collected from long ago up to a time."""
    database = Database(Settings())
    end = int(time.timestamp() * 1000)
    with database.open() as connection:
        connection.execute(
            """INSERT INTO base.markets (market_id, exchange, market, symbol, multiplier, quote,
                settle, status, first_seen, last_seen)
            VALUES (1, 'bybit', 'BTCUSDT', 'BTC', 1, 'USDT', 'USDT', 'live', now(), now())"""
        )
        record_windows(connection, "bybit", [("BTCUSDT", Window(0, end), 9)], 1)


def owe(days_since: datetime) -> None:
    with Database(Settings()).open() as connection:
        connection.execute(
            """INSERT INTO base.markets (market_id, exchange, market, symbol, multiplier, quote,
                settle, status, first_seen, last_seen)
            SELECT 1, 'bybit', 'BTCUSDT', 'BTC', 1, 'USDT', 'USDT', 'live', now(), now()
            WHERE NOT EXISTS (FROM base.markets)"""
        )
        connection.execute(
            "INSERT INTO dirty_days (market_id, day, since) VALUES (1, '2026-01-01', ?)",
            [days_since],
        )


def test_the_tick_at_five_past_midnight_asks_for_yesterday_and_today(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    collected_up_to(datetime(2026, 3, 9, 23, 3, tzinfo=UTC))
    request = tick(definitions, instance, datetime(2026, 3, 10, 0, 5, tzinfo=UTC))
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2026-03-09", "2026-03-10")


def test_a_tick_in_the_day_asks_for_that_day_alone_and_each_hour_has_its_own_key(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    collected_up_to(datetime(2026, 3, 10, 8, 3, tzinfo=UTC))
    requests = [
        tick(definitions, instance, datetime(2026, 3, 10, hour, 3, tzinfo=UTC)) for hour in (9, 10)
    ]
    assert all(isinstance(request, dg.RunRequest) for request in requests)
    assert {request.tags[RANGE_START] for request in requests} == {"2026-03-10"}  # type: ignore[union-attr]
    assert len({request.run_key for request in requests}) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("watermark", "first"),
    [
        (None, "2026-03-03"),
        (datetime(2026, 1, 1), "2026-03-03"),
        (datetime(2026, 3, 7, 12), "2026-03-07"),
        (datetime(2026, 3, 10, 0, 2), "2026-03-10"),
        (datetime(2026, 3, 11), "2026-03-10"),
    ],
)
def test_a_tick_reaches_from_the_watermark_to_today_seven_days_at_most(
    watermark: datetime | None, first: str
) -> None:
    assert tick_days(watermark, datetime(2026, 3, 10, 0, 3)) == (first, "2026-03-10")


def test_the_watermark_is_that_of_the_market_that_lags_most(data_dir: Path) -> None:
    collected_up_to(datetime(2026, 3, 10, 8, tzinfo=UTC))
    with Database(Settings()).open() as connection:
        assert oldest_watermark(connection, ["bybit"]) == datetime(2026, 3, 10, 8)
        connection.execute("UPDATE base.markets SET status = 'delisted'")
        assert oldest_watermark(connection, ["bybit"]) is None
        assert oldest_watermark(connection, ["hyperliquid"]) is None


def test_no_tick_while_its_predecessor_still_collects(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = definitions.resolve_job_def(HOURLY)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    skipped = tick(definitions, instance, datetime(2026, 3, 10, 9, 3, tzinfo=UTC))
    assert isinstance(skipped, dg.SkipReason)
    assert "still collecting" in str(skipped.skip_message)


def test_a_backfill_in_progress_does_not_hold_up_the_tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    other = definitions.resolve_job_def("__ASSET_JOB")
    instance.create_run_for_job(
        other, status=dg.DagsterRunStatus.STARTED, tags={"dagster/backfill": "x"}
    )
    request = tick(definitions, instance, datetime(2026, 3, 10, 9, 3, tzinfo=UTC))
    assert isinstance(request, dg.RunRequest)


def test_the_sensor_asks_once_something_was_merged_and_it_is_quiet(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    assert sense(definitions, instance) == 0
    owe(utc_now() - QUIET)
    assert sense(definitions, instance) == 1


def test_what_a_held_exchange_owes_calls_for_no_derivation(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    owe(utc_now() - QUIET)
    with Database(Settings()).open() as connection:
        hold(connection, "bybit")
    assert sense(definitions, instance) == 0


def test_the_sensor_waits_while_a_load_is_running_but_not_for_ever(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    with Database(Settings()).open() as connection:
        start_load(connection, "bybit", "backfill", Window(0, 1), utc_now())
    owe(utc_now() - timedelta(seconds=30))
    assert sense(definitions, instance) == 0
    owe(utc_now() - LONGEST_WAIT)
    assert sense(definitions, instance) == 1


def test_a_load_that_died_long_ago_does_not_count_as_running(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    with Database(Settings()).open() as connection:
        start_load(connection, "bybit", "backfill", Window(0, 1), utc_now() - DEAD_LOAD)
    owe(utc_now() - timedelta(seconds=30))
    assert sense(definitions, instance) == 1


def test_the_sensor_never_asks_for_a_second_derivation_at_once(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    owe(utc_now() - LONGEST_WAIT)
    job = definitions.resolve_job_def(DERIVATION)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert sense(definitions, instance) == 0
    instance.report_run_failed(run)
    assert sense(definitions, instance) == 0, "after a failure it waits"


def test_what_is_due() -> None:
    now = timestamp(10**12)
    quiet, long_ago = now - QUIET, now - LONGEST_WAIT
    assert not Owed(0, None, None, 0).due(now)
    assert Owed(1, quiet, quiet, 0).due(now)
    assert not Owed(1, now, now, 0).due(now)
    assert not Owed(1, quiet, quiet, 1).due(now)
    assert Owed(1, long_ago, now, 1).due(now)
