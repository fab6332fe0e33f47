-- What markets trade, with dates; one ticker with several meanings; rates at their cap.

-- The key that joins markets of one asset across exchanges. Null: nothing tells which of several.
ALTER TABLE markets ADD COLUMN asset VARCHAR;
ALTER TABLE markets ADD COLUMN asset_by VARCHAR;         -- name | class | price | correction
ALTER TABLE markets ADD COLUMN doubted_since TIMESTAMP;  -- its price contradicts its asset's others
UPDATE markets SET asset = symbol, asset_by = 'name';

-- What lists and the rule proposed, as observed. valid_from null: since before the first sight.
CREATE TABLE base.proposed_identities (
    market_id   INTEGER NOT NULL,
    symbol      VARCHAR NOT NULL,
    multiplier  INTEGER NOT NULL,
    quote       VARCHAR NOT NULL,
    settle      VARCHAR NOT NULL,
    asset_class VARCHAR,
    valid_from  TIMESTAMP,
    valid_to    TIMESTAMP       -- null: still so
);

-- The same under corrections: what stands. It changes no settlement; predecessors link histories.
CREATE TABLE base.symbol_registry (
    market_id         INTEGER NOT NULL,
    symbol            VARCHAR NOT NULL,
    multiplier        INTEGER NOT NULL,
    quote             VARCHAR NOT NULL,
    settle            VARCHAR NOT NULL,
    asset_class       VARCHAR,
    valid_from        TIMESTAMP,
    valid_to          TIMESTAMP,
    predecessor       VARCHAR,          -- native symbol on the same exchange
    predecessor_ratio DOUBLE,           -- units of symbol for one of the predecessor's; 1: a rename
    source            VARCHAR NOT NULL  -- rule | correction
);

-- One row per market and meaning while its symbol has several; last_seen ends with the collision.
CREATE TABLE base.symbol_collisions (
    symbol      VARCHAR NOT NULL,
    asset       VARCHAR,                -- the meaning; null: not told
    market_id   INTEGER NOT NULL,
    asset_class VARCHAR,
    unit_price  DOUBLE,                 -- dollars for one unit, when last known
    first_seen  TIMESTAMP NOT NULL,
    last_seen   TIMESTAMP NOT NULL
);

INSERT INTO base.proposed_identities
SELECT market_id, symbol, multiplier, quote, settle, asset_class, NULL, NULL FROM markets;

INSERT INTO base.symbol_registry
SELECT market_id, symbol, multiplier, quote, settle, asset_class, NULL, NULL, NULL, NULL, 'rule'
FROM markets;

-- Without what ended before the market began.
CREATE VIEW symbol_registry AS
SELECT m.exchange, m.market, r.symbol, r.multiplier, r.quote, r.settle, r.asset_class,
       coalesce(r.valid_from, least(m.listed_at, m.first_settlement, m.first_seen)) AS valid_from,
       r.valid_to, r.predecessor, r.predecessor_ratio, r.source, m.asset
FROM base.symbol_registry r JOIN markets m USING (market_id)
WHERE r.valid_to IS NULL
   OR r.valid_to > least(m.listed_at, m.first_settlement, m.first_seen);

CREATE VIEW symbol_collisions AS
SELECT c.symbol, c.asset, m.exchange, m.market, c.asset_class, c.unit_price, c.first_seen,
       c.last_seen
FROM base.symbol_collisions c JOIN markets m USING (market_id);

-- `pinned`: the rate is the market's declared cap or floor, as declared now.
CREATE OR REPLACE VIEW funding_rates AS
SELECT m.exchange, m.market, m.symbol, s.funding_time, s.rate, s.interval_hours,
       s.rate / s.interval_hours AS rate_hourly,
       s.rate / s.interval_hours * 8760 AS apr,
       CASE WHEN s.rate > 0 THEN 'long' WHEN s.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       s.kind, s.raw_rate, s.lag_ms, s.cumulative_value, s.mark_price, s.source, s.load_id,
       s.collected_at, m.asset,
       CASE WHEN s.rate = 0 THEN NULL
            WHEN abs(s.rate - m.rate_cap) <= 1e-12 * abs(m.rate_cap) THEN 'cap'
            WHEN abs(s.rate - m.rate_floor) <= 1e-12 * abs(m.rate_floor) THEN 'floor'
       END AS pinned
FROM settlements s JOIN markets m USING (market_id);

CREATE OR REPLACE VIEW apr AS
SELECT m.exchange, m.market, m.symbol,
       s.funding_time - to_hours(CAST(h.back AS INTEGER)) AS hour, s.funding_time,
       s.rate / s.interval_hours AS rate_hourly,
       s.rate / s.interval_hours * 8760 AS apr, m.asset
FROM settlements s JOIN markets m USING (market_id), LATERAL unnest(range(s.covered_hours)) h(back);

CREATE OR REPLACE VIEW daily_stats AS
SELECT m.exchange, m.market, m.symbol, d.* EXCLUDE (market_id), m.asset
FROM base.daily_stats d JOIN markets m USING (market_id);

CREATE OR REPLACE VIEW moving_averages AS
SELECT m.exchange, m.market, m.symbol, a.* EXCLUDE (market_id), m.asset
FROM base.moving_averages a JOIN markets m USING (market_id);

CREATE OR REPLACE VIEW latest_rates AS
SELECT m.exchange, m.market, m.symbol, r.funding_time, r.rate, r.interval_hours,
       r.rate / r.interval_hours AS rate_hourly,
       r.rate / r.interval_hours * 8760 AS apr,
       CASE WHEN r.rate > 0 THEN 'long' WHEN r.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       r.mark_price, m.asset
FROM base.latest_rates r JOIN markets m USING (market_id);

CREATE OR REPLACE VIEW predicted_rates AS
SELECT m.exchange, m.market, m.symbol, p.observed_at, p.rate, p.interval_hours,
       p.rate / p.interval_hours AS rate_hourly,
       p.rate / p.interval_hours * 8760 AS apr,
       p.next_funding_time, p.mark_price, p.index_price, p.open_interest_usd, p.volume_24h_usd,
       p.raw_rate, m.asset
FROM base.predicted_rates p JOIN markets m USING (market_id);
