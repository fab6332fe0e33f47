-- What of a derivation broke; null: nothing. The rest of it stands.

ALTER TABLE derivations ADD COLUMN error VARCHAR;
