"""Funding arbitrage: spreads, and what I would have earned. Open with: marimo edit
notebooks/funding_arbitrage.py
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Funding arbitrage")


@app.cell
def _():
    from datetime import timedelta

    import marimo as mo
    import polars as pl
    from matplotlib.figure import Figure

    from funding_pipeline import client, pictures

    return Figure, client, mo, pictures, pl, timedelta


@app.cell
def _(mo):
    mo.md("""
    # Funding arbitrage: spreads, and what I would have earned

    Long an asset where funding is low, short it where it is high: prices cancel, the difference in
    funding is left, and fees for four orders are paid. All figures are per 1 USD of **one** leg's
    notional (two legs bind capital on both exchanges); APR is simple and in **percent**.

    ## What pays now

    Means of the last seven days, both legs over the very same hours; net of takers' fees for
    opening and closing both legs, held for seven days. Only each asset's best pair.
    """)
    return


@app.cell
def _(client, mo, pictures):
    spreads = client.spreads(window="7d")
    bars = pictures.top_spreads(spreads)
    mo.image(bars) if bars else mo.md("No pair passed: see what was left out below.")
    return bars, spreads


@app.cell
def _(pl, spreads):
    spreads.head(20).select(
        "asset",
        "long_exchange",
        "short_exchange",
        (100 * pl.col("apr")).round(1).alias("gross APR %"),
        (100 * pl.col("net_apr_taker")).round(1).alias("net APR %"),
        pl.col("break_even_hours_taker").round(0).alias("break-even h"),
        (100 * pl.col("same_direction_share")).round(0).alias("same direction %"),
        (1e4 * pl.col("basis")).round(1).alias("basis bp"),
        (pl.col("open_interest_usd") / 1e6).round(1).alias("open interest M$"),
        pl.col("settlement_mismatch").alias("intervals differ"),
        pl.col("fees_assumed").alias("fees assumed"),
    )
    return


@app.cell
def _(mo):
    mo.md("""
    **Before believing a row:** *same direction* says in how many of the hours the difference had
    this sign; *break-even* how long the pair must last to pay its fees; a *basis* of many basis
    points means that prices differ already; where *fees* are *assumed*, look them up.

    What was left out, and why:
    """)
    return


@app.cell
def _(client, pl):
    left_out = client.spreads(window="7d", excluded=True)
    left_out.group_by("reason").agg(
        pl.len().alias("pairs"), (100 * pl.col("apr").max()).round(1).alias("highest gross APR %")
    ).sort("pairs", descending=True)
    return (left_out,)


@app.cell
def _(mo):
    mo.md("""
    ## What I would have earned

    Looking back at the best pair of the last weeks is hindsight. So go back in time, choose by what
    was known then, and hold: each asset's widest pair of the seven days *before* that moment, and
    what funding paid *since*.
    """)
    return


@app.cell
def _(mo):
    days = mo.ui.slider(3, 60, value=14, label="days back", show_value=True)
    usd = mo.ui.number(100, 10_000_000, value=10_000, label="USD per leg")
    mo.hstack([days, usd], justify="start")
    return days, usd


@app.cell
def _(client, days, mo, pl, timedelta):
    then = timedelta(days=days.value)
    week = timedelta(days=7)
    known = client.carry(then + week, then).drop_nulls(["asset", "annualised"])
    lows = known.sort("annualised", descending=True).group_by("asset", maintain_order=True).first()
    highs = known.sort("annualised").group_by("asset", maintain_order=True).first()
    # A long gets `annualised`, so it pays least where that is highest.
    chosen = (
        lows.select("asset", "exchange", "market", "annualised")
        .join(highs.select("asset", "exchange", "market", "annualised"), on="asset", suffix="_s")
        .filter(pl.col("exchange") != pl.col("exchange_s"))
        .rename(
            {
                "exchange": "long_exchange",
                "market": "long_market",
                "exchange_s": "short_exchange",
                "market_s": "short_market",
            }
        )
        .with_columns(promised=pl.col("annualised") - pl.col("annualised_s"))
        .drop("annualised", "annualised_s")
    )
    mo.stop(chosen.is_empty(), mo.md("That far back, less than a week is stored."))
    return chosen, then


@app.cell
def _(chosen, client, days, pl, then, usd):
    since = client.carry(then).select("exchange", "market", "long_carry", "short_carry")
    fees = client.query(
        """SELECT exchange, taker FROM fees WHERE coalesce(valid_from <= current_date, true)
            AND coalesce(valid_to > current_date, true)"""
    )
    earned = (
        chosen.join(
            since.select(long_exchange="exchange", long_market="market", long_leg="long_carry"),
            on=["long_exchange", "long_market"],
        )
        .join(
            since.select(short_exchange="exchange", short_market="market", short_leg="short_carry"),
            on=["short_exchange", "short_market"],
        )
        .join(fees.rename({"exchange": "long_exchange", "taker": "long_fee"}), on="long_exchange")
        .join(
            fees.rename({"exchange": "short_exchange", "taker": "short_fee"}), on="short_exchange"
        )
        .with_columns(
            funding=pl.col("long_leg") + pl.col("short_leg"),
            paid=2 * (pl.col("long_fee") + pl.col("short_fee")),
        )
        .with_columns(net=pl.col("funding") - pl.col("paid"))
        .drop_nulls("net")
        .sort("promised", descending=True)
    )
    earned.head(15).select(
        "asset",
        "long_exchange",
        "short_exchange",
        (100 * pl.col("promised")).round(1).alias("APR the week before %"),
        (100 * pl.col("funding") * 365 / days.value).round(1).alias("APR since %"),
        (usd.value * pl.col("funding")).round(2).alias("funding $"),
        (usd.value * pl.col("paid")).round(2).alias("fees $"),
        (usd.value * pl.col("net")).round(2).alias("net $"),
    )
    return (earned,)


@app.cell
def _(Figure, days, earned):
    shown = earned.head(15)
    names = [
        f"{row['asset']}  {row['long_exchange']} / {row['short_exchange']}"
        for row in shown.iter_rows(named=True)
    ]
    promised = (100 * shown["promised"]).to_list()
    came = (100 * shown["funding"] * 365 / days.value).to_list()
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    axes.hlines(range(len(shown)), promised, came, color="#c4c4c4", zorder=1)
    axes.scatter(promised, range(len(shown)), s=30, color="#8a8a8a", label="the week before")
    axes.scatter(came, range(len(shown)), s=30, color="#0072b2", label="since")
    axes.set_yticks(range(len(shown)), names, parse_math=False)
    axes.invert_yaxis()
    # One pair of many hundred percent would press all others together.
    axes.set_xscale("symlog", linthresh=20)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(0, color="#222222", linewidth=0.8)
    axes.set_xlabel("APR before fees, percent; logarithmic beyond 20")
    axes.set_title("What pairs promised, and what came", loc="left")
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## The widest pair, settlement by settlement
    """)
    return


