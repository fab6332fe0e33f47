"""How steady a market's hourly rate is: variation, sign, autocorrelation.

Belongs here: figures keyed (market_id, window) for one point per market. Does not: where the
newest rate stands (`signals`), the stability of a spread between markets.
"""

import polars as pl

from funding_pipeline.transforms.measures import coverage, with_live_hours
from funding_pipeline.transforms.moving_averages import MIN_COVERAGE
from funding_pipeline.transforms.trailing import ROUNDING, aged, moments

WINDOWS_HOURS = {"7d": 168, "30d": 720, "90d": 2160}
LONGEST_HOURS = max(WINDOWS_HOURS.values())
LAGS_HOURS = (8, 24)
MIN_PAIRS = 24

STABILITY: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "window": pl.String(),
    "as_of": pl.Datetime("us"),
    "rate_hourly_mean": pl.Float64(),
    "rate_hourly_std": pl.Float64(),
    "variation": pl.Float64(),
    "sign_changes": pl.Int32(),
    "sign_persistence": pl.Float64(),
    **{f"autocorrelation_{lag}h": pl.Float64() for lag in LAGS_HOURS},
    "covered_hours": pl.Int32(),
    "coverage": pl.Float64(),
}
_FIGURES = [
    name
    for name in STABILITY
    if name not in ("market_id", "window", "as_of", "covered_hours", "coverage")
]


def stability(settlements: pl.DataFrame, lives: pl.DataFrame, as_of: pl.DataFrame) -> pl.DataFrame:
    """Return `STABILITY`, sorted by market_id, shortest window first.

    `as_of` (market_id, as_of in whole hours) has one point per market; windows are
    (as_of - W, as_of], figures are of the hourly grid, over covered hours.

    * `rate_hourly_mean`, `rate_hourly_std`: as in `trailing.moments` (divisor n), fractions.
    * `variation`: coefficient of variation std / |mean|; null where the mean is 0.
    * `sign_changes`: how often the rate went from above to below zero or back, from one settlement
      to the next in the window; zero rates and holes are passed over.
    * `sign_persistence`: share of the covered hours whose rate has the sign of the window's mean
      (zero rates have none); null where the mean is 0.
    * `autocorrelation_Kh`: Pearson's correlation of (r(h), r(h - K)) over the hours h of the window
      for which both are covered and lie in it, each side with its own mean, as pandas'
      `Series.autocorr(K)`; null below 24 such pairs or where a side does not vary. The hours of
      one settlement share one rate: at 8 h an 8 h market is compared with its settlement before.

    All of these are null where the coverage is below 0.8. No covered hour, no row. Needs the
    settlements stamped from as_of - 90 d to as_of + 24 h. Raises as `trailing.aged`.
    """
    rows = aged(settlements, as_of, LONGEST_HOURS)
    grid = _grid(rows)
    frames = [
        _window(rows, grid, lives, as_of.unique(), name, hours)
        for name, hours in WINDOWS_HOURS.items()
    ]
    return pl.concat(frames).sort("market_id", maintain_order=True)


def _window(
    rows: pl.DataFrame,
    grid: pl.DataFrame,
    lives: pl.DataFrame,
    points: pl.DataFrame,
    window: str,
    hours: int,
) -> pl.DataFrame:
    mean = pl.col("mean")
    found = moments(
        rows,
        hours,
        above=(pl.col("weight") * (pl.col("rate_hourly") > 0)).sum(),
        below=(pl.col("weight") * (pl.col("rate_hourly") < 0)).sum(),
    ).join(_sign_changes(rows, hours), on="market_id", how="left")
    centred = _centred(grid, found, hours)
    for lag in LAGS_HOURS:
        found = found.join(_autocorrelation(centred, hours, lag), on="market_id", how="left")
    agreeing = pl.when(mean > 0).then("above").when(mean < 0).then("below")
    return (
        with_live_hours(
            points.join(found, on="market_id"),
            lives,
            pl.col("as_of") - pl.duration(hours=hours),
            pl.col("as_of"),
        )
        .with_columns(
            window=pl.lit(window),
            coverage=coverage(),
            rate_hourly_mean="mean",
            rate_hourly_std="deviation",
            variation=pl.col("deviation") / pl.when(mean != 0).then(mean.abs()),
            sign_changes=pl.col("sign_changes").fill_null(0),
            sign_persistence=agreeing / pl.col("covered_hours"),
        )
        .with_columns(
            pl.when(pl.col("coverage") >= MIN_COVERAGE).then(name).alias(name) for name in _FIGURES
        )
        .select(pl.col(name).cast(dtype) for name, dtype in STABILITY.items())
    )


