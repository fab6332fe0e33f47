"""`funding import` and `export --partitioned`: every source, and broken ones told in a sentence."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from funding_pipeline_tests.cli.conftest import Run, Serve

START = datetime(2025, 5, 1)
MAP = "market=coin,time=ts,rate=funding,unit=percent,time_unit=iso,interval_hours=8"
CSV = "coin,ts,funding\n" + "".join(
    f"BTCUSDT,{START + timedelta(hours=8 * n):%Y-%m-%d %H:%M:%S},{0.01 + n / 1000:.4f}\n"
    for n in range(9)
)


def published(sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect("data/read.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def csv(text: str = CSV, name: str = "old.csv") -> str:
    Path(name).write_text(text)
    return name


def imported_csv(run: Run, *more: str) -> str:
    result = run("import", csv(), "--exchange", "kucoin", "--map", MAP, *more)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_csv_with_a_mapping(run: Run) -> None:
    output = imported_csv(run)
    assert "import of old.csv, table, rates in percent; rows: kucoin 9" in output
    assert "kucoin: 9 new, 0 changed, 0 as they were, 0 quarantined" in output
    assert "kucoin: 1 markets were unknown: BTCUSDT" in output
    assert "published" in output
    rates = published(
        "SELECT market, symbol, funding_time, rate, interval_hours, source FROM funding_rates"
    )
    assert rates[0] == ("BTCUSDT", "BTC", START, 0.0001, 8, "import")
    assert len(rates) == 9
    assert published("SELECT origin FROM provenance") == [("live",)]
    assert published("FROM collected_windows") == []
    assert "as they were" in imported_csv(run)
    assert len(published("FROM settlements")) == 9


def test_complete_spans_count_as_collected(run: Run) -> None:
    imported_csv(run, "--complete")
    assert published("SELECT market, from_time, rows FROM collected_windows") == [
        ("BTCUSDT", START, 9)
    ]


def test_one_market_by_option_and_another_format(run: Run) -> None:
    table = pl.DataFrame({"t": [START + timedelta(hours=8 * n) for n in range(3)], "r": [1e-4] * 3})
    table.write_parquet("one.parquet")
    table.write_ipc("one.feather", compression="zstd")
    mapping = "time=t,rate=r,unit=fraction,time_unit=ms"
    for name in ("one.parquet", "one.feather"):
        arguments = ("--exchange", "bybit", "--market", "BTCUSDT", "--map", mapping)
        assert run("import", name, *arguments).exit_code == 0
    assert published("SELECT market, rate FROM funding_rates") == [("BTCUSDT", 1e-4)] * 3


def test_there_and_back_again(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All that a sandbox tells, as a dataset, into an empty folder."""
    serve()
    run("backfill", "--from", "2025-04-29", "--to", "2025-05-03")
    result = run("export", "funding_rates", "--out", "rates", "--partitioned")
    assert result.exit_code == 0, result.output
    assert "rows of funding_rates written to rates and read back: 4 files" in result.output
    every = """SELECT * EXCLUDE (source, load_id, collected_at, pinned) FROM funding_rates
        ORDER BY exchange, market, funding_time"""
    before = published(every)
    monkeypatch.setenv("FUNDING_DATA_DIR", "other")
    result = run("import", "rates")
    assert result.exit_code == 0, result.output
    with duckdb.connect("other/read.duckdb", read_only=True) as connection:
        assert connection.execute(every).fetchall() == before
        assert connection.execute("SELECT origin FROM provenance").fetchall() == [("sandbox",)]
    assert len(before) > 200


