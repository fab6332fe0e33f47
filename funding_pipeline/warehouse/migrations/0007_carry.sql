-- Carry: what a position of 1 USD got from funding. Forecast errors. The specification's two views.

-- A time as the tables keep it: naive UTC, whatever the session's TimeZone. Takes TIMESTAMP,
-- TIMESTAMPTZ, DATE and text such as '2025-03-01 08:00' (UTC; an offset in a text is ignored).
CREATE MACRO base.utc(moment) AS
    make_timestamp(epoch_us(coalesce(moment, CAST(NULL AS TIMESTAMP))));

CREATE MACRO base.ceil_hour(moment) AS
    date_trunc('hour', moment + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND);

-- Rates are summed as integers of 2**-100 (see transforms/measures.py): the order in which rows are
-- read, hence the number of threads, changes not one bit.
CREATE MACRO base.to_steps(rate) AS CAST(rate * pow(2.0, 100) AS HUGEINT);
CREATE MACRO base.from_steps(steps) AS CAST(steps AS DOUBLE) / pow(2.0, 100);

-- Whole hours of (from_hour, end_time] that a market lived from start to end. (date_diff counts the
-- full hours passed since a full hour; greatest and least skip nulls, which mean open bounds.)
CREATE MACRO base.live_hours(from_hour, end_time, live_from, live_to) AS
    greatest(0, date_diff('hour',
        greatest(from_hour, base.ceil_hour(live_from)), least(end_time, live_to)));

-- Settlements prove that a market lived, whatever its listing says. Nothing to cover: 1.
CREATE MACRO base.coverage(covered, live) AS
    coalesce(covered / nullif(greatest(covered, live), 0), 1);

-- A figure that rests on too little is not told.
CREATE MACRO base.if_covered(figure, coverage) AS CASE WHEN coverage >= 0.8 THEN figure END;

-- When each market lived. Without a listing date, a market is taken to begin with its first
-- settlement only where more than a day before it was asked and answered empty; else its beginning
-- is unknown (null) and every earlier hour counts as live.
CREATE VIEW base.lives AS
SELECT m.market_id,
    coalesce(m.listed_at, CASE WHEN w.asked_from + INTERVAL 25 HOUR <= m.first_settlement
        THEN m.first_settlement - to_hours(CAST(coalesce(m.interval_hours, 1) AS INTEGER))
    END) AS live_from,
    m.delisted_at AS live_to
FROM markets m LEFT JOIN (
    SELECT m.market_id, min(c.from_time) AS asked_from
    FROM markets m JOIN collected_windows c USING (exchange, market)
    WHERE m.first_settlement BETWEEN c.from_time AND c.to_time GROUP BY m.market_id
) w USING (market_id);

-- What a position of 1 USD notional, opened at from_time and closed at to_time, got per market: the
-- settlements stamped in (from_time, to_time]. A long gets minus the sum of the rates, a short the
-- sum. `annualised` is the long's carry per covered hour times 8760, a fraction; the short's is
-- its negative. The same definition in Python, with the edge cases: transforms/carry.py.
CREATE MACRO carry(from_time, to_time := NULL, exchange_ := NULL, market_ := NULL, asset_ := NULL)
AS TABLE
WITH paid AS (
    SELECT s.market_id, count(*) AS settlements, sum(base.to_steps(s.rate)) AS steps,
        CAST(sum(s.covered_hours) AS BIGINT) AS covered_hours,
        min(s.funding_time) AS first_stamp, max(s.funding_time) AS last_stamp,
        arg_min(s.covered_hours, s.funding_time) AS first_covered,
        arg_max(s.interval_hours, s.funding_time) AS last_interval
    FROM settlements s
    WHERE s.funding_time > base.utc(from_time)
      AND (base.utc(to_time) IS NULL OR s.funding_time <= base.utc(to_time))
      AND s.market_id IN (SELECT m.market_id FROM markets m
        WHERE (exchange_ IS NULL OR m.exchange = exchange_)
          AND (market_ IS NULL OR m.market = market_) AND (asset_ IS NULL OR m.asset = asset_))
    GROUP BY s.market_id
), held AS (
    SELECT *, base.ceil_hour(base.utc(from_time)) AS from_hour,
        least(base.utc(to_time), (SELECT max(last_settlement) FROM markets)) AS until
    FROM paid
), covering AS (
    SELECT *,
        covered_hours - greatest(0, first_covered - date_diff('hour', from_hour, first_stamp))
            AS covered_within,
        -- Nothing was due between the last stamp and the end: those hours are no hole.
        CASE WHEN until < last_stamp + to_hours(CAST(last_interval AS INTEGER)) THEN last_stamp
             ELSE until END AS end_time
    FROM held
), figures AS (
    SELECT c.*, base.from_steps(steps) AS rates,
        base.coverage(covered_within,
            base.live_hours(from_hour, end_time, l.live_from, l.live_to)) AS coverage
    FROM covering c JOIN base.lives l USING (market_id)
)
SELECT m.exchange, m.market, m.symbol, m.asset, f.settlements,
    base.if_covered(0 - f.rates, f.coverage) AS long_carry,
    base.if_covered(f.rates, f.coverage) AS short_carry,
    base.if_covered((0 - f.rates) / f.covered_hours * 8760, f.coverage) AS annualised,
    f.covered_hours, f.coverage, f.first_stamp, f.last_stamp
