"""What every derived table shares: the checked input, exact sums, live hours, coverage.

Belongs here: the inputs' contract and measures that two tables must agree on. Does not: a table.

Rates are summed as integers of 2**-100. Integer sums do not depend on order or on where a series
begins, so that a figure updated hour by hour is bit for bit the figure of a rebuild, and the
difference of two running sums loses nothing, however small a window's mean is beside its rates.
One step is 7.9e-31: doubles down to 3.6e-15 are held exactly, and a mean is off by at most two
steps before its last two roundings. The range, 1.3e8, bounds the sum over one market's series.
"""

from datetime import datetime

import polars as pl

TIME = pl.Datetime("us")
SETTLEMENTS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "funding_time": TIME,
    "rate": pl.Float64(),
    "interval_hours": pl.Int16(),
    "covered_hours": pl.Int16(),
}
LIVES: dict[str, pl.DataType] = {"market_id": pl.Int32(), "live_from": TIME, "live_to": TIME}

_STEPS_PER_UNIT = 2.0**100


def conform(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Return the columns of `schema`; SchemaError when one is missing or of another type.

    Polars' own `match_to_schema` lets a column with a time zone pass as one without.
    """
    for name, dtype in schema.items():
        found = frame.schema.get(name)
        if found != dtype:
            raise pl.exceptions.SchemaError(f"{name}: expected {dtype}, found {found}")
    return frame.select(list(schema))


def checked_settlements(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of `SETTLEMENTS`, sorted by market_id, funding_time.

    Raises SchemaError as `conform`, and ValueError unless nothing is null, stamps are whole hours,
    rates finite, covered_hours between 1 and interval_hours and no hour covered twice: none of
    these would show in a figure later.
    """
    rows = conform(frame, SETTLEMENTS).sort("market_id", "funding_time")
    covered_from = pl.col("funding_time") - pl.duration(hours="covered_hours")
    broken = {
        "a value is null": pl.any_horizontal(pl.all().is_null()),
        "funding_time is no whole hour": _off_grid("funding_time"),
        "rate is not finite": ~pl.col("rate").is_finite(),
        "covered_hours is outside 1..interval_hours": ~pl.col("covered_hours").is_between(
            1, pl.col("interval_hours")
        ),
        "two rows cover the same hour": covered_from
        < pl.col("funding_time").shift().over("market_id"),
    }
    counts = rows.select(count.sum().alias(reason) for reason, count in broken.items())
    for reason, count in counts.row(0, named=True).items():
        if count:
            raise ValueError(f"settlements: {reason} ({count} rows)")
    return rows


def checked_points(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct (market_id, as_of), sorted; raises like `checked_settlements`."""
    points = conform(frame, {"market_id": pl.Int32(), "as_of": TIME})
    broken = pl.any_horizontal(pl.all().is_null()) | _off_grid("as_of")
    if points.select(broken.any()).item():
        raise ValueError("as_of: a value is null or no whole hour")
    return points.unique().sort("market_id", "as_of")


def floor_hour(now: datetime) -> datetime:
    """`now` (naive UTC) at the start of its hour; ValueError when it carries a time zone."""
    if now.tzinfo is not None:
        raise ValueError("now must be naive UTC")
    return now.replace(minute=0, second=0, microsecond=0)


def to_steps(rate: pl.Expr) -> pl.Expr:
    """Rates as Int128 counts of 2**-100, for exact sums; polars refuses |rate| >= 1.3e8."""
    return (rate * _STEPS_PER_UNIT).cast(pl.Int128)


def from_steps(steps: pl.Expr) -> pl.Expr:
    """Turn a count of 2**-100 into the nearest Float64."""
    return steps.cast(pl.Float64) / _STEPS_PER_UNIT


def steps_per_hour() -> pl.Expr:
    """Exact rate_hourly of a settlement: dividing the double first would round every row."""
    return to_steps(pl.col("rate")) // pl.col("interval_hours").cast(pl.Int128)


def with_live_span(
    frame: pl.DataFrame, lives: pl.DataFrame, start: pl.Expr, end: pl.Expr
) -> pl.DataFrame:
    """Add `live_start` and `live_end`: the span (start, end] cut to the market's whole live hours.

    A null bound in `lives`, or a market without a row there, means live for ever on that side. An
    hour in which the market was listed or delisted does not count: no exchange settles it in full.
    `live_end` lies before `live_start` where the market did not live at all. Raises SchemaError as
    above, and ComputeError when a market has two rows in `lives`.
    """
    spans = conform(lives, LIVES)
    hour = pl.duration(hours=1)
    first = (pl.col("live_from") + hour - pl.duration(microseconds=1)).dt.truncate("1h")
    last = pl.col("live_to").dt.truncate("1h")
    # The horizontal functions skip nulls, which is what an open bound means.
    return (
        frame.join(spans, on="market_id", how="left", validate="m:1", maintain_order="left")
        .with_columns(
            live_start=pl.max_horizontal(start, first), live_end=pl.min_horizontal(end, last)
        )
        .drop("live_from", "live_to")
    )


def with_live_hours(
    frame: pl.DataFrame, lives: pl.DataFrame, start: pl.Expr, end: pl.Expr
) -> pl.DataFrame:
    """Add `live_hours` (Int32): hours of (start, end] that the market lived from start to end.

    Which hours those are, and what is raised: see `with_live_span`.
    """
    return (
        with_live_span(frame, lives, start, end)
        .with_columns(live_hours=span_hours())
        .drop("live_start", "live_end")
    )


def span_hours() -> pl.Expr:
    """Hours (Int32) of the span that `with_live_span` added."""
    lived = pl.col("live_end") - pl.col("live_start")
    return lived.dt.total_hours().clip(lower_bound=0).cast(pl.Int32)


def coverage() -> pl.Expr:
    """covered_hours / live_hours, at most 1; 1 where settlements lie outside the declared life.

    Settlements prove that a market lived, whatever its listing says, hence the larger divisor.
    """
    return pl.col("covered_hours") / pl.max_horizontal("covered_hours", "live_hours")


def _off_grid(column: str) -> pl.Expr:
    return pl.col(column) != pl.col(column).dt.truncate("1h")
