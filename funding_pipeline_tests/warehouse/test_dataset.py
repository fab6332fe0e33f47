"""Datasets: their layout, manifest and proof, read by other readers; complete or not there."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.dataset import Written, export_dataset
from funding_pipeline.warehouse.export import TABLES, ExportError, Selection
from funding_pipeline.warehouse.ledger import claim_origin
from funding_pipeline.warehouse.manifest import ManifestError, read, verify
from funding_pipeline.warehouse.publish import publish

NOW = datetime(2025, 7, 1, 12)
FIRST = datetime(2025, 4, 29)
EVERYTHING = Selection()


@pytest.fixture
def published(database: Database, settings: Settings) -> Path:
    """Five days around the end of a month: BTC on two exchanges, ETH on one; no two rates alike."""
    with database.open() as connection:
        claim_origin(connection, "sandbox")
        for market_id, exchange, symbol in ((1, "a", "BTC"), (2, "b", "BTC"), (3, "b", "ETH")):
            connection.execute(
                """INSERT INTO base.markets BY NAME SELECT $id AS market_id, $e AS exchange,
                $s || '-PERP' AS market, $s AS symbol, 1000 AS multiplier, 'USD' AS quote,
                'USDC' AS settle, 'live' AS status, $d AS first_seen, $d AS last_seen""",
                {"id": market_id, "e": exchange, "s": symbol, "d": FIRST},
            )
        connection.execute(
            """INSERT INTO settlements BY NAME
            SELECT m.id AS market_id, $d + to_hours(h::INTEGER) AS funding_time,
                   (h - 50) / 1e7 * m.id AS rate, m.hours AS interval_hours,
                   m.hours AS covered_hours, 'settled' AS kind, h::VARCHAR AS raw_rate,
                   h % 7 AS lag_ms, CASE WHEN h % 3 = 0 THEN h END AS mark_price,
                   'api' AS source, 1 AS load_id, $d AS collected_at
            FROM (VALUES (1, 8), (2, 1), (3, 1)) m(id, hours), range(1, 121) r(h)
            WHERE h % hours = 0 ORDER BY random()""",
            {"d": FIRST},
        )
        connection.execute(
            """INSERT INTO collected_windows VALUES
            ('a', 'BTC-PERP', '2025-04-30', '2025-05-02', 1, 'collected', 1)"""
        )
    publish(database)
    return settings.read_path


def _export(published: Path, out: Path, selection: Selection = EVERYTHING) -> Written:
    return export_dataset(published, "funding_rates", out, selection, now=NOW)


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def test_layout_and_manifest(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "rates"
    written = _export(published, out)
    parts = [
        f"exchange={exchange}/month={month}/part.parquet"
        for exchange in ("a", "b")
        for month in ("2025-04", "2025-05")
    ]
    assert _files(out) == [*parts, "manifest.json"]
    manifest = _manifest(out)
    assert (manifest["format"], manifest["version"]) == ("funding-pipeline dataset", 1)
    assert (manifest["created"], manifest["origin"]) == ("2025-07-01T12:00:00", "sandbox")
    assert manifest["table"] == "funding_rates"
    assert manifest["partitioned_by"] == ["exchange", "month"]
    assert manifest["sorted_by"] == ["market", "funding_time"]
    assert (manifest["rows"], manifest["bytes"]) == (written.rows, written.bytes) == (
        255, sum((out / part).stat().st_size for part in parts),
    )  # fmt: skip
    assert [file["path"] for file in manifest["files"]] == parts
    assert [file["rows"] for file in manifest["files"]] == [5, 10, 94, 146]
    assert manifest["files"][3]["min_time"] == "2025-05-01T00:00:00"
    assert manifest["files"][3]["max_time"] == "2025-05-04T00:00:00"
    units = {column["name"]: column["unit"] for column in manifest["columns"]}
    assert units["rate"] == "fraction of notional for the interval, + longs pay shorts"
    assert units["interval_hours"] == "hours"
    assert not units.keys() & {"rate_hourly", "apr", "direction"}
    assert manifest["derived"]["apr"] == "rate / interval_hours * 8760"
    assert manifest["markets"][0] | {"asset_class": None} == {
        "exchange": "a", "market": "BTC-PERP", "symbol": "BTC", "multiplier": 1000,
        "quote": "USD", "settle": "USDC", "live": True, "api_id": None, "asset_class": None,
        "listed_at_ms": None, "interval_hours": None, "rate_cap": None, "rate_floor": None,
    }  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "rates"]
    verify(out, read(out))


def test_two_other_readers_find_the_same(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "it's [rates]"
    _export(published, out)
    with duckdb.connect(str(published), read_only=True) as connection:
        expected = connection.sql(
            """SELECT exchange, market, funding_time, rate, interval_hours, raw_rate, lag_ms,
                   mark_price, strftime(funding_time, '%Y-%m') AS month
            FROM funding_rates ORDER BY exchange, month, market, funding_time"""
        ).pl()
    files = [out / file.path for file in read(out).files]
    in_order = pl.concat(
        [pl.read_parquet(file, hive_partitioning=True, glob=False) for file in files]
    ).select(expected.columns)
    assert in_order.equals(expected)  # within each file sorted by market and time
    glob = f"{tmp_path}/it's ?rates?/*/*/*.parquet"
    by_duckdb = duckdb.execute(
        "SELECT exchange, month, count(*) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL", [glob]
    ).fetchall()
    assert by_duckdb == [
        ("a", "2025-04", 5), ("a", "2025-05", 10), ("b", "2025-04", 94), ("b", "2025-05", 146),
    ]  # fmt: skip


def test_filters_are_applied_and_told(published: Path, tmp_path: Path) -> None:
    selection = Selection(date(2025, 5, 1), date(2025, 5, 2), ["b"], ["ETH"])
    assert _export(published, tmp_path / "x", selection).rows == 48
    manifest = _manifest(tmp_path / "x")
    assert manifest["filters"] == {
        "first_day": "2025-05-01", "last_day": "2025-05-02", "exchanges": ["b"], "symbols": ["ETH"],
    }  # fmt: skip
    assert [market["market"] for market in manifest["markets"]] == ["ETH-PERP"]


def test_nothing_selected_is_an_empty_dataset(published: Path, tmp_path: Path) -> None:
    assert _export(published, tmp_path / "x", Selection(first=date(2026, 1, 1))).rows == 0
    assert _files(tmp_path / "x") == ["manifest.json"]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_with_a_time(published: Path, tmp_path: Path, table: str) -> None:
    out = tmp_path / "x"
    if TABLES[table].time is None or "exchange" not in TABLES[table].exchanges:
        with pytest.raises(ExportError, match="--partitioned does not apply"):
            export_dataset(published, table, out, EVERYTHING, now=NOW)
        assert not out.exists()
        return
    written = export_dataset(published, table, out, EVERYTHING, now=NOW)
    with duckdb.connect(str(published), read_only=True) as connection:
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {TABLES[table].source}").fetchall()
    assert written.rows == rows


def test_a_dataset_of_ours_is_replaced(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    _export(published, out)
    _export(published, out, Selection(exchanges=["a"]))
    assert len(_files(out)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "x"]


def test_anything_else_is_left_alone(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    _export(published, out)
    (out / "notes.txt").write_text("mine")
    before = _files(out)
    with pytest.raises(ExportError, match="is no dataset of ours"):
        _export(published, out)
    assert _files(out) == before
    for name, text in (("manifest.json", "{}"), ("manifest.json", "not"), ("y", "")):
        other = tmp_path / f"other{len(text)}"
        other.mkdir()
        (other / name).write_text(text)
        with pytest.raises(ExportError, match="is no dataset of ours"):
            _export(published, other)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ExportError, match="is no dataset of ours"):
        _export(published, tmp_path / "link")


def test_an_empty_folder_may_be_there(published: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert _export(published, tmp_path / "x").rows == 255


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_what_was_there(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "x"
    if there:
        _export(published, out)
    before = _files(folder)
    monkeypatch.setattr(
        "funding_pipeline.warehouse.dataset.sha256", lambda _: (_ for _ in ()).throw(OSError("no"))
    )
    with pytest.raises(OSError, match="no"):
        _export(published, out, Selection(exchanges=["a"]))
    assert _files(folder) == before


def test_the_last_rename_fails(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "x"
    _export(published, out)
    before = _files(folder)
    rename = Path.rename

    def once(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError("no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(OSError, match="no"):
        _export(published, out, Selection(exchanges=["a"]))
    assert _files(folder) == before


def test_what_does_not_read_back_the_same_is_not_declared_done(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row changed on its way, with their number as it was."""
    import funding_pipeline.warehouse.dataset as dataset

    changed = dataset._read_back

    def spoiled(connection: duckdb.DuckDBPyConnection, path: Path, *more: Any) -> Any:
        table = pl.read_parquet(path, hive_partitioning=False, glob=False)
        rates = table["rate"].to_list()
        rates[-1] *= 1 + 1e-15
        table.with_columns(rate=pl.Series(rates)).write_parquet(path)
        return changed(connection, path, *more)

    monkeypatch.setattr(dataset, "_read_back", spoiled)
    with pytest.raises(OSError, match="does not read back the same"):
        _export(published, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "words"),
    [(Path.unlink, "is missing"), (_truncate, "bytes, not"), (_flip, "is damaged")],
)
def test_damage_is_found(published: Path, tmp_path: Path, harm: Any, words: str) -> None:
    out = tmp_path / "x"
    _export(published, out)
    harm(out / "exchange=b/month=2025-05/part.parquet")
    with pytest.raises(ManifestError, match=words):
        verify(out, read(out))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "manifest of something else: other"),
        ({"version": 2}, "version 2 is newer than this program"),
        ({"rows": "many"}, "cannot be read"),
        ({"files": [{}]}, "cannot be read"),
    ],
)
def test_manifests_that_do_not_fit(
    published: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    out = tmp_path / "x"
    _export(published, out)
    (out / "manifest.json").write_text(json.dumps(_manifest(out) | change))
    with pytest.raises(ManifestError, match=words):
        read(out)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", ""])
def test_a_manifest_names_only_files_of_its_own(published: Path, tmp_path: Path, path: str) -> None:
    out = tmp_path / "x"
    _export(published, out)
    manifest = _manifest(out)
    manifest["files"][0]["path"] = path
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match="lies outside the dataset"):
        read(out)
