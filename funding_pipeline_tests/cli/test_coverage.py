"""The map of complete days, and the command that repairs."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from funding_pipeline.cli.coverage import coverage_lines
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.coverage import Coverage, Hole, Row, read_coverage
from funding_pipeline.warehouse.database import Database, transaction, utc_now
from funding_pipeline.warehouse.gaps import rescan
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.cli.conftest import Run, Serve

MONDAY = date(2026, 3, 2)
DAYS = tuple(MONDAY + timedelta(days=n) for n in range(4))


def test_a_map_of_exchanges() -> None:
    found = Coverage(
        DAYS,
        (
            Row("bybit", 62, 72, {DAYS[0]: 1.0, DAYS[1]: 0.99, DAYS[2]: 0.0}),
            Row("okx", 9, 9, dict.fromkeys(DAYS, 1.0)),
        ),
        (Hole("bybit", "not asked", 10, 3, DAYS[1], DAYS[2]),),
    )
    assert list(coverage_lines(found, None, blocks=False)) == [
        "exchange  share    missing  02",
        "bybit     86.1 %   10       #90.",
        "okx       100.0 %  0        ####",
        "",
        "2026-03-02 .. 2026-03-05, a character a UTC day, in which the paid period begins: "
        "# complete, 0 to 9 tenths of it, . none expected",
        "",
        "missing  exchange  why        markets  days",
        "10       bybit     not asked  3        2026-03-03 .. 2026-03-04",
    ]
    drawn = list(coverage_lines(found, None, blocks=True))
    assert drawn[1].endswith(" █▇▁·")
    assert "█ complete" in drawn[4]


def test_of_many_markets_the_least_complete_are_shown() -> None:
    rows = tuple(Row(f"M{n}", 3 if n > 1 else n, 3, {DAYS[0]: 1.0}) for n in range(50))
    lines = list(coverage_lines(Coverage(DAYS, rows, ()), "bybit", blocks=False))
    assert lines[0].startswith("market of bybit")
    assert [line.split()[0] for line in lines[1:41]] == [f"M{n}" for n in range(40)]
    assert lines[41] == "and 10 more markets, 10 of them complete"


def test_nothing_expected() -> None:
    lines = list(coverage_lines(Coverage(DAYS, (), ()), None, blocks=False))
    assert lines == ["No settlement is expected or stored in these days."]


def test_before_anything_is_published(run: Run) -> None:
    result = run("coverage")
    assert result.exit_code == 0
    assert "Nothing is published yet" in result.output
    assert read_coverage(Path("no/such.duckdb"), last=MONDAY, days=3) is None
    assert not Path("data").exists()


@pytest.mark.parametrize("days", ["0", "401", "x"])
def test_bad_numbers_of_days(run: Run, days: str) -> None:
    assert run("coverage", "--days", days).exit_code == 2


def lose(market: str, start: datetime, hours: int) -> None:
    """Forget settlements of a market, and that they were ever asked."""
    database = Database(Settings())
    with database.open() as connection:
        exchange, market_id = connection.execute(
            "SELECT exchange, market_id FROM markets WHERE market = ?", [market]
        ).fetchall()[0]
        end = start + timedelta(hours=hours)
        connection.execute(
            """DELETE FROM settlements
            WHERE market_id = ? AND funding_time >= ? AND funding_time < ?""",
            [market_id, start, end],
        )
        connection.execute(
            """INSERT INTO dirty_days (market_id, day, since)
            SELECT market_id, CAST(funding_time AS DATE), funding_time
            FROM settlements WHERE market_id = ?""",
            [market_id],
        )
        with transaction(connection):
            rescan(connection, now=utc_now())
    assert exchange == "hyperliquid"


def test_a_hole_is_shown_repaired_and_gone(run: Run, serve: Serve) -> None:
    serve()
    run("backfill", "--days", "7")
    whole = run("coverage", "--days", "5").output
    assert [line.split()[-1] for line in whole.splitlines()[1:3]] == ["#####", "#####"]
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    lose("BTC", midnight - timedelta(days=3) + timedelta(hours=1), 12)
    from funding_pipeline.warehouse.derive import derive

    derive(Database(Settings()), now=utc_now())
    publish(Database(Settings()))
    shown = run("coverage", "--exchange", "hyperliquid", "--days", "5").output.splitlines()
    assert shown[1].split()[0] == "BTC"
    assert shown[1].split()[-1] == "##5##"
    assert any(line.startswith("12       hyperliquid  answered empty  1") for line in shown), shown
    repaired = run("repair")
    assert repaired.exit_code == 0, repaired.output
    assert "hyperliquid: 1 open gaps, 12 settlements missing" in repaired.output
    assert repaired.output.splitlines()[-1] == "nothing is missing"
    after = run("coverage", "--exchange", "hyperliquid", "--days", "5").output.splitlines()
    assert {line.split()[-1] for line in after[1:3]} == {"#####"}


def test_a_repair_with_nothing_to_do(run: Run, serve: Serve) -> None:
    serve()
    run("backfill", "--days", "3")
    result = run("repair", "--exchange", "bybit", "--retry-given-up")
    assert result.exit_code == 0
    assert "0 gaps that were given up are asked for again" in result.output
    assert "no open gap can be asked for" in result.output


def test_a_repair_of_what_is_unknown(run: Run) -> None:
    result = run("repair", "--exchange", "nowhere")
    assert result.exit_code == 2
    assert "unknown exchange" in result.output
