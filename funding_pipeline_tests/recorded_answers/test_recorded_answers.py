"""Each published figure of two recorded windows against its definition.

Every row wherever that is a matter of seconds; else markets chosen by a seed.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.recorded_answers import across_markets as across
from funding_pipeline_tests.recorded_answers import by_definition as definition
from funding_pipeline_tests.recorded_answers.recordings import (
    EPOCH,
    Recording,
    Series,
    derived,
    five_exchanges,
    hour_of,
    seven_months,
    time_of,
)

pytestmark = pytest.mark.slow

SEED = 20_250_515
Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """A recording, its grid, and the database that was derived from it."""

    recording: Recording
    grid: definition.Grid
    connection: duckdb.DuckDBPyConnection

    def frame(self, sql: str, *parameters: object) -> pl.DataFrame:
        found: pl.DataFrame = self.connection.sql(sql, params=list(parameters)).pl()
        return found

    def rows(self, table: str, *key: str) -> dict[tuple[Any, ...], Row]:
        """The rows of a table by key; market keys as its number."""
        frame = self.frame(f"FROM {table}")
        rows = {tuple(row[name] for name in key): row for row in frame.iter_rows(named=True)}
        assert len(rows) == len(frame)
        return rows

    def chosen(self, number: int) -> list[Series]:
        """Markets by a seed; first those whose interval changed most often."""
        changing = sorted(
            self.recording.series, key=lambda s: -int(np.count_nonzero(np.diff(s.interval)))
        )
        others = random.Random(SEED).sample(changing[number // 2 :], number - number // 2)
        return [*changing[: number // 2], *others]


WINDOWS: dict[str, Callable[[Path], Recording]] = {
    "seven months of two exchanges": seven_months,
    "a month of five exchanges": five_exchanges,
}


@pytest.fixture(scope="module", params=WINDOWS.values(), ids=WINDOWS.keys())
def world(
    request: pytest.FixtureRequest, recorded_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    recording = request.param(recorded_dir)
    database = Database(Settings(data_dir=tmp_path_factory.mktemp("recorded")))
    derived(recording, database)
    with database.open() as connection:
        yield World(recording, definition.grid(recording), connection)


def agrees(actual: object, expected: object, rel: float = 1e-9) -> bool:
    """Numbers within 1e-9 of each other, or both next to nothing beside any rate."""
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(actual, expected, rel_tol=rel, abs_tol=1e-16)
    return actual == expected


def check(
    actual: Mapping[Any, Row], expected: Mapping[Any, definition.Figures], rel: float = 1e-9
) -> None:
    """The same rows, and in each the same figures."""
    assert actual.keys() == expected.keys()
    for key, figures in expected.items():
        for name, figure in figures.items():
            assert agrees(actual[key][name], figure, rel), (key, name, actual[key][name], figure)


def test_the_recording_has_what_is_hard(world: World) -> None:
    changes = sum(int(np.count_nonzero(np.diff(s.interval))) for s in world.recording.series)
    holes = sum(int((np.diff(s.hour) > s.interval[1:]).sum()) for s in world.recording.series)
    assert changes > 30
    assert holes > 0
    assert any(s.listed for s in world.recording.series)
    assert any(s.delisted for s in world.recording.series)


def test_settlements_and_their_hours(world: World) -> None:
    """`funding_rates` and `apr`: every settlement, every paid hour."""
    number = sum(len(s.hour) for s in world.recording.series)
    [counted] = world.frame(
        """SELECT count(*) AS n, count(*) FILTER (rate_hourly <> rate / interval_hours
            OR abs(apr - rate * 8760 / interval_hours) > 1e-12 * abs(apr)
            OR direction <> CASE WHEN rate > 0 THEN 'long' WHEN rate < 0 THEN 'short'
                ELSE 'none' END) AS wrong FROM funding_rates"""
    ).rows()
    assert counted == (number, 0)
    hours = world.frame(
        """SELECT market_id, epoch(hour) // 3600 AS hour, rate_hourly, a.apr
        FROM apr a JOIN markets USING (exchange, market)"""
    )
    place = hours["hour"].to_numpy().astype(np.int64) - world.grid.first
    market = hours["market_id"].to_numpy() - 1
    assert len(hours) == np.isfinite(world.grid.rates).sum()
    assert len(np.unique(market * world.grid.rates.shape[1] + place)) == len(hours)
    paid = world.grid.rates[market, place]
    np.testing.assert_allclose(hours["rate_hourly"].to_numpy(), paid, rtol=1e-14)
    np.testing.assert_allclose(hours["apr"].to_numpy(), paid * 8760, rtol=1e-14)


def test_newest_settlements(world: World) -> None:
    expected: dict[Any, definition.Figures] = {
        (s.exchange, s.market): {
            "rate": float(s.rate[-1]),
            "interval_hours": int(s.interval[-1]),
            "rate_hourly": float(s.rate[-1] / s.interval[-1]),
            "asset": s.asset,
        }
        for s in world.recording.series
    }
    found = world.rows("latest_rates", "exchange", "market")
    check(found, expected)
    stamps = {(s.exchange, s.market): time_of(int(s.hour[-1])) for s in world.recording.series}
    assert {key: row["funding_time"] for key, row in found.items()} == stamps
    check(
        world.rows("funding_latest", "exchange", "market"),
        {
            (s.exchange, s.market): {
                "rate_annual": float(s.rate[-1] / s.interval[-1] * 876_000),
                "direction": {1: "long", -1: "short", 0: "none"}[int(np.sign(s.rate[-1]))],
            }
            for s in world.recording.series
        },
    )


def test_days(world: World) -> None:
    """`daily_stats`: every market and day, all figures."""
    expected = {
        (s.exchange, s.market, date(1970, 1, 1) + timedelta(days=day)): figures
        for s in world.recording.series
        for day, figures in definition.days(s, hour_of(world.recording.now)).items()
    }
    found = world.rows("daily_stats", "exchange", "market", "day")
    check(found, expected)
    for row in found.values():
        for name in ("open", "close", "median", "std", "p05", "p95"):
            assert row[f"apr_{name}"] == row[f"rate_hourly_{name}"] * 8760
        assert (row["apr_high"], row["apr_low"]) == (
            row["rate_hourly_max"] * 8760,
            row["rate_hourly_min"] * 8760,
        )
        streaks = row["positive_streak_hours"], row["negative_streak_hours"]
        assert row["longest_streak_hours"] == max(streaks)
    percent = {
        key: definition.Figures(
            avg_apr=figures["rate_hourly_mean"] * 876_000,  # type: ignore[operator]
            min_apr=figures["rate_hourly_min"] * 876_000,  # type: ignore[operator]
            max_apr=figures["rate_hourly_max"] * 876_000,  # type: ignore[operator]
            sample_count=figures["settlements"],
            coverage=figures["coverage"],
        )
        for key, figures in expected.items()
    }
    check(world.rows("funding_daily_stats", "exchange", "market", "date"), percent)


def points(world: World, series: Series) -> np.ndarray:
    """Midnights for ever, hours of the last seven days; nothing that is not settled yet."""
    last = int(series.hour[-1])
    now = hour_of(world.recording.now)
    midnights = np.arange(world.recording.start // 24 * 24, last + 1, 24)
    return np.union1d(midnights, np.arange(now - 167, last + 1))


def test_moving_averages(world: World) -> None:
    """Every market, window and point."""
    sums = definition.trailing(world.grid)
    stored = world.frame(
        """SELECT market_id, "window", epoch(as_of) // 3600 AS hour, rate_hourly_mean, apr,
            covered_hours, coverage, settlements FROM base.moving_averages
        ORDER BY market_id, "window", hour"""
    ).with_columns(pl.col("hour").cast(pl.Int64))
    by_key = stored.partition_by("market_id", "window", as_dict=True)
    compared = 0
    for number, series in enumerate(world.recording.series):
        for window, hours in definition.WINDOWS.items():
            expected = definition.averages(sums, number, points(world, series), hours)
            found = by_key[series.market_id, window]
            for name, values in expected.items():
                actual = found[name].cast(pl.Float64).fill_null(math.nan).to_numpy()
                where = f"{series.exchange} {series.market} {window} {name}"
                np.testing.assert_allclose(actual, values, rtol=1e-9, atol=1e-16, err_msg=where)
            compared += len(found)
    assert compared == len(stored)
    [wrong] = world.frame(
        """SELECT count(*) FROM moving_averages
        WHERE apr IS DISTINCT FROM rate_hourly_mean * 8760"""
    ).row(0)
    assert wrong == 0


def test_signals(world: World) -> None:
    check(
        world.rows("market_signals", "exchange", "market"),
        {
            (s.exchange, s.market): definition.signals(world.grid, number)
            for number, s in enumerate(world.recording.series)
        },
        rel=1e-7,  # 90 days of fading weights
    )


def test_stability(world: World) -> None:
    expected = {
        (s.exchange, s.market, window): figures
        for number, s in enumerate(world.recording.series)
        for window, hours in {"7d": 168, "30d": 720, "90d": 2160}.items()
        if (figures := definition.stability(world.grid, number, hours)) is not None
    }
    check(world.rows("stability", "exchange", "market", "window"), expected, rel=1e-7)


def test_seasonality(world: World) -> None:
    until = hour_of(world.recording.now) // 24 * 24
    expected = {
        (s.exchange, s.market, kind, slot): figures
        for number, s in enumerate(world.recording.series)
        for kind, slot, figures in definition.seasons(world.grid, number, until)
    }
    found = world.rows("seasonality", "exchange", "market", "kind", "slot")
    check(found, expected)
    of_assets = defaultdict(list)
    for (exchange, market, kind, slot), figures in expected.items():
        if figures["rate_hourly_mean"] is not None:
            asset = found[exchange, market, kind, slot]["asset"]
            of_assets[asset, kind, slot].append(figures)
    check(
        world.rows("asset_seasonality", "asset", "kind", "slot"),
        {
            key: {
                "rate_hourly_mean": mean([f["rate_hourly_mean"] for f in members]),
                "positive_share": mean([f["positive_share"] for f in members]),
                "markets": len(members),
            }
            for key, members in of_assets.items()
        },
    )


def mean(values: list[Any]) -> float:
    return math.fsum(values) / len(values)


def test_assets(world: World) -> None:
    """`asset_averages`: every asset, window and midnight, and the newest state."""
    now = hour_of(world.recording.now)
    oi = open_interest(world)
    members: dict[tuple[str, str, int], list[tuple[float, str, int, float | None]]] = defaultdict(
        list
    )
    sums = definition.trailing(world.grid)
    newest = max(int(s.hour[-1]) for s in world.recording.series)
    assert newest in (now, now - 1)
    for number, s in enumerate(world.recording.series):
        last = int(s.hour[-1])
        fresh = last > newest - 2 - max(int(s.interval[-1]), 8)
        if fresh:
            rate = float(s.rate[-1] / s.interval[-1])
            members[s.asset, "latest", newest].append(
                (rate, s.exchange, s.market_id, oi(s, newest))
            )
        ends = points(world, s)
        ends = ends[((ends % 24 == 0) & (ends < newest)) | ((ends == last) & fresh)]
        for window, hours in definition.WINDOWS.items():
            found = definition.averages(sums, number, ends, hours)
            for hour, value in zip(found["hour"], found["rate_hourly_mean"], strict=True):
                if math.isnan(value):
                    continue
                if hour % 24 == 0 and hour < newest:
                    members[s.asset, window, int(hour)].append(
                        (float(value), s.exchange, s.market_id, oi(s, int(hour)))
                    )
                if hour == last and fresh:
                    members[s.asset, window, newest].append(
                        (float(value), s.exchange, s.market_id, oi(s, newest))
                    )
    expected = {
        (asset, window, time_of(hour)): asset_figures(rows)
        for (asset, window, hour), rows in members.items()
    }
    check(world.rows("asset_averages", "asset", "window", "as_of"), expected)


def asset_figures(rows: list[tuple[float, str, int, float | None]]) -> definition.Figures:
    rates = [rate for rate, *_ in rows]
    weighed = [(rate, weight) for rate, _, _, weight in rows if weight is not None]
    total = math.fsum(weight for _, weight in weighed)
    return {
        "exchanges": len({exchange for _, exchange, _, _ in rows}),
        "markets": len(rows),
        "rate_hourly_mean": mean(rates),
        "rate_hourly_min": min(rates),
        "rate_hourly_max": max(rates),
        "apr_spread": (max(rates) - min(rates)) * 8760,
        "markets_with_oi": len(weighed),
        "open_interest_usd": total if weighed else None,
        "rate_hourly_oi_mean": math.fsum(r * w for r, w in weighed) / total if total else None,
        "markets_with_volume": 0,
        "rate_hourly_volume_mean": None,
    }


def open_interest(world: World) -> Callable[[Series, int], float | None]:
    """The newest one seen in the day up to an hour."""
    seen: dict[int, list[tuple[datetime, float]]] = defaultdict(list)
    if len(world.recording.samples):
        told = world.recording.samples.drop_nulls("open_interest_usd")
        for market_id, at, value in told.select(
            "market_id", "observed_at", "open_interest_usd"
        ).iter_rows():
            seen[market_id].append((at, value))

    def newest(series: Series, hour: int) -> float | None:
        until = time_of(hour)
        known = [v for at, v in seen[series.market_id] if until - timedelta(days=1) < at <= until]
        return known[-1] if known else None

    return newest


SPANS = [(30 * 24, 0), (100, 0), (33 * 24, 100), (24, 7)]


@pytest.mark.parametrize(("since", "until"), SPANS)
def test_carry(world: World, since: int, until: int) -> None:
    """Of every market, over spans that end with the recording or before."""
    end = hour_of(world.recording.now)
    opened, closed = end - since, end - until
    newest = max(int(s.hour[-1]) for s in world.recording.series)
    expected = {
        (s.exchange, s.market): figures
        for s in world.recording.series
        if (figures := definition.carry(s, opened, closed, newest)) is not None
    }
    frame = world.frame("FROM carry($1, to_time := $2)", time_of(opened), time_of(closed))
    check({(r["exchange"], r["market"]): r for r in frame.iter_rows(named=True)}, expected)


def test_carry_of_windows(world: World) -> None:
    newest = max(int(s.hour[-1]) for s in world.recording.series)
    expected = {}
    for s in world.recording.series:
        last = int(s.hour[-1])
        if last <= newest - 7 * 24:
            continue
        for window, hours in (definition.WINDOWS | {"90d": 2160}).items():
            figures = definition.carry(s, last - hours, last, last)
            assert figures is not None
            expected[s.exchange, s.market, window] = figures
    check(world.rows("carry_windows", "exchange", "market", "window"), expected)


def test_running_sums(world: World) -> None:
    opened = world.recording.end - 60 * 24
    for s in world.chosen(12):
        frame = world.frame(
            "FROM cumulative_funding($1, $2, $3)", s.exchange, s.market, time_of(opened)
        )
        rates = s.rate[s.hour > opened]
        got = np.array([math.fsum(rates[: n + 1]) for n in range(len(rates))])
        actual = frame["short_carry"].to_numpy()
        np.testing.assert_allclose(actual, got, rtol=1e-9, atol=1e-16)
        np.testing.assert_array_equal(frame["long_carry"].to_numpy(), 0 - actual)


def test_spreads(world: World) -> None:
    """Every pair and window: figures, fees, and why one is left out."""
    now = hour_of(world.recording.now)
    fee = taker_fees(world)
    prices = newest_prices(world)
    oi = last_open_interest(world)
    expected: dict[Any, definition.Figures] = {}
    for first, second in across.pairs(world.recording.series):
        if any(s.hour[-1] < now - 767 for s in (first, second)):
            continue
        found = across.spreads(world.grid, first, second, now)
        cost = 2 * (fee(first.exchange, now) + fee(second.exchange, now))
        for window, hours in across.PAIR_WINDOWS.items():
            figures = dict(found[1][window]) if found else no_spread(first, second)
            figures["reason"] = reason(first, second, now, figures, hours, prices, oi)
            rate = figures["rate_hourly"]
            held = max(hours, 24)
            if isinstance(rate, float):
                figures["net_apr_taker"] = (rate - cost / held) * 8760
                figures["break_even_hours_taker"] = cost / rate if rate > 0 else None
            key = (*sorted((first.market_id, second.market_id)), window)
            expected[key] = figures
    actual = {}
    frame = world.frame(
        """SELECT long.market_id AS long_id, short.market_id AS short_id, f.*,
            CAST(round(f.same_direction_share * f.hours) AS INTEGER) AS same_direction_hours
        FROM base.spread_figures f
        JOIN markets long ON (long.exchange, long.market) = (f.long_exchange, f.long_market)
        JOIN markets short ON (short.exchange, short.market) = (f.short_exchange, f.short_market)"""
    )
    for row in frame.iter_rows(named=True):
        actual[(*sorted((row["long_id"], row["short_id"])), row["window"])] = row
    assert len(actual) == len(frame) > 400
    half_lives = {key: figures.pop("half_life_hours") for key, figures in expected.items()}
    check(actual, expected)
    for key, exact in half_lives.items():
        told = actual[key]["half_life_hours"]  # kept as FLOAT
        assert (told is None) == (exact is None), (key, told, exact)
        if told is not None:
            assert told == pytest.approx(exact, rel=1e-5, abs=1e-6), key


def no_spread(first: Series, second: Series) -> definition.Figures:
    return {
        "long_id": first.market_id,
        "short_id": second.market_id,
        "rate_hourly": None,
        "hours": 0,
        "alive_hours": None,
        "half_life_hours": None,
    }


def reason(
    first: Series,
    second: Series,
    now: int,
    figures: definition.Figures,
    window: int,
    prices: Mapping[int, tuple[datetime, float]],
    oi: Mapping[int, float],
) -> str | None:
    """Why a pair is left out of a window, in the order in which reasons count."""
    if first.delisted is not None or second.delisted is not None:
        return "not listed"
    if across.stale(first, now) or across.stale(second, now):
        return "stale"
    seen = [prices.get(s.market_id) for s in (first, second)]
    if seen[0] and seen[1] and abs(seen[0][0] - seen[1][0]) <= timedelta(minutes=15):
        low, high = sorted((seen[0][1], seen[1][1]))
        if high / low - 1 > 0.03:
            return "price apart"
    if any(oi.get(s.market_id, math.inf) < 200_000 for s in (first, second)):
        return "thin"
    if not figures["hours"]:
        return "stale"
    hours = figures["hours"]
    assert isinstance(hours, int)
    return "coverage" if hours < 0.8 * window else None


def taker_fees(world: World) -> Callable[[str, int], float]:
    """The taker's fee of an exchange at an hour, by its eras."""
    eras = world.frame("FROM fees").rows(named=True)

    def fee(exchange: str, hour: int) -> float:
        day = time_of(hour).date()
        [found] = [
            era["taker"]
            for era in eras
            if era["exchange"] == exchange
            and (era["valid_from"] or date.min) <= day < (era["valid_to"] or date.max)
        ]
        return float(found)

    return fee


