-- A text that can be told from the rate is not stored, only how it is written. Rows that were there
-- keep theirs, for a long table is not written anew.

-- 16 decimals. Below 0.1 the product with 10**16 is next to a whole number where the rate has no more
-- than these, so that every version rounds it alike; null otherwise.
CREATE MACRO base.long_text(rate) AS
    CASE WHEN abs(rate) < 0.1 THEN CAST(TRY_CAST(rate AS DECIMAL(18, 16)) AS VARCHAR) END;
-- As most exchanges write it: no zeros at the end.
CREATE MACRO base.short_text(rate) AS rtrim(rtrim(base.long_text(rate), '0'), '.');
-- As others do: always so many decimals.
CREATE MACRO base.padded_text(rate, places) AS
    rpad(base.long_text(rate), CAST(2 + CAST(rate < 0 AS INTEGER) + places AS INTEGER), '0');

-- What is stored of a text that was sent: nothing where it is the short one, ':8' where it is the one
-- with 8 decimals, else itself, behind '::' where it could be taken for such a mark.
CREATE MACRO base.kept_text(sent, rate) AS CASE sent
    WHEN base.short_text(rate) THEN NULL
    WHEN base.padded_text(rate, length(sent) - instr(sent, '.'))
        THEN ':' || (length(sent) - instr(sent, '.'))
    ELSE CASE WHEN sent[1] = ':' THEN '::' || sent ELSE sent END END;
-- The text that was sent. Whoever reads settlements.raw_rate needs it; funding_rates and
-- rate_revisions have it.
CREATE MACRO base.sent_text(kept, rate) AS CASE
    WHEN kept IS NULL THEN base.short_text(rate)
    WHEN kept[1] <> ':' THEN kept
    WHEN kept[2] = ':' THEN kept[3:]
    ELSE base.padded_text(rate, TRY_CAST(kept[2:] AS INTEGER)) END;

ALTER TABLE settlements ALTER raw_rate DROP NOT NULL;

CREATE OR REPLACE VIEW funding_rates AS
SELECT m.exchange, m.market, m.symbol, s.funding_time, s.rate, s.interval_hours,
       s.rate / s.interval_hours AS rate_hourly,
       s.rate / s.interval_hours * 8760 AS apr,
       CASE WHEN s.rate > 0 THEN 'long' WHEN s.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       s.kind, base.sent_text(s.raw_rate, s.rate) AS raw_rate, s.lag_ms, s.cumulative_value,
       s.mark_price, s.source, s.load_id, s.collected_at, m.asset,
       CASE WHEN s.rate = 0 THEN NULL
            WHEN abs(s.rate - m.rate_cap) <= 1e-12 * abs(m.rate_cap) THEN 'cap'
            WHEN abs(s.rate - m.rate_floor) <= 1e-12 * abs(m.rate_floor) THEN 'floor'
       END AS pinned
FROM settlements s JOIN markets m USING (market_id);

CREATE OR REPLACE MACRO funding_rates_as_known(t) AS TABLE
WITH undone AS (
    SELECT market_id, funding_time,
           arg_min(struct_pack(rate, interval_hours, raw_rate, lag_ms, load_id),
                   struct_pack(revised_at, revised_by)) AS was
    FROM rate_revisions WHERE revised_at > CAST(t AS TIMESTAMP)
    GROUP BY market_id, funding_time
), known AS (
    SELECT s.market_id, s.funding_time, s.kind, s.cumulative_value, s.mark_price, s.source,
           s.collected_at,
           CASE WHEN u.was IS NULL THEN s.rate ELSE u.was.rate END AS rate,
           CASE WHEN u.was IS NULL THEN s.interval_hours ELSE u.was.interval_hours END
               AS interval_hours,
           CASE WHEN u.was IS NULL THEN base.sent_text(s.raw_rate, s.rate) ELSE u.was.raw_rate END
               AS raw_rate,
           CASE WHEN u.was IS NULL THEN s.lag_ms ELSE u.was.lag_ms END AS lag_ms,
           CASE WHEN u.was IS NULL THEN s.load_id ELSE u.was.load_id END AS load_id
    FROM settlements s LEFT JOIN undone u USING (market_id, funding_time)
    WHERE s.collected_at <= CAST(t AS TIMESTAMP)
)
SELECT m.exchange, m.market, m.symbol, k.funding_time, k.rate, k.interval_hours,
       k.rate / k.interval_hours AS rate_hourly,
       k.rate / k.interval_hours * 8760 AS apr,
       CASE WHEN k.rate > 0 THEN 'long' WHEN k.rate < 0 THEN 'short' ELSE 'none' END AS direction,
       k.kind, k.raw_rate, k.lag_ms, k.cumulative_value, k.mark_price, k.source, k.load_id,
       k.collected_at, m.asset
FROM known k JOIN markets m USING (market_id);
