"""The worked examples of the documentation: their rows are recorded, their figures ours."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from funding_pipeline.domain.validate import validate
from funding_pipeline.exchanges.lighter import SPEC, parse_history
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.derive import derive
from funding_pipeline_tests.recorded_answers.recordings import asset_of
from funding_pipeline_tests.transforms.hour_by_hour import Row
from funding_pipeline_tests.warehouse.stored import store

PAGE = Path(__file__).resolve().parents[1] / "docs" / "worked-examples.md"
TOLERATED = timedelta(seconds=10)  # stamps as recorded, by exchanges that settle a moment later


@dataclass(frozen=True)
class Example:
    """A section: its recorded settlements, what Lighter sent, its queries with their answers."""

    title: str
    rows: dict[str, list[Row]]  # by "exchange/market"
    sent: str | None
    asked: list[tuple[str, list[list[str]]]]


def examples() -> Iterator[Example]:
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        found: dict[str, list[Row]] = {}
        for block in _blocks(section, "csv"):
            for line in csv.DictReader(block.splitlines()):
                name = f"{line['exchange']}/{line['market']}"
                time = datetime.fromisoformat(line["funding_time"])
                row = Row(time, float(line["rate"]), int(line["interval_hours"]))
                found.setdefault(name, []).append(row)
        queries = re.findall(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)+)", section, re.DOTALL)
        assert len(queries) == section.count("```sql"), "an answer below each query"
        sent = next(iter(_blocks(section, "json")), None)
        yield Example(
            section.split("\n", 1)[0],
            found,
            sent,
            [(query, _cells(table)) for query, table in queries],
        )


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _cells(table: str) -> list[list[str]]:
    """Header and rows of a Markdown table."""
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    return [lines[0], *lines[2:]]


EXAMPLES = {example.title: example for example in examples()}


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 5
    assert all(example.asked for example in EXAMPLES.values())
    assert sum(len(rows) for e in EXAMPLES.values() for rows in e.rows.values()) > 120


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_tables_say_what_the_page_says(example: Example, database: Database) -> None:
    rows = dict(example.rows)
    if example.sent:
        rows["lighter/BTC"] = _parsed(example.sent)
    now = max(row.time for series in rows.values() for row in series) + timedelta(minutes=40)
    with database.open() as connection:
        ids = store(connection, rows)
        for name, market_id in ids.items():
            connection.execute(
                "UPDATE base.markets SET asset = $1, symbol = $1 WHERE market_id = $2",
                [asset_of(name.split("/")[1]), market_id],
            )
        connection.execute(
            """INSERT INTO dirty_days (market_id, day, since) SELECT DISTINCT market_id,
                CAST(funding_time - to_hours(CAST(interval_hours AS INTEGER)) AS DATE), funding_time
            FROM settlements"""
        )
    assert derive(database, now=now).broken == {}
    with database.open() as connection:
        for query, (header, *expected) in example.asked:
            answer = connection.execute(query)
            assert [column[0] for column in answer.description or ()] == header
            assert [[str(value) for value in row] for row in answer.fetchall()] == expected


def _parsed(sent: str) -> list[Row]:
    """Through the exchange's own reading, as it would be stored."""
    valid, rejected = validate(
        parse_history(msgspec.json.encode(json.loads(sent)), "BTC"),
        unit=SPEC.rate_unit,
        max_abs_rate=SPEC.max_abs_rate,
        now_ms=1_800_000_000_000,
    )
    assert rejected == []
    epoch = datetime(1970, 1, 1)
    return [Row(epoch + timedelta(milliseconds=row.slot_ms), row.rate, 1) for row in valid]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_rows_are_those_recorded(
    example: Example, recorded_dir: Path, responses_dir: Path
) -> None:
    if example.sent:
        path = responses_dir / "lighter" / "fundings_btc_2026-09-11.json"
        assert json.loads(example.sent) == json.loads(path.read_text("utf-8"))["response"]
    for name, rows in example.rows.items():
        exchange, market = name.split("/")
        frame = (
            pl.scan_parquet(recorded_dir / f"{exchange}.parquet")
            .filter(market=market)
            .select(pl.col("time").dt.replace_time_zone(None), "rate", "interval_hours")
            .filter(pl.col("time").is_between(rows[0].time, rows[-1].time + TOLERATED))
            .sort("time")
            .collect()
        )
        recorded = [Row(t.replace(microsecond=0, second=0), r, int(h)) for t, r, h in frame.rows()]
        assert recorded == rows, "all that was recorded between the first and the last, no more"
