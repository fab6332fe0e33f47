-- What a refused row needs to become a settlement later, and what a person decided about it.
ALTER TABLE quarantine ADD COLUMN interval_hours SMALLINT;   -- where the row itself told it
ALTER TABLE quarantine ADD COLUMN mark_price DOUBLE;
ALTER TABLE quarantine ADD COLUMN cumulative_value DOUBLE;
ALTER TABLE quarantine ADD COLUMN resolved_at TIMESTAMP;
ALTER TABLE quarantine ADD COLUMN resolution VARCHAR;        -- released | dropped

-- What a load was expected to bring and brought; null where it was not judged by its volume.
ALTER TABLE loads ADD COLUMN markets_listed INTEGER;
ALTER TABLE loads ADD COLUMN rows_answered BIGINT;
ALTER TABLE loads ADD COLUMN rows_expected BIGINT;
