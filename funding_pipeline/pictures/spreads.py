"""Bars: the pairs of exchanges that would pay most.

Belongs here: the picture. Does not: pairs and fees (transforms/spreads).
"""

import polars as pl

from funding_pipeline.pictures.canvas import (
    COLOURS,
    GREY,
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

_BARS = 15
_ROOM = 1.18  # for the numbers beside the bars
_HEIGHT = 0.3  # inches of a bar


def best(spreads: pl.DataFrame) -> pl.DataFrame:
    """One pair per asset (per symbol where the asset is not told), the highest net APR first."""
    return (
        spreads.drop_nulls("net_apr_taker")
        .with_columns(asset=pl.coalesce("asset", "symbol"))
        .sort("net_apr_taker", "long_exchange", "short_exchange", descending=[True, False, False])
        .unique("asset", keep="first", maintain_order=True)
    )


def top_spreads(spreads: pl.DataFrame, *, bars: int = _BARS) -> bytes | None:
    """The best pair of each asset, by net APR: a bar for what is left after takers' fees, a dot for
    what funding pays before them.

    Needs asset, symbol, long_exchange, short_exchange, window (one for all), apr and net_apr_taker
    (fractions), as in `client.spreads(window=...)`.
    """
    shown = best(spreads).head(bars)
    if shown.is_empty():
        return None
    net, gross = shown["net_apr_taker"].to_list(), shown["apr"].to_list()
    labels = [
        plain(f"{asset}   long {long} · short {short}")
        for asset, long, short in shown.select(
            "asset", "long_exchange", "short_exchange"
        ).iter_rows()
    ]
    places = range(len(labels))

    drawn = figure(9.6, 1.5 + _HEIGHT * max(len(labels), 3))
    axes = drawn.subplots()
    gain, loss = COLOURS[0], COLOURS[1]
    axes.barh(places, net, color=[gain if n >= 0 else loss for n in net], height=0.62)
    axes.plot(gross, places, linestyle="none", marker="o", markersize=4, color=GREY)
    right = max(0.0, *net, *gross)
    for y, (value, before) in enumerate(zip(net, gross, strict=True)):
        axes.annotate(
            f"{percent(value)} %",
            (max(value, before, 0.0), y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, *net) * _ROOM, (right or 0.01) * _ROOM)
    axes.xaxis.set_major_formatter(axis_percent)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    tidy(axes)
    window = shown["window"][0]
    headed(
        drawn,
        axes,
        f"Funding spreads between exchanges, mean of the last {window}, APR",
        f"Bars and numbers: held {window} once, takers' fees for four orders paid. "
        "Dots: before fees. Each asset's best pair.",
    )
    return png(drawn)