def test_live_and_sandbox_do_not_mix(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_SANDBOX_URL", "http://127.0.0.1:9")
    imported_csv(run)
    for name in ("x.parquet", "x.feather", "x"):
        more = () if "." in name else ("--partitioned",)
        assert run("export", "funding_rates", "--out", name, *more).exit_code == 0
    monkeypatch.delenv("FUNDING_SANDBOX_URL")
    result = run("import", csv(), "--exchange", "kucoin", "--map", MAP)
    assert result.exit_code == 2
    assert "holds sandbox data" in result.output
    monkeypatch.setenv("FUNDING_DATA_DIR", "live")
    imported_csv(run)
    for name in ("x.parquet", "x.feather", "x"):
        result = run("import", name)
        assert result.exit_code == 2
        assert "this data folder holds live data" in result.output


def freqtrade(folder: Path, name: str, table: pl.DataFrame) -> None:
    """As freqtrade writes it: candles whose `open` is the rate."""
    folder.mkdir(exist_ok=True)
    filler = pl.lit(0.0)
    date = pl.col("time").cast(pl.Datetime("ms", "UTC"))
    table.select(
        date.alias("date"), pl.col("rate").alias("open"), filler.alias("high"),
        filler.alias("low"), filler.alias("close"), filler.alias("volume"),
    ).write_ipc(folder / name, compression="lz4")  # fmt: skip


def test_files_of_freqtrade(run: Run, recorded_dir: Path) -> None:
    """Recorded from such files: three coins over the change from 8 h to 1 h, and a late day."""
    recorded = (
        pl.scan_parquet(recorded_dir / "hyperliquid.parquet")
        .filter(pl.col("market").is_in(["BTC", "kPEPE", "SOL"]))
        .filter(pl.col("time").dt.year() == 2023)
        .sort("market", "time")
        .collect()
    )
    for (market,), part in recorded.partition_by("market", as_dict=True).items():
        freqtrade(Path("futures"), f"{market}_USDC_USDC-1h-funding_rate.feather", part)
    (Path("futures") / "BTC_USDC_USDC-1h-futures.feather").write_text("candles")
    result = run("import", "futures", "--exchange", "hyperliquid")
    assert result.exit_code == 0, result.output
    assert f"hyperliquid: {len(recorded):,} new, 0 changed" in result.output
    rates = published(
        """SELECT market, funding_time, lag_ms, rate, interval_hours FROM funding_rates
        ORDER BY market, funding_time"""
    )
    expected = [
        (market, time.replace(tzinfo=None), rate, hours)
        for market, time, rate, hours in recorded.select(
            "market", "time", "rate", "interval_hours"
        ).rows()
    ]
    found = [(m, time + timedelta(milliseconds=lag), r, h) for m, time, lag, r, h in rates]
    assert found == expected
    assert {h for *_, h in found} == {1, 8}
    symbols = "SELECT market, symbol, multiplier FROM markets ORDER BY market"
    assert published(symbols) == [("BTC", "BTC", 1), ("SOL", "SOL", 1), ("kPEPE", "PEPE", 1000)]


def test_one_file_of_freqtrade_spelled_as_the_exchange_does(run: Run) -> None:
    table = pl.DataFrame({"time": [START + timedelta(hours=8 * n) for n in range(3)], "rate": 1e-4})
    freqtrade(Path(), "1000PEPE_USDT_USDT-8h-funding_rate.feather", table)
    assert run("import", "1000PEPE_USDT_USDT-8h-funding_rate.feather", "--exchange", "okx")
    assert published("SELECT market FROM markets") == [("1000PEPE-USDT-SWAP",)]
    file = "1000PEPE_USDT_USDT-8h-funding_rate.feather"
    result = run("import", file, "--exchange", "kucoin")
    assert result.exit_code == 2
    assert "how kucoin names this market is not known" in result.output
    assert run("import", file, "--exchange", "kucoin", "--market", "1000PEPEUSDTM").exit_code == 0
    names = "SELECT market, symbol FROM markets WHERE exchange = 'kucoin'"
    assert published(names) == [("1000PEPEUSDTM", "PEPE")]


def test_folders_of_several_exchanges_are_not_mixed(run: Run) -> None:
    table = pl.DataFrame({"time": [START + timedelta(hours=8 * n) for n in range(3)], "rate": 1e-4})
    for folder in ("okx", "bybit"):
        freqtrade(Path(folder), f"{folder.upper()}_USDT_USDT-8h-funding_rate.feather", table)
    result = run("import", ".", "--exchange", "okx")
    assert result.exit_code == 2
    assert "lie in 2 folders" in result.output


# As the seed documents it, and as the collectors of unified_v3 fill it.
LIGHTER = """CREATE TABLE lighter_funding_v2 (
  id INTEGER PRIMARY KEY AUTOINCREMENT, market_id INTEGER NOT NULL, symbol TEXT NOT NULL,
  timestamp INTEGER NOT NULL, rate REAL NOT NULL, rate_hourly REAL NOT NULL,
  rate_annual REAL NOT NULL, direction TEXT NOT NULL, cumulative_value REAL,
  collected_at INTEGER NOT NULL, source TEXT DEFAULT 'api', UNIQUE(market_id, timestamp))"""
UNIFIED = """CREATE TABLE unified_v3 (
  normalized_symbol TEXT, exchange TEXT, funding_time INTEGER, original_symbol TEXT,
  base_asset TEXT, rate_raw REAL, rate_raw_percent REAL, interval_hours INTEGER,
  rate_1h_percent REAL, rate_apr REAL, collected_at INTEGER, source TEXT, synced_at INTEGER,
  open_interest REAL, PRIMARY KEY (normalized_symbol, exchange, funding_time))"""


def test_the_origins_tables(run: Run) -> None:
    hour = 1_770_116_400
    with closing(sqlite3.connect("defi.db")) as database:
        database.execute(LIGHTER)
        database.execute(UNIFIED)
        for n, direction in enumerate(("long", "short", "long")):
            database.execute(
                """INSERT INTO lighter_funding_v2 (market_id, symbol, timestamp, rate, rate_hourly,
                rate_annual, direction, collected_at) VALUES (1, 'BTC', ?, 0.0012, 0.0012, 10.512,
                ?, 0)""",
                (hour + n * 3600, direction),
            )
        for exchange, source, symbol, rate in (
            ("hyperliquid", "api", "BTC", 0.0000125),
            ("lighter", "import", "ETH", -0.0034),
            ("paradex", "api", "BTC-USD-PERP", 0.0001),
        ):
            database.execute(
                """INSERT INTO unified_v3 (normalized_symbol, exchange, funding_time,
                original_symbol, rate_raw, interval_hours, source) VALUES ('X', ?, ?, ?, ?, 8, ?)
                """,
                (exchange, hour, symbol, rate, source),
            )
        database.commit()
    result = run("import", "defi.db")
    assert result.exit_code == 0, result.output
    assert "left out: 1 rows, paradex 'api': no settlements but running rates" in result.output
    assert "import of defi.db, lighter_funding_v2 and unified_v3" in result.output
    rates = published(
        "SELECT exchange, market, rate, interval_hours, apr FROM funding_rates ORDER BY ALL"
    )
    assert rates == [
        ("hyperliquid", "BTC", 1.25e-05, 1, pytest.approx(0.1095)),
        ("lighter", "BTC", -1.2e-05, 1, pytest.approx(-0.10512)),
        ("lighter", "BTC", 1.2e-05, 1, pytest.approx(0.10512)),
        ("lighter", "BTC", 1.2e-05, 1, pytest.approx(0.10512)),
        ("lighter", "ETH", -3.4e-05, 1, pytest.approx(-0.29784)),
    ]


def test_what_differs_from_the_exchange_is_told(run: Run, serve: Serve) -> None:
    serve()
    run("backfill", "--from", "2025-05-01", "--to", "2025-05-02", "--exchange", "hyperliquid")
    run("export", "funding_rates", "--out", "x.csv", "--symbol", "BTC")
    table = pl.read_csv("x.csv", infer_schema=False)
    changed = table.with_columns(rate=pl.concat([pl.Series(["0.00999"]), table["rate"][1:]]))
    changed.write_csv("x.csv")
    result = run("import", "x.csv")
    assert result.exit_code == 0
    assert "1 settlements of 1 markets differ from what the exchange sent, which stays" in (
        result.output
    )
    assert published("SELECT count(*) FROM events WHERE kind = 'import differs'") == [(1,)]
    assert published("SELECT count(*) FROM settlements WHERE source = 'import'") == [(0,)]


def test_an_interval_that_cannot_be_is_warned_of(run: Run) -> None:
    hourly = "coin,ts,funding\n" + "".join(f"B,2025-05-01 {h:02}:00:00,0.01\n" for h in range(24))
    result = run("import", csv(hourly), "--exchange", "bybit", "--map", MAP)
    assert "warning: bybit: 23 of 24 rows settle a longer time" in result.output


def test_nothing_that_could_be_stored(run: Run) -> None:
    wrong = MAP.replace("percent", "fraction")
    big = csv(CSV.replace(",0.0", ",10.0"))
    result = run("import", big, "--exchange", "kucoin", "--map", wrong)
    assert result.exit_code == 1
    assert "0 new, 0 changed, 0 as they were, 9 quarantined" in result.output


def _broken(name: str) -> tuple[str, ...]:
    """Makes a broken source; gives the arguments to import it with."""
    mapped = ("--exchange", "bybit", "--map", MAP)
    if name == "no columns of ours":
        return (csv(),)
    if name == "truncated parquet":
        Path("x.parquet").write_bytes(b"PAR1 and then nothing")
        return ("x.parquet",)
    if name == "truncated feather":
        Path("x.feather").write_bytes(b"ARROW1\0\0 and then nothing")
        return ("x.feather",)
    if name == "truncated sqlite":
        Path("x.db").write_bytes(b"SQLite format 3\0" + b"x" * 500)
        return ("x.db",)
    if name == "other sqlite":
        with closing(sqlite3.connect("x.db")) as database:
            database.execute("CREATE TABLE other (a)")
        return ("x.db",)
    if name == "sqlite with other columns":
        with closing(sqlite3.connect("x.db")) as database:
            database.execute("CREATE TABLE unified_v3 (a)")
        return ("x.db",)
    if name == "empty file":
        return (csv(""), *mapped)
    if name == "ragged csv":
        return (csv(CSV + "BTCUSDT,2025-05-09,0.1,more,and more\n"), *mapped)
    if name == "picture":
        Path("x.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 9)
        return ("x.png", *mapped)
    if name == "not utf-8":
        Path("x.csv").write_bytes(CSV.replace("BTC", "B\xe9C").encode("latin-1"))
        return ("x.csv", *mapped)
    if name == "wrong time unit":
        return (csv(), *mapped[:3], MAP.replace("iso", "s"))
    if name == "no such column":
        return (csv(), *mapped[:3], MAP.replace("ts", "time"))
    if name == "no mapping value":
        return (csv(), *mapped[:3], "market")
    if name == "unknown exchange":
        return (csv(), "--exchange", "bitmex", "--map", MAP)
    if name == "no exchange":
        return (csv(), "--map", MAP)
    if name == "only unknown exchanges":
        return (
            csv(CSV.replace("coin", "e,coin").replace("BTC", "x,BTC")),
            "--map",
            MAP + ",exchange=e",
        )
    if name == "folder of nothing":
        Path("folder").mkdir()
        return ("folder",)
    if name == "freqtrade without exchange":
        Path("BTC_USDT_USDT-8h-funding_rate.feather").write_bytes(b"")
        return ("BTC_USDT_USDT-8h-funding_rate.feather",)
    if name == "empty freqtrade":
        Path("BTC_USDT_USDT-8h-funding_rate.feather").write_bytes(b"")
        return ("BTC_USDT_USDT-8h-funding_rate.feather", "--exchange", "okx")
    if name == "freqtrade without a rate":
        pl.DataFrame({"date": [START]}).write_ipc("A_USDT_USDT-8h-funding_rate.feather")
        return ("A_USDT_USDT-8h-funding_rate.feather", "--exchange", "okx")
    if name == "a dataset of something else":
        Path("x").mkdir()
        Path("x/manifest.json").write_text('{"format": "chrome extension", "version": 3}')
        return ("x",)
    if name == "a manifest that is none":
        Path("x").mkdir()
        Path("x/manifest.json").write_text("[1, 2")
        return ("x",)
    assert name == "not there"
    return ("nowhere.csv",)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("no columns of ours", 2, "has not our columns (exchange, market, funding_time"),
        ("truncated parquet", 1, "x.parquet cannot be read"),
        ("truncated feather", 1, "x.feather cannot be read"),
        ("truncated sqlite", 1, "x.db cannot be read"),
        ("other sqlite", 1, "x.db has neither a table lighter_funding_v2 nor unified_v3"),
        ("sqlite with other columns", 1, "x.db cannot be read: no such column"),
        ("empty file", 1, "old.csv cannot be read"),
        ("ragged csv", 1, "old.csv cannot be read"),
        ("picture", 1, "x.png"),
        ("not utf-8", 1, "x.csv cannot be read"),
        ("wrong time unit", 1, "is time_unit=s right?"),
        ("no such column", 2, "no column time; there are: coin, ts, funding"),
        ("no mapping value", 2, "is not of the form name=column"),
        ("unknown exchange", 2, "unknown exchange bitmex; known: hyperliquid"),
        ("no exchange", 2, "which exchange?"),
        ("only unknown exchanges", 1, "nothing in it can be imported"),
        ("folder of nothing", 1, "neither a dataset of ours"),
        ("freqtrade without exchange", 2, "give --exchange"),
        ("empty freqtrade", 1, "cannot be read"),
        ("freqtrade without a rate", 1, "no column open"),
        ("a dataset of something else", 1, "manifest of something else: chrome extension"),
        ("a manifest that is none", 1, "manifest.json cannot be read"),
        ("not there", 2, "does not exist"),
    ],
)
def test_broken_sources_are_told_in_a_sentence(run: Run, name: str, code: int, words: str) -> None:
    result = run("import", *_broken(name))
    assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
    assert words in result.output
    if Path("data/history.duckdb").exists():
        with duckdb.connect("data/history.duckdb") as connection:
            for table in ("loads", "markets", "provenance", "settlements"):
                assert connection.execute(f"FROM {table}").fetchall() == []