@app.cell
def _(Figure, client, earned, mo, pl, then, usd):
    mo.stop(earned.is_empty(), mo.md("No pair has both legs stored since then."))
    pair = earned.row(0, named=True)
    long_leg = client.cumulative(
        then, exchange=pair["long_exchange"], market=pair["long_market"]
    ).select("funding_time", long="long_carry")
    short_leg = client.cumulative(
        then, exchange=pair["short_exchange"], market=pair["short_market"]
    ).select("funding_time", short="short_carry")
    grown = (
        long_leg.join(short_leg, on="funding_time", how="full", coalesce=True)
        .sort("funding_time")
        .with_columns(pl.col("long", "short").forward_fill().fill_null(0))
        .with_columns(both=pl.col("long") + pl.col("short") - pair["paid"])
    )
    chart = Figure(figsize=(9, 4.2), layout="constrained")
    plot = chart.subplots()
    for column, colour, label in (
        ("long", "#56b4e9", f"long on {pair['long_exchange']}"),
        ("short", "#e69f00", f"short on {pair['short_exchange']}"),
        ("both", "#000000", "both, all fees paid"),
    ):
        plot.step(
            grown["funding_time"],
            usd.value * grown[column],
            where="post",
            color=colour,
            label=label,
        )
    plot.axhline(0, color="#222222", linewidth=0.8)
    plot.set_ylabel("USD")
    plot.set_title(f"{pair['asset']}: funding of {usd.value:,} USD per leg", loc="left")
    plot.grid(color="#e4e4e4")
    plot.legend(frameon=False)
    chart
    return grown, pair


@app.cell
def _(mo):
    mo.md("""
    ## Opportunities of the past

    Every time that a pair's net APR rose above the threshold: what it looked like when it opened,
    and what it left until it closed, fees paid.
    """)
    return


@app.cell
def _(client, pl):
    opportunities = client.query("FROM opportunities ORDER BY opened DESC")
    opportunities.head(15).select(
        "asset",
        "long_exchange",
        "short_exchange",
        "opened",
        "closed",
        "hours_open",
        (100 * pl.col("opened_net_apr")).round(1).alias("APR when opened %"),
        (1e4 * pl.col("realised_net")).round(1).alias("left, bp"),
    )
    return (opportunities,)


@app.cell
def _(mo):
    mo.md("""
    **Not in these figures:** slippage, prices that move apart while the second order is still
    underway, liquidation of one leg, the cost of capital and of moving it, and that your own size
    changes the rate.
    """)
    return


if __name__ == "__main__":
    app.run()
