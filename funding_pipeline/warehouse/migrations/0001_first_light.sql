-- Times are naive UTC. Facts carry no primary key: uniqueness of (market_id, funding_time) is
-- asserted before each write and by a check (a key costs eight times the space and slows loads).

-- live, or sandbox: set by the first load; the two are never mixed.
CREATE TABLE provenance (origin VARCHAR NOT NULL);

CREATE SEQUENCE market_ids;
CREATE SEQUENCE load_ids;

CREATE TABLE markets (
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
    last_settlement  TIMESTAMP
);

CREATE TABLE market_intervals (
    market_id      INTEGER NOT NULL,
    interval_hours SMALLINT NOT NULL,
    observed_from  TIMESTAMP NOT NULL,
    observed_to    TIMESTAMP            -- last time it was still so; null: up to markets.last_seen
);

CREATE TABLE settlements (
    market_id        INTEGER NOT NULL,
    funding_time     TIMESTAMP NOT NULL,  -- end of the paid period, snapped to the hour
    rate             DOUBLE NOT NULL,     -- signed fraction for the interval; + longs pay
    interval_hours   SMALLINT NOT NULL,   -- the quoted funding period
    covered_hours    SMALLINT NOT NULL,   -- weight in means: min(interval, gap to previous)
    kind             VARCHAR NOT NULL,    -- settled | recorded
    raw_rate         VARCHAR NOT NULL,    -- the text as sent
    lag_ms           INTEGER NOT NULL,    -- stamp as sent minus funding_time
    cumulative_value DOUBLE,
    mark_price       DOUBLE,
    source           VARCHAR NOT NULL,    -- api | import
    load_id          BIGINT NOT NULL,     -- the load that wrote the current value
    collected_at     TIMESTAMP NOT NULL   -- first seen; never changes
);

CREATE TABLE rate_revisions (
    market_id      INTEGER NOT NULL,
    funding_time   TIMESTAMP NOT NULL,
    rate           DOUBLE NOT NULL,     -- what it was before
    interval_hours SMALLINT NOT NULL,
    raw_rate       VARCHAR NOT NULL,
    lag_ms         INTEGER NOT NULL,
    load_id        BIGINT NOT NULL,     -- the load that had written the old value
    reason         VARCHAR NOT NULL,    -- exchange | reinterpreted | released
    revised_by     BIGINT NOT NULL,     -- the load that brought the new value
    revised_at     TIMESTAMP NOT NULL
);

CREATE TABLE quarantine (
    exchange       VARCHAR NOT NULL,
    market         VARCHAR NOT NULL,
    stamp          TIMESTAMP NOT NULL,  -- as sent
    raw_rate       VARCHAR NOT NULL,
    reason         VARCHAR NOT NULL,
    load_id        BIGINT NOT NULL,
    quarantined_at TIMESTAMP NOT NULL
);

-- One row per market and uninterrupted span that was asked and answered, half-open.
CREATE TABLE collected_windows (
    exchange  VARCHAR NOT NULL,
    market    VARCHAR NOT NULL,
    from_time TIMESTAMP NOT NULL,
    to_time   TIMESTAMP NOT NULL,
    rows      BIGINT NOT NULL,      -- settlements answered
    outcome   VARCHAR NOT NULL,     -- collected
    load_id   BIGINT NOT NULL       -- the load that extended it last
);

CREATE TABLE loads (
    load_id      BIGINT NOT NULL,
    exchange     VARCHAR NOT NULL,
    reason       VARCHAR NOT NULL,  -- tick | sweep | backfill | manual
    window_from  TIMESTAMP NOT NULL,
    window_to    TIMESTAMP NOT NULL,
    started      TIMESTAMP NOT NULL,
    ended        TIMESTAMP,         -- null: running, or killed
    outcome      VARCHAR,           -- complete | partial | failed | interrupted
    rows_new     BIGINT,
    rows_changed BIGINT,
    requests     BIGINT,
    error        VARCHAR
);

CREATE TABLE collector_status (
    exchange      VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,  -- ok | partial | failing
    last_run      TIMESTAMP NOT NULL,
    last_success  TIMESTAMP,
    last_error    VARCHAR,
    last_error_at TIMESTAMP,
    total_runs    BIGINT NOT NULL,
    total_records BIGINT NOT NULL
);

CREATE TABLE events (
    happened TIMESTAMP NOT NULL,
    kind     VARCHAR NOT NULL,
    exchange VARCHAR NOT NULL,
    market   VARCHAR,
    detail   VARCHAR NOT NULL,
    load_id  BIGINT
);

-- What derived tables still owe: written with each merge, cleared with each derivation.
CREATE TABLE dirty_days (
    market_id INTEGER NOT NULL,
    day       DATE NOT NULL,             -- date(funding_time - interval)
    since     TIMESTAMP NOT NULL
);
