-- Which markets behave alike (30 days of hourly rates, refreshed once a day), and how markets
-- belong together (always as the registry has it now).

-- One row: what the three tables below rest on.
CREATE TABLE base.alike_refreshes (
    as_of   TIMESTAMP NOT NULL,  -- midnight; the window is the 720 hours before it
    markets INTEGER NOT NULL     -- that cover at least 0.8 of the window
);

-- Two markets of one asset on different exchanges, each pair once.
CREATE TABLE base.rate_correlations (
    market_id       INTEGER NOT NULL,
    other_market_id INTEGER NOT NULL,
    correlation     DOUBLE,           -- Pearson; null below coverage 0.8, or where one is constant
    cosine          DOUBLE,           -- of the rates as they are; null likewise
    common_hours    SMALLINT NOT NULL,
    coverage        DOUBLE NOT NULL,  -- common_hours / 720
    as_of           TIMESTAMP NOT NULL
);

-- Means over the markets of an asset; the assets with the most markets, each pair once.
CREATE TABLE base.asset_correlations (
    asset         VARCHAR NOT NULL,
    other_asset   VARCHAR NOT NULL,
    correlation   DOUBLE,
    cosine        DOUBLE,
    common_hours  SMALLINT NOT NULL,
    coverage      DOUBLE NOT NULL,
    markets       SMALLINT NOT NULL,  -- of asset, in its mean
    other_markets SMALLINT NOT NULL,
    as_of         TIMESTAMP NOT NULL
);

-- The ten most alike markets of each market, of whatever asset.
CREATE TABLE base.neighbours (
    market_id       INTEGER NOT NULL,
    measure         VARCHAR NOT NULL,   -- correlation | cosine
    rank            SMALLINT NOT NULL,  -- from 1
    other_market_id INTEGER NOT NULL,
    similarity      DOUBLE NOT NULL,    -- above 0, at most 1
    common_hours    SMALLINT NOT NULL,
    as_of           TIMESTAMP NOT NULL
);

CREATE VIEW rate_correlations AS
SELECT m.asset, m.exchange, m.market, o.exchange AS other_exchange, o.market AS other_market,
       c.correlation, c.cosine, c.common_hours, c.coverage, c.as_of
FROM base.rate_correlations c JOIN markets m USING (market_id)
JOIN markets o ON o.market_id = c.other_market_id;

CREATE VIEW asset_correlations AS FROM base.asset_correlations;

CREATE VIEW neighbours AS
SELECT m.exchange, m.market, m.symbol, n.measure, n.rank,
       o.exchange AS other_exchange, o.market AS other_market, o.symbol AS other_symbol,
       n.similarity, n.common_hours, m.asset, o.asset AS other_asset,
       coalesce(m.asset = o.asset, false) AS same_asset, n.as_of
FROM base.neighbours n JOIN markets m USING (market_id)
JOIN markets o ON o.market_id = n.other_market_id;

-- Each relation is told from both its ends: `exchange market` is <relation> `other ...`. `since` is
-- when both were there, for a new name when it was first there.
CREATE VIEW relations AS
WITH ours AS (
    SELECT *, least(listed_at, first_settlement, first_seen) AS began FROM markets
), pairs AS (
    SELECT a.asset, a.exchange, a.market, a.multiplier, a.quote, a.settle,
           b.exchange AS other_exchange, b.market AS other_market,
           b.multiplier AS other_multiplier, b.quote AS other_quote, b.settle AS other_settle,
           greatest(a.began, b.began) AS since
    FROM ours a JOIN ours b ON a.asset = b.asset AND a.market_id <> b.market_id
), renamed AS (
    SELECT exchange, predecessor, market AS successor, min(valid_from) AS since,
           max(predecessor_ratio) AS ratio
    FROM symbol_registry WHERE predecessor IS NOT NULL GROUP BY ALL
)
SELECT exchange, market, 'same asset on' AS relation, other_exchange, other_market, since,
       asset AS detail
FROM pairs WHERE exchange <> other_exchange
UNION ALL
SELECT exchange, market, 'multiplier of', other_exchange, other_market, since,
       multiplier || ' : ' || other_multiplier
FROM pairs WHERE multiplier <> other_multiplier
UNION ALL
SELECT exchange, market, 'other quote or settle of', other_exchange, other_market, since,
       quote || '/' || settle || ' : ' || other_quote || '/' || other_settle
FROM pairs
WHERE exchange = other_exchange AND (quote <> other_quote OR settle <> other_settle)
UNION ALL
-- As the builder dexes of one exchange have it: `xyz:NVDA`, `flx:NVDA`.
SELECT exchange, market, 'same asset beside', other_exchange, other_market, since, asset
FROM pairs
WHERE exchange = other_exchange AND quote = other_quote AND settle = other_settle
  AND multiplier = other_multiplier
UNION ALL
-- Units of the new symbol for one of the old; 1 : 1 where only the name changed.
SELECT exchange, predecessor, 'renamed to', exchange, successor, since,
       '1 : ' || printf('%.15g', ratio)
FROM renamed
UNION ALL
SELECT exchange, successor, 'renamed from', exchange, predecessor, since,
       printf('%.15g', ratio) || ' : 1'
FROM renamed;

-- All markets within `depth` relations of one, each once, by a shortest path; of equally short ones
-- the first in the alphabet. `path` reads on from the market: [renamed to binance POLUSDT, ...].
CREATE MACRO related(exchange_, market_, depth := 3) AS TABLE
WITH RECURSIVE walk AS (
    SELECT exchange, market, 0 AS distance, CAST([] AS VARCHAR[]) AS path,
           [exchange || ' ' || market] AS passed
    FROM (SELECT CAST(exchange_ AS VARCHAR) AS exchange, CAST(market_ AS VARCHAR) AS market)
    UNION ALL
    SELECT exchange, market, distance, best.path, best.passed FROM (
        SELECT r.other_exchange AS exchange, r.other_market AS market,
               w.distance + 1 AS distance,
               -- One path to each market a step, or paths would multiply.
               min(struct_pack(
                   path := list_append(
                       w.path, r.relation || ' ' || r.other_exchange || ' ' || r.other_market),
                   passed := list_append(w.passed, r.other_exchange || ' ' || r.other_market)
               )) AS best
        FROM walk w JOIN relations r ON r.exchange = w.exchange AND r.market = w.market
        WHERE w.distance < depth
          AND NOT list_contains(w.passed, r.other_exchange || ' ' || r.other_market)
        GROUP BY ALL)
)
SELECT exchange, market, distance, path FROM walk WHERE distance > 0
QUALIFY row_number() OVER (PARTITION BY exchange, market ORDER BY distance) = 1
ORDER BY distance, exchange, market;
