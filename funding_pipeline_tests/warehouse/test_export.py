"""Exports: each table, each filter, and files that are complete or not there."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.dataset import export_dataset
from funding_pipeline.warehouse.export import TABLES, ExportError, Selection, export_table
from funding_pipeline.warehouse.ledger import claim_origin, start_load
from funding_pipeline.warehouse.publish import publish

DAY = datetime(2025, 5, 1)
LAST_DAY = date(2025, 5, 4)


@pytest.fixture
def published(database: Database, settings: Settings) -> Path:
    """Four days, hourly: BTC on two exchanges, one of them every 8 hours; something of the rest."""
    with database.open() as connection:
        for market_id, exchange, symbol in ((1, "a", "BTC"), (2, "b", "BTC"), (3, "b", "ETH")):
            connection.execute(
                """INSERT INTO base.markets BY NAME SELECT $id AS market_id, $e AS exchange,
                $s || '-PERP' AS market, $s AS symbol, 1 AS multiplier, 'USD' AS quote,
                'USD' AS settle, 'live' AS status, $d AS first_seen, $d AS last_seen""",
                {"id": market_id, "e": exchange, "s": symbol, "d": DAY},
            )
        connection.execute(
            """INSERT INTO settlements BY NAME
            SELECT m.id AS market_id, $d + to_hours(h::INTEGER) AS funding_time, 1e-5 AS rate,
                   m.hours AS interval_hours, m.hours AS covered_hours, 'settled' AS kind,
                   '0.00001' AS raw_rate, 0 AS lag_ms, 'api' AS source, 1 AS load_id,
                   $d AS collected_at
            FROM (VALUES (1, 8), (2, 1), (3, 1)) m(id, hours), range(96) r(h)
            WHERE h % hours = 0""",
            {"d": DAY},
        )
        connection.execute(
            """INSERT INTO rate_revisions
            SELECT market_id, funding_time, rate, interval_hours, raw_rate, 0, 1, 'exchange', 2, $d
            FROM settlements WHERE funding_time < $d + INTERVAL 1 HOUR""",
            {"d": DAY},
        )
        connection.execute(
            """INSERT INTO collected_windows VALUES
            ('a', 'BTC-PERP', '2025-05-01', '2025-05-02', 1, 'collected', 1),
            ('a', 'BTC-PERP', '2025-05-02 12:00', '2025-05-05', 1, 'collected', 1)"""
        )
        start_load(connection, "a", "tick", Window(0, 1), DAY)
        claim_origin(connection, "live")
    publish(database)
    return settings.read_path


def _table(path: Path, file_format: str) -> pl.DataFrame:
    """Read without the database that wrote it."""
    if file_format == "parquet":
        return pl.read_parquet(path)
    if file_format == "csv":
        return pl.read_csv(path, infer_schema=False)
    return pl.read_ipc(path)


def _rows(path: Path) -> list[tuple[object, ...]]:
    return duckdb.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("file_format", ["parquet", "csv", "feather"])
def test_every_table_in_full(published: Path, tmp_path: Path, table: str, file_format: str) -> None:
    out = tmp_path / f"it's {table}.{file_format}"
    rows = export_table(published, table, out, file_format, Selection())
    assert len(_table(out, file_format)) == rows
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("table", TABLES)
def test_every_filter_is_obeyed_or_refused(published: Path, tmp_path: Path, table: str) -> None:
    for selection in (
        Selection(first=DAY.date(), last=LAST_DAY),
        Selection(exchanges=["a"]),
        Selection(symbols=["BTC"]),
    ):
        out = tmp_path / "x.parquet"
        try:
            export_table(published, table, out, "parquet", selection)
        except ExportError as refusal:
            assert "does not apply" in str(refusal) or "do not apply" in str(refusal)
    try:
        export_dataset(published, table, tmp_path / "folder", Selection(), now=DAY)
    except ExportError as refusal:
        assert "--partitioned does not apply" in str(refusal)


def test_everything_that_is_published_can_be_exported(published: Path) -> None:
    """Each view, and each table that the README names."""
    with duckdb.connect(str(published), read_only=True) as connection:
        views = connection.execute(
            "SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal"
        ).fetchall()
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    cells = re.findall(r"^\| (`[^|]*) \|", readme.split("## Units")[0], re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named >= {"funding_rates", "spreads", "fees"}
    assert {name for (name,) in views} | named <= TABLES.keys()


def test_an_exchange_is_either_leg(database: Database, settings: Settings, tmp_path: Path) -> None:
    with database.open() as connection:
        for market_id, exchange in enumerate("abc", start=1):
            connection.execute(
                """INSERT INTO base.markets BY NAME SELECT $id AS market_id, $e AS exchange,
                'BTC' AS market, 'BTC' AS symbol, 'BTC' AS asset, 1 AS multiplier, 'USD' AS quote,
                'USD' AS settle, 'live' AS status, $d AS first_seen, $d AS last_seen""",
                {"id": market_id, "e": exchange, "d": DAY},
            )
        for long, short in ((1, 2), (2, 3), (3, 1)):
            connection.execute(
                """INSERT INTO base.opportunities
                VALUES ($1, $2, $3, 0.3, $3, 0.3, NULL, NULL, $3, 0, 0.001)""",
                [long, short, DAY],
            )
    publish(database)
    out = tmp_path / "x.parquet"
    of_a = Selection(exchanges=["a"])
    assert export_table(settings.read_path, "opportunities", out, "parquet", of_a) == 2


def test_feather_holds_what_parquet_holds(published: Path, tmp_path: Path) -> None:
    for file_format in ("parquet", "feather"):
        out = tmp_path / f"x.{file_format}"
        export_table(published, "funding_rates", out, file_format, Selection(exchanges=["b"]))
    order = ["market", "funding_time"]
    feather = _table(tmp_path / "x.feather", "feather").sort(order)
    assert feather.equals(_table(tmp_path / "x.parquet", "parquet").sort(order))
    assert feather.schema["funding_time"] == pl.Datetime("us")
    assert len(feather) == 192


def test_days_are_utc_days_and_the_last_is_included(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    selection = Selection(date(2025, 5, 2), date(2025, 5, 3), ["b"], ["ETH"])
    assert export_table(published, "funding_rates", out, "parquet", selection) == 48
    times = duckdb.execute(
        "SELECT min(funding_time), max(funding_time) FROM read_parquet(?)", [str(out)]
    ).fetchall()
    assert times == [(datetime(2025, 5, 2), datetime(2025, 5, 3, 23))]


def test_one_bound_is_enough(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    first = Selection(first=LAST_DAY, exchanges=["a"])
    last = Selection(last=date(2025, 5, 1), exchanges=["a"])
    assert export_table(published, "funding_rates", out, "parquet", first) == 3
    assert export_table(published, "funding_rates", out, "parquet", last) == 3


def test_exchanges_and_symbols_are_alternatives_among_themselves(
    published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.parquet"
    selection = Selection(exchanges=["a", "b"], symbols=["BTC"])
    export_table(published, "markets", out, "parquet", selection)
    assert sorted(row[1] for row in _rows(out)) == ["a", "b"]


def test_apr_is_selected_by_the_hour_that_is_paid(published: Path, tmp_path: Path) -> None:
    """Its hours 17 to 23 of the day are paid by the settlement of the next midnight."""
    out = tmp_path / "x.parquet"
    day = date(2025, 5, 2)
    assert export_table(published, "apr", out, "parquet", Selection(day, day, ["a"])) == 24
    assert export_table(published, "apr", out, "parquet", Selection(exchanges=["a"])) == 96


def test_spans_are_selected_by_any_part(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"

    def found(first: date, last: date) -> int:
        selection = Selection(first, last)
        return export_table(published, "collected_windows", out, "parquet", selection)

    assert found(date(2025, 5, 1), date(2025, 5, 1)) == 1
    assert found(date(2025, 5, 2), date(2025, 5, 2)) == 1  # the first span ends where it begins
    assert found(date(2025, 5, 1), date(2025, 5, 4)) == 2
    assert found(date(2025, 5, 5), date(2025, 5, 9)) == 0


def test_revisions_name_their_market(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    export_table(published, "rate_revisions", out, "parquet", Selection(symbols=["ETH"]))
    ((exchange, market, symbol, *_),) = _rows(out)
    assert (exchange, market, symbol) == ("b", "ETH-PERP", "ETH")


@pytest.mark.parametrize(
    ("table", "selection", "words"),
    [
        ("settlements", Selection(), "no table settlements"),
        ("markets; DROP TABLE x", Selection(), "no table"),
        ("markets", Selection(first=LAST_DAY), "do not apply"),
        ("markets", Selection(last=LAST_DAY), "do not apply"),
        ("events", Selection(symbols=["BTC"]), "--symbol does not apply"),
        ("asset_averages", Selection(exchanges=["a"]), "--exchange does not apply"),
        ("apr", Selection(LAST_DAY, LAST_DAY - timedelta(days=1)), "is after"),
        ("apr", Selection(exchanges=["c"]), "exchange c; there are: a, b"),
        ("apr", Selection(symbols=["BTC", "BTC' OR 1=1 --"]), "symbol BTC' OR 1=1 --"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_written(
    published: Path, tmp_path: Path, table: str, selection: Selection, words: str
) -> None:
    out = tmp_path / "x.parquet"
    with pytest.raises(ExportError) as failure:
        export_table(published, table, out, "parquet", selection)
    assert words in str(failure.value)
    assert not out.exists()


def test_a_failure_leaves_the_old_file(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "x.csv"
    out.write_text("old")

    def fail(*_: object) -> None:
        assert out.read_text() == "old"
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no"):
        export_table(published, "markets", out, "csv", Selection())
    assert out.read_text() == "old"
    assert list(folder.iterdir()) == [out]


def test_a_folder_that_is_not_there(published: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no folder"):
        export_table(published, "markets", tmp_path / "no" / "x", "csv", Selection())


def test_nothing_published(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing is published yet"):
        export_table(settings.read_path, "markets", tmp_path / "x", "csv", Selection())
