"""Coverage: how complete each exchange's days are.

Belongs here: the picture. Does not: what coverage is (client.coverage).
"""

import math
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from funding_pipeline.pictures.canvas import INK, SMALL, axis_percent, figure, headed, png, tidy

_WIDTH, _HEIGHT = 0.275, 0.235  # inches of a cell
_PALE = 0.55  # from there on, numbers are dark


def completeness(coverage: pl.DataFrame) -> bytes | None:
    """Exchange × day, coloured by coverage, with the number wherever a day is not complete.

    Needs exchange, day, coverage (0 to 1), as in `client.coverage()`. A day without a row is one on
    which the exchange had no market.
    """
    known = coverage.drop_nulls("coverage")
    if known.is_empty():
        return None
    rows = sorted(known["exchange"].unique())
    first, last = min(known["day"]), max(known["day"])
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    grid = [[math.nan] * len(days) for _ in rows]
    for exchange, day, share in known.select("exchange", "day", "coverage").iter_rows():
        grid[rows.index(exchange)][days.index(day)] = share

    drawn = figure(2.2 + _WIDTH * max(len(days), 20), 1.5 + _HEIGHT * max(len(rows), 4))
    axes = drawn.subplots()
    image = axes.imshow(grid, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(grid):
        for x, share in enumerate(row):
            if share < 1:  # never so for NaN
                ink = INK if share > _PALE else "white"
                number = str(math.floor(share * 100))
                axes.text(x, y, number, ha="center", va="center", color=ink, fontsize=SMALL)
    axes.set_xticks(range(len(days)), labels(days))
    axes.set_yticks(range(len(rows)), rows)
    # White lines between cells.
    axes.set_xticks([x - 0.5 for x in range(1, len(days))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    tidy(axes)
    axes.set_axisbelow(False)
    axes.tick_params(which="minor", length=0)
    bar = drawn.colorbar(image, ax=axes, pad=0.01, fraction=0.025)
    bar.ax.yaxis.set_major_formatter(axis_percent)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, length=0, colors=INK)
    headed(
        drawn,
        axes,
        "Coverage: hours stored of the hours that markets lived, by UTC day",
        "A number is the percentage of a day that is not complete, rounded down. White: no market.",
    )
    return png(drawn)


def labels(days: list[date]) -> list[str]:
    """Days of the month, with the month's name below the first one and each 1st."""
    named = [days[0], *(day for before, day in pairwise(days) if before.month != day.month)]
    return [f"{day.day}\n{day:%b}" if day in named else f"{day.day}" for day in days]
