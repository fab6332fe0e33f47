-- How fresh each market is, how each collector does, and which exchanges are left alone for a while.

-- What kind of error ended a load that failed; null: none did, or a defect of ours.
ALTER TABLE loads ADD COLUMN error_kind VARCHAR;

-- How the last load of each exchange ended; the status is made of it, in `collector_status`.
CREATE TABLE base.collectors (
    exchange      VARCHAR NOT NULL,
    outcome       VARCHAR NOT NULL,  -- complete | partial | failed | interrupted
    error_kind    VARCHAR,           -- of a failed one, see domain/errors.py
    last_run      TIMESTAMP NOT NULL,
    last_success  TIMESTAMP,
    last_error    VARCHAR,
    last_error_at TIMESTAMP,
    total_runs    BIGINT NOT NULL,
    total_records BIGINT NOT NULL
);
INSERT INTO base.collectors
SELECT exchange,
       CASE status WHEN 'ok' THEN 'complete' WHEN 'failing' THEN 'failed' ELSE 'partial' END,
       NULL, last_run, last_success, last_error, last_error_at, total_runs, total_records
FROM collector_status;
DROP TABLE collector_status;

-- Exchanges whose last loads failed altogether. No row: all is well.
CREATE TABLE breakers (
    exchange  VARCHAR NOT NULL,
    failures  INTEGER NOT NULL,  -- one after the other
    opened_at TIMESTAMP,         -- since then it is not asked; null: it still is
    retry_at  TIMESTAMP,         -- from then on one process may try with a single request
    error     VARCHAR NOT NULL   -- the last failure
);

-- Per live market: due_at is when its next settlement is overdue: the longer of the interval
-- declared now and that of its newest settlement, and one hour of grace, for exchanges that settle
-- late and for the schedule, which asks at minute 3. A market that never settled is due after the
-- first whole multiple of its interval that it saw the beginning of. Null where nothing tells the
-- interval.
CREATE MACRO base.freshness_at(moment) AS TABLE
WITH live AS (
    SELECT m.exchange, m.market, m.symbol, m.asset, m.last_settlement,
           greatest(m.interval_hours, r.interval_hours) AS interval_hours,
           to_hours(CAST(greatest(m.interval_hours, r.interval_hours) AS INTEGER)) AS period,
           greatest(m.listed_at, m.first_seen) AS since
    FROM base.markets m LEFT JOIN base.latest_rates r USING (market_id) WHERE m.status = 'live'
), due AS (
    SELECT * EXCLUDE (period, since),
           coalesce(last_settlement,
                    time_bucket(period, since, TIMESTAMP '1970-01-01') + period)
               + period + INTERVAL 1 HOUR AS due_at
    FROM live
)
SELECT *, epoch(CAST(moment AS TIMESTAMP) - last_settlement) / 3600 AS age_hours,
       due_at > CAST(moment AS TIMESTAMP) AS fresh
FROM due;

CREATE VIEW freshness AS FROM base.freshness_at(make_timestamp(epoch_us(now())));

-- worst_decile_overdue_hours: a tenth of the live markets, or more, is overdue by at least so much. One
-- market that stops is that market's affair; a tenth of them is the exchange's, which is late then.
CREATE MACRO base.exchange_freshness_at(moment) AS TABLE
WITH worst AS (
    SELECT exchange, count(*) AS markets, count(*) FILTER (NOT fresh) AS stale,
           quantile_disc(due_at, 0.1) AS due_at, max(last_settlement) AS newest_settlement
    FROM base.freshness_at(moment) GROUP BY exchange
)
SELECT exchange, markets, stale,
       greatest(epoch(CAST(moment AS TIMESTAMP) - due_at) / 3600, 0) AS worst_decile_overdue_hours,
       coalesce(due_at <= CAST(moment AS TIMESTAMP), false) AS late, newest_settlement
FROM worst;

CREATE VIEW exchange_freshness AS
FROM base.exchange_freshness_at(make_timestamp(epoch_us(now())));

-- One word per exchange that was ever collected, the first that applies:
--   held          a canary doubts its numbers: stored, but left out until a person releases them
--   breaker open  left alone after failures, see `breakers`; what failed is in last_error
--   geo-blocked   its last load was refused because of where it came from (403, 451, a web page)
--   down          its market list could not be had: no connection, time-out, 5xx
--   failing       its last load failed in another way: rate limit, malformed, refused, a fifth of
--                 its markets, a defect
--   late          a tenth of its live markets, or more, is overdue, see `exchange_freshness`
--   partial       some markets failed in its last load, or the load was interrupted
--   ok            none of these
CREATE MACRO base.collector_status_at(moment) AS TABLE
SELECT c.exchange,
       CASE
           WHEN c.exchange IN (FROM base.held_exchanges) THEN 'held'
           WHEN b.opened_at IS NOT NULL THEN 'breaker open'
           WHEN c.outcome = 'failed' AND c.error_kind = 'geo-blocked' THEN 'geo-blocked'
           WHEN c.outcome = 'failed' AND c.error_kind = 'unreachable' THEN 'down'
           WHEN c.outcome = 'failed' THEN 'failing'
           WHEN f.late THEN 'late'
           WHEN c.outcome <> 'complete' THEN 'partial'
           ELSE 'ok' END AS status,
       c.last_run, c.last_success, c.last_error, c.last_error_at, c.total_runs, c.total_records
FROM base.collectors c LEFT JOIN breakers b USING (exchange)
LEFT JOIN base.exchange_freshness_at(moment) f USING (exchange);

CREATE VIEW collector_status AS
FROM base.collector_status_at(make_timestamp(epoch_us(now())));

-- Kinds of events say what they are about; see docs/events.md.
UPDATE events SET kind = 'gap ' || kind WHERE kind IN ('filled', 'given up', 'asked for again');
UPDATE events SET kind = 'reinterpreted' WHERE kind = 'revised' AND detail LIKE '%: reinterpreted';
