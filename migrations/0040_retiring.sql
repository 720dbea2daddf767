-- +goose Up

-- What a rotation left behind stands in the key's row, where a look-up reads it
-- anyway. Added apart from filling it, since adding a column keeps readers out
-- until the transaction ends.
ALTER TABLE api_keys ADD COLUMN retiring_prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN retiring_until BIGINT;

-- +goose Down
ALTER TABLE api_keys DROP COLUMN retiring_until;
ALTER TABLE api_keys DROP COLUMN retiring_prefix;
