-- What a person was told of, and what is still wrong.

-- One row per finding and time that it lasted. closed: since when it is over; null while it lasts.
CREATE TABLE alerts (
    key           VARCHAR NOT NULL,   -- which finding; the same one again has the same key
    exchange      VARCHAR NOT NULL,   -- or 'all'
    severity      VARCHAR NOT NULL,   -- error | warning
    title         VARCHAR NOT NULL,
    detail        VARCHAR NOT NULL,   -- as at the last look
    once          BOOLEAN NOT NULL,   -- an occurrence: told once, neither reminded of nor ended
    opened        TIMESTAMP NOT NULL,
    missing_since TIMESTAMP,          -- not found any more, but for too short a time to believe it
    closed        TIMESTAMP,
    told          MAP(VARCHAR, TIMESTAMP) NOT NULL  -- channels that believe it lasts, told when last
);

-- Every message that a channel accepted. A channel is named by its kind, never by its address.
CREATE TABLE alert_messages (
    sent    TIMESTAMP NOT NULL,
    channel VARCHAR NOT NULL,
    title   VARCHAR NOT NULL,
    body    VARCHAR NOT NULL
);

-- Dagster's checks that failed when they were evaluated last. A failing check leaves its run green.
CREATE TABLE base.failing_checks (
    asset     VARCHAR NOT NULL,
    name      VARCHAR NOT NULL,
    severity  VARCHAR NOT NULL,       -- error | warning
    detail    VARCHAR NOT NULL,
    evaluated TIMESTAMP NOT NULL
);