FROM figures f JOIN markets m USING (market_id);

-- One row per settlement stamped in (from_time, to_time], with what a long and a short opened at
-- from_time had got by then. NULL for exchange_ or market_: all of them, each with its own sum.
CREATE MACRO cumulative_funding(exchange_, market_, from_time, to_time := NULL) AS TABLE
SELECT m.exchange, m.market, m.symbol, m.asset, s.funding_time, s.rate, s.interval_hours,
    0 - base.from_steps(sum(base.to_steps(s.rate)) OVER running) AS long_carry,
    base.from_steps(sum(base.to_steps(s.rate)) OVER running) AS short_carry
FROM settlements s JOIN markets m USING (market_id)
WHERE (exchange_ IS NULL OR m.exchange = exchange_) AND (market_ IS NULL OR m.market = market_)
  AND s.funding_time > base.utc(from_time)
  AND (base.utc(to_time) IS NULL OR s.funding_time <= base.utc(to_time))
WINDOW running AS (PARTITION BY s.market_id ORDER BY s.funding_time
                   ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
ORDER BY m.exchange, m.market, s.funding_time;

-- The carry of the windows that end with each market's newest settlement, `as_of`; markets that
-- have not settled for a week are left out (ask `carry` for them). Each settlement is read once: it
-- goes to the shortest window that holds it, and a window adds up those within it.
CREATE VIEW carry_windows AS
WITH newest AS (SELECT max(last_settlement) AS stamp FROM markets),
settling AS (
    SELECT m.market_id, m.last_settlement AS as_of FROM markets m, newest
    WHERE m.last_settlement > newest.stamp - INTERVAL 7 DAY
), windows("window", hours) AS (
    VALUES ('24h', 24), ('3d', 72), ('7d', 168), ('14d', 336), ('30d', 720), ('90d', 2160)
), aged AS (
    SELECT s.*, e.as_of, date_diff('hour', s.funding_time, e.as_of) AS age
    FROM settlements s JOIN settling e USING (market_id)
    WHERE s.funding_time > (SELECT stamp - INTERVAL 97 DAY FROM newest)
), parts AS (
    SELECT market_id, as_of,
        CASE WHEN age < 24 THEN 24 WHEN age < 72 THEN 72 WHEN age < 168 THEN 168
             WHEN age < 336 THEN 336 WHEN age < 720 THEN 720 ELSE 2160 END AS hours,
        count(*) AS settlements, sum(base.to_steps(rate)) AS steps,
        CAST(sum(covered_hours) AS BIGINT) AS covered_hours,
        min(funding_time) AS first_stamp, arg_min(covered_hours, funding_time) AS first_covered
    FROM aged WHERE age < 2160 GROUP BY ALL
), totals AS (
    SELECT p.market_id, p.as_of, w."window", w.hours,
        p.as_of - to_hours(CAST(w.hours AS INTEGER)) AS from_hour,
        CAST(sum(p.settlements) AS BIGINT) AS settlements, sum(p.steps) AS steps,
        CAST(sum(p.covered_hours) AS BIGINT) AS covered_hours,
        min(p.first_stamp) AS first_stamp,
        arg_min(p.first_covered, p.first_stamp) AS first_covered
    FROM parts p JOIN windows w ON p.hours <= w.hours GROUP BY ALL
), figures AS (
    SELECT t.*, base.from_steps(steps) AS rates,
        base.coverage(
            covered_hours - greatest(0, first_covered - date_diff('hour', from_hour, first_stamp)),
            base.live_hours(from_hour, as_of, l.live_from, l.live_to)) AS coverage
    FROM totals t JOIN base.lives l USING (market_id)
)
SELECT m.exchange, m.market, m.symbol, m.asset, f."window", f.as_of, f.settlements,
    base.if_covered(0 - f.rates, f.coverage) AS long_carry,
    base.if_covered(f.rates, f.coverage) AS short_carry,
    base.if_covered((0 - f.rates) / f.covered_hours * 8760, f.coverage) AS annualised,
    f.covered_hours, f.coverage, f.first_stamp
FROM figures f JOIN markets m USING (market_id);

-- Errors of predicted rates over the last 30 days, by the time that was left to the settlement.
-- A sample is compared with the settlement of its next boundary: the time that the exchange told,
-- else the end of its interval's period on the UTC grid; error = predicted rate - settled rate,
-- fractions for the same interval. Left out: samples whose settlement had another interval, more
-- than 24 hours ahead, or recorded from the samples themselves. `lead_minutes`: at most so long
-- before, and longer than the next smaller one: 5, 60, 120, 240, 480, 1440. The mean and the root
-- are fractions per interval; `mean_absolute_error_apr`, a fraction per year, compares exchanges.
CREATE VIEW base.forecast_sums AS
WITH samples AS (
    SELECT market_id, observed_at, rate, interval_hours,
        coalesce(
            date_trunc('hour', next_funding_time + INTERVAL 5 SECOND),
            make_timestamp((epoch_us(observed_at) + interval_hours * 3600000000 - 1)
                // (interval_hours * 3600000000) * (interval_hours * 3600000000))) AS boundary
    FROM base.predicted_rates
    WHERE observed_at > (SELECT max(observed_at) - INTERVAL 30 DAY FROM base.predicted_rates)
), errors AS (
    SELECT p.market_id, p.rate - s.rate AS error, p.interval_hours,
        sign(p.rate) = sign(s.rate) AS sign_right,
        epoch_us(p.boundary) - epoch_us(p.observed_at) AS lead_us
    FROM samples p JOIN settlements s
        ON s.market_id = p.market_id AND s.funding_time = p.boundary
       AND s.interval_hours = p.interval_hours
    WHERE s.kind = 'settled'
      AND s.funding_time > (SELECT max(observed_at) - INTERVAL 30 DAY FROM base.predicted_rates)
)
SELECT market_id,
    CASE WHEN lead_us <= 300000000 THEN 5 WHEN lead_us <= 3600000000 THEN 60
         WHEN lead_us <= 7200000000 THEN 120 WHEN lead_us <= 14400000000 THEN 240
         WHEN lead_us <= 28800000000 THEN 480 ELSE 1440 END AS lead_minutes,
    count(*) AS samples,
    sum(base.to_steps(error)) AS error_steps, sum(base.to_steps(abs(error))) AS absolute_steps,
    sum(error * error) AS squares, sum(base.to_steps(abs(error) / interval_hours)) AS hourly_steps,
    count(*) FILTER (sign_right) AS signs_right
FROM errors WHERE lead_us BETWEEN 0 AND 86400000000
GROUP BY ALL;

CREATE VIEW forecast_errors AS
SELECT m.exchange, f.lead_minutes, count(*) AS markets,
    CAST(sum(f.samples) AS BIGINT) AS samples,
    base.from_steps(sum(f.error_steps)) / sum(f.samples) AS mean_error,
    base.from_steps(sum(f.absolute_steps)) / sum(f.samples) AS mean_absolute_error,
    sqrt(sum(f.squares) / sum(f.samples)) AS root_mean_square_error,
    sum(f.signs_right) / sum(f.samples) AS sign_right_share,
    base.from_steps(sum(f.hourly_steps)) / sum(f.samples) * 8760 AS mean_absolute_error_apr
FROM base.forecast_sums f JOIN markets m USING (market_id)
GROUP BY m.exchange, f.lead_minutes;

CREATE VIEW market_forecast_errors AS
SELECT m.exchange, m.market, m.symbol, m.asset, f.lead_minutes, f.samples,
    base.from_steps(f.error_steps) / f.samples AS mean_error,
    base.from_steps(f.absolute_steps) / f.samples AS mean_absolute_error,
    sqrt(f.squares / f.samples) AS root_mean_square_error,
    f.signs_right / f.samples AS sign_right_share,
    base.from_steps(f.hourly_steps) / f.samples * 8760 AS mean_absolute_error_apr
FROM base.forecast_sums f JOIN markets m USING (market_id);

-- The specification's two views for all exchanges, with its column names: `rate_annual` and `*_apr`
-- are PERCENT per year, `rate` and `rate_hourly` fractions as everywhere. Lighter's 0.0012 (percent
-- an hour) is rate 0.000012 and rate_annual 10.512. `direction` is the side that pays.
CREATE VIEW funding_latest AS
SELECT m.exchange, m.market, m.symbol, r.funding_time AS "timestamp", r.rate,
    r.rate / r.interval_hours AS rate_hourly,
    r.rate / r.interval_hours * 8760 * 100 AS rate_annual,
    CASE WHEN r.rate > 0 THEN 'long' WHEN r.rate < 0 THEN 'short' ELSE 'none' END AS direction,
    s.cumulative_value, s.collected_at, s.source, m.market AS market_symbol,
    strftime(r.funding_time, '%Y-%m-%d %H:%M:%S') AS timestamp_iso, r.interval_hours, m.asset
FROM base.latest_rates r JOIN markets m USING (market_id)
    JOIN settlements s ON s.market_id = r.market_id AND s.funding_time = r.funding_time;

-- The mean is weighted by hours, and a settlement belongs to the day whose hours it pays for.
CREATE VIEW funding_daily_stats AS
SELECT m.exchange, m.market, m.symbol, d.day AS "date", d.apr_mean * 100 AS avg_apr,
    d.rate_hourly_min * 8760 * 100 AS min_apr, d.rate_hourly_max * 8760 * 100 AS max_apr,
    d.settlements AS sample_count, d.coverage, m.asset
FROM base.daily_stats d JOIN markets m USING (market_id);
