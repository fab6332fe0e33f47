-- An exchange that a canary holds is stored and left out of everything that is derived or read.

CREATE TABLE holds (
    exchange       VARCHAR NOT NULL,
    mistake        VARCHAR NOT NULL,    -- the likely one
    detail         VARCHAR NOT NULL,    -- the figures, in words
    shown_from     TIMESTAMP NOT NULL,  -- the settlements that show it, first and last
    shown_to       TIMESTAMP NOT NULL,
    held_at        TIMESTAMP NOT NULL,
    released_at    TIMESTAMP,           -- null: held
    released_until TIMESTAMP,           -- newest settlement then: the mistake is excused up to it
    note           VARCHAR              -- why it was released
);

CREATE VIEW base.held_exchanges AS SELECT DISTINCT exchange FROM holds WHERE released_at IS NULL;

-- All markets, held exchanges as well: what collects and what stores works with this table.
CREATE TABLE base.markets (
    market_id        INTEGER NOT NULL,
    exchange         VARCHAR NOT NULL,
    market           VARCHAR NOT NULL,  -- native symbol
    symbol           VARCHAR NOT NULL,  -- unified; the contract holds `multiplier` units of it
    multiplier       INTEGER NOT NULL,
    quote            VARCHAR NOT NULL,
    settle           VARCHAR NOT NULL,
    asset_class      VARCHAR,
    status           VARCHAR NOT NULL,  -- live | delisted | unlisted (gone from the list)
    interval_hours   SMALLINT,          -- declared now
    rate_cap         DOUBLE,            -- per interval
    rate_floor       DOUBLE,
    listed_at        TIMESTAMP,
    first_seen       TIMESTAMP NOT NULL,
    last_seen        TIMESTAMP NOT NULL,
    delisted_at      TIMESTAMP,
    first_settlement TIMESTAMP,
    last_settlement  TIMESTAMP,
    asset            VARCHAR,           -- joins exchanges; null: nothing tells which of several
    asset_by         VARCHAR,           -- name | class | price | correction
    doubted_since    TIMESTAMP          -- its price contradicts its asset's others
);

INSERT INTO base.markets BY NAME FROM markets ORDER BY market_id;
DROP TABLE markets;

-- What everybody reads. All views and macros join it, so that they leave out what is held.
CREATE VIEW markets AS
SELECT m.* FROM base.markets m ANTI JOIN base.held_exchanges USING (exchange);

-- As before, but for the markets: the excluded pairs of a held exchange are shown with that reason.
CREATE OR REPLACE VIEW base.spread_figures AS
WITH rows AS (
    SELECT *, CAST(NULL AS VARCHAR) AS reason FROM base.spreads
    UNION ALL BY NAME
    SELECT * FROM base.spread_exclusions
), costed AS (
    SELECT r.*, 2 * (long.taker + short.taker) AS fees_taker,
        2 * (long.maker + short.maker) AS fees_maker,
        long.fees_assumed OR short.fees_assumed AS fees_assumed,
        CASE r."window" WHEN 'latest' THEN 1 WHEN '24h' THEN 24 WHEN '3d' THEN 72
            WHEN '7d' THEN 168 WHEN '14d' THEN 336 WHEN '30d' THEN 720 END AS window_hours,
        greatest(window_hours, 24) AS holding_hours,
        CASE WHEN abs(epoch_us(long.priced_at) - epoch_us(short.priced_at)) <= 900000000
            THEN short.unit_price / long.unit_price - 1 END AS basis,
        least(long.priced_at, short.priced_at) AS priced_at,
        least(long.open_interest_usd, short.open_interest_usd) AS open_interest_usd,
        least(long.volume_24h_usd, short.volume_24h_usd) AS volume_24h_usd,
        long.interval_hours AS long_interval_hours, short.interval_hours AS short_interval_hours
    FROM rows r JOIN base.spread_legs long ON long.market_id = r.long_id
    JOIN base.spread_legs short ON short.market_id = r.short_id
)
SELECT CASE WHEN long.asset = short.asset THEN long.asset END AS asset,
    long.exchange AS long_exchange, long.market AS long_market,
    short.exchange AS short_exchange, short.market AS short_market,
    c."window", c.as_of, date_diff('hour', c.as_of, e.refreshed_at) AS age_hours,
    c.rate_hourly, c.rate_hourly * 8760 AS apr,
    c.fees_taker, c.fees_maker, c.fees_assumed,
    CASE WHEN c.rate_hourly > 0 THEN c.fees_taker / c.rate_hourly END AS break_even_hours_taker,
    CASE WHEN c.rate_hourly > 0 THEN c.fees_maker / c.rate_hourly END AS break_even_hours_maker,
    c.holding_hours,
    (c.rate_hourly - c.fees_taker / c.holding_hours) * 8760 AS net_apr_taker,
    (c.rate_hourly - c.fees_maker / c.holding_hours) * 8760 AS net_apr_maker,
    c.hours, c.hours / c.window_hours AS coverage,
    c.same_direction_hours / nullif(c.hours, 0) AS same_direction_share,
    c.alive_hours, c.half_life_hours,
    c.basis, c.priced_at, c.open_interest_usd, c.volume_24h_usd,
    c.long_interval_hours, c.short_interval_hours,
    c.long_interval_hours <> c.short_interval_hours AS settlement_mismatch,
    long.symbol, e.refreshed_at, c.reason
FROM costed c JOIN base.markets long ON long.market_id = c.long_id
JOIN base.markets short ON short.market_id = c.short_id, base.spread_refresh e;

CREATE OR REPLACE VIEW spreads AS
SELECT * EXCLUDE (reason) FROM base.spread_figures
WHERE reason IS NULL AND long_exchange NOT IN (FROM base.held_exchanges)
  AND short_exchange NOT IN (FROM base.held_exchanges);