def newest_prices(world: World) -> dict[int, tuple[datetime, float]]:
    """Of the last two hours."""
    found = {}
    if len(world.recording.samples):
        told = world.recording.samples.drop_nulls("mark_price")
        for market_id, at, price in told.select(
            "market_id", "observed_at", "mark_price"
        ).iter_rows():
            if at >= world.recording.now - timedelta(hours=2) and price > 0:
                found[market_id] = (at, price)
    return found


def last_open_interest(world: World) -> dict[int, float]:
    """Of the last day."""
    if not len(world.recording.samples):
        return {}
    recent = world.recording.samples.filter(
        pl.col("observed_at") >= world.recording.now - timedelta(days=1)
    ).drop_nulls("open_interest_usd")
    return dict(recent.select("market_id", "open_interest_usd").iter_rows())


def test_opportunities(world: World) -> None:
    """The log of the last 30 days, hour by hour, of pairs by a seed and all that paid most."""
    now = hour_of(world.recording.now)
    starts = world.frame("SELECT starts FROM base.opportunity_log").item()
    fee = taker_fees(world)
    log = world.frame("FROM base.opportunities")
    busy = log.group_by("long_id", "short_id").len().sort("len", "long_id", descending=True)
    wanted = {frozenset(ids) for ids in busy.head(15).select("long_id", "short_id").iter_rows()}
    pairs = list(across.pairs(world.recording.series))
    chosen = [pair for pair in pairs if frozenset(s.market_id for s in pair) in wanted]
    chosen += random.Random(SEED).sample(pairs, 15)
    expected: list[definition.Figures] = []
    ids = set()
    for first, second in dict.fromkeys((a.market_id, b.market_id) for a, b in chosen):
        ids |= {(first, second), (second, first)}
        legs = (world.recording.series[first - 1], world.recording.series[second - 1])
        for one in across.opportunities(world.grid, *legs, hour_of(starts), now, fee):
            cost = sum(fee(s.exchange, at) for s in legs for at in (one.opened, one.until))
            expected.append(
                {
                    "long_id": one.long_id,
                    "short_id": one.short_id,
                    "opened": one.opened,
                    "opened_net_apr": one.opened_net_apr,
                    "peak": one.peak,
                    "peak_net_apr": one.peak_net_apr,
                    "closed": one.closed,
                    "closed_by": one.closed_by,
                    "until": one.until,
                    "funding": one.funding,
                    "realised_net": one.funding - cost,
                }
            )
    named = world.frame(
        """SELECT long.market_id AS long_id, short.market_id AS short_id,
            o.* REPLACE (epoch(opened) // 3600 AS opened, epoch(peak) // 3600 AS peak,
                epoch(closed) // 3600 AS closed, epoch(until) // 3600 AS until)
        FROM opportunities o
        JOIN markets long ON (long.exchange, long.market) = (o.long_exchange, o.long_market)
        JOIN markets short ON (short.exchange, short.market) = (o.short_exchange, o.short_market)"""
    )
    found = {
        (row["long_id"], row["short_id"], row["opened"]): row
        for row in named.iter_rows(named=True)
        if (row["long_id"], row["short_id"]) in ids
    }
    assert len(found) > 20
    check(found, {(e["long_id"], e["short_id"], e["opened"]): e for e in expected}, rel=1e-8)


