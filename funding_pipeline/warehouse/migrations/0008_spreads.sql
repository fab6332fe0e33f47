-- Spreads between markets of one asset on two exchanges, what is left out of them, opportunities.
-- What each figure means: transforms/spreads.py, pair_windows.py, fees.py, opportunities.py.

-- transforms/fees.toml as eras [valid_from, valid_to), UTC days; null: open. Fractions of notional.
CREATE TABLE base.fees (
    exchange   VARCHAR NOT NULL,
    valid_from DATE,
    valid_to   DATE,
    maker      DOUBLE NOT NULL,
    taker      DOUBLE NOT NULL,
    assumed    BOOLEAN NOT NULL,  -- nobody has looked it up
    source     VARCHAR NOT NULL
);

-- One row: when spreads were made, and the floors below which a pair is thin.
CREATE TABLE base.spread_refresh (
    refreshed_at            TIMESTAMP NOT NULL,
    min_open_interest_usd   DOUBLE NOT NULL,
    min_volume_24h_usd      DOUBLE NOT NULL
);

-- The markets of all pairs, as they were then.
CREATE TABLE base.spread_legs (
    market_id         INTEGER NOT NULL,
    interval_hours    SMALLINT NOT NULL,  -- of the newest settlement
    last_settlement   TIMESTAMP NOT NULL,
    unit_price        DOUBLE,             -- mark price / multiplier
    priced_at         TIMESTAMP,
    open_interest_usd DOUBLE,             -- one side
    volume_24h_usd    DOUBLE,
    maker             DOUBLE NOT NULL,
    taker             DOUBLE NOT NULL,
    fees_assumed      BOOLEAN NOT NULL
);

-- The newest state: every pair and window stands either here or in spread_exclusions.
CREATE TABLE base.spreads (
    long_id              INTEGER NOT NULL,
    short_id             INTEGER NOT NULL,
    "window"             VARCHAR NOT NULL,  -- latest 24h 3d 7d 14d 30d, ending as_of
    as_of                TIMESTAMP,
    rate_hourly          DOUBLE,            -- short - long
    hours                SMALLINT NOT NULL, -- of the window, that both cover
    same_direction_hours SMALLINT,
    alive_hours          SMALLINT,
    half_life_hours      FLOAT
);

CREATE TABLE base.spread_exclusions (
    long_id              INTEGER NOT NULL,
    short_id             INTEGER NOT NULL,
    "window"             VARCHAR NOT NULL,
    as_of                TIMESTAMP,
    rate_hourly          DOUBLE,
    hours                SMALLINT NOT NULL,
    same_direction_hours SMALLINT,
    alive_hours          SMALLINT,
    half_life_hours      FLOAT,
    reason               VARCHAR NOT NULL
);

CREATE TABLE base.opportunities (
    long_id        INTEGER NOT NULL,
    short_id       INTEGER NOT NULL,
    opened         TIMESTAMP NOT NULL,
    opened_net_apr DOUBLE NOT NULL,
    peak           TIMESTAMP NOT NULL,
    peak_net_apr   DOUBLE NOT NULL,
    closed         TIMESTAMP,
    closed_by      VARCHAR,             -- net | stale
    until          TIMESTAMP NOT NULL,  -- closed, or the last hour looked at
    funding_steps  HUGEINT NOT NULL,    -- paid in (opened, until], in 2**-100, exact
    fees           DOUBLE NOT NULL
);

-- One row: the span of the log and the rule that it was made by.
CREATE TABLE base.opportunity_log (
    starts      TIMESTAMP NOT NULL,
    until       TIMESTAMP NOT NULL,
    open_above  DOUBLE NOT NULL,
    close_below DOUBLE NOT NULL,
    fees        UBIGINT NOT NULL   -- digest
);

-- What the log was made of: a market that differs is followed anew.
CREATE TABLE base.opportunity_markets (
    market_id INTEGER NOT NULL,
    key       VARCHAR,            -- markets with one key are pairs
    older     UBIGINT NOT NULL,   -- digests of its settlements up to two days before the log's end,
    recent    UBIGINT NOT NULL    -- and after
);

CREATE VIEW fees AS FROM base.fees;

-- Fractions of one leg's notional. fees_*: four orders. net_apr_*: holding for holding_hours once,
-- fees paid. basis: what the short one's price is above the long one's. Open interest and volume:
-- the lesser leg's.
CREATE VIEW base.spread_figures AS
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
FROM costed c JOIN markets long ON long.market_id = c.long_id
JOIN markets short ON short.market_id = c.short_id, base.spread_refresh e;

CREATE VIEW spreads AS
SELECT * EXCLUDE (reason) FROM base.spread_figures WHERE reason IS NULL;

CREATE VIEW spread_exclusions AS
SELECT reason, * EXCLUDE (reason) FROM base.spread_figures WHERE reason IS NOT NULL;

-- Everything that passed the floors, by what a week's holding would have left of the last week.
CREATE VIEW top_spreads AS
SELECT row_number() OVER (ORDER BY net_apr_taker DESC, long_exchange, long_market, short_exchange,
                          short_market) AS rank, *
FROM spreads WHERE "window" = '7d' ORDER BY rank;

-- realised_net: what was paid until `until`, less takers' fees for opening and closing both legs;
-- of an open one, as if it were closed then.
CREATE VIEW opportunities AS
SELECT long.asset, long.exchange AS long_exchange, long.market AS long_market,
    short.exchange AS short_exchange, short.market AS short_market,
    o.opened, o.opened_net_apr, o.peak, o.peak_net_apr, o.closed, o.closed_by, o.until,
    date_diff('hour', o.opened, o.until) AS hours_open,
    base.from_steps(o.funding_steps) AS funding, o.fees,
    base.from_steps(o.funding_steps) - o.fees AS realised_net, long.symbol
FROM base.opportunities o JOIN markets long ON long.market_id = o.long_id
JOIN markets short ON short.market_id = o.short_id;
