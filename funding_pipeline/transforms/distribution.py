"""How hourly rates are spread within a group: quantiles and standard deviation, by paid hours.

Belongs here: measures over all covered hours of a group, each hour with the same weight. Does not:
which hours form a group, means (they need no second pass).

A settlement stands for its covered hours without being repeated: quantiles look up the hour's place
in a running count, and the deviations are summed as integers (see `measures`), so that neither
depends on the order of rows.
"""

from collections.abc import Mapping

import polars as pl

from funding_pipeline.transforms.measures import from_steps, to_steps


def quantiles(rows: pl.DataFrame, percents: Mapping[str, int]) -> pl.DataFrame:
    """Quantiles of `rate_hourly` over the hours of each group: group g is row g of the answer.

    `rows` has `group` (numbered 0, 1, 2, ... without a gap), `rate_hourly` and `hours` (at least
    1). With a group's n hours in ascending order of their rate, the p % quantile is the value at
    place p/100 * (n - 1), counted from 0 and linear between neighbours: what numpy, polars
    ("linear") and DuckDB (`quantile_cont`) give for the list of hours.
    """
    ordered = rows.select("group", "rate_hourly", pl.col("hours").cast(pl.Int64)).sort(
        "group", "rate_hourly"
    )
    passed = ordered["hours"].cum_sum()
    n = ordered.group_by("group", maintain_order=True).agg(pl.col("hours").sum())["hours"]
    first = n.cum_sum() - n

    def hourly(place: pl.Series) -> pl.Series:
        return ordered["rate_hourly"].gather(passed.search_sorted(first + place, side="right"))

    found = {}
    for name, percent in percents.items():
        place = (n - 1) * percent
        low = hourly(place // 100)
        high = hourly((place + 99) // 100)
        found[name] = low + (high - low) * ((place % 100) / 100)
    return pl.DataFrame(found)


def deviations(rows: pl.DataFrame) -> pl.Series:
    """Population standard deviation of the hourly rate over the hours of each group g, in order.

    `rows` are sorted by `group` (numbered as above) and have `steps` (exact rate_hourly, see
    `measures.steps_per_hour`) and `hours`. sqrt(sum(hours * (rate_hourly - mean)^2) / sum(hours)).
    Deviations are taken from integers and scaled by the group's largest one before they are
    squared: no square is too small or too big to be held.
    """
    hours = pl.col("hours").cast(pl.Int128)
    total = pl.col("hours").sum()
    groups = rows.group_by("group", maintain_order=True).agg(
        mean=(pl.col("steps") * hours).sum() // hours.sum(), n=total
    )
    apart = rows.select("group", "hours", steps=pl.col("steps") - _spread(groups["mean"], rows))
    widest = (apart.group_by("group", maintain_order=True).agg(pl.col("steps").abs().max())).select(
        from_steps(pl.col("steps"))
    )["steps"]
    squares = (
        apart.with_columns(part=from_steps(pl.col("steps")) / _spread(widest, rows))
        .with_columns(part=to_steps((pl.col("part") ** 2).fill_nan(0.0)) * hours)
        .group_by("group", maintain_order=True)
        .agg(pl.col("part").sum())
    ).select(from_steps(pl.col("part")))["part"]
    return widest * (squares / groups["n"]).sqrt()


def _spread(of_groups: pl.Series, rows: pl.DataFrame) -> pl.Series:
    """Each row's group's value."""
    return of_groups.gather(rows["group"])
