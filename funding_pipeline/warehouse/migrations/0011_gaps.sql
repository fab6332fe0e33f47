-- What should be there and is not; the table as it stood at a past time; how complete each day is.

-- Missing settlements of a row: missing of them, interval_hours apart, from first_missing on.
CREATE TABLE base.gaps (
    market_id      INTEGER NOT NULL,
    first_missing  TIMESTAMP NOT NULL,
    last_missing   TIMESTAMP NOT NULL,
    missing        INTEGER NOT NULL,
    interval_hours SMALLINT NOT NULL,
    state          VARCHAR NOT NULL,    -- open | filled | given up | void (nothing was missing)
    reason         VARCHAR NOT NULL,    -- not asked | answered empty | exchange outage | quarantined
                                        -- | before look-back | not sampled | unknown
    found_at       TIMESTAMP NOT NULL,
    asked_times    INTEGER NOT NULL,    -- repairs that were answered with nothing
    first_asked    TIMESTAMP,
    last_asked     TIMESTAMP,
    closed_at      TIMESTAMP,           -- filled, given up or void since
    answers        VARCHAR              -- what was asked and answered, one line a repair
);

-- Up to which collected_at, or revised_at, settlements were searched for gaps. No row: never.
CREATE TABLE base.gap_watermark (scanned TIMESTAMP NOT NULL);

CREATE VIEW gaps AS
SELECT m.exchange, m.market, m.symbol, m.asset, g.first_missing, g.last_missing, g.missing,
       g.interval_hours, g.state, g.reason, g.found_at, g.asked_times, g.first_asked, g.last_asked,
       g.closed_at, g.answers
FROM base.gaps g JOIN markets m USING (market_id);

-- Days are those of daily_stats: a settlement belongs to the day in which its period begins.
CREATE VIEW base.missing_by_day AS
WITH spans AS (
    SELECT market_id, reason, interval_hours, missing,
           first_missing - to_hours(CAST(interval_hours AS INTEGER)) AS first_begin,
           last_missing - to_hours(CAST(interval_hours AS INTEGER)) AS last_begin
    FROM base.gaps WHERE state IN ('open', 'given up')
), days AS (
    SELECT market_id, reason, CAST(d.midnight AS DATE) AS day,
           -- Of periods number 0, 1, 2 ...: the first that begins in the day, and in the next one.
           greatest(0, ceil(date_diff('hour', first_begin, d.midnight) / interval_hours)) AS low,
           least(missing, ceil(date_diff('hour', first_begin, d.midnight + INTERVAL 1 DAY)
                               / interval_hours)) AS high
    FROM spans, LATERAL unnest(generate_series(
        date_trunc('day', first_begin), date_trunc('day', last_begin), INTERVAL 1 DAY)) d(midnight)
)
SELECT market_id, day, reason, CAST(sum(high - low) AS INTEGER) AS missing
FROM days WHERE high > low GROUP BY market_id, day, reason;

-- expected: settlements stored and missing; share: stored of expected; reason: why the rest is
-- missing, the most frequent one first.
CREATE VIEW market_coverage_by_day AS
WITH lacking AS (
    SELECT market_id, day, CAST(sum(missing) AS INTEGER) AS missing,
           string_agg(reason || ' ' || missing, ', ' ORDER BY missing DESC, reason) AS reason
    FROM base.missing_by_day GROUP BY market_id, day
), cells AS (
    SELECT market_id, day, coalesce(d.settlements, 0) AS stored, coalesce(l.missing, 0) AS missing,
           l.reason
    FROM base.daily_stats d FULL JOIN lacking l USING (market_id, day)
)
SELECT m.exchange, m.market, m.symbol, m.asset, c.day, c.stored + c.missing AS expected, c.stored,
       c.stored / (c.stored + c.missing) AS share, c.reason
FROM cells c JOIN markets m USING (market_id);

CREATE VIEW coverage_by_day AS
WITH lacking AS (
    SELECT exchange, day, string_agg(reason || ' ' || missing, ', ' ORDER BY missing DESC, reason)
               AS reason
    FROM (
        SELECT m.exchange, d.day, d.reason, sum(d.missing) AS missing
        FROM base.missing_by_day d JOIN markets m USING (market_id) GROUP BY ALL
    ) GROUP BY exchange, day
)
SELECT exchange, day, CAST(count(*) AS INTEGER) AS markets,
       CAST(sum(c.expected) AS BIGINT) AS expected, CAST(sum(c.stored) AS BIGINT) AS stored,
       sum(c.stored) / sum(c.expected) AS share, any_value(l.reason) AS reason
FROM market_coverage_by_day c LEFT JOIN lacking l USING (exchange, day)
GROUP BY exchange, day;

-- The settlements as they stood at `t` (naive UTC, included): those first seen later are left out,
-- those revised later show what they were. Rate, interval, text and lag are of that time, and
-- load_id is the load that had written them; what a market is called, and mark_price and
-- cumulative_value, which no revision keeps, are of now.
CREATE MACRO funding_rates_as_known(t) AS TABLE
WITH undone AS (
    SELECT market_id, funding_time,
           arg_min(struct_pack(rate, interval_hours, raw_rate, lag_ms, load_id),
                   struct_pack(revised_at, revised_by)) AS was
    FROM rate_revisions WHERE revised_at > CAST(t AS TIMESTAMP)
    GROUP BY market_id, funding_time
), known AS (
    SELECT s.market_id, s.funding_time, s.kind, s.cumulative_value, s.mark_price, s.source,
           s.collected_at,
           CASE WHEN u.was IS NULL THEN s.rate ELSE u.was.rate END AS rate,
           CASE WHEN u.was IS NULL THEN s.interval_hours ELSE u.was.interval_hours END
               AS interval_hours,
           CASE WHEN u.was IS NULL THEN s.raw_rate ELSE u.was.raw_rate END AS raw_rate,
           CASE WHEN u.was IS NULL THEN s.lag_ms ELSE u.was.lag_ms END AS lag_ms,
           CASE WHEN u.was IS NULL THEN s.load_id ELSE u.was.load_id END AS load_id
    FROM settlements s LEFT JOIN undone u USING (market_id, funding_time)
    WHERE s.collected_at <= CAST(t AS TIMESTAMP)
)
SELECT m.exchange, m.market, m.symbol, k.funding_time, k.rate, k.interval_hours,
       k.rate / k.interval_hours AS rate_hourly,
       k.rate / k.interval_hours * 8760 AS apr,
       CASE WHEN k.rate > 0 THEN 'long' WHEN k.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       k.kind, k.raw_rate, k.lag_ms, k.cumulative_value, k.mark_price, k.source, k.load_id,
       k.collected_at, m.asset
FROM known k JOIN markets m USING (market_id);
