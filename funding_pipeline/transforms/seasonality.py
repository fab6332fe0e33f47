"""Seasonality of one market's hourly rate: by hour of the day and by weekday, both in UTC.

Belongs here: what the figures mean and the SQL that makes them (years of settlements are summed
where they lie). Does not: when they are due, where they are stored, figures across markets.
"""

from datetime import date, datetime, time, timedelta

from funding_pipeline.transforms.moving_averages import MIN_COVERAGE

# The second where the first is not covered: a new installation begins with a month of history.
WINDOWS_DAYS = (90, 30)


def window(as_of: date, days: int) -> tuple[datetime, datetime]:
    """Start and end (naive UTC midnights) of the full days that end with `as_of`."""
    until = datetime.combine(as_of, time.min) + timedelta(days=1)
    return until - timedelta(days=days), until


# One row for each market of `spans`, kind and slot with covered hours: market_id, kind, slot,
# rate_hourly_mean, positive_share, hours, coverage.
#
# An hour counts for the hour of the day (0..23) and the weekday (1 Monday .. 7 Sunday) in which it
# begins, and if it lies within ($since, $until], both midnights. Its rate is the settlement's that
# covers it (rate / interval_hours); means and shares weigh each covered hour the same. Coverage is
# covered / live hours of the slot, at most 1; below 0.8 mean and share are null. Unit: fraction of
# notional per hour.
#
# Reads settlements (market_id, funding_time, rate, interval_hours, covered_hours) and spans
# (market_id, live_start, live_end: the window cut to the market's life in whole hours, as
# `measures.with_live_span` gives it). Rates are summed as integers of 2**-100 (see `measures`).
#
# Settlements that cover the same hours of the week are summed before they are laid out by hour.
# Hours are numbered from a Monday, 1970-01-05 (96 h after the epoch).
SEASONALITY = f"""
WITH paid AS (
    SELECT market_id, rate, interval_hours,
        greatest(funding_time - to_hours(CAST(covered_hours AS INTEGER)), $since) AS paid_from,
        least(funding_time, $until) AS paid_to
    FROM settlements SEMI JOIN spans USING (market_id)
    -- No settlement covers more than 24 hours.
    WHERE funding_time > $since AND funding_time < CAST($until AS TIMESTAMP) + INTERVAL 24 HOUR
      AND funding_time - to_hours(CAST(covered_hours AS INTEGER)) < $until
), alike AS (
    SELECT market_id, (epoch_ms(paid_to) // 3600000 - 97) % 168 AS last_hour,
        date_diff('hour', paid_from, paid_to) AS length, interval_hours,
        sum(CAST(rate * pow(2.0, 100) AS HUGEINT)) AS steps,
        count(*) AS hours, count(*) FILTER (rate > 0) AS positive
    FROM paid GROUP BY ALL
), laid_out AS (
    SELECT market_id, hour_of_week % 24 AS hour, hour_of_week // 24 AS weekday,
        steps, hours, positive
    FROM (SELECT * REPLACE (steps // interval_hours AS steps),
        (last_hour - b.back + 168) % 168 AS hour_of_week
        FROM alike, LATERAL unnest(range(length)) b(back))
), sums AS (
    SELECT market_id, CASE grouping(weekday) WHEN 1 THEN 'hour' ELSE 'weekday' END AS kind,
        coalesce(hour, weekday + 1) AS slot,
        CASE grouping(weekday) WHEN 1 THEN 24 ELSE 168 END AS period,
        CASE grouping(weekday) WHEN 1 THEN 1 ELSE 24 END AS width,
        coalesce(hour, weekday * 24) AS offset_hours,
        sum(steps) AS steps, sum(hours) AS hours, sum(positive) AS positive
    FROM laid_out GROUP BY GROUPING SETS ((market_id, hour), (market_id, weekday))
), lived AS (
    SELECT market_id, epoch_ms(live_start) // 3600000 - 96 AS a,
        epoch_ms(live_end) // 3600000 - 96 AS z
    FROM spans
), covered AS (
    -- Hours of a slot in [a, z): whole periods, and what the two broken ones hold of it.
    SELECT s.*, (z // period - a // period) * width
            + least(greatest(z % period - offset_hours, 0), width)
            - least(greatest(a % period - offset_hours, 0), width) AS live_hours,
        hours / greatest(hours, live_hours) AS coverage
    FROM sums s JOIN lived USING (market_id)
)
SELECT market_id, kind, CAST(slot AS INTEGER) AS slot,
    CASE WHEN coverage >= {MIN_COVERAGE}
        THEN CAST(steps AS DOUBLE) / pow(2.0, 100) / hours END AS rate_hourly_mean,
    CASE WHEN coverage >= {MIN_COVERAGE} THEN positive / hours END AS positive_share,
    CAST(hours AS INTEGER) AS hours, coverage
FROM covered ORDER BY market_id, kind, slot
"""
