"""The fee file and what four orders make of a spread."""

from datetime import date
from importlib.resources import files

import polars as pl
import pytest

from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.transforms.fees import (
    FEES,
    FeeError,
    break_even_hours,
    fee_eras,
    net_apr,
    parse,
    round_trip,
)

FILE = """
[default]
maker_bps = 2
taker_bps = 5
source = "guess"

[[fee]]
exchange = "bybit"
from = 2024-05-01
maker_bps = 1.0
taker_bps = 5.5
source = "page"

[[fee]]
exchange = "bybit"
from = 2023-01-01
maker_bps = -0.5
taker_bps = 6.0
source = "page"
assumed = true
"""


def test_eras_follow_each_other_and_the_first_and_last_are_open() -> None:
    eras = fee_eras(parse(FILE), ["bybit", "bybit", "okx"])
    assert eras.schema == pl.Schema(FEES)
    assert eras.drop("source").rows() == [
        ("bybit", None, date(2024, 5, 1), -0.00005, 0.0006000000000000001, True),
        ("bybit", date(2024, 5, 1), None, 0.0001, 0.00055, False),
        ("okx", None, None, 0.0002, 0.0005, True),
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("taker_bps = 5.5", 'taker_bps = "5.5"', "taker_bps"),
        ("2023-01-01", "2024-05-01", "bybit has two entries from 2024-05-01"),
        ("assumed", "asumed", "asumed"),
        ("[default]", "[defalt]", "defalt"),
        ("exchange =", "exchange", "fees"),
    ],
)
def test_a_wrong_file_is_refused_by_name(old: str, new: str, words: str) -> None:
    with pytest.raises(FeeError, match=words):
        parse(FILE.replace(old, new))


def test_by_hand() -> None:
    """Takers at 4.5 and 5.5 bps: 20 bps for four orders. A spread of 0.0001 per hour pays them in
    20 hours; of a day's 24 basis points 4 are left: 0.0004 * 365.
    """
    row = pl.DataFrame({"rate": [0.0001], "long": [0.00045], "short": [0.00055]}).select(
        fees=round_trip(pl.col("long"), pl.col("short")),
        hours=break_even_hours(pl.col("rate"), pl.lit(0.002)),
        net=net_apr(pl.col("rate"), pl.lit(0.002), 24),
    )
    assert row.row(0) == pytest.approx((0.002, 20.0, 0.0004 * 365), rel=1e-12)


@pytest.mark.parametrize("rate", [0.0, None])
def test_without_a_spread_nothing_breaks_even(rate: float | None) -> None:
    frame = pl.DataFrame({"rate": [rate]}, schema={"rate": pl.Float64})
    assert frame.select(break_even_hours(pl.col("rate"), pl.lit(0.002))).item() is None


def test_the_shipped_file_names_known_exchanges_with_plausible_fees() -> None:
    file = parse((files("funding_pipeline.transforms") / "fees.toml").read_text("utf-8"))
    assert {fee.exchange for fee in file.fee} <= set(EXCHANGES)
    for fee in (*file.fee, file.default):
        assert -2 <= fee.maker_bps <= fee.taker_bps <= 10
        assert fee.source
