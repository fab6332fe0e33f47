"""Which markets behave alike: correlation and cosine similarity of hourly rates over 30 days.

Belongs here: series on the hourly grid, the two measures, the choice of neighbours. Does not: which
pairs are stored where and when (`warehouse.related`).

Two measures, as they answer different questions. **Correlation** (Pearson) asks whether rates move
together, whatever their level: it is the cosine of the demeaned series. **Cosine** is taken of the
raw series and asks whether they pay alike: 1 where one rate is a positive multiple of the other in
every hour; markets that both pay steadily to the same side are close to 1 though uncorrelated. Both
lie in [-1, 1], have no unit, and count the hours that both series cover; they are null where these
are fewer than 0.8 of the window, or where a series is constant over them: all deviations are 0
then, which is like nothing and like everything.

Millions of pairs leave a list product for each. A series is kept as its median (the level) and its
deviations from it, 0 in holes, so that one product serves both measures; what else a pair needs
(sums over the common hours) depends on one series and the holes of the other, and few series have
holes of their own. The median, because it keeps digits: with 0.8 of 720 hours in common it lies
within 1.3 standard deviations (Cantelli) of the common hours' mean, whatever spikes lie in the
other hours, so that subtracting the mean's share cancels less than one digit.
"""

from datetime import datetime

import polars as pl

from funding_pipeline.transforms.measures import (
    TIME,
    checked_settlements,
    conform,
    from_steps,
    to_steps,
)

HOURS = 720
LEAST_HOURS = 576  # 0.8 of the window
NEIGHBOURS = 10
MEASURES = ("correlation", "cosine")

# Rates that differ by less are the same rate, divided by another interval.
_SAME = 1e-12
# Most markets settle every 4 or 8 hours: one value for each 4 h of the UTC day is all they have.
_STEP = 4

HOURLY: dict[str, pl.DataType] = {
    "series": pl.Int32(),
    "hour": pl.Int32(),
    "rate_hourly": pl.Float64(),
}
FOUND: dict[str, pl.DataType] = {
    "series": pl.Int32(),
    "other": pl.Int32(),
    "common_hours": pl.Int32(),
    "correlation": pl.Float64(),
    "cosine": pl.Float64(),
}
NEAREST: dict[str, pl.DataType] = {
    "measure": pl.String(),
    "series": pl.Int32(),
    "other": pl.Int32(),
    "similarity": pl.Float64(),
    "common_hours": pl.Int32(),
}


