"""The queries that the documentation shows: each runs, on the published copy, in any time zone."""

import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from funding_pipeline.domain.records import Estimate, Market, RawSettlement, Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, utc_now
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.estimates import record_estimates
from funding_pipeline.warehouse.ledger import end_load, start_load
from funding_pipeline.warehouse.markets import record_markets
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.warehouse import world

QUERIES = Path(__file__).resolve().parents[1] / "docs" / "queries.md"
HOUR = timedelta(hours=1)
DAYS = 45
CAP = 0.003
CORRECTED = 60  # of each market's rows; 25 days ago where they are 8 hours apart

MARKETS = {
    "binance": [
        Market(
            market=f"{asset}USDT",
            symbol=asset,
            quote="USDT",
            settle="USDT",
            interval_hours=8,
            rate_cap=CAP,
            rate_floor=-CAP,
        )
        for asset in ("BTC", "ETH")
    ],
    "hyperliquid": [
        Market(market=name, symbol=symbol, multiplier=units, quote="USD", settle="USDC")
        for name, symbol, units in (
            ("BTC", "BTC", 1),
            ("ETH", "ETH", 1),
            ("kPEPE", "PEPE", 1000),
            ("OLD", "OLD", 1),
        )
    ],
}


def blocks() -> dict[str, str]:
    """The SQL below each heading."""
    parts = re.split(r"^#+ (.+)$", QUERIES.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        for number, sql in enumerate(re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)):
            found[f"{heading} {number + 1}" if number else heading] = sql
    return found


BLOCKS = blocks()


@dataclasses.dataclass(frozen=True)
class World:
    """A published database whose history ends with the present hour."""

    path: Path
    last: datetime
    rows: dict[tuple[str, str], list[RawSettlement]]

    def newest(self, exchange: str, market: str) -> RawSettlement:
        return self.rows[exchange, market][-1]

    def since(self, exchange: str, market: str, start: datetime) -> list[RawSettlement]:
        start_ms = _milliseconds(start)
        return [row for row in self.rows[exchange, market] if row.time_ms > start_ms]


def _milliseconds(time: datetime) -> int:
    return world.at((time - world.time_of(0)) / HOUR)


def _series(
    market: str, times: list[datetime], hours: int, size: int, **other: str
) -> list[RawSettlement]:
    return [
        RawSettlement(
            market,
            _milliseconds(time),
            other.get(f"at_{number}", f"{(number * 37 % size - size // 3) * 1e-6:.6f}"),
            hours,
        )
        for number, time in enumerate(times)
    ]


