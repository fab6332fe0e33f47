"""Imports: there and back again, what the exchange sent goes first, what counts as collected."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Market, RawSettlement, Window
from funding_pipeline.exchanges.base import ExchangeSpec
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.imports.base import RAW, Source, monthly
from funding_pipeline.imports.sources import Options, open_source
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.dataset import export_dataset
from funding_pipeline.warehouse.derive import derive
from funding_pipeline.warehouse.export import Selection, export_table
from funding_pipeline.warehouse.imports import ImportReport, import_source
from funding_pipeline.warehouse.ledger import MixedOriginError, claim_origin
from funding_pipeline.warehouse.markets import known_markets, record_markets
from funding_pipeline.warehouse.merge import merge
from funding_pipeline.warehouse.publish import publish
from funding_pipeline.warehouse.unlisted import known_identities
from funding_pipeline_tests.warehouse.world import (
    DECLARED,
    HOUR,
    LATER,
    LATER_MS,
    at,
    collect,
    listed,
    register,
    rows,
    sent,
    series,
    settlements,
    spec,
    time_of,
)

EIGHT_HOURLY = [*range(8, 240, 8)]
# 8 h, then 4 h from hour 400, then 1 h from 600, back to 8 h, with a hole of days.
CHANGING = [*range(8, 401, 8), *range(404, 601, 4), *range(601, 700), *range(704, 1400, 8)]
CHANGING = [hour for hour in CHANGING if not 900 < hour < 1100]


def source(
    raw: Sequence[RawSettlement],
    exchange: str = "madeup",
    unit: RateUnit = RateUnit.FRACTION,
    kind: str | None = None,
    problem: str | None = None,
) -> Source:
    """What a parser would make of these rows."""
    frame = pl.DataFrame(
        [
            (
                r.market,
                r.time_ms,
                r.rate_text,
                None,
                r.interval_hours,
                r.mark_price,
                None,
                kind,
                problem,
            )
            for r in raw
        ],
        schema=RAW,
        orient="row",
    )
    return Source("rows", monthly(exchange, unit, frame))


def imported(
    database: Database,
    found: Source,
    declaration: ExchangeSpec = DECLARED,
    *,
    complete: bool = False,
) -> ImportReport:
    (report,) = import_source(
        database,
        found,
        {declaration.name: declaration},
        origin="live",
        complete=complete,
        place="here",
        now_ms=LATER_MS,
    )
    return report


def listed_here(database: Database, *markets: str, **more: Any) -> None:
    with database.open() as connection:
        register(connection, listed(*(markets or ("AAA",)), **more))


def collected_here(
    database: Database, raw: Sequence[RawSettlement], start: float, end: float, **more: Any
) -> None:
    with database.open() as connection:
        history = {raw[0].market: raw}
        collect(connection, history, Window(at(start), at(end)), **more)


def stored(database: Database) -> list[tuple[Any, ...]]:
    with database.open() as connection:
        return settlements(connection)


def asked(database: Database, sql: str) -> list[tuple[Any, ...]]:
    with database.open() as connection:
        return rows(connection, sql)


def brief(database: Database) -> list[tuple[int, float, int, int, str]]:
    """(hour, rate, interval, covered, source), ascending."""
    return [(row[1], row[2], row[3], row[4], row[10]) for row in stored(database)]


# --- there and back again ----------------------------------------------------------------------

ROW_WISE = dataclasses.replace(spec("row"), name="rowwise")
PERCENT = dataclasses.replace(DECLARED, name="percent", rate_unit=RateUnit.PERCENT)
SPECS = {each.name: each for each in (DECLARED, ROW_WISE, PERCENT)}


@pytest.fixture
def filled(database: Database, settings: Settings) -> Path:
    """Three exchanges: changing intervals and a hole; told by rows; percent and late stamps."""
    jitter = random.Random(1)
    with database.open() as connection:
        claim_origin(connection, "live")
        for declaration in SPECS.values():
            markets = [
                Market(
                    market=market,
                    symbol=symbol,
                    multiplier=multiplier,
                    quote="USDT",
                    settle="USDC",
                    asset_class="crypto",
                    listed_at_ms=at(-24),
                )
                for market, symbol, multiplier in (("AAA", "AAA", 1), ("kBBB-X", "BBB", 1000))
            ]
            record_markets(connection, declaration.name, markets, LATER)
            hours = CHANGING
            told = 8 if declaration is ROW_WISE else None
            for market in ("AAA", "kBBB-X"):
                raw = [
                    RawSettlement(
                        market,
                        at(hour) + jitter.randrange(90_000),
                        f"{(hour % 89 - 44) * 1e-6:.7f}",
                        told,
                        None if hour % 5 else hour + 0.5,
                        None if hour % 7 else hour / 3,
                    )
                    for hour in hours
                ]
                collect(
                    connection,
                    {market: raw},
                    Window(at(0), at(1400)),
                    declaration=declaration,
                    market=market,
                )
    publish(database)
    return settings.read_path


def _exported(published: Path, out: Path) -> None:
    if out.suffix:
        export_table(published, "funding_rates", out, out.suffix[1:], Selection())
    else:
        export_dataset(published, "funding_rates", out, Selection(), now=LATER)


EVERY = """SELECT f.* EXCLUDE (source, load_id, collected_at), s.covered_hours
FROM funding_rates f JOIN markets m USING (exchange, market)
JOIN settlements s USING (market_id, funding_time) ORDER BY exchange, market, funding_time"""


@pytest.mark.parametrize("name", ["dataset", "x.parquet", "x.csv", "x.feather"])
def test_there_and_back_again(database: Database, filled: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    _exported(filled, out)
    other = Database(Settings(data_dir=tmp_path / "other"))
    found = open_source(out, Options(known=lambda _: []))
    reports = list(
        import_source(
            other, found, SPECS, origin="live", complete=False, place=name, now_ms=LATER_MS
        )
    )
    assert [report.exchange for report in reports] == sorted(SPECS)
    before, after = asked(database, EVERY), asked(other, EVERY)
    assert len(before) == 6 * len(CHANGING)
    assert after == before
    assert asked(other, "SELECT DISTINCT source FROM settlements") == [("import",)]
    assert asked(other, "FROM rate_revisions") == []
    if name == "dataset":
        registry = """SELECT exchange, market, symbol, multiplier, quote, settle, asset_class,
            listed_at, asset FROM markets ORDER BY ALL"""
        assert asked(other, registry) == asked(database, registry)


def test_a_second_time_changes_nothing(database: Database, filled: Path, tmp_path: Path) -> None:
    _exported(filled, tmp_path / "x")
    other = Database(Settings(data_dir=tmp_path / "other"))
    for expected in (len(CHANGING) * 2, 0):
        found = open_source(tmp_path / "x", Options(known=lambda _: []))
        for report in import_source(
            other, found, SPECS, origin="live", complete=False, place="x", now_ms=LATER_MS
        ):
            assert (report.counts.new, report.counts.changed) == (expected, 0)
            assert report.counts.unchanged == len(CHANGING) * 2 - expected
    assert asked(other, "FROM rate_revisions") == []


def test_into_the_database_that_it_came_from(
    database: Database, filled: Path, tmp_path: Path
) -> None:
    _exported(filled, tmp_path / "x")
    before = stored(database)
    found = open_source(tmp_path / "x", Options(known=lambda _: []))
    for report in import_source(
        database, found, SPECS, origin="live", complete=False, place="x", now_ms=LATER_MS
    ):
        assert report.confirmed == report.read == len(CHANGING) * 2
        assert (report.differing, report.counts.new, report.counts.changed) == (0, 0, 0)
    assert stored(database) == before


# --- what the exchange sent --------------------------------------------------------------------


def test_what_the_exchange_sent_stays(database: Database) -> None:
    listed_here(database)
    collected_here(database, series(EIGHT_HOURLY), 0, 240)
    before = stored(database)
    theirs = [sent(8, "0.004"), sent(16, "0.005"), *series(EIGHT_HOURLY)[2:]]
    report = imported(database, source(theirs))
    assert (report.differing, report.confirmed) == (2, len(EIGHT_HOURLY) - 2)
    assert (report.counts.new, report.counts.changed) == (0, 0)
    assert stored(database) == before
    assert asked(database, "FROM rate_revisions") == []
    ((market, detail, load_id),) = asked(
        database, "SELECT market, detail, load_id FROM events WHERE kind = 'import differs'"
    )
    assert (market, load_id) == ("AAA", report.load_id)
    assert detail == (
        "2 settlement(s), 2025-03-01 08:00:00 .. 2025-03-01 16:00:00: what the exchange sent "
        "stays; the first: 0.004 for 8 h imported, -3.6e-05 for 8 h sent"
    )


def test_the_last_digit_is_no_difference(database: Database) -> None:
    listed_here(database)
    collected_here(database, [sent(8, "0.0001234567"), sent(16), sent(24)], 0, 30)
    nearly = repr(float("0.0001234567") * (1 + 2e-16))
    assert float(nearly) != float("0.0001234567")
    report = imported(database, source([sent(8, nearly), sent(16, "0.00010000001")]))
    assert (report.confirmed, report.differing) == (1, 1)


def test_another_interval_is_a_difference(database: Database) -> None:
    listed_here(database)
    collected_here(database, [sent(8), sent(16), sent(24)], 0, 30)
    told = [sent(8, interval_hours=8), sent(16, interval_hours=4), sent(24)]
    report = imported(database, source(told))
    assert (report.confirmed, report.differing) == (2, 1)


def test_an_import_decides_no_interval_of_the_exchanges_rows_anew(database: Database) -> None:
    """Rows between them say 4 h; the exchange's stay at 8 h, but cover no hour twice."""
    listed_here(database)
    collected_here(database, series([8, 16, 24, 32]), 0, 40)
    imported(database, source([sent(12), sent(20)]))
    assert [(h, i, c, s) for h, _, i, c, s in brief(database)] == [
        (8, 8, 8, "api"),
        (12, 4, 4, "import"),
        (16, 8, 4, "api"),
        (20, 4, 4, "import"),
        (24, 8, 4, "api"),
        (32, 8, 8, "api"),
    ]
    assert asked(database, "FROM rate_revisions") == []
    twice = "SELECT market, hour FROM apr GROUP BY ALL HAVING count(*) > 1"
    assert asked(database, twice) == []


