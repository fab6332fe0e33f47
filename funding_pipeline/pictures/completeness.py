"""Coverage: how complete each exchange's days are, and why the others are not.

Belongs here: the picture. Does not: what is missing and why (warehouse.gaps).
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from funding_pipeline.pictures.canvas import COLOURS, GREY, INK, SMALL, figure, headed, png, tidy

_WIDTH, _HEIGHT = 0.275, 0.235  # inches of a cell
_COMPLETE, _NOTHING = "#e8eaed", "#ffffff"  # pale: what is in order should not shout
# By name, so that a reason has the same colour in every picture; others follow in grey.
_REASONS = (
    "answered empty",
    "not asked",
    "exchange outage",
    "quarantined",
    "before look-back",
    "not sampled",
    "unknown",
)
_PALEST = 0.3  # of a reason's colour, where nearly nothing is missing
_DARK = 0.5  # luminance: below, numbers are white


def completeness(coverage: pl.DataFrame) -> bytes | None:
    """Exchange × day: complete, or the share that is stored on the colour of the reason why most of
    the rest is missing, the stronger the more is.

    Needs exchange, day, share (0 to 1), reason ("answered empty 5, not asked 2": the most frequent
    first), as in the table `coverage_by_day`.
    """
    if coverage.is_empty():
        return None
    rows = sorted(coverage["exchange"].unique())
    first, last = min(coverage["day"]), max(coverage["day"])
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    main = pl.col("reason").str.extract(r"^(.*?) \d+(?:,|$)").fill_null("unknown")
    shown = coverage.with_columns(main=pl.when(pl.col("share") < 1).then(main))
    colours = _colours(shown["main"].drop_nulls().unique().to_list())

    drawn = figure(2.2 + _WIDTH * max(len(days), 20), 1.7 + _HEIGHT * max(len(rows), 4))
    axes = drawn.subplots()
    grid = [[_rgb(_NOTHING)] * len(days) for _ in rows]
    for exchange, day, share, reason in shown.select(
        "exchange", "day", "share", "main"
    ).iter_rows():
        y, x = rows.index(exchange), days.index(day)
        if reason is None:
            grid[y][x] = _rgb(_COMPLETE)
            continue
        grid[y][x] = cell = _shade(colours[reason], 1 - share)
        ink = "white" if _luminance(cell) < _DARK else INK
        number = str(math.floor(share * 100))
        axes.text(x, y, number, ha="center", va="center", color=ink, fontsize=SMALL)
    axes.imshow(grid, aspect="auto")
    axes.set_xticks(range(len(days)), labels(days))
    axes.set_yticks(range(len(rows)), rows)
    # White lines between cells.
    axes.set_xticks([x - 0.5 for x in range(1, len(days))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    tidy(axes)
    axes.set_axisbelow(False)
    axes.tick_params(which="minor", length=0)
    from matplotlib.patches import Patch

    drawn.legend(
        handles=[
            Patch(color=colour, label=name)
            for name, colour in {"complete": _COMPLETE, **colours}.items()
        ],
        loc="outside lower left",
        ncols=8,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.2,
    )
    headed(
        drawn,
        axes,
        "Coverage: settlements stored of those that are expected, by UTC day",
        "Number: percent stored of an incomplete day; colour: why most of the rest is missing. "
        "White: none expected.",
    )
    return png(drawn)


def labels(days: list[date]) -> list[str]:
    """Days of the month, with the month's name below the first one and each 1st."""
    named = [days[0], *(day for before, day in pairwise(days) if before.month != day.month)]
    return [f"{day.day}\n{day:%b}" if day in named else f"{day.day}" for day in days]


def _colours(reasons: Sequence[str]) -> Mapping[str, str]:
    """Those of the reasons that occur, in a steady order."""
    fixed = dict(zip(_REASONS, COLOURS, strict=False))
    order = [*(name for name in fixed if name in reasons), *sorted(set(reasons) - fixed.keys())]
    return {name: fixed.get(name, GREY) for name in order}


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _shade(colour: str, missing: float) -> tuple[float, float, float]:
    """The colour, mixed with white the more the less is missing."""
    strength = _PALEST + (1 - _PALEST) * missing
    red, green, blue = (1 - strength * (1 - part) for part in _rgb(colour))
    return red, green, blue


def _luminance(colour: tuple[float, float, float]) -> float:
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), colour, strict=True))
