-- More about each day, and how funding depends on the hour of the day and on the weekday.

ALTER TABLE base.daily_stats ADD COLUMN rate_hourly_median DOUBLE;     -- these four: each covered
ALTER TABLE base.daily_stats ADD COLUMN rate_hourly_std DOUBLE;        -- hour weighs the same
ALTER TABLE base.daily_stats ADD COLUMN rate_hourly_p05 DOUBLE;
ALTER TABLE base.daily_stats ADD COLUMN rate_hourly_p95 DOUBLE;
ALTER TABLE base.daily_stats ADD COLUMN positive_streak_hours INTEGER; -- longest run of hours on
ALTER TABLE base.daily_stats ADD COLUMN negative_streak_hours INTEGER; -- end of one sign
ALTER TABLE base.daily_stats ADD COLUMN expected_settlements INTEGER;
ALTER TABLE base.daily_stats ADD COLUMN intervals VARCHAR;             -- "4h x 2, 8h x 2"
ALTER TABLE base.daily_stats ADD COLUMN pinned INTEGER;                -- at the declared cap or floor

-- Every day is owed again, for its new columns.
INSERT INTO dirty_days
SELECT market_id, day, CAST(now() AS TIMESTAMP) FROM base.daily_stats d
WHERE NOT EXISTS (FROM dirty_days o WHERE o.market_id = d.market_id AND o.day = d.day);

-- What markets declared, and since when. A market's first row holds for its past as well.
CREATE TABLE base.rate_caps (
    market_id  INTEGER NOT NULL,
    since      TIMESTAMP NOT NULL,
    rate_cap   DOUBLE,              -- per interval
    rate_floor DOUBLE
);

CREATE OR REPLACE VIEW daily_stats AS
SELECT m.exchange, m.market, m.symbol, d.day, d.settlements, d.rate_sum, d.rate_hourly_mean,
       d.rate_hourly_min, d.rate_hourly_max, d.rate_hourly_open, d.rate_hourly_close, d.apr_mean,
       d.positive_share, d.covered_hours, d.live_hours, d.coverage, m.asset,
       d.rate_hourly_median, d.rate_hourly_std, d.rate_hourly_p05, d.rate_hourly_p95,
       d.rate_hourly_open * 8760 AS apr_open, d.rate_hourly_max * 8760 AS apr_high,
       d.rate_hourly_min * 8760 AS apr_low, d.rate_hourly_close * 8760 AS apr_close,
       d.rate_hourly_median * 8760 AS apr_median, d.rate_hourly_std * 8760 AS apr_std,
       d.rate_hourly_p05 * 8760 AS apr_p05, d.rate_hourly_p95 * 8760 AS apr_p95,
       d.positive_streak_hours, d.negative_streak_hours,
       greatest(d.positive_streak_hours, d.negative_streak_hours) AS longest_streak_hours,
       d.expected_settlements, d.intervals, d.pinned
FROM base.daily_stats d JOIN markets m USING (market_id);

CREATE TABLE base.seasonality (
    market_id        INTEGER NOT NULL,
    kind             VARCHAR NOT NULL,  -- hour | weekday
    slot             INTEGER NOT NULL,  -- hour 0..23 (UTC, begins then) | weekday 1 (Monday) .. 7
    rate_hourly_mean DOUBLE,            -- null below coverage 0.8, as the share
    positive_share   DOUBLE,
    hours            INTEGER NOT NULL,  -- covered hours of the slot within the window
    coverage         DOUBLE NOT NULL,   -- covered / live hours of the slot
    window_days      INTEGER NOT NULL,  -- full UTC days that end with as_of
    as_of            DATE NOT NULL
);

-- Of what the figures of `as_of` were made, so that they are made anew only when it changed.
CREATE TABLE base.seasonality_inputs (
    market_id   INTEGER NOT NULL,
    as_of       DATE NOT NULL,
    fingerprint UBIGINT NOT NULL
);

CREATE VIEW seasonality AS
SELECT m.exchange, m.market, m.symbol, m.asset, s.kind, s.slot,
       CASE s.kind WHEN 'hour' THEN printf('%02d:00', s.slot)
           ELSE ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][s.slot] END AS label,
       s.rate_hourly_mean, s.rate_hourly_mean * 8760 AS apr_mean, s.positive_share, s.hours,
       s.coverage, s.window_days, s.as_of
FROM base.seasonality s JOIN markets m USING (market_id);

-- Each market weighs the same, whatever its turnover; a market without a mean is left out.
CREATE VIEW asset_seasonality AS
SELECT asset, kind, slot, label, avg(rate_hourly_mean) AS rate_hourly_mean,
       avg(apr_mean) AS apr_mean, avg(positive_share) AS positive_share,
       count(*) AS markets, count(DISTINCT exchange) AS exchanges, CAST(sum(hours) AS BIGINT) AS hours,
       min(window_days) AS window_days_min, as_of
FROM seasonality WHERE rate_hourly_mean IS NOT NULL AND asset IS NOT NULL
GROUP BY asset, kind, slot, label, as_of;