def test_the_merge_itself_refuses(database: Database) -> None:
    """Whoever calls it: an import that would change what was sent is a defect."""
    from funding_pipeline.domain.records import Answered
    from funding_pipeline.domain.validate import validate

    listed_here(database)
    collected_here(database, series([8, 16, 24]), 0, 30)
    before = stored(database)
    valid, _ = validate([sent(8, "0.004")], unit=RateUnit.FRACTION, max_abs_rate=1, now_ms=LATER_MS)
    answer = Answered("AAA", Window(0, 0), valid)
    with database.open() as connection, pytest.raises(ValueError, match="would change 1 settl"):
        merge(connection, DECLARED, [answer], load_id=9, now=LATER, source="import")
    assert stored(database) == before


def test_what_is_collected_later_takes_the_place_of_what_was_imported(database: Database) -> None:
    listed_here(database)
    imported(database, source([sent(8, "0.0100"), sent(16, "0.02"), sent(24, "0.03")]))
    theirs = [sent(8, "0.01", mark_price=5.0, lag_ms=7), sent(16, "0.021"), sent(32, "0.04")]
    collected_here(database, theirs, 0, 40)
    found = [(row[1], row[2], row[6], row[7], row[9], row[10]) for row in stored(database)]
    assert found == [
        (8, 0.01, "0.01", 7, 5.0, "api"),  # the same value, now with their text
        (16, 0.021, "0.021", 0, None, "api"),
        (24, 0.03, "0.03", 0, None, "import"),
        (32, 0.04, "0.04", 0, None, "api"),
    ]
    revised = "SELECT funding_time, rate, reason FROM rate_revisions"
    assert asked(database, revised) == [(time_of(16), 0.02, "exchange")]
    derive(database, now=LATER)
    assert asked(database, "SELECT rate, mark_price FROM latest_rates") == [(0.04, None)]
    report = imported(database, source([sent(8, "0.9e-2"), sent(16, "0.02"), sent(24, "0.03")]))
    assert (report.differing, report.counts.unchanged) == (2, 1)


