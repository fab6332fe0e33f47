"""What pays most now, and how stable is it? Open with: marimo edit notebooks/what_pays_most.py"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="What pays most now?")


@app.cell
def _():
    from datetime import timedelta

    import marimo as mo
    import polars as pl
    from matplotlib.figure import Figure

    from funding_pipeline import client, pictures

    return Figure, client, mo, pictures, pl, timedelta


@app.cell
def _(client, mo):
    state = client.query(
        """SELECT (SELECT origin FROM provenance) AS origin, count(*) AS markets,
            count(DISTINCT exchange) AS exchanges, max(last_settlement) AS newest
        FROM markets WHERE last_settlement IS NOT NULL"""
    ).row(0, named=True)
    invented = "**Sandbox data: invented rates.** " if state["origin"] == "sandbox" else ""
    mo.md(
        f"""
        # What pays most now, and how stable is it?

        {invented}{state["markets"]} markets of {state["exchanges"]} exchanges, settled up to
        {state["newest"]} UTC.

        APR here is the hourly rate × 8760, simple, in **percent**. Above zero longs pay shorts: a
        short receives it. Below zero a long does.
        """
    )
    return


@app.cell
def _(mo):
    mo.md("""
    ## Now

    The newest settlement of the markets that settle still, of each asset the one furthest from
    zero. One settlement is one number: look at the week before you believe it.
    """)
    return


@app.cell
def _(client, pl):
    percent = (100 * pl.col("apr")).round(1)
    latest = client.latest()
    furthest = latest.sort(pl.col("apr").abs(), descending=True).unique(
        "asset", keep="first", maintain_order=True
    )
    furthest.head(15).select(
        "asset",
        "exchange",
        "market",
        percent.alias("APR now %"),
        pl.col("direction").alias("pays"),
        pl.col("interval_hours").alias("every hours"),
        pl.col("funding_time").alias("settled (UTC)"),
    )
    return (latest,)


@app.cell
def _(mo):
    mo.md("""
    ## The week, and how steady it was

    * **same sign**: share of the week's hours in which the rate had the sign of its mean. 100 %:
      the same side was paid all week.
    * **variation**: standard deviation ÷ |mean|. Below 0.5 is steady; above 2 the mean tells
      little.
    * **rank of now**: where the newest rate stands among the market's last 30 days. 0 is the
      lowest, 100 the highest: near either end, expect it to come back.

    The seven days end with the last midnight, UTC. A market whose week is known by less than 80 %
    has no figures, and is not listed; of each asset, the market furthest from zero.
    """)
    return


@app.cell
def _(client, latest, pl):
    market = ["exchange", "market"]
    signals = client.query("SELECT exchange, market, percentile_30d FROM market_signals")
    week = (
        client.stability(window="7d")
        .drop_nulls("apr_mean")
        # Markets that do not settle any more have figures of their last week.
        .join(latest.select(*market, "apr"), on=market)
        .join(signals, on=market, how="left")
        .sort(pl.col("apr_mean").abs(), descending=True)
    )
    of_assets = week.unique("asset", keep="first", maintain_order=True)
    of_assets.head(15).select(
        "asset",
        *market,
        (100 * pl.col("apr_mean")).round(1).alias("APR 7d %"),
        (100 * pl.col("apr")).round(1).alias("APR now %"),
        (100 * pl.col("sign_persistence")).round(0).alias("same sign %"),
        pl.col("variation").round(2),
        (100 * pl.col("percentile_30d")).round(0).alias("rank of now"),
    )
    return of_assets, week


@app.cell
def _(Figure, of_assets):
    top = of_assets.head(20)
    names = [f"{row['asset']}  {row['exchange']}" for row in top.iter_rows(named=True)]
    steadily = top["sign_persistence"].fill_null(0)
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(top)), 100 * top["apr_mean"], color="#0072b2")
    for bar, share in zip(bars, steadily, strict=True):
        bar.set_alpha(0.25 + 0.75 * share)
    axes.bar_label(bars, [f"{100 * share:.0f} %" for share in steadily], padding=4, fontsize=8)
    axes.set_yticks(range(len(top)), names, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.axvline(0, color="#222222", linewidth=0.8)
    axes.set_xlabel("APR, mean of 7 days, percent")
    axes.set_title("Numbers and shades: hours with the sign of the mean", loc="left")
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## Everywhere at once
    """)
    return


@app.cell
def _(client, mo, pictures, timedelta):
    averages = client.moving_averages(window="7d", newest=True, since=timedelta(days=1))
    heat_map = pictures.heat_map(averages)
    mo.image(heat_map) if heat_map else mo.md("Less than a week is stored.")
    return (heat_map,)


@app.cell
def _(mo):
    mo.md("""
    ## One asset, hour by hour

    Choose another one: what depends on it is drawn anew.
    """)
    return


@app.cell
def _(mo, week):
    assets = sorted(week["asset"].drop_nulls().unique())
    asset = mo.ui.dropdown(assets, value=week["asset"].drop_nulls().first(), label="asset")
    asset
    return (asset,)


@app.cell
def _(asset, client, mo, pictures, timedelta):
    mo.stop(asset.value is None, mo.md("Less than a week is stored."))
    hours = client.hourly(asset=asset.value, since=timedelta(days=14))
    lines = pictures.lines(hours, assets=[asset.value])
    mo.image(lines)
    return (lines,)


if __name__ == "__main__":
    app.run()
