-- +goose Up

-- What proving a key asks for stands in the two rows that it reads anyway: when
-- a secret was first used, and what a rotation left behind.
ALTER TABLE api_key_secrets ADD COLUMN first_used_at BIGINT;
ALTER TABLE api_keys ADD COLUMN retiring_prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN retiring_until BIGINT;

-- Being used for the first time is no change to what a secret proves.
DROP TRIGGER note_secret_update;
-- +goose StatementBegin
CREATE TRIGGER note_secret_update AFTER UPDATE ON api_key_secrets WHEN NEW.first_used_at IS OLD.first_used_at BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER note_secret_update;
-- +goose StatementBegin
CREATE TRIGGER note_secret_update AFTER UPDATE ON api_key_secrets BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id);
END;
-- +goose StatementEnd
ALTER TABLE api_keys DROP COLUMN retiring_until;
ALTER TABLE api_keys DROP COLUMN retiring_prefix;
ALTER TABLE api_key_secrets DROP COLUMN first_used_at;