@settings(max_examples=10)
@given(
    st.sets(st.sampled_from(range(0, 96, 4)), min_size=1, max_size=24),
    st.sets(st.sampled_from(range(0, 96, 4)), min_size=1, max_size=24),
    st.booleans(),
)
def test_in_any_order_the_exchanges_rows_are_there_unchanged(
    ours: set[int], theirs: set[int], import_first: bool
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        database = Database(Settings(data_dir=Path(folder)))
        listed_here(database, interval_hours=None)
        sent_rows = [sent(h, "0.001", interval_hours=4) for h in sorted(theirs)]
        found = source([sent(h, "0.002", interval_hours=4) for h in sorted(ours)])

        def take() -> None:
            collected_here(database, sent_rows, -1, 100)

        steps: list[Callable[[], object]] = [lambda: imported(database, found), take]
        for step in steps if import_first else reversed(steps):
            step()
        found_rates = {hour: (rate, s) for hour, rate, _, _, s in brief(database)}
        assert found_rates.keys() == ours | theirs
        for hour, (rate, s) in found_rates.items():
            assert (rate, s) == ((0.001, "api") if hour in theirs else (0.002, "import"))
        twice = "SELECT market, hour FROM apr GROUP BY ALL HAVING count(*) > 1"
        assert asked(database, twice) == []


# --- among imports -----------------------------------------------------------------------------


def test_a_later_import_revises_an_earlier_one(database: Database) -> None:
    imported(database, source(series(EIGHT_HOURLY)))
    changed = [*series(EIGHT_HOURLY)[:-1], sent(EIGHT_HOURLY[-1], "0.009")]
    report = imported(database, source(changed))
    assert (report.counts.new, report.counts.changed) == (0, 1)
    assert report.counts.unchanged == len(EIGHT_HOURLY) - 1
    ((rate, reason, revised_by),) = asked(
        database, "SELECT rate, reason, revised_by FROM rate_revisions"
    )
    assert (reason, revised_by) == ("exchange", report.load_id)
    assert rate == pytest.approx((EIGHT_HOURLY[-1] % 89 - 44) * 1e-6)
    assert stored(database)[-1][2] == 0.009


@pytest.mark.parametrize("batch", [1, 7, 50, 50_000])
def test_batches_leave_no_trace(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Intervals change within batches and between them; no row is ever decided twice."""
    raw = [*series(CHANGING), *series(CHANGING[::2], "BBB"), *series([700], "CCC")]
    random.Random(batch).shuffle(raw)
    whole = Database(Settings(data_dir=tmp_path / "whole"))
    listed_here(whole, "AAA", "BBB", "CCC", interval_hours=None)
    for market in ("AAA", "BBB", "CCC"):
        own = [row for row in raw if row.market == market]
        collected_here(whole, own, 0, 1400, market=market)
    monkeypatch.setattr("funding_pipeline.warehouse.imports.BATCH_ROWS", batch)
    imported(database, source(raw))
    expected = [row[:-1] for row in stored(whole)]
    found = [row[:-1] for row in stored(database)]
    assert found == expected
    # A row alone tells no interval: collected or imported, it is quarantined.
    assert {row[0] for row in found} == {"AAA", "BBB"}
    failed = "SELECT market, stamp, reason FROM quarantine ORDER BY ALL"
    assert asked(database, failed) == asked(whole, failed) != []
    assert asked(database, "FROM rate_revisions") == []


# --- checks ------------------------------------------------------------------------------------


def test_rows_that_fail_are_quarantined(database: Database) -> None:
    good = series([8, 16, 24])
    bad = [
        sent(32, "nan"),
        sent(40, "0.06"),
        RawSettlement("AAA", LATER_MS + 2 * HOUR, "0.0001"),
        sent(48, lag_ms=45 * 60_000),
        sent(24, "0.02", lag_ms=1000),
    ]
    report = imported(database, source([*good, *bad]))
    assert (report.read, report.counts.new, report.counts.quarantined) == (8, 3, 5)
    reasons = asked(database, "SELECT reason FROM quarantine ORDER BY stamp")
    assert [reason.split(":")[0] for (reason,) in reasons] == [
        "slot taken", "not a number", "beyond the bound", "off grid", "in the future",
    ]  # fmt: skip


def test_the_unit_is_the_sources_and_the_bound_the_exchanges(database: Database) -> None:
    rows_in_percent = [sent(8, "0.0012"), sent(16, "4.9"), sent(24, "5.1")]
    report = imported(database, source(rows_in_percent, unit=RateUnit.PERCENT))
    assert [(h, rate) for h, rate, *_ in brief(database)] == [(8, 1.2e-05), (16, 0.049)]
    assert report.counts.quarantined == 1
    assert stored(database)[0][6] == "0.0012"


def test_a_rate_for_another_time_than_the_exchange_settles_is_refused(database: Database) -> None:
    """A quote per 8 h of an hourly market would be wrong by a factor of 8."""

    hyperliquid = EXCHANGES["hyperliquid"].spec
    told = [sent(h, interval_hours=8 if h < 3 else 1) for h in range(1, 5)]
    report = imported(database, source(told, "hyperliquid"), hyperliquid)
    assert [h for h, *_ in brief(database)] == [3, 4]
    assert report.counts.quarantined == 2
    assert asked(database, "SELECT DISTINCT reason FROM quarantine") == [
        ("interval: told 8 h, but hyperliquid settles every 1 h",)
    ]


def test_what_the_parser_would_not_have(database: Database) -> None:
    report = imported(database, source(series([8, 16]), problem="direction: neither"))
    assert (report.read, report.counts.new, report.counts.quarantined) == (2, 0, 2)
    assert asked(database, "SELECT DISTINCT reason FROM quarantine") == [("direction: neither",)]
    assert asked(database, "FROM markets") == []


def test_estimates_do_not_become_settlements(database: Database) -> None:
    report = imported(database, source(series([8, 16]), kind="recorded"))
    assert (report.counts.new, report.counts.quarantined) == (0, 2)
    assert asked(database, "SELECT DISTINCT reason FROM quarantine") == [
        ("kind: recorded, but rows of madeup are settled",)
    ]
    assert imported(database, source(series([8, 16]), kind="settled")).counts.new == 2


def test_intervals_that_overlap_are_counted(database: Database) -> None:
    hourly = [sent(h, interval_hours=8) for h in range(1, 25)]
    assert imported(database, source(hourly)).tight == 23


# --- the ledger --------------------------------------------------------------------------------


def test_it_is_a_load_but_tells_nothing_of_collecting(database: Database) -> None:
    report = imported(database, source(series(EIGHT_HOURLY)))
    loads = "SELECT exchange, reason, outcome, rows_new, requests, window_from FROM loads"
    assert asked(database, loads) == [
        ("madeup", "import", "complete", len(EIGHT_HOURLY), 0, time_of(8))
    ]
    assert asked(database, "FROM collector_status") == []
    assert asked(database, "SELECT kind, detail, load_id FROM events WHERE market IS NULL") == [
        ("imported", f"rows, here: {len(EIGHT_HOURLY)} rows", report.load_id)
    ]


def test_what_was_imported_does_not_count_as_collected(database: Database) -> None:
    listed_here(database)
    collected_here(database, series([8, 16]), 0, 20, load_id=77)
    before = asked(database, "FROM collected_windows")
    imported(database, source(series(EIGHT_HOURLY)))
    assert asked(database, "FROM collected_windows") == before


def test_unless_it_is_said_to_be_complete(database: Database) -> None:
    raw = [*series(EIGHT_HOURLY), *series([16, 24, 32], "BBB"), sent(8, "nan", market="CCC")]
    imported(database, source(raw), complete=True)
    spans = asked(database, "SELECT market, from_time, to_time, rows FROM collected_windows")
    assert sorted((market, start, n) for market, start, _, n in spans) == [
        ("AAA", time_of(8), len(EIGHT_HOURLY)),
        ("BBB", time_of(16), 3),
    ]
    for market, _, end, _ in spans:
        last = EIGHT_HOURLY[-1] if market == "AAA" else 32
        assert time_of(last) < end < time_of(last + 1)


def test_what_is_shown_as_latest_is_what_is_stored(database: Database) -> None:
    """The exchange confirms the newest rate and adds its mark price."""
    listed_here(database)
    imported(database, source([sent(8), sent(16)]))
    derive(database, now=LATER)
    collected_here(database, [sent(8), sent(16, mark_price=5.0)], 0, 20)
    derive(database, now=LATER)
    assert asked(database, "SELECT rate, mark_price FROM latest_rates") == [(0.0001, 5.0)]


def test_derived_tables_are_owed(database: Database) -> None:
    imported(database, source(series(EIGHT_HOURLY)))
    assert derive(database, now=LATER).daily_rows == 10
    ((last, rate),) = asked(database, "SELECT funding_time, rate FROM latest_rates")
    assert last == time_of(EIGHT_HOURLY[-1])
    assert rate == stored(database)[-1][2]


def test_a_broken_import_is_resumed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funding_pipeline.warehouse.imports.BATCH_ROWS", 10)
    found = source(series(CHANGING))
    good = found.portions

    def broken() -> pl.DataFrame:
        raise OSError("the disk is gone")

    last = dataclasses.replace(good[-1], rows=broken)
    with pytest.raises(OSError, match="the disk is gone"):
        imported(database, dataclasses.replace(found, portions=[*good[:-1], last]), complete=True)
    ((outcome, error, stored_rows),) = asked(database, "SELECT outcome, error, rows_new FROM loads")
    assert (outcome, error) == ("failed", "OSError: the disk is gone")
    assert 0 < stored_rows < len(CHANGING)
    assert asked(database, "FROM collected_windows") == []
    imported(database, found)
    whole = Database(Settings(data_dir=tmp_path / "whole"))
    imported(whole, source(series(CHANGING)))
    assert stored(database) == stored(whole)


def test_live_and_sandbox_do_not_mix(database: Database) -> None:
    with database.open() as connection:
        claim_origin(connection, "sandbox")
    with pytest.raises(MixedOriginError, match="holds sandbox data"):
        imported(database, source(series([8, 16])))
    assert asked(database, "FROM loads") == []
    assert asked(database, "FROM markets") == []


# --- markets -----------------------------------------------------------------------------------


def test_unknown_markets_are_unlisted_until_a_list_names_them(database: Database) -> None:
    report = imported(database, source(series([8, 16], "1000PEPEUSDT")))
    assert report.new_markets == ["1000PEPEUSDT"]
    state = "SELECT market, symbol, multiplier, quote, status, asset, delisted_at = first_seen"
    assert asked(database, f"{state} FROM markets") == [
        ("1000PEPEUSDT", "PEPE", 1000, "USDT", "unlisted", "PEPE", True)
    ]
    assert asked(database, "SELECT market, symbol, source FROM symbol_registry") == [
        ("1000PEPEUSDT", "PEPE", "rule")
    ]
    assert imported(database, source(series([24], "1000PEPEUSDT"))).new_markets == []
    listed_here(database, "1000PEPEUSDT", "AAA")
    status = "SELECT market, status, delisted_at FROM markets ORDER BY market"
    assert asked(database, status) == [("1000PEPEUSDT", "live", None), ("AAA", "live", None)]
    with database.open() as connection:
        assert len(known_markets(connection, "madeup")) == 2


def test_known_markets_keep_what_they_are(database: Database) -> None:
    listed_here(database, "AAA", "BBB")
    before = asked(database, "FROM markets ORDER BY ALL")
    imported(database, source(series([8, 16], "NEWUSDT")))
    known = asked(database, "FROM markets WHERE market <> 'NEWUSDT' ORDER BY ALL")
    assert known == before
    assert [market.market for market in known_identities(database, "madeup")] == [
        "AAA", "BBB", "NEWUSDT",
    ]  # fmt: skip


def test_exchanges_that_are_not_known_are_passed_over(database: Database) -> None:
    mixed = Source(
        "rows",
        [*source(series([8, 16]), "bitmex").portions, *source(series([8, 16])).portions],
    )
    assert imported(database, mixed).exchange == "madeup"
    assert asked(database, "SELECT DISTINCT exchange FROM markets") == [("madeup",)]


def test_duckdb_is_not_left_open(database: Database) -> None:
    imported(database, source(series([8, 16])))
    with duckdb.connect(str(database.path)) as connection:
        assert rows(connection, "SELECT count(*) FROM settlements") == [(2,)]


# --- recorded data -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("exchange", ["bybit", "binance", "hyperliquid"])
def test_recorded_rates_come_back_and_take_little_space(
    database: Database, settings: Settings, tmp_path: Path, recorded_dir: Path, exchange: str
) -> None:
    """Three months through a mapping, which tells no interval, and out as a dataset."""
    recorded = (
        pl.scan_parquet(recorded_dir / f"{exchange}.parquet")
        .filter(pl.col("time").dt.year() == 2025, pl.col("time").dt.month() <= 3)
        .sort("market", "time")
        .collect()
    )
    recorded.write_parquet(tmp_path / "recorded.parquet")
    mapping = "exchange=exchange,market=market,time=time,rate=rate,unit=fraction,time_unit=ms"
    found = open_source(tmp_path / "recorded.parquet", Options(known=lambda _: [], mapping=mapping))
    declaration = EXCHANGES[exchange].spec
    (report,) = import_source(
        database,
        found,
        {exchange: declaration},
        origin="live",
        complete=False,
        place="recorded",
        now_ms=LATER_MS,
    )
    assert (report.counts.new, report.counts.quarantined) == (len(recorded), 0)
    publish(database)
    out = tmp_path / "rates"
    written = export_dataset(settings.read_path, "funding_rates", out, Selection(), now=LATER)
    files = sorted(out.glob("exchange=*/month=*/part.parquet"))
    rates = pl.concat(pl.read_parquet(file) for file in files).sort("market", "funding_time")
    assert rates["rate"].to_list() == recorded["rate"].to_list()
    assert rates["market"].to_list() == recorded["market"].to_list()
    labels = recorded["interval_hours"].cast(pl.Int64)
    assert (rates["interval_hours"].cast(pl.Int64) != labels).sum() <= 7
    assert written.bytes / written.rows <= 9
