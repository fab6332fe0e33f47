-- What users query. Rates are fractions; percent is for eyes only.

CREATE SCHEMA base;

CREATE TABLE base.daily_stats (
    market_id         INTEGER NOT NULL,
    day               DATE NOT NULL,      -- of the paid hours: date(funding_time - interval)
    settlements       INTEGER NOT NULL,
    rate_sum          DOUBLE NOT NULL,    -- realised funding of the day, fraction of notional
    rate_hourly_mean  DOUBLE NOT NULL,    -- time-weighted
    rate_hourly_min   DOUBLE NOT NULL,
    rate_hourly_max   DOUBLE NOT NULL,
    rate_hourly_open  DOUBLE NOT NULL,
    rate_hourly_close DOUBLE NOT NULL,
    apr_mean          DOUBLE NOT NULL,
    positive_share    DOUBLE NOT NULL,    -- of the covered hours
    covered_hours     DOUBLE NOT NULL,
    live_hours        DOUBLE NOT NULL,
    coverage          DOUBLE              -- covered / live
);

CREATE TABLE base.moving_averages (
    market_id        INTEGER NOT NULL,
    "window"         VARCHAR NOT NULL,    -- 24h 3d 7d 14d 30d, ending as_of
    as_of            TIMESTAMP NOT NULL,
    rate_hourly_mean DOUBLE,              -- time-weighted; null below coverage 0.8
    apr              DOUBLE,
    covered_hours    DOUBLE NOT NULL,
    coverage         DOUBLE NOT NULL,
    settlements      INTEGER NOT NULL
);

CREATE TABLE base.latest_rates (
    market_id      INTEGER NOT NULL,
    funding_time   TIMESTAMP NOT NULL,
    rate           DOUBLE NOT NULL,
    interval_hours SMALLINT NOT NULL,
    mark_price     DOUBLE
);

CREATE TABLE derivations (
    ended           TIMESTAMP NOT NULL,
    markets         INTEGER NOT NULL,
    days            INTEGER NOT NULL,
    seconds         DOUBLE NOT NULL
);

CREATE VIEW funding_rates AS
SELECT m.exchange, m.market, m.symbol, s.funding_time, s.rate, s.interval_hours,
       s.rate / s.interval_hours AS rate_hourly,
       s.rate / s.interval_hours * 8760 AS apr,
       CASE WHEN s.rate > 0 THEN 'long' WHEN s.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       s.kind, s.raw_rate, s.lag_ms, s.cumulative_value, s.mark_price, s.source, s.load_id,
       s.collected_at
FROM settlements s JOIN markets m USING (market_id);

-- The hourly grid: one row per market and paid hour (its end), so that markets of different
-- intervals line up. Filter on funding_time as well: it is what narrows the scan.
CREATE VIEW apr AS
SELECT m.exchange, m.market, m.symbol,
       s.funding_time - to_hours(CAST(h.back AS INTEGER)) AS hour, s.funding_time,
       s.rate / s.interval_hours AS rate_hourly,
       s.rate / s.interval_hours * 8760 AS apr
FROM settlements s JOIN markets m USING (market_id), LATERAL unnest(range(s.covered_hours)) h(back);

CREATE VIEW daily_stats AS
SELECT m.exchange, m.market, m.symbol, d.* EXCLUDE (market_id)
FROM base.daily_stats d JOIN markets m USING (market_id);

CREATE VIEW moving_averages AS
SELECT m.exchange, m.market, m.symbol, a.* EXCLUDE (market_id)
FROM base.moving_averages a JOIN markets m USING (market_id);

CREATE VIEW latest_rates AS
SELECT m.exchange, m.market, m.symbol, r.funding_time, r.rate, r.interval_hours,
       r.rate / r.interval_hours AS rate_hourly,
       r.rate / r.interval_hours * 8760 AS apr,
       CASE WHEN r.rate > 0 THEN 'long' WHEN r.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       r.mark_price
FROM base.latest_rates r JOIN markets m USING (market_id);
