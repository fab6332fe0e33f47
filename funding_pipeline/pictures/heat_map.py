"""Heat map: what each asset pays on each exchange.

Belongs here: which assets are shown, one figure per cell, the picture. Does not: the means
themselves (transforms/moving_averages).
"""

import math

import polars as pl

from funding_pipeline.pictures.canvas import (
    DIVERGING,
    INK,
    SMALL,
    axis_percent,
    figure,
    headed,
    percent,
    plain,
    png,
    tidy,
)

_ASSETS = 30
_WIDTH, _HEIGHT = 0.295, 0.235  # inches of a cell
_FIGURES = 7.5  # points
_NOTHING = "#eeeeee"  # not white, which is zero
_DARK = 0.62  # of the scale: from there on, numbers are white


def cells(averages: pl.DataFrame, *, assets: int = _ASSETS) -> pl.DataFrame:
    """asset, exchange, apr: one figure per cell, the mean of the markets that an asset has on an
    exchange, for the assets that are on most exchanges (of equally many: first in the alphabet).

    Sorted as drawn: the asset with the highest median over exchanges first.
    """
    found = (
        averages.drop_nulls(["asset", "apr"])
        .group_by("asset", "exchange")
        .agg(pl.col("apr").sort().mean())
    )
    order = (
        found.group_by("asset")
        .agg(exchanges=pl.len(), middle=pl.col("apr").median())
        .sort("exchanges", "asset", descending=[True, False])
        .head(assets)
        .sort("middle", "asset", descending=[True, False])
        .select("asset")
        .with_row_index("place")
    )
    return found.join(order, on="asset").sort("place", "exchange").drop("place")


def scale(cells: pl.DataFrame) -> float:
    """APR at which colours are full: nine of ten cells are below. Beyond it only the number tells;
    were it the extreme itself, one market in trouble would leave all others white.
    """
    return max(cells["apr"].abs().quantile(0.9, "lower") or 0.0, 0.01)


def heat_map(averages: pl.DataFrame, *, window: str = "7d", assets: int = _ASSETS) -> bytes | None:
    """APR of the window, exchange × asset. Needs exchange, asset, apr (a fraction), one row per
    market (`client.moving_averages(window=..., newest=True)`); rows without asset or apr are not
    drawn.
    """
    shown = cells(averages, assets=assets)
    if shown.is_empty():
        return None
    columns = shown["asset"].unique(maintain_order=True).to_list()
    rows = sorted(shown["exchange"].unique())
    full = scale(shown)
    grid = [[math.nan] * len(columns) for _ in rows]
    for asset, exchange, apr in shown.iter_rows():
        grid[rows.index(exchange)][columns.index(asset)] = apr

    drawn = figure(1.9 + _WIDTH * max(len(columns), 20), 1.5 + _HEIGHT * max(len(rows), 4))
    axes = drawn.subplots()
    axes.set_facecolor(_NOTHING)
    image = axes.imshow(grid, cmap=DIVERGING, vmin=-full, vmax=full, aspect="auto")
    for y, row in enumerate(grid):
        for x, apr in enumerate(row):
            if not math.isnan(apr):
                ink = "white" if abs(apr) > _DARK * full else INK
                axes.text(
                    x,
                    y,
                    percent(apr),
                    ha="center",
                    va="center",
                    color=ink,
                    fontsize=_FIGURES,
                    in_layout=False,  # within the axes: measuring them all takes half the time
                )
    axes.set_xticks(range(len(columns)), [plain(asset) for asset in columns])
    axes.tick_params(axis="x", rotation=50)
    for label in axes.get_xticklabels():
        label.set(ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), rows)
    tidy(axes)
    bar = drawn.colorbar(image, ax=axes, pad=0.01, fraction=0.025, extend="both")
    bar.ax.yaxis.set_major_formatter(axis_percent)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, length=0, colors=INK)
    headed(
        drawn,
        axes,
        f"Funding APR, mean of the last {window}, in percent",
        "Above zero (red): longs pay shorts. Grey: not listed there, or less than 80 % of its "
        "hours known.",
    )
    return png(drawn)
