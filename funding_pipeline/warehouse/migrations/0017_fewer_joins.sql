-- What every question would work out anew is stored: who is held, and the ranks of the top spreads.

-- Whether the market's exchange is held: `holds`, brought here whenever it changes.
ALTER TABLE base.markets ADD COLUMN held BOOLEAN DEFAULT false;
UPDATE base.markets SET held = exchange IN (FROM base.held_exchanges);

CREATE OR REPLACE VIEW markets AS SELECT * EXCLUDE (held) FROM base.markets WHERE NOT held;

-- Of window 7d, by net_apr_taker, among what is not held; null in other windows.
ALTER TABLE base.spreads ADD COLUMN rank BIGINT;

-- As before, but for rank, ids, and whether one of both is held.
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
    long.symbol, e.refreshed_at, c.reason, c.rank, c.long_id, c.short_id,
    long.held OR short.held AS held
FROM costed c JOIN base.markets long ON long.market_id = c.long_id
JOIN base.markets short ON short.market_id = c.short_id, base.spread_refresh e;

CREATE OR REPLACE VIEW spreads AS
SELECT * EXCLUDE (reason, rank, long_id, short_id, held) FROM base.spread_figures
WHERE reason IS NULL AND NOT held;

CREATE OR REPLACE VIEW spread_exclusions AS
SELECT reason, * EXCLUDE (reason, rank, long_id, short_id, held) FROM base.spread_figures
WHERE reason IS NOT NULL;

-- Everything that passed the floors, by what a week's holding would have left of the last week.
CREATE OR REPLACE VIEW top_spreads AS
SELECT rank, * EXCLUDE (reason, rank, long_id, short_id, held) FROM base.spread_figures
WHERE reason IS NULL AND NOT held AND "window" = '7d' ORDER BY rank;

UPDATE base.spreads SET rank = r.rank FROM (
    SELECT long_id, short_id, row_number() OVER (ORDER BY net_apr_taker DESC, long_exchange,
        long_market, short_exchange, short_market) AS rank
    FROM base.spread_figures WHERE reason IS NULL AND NOT held AND "window" = '7d'
) r
WHERE spreads."window" = '7d' AND spreads.long_id = r.long_id AND spreads.short_id = r.short_id;
