"""Daily statistics of one market: the settlements that paid for hours of that day.

Belongs here: figures keyed (market_id, day). Does not: windows that end at any hour
(`moving_averages`), how a spread of rates is measured (`distribution`), figures across markets.
"""

from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.domain.rates import HOURS_PER_YEAR
from funding_pipeline.transforms.distribution import deviations, quantiles
from funding_pipeline.transforms.measures import (
    TIME,
    checked_settlements,
    conform,
    coverage,
    floor_hour,
    from_steps,
    span_hours,
    steps_per_hour,
    to_steps,
    with_live_span,
)

DAILY_STATS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "day": pl.Date(),
    "settlements": pl.Int32(),
    "rate_sum": pl.Float64(),
    "rate_hourly_mean": pl.Float64(),
    "rate_hourly_min": pl.Float64(),
    "rate_hourly_max": pl.Float64(),
    "rate_hourly_open": pl.Float64(),
    "rate_hourly_close": pl.Float64(),
    "apr_mean": pl.Float64(),
    "positive_share": pl.Float64(),
    "covered_hours": pl.Int32(),
    "live_hours": pl.Int32(),
    "coverage": pl.Float64(),
    "rate_hourly_median": pl.Float64(),
    "rate_hourly_std": pl.Float64(),
    "rate_hourly_p05": pl.Float64(),
    "rate_hourly_p95": pl.Float64(),
    "positive_streak_hours": pl.Int32(),
    "negative_streak_hours": pl.Int32(),
    "expected_settlements": pl.Int32(),
    "intervals": pl.String(),
    "pinned": pl.Int32(),
}
CAPS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "since": TIME,
    "rate_cap": pl.Float64(),
    "rate_floor": pl.Float64(),
}
PINNED_TOLERANCE = 1e-12
_QUANTILES = {"rate_hourly_median": 50, "rate_hourly_p05": 5, "rate_hourly_p95": 95}
_BEFORE_ALL = datetime(1970, 1, 1)
_HOUR = timedelta(hours=1)


def paid_day() -> pl.Expr:
    """The day (UTC) of a settlement, by the start of its quoted period: it pays what went before.

    An 8 h settlement at 04:00 belongs wholly to the day before.
    """
    return (pl.col("funding_time") - pl.duration(hours="interval_hours")).dt.date()


def daily_stats(
    settlements: pl.DataFrame,
    lives: pl.DataFrame,
    caps: pl.DataFrame | None = None,
    *,
    now: datetime,
) -> pl.DataFrame:
    """One row per market and day that has settlements, sorted, with the schema `DAILY_STATS`.

    A day is right only if all its settlements are passed: for day d those stamped from d 01:00 to
    one interval past the next midnight. "Hours of the day" are those that its settlements cover.

    * `rate_sum`: realised funding, fraction of notional.
    * `rate_hourly_*`, per hour: open, close, min and max of the settlements; mean, population
      standard deviation, median, 5th and 95th percentile (linear between neighbours) over the hours
      of the day, so that a settlement counts as often as it has covered hours. `apr_mean` is the
      mean times 8760, a fraction.
    * `positive_share`: share of the hours with a rate above zero. `*_streak_hours`: the longest run
      of hours on end with a rate above (below) zero; a rate of zero or an uncovered hour ends it.
    * `live_hours`: hours of the day that the market lived, up to `now` (naive UTC) floored to the
      hour; `coverage`: covered / live, at most 1.
    * `expected_settlements`: the settlements and those missing, see `_missing`.
    * `intervals`: settlements of each interval, the shorter first: "4h x 2, 8h x 2".
    * `pinned`: settlements at the cap or floor that the market declared at their time (relative
      tolerance 1e-12; a rate of zero is none); null where it declared neither. `caps` has one row
      for each declaration (schema `CAPS`; rates per interval, null for none, in force from
      `since`, the first one of a market also before).

    Raises ValueError and polars' SchemaError as `measures.checked_settlements`, `floor_hour` and
    `with_live_span` say.
    """
    rows = _grouped(_pinned(checked_settlements(settlements), caps))
    days = pl.concat(
        [
            _sums(rows),
            quantiles(rows, _QUANTILES),
            deviations(rows).alias("rate_hourly_std").to_frame(),
            _streaks(rows),
            _mix(rows),
        ],
        how="horizontal",
    )
    midnight = pl.col("day").cast(TIME)
    end = pl.min_horizontal(midnight + pl.duration(days=1), pl.lit(floor_hour(now), dtype=TIME))
    return (
        with_live_span(days, lives, midnight, end)
        .with_columns(
            apr_mean=pl.col("rate_hourly_mean") * HOURS_PER_YEAR,
            live_hours=span_hours(),
        )
        .with_columns(
            coverage=coverage(),
            expected_settlements=pl.col("settlements").cast(pl.Int32) + _missing(),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in DAILY_STATS.items())
    )


