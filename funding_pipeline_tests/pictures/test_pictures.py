"""What is drawn, where it can be told apart from how it looks."""

import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from io import BytesIO
from itertools import pairwise

import polars as pl
import pytest
from PIL import Image

from funding_pipeline import pictures
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.pictures.canvas import COLOURS, axis_percent, colours, percent, plain
from funding_pipeline.pictures.completeness import labels
from funding_pipeline.pictures.heat_map import cells, scale
from funding_pipeline.pictures.lines import steps, ticks
from funding_pipeline.pictures.spreads import best

START = datetime(2025, 3, 1)
HOUR = timedelta(hours=1)
NAN = math.nan


def averages(rows: Iterable[tuple[str, str | None, float | None]]) -> pl.DataFrame:
    schema = {"exchange": pl.String, "asset": pl.String, "apr": pl.Float64}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def hourly(
    asset: str, exchange: str, hours: Iterable[int], apr: float | list[float] = 0.1
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "exchange": exchange,
            "market": f"{asset}-PERP",
            "asset": asset,
            "hour": [START + h * HOUR for h in hours],
            "apr": apr,
        }
    )


def pairs(rows: Iterable[tuple[str | None, str, str, float | None, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(asset, "SYM", long, short, "7d", apr, net) for asset, long, short, apr, net in rows],
        schema={
            "asset": pl.String,
            "symbol": pl.String,
            "long_exchange": pl.String,
            "short_exchange": pl.String,
            "window": pl.String,
            "apr": pl.Float64,
            "net_apr_taker": pl.Float64,
        },
        orient="row",
    )


def coverage(rows: Iterable[tuple[str, date, float, str | None]]) -> pl.DataFrame:
    schema = {"exchange": pl.String, "day": pl.Date, "share": pl.Float64, "reason": pl.String}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def opened(png: bytes | None) -> Image.Image:
    assert png is not None
    image = Image.open(BytesIO(png))
    assert image.format == "PNG"
    return image.convert("RGB")


def at(moment: int) -> datetime:
    return START + moment * HOUR


@pytest.mark.parametrize(
    ("hours", "times", "values"),
    [
        ([5], [at(4), at(5)], [5, 5]),
        ([5, 6, 7], [at(4), at(5), at(6), at(7)], [5, 6, 7, 7]),
        # Hours 6 and 7 are missing; 8 stands alone.
        (
            [4, 5, 8, 10],
            [at(3), at(4), at(5), at(5), at(7), at(8), at(8), at(9), at(10)],
            [4, 5, 5, NAN, 8, 8, NAN, 10, 10],
        ),
        ([], [], []),
    ],
)
def test_lines_hold_for_their_hour_and_break_where_one_is_missing(
    hours: list[int], times: list[datetime], values: list[float]
) -> None:
    found = steps([at(h) for h in hours], [float(h) for h in hours])
    assert found[0] == times
    assert found[1] == pytest.approx(values, nan_ok=True)


@pytest.mark.parametrize(
    ("hours", "written"),
    [
        (1, ["1 Mar 00:00", "1 Mar 01:00"]),
        (
            30,
            [
                "1 Mar 00:00",
                "1 Mar 06:00",
                "1 Mar 12:00",
                "1 Mar 18:00",
                "2 Mar 00:00",
                "2 Mar 06:00",
            ],
        ),
        (14 * 24, [f"{day} Mar" for day in range(1, 16, 2)]),
    ],
)
def test_ticks_are_round_and_few(hours: int, written: list[str]) -> None:
    assert ticks(START, START + hours * HOUR)[1] == written
    for span in range(1, 2000, 7):
        times, _ = ticks(at(5), at(5 + span))
        assert 1 <= len(times) <= 9
        assert at(5) <= times[0] <= times[-1] <= at(5 + span)


def test_a_gap_is_drawn_as_a_gap() -> None:
    """A hundred hours, of which forty are missing: no ink of the line there."""
    known = [*range(1, 31), *range(71, 101)]
    image = opened(pictures.lines(hourly("BTC", "bybit", known), assets=["BTC"]))
    # Above the legend, which shows the colour as well.
    above = image.crop((0, 0, image.width, image.height - 60))
    blue = [x for x in range(above.width) if _has_blue(above, x)]
    *others, widest = sorted(b - a for a, b in pairwise(blue))
    assert others[-1] <= 2, "there is one hole"
    assert widest / (blue[-1] - blue[0]) == pytest.approx(0.4, abs=0.01)


def _has_blue(image: Image.Image, x: int) -> bool:
    pixels = (image.getpixel((x, y)) for y in range(image.height))
    return any(pixel[2] - pixel[0] > 60 for pixel in pixels)  # type: ignore[index, operator]


def test_one_cell_is_the_mean_of_an_exchanges_markets() -> None:
    found = cells(
        averages(
            [
                ("bybit", "BTC", 0.1),
                ("bybit", "BTC", 0.3),
                ("okx", "BTC", -0.1),
                ("okx", "ETH", 0.5),
                ("okx", "SOL", None),
                ("okx", None, 9.0),
            ]
        )
    )
    assert found.rows() == [("ETH", "okx", 0.5), ("BTC", "bybit", 0.2), ("BTC", "okx", -0.1)]


def test_the_assets_of_most_exchanges_are_shown_highest_median_first() -> None:
    rows = [("a", "X", 0.1), ("b", "X", 0.2), ("c", "X", 9.0), ("a", "Y", 0.3), ("b", "Y", 0.3)]
    rows += [("a", "Z", 99.0), ("a", "B", 98.0)]
    # X: median 0.2 on three exchanges, Y 0.3 on two; of B and Z, on one each, the first in the
    # alphabet.
    shown = [cells(averages(rows), assets=n)["asset"] for n in (2, 3)]
    assert [names.unique(maintain_order=True).to_list() for names in shown] == [
        ["Y", "X"],
        ["B", "Y", "X"],
    ]


def test_colours_are_full_where_nine_tenths_are_below() -> None:
    frame = averages([("a", f"{n}", n / 100) for n in range(1, 11)] + [("b", "1", -50.0)])
    assert scale(frame) == pytest.approx(0.1)
    assert scale(averages([("a", "BTC", 0.0)])) == 0.01, "not nothing"


@pytest.mark.parametrize(
    ("apr", "colour"), [(1.0, (103, 0, 31)), (0.0, (250, 250, 250)), (-1.0, (5, 48, 97))]
)
def test_red_is_above_zero_and_blue_below(apr: float, colour: tuple[int, int, int]) -> None:
    """The ends of ColorBrewer's scale and its middle: the colour that most of the picture has."""
    image = opened(pictures.heat_map(averages([("bybit", "BTC", apr), ("okx", "BTC", apr)])))
    colours = image.getcolors(256)
    assert colours is not None
    _, most = max(colours)
    assert most == pytest.approx(colour, abs=5)


def test_an_assets_best_pair_is_shown() -> None:
    found = best(
        pairs(
            [
                ("BTC", "okx", "bybit", 0.3, 0.1),
                ("BTC", "okx", "gate", 0.2, 0.15),
                ("ETH", "okx", "bybit", 0.9, None),
                (None, "okx", "bybit", 0.9, 0.5),
                ("SOL", "okx", "bybit", 0.1, -0.2),
            ]
        )
    )
    assert found.select("asset", "short_exchange", "net_apr_taker").rows() == [
        ("SYM", "bybit", 0.5),
        ("BTC", "gate", 0.15),
        ("SOL", "bybit", -0.2),
    ]


@pytest.mark.parametrize(
    ("fraction", "text", "on_axis"),
    [
        (0.10952, "11", "10.952 %"),
        (0.0994, "9.9", "9.94 %"),
        (0.0996, "10", "9.96 %"),
        (-0.0004, "0.0", "-0.04 %"),
        (-12.5, "-1250", "-1250 %"),
        (0.1 + 0.2, "30", "30 %"),
        (-0.0, "0.0", "0 %"),
    ],
)
def test_percent(fraction: float, text: str, on_axis: str) -> None:
    assert (percent(fraction), axis_percent(fraction)) == (text, on_axis)


def test_days_tell_their_month_once() -> None:
    days = [date(2025, 2, 27) + timedelta(days=n) for n in range(4)]
    assert labels(days) == ["27\nFeb", "28", "1\nMar", "2"]


def test_colours_go_to_the_first_ones_and_run_out() -> None:
    names = [f"n{i}" for i in range(10)]
    found = colours(names, ["n9", "elsewhere", "n3"])
    assert list(found)[:3] == ["n9", "n3", "n0"]
    assert list(found.values())[:8] == list(COLOURS)
    assert len(set(list(found.values())[8:])) == 1


WHY = ("answered empty", "not asked", "exchange outage", "quarantined", "made up by a test")


def _cell(share: float, reason: str | None) -> tuple[int, ...]:
    """The colour that most of the picture has, white apart: that of its only row."""
    day = date(2025, 3, 1)
    frame = coverage(("bybit", day + timedelta(days=n), share, reason) for n in range(20))
    colours = opened(pictures.completeness(frame)).getcolors(256)
    assert colours is not None
    return max((n, c) for n, c in colours if min(c) < 250)[1]  # type: ignore[type-var,arg-type]


@pytest.mark.parametrize(
    ("share", "reason", "colour"),
    [
        (1.0, None, (0xE8, 0xEA, 0xED)),
        (0.0, "answered empty 8", (0x00, 0x72, 0xB2)),
        (0.0, "not asked 5, answered empty 2", (0xD5, 0x5E, 0x00)),
        (0.0, "answered empty 5, not asked 2", (0x00, 0x72, 0xB2)),
        (0.0, "made up by a test 3", (0x8A, 0x8A, 0x8A)),
        (0.0, None, (0, 0, 0)),
        (0.999, "answered empty 1", (0xB3, 0xD5, 0xE8)),
    ],
)
def test_a_hole_has_the_colour_of_its_reason_the_paler_the_smaller(
    share: float, reason: str | None, colour: tuple[int, ...]
) -> None:
    assert _cell(share, reason) == pytest.approx(colour, abs=8)


def everything(seed: int = 1) -> dict[str, Callable[[], bytes | None]]:
    """All pictures at their largest: every exchange, forty assets, noise."""
    noise = random.Random(seed)
    exchanges = list(EXCHANGES)
    return {
        "heat_map": lambda: pictures.heat_map(
            averages((e, f"ASSET{a}", noise.gauss(0, 2)) for e in exchanges for a in range(40))
        ),
        "top_spreads": lambda: pictures.top_spreads(
            pairs(
                (f"ASSET{n}", "binance_coinm", "coinbase_intl", 3 + n / 7, noise.gauss(0, 3))
                for n in range(40)
            )
        ),
        "lines": lambda: pictures.lines(
            pl.concat(
                hourly(asset, e, range(336), [noise.gauss(0, 1) for _ in range(336)])
                for asset in ("BTC", "ETH", "SOL")
                for e in exchanges
            ),
            first=exchanges,
        ),
        "completeness": lambda: pictures.completeness(
            coverage(
                (e, date(2025, 3, 1) + timedelta(days=n), noise.random(), f"{noise.choice(WHY)} 9")
                for e in exchanges
                for n in range(30)
            )
        ),
    }


@pytest.mark.parametrize(
    "name",
    ["heat_map", "top_spreads", "lines", "completeness"],
)
def test_the_largest_pictures_are_small(name: str) -> None:
    png = everything()[name]()
    assert png is not None
    assert len(png) < 150_000
    assert opened(png).width <= 1100


def test_nothing_to_draw() -> None:
    assert pictures.heat_map(averages([("bybit", "BTC", None)])) is None
    assert pictures.top_spreads(pairs([])) is None
    assert pictures.lines(hourly("BTC", "bybit", [1]), assets=["ETH"]) is None
    assert pictures.completeness(coverage([])) is None


def test_one_of_everything_is_enough() -> None:
    for png in (
        pictures.heat_map(averages([("bybit", "BTC", 0.0)])),
        pictures.top_spreads(pairs([("BTC", "okx", "bybit", -0.1, -0.2)])),
        pictures.lines(hourly("BTC", "bybit", [1]), assets=["BTC"]),
        pictures.completeness(coverage([("bybit", date(2025, 3, 1), 0.5, "not asked 3")])),
    ):
        assert opened(png).width > 700


def test_names_of_any_script_are_drawn_without_a_warning() -> None:
    """Warnings are errors here: a glyph that the font lacks would be one."""
    names = ["$WIF$^{x}", "币安人生", "a_b", "été", "\\frac"]
    assert plain("$币é") == r"\$?é"
    assert pictures.heat_map(averages(("bybit", name, 0.1) for name in names))
    assert pictures.top_spreads(pairs((name, "okx", "bybit", 0.2, 0.1) for name in names))
    assert pictures.lines(pl.concat(hourly(n, "bybit", [1, 2]) for n in names), assets=names)


def test_importing_draws_nothing_in() -> None:
    """The code location imports the pictures; it must not wait for matplotlib."""
    script = "import funding_pipeline.pictures, sys; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
