-- Most settlements are a market's newest: no average up to the settlement before can change.
ALTER TABLE dirty_days ADD COLUMN settled_until TIMESTAMP;  -- null: the day's whole reach is owed