def _pinned(rows: pl.DataFrame, caps: pl.DataFrame | None) -> pl.DataFrame:
    """Add `declared`, whether a cap or floor was in force, and `pinned`, whether it was met."""
    known = pl.DataFrame(schema=CAPS) if caps is None else conform(caps, CAPS)
    first = pl.col("since") == pl.col("since").min().over("market_id")
    in_force = known.with_columns(
        since=pl.when(first).then(pl.lit(_BEFORE_ALL, dtype=TIME)).otherwise("since")
    ).sort("market_id", "since")
    limit = pl.col("rate_cap", "rate_floor")
    at_limit = (pl.col("rate") - limit).abs() <= PINNED_TOLERANCE * limit.abs()
    return (
        rows.join_asof(
            in_force,
            left_on="funding_time",
            right_on="since",
            by="market_id",
            check_sortedness=False,  # both sides come sorted; polars cannot check within groups
        )
        .with_columns(
            declared=pl.any_horizontal(limit.is_not_null()),
            pinned=pl.any_horizontal(at_limit.fill_null(value=False)) & (pl.col("rate") != 0),
        )
        .drop("since", "rate_cap", "rate_floor")
    )


def _grouped(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by market, day and time, each with its day's number in `group`, from 0 on."""
    changed = pl.any_horizontal(pl.col("market_id", "day") != pl.col("market_id", "day").shift())
    hours = pl.duration(hours="covered_hours")
    return (
        rows.with_columns(
            day=paid_day(),
            rate_hourly=pl.col("rate") / pl.col("interval_hours"),
            steps=steps_per_hour(),
            hours=pl.col("covered_hours").cast(pl.Int32),
            covered_from=pl.col("funding_time") - hours,
        )
        .sort("market_id", "day", maintain_order=True)
        .with_columns(group=changed.fill_null(value=False).cum_sum())
    )


def _sums(rows: pl.DataFrame) -> pl.DataFrame:
    """Figures that need one pass; and, for `_missing`, the edges and holes of each day."""
    hours, hourly = pl.col("hours"), pl.col("rate_hourly")
    total = hours.sum()
    hole = pl.col("covered_from") - pl.col("funding_time").shift().over("group")
    return (
        rows.with_columns(holes=hole / _HOUR / pl.col("interval_hours"))
        .group_by("group", maintain_order=True)
        .agg(
            pl.col("market_id", "day", "covered_from").first(),
            pl.col("funding_time").last(),
            settlements=pl.len(),
            rate_sum=from_steps(to_steps(pl.col("rate")).sum()),
            rate_hourly_mean=from_steps((pl.col("steps") * hours).sum()) / total,
            rate_hourly_min=hourly.min(),
            rate_hourly_max=hourly.max(),
            rate_hourly_open=hourly.first(),
            rate_hourly_close=hourly.last(),
            positive_share=hours.filter(pl.col("rate") > 0).sum() / total,
            covered_hours=total,
            first_interval=pl.col("interval_hours").first(),
            last_interval=pl.col("interval_hours").last(),
            holes=pl.col("holes").sum(),
            pinned=pl.when(pl.col("declared").any()).then(pl.col("pinned").sum()),
        )
    )


def _missing() -> pl.Expr:
    """Settlements (Int32) that the day lacks: its uncovered hours over the interval in force.

    In force is the interval of the settlement that ends the hole; after the day's last settlement,
    that one's. What lies before the first covered hour counts from midnight or the listing, what
    lies after the last one to midnight, the delisting or now, and as negative where a settlement
    reaches past these; the sum of the quotients is rounded down: a period that is not over has
    settled nothing. 0 where as many hours are covered as the market lived.
    """
    before = (pl.col("covered_from") - pl.col("live_start")) / _HOUR / pl.col("first_interval")
    after = (pl.col("live_end") - pl.col("funding_time")) / _HOUR / pl.col("last_interval")
    # Quotients may add up to a whole number less a rounding error.
    whole = (before + pl.col("holes") + after + 1e-9).floor().clip(lower_bound=0)
    lacking = pl.col("live_hours") > pl.col("covered_hours")
    return pl.when(lacking).then(whole).otherwise(0).cast(pl.Int32)


def _streaks(rows: pl.DataFrame) -> pl.DataFrame:
    sign = pl.col("rate").sign()
    broken = (
        (pl.col("group") != pl.col("group").shift())
        | (sign != sign.shift())
        | (pl.col("covered_from") != pl.col("funding_time").shift())
    )
    runs = (
        rows.select("group", "hours", sign=sign, run=broken.fill_null(value=False).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(pl.col("group", "sign").first(), pl.col("hours").sum())
    )
    return (
        runs.group_by("group", maintain_order=True)
        .agg(
            positive_streak_hours=pl.col("hours").filter(pl.col("sign") > 0).max().fill_null(0),
            negative_streak_hours=pl.col("hours").filter(pl.col("sign") < 0).max().fill_null(0),
        )
        .drop("group")
    )


def _mix(rows: pl.DataFrame) -> pl.DataFrame:
    counts = rows.group_by("group", "interval_hours").len().sort("group", "interval_hours")
    text = pl.format("{}h x {}", "interval_hours", "len")
    return (
        counts.group_by("group", maintain_order=True)
        .agg(intervals=text.str.join(", "))
        .drop("group")
    )
