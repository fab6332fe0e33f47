-- So that not all midnights of all years are read again every hour.
CREATE TABLE base.changed_midnights (  -- of base.moving_averages, since asset_averages was made
    as_of TIMESTAMP NOT NULL
);
CREATE TABLE base.asset_averages_members (
    digest UBIGINT                      -- of which market counts for which asset; no row: all stale
);