def hourly_rates(settlements: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """The paid hours within (as_of - 720 h, as_of], as `HOURLY`, sorted: series is the market_id.

    `hour` counts from 0, the first of the window. Needs the settlements stamped from its start to
    24 h after its end (the longest interval). Raises like `measures.checked_settlements`.
    """
    rows = checked_settlements(settlements)
    last = (pl.col("funding_time") - pl.lit(as_of, dtype=TIME)).dt.total_hours() + HOURS - 1
    return (
        rows.select(
            series="market_id",
            hour=pl.int_ranges(last - pl.col("covered_hours") + 1, last + 1, dtype=pl.Int32),
            rate_hourly=pl.col("rate") / pl.col("interval_hours"),
        )
        .explode("hour")
        .filter(pl.col("hour").is_between(0, HOURS - 1))
    )


def largest_assets(hourly: pl.DataFrame, assets: pl.DataFrame, number: int) -> pl.DataFrame:
    """Members of the assets with the most markets: market_id, asset, and series, the asset's number
    from 0 in the order of the alphabet.

    `assets` has market_id and asset. Only markets that cover 0.8 of the window are members, so that
    a listing or an end hardly moves the mean. Of equally large assets the alphabet's first count.
    """
    covered = conform(hourly, HOURLY).group_by("series").len("hours")
    members = conform(assets, {"market_id": pl.Int32(), "asset": pl.String()}).join(
        covered.filter(pl.col("hours") >= LEAST_HOURS), left_on="market_id", right_on="series"
    )
    largest = (
        members.group_by("asset")
        .len("markets")
        .sort("markets", "asset", descending=[True, False])
        .head(number)
        .sort("asset")
        .select("asset", series=pl.int_range(pl.len(), dtype=pl.Int32))
    )
    return members.join(largest, on="asset").select("market_id", "asset", "series")


def mean_rates(hourly: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """`HOURLY` of groups: in each hour the simple mean of the members that cover it.

    `members` has market_id, and in series the group's number.
    """
    groups = conform(members, {"market_id": pl.Int32(), "series": pl.Int32()})
    return (
        conform(hourly, HOURLY)
        .join(groups, left_on="series", right_on="market_id", suffix="_group")
        .group_by(series="series_group", hour="hour")
        .agg(rate_hourly=from_steps(to_steps(pl.col("rate_hourly")).sum()) / pl.len())
        .sort("series", "hour")
    )


def as_lists(hourly: pl.DataFrame) -> pl.DataFrame:
    """One row per series, sorted by it, as `PREPARE` wants it: lists over the hours of the window.

    covered_hours, level (the median rate), `deviations` from it (0 in holes) and their `squares`,
    `covered` (1 or 0); `stepped`, whether the deviation never changes within a 4 h step of the UTC
    day; for each step its first deviation (`steps`) and the sum of its deviations (`step_sums`).
    """
    rows = conform(hourly, HOURLY)
    level = pl.col("rate_hourly").median().over("series")
    deviation = pl.col("rate_hourly") - pl.col("level")
    rows = rows.with_columns(level=level).with_columns(
        deviation=pl.when(deviation.abs() > _SAME * pl.col("level").abs())
        .then(deviation)
        .otherwise(0.0)
    )
    head = (
        rows.group_by("series")
        .agg(covered_hours=pl.len().cast(pl.Int32), level=pl.first("level"))
        .sort("series")
        .with_row_index("row")
    )
    cells = rows.join(head.select("series", "row"), on="series").select(
        at=pl.col("row").cast(pl.Int64) * HOURS + pl.col("hour"), deviation="deviation"
    )
    deviations = pl.zeros(len(head) * HOURS, pl.Float64, eager=True).alias("deviations")
    deviations = deviations.scatter(cells["at"], cells["deviation"])
    covered = pl.zeros(len(deviations), pl.Float64, eager=True).scatter(cells["at"], 1.0)
    by_step = deviations.reshape((len(deviations) // _STEP, _STEP))
    stepped = by_step.arr.min() == by_step.arr.max()
    return head.drop("row").with_columns(
        deviations=_lists(deviations, HOURS),
        squares=_lists(deviations * deviations, HOURS),
        covered=_lists(covered, HOURS),
        stepped=_lists(stepped, HOURS // _STEP).list.all(),
        steps=_lists(deviations.gather_every(_STEP), HOURS // _STEP),
        step_sums=_lists(by_step.arr.sum(), HOURS // _STEP),
    )


def _lists(values: pl.Series, length: int) -> pl.Series:
    return values.reshape((len(values) // length, length)).arr.to_list()


# Reads `series` (as `as_lists`), makes the temporary tables `hole_patterns` and `alike`. There,
# entry p of hours, sums and square_sums tells of the hours that the series and pattern p cover.
# Series below 0.8 have no pattern and no such sums, and their pairs no measure. `place` counts
# the series that vary, from 0, stepped ones last.
PREPARE = (
    f"""CREATE OR REPLACE TEMP TABLE hole_patterns AS
    SELECT CAST(row_number() OVER (ORDER BY covered) AS INTEGER) AS pattern, covered
    FROM (SELECT DISTINCT covered FROM series WHERE covered_hours >= {LEAST_HOURS})""",
    f"""CREATE OR REPLACE TEMP TABLE alike AS
    WITH common AS (
        SELECT s.series,
               list(list_inner_product(s.covered, p.covered) ORDER BY p.pattern) AS hours,
               list(list_inner_product(s.deviations, p.covered) ORDER BY p.pattern) AS sums,
               list(list_inner_product(s.squares, p.covered) ORDER BY p.pattern) AS square_sums
        FROM series s, hole_patterns p WHERE s.covered_hours >= {LEAST_HOURS} GROUP BY s.series
    ), places AS (
        SELECT series, row_number() OVER (ORDER BY stepped, series) - 1 AS place FROM series
        WHERE covered_hours >= {LEAST_HOURS} AND list_max(squares) > 0
    )
    SELECT s.* EXCLUDE (squares), p.pattern, c.hours, c.sums, c.square_sums, o.place
    FROM series s LEFT JOIN hole_patterns p
        ON p.covered = s.covered AND s.covered_hours >= {LEAST_HOURS}
    LEFT JOIN common c ON c.series = s.series LEFT JOIN places o ON o.series = s.series""",
)


def similarities(pairs: str, *, stepped: bool = False) -> str:
    """SQL for `FOUND` of all pairs x, y of `alike` in the FROM clause `pairs`; stepped: y are so.

    With sums over the n common hours, a and b the deviations from the levels p and q:
    correlation = (Σab - ΣaΣb/n) / √((Σa² - (Σa)²/n) (Σb² - (Σb)²/n)),
    cosine = Σ(a+p)(b+q) / √(Σ(a+p)² Σ(b+q)²).
    """
    ab = "x.step_sums, y.steps" if stepped else "x.deviations, y.deviations"
    known = f"n >= {LEAST_HOURS} AND spread_a > 0 AND spread_b > 0"
    return f"""
    SELECT series, other, CAST(n AS INTEGER) AS common_hours,
        CASE WHEN {known} THEN greatest(-1.0, least(1.0,
            (ab - a * b / n) / (sqrt(spread_a) * sqrt(spread_b)))) END AS correlation,
        CASE WHEN {known} THEN greatest(-1.0, least(1.0,
            (ab + p * b + q * a + n * p * q)
            / (sqrt(aa + 2 * p * a + n * p * p) * sqrt(bb + 2 * q * b + n * q * q)))) END AS cosine
    FROM (
        SELECT *, aa - a * a / n AS spread_a, bb - b * b / n AS spread_b FROM (
            SELECT x.series, y.series AS other, x.level AS p, y.level AS q,
                coalesce(x.hours[y.pattern], list_inner_product(x.covered, y.covered)) AS n,
                list_inner_product({ab}) AS ab,
                x.sums[y.pattern] AS a, x.square_sums[y.pattern] AS aa,
                y.sums[x.pattern] AS b, y.square_sums[x.pattern] AS bb
            FROM {pairs}))"""


def nearest(known: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The 10 most alike of each series by each measure, sorted by measure, series, rank.

    `known` is what this gave before (`NEAREST`), `found` new pairs (`FOUND`), each once: either is
    the other's. Only what is above 0 is alike; of equals the lower number comes first.
    """
    pairs = conform(found, FOUND)
    sides = [
        pairs.select(
            measure=pl.lit(measure), series=one, other=two, similarity=measure,
            common_hours="common_hours",
        ).filter(pl.col("similarity") > 0)
        for measure in MEASURES
        for one, two in (("series", "other"), ("other", "series"))
    ]  # fmt: skip
    order = ("measure", "series", "similarity", "other")
    return (
        pl.concat([conform(known, NEAREST), *sides])
        .sort(order, descending=[False, False, True, False])
        .filter(pl.int_range(pl.len()).over("measure", "series") < NEIGHBOURS)
    )


def bars(known: pl.DataFrame, measure: str, last_series: int) -> list[float]:
    """What a similarity must reach to count for series 0 … last: its tenth neighbour's, or 0."""
    tenth = (
        known.filter(pl.col("measure") == measure)
        .group_by("series")
        .agg(number=pl.len(), least=pl.col("similarity").min())
        .filter(pl.col("number") == NEIGHBOURS)
    )
    found = dict(tenth.select("series", "least").iter_rows())
    return [found.get(series, 0.0) for series in range(last_series + 1)]
