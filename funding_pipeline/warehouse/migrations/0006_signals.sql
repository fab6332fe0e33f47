-- What an asset pays across exchanges; where a market's newest rate stands; how steady it is.

-- Keyed (asset, window, as_of): every midnight, and the newest hour that any market settled.
CREATE TABLE base.asset_averages (
    asset                   VARCHAR NOT NULL,
    "window"                VARCHAR NOT NULL,  -- those of moving_averages; latest: newest settlement
    as_of                   TIMESTAMP NOT NULL,
    exchanges               INTEGER NOT NULL,  -- that took part
    markets                 INTEGER NOT NULL,
    rate_hourly_mean        DOUBLE NOT NULL,   -- one vote per market
    rate_hourly_oi_mean     DOUBLE,            -- by open interest
    rate_hourly_volume_mean DOUBLE,            -- by 24 h volume
    rate_hourly_min         DOUBLE NOT NULL,
    min_market_id           INTEGER NOT NULL,
    rate_hourly_max         DOUBLE NOT NULL,
    max_market_id           INTEGER NOT NULL,
    open_interest_usd       DOUBLE,            -- sum of the weights
    markets_with_oi         INTEGER NOT NULL,  -- whose weight is known
    volume_24h_usd          DOUBLE,
    markets_with_volume     INTEGER NOT NULL,
    oldest_as_of            TIMESTAMP NOT NULL -- of the markets that took part
);

-- The windows that the moving averages were made for.
CREATE TABLE base.chosen_windows ("window" VARCHAR NOT NULL);
INSERT INTO base.chosen_windows VALUES ('24h'), ('3d'), ('7d'), ('14d'), ('30d');

-- What the midnights of asset_averages were made of: one that differs is made anew.
CREATE TABLE base.asset_averages_inputs (
    as_of  TIMESTAMP NOT NULL,
    digest UBIGINT NOT NULL
);

-- One row per market; as_of is its newest settlement.
CREATE TABLE base.market_signals (
    market_id            INTEGER NOT NULL,
    as_of                TIMESTAMP NOT NULL,
    rate_hourly          DOUBLE NOT NULL,
    rate_hourly_ema_24h  DOUBLE,            -- half-life 24 h
    ema_coverage_24h     DOUBLE NOT NULL,   -- weight of the covered hours / of the live ones
    rate_hourly_ema_72h  DOUBLE,            -- half-life 72 h
    ema_coverage_72h     DOUBLE NOT NULL,
    zscore_30d           DOUBLE,            -- (rate - mean) / std of the window
    percentile_30d       DOUBLE,            -- 0 to 1
    rate_hourly_mean_30d DOUBLE,
    rate_hourly_std_30d  DOUBLE,
    covered_hours_30d    INTEGER NOT NULL,
    coverage_30d         DOUBLE NOT NULL,
    zscore_90d           DOUBLE,
    percentile_90d       DOUBLE,
    rate_hourly_mean_90d DOUBLE,
    rate_hourly_std_90d  DOUBLE,
    covered_hours_90d    INTEGER NOT NULL,
    coverage_90d         DOUBLE NOT NULL
);

-- Keyed (market_id, window); as_of is the last midnight up to the market's newest settlement.
CREATE TABLE base.stability (
    market_id           INTEGER NOT NULL,
    "window"            VARCHAR NOT NULL,  -- 7d 30d 90d
    as_of               TIMESTAMP NOT NULL,
    rate_hourly_mean    DOUBLE,            -- all figures null below coverage 0.8
    rate_hourly_std     DOUBLE,
    variation           DOUBLE,            -- coefficient of variation: std / |mean|
    sign_changes        INTEGER,
    sign_persistence    DOUBLE,            -- share of hours with the sign of the mean
    autocorrelation_8h  DOUBLE,
    autocorrelation_24h DOUBLE,
    covered_hours       INTEGER NOT NULL,
    coverage            DOUBLE NOT NULL,
    inputs              UBIGINT NOT NULL   -- digest of what it was made of
);

CREATE VIEW asset_averages AS
SELECT a.asset, a."window", a.as_of, a.exchanges, a.markets,
       a.rate_hourly_mean, a.rate_hourly_mean * 8760 AS apr_mean,
       a.rate_hourly_oi_mean, a.rate_hourly_oi_mean * 8760 AS apr_oi_mean,
       a.rate_hourly_volume_mean, a.rate_hourly_volume_mean * 8760 AS apr_volume_mean,
       a.rate_hourly_min, a.rate_hourly_min * 8760 AS apr_min,
       low.exchange AS min_exchange, low.market AS min_market,
       a.rate_hourly_max, a.rate_hourly_max * 8760 AS apr_max,
       high.exchange AS max_exchange, high.market AS max_market,
       a.rate_hourly_max - a.rate_hourly_min AS rate_hourly_spread,
       (a.rate_hourly_max - a.rate_hourly_min) * 8760 AS apr_spread,
       a.open_interest_usd, a.markets_with_oi, a.markets_with_oi / a.markets AS oi_share,
       a.volume_24h_usd, a.markets_with_volume, a.markets_with_volume / a.markets AS volume_share,
       a.oldest_as_of
FROM base.asset_averages a
JOIN markets low ON low.market_id = a.min_market_id
JOIN markets high ON high.market_id = a.max_market_id;

CREATE VIEW market_signals AS
SELECT m.exchange, m.market, m.symbol, m.asset, s.as_of,
       s.rate_hourly, s.rate_hourly * 8760 AS apr,
       s.rate_hourly_ema_24h, s.rate_hourly_ema_24h * 8760 AS apr_ema_24h, s.ema_coverage_24h,
       s.rate_hourly_ema_72h, s.rate_hourly_ema_72h * 8760 AS apr_ema_72h, s.ema_coverage_72h,
       s.* EXCLUDE (market_id, as_of, rate_hourly, rate_hourly_ema_24h, ema_coverage_24h,
                    rate_hourly_ema_72h, ema_coverage_72h)
FROM base.market_signals s JOIN markets m USING (market_id);

CREATE VIEW stability AS
SELECT m.exchange, m.market, m.symbol, m.asset, s."window", s.as_of,
       s.rate_hourly_mean, s.rate_hourly_mean * 8760 AS apr_mean,
       s.rate_hourly_std, s.rate_hourly_std * 8760 AS apr_std,
       s.variation, s.sign_changes, s.sign_persistence, s.autocorrelation_8h,
       s.autocorrelation_24h, s.covered_hours, s.coverage
FROM base.stability s JOIN markets m USING (market_id);