def last_full_day(world: World) -> int:
    """The midnight whose settlements have had an hour to be collected."""
    return hour_of(world.recording.now - timedelta(hours=1)) // 24 * 24


def test_markets_alike(world: World) -> None:
    """Every pair of one asset; the neighbours of markets by a seed; the largest assets."""
    until = last_full_day(world)
    series = world.recording.series
    expected = {}
    for a, b in across.pairs(series):
        covers = [np.isfinite(world.grid.window(s.market_id - 1, until, 720)).any() for s in (a, b)]
        if all(covers):
            one, other = sorted((a, b), key=lambda s: s.exchange)
            expected[one.exchange, one.market, other.exchange, other.market] = across.likeness(
                world.grid, a.market_id - 1, b.market_id - 1, until
            )
    found = world.rows("rate_correlations", "exchange", "market", "other_exchange", "other_market")
    check(found, expected, rel=1e-6)
    neighbours = world.rows("neighbours", "exchange", "market", "measure", "rank")
    asked = world.chosen(4)
    for s in asked:
        alike = [
            (other, across.likeness(world.grid, s.market_id - 1, other.market_id - 1, until))
            for other in series
            if other is not s
        ]
        for measure in ("correlation", "cosine"):
            values = sorted(
                (float(f[measure]) for _, f in alike if f[measure] is not None and f[measure] > 0),  # type: ignore[operator, arg-type]
                reverse=True,
            )[:10]
            told = [
                neighbours[s.exchange, s.market, measure, rank + 1]["similarity"]
                for rank in range(len(values))
            ]
            assert told == pytest.approx(values, rel=1e-6)
            assert (s.exchange, s.market, measure, len(values) + 1) not in neighbours


