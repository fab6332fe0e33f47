-- The newest moving averages by themselves: among those of years they take a scan to find.

-- Keyed (market_id, window): rows of moving_averages, of the market's last day.
CREATE TABLE base.latest_averages (
    market_id        INTEGER NOT NULL,
    "window"         VARCHAR NOT NULL,
    as_of            TIMESTAMP NOT NULL,
    rate_hourly_mean DOUBLE,
    apr              DOUBLE,
    covered_hours    DOUBLE NOT NULL,
    coverage         DOUBLE NOT NULL,
    settlements      INTEGER NOT NULL
);

INSERT INTO base.latest_averages BY NAME
SELECT a.* FROM base.moving_averages a JOIN markets m USING (market_id)
WHERE a.as_of > m.last_settlement - INTERVAL 1 DAY
QUALIFY row_number() OVER (PARTITION BY a.market_id, a."window" ORDER BY a.as_of DESC) = 1
ORDER BY a.market_id, a."window";

CREATE VIEW latest_averages AS
SELECT m.exchange, m.market, m.symbol, a.* EXCLUDE (market_id), m.asset
FROM base.latest_averages a JOIN markets m USING (market_id);
