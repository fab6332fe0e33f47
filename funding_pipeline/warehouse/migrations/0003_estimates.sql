-- Running estimates, sampled shortly before each hour. Never part of the settled history.

CREATE TABLE base.predicted_rates (
    market_id         INTEGER NOT NULL,
    observed_at       TIMESTAMP NOT NULL,
    rate              DOUBLE NOT NULL,    -- signed fraction for the interval
    raw_rate          VARCHAR NOT NULL,   -- the text it was made of
    interval_hours    SMALLINT NOT NULL,
    next_funding_time TIMESTAMP,
    mark_price        DOUBLE,
    index_price       DOUBLE,
    open_interest_usd DOUBLE,             -- one side
    volume_24h_usd    DOUBLE
);

CREATE VIEW predicted_rates AS
SELECT m.exchange, m.market, m.symbol, p.observed_at, p.rate, p.interval_hours,
       p.rate / p.interval_hours AS rate_hourly,
       p.rate / p.interval_hours * 8760 AS apr,
       p.next_funding_time, p.mark_price, p.index_price, p.open_interest_usd, p.volume_24h_usd,
       p.raw_rate
FROM base.predicted_rates p JOIN markets m USING (market_id);
