"""Mappings: their language, units and stamps; nothing is guessed."""

from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.imports.base import UsageError
from funding_pipeline.imports.mapped import Mapping, mapped_rows, parse_mapping

FULL = "market=coin,time=ts,rate=funding,unit=percent,interval_hours=8,time_unit=ms"
NOON_MS = 1_735_732_800_000  # 2025-01-01 12:00 UTC


def parsed(text: str) -> Mapping:
    return parse_mapping(text, market=None, exchange="bybit")


def rows(table: pl.DataFrame, text: str) -> list[dict[str, object]]:
    frame, _ = mapped_rows(table, parsed(text), market=None, exchange="bybit")
    return frame.to_dicts()


def test_a_mapping_is_read() -> None:
    mapping = parsed(FULL)
    assert mapping.columns == {"market": "coin", "time": "ts", "rate": "funding"}
    assert (mapping.unit, mapping.time_unit, mapping.hours) == (RateUnit.PERCENT, "ms", 8)
    assert parsed(FULL.replace("=8", "=h")).columns["interval_hours"] == "h"
    assert parsed(" market = a b , time=t, rate=r, unit=x18, time_unit=iso ").columns == {
        "market": "a b", "time": "t", "rate": "r",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("market", "'market' is not of the form"),
        ("market=", "not of the form"),
        (FULL + ",", "'' is not of the form"),
        (FULL + ",rate=x", "rate is given twice"),
        (FULL + ",colour=x", "no colour; there are: exchange, market"),
        (FULL.replace("unit=percent,", ""), "--map: unit is missing"),
        ("market=coin", "time, rate, unit, time_unit is missing"),
        (FULL.replace("percent", "bps"), "no unit bps; there are: fraction, percent"),
        (FULL.replace("=ms", "=minutes"), "no time_unit minutes; there are: s, ms, us, ns, iso"),
        (FULL.replace("=8", "=0"), "1 to 168, not 0"),
        (FULL.replace("=8", "=999"), "1 to 168, not 999"),
    ],
)
def test_a_mapping_that_does_not_make_sense(text: str, words: str) -> None:
    with pytest.raises(UsageError) as failure:
        parsed(text)
    assert words in str(failure.value)


def test_the_exchange_has_to_be_said() -> None:
    with pytest.raises(UsageError, match="which exchange"):
        parse_mapping(FULL, market=None, exchange=None)
    mapping = parse_mapping(FULL + ",exchange=venue", market=None, exchange=None)
    assert mapping.columns["exchange"] == "venue"


def test_columns_that_are_not_there() -> None:
    with pytest.raises(UsageError, match=r"no column coin, funding; there are: ts, x"):
        rows(pl.DataFrame({"ts": [1], "x": [1]}), FULL)


def test_texts_stay_and_numbers_read_back_the_same() -> None:
    table = pl.DataFrame(
        {"coin": [" BTC "] * 2, "ts": [NOON_MS] * 2, "funding": ["0.0100", " -1e-05"]}
    )
    assert [row["rate_text"] for row in rows(table, FULL)] == ["0.0100", "-1e-05"]
    numbers = [0.1 + 0.2, 1e-17, -0.0, 1.25e-5]
    table = pl.DataFrame({"coin": ["BTC"] * 4, "ts": [NOON_MS] * 4, "funding": numbers})
    found = [float(str(row["rate_text"])) for row in rows(table, FULL)]
    assert list(map(repr, found)) == list(map(repr, numbers))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_the_same(number: float) -> None:
    table = pl.DataFrame({"coin": ["BTC"], "ts": [NOON_MS], "funding": [number]})
    assert repr(float(str(rows(table, FULL)[0]["rate_text"]))) == repr(number)


