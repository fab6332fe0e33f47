"""What the client answers, computed again from the plain rows of `made_up`."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta, timezone
from math import fsum
from typing import Any

import polars as pl
import pytest

from funding_pipeline import client
from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.client.made_up import END, GONE, HOLE, MADE, NEWEST, Paid, paid
from funding_pipeline_tests.warehouse.world import (
    at,
    collect,
    listed,
    register,
    series,
    time_of,
)

pytestmark = pytest.mark.usefixtures("published")

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def keys(rows: list[Paid]) -> list[tuple[str, str, datetime, float]]:
    return [(r.exchange, r.market, r.time, r.rate) for r in rows]


def told(frame: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return frame.select(columns).rows()


SETTLEMENT = ("exchange", "market", "funding_time", "rate")


def test_all_rates_in_order() -> None:
    found = client.rates()
    assert told(found, *SETTLEMENT) == keys(list(paid()))
    row = found.row(0, named=True)
    assert (row["interval_hours"], row["direction"], row["kind"]) == (8, "short", "settled")
    assert row["rate_hourly"] == row["rate"] / 8
    assert row["apr"] == pytest.approx(row["rate"] / 8 * 8760, rel=1e-12)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"exchange": "okx"}, lambda r: r.exchange == "okx"),
        ({"exchange": ["okx", "bybit"]}, lambda r: r.exchange in ("okx", "bybit")),
        ({"market": "BTCUSDT"}, lambda r: r.market == "BTCUSDT"),
        ({"symbol": "ETH"}, lambda r: r.symbol == "ETH"),
        ({"asset": pl.Series(["ETH", "OLD"])}, lambda r: r.symbol in ("ETH", "OLD")),
        (
            {"exchange": "bybit", "asset": "BTC"},
            lambda r: r.exchange == "bybit" and r.symbol == "BTC",
        ),
        ({"exchange": "okx", "asset": "ETH"}, lambda r: False),
    ],
)
def test_filters(filters: dict[str, Any], wanted: Any) -> None:
    assert told(client.rates(**filters), *SETTLEMENT) == keys([r for r in paid() if wanted(r)])


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        # A stamp at `since` pays for the hours before it; a day as `until` is included.
        ("2025-03-05", "2025-03-06", datetime(2025, 3, 5, 8), datetime(2025, 3, 7)),
        (date(2025, 3, 5), date(2025, 3, 5), datetime(2025, 3, 5, 8), datetime(2025, 3, 6)),
        ("2025-03-05 08:00", "2025-03-05T16:00", datetime(2025, 3, 5, 16), None),
        (datetime(2025, 3, 5, 7), datetime(2025, 3, 5, 8), datetime(2025, 3, 5, 8), None),
        (
            datetime(2025, 3, 5, 3, tzinfo=timezone(-5 * HOUR)),
            datetime(2025, 3, 5, 16, tzinfo=UTC),
            datetime(2025, 3, 5, 16),
            None,
        ),
        ("2025-03-05T03:00-05:00", "2025-03-05T16:00Z", datetime(2025, 3, 5, 16), None),
        (DAY, None, NEWEST - timedelta(hours=16), NEWEST),
        (2 * DAY, DAY, NEWEST - timedelta(hours=40), NEWEST - DAY),
        (None, "2025-03-01", datetime(2025, 3, 1, 8), datetime(2025, 3, 2)),
    ],
)
def test_spans(since: Any, until: Any, first: datetime, last: datetime | None) -> None:
    times = client.rates(exchange="okx", since=since, until=until)["funding_time"]
    assert (times.min(), times.max()) == (first, last or first)


def test_each_hour_is_paid_once_and_a_span_cuts_through_settlements() -> None:
    since, until = time_of(HOLE[0] - 3), time_of(HOLE[1] + 11)
    found = client.hourly(asset="BTC", since=since, until=until)
    expected = sorted(
        (r.exchange, r.market, r.time - back * HOUR, r.rate / r.interval)
        for r in paid()
        if r.symbol == "BTC"
        for back in range(r.interval)
        if since < r.time - back * HOUR <= until
    )
    assert told(found, "exchange", "market", "hour", "rate_hourly") == expected
    bybit = found.filter(exchange="bybit")["hour"].to_list()
    assert bybit[2:4] == [time_of(HOLE[0]), time_of(HOLE[1] + 1)], "a hole has no rows"


def test_an_odd_step_is_paid_once_too(database: Database) -> None:
    """By hand: an 8 h market that settles after six hours pays for six."""
    with database.open() as connection:
        register(connection, listed("AAA"), time_of(0))
        history = {"AAA": series([8, 16, 24, 30, 38, 46])}
        collect(connection, history, Window(at(0), at(47)))
    publish(database)
    found = client.hourly(since=time_of(16), database=database.read_path)
    assert found["hour"].to_list() == [time_of(h) for h in range(17, 47)]
    assert found["rate_hourly"].to_list()[8:14] == [(30 - 44) * 1e-6 / 8] * 6
    plan = client.query("EXPLAIN FROM apr WHERE asset = 'AAA'", database=database.read_path)
    text = plan["explain_value"][0].upper().replace("_", " ")  # as either version of DuckDB draws
    assert text.index("HASH JOIN") < text.index("UNNEST"), "names come last: migration 0019"


def test_days_are_those_that_have_hours_in_the_span() -> None:
    def days(**span: Any) -> list[date]:
        return client.stats(market="BTC-USDT-SWAP", **span)["day"].to_list()

    fifth, sixth = date(2025, 3, 5), date(2025, 3, 6)
    assert days(since="2025-03-05", until="2025-03-06") == [fifth, sixth]
    assert days(since="2025-03-05 23:00", until="2025-03-06 00:00") == [fifth]
    assert days(since="2025-03-05 23:00", until="2025-03-06 00:01") == [fifth, sixth]
    row = client.stats(exchange="okx", since=fifth, until=fifth).row(0, named=True)
    rates = [r.rate for r in paid() if r.exchange == "okx" and fifth <= r.time.date() <= sixth]
    assert row["rate_sum"] == pytest.approx(fsum(rates[1:4]), rel=1e-12)
    assert row["settlements"] == 3
    assert row["coverage"] == 1


def test_moving_averages_of_the_newest_week() -> None:
    found = client.moving_averages(window="7d", newest=True)
    assert len(found) == len(MADE)
    for row in found.iter_rows(named=True):
        end = time_of(GONE) if row["symbol"] == "OLD" else NEWEST
        hourly = [
            r.rate / r.interval
            for r in paid()
            if (r.exchange, r.market) == (row["exchange"], row["market"])
            for back in range(r.interval)
            if end - 7 * DAY < r.time - back * HOUR <= end
        ]
        assert row["as_of"] == end
        assert row["rate_hourly_mean"] == pytest.approx(fsum(hourly) / len(hourly), rel=1e-12)
    every = client.moving_averages(market="BTC-USDT-SWAP", since=DAY)
    assert set(every["window"]) == {"24h", "3d", "7d", "14d", "30d"}
    assert every["as_of"].min() == NEWEST - 23 * HOUR


def test_the_newest_rates_leave_out_what_should_have_settled_again() -> None:
    found = client.latest()
    assert set(found["symbol"]) == {"BTC", "ETH"}
    assert found["apr"].is_sorted(descending=True)
    assert set(found["funding_time"]) == {NEWEST}
    (old,) = client.latest(overdue=True, asset="OLD").iter_rows(named=True)
    assert (old["funding_time"], old["age_hours"]) == (time_of(GONE), END - GONE)
    assert old["status"] != "live"


def test_carry_is_the_sum_of_what_was_paid() -> None:
    since, until = "2025-03-29 05:00", "2025-04-03 16:00"
    found = client.carry(since, until, exchange=["hyperliquid", "okx"], symbol="BTC")
    assert told(found, "exchange", "market") == [("hyperliquid", "BTC"), ("okx", "BTC-USDT-SWAP")]
    for row in found.iter_rows(named=True):
        rates = [
            r.rate
            for r in paid()
            if (r.exchange, r.market) == (row["exchange"], row["market"])
            and datetime(2025, 3, 29, 5) < r.time <= datetime(2025, 4, 3, 16)
        ]
        assert row["settlements"] == len(rates)
        assert row["short_carry"] == pytest.approx(fsum(rates), rel=1e-12)
        assert row["long_carry"] == -row["short_carry"]
    grown = client.cumulative(since, until, exchange="okx")
    assert grown["long_carry"].last() == found["long_carry"].last()
    assert grown["long_carry"].first() == -grown["rate"].first()
    assert len(grown) == found["settlements"].last()
    every = client.cumulative(since, until)
    assert every.filter(exchange="okx").equals(grown)
    assert client.cumulative(since, until, market=["ETH"]).equals(every.filter(market="ETH"))


def test_a_carry_with_holes_is_not_told() -> None:
    since, until = time_of(HOLE[0] - 8), time_of(HOLE[1] + 8)
    (row,) = client.carry(since, until, exchange="bybit", asset="BTC").iter_rows(named=True)
    assert row["coverage"] == 16 / 64
    assert row["short_carry"] is None


def test_spreads_of_all_pairs() -> None:
    """Both legs on exchanges that are named, or one leg on the only one."""
    every = client.spreads(window=None)
    # Three pairs of BTC and one of ETH; OLD has no partner.
    assert len(every) == 4 * 6
    week = client.spreads(asset="BTC")
    assert set(week["window"]) == {"7d"}
    assert week["net_apr_taker"].is_sorted(descending=True)
    means = {
        (r["exchange"], r["market"]): r["rate_hourly_mean"]
        for r in client.moving_averages(window="7d", newest=True).iter_rows(named=True)
    }
    for row in week.iter_rows(named=True):
        long, short = (
            means[row[f"{leg}_exchange"], row[f"{leg}_market"]] for leg in ("long", "short")
        )
        assert row["rate_hourly"] == pytest.approx(short - long, rel=1e-9)
        assert row["rate_hourly"] > 0

    def pairs(**filters: Any) -> set[frozenset[str]]:
        found = client.spreads(**filters)
        return {frozenset(pair) for pair in told(found, "long_exchange", "short_exchange")}

    assert pairs(exchange="okx") == {frozenset({"okx", "bybit"}), frozenset({"okx", "hyperliquid"})}
    assert pairs(exchange=["okx", "bybit"]) == {frozenset({"okx", "bybit"})}
    assert pairs(market="ETHUSDT") == {frozenset({"bybit", "hyperliquid"})}
    assert client.spreads(excluded=True).is_empty()
    assert "reason" in client.spreads(excluded=True).columns


def test_coverage_counts_days_without_any_settlement() -> None:
    expected: dict[tuple[str, str, date], float] = defaultdict(float)
    for r in paid():
        for back in range(r.interval):
            expected[r.exchange, r.market, (r.time - (back + 1) * HOUR).date()] += 1
    found = client.coverage(by="market", since="2025-03-01")
    for row in found.iter_rows(named=True):
        covered = expected[row["exchange"], row["market"], row["day"]]
        assert (row["covered_hours"], row["live_hours"]) == (covered, 24), row
    assert found.filter(market="BTCUSDT", day=date(2025, 3, 21))["coverage"].to_list() == [0]
    assert found["day"].max() == date(2025, 4, 9)
    gone = found.filter(symbol="OLD")["day"]
    assert gone.max() == date(2025, 3, 30), "until its last settlement"
    days = client.coverage()
    assert len(days) == 3 * 30
    worst = days.filter(pl.col("coverage") < 1)
    assert told(worst, "exchange", "day", "markets", "coverage") == [
        ("bybit", date(2025, 3, 21), 3, 2 / 3),
        ("bybit", date(2025, 3, 22), 3, 2 / 3),
    ]
    assert client.coverage(exchange="okx", until="2025-03-20", since="2025-03-19").height == 2


def test_stability_of_the_week() -> None:
    found = client.stability(window="7d", exchange="okx")
    assert (found["variation"] > 0).all()
    # All rates of okx are positive: 156e-6 to 244e-6.
    assert found["sign_persistence"].to_list() == [1]


def test_any_statement() -> None:
    found = client.query(
        "SELECT count(*) AS n FROM funding_rates WHERE exchange = $name", {"name": "okx"}
    )
    assert found.item() == sum(1 for r in paid() if r.exchange == "okx")


@pytest.mark.parametrize(
    ("ask", "arguments"),
    [
        (client.rates, ()),
        (client.hourly, ()),
        (client.moving_averages, ()),
        (client.latest, ()),
        (client.coverage, ()),
        (client.carry, (DAY,)),
        (client.cumulative, (DAY,)),
    ],
)
def test_every_column_is_explained(ask: Any, arguments: tuple[Any, ...]) -> None:
    columns = ask(*arguments).columns
    assert [column for column in columns if column not in ask.__doc__] == []


def test_times_are_naive_utc() -> None:
    for frame in (client.rates(), client.latest(), client.cumulative(DAY)):
        assert frame.schema["funding_time"] == pl.Datetime("us")
