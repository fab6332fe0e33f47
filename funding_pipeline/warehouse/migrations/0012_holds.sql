-- An exchange that a canary holds is stored and left out of everything that is derived or read.

CREATE TABLE holds (
    exchange    VARCHAR NOT NULL,
    mistake     VARCHAR NOT NULL,
    detail      VARCHAR NOT NULL,    -- the figures, in words
    held_at     TIMESTAMP NOT NULL,
    released_at TIMESTAMP,           -- null: held
    note        VARCHAR              -- why it was released
);

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
SELECT m.* FROM base.markets m ANTI JOIN (FROM holds WHERE released_at IS NULL) h USING (exchange);