def test_assets_alike(world: World) -> None:
    """`asset_correlations`: means of the 250 assets with the most markets, each pair once."""
    until = last_full_day(world)
    members = defaultdict(list)
    for s in world.recording.series:
        rates = world.grid.window(s.market_id - 1, until, 720)
        if np.isfinite(rates).sum() >= 576:
            members[s.asset].append(rates)
    largest = sorted(members, key=lambda asset: (-len(members[asset]), asset))[:250]
    hours = {}
    for asset in largest:
        stack = np.array(members[asset])
        number = np.isfinite(stack).sum(axis=0)
        total = np.where(np.isfinite(stack), stack, 0).sum(axis=0)
        hours[asset] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    found = world.rows("asset_correlations", "asset", "other_asset")
    assert len(found) == len(largest) * (len(largest) - 1) // 2
    for key in random.Random(SEED).sample(sorted(found), min(len(found), 2000)):
        exact = across.likeness_of(hours[key[0]], hours[key[1]])
        for name, figure in exact.items():
            assert agrees(found[key][name], figure, 1e-6), (key, name, found[key][name], figure)


def test_forecasts(world: World) -> None:
    """Predicted against settled, of all samples of the last 30 days; none, no rows."""
    samples = world.recording.samples
    found = world.rows("forecast_errors", "exchange", "lead_minutes")
    if not len(samples):
        assert found == {}
        return
    settled = {
        (s.market_id, int(hour)): (float(rate), int(interval))
        for s in world.recording.series
        for hour, rate, interval in zip(s.hour, s.rate, s.interval, strict=True)
    }
    newest: datetime = samples["observed_at"].max()  # type: ignore[assignment]
    groups = defaultdict(list)
    for row in samples.iter_rows(named=True):
        interval = row["interval_hours"]
        period = interval * 3600
        seconds = (row["observed_at"] - EPOCH).total_seconds()
        boundary = math.ceil(seconds / period) * period
        rate, hours = settled.get((row["market_id"], boundary // 3600), (0.0, None))
        if hours != interval or row["observed_at"] <= newest - timedelta(days=30):
            continue
        if EPOCH + timedelta(seconds=boundary) <= newest - timedelta(days=30):
            continue
        left = (boundary - seconds) / 60
        lead = next(limit for limit in (5, 60, 120, 240, 480, 1440) if left <= limit)
        exchange = world.recording.series[row["market_id"] - 1].exchange
        groups[exchange, lead].append((row["market_id"], row["rate"], rate, interval))
    expected = {}
    for key, rows in groups.items():
        errors = [predicted - rate for _, predicted, rate, _ in rows]
        expected[key] = definition.Figures(
            markets=len({market for market, *_ in rows}),
            samples=len(rows),
            mean_error=mean(errors),
            mean_absolute_error=mean([abs(e) for e in errors]),
            root_mean_square_error=math.sqrt(mean([e * e for e in errors])),
            sign_right_share=mean([float(np.sign(p) == np.sign(r)) for _, p, r, _ in rows]),
            mean_absolute_error_apr=mean(
                [abs(e) / row[3] for e, row in zip(errors, rows, strict=True)]
            )
            * 8760,
        )
    check(found, expected, rel=1e-7)
    assert found["hyperliquid", 60]["mean_absolute_error"] > 0


def test_a_second_computation_would_notice(world: World) -> None:
    """One rate moved by a millionth of itself shows in every kind of figure."""
    series = world.chosen(1)[0]
    moved = series.rate.copy()
    moved[-2] *= 1 + 1e-6
    other = replace(series, rate=moved)
    day = (int(series.hour[-2]) - int(series.interval[-2])) // 24
    end = hour_of(world.recording.now)
    one, two = (definition.days(s, end)[day]["rate_sum"] for s in (series, other))
    assert not agrees(one, two)