def test_a_damaged_dataset_is_not_touched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    imported_csv(run)
    run("export", "funding_rates", "--out", "rates", "--partitioned")
    part = Path("rates/exchange=kucoin/month=2025-05/part.parquet")
    part.write_bytes(part.read_bytes()[:-4] + b"RAP1")
    monkeypatch.setenv("FUNDING_DATA_DIR", "other")
    result = run("import", "rates")
    assert result.exit_code == 1
    assert "part.parquet is damaged: its checksum is not the manifest's" in result.output
    with duckdb.connect("other/history.duckdb") as connection:
        assert connection.execute("FROM provenance").fetchall() == []


def test_a_dataset_of_another_table(run: Run) -> None:
    imported_csv(run)
    assert run("export", "daily_stats", "--out", "d", "--partitioned").exit_code == 0
    result = run("import", "d")
    assert result.exit_code == 1
    assert "d holds daily_stats; only funding_rates is imported" in result.output


@pytest.mark.parametrize("name", ["x.parquet", "x"])
def test_options_that_a_source_needs_not(run: Run, name: str) -> None:
    imported_csv(run)
    run("export", "funding_rates", "--out", name, *(() if "." in name else ("--partitioned",)))
    result = run("import", name, "--exchange", "bybit")
    assert result.exit_code == 2
    assert "--exchange does not go with" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "folder"), "is a folder; name a file, or add --partitioned"),
        (("--out", "folder", "--partitioned", "--format", "csv"), "writes Parquet, not csv"),
        (("--out", "data", "--partitioned"), "is no dataset of ours"),
        (("--out", "no/such/x", "--partitioned"), "no folder"),
    ],
)
def test_export_bad_usage(run: Run, arguments: tuple[str, ...], words: str) -> None:
    imported_csv(run)
    Path("folder").mkdir()
    result = run("export", "funding_rates", *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_the_format_follows_the_name(run: Run) -> None:
    imported_csv(run)
    assert run("export", "funding_rates", "--out", "x.feather").exit_code == 0
    assert len(pl.read_ipc("x.feather")) == 9
    assert run("export", "funding_rates", "--out", "y", "--partitioned").exit_code == 0
    assert json.loads(Path("y/manifest.json").read_text())["origin"] == "live"


def test_help_has_examples(run: Run) -> None:
    text = run("import", "--help").output
    assert "Example: funding import rates/" in text
    assert "--map market=coin,time=ts,rate=funding,unit=percent,time_unit=ms" in text