def _every(hours: int, start: datetime, end: datetime) -> list[datetime]:
    """Times after `start` up to `end`, on the UTC grid."""
    first = start.replace(hour=start.hour // hours * hours) + hours * HOUR
    return [first + n * hours * HOUR for n in range((end - first) // (hours * HOUR) + 1)]


def _history(start: datetime, last: datetime) -> dict[tuple[str, str], list[RawSettlement]]:
    change = last.replace(hour=0) - timedelta(days=20)
    hole = timedelta(days=2)
    eight, hourly = _every(8, start, last), _every(1, start, last)
    return {
        ("binance", "BTCUSDT"): _series("BTCUSDT", eight, 8, 300, at_100=str(CAP)),
        ("binance", "ETHUSDT"): [
            *_series("ETHUSDT", _every(8, start, change), 8, 400),
            *_series("ETHUSDT", _every(4, change + hole, last), 4, 200),
        ],
        ("hyperliquid", "BTC"): _series("BTC", hourly, 1, 50),
        ("hyperliquid", "ETH"): _series("ETH", hourly, 1, 40),
        ("hyperliquid", "kPEPE"): _series("kPEPE", hourly, 1, 90),
        ("hyperliquid", "OLD"): _series("OLD", hourly[: -5 * 24], 1, 90),
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two exchanges over 45 days: an interval change with a hole, a cap, a market that stopped, a
    correction, samples of estimates, a failed load.
    """
    now = utc_now()
    last = now.replace(minute=0, second=0, microsecond=0)
    start = last - timedelta(days=DAYS)
    rows = _history(start, last)
    database = Database(Settings(data_dir=tmp_path_factory.mktemp("queries")))
    with database.open() as connection:
        for exchange, markets in MARKETS.items():
            listed = [_listed(market, start) for market in markets]
            record_markets(connection, exchange, listed, start)
            _collect(connection, exchange, rows, start, last - timedelta(days=10), corrected=False)
            _collect(connection, exchange, rows, start, last, corrected=True)
            for hours in range(1, 48):
                _sample(connection, exchange, last - hours * HOUR - timedelta(minutes=4))
            record_markets(connection, exchange, listed, now)
            load = start_load(connection, exchange, "tick", Window(0, 1), now)
            failed = exchange == "hyperliquid"
            end_load(
                connection,
                load,
                "failed" if failed else "complete",
                rows_new=0,
                rows_changed=0,
                requests=1,
                error="no answer" if failed else None,
                now=now,
            )
    derive(database, now=now)
    publish(database)
    return World(database.read_path, last, rows)


def _listed(market: Market, start: datetime) -> Market:
    fields = {name: getattr(market, name) for name in market.__struct_fields__}
    return Market(**fields | {"listed_at_ms": _milliseconds(start)})


def _collect(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    rows: dict[tuple[str, str], list[RawSettlement]],
    start: datetime,
    end: datetime,
    *,
    corrected: bool,
) -> None:
    """All that was settled by `end`; before the correction one row had another rate. Each market
    sent a row off the grid as well.
    """
    history = {}
    for (name, market), settled in rows.items():
        if name == exchange:
            strayed = settled[-100]
            strayed = msgspec.structs.replace(strayed, time_ms=strayed.time_ms + 45 * 60_000)
            history[market] = [*settled, strayed]
            if not corrected:
                wrong = settled[CORRECTED]
                history[market][CORRECTED] = RawSettlement(market, wrong.time_ms, "0.000777", 8)
    world.collect(
        connection,
        history,
        Window(_milliseconds(start), _milliseconds(end) + 1),
        declaration=dataclasses.replace(world.spec("row"), name=exchange),
        refetch=True,
        load_id=2 if corrected else 1,
        now=end + timedelta(minutes=5),
    )


def _sample(connection: duckdb.DuckDBPyConnection, exchange: str, time: datetime) -> None:
    estimates = [
        Estimate(
            market=market.market,
            rate=1e-5,
            raw_rate="0.00001",
            interval_hours=market.interval_hours or 1,
            mark_price=100.0 * market.multiplier,
        )
        for market in MARKETS[exchange]
    ]
    record_estimates(connection, exchange, estimates, time)


@pytest.fixture
def reader(small: World) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for which `now()` stands still: it is the start of the transaction."""
    with duckdb.connect(str(small.path), read_only=True) as connection:
        connection.execute("BEGIN")
        yield connection


def records(connection: duckdb.DuckDBPyConnection, heading: str) -> list[dict[str, Any]]:
    found = connection.execute(BLOCKS[heading])
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def now(connection: duckdb.DuckDBPyConnection) -> datetime:
    ((there,),) = connection.execute("SELECT now() AT TIME ZONE 'UTC'").fetchall()
    assert isinstance(there, datetime)
    return there


def test_the_document_has_what_it_should() -> None:
    assert len(BLOCKS) >= 17
    assert all(sql.rstrip().endswith(";") for sql in BLOCKS.values())


def _in_words(row: dict[str, Any]) -> str:
    """Sums of doubles differ in their last digits from run to run."""
    return str({k: f"{v:.9g}" if isinstance(v, float) else v for k, v in row.items()})


@pytest.mark.parametrize("heading", BLOCKS)
def test_every_query_answers_the_same_in_any_time_zone(
    reader: duckdb.DuckDBPyConnection, heading: str
) -> None:
    reader.execute("SET TimeZone = 'UTC'")
    rows = records(reader, heading)
    assert rows
    assert not any(
        isinstance(value, datetime) and value.tzinfo for row in rows for value in row.values()
    )
    for zone in ("America/New_York", "Asia/Kathmandu"):
        reader.execute(f"SET TimeZone = '{zone}'")
        assert sorted(map(_in_words, records(reader, heading))) == sorted(map(_in_words, rows))


def test_current_rates(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    found = {
        (row["exchange"], row["symbol"]): row for row in records(reader, "Current funding rates")
    }
    assert len(found) == len(small.rows)
    newest = small.newest("binance", "BTCUSDT")
    row = found["binance", "BTC"]
    assert row["rate_annual"] == pytest.approx(float(newest.rate_text) / 8 * 8760 * 100, rel=1e-12)
    assert row["direction"] == ("long" if float(newest.rate_text) > 0 else "short")
    assert row["time"] == f"{small.last.replace(hour=small.last.hour // 8 * 8)}"
    ordered = [row["rate_annual"] for row in records(reader, "Current funding rates")]
    assert ordered == sorted(ordered, reverse=True)


def test_seven_day_figures_weigh_hours(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    """ETH on Binance every four hours: each hour of the grid has its settlement's rate."""
    (row,) = (
        row
        for row in records(reader, "Seven-day average, lowest and highest")
        if (row["exchange"], row["symbol"]) == ("binance", "ETH")
    )
    week = now(reader) - timedelta(days=7)
    hours = [
        float(settled.rate_text) / 4 * 8760 * 100
        for settled in small.since("binance", "ETHUSDT", week)
        for back in range(4)
        if settled.time_ms - back * world.HOUR > _milliseconds(week)
    ]
    assert row["avg_apr"] == pytest.approx(sum(hours) / len(hours), rel=1e-11)
    assert row["min_apr"] == pytest.approx(min(hours), rel=1e-12)
    assert row["max_apr"] == pytest.approx(max(hours), rel=1e-12)


def test_thirty_day_series(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    found = records(reader, "Thirty-day series for a chart")
    month = now(reader) - timedelta(days=30)
    expected = [
        *small.since("binance", "BTCUSDT", month),
        *small.since("hyperliquid", "BTC", month),
    ]
    assert [_milliseconds(row["funding_time"]) for row in found] == [
        row.time_ms for row in expected
    ]


def test_the_carry_since_a_date(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    found = records(reader, "What a position would have earned since a date")
    (row,) = (row for row in found if row["exchange"] == "hyperliquid")
    paid = [float(settled.rate_text) for settled in small.rows["hyperliquid", "BTC"]]
    assert row["short_got_percent"] == round(100 * sum(paid), 3)
    assert row["settlements"] == len(paid) == DAYS * 24


def test_what_changed_is_found(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    (change,) = records(reader, "Intervals that changed")
    assert (change["market"], change["hours_before"], change["hours_after"]) == ("ETHUSDT", 8, 4)
    (hole,) = records(reader, "Holes")
    assert (hole["market"], hole["missing_hours"]) == ("ETHUSDT", 48)
    (capped,) = records(reader, "Rates at their cap or floor")
    assert (capped["market"], capped["pinned"], capped["settlements"]) == ("BTCUSDT", "cap", 1)
    assert [row["market"] for row in records(reader, "Markets that stopped settling")] == ["OLD"]
    prices = {row["unit_price"] for row in records(reader, "Price of one unit")}
    assert prices == {100.0}


def test_refused_rows(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    found = records(reader, "Rows that were refused")
    assert [(row["exchange"], row["failed_check"], row["refused"]) for row in found] == [
        ("hyperliquid", "off grid", 4),
        ("binance", "off grid", 1),
    ]
    assert found[0]["markets"] == 4
    assert found[0]["newest"] == small.last - timedelta(hours=99, minutes=-45)


def test_rates_as_they_were_known(small: World, reader: duckdb.DuckDBPyConnection) -> None:
    found = records(reader, "Rates as they were known then")
    assert max(row["funding_time"] for row in found) <= small.last - timedelta(days=10)
    different = [row for row in found if row["rate_then"] != row["rate_now"]]
    corrected = small.rows["binance", "ETHUSDT"][CORRECTED]
    assert [
        (_milliseconds(row["funding_time"]), row["rate_then"], row["rate_now"])
        for row in different
        if row["market"] == "ETHUSDT"
    ] == [(corrected.time_ms, 0.000777, float(corrected.rate_text))]