@pytest.mark.parametrize(
    ("unit", "stamps"),
    [
        ("s", ["1735732800", "1735732800.0", "1.7357328e9", 1735732800, 1735732800.0]),
        ("ms", ["1735732800000", 1735732800000, 1735732800000.0]),
        ("us", ["1735732800000000", 1735732800000000]),
        ("ns", ["1735732800000000000", 1735732800000000000]),
        (
            "iso",
            [
                "2025-01-01T12:00:00Z",
                "2025-01-01T12:00:00+00:00",
                "2025-01-01T14:00:00+02:00",
                "2025-01-01 12:00:00",
                "2025-01-01T12:00:00.000",
                "2025-01-01 12:00",
                datetime(2025, 1, 1, 12),
            ],
        ),
    ],
)
def test_stamps(unit: str, stamps: list[object]) -> None:
    for stamp in stamps:
        table = pl.DataFrame({"coin": ["BTC"], "ts": [stamp], "funding": ["0"]})
        found = rows(table, FULL.replace("=ms", f"={unit}"))
        assert [row["time_ms"] for row in found] == [NOON_MS], stamp


def test_stamps_of_a_time_type_need_no_unit() -> None:
    for column in (
        pl.Series([datetime(2025, 1, 1, 12)], dtype=pl.Datetime("ns")),
        pl.Series([datetime(2025, 1, 1, 12)]).dt.replace_time_zone("UTC"),
        pl.Series([datetime(2025, 1, 1, 13)]).dt.replace_time_zone("Europe/Berlin"),
    ):
        table = pl.DataFrame({"coin": ["BTC"], "ts": column, "funding": ["0"]})
        assert rows(table, FULL)[0]["time_ms"] == NOON_MS
    table = pl.DataFrame({"coin": ["BTC"], "ts": [date(2025, 1, 1)], "funding": ["0"]})
    assert rows(table, FULL)[0]["time_ms"] == NOON_MS - 12 * 3_600_000


def test_milliseconds_of_a_stamp_in_seconds_are_kept() -> None:
    table = pl.DataFrame({"coin": ["BTC"], "ts": ["1735732800.057"], "funding": ["0"]})
    assert rows(table, FULL.replace("=ms", "=s"))[0]["time_ms"] == NOON_MS + 57


def test_rows_without_a_readable_stamp_or_name_are_counted() -> None:
    table = pl.DataFrame(
        {
            "coin": ["BTC", "BTC", "BTC", "BTC", "BTC", None, "  ", "BTC"],
            "ts": [NOON_MS, None, "soon", NOON_MS * 1000, NOON_MS // 1000, NOON_MS, NOON_MS, 2**62],
            "funding": ["0"] * 8,
        },
        strict=False,
        schema={"coin": pl.String, "ts": pl.String, "funding": pl.String},
    )
    frame, unusable = mapped_rows(table, parsed(FULL), market=None, exchange="bybit")
    assert (len(frame), unusable) == (1, 7)


def test_who_pays_gives_the_sign() -> None:
    table = pl.DataFrame(
        {
            "coin": ["BTC"] * 5,
            "ts": [NOON_MS] * 5,
            "funding": ["0.01", "0.02", "-0.03", "0.04", "0.05"],
            "side": ["long", "Short", "short", "both", None],
        }
    )
    found = rows(table, FULL + ",direction=side")
    assert [row["rate_text"] for row in found][:2] == ["0.01", "-0.02"]
    assert [row["problem"] for row in found] == [
        None,
        None,
        "direction: the rate has a sign of its own",
        "direction: neither long nor short",
        "direction: neither long nor short",
    ]


def test_intervals_by_row() -> None:
    told = ["8", "8.0", "0", "7.5", "eight", None, "169"]
    table = pl.DataFrame(
        {"coin": ["BTC"] * 7, "ts": [NOON_MS] * 7, "funding": ["0"] * 7, "h": told}
    )
    found = rows(table, FULL.replace("=8", "=h"))
    assert [row["interval_hours"] for row in found] == [8, 8, None, None, None, None, None]
    assert [row["problem"] is None for row in found] == [True, True] + [False] * 5


def test_one_market_for_all_rows() -> None:
    text = "time=ts,rate=funding,unit=fraction,time_unit=ms,mark_price=px"
    mapping = parse_mapping(text, market="BTCUSDT", exchange="bybit")
    table = pl.DataFrame({"ts": [NOON_MS], "funding": ["0.0001"], "px": ["93,000"]})
    frame, _ = mapped_rows(table, mapping, market="BTCUSDT", exchange="bybit")
    (row,) = frame.to_dicts()
    assert (row["exchange"], row["market"], row["mark_price"]) == ("bybit", "BTCUSDT", None)
