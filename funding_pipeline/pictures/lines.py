"""Lines: hourly APR of a few assets across exchanges.

Belongs here: turning hours into steps with gaps, which exchanges get a colour, the picture. Does
not: the hourly grid (view `apr`).
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.pictures.canvas import (
    GREY,
    INK,
    SMALL,
    axis_percent,
    colours,
    figure,
    headed,
    plain,
    png,
    tidy,
)

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1)
_TICKS = [
    _HOUR,
    3 * _HOUR,
    6 * _HOUR,
    12 * _HOUR,
    *(n * _DAY for n in (1, 2, 3, 7, 14, 28, 91, 364)),
]
_MOST_TICKS = 9
_PANEL = 2.1  # inches


def steps(hours: Sequence[datetime], values: Sequence[float]) -> tuple[list[datetime], list[float]]:
    """Points of a line with steps, drawn "post": a value holds for the hour that ends with its
    time. Where hours are missing, the line ends and begins anew.

    `hours` ascend and are whole, one value each.
    """
    times: list[datetime] = []
    heights: list[float] = []
    for hour, value in zip(hours, values, strict=True):
        if times and times[-1] < hour - _HOUR:
            # The break stands in the hole: nothing is drawn from it.
            times.append(times[-1])
            heights.append(math.nan)
        if times and times[-1] == hour - _HOUR:
            # The end of the hour before is the beginning of this one.
            times.pop()
            heights.pop()
        times += [hour - _HOUR, hour]
        heights += [value, value]
    return times, heights


def ticks(first: datetime, last: datetime) -> tuple[list[datetime], list[str]]:
    """Round times within [first, last], nine at most, and how they are written."""
    step = next((s for s in _TICKS if (last - first) / s <= _MOST_TICKS - 1), _TICKS[-1])
    begin = first - (first - _EPOCH) % step
    count = (last - begin) // step + 1
    times = [t for t in (begin + n * step for n in range(count)) if t >= first]
    return times, [f"{t.day} {t:%b}" if step >= _DAY else f"{t.day} {t:%b %H:%M}" for t in times]


def lines(
    hourly: pl.DataFrame,
    *,
    assets: Sequence[str] = ("BTC", "ETH", "SOL"),
    first: Sequence[str] = (),
) -> bytes | None:
    """One panel per asset, a line per market, coloured by exchange; hours that nothing paid for are
    holes in the line. Eight exchanges have colours, those of `first` before the others, the rest
    is grey.

    Needs exchange, market, asset, hour (naive UTC, end of the paid hour), apr (a fraction), as in
    `client.hourly(asset=[...], since=...)`.
    """
    from matplotlib.lines import Line2D

    known = hourly.filter(pl.col("asset").is_in(assets)).drop_nulls("apr").sort("hour")
    panels = [asset for asset in assets if asset in known["asset"]]
    if not panels:
        return None
    colour = colours(known["exchange"].unique().to_list(), first)

    drawn = figure(10.4, 1.3 + _PANEL * len(panels))
    several = drawn.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, asset in zip(several, panels, strict=True):
        of_asset = known.filter(asset=asset).partition_by("exchange", "market", as_dict=True)
        for (exchange, _), rows in sorted(of_asset.items()):
            grey = colour[exchange] == GREY
            times, values = steps(rows["hour"].to_list(), rows["apr"].to_list())
            axes.plot(
                times,
                values,
                drawstyle="steps-post",
                color=colour[exchange],
                linewidth=0.7 if grey else 1.1,
                alpha=0.6 if grey else 0.9,
                zorder=2 if grey else 3,
            )
        axes.set_ylabel(plain(asset), fontsize=SMALL + 2, color=INK, rotation=0, ha="right")
        axes.yaxis.set_major_formatter(axis_percent)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
        axes.grid(color="#e4e4e4", linewidth=0.8)
        tidy(axes)
    start, end = known["hour"][0] - _HOUR, known["hour"][-1]
    several[-1].set_xticks(*ticks(start, end))
    several[-1].set_xlim(start, end)
    shown = [name for name in colour if colour[name] != GREY]
    keys = [Line2D([], [], color=colour[name], linewidth=2) for name in shown]
    if len(shown) < len(colour):
        keys.append(Line2D([], [], color=GREY, linewidth=1))
        shown.append(f"{len(colour) - len(shown)} others")
    drawn.legend(
        keys, shown, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=SMALL
    )
    headed(
        drawn,
        several[0],
        "Funding APR hour by hour across exchanges",
        "Above zero: longs pay shorts. A line breaks where no settlement is stored. Times are UTC.",
    )
    return png(drawn)