def _sign_changes(rows: pl.DataFrame, hours: int) -> pl.DataFrame:
    sign = pl.col("rate_hourly").sign()
    signed = rows.filter((pl.col("newer") < hours) & (pl.col("rate_hourly") != 0))
    return signed.group_by("market_id", maintain_order=True).agg(
        sign_changes=(sign != sign.shift()).sum()
    )


def _grid(rows: pl.DataFrame) -> pl.DataFrame:
    """Every market's rates of the last `LONGEST_HOURS`, oldest first, null where not covered.

    Each market has equally many rows, so that one hour's place is its place in the column.
    """
    market, newer, older = pl.col("market_id"), pl.col("newer"), pl.col("older")
    until = newer.shift().over("market_id").fill_null(LONGEST_HOURS)
    holes = [
        rows.select(market, older=until, newer=older),
        rows.group_by("market_id").agg(older=newer.last(), newer=pl.lit(0, dtype=pl.Int32)),
    ]
    spans = pl.concat(
        [
            rows.select("market_id", "older", "newer", "rate_hourly"),
            *(hole.filter(older > newer) for hole in holes),
        ],
        how="diagonal",
    ).sort("market_id", "older", descending=[False, True])
    return spans.select(
        pl.col("market_id", "rate_hourly").repeat_by(older - newer).explode(empty_as_null=False)
    )


def _centred(grid: pl.DataFrame, found: pl.DataFrame, hours: int) -> pl.DataFrame:
    """The last `hours` of every market, less the window's mean; null where nothing varies.

    Around the mean products lose nothing, however high the rates lie.
    """
    place = pl.int_range(pl.len()) % LONGEST_HOURS
    varying = found.filter(pl.col("deviation") > 0).select("market_id", "mean")
    return (
        grid.filter(place >= LONGEST_HOURS - hours)
        .join(varying, on="market_id", how="left", maintain_order="left")
        .select("market_id", x=pl.col("rate_hourly") - pl.col("mean"))
    )


def _autocorrelation(centred: pl.DataFrame, hours: int, lag: int) -> pl.DataFrame:
    """Correlation of every market's hours with those `lag` hours before."""
    both = pl.col("x").is_not_null() & pl.col("y").is_not_null()
    pairs = (
        centred.with_columns(y=pl.col("x").shift(lag))
        .filter(pl.int_range(pl.len()) % hours >= lag)
        .select(
            "market_id",
            n=both.cast(pl.Float64),
            x=pl.when(both).then("x").otherwise(0.0),
            y=pl.when(both).then("y").otherwise(0.0),
        )
    )
    x, y, n = pl.col("x"), pl.col("y"), pl.col("n")
    terms = {"n": n, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    # Summed market by market in the order of hours, whatever other markets there are.
    sums = pairs.select(
        term.reshape((-1, hours - lag)).arr.sum().alias(name) for name, term in terms.items()
    )
    spread_x, spread_y = pl.col("xx") - x * x / n, pl.col("yy") - y * y / n
    varies = (spread_x > ROUNDING * pl.col("xx")) & (spread_y > ROUNDING * pl.col("yy"))
    correlation = (pl.col("xy") - x * y / n) / (spread_x * spread_y).sqrt()
    return sums.select(
        pairs["market_id"].gather_every(hours - lag),
        pl.when((n >= MIN_PAIRS) & varies)
        .then(correlation.clip(-1, 1))
        .alias(f"autocorrelation_{lag}h"),
    )
