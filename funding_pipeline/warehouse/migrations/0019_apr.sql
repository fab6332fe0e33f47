-- The hours first, the markets' names then. The other way round, DuckDB unnests each settlement by
-- a join of its own (80 times as slow), or, with unnest among the columns, 2.0 fails on long
-- histories: "dict-surviving cache: global dictionary column 0 changed identity".
CREATE OR REPLACE VIEW apr AS
SELECT m.exchange, m.market, m.symbol, s.hour, s.funding_time, s.rate_hourly,
       s.rate_hourly * 8760 AS apr, m.asset
FROM (
    SELECT market_id, funding_time, rate / interval_hours AS rate_hourly,
           funding_time - to_hours(CAST(unnest(range(covered_hours)) AS INTEGER)) AS hour
    FROM settlements
) s JOIN markets m USING (market_id);
