-- +goose Up

-- Tokens made from 0.2 on carry a tag that only this instance can compute, so a
-- token without one is looked up only if it is known to have been made before.
-- Nodes keep the ids of those in memory. A node of 0.1, which may run beside
-- newer ones during an upgrade, knows nothing of the column and leaves it FALSE.
ALTER TABLE api_key_secrets ADD COLUMN tagged BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX api_key_secrets_untagged ON api_key_secrets (token_id) WHERE NOT tagged AND lookup IS NULL;
-- +goose StatementBegin
CREATE TRIGGER note_untagged AFTER INSERT ON api_key_secrets
    WHEN NOT NEW.tagged AND NEW.lookup IS NULL BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'untagged', NEW.token_id);
END;
-- +goose StatementEnd

-- What a node runs, so that the others write no form of data that it cannot
-- read. A node of 0.1 reports nothing.
ALTER TABLE nodes ADD COLUMN version TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE nodes DROP COLUMN version;
DROP TRIGGER note_untagged;
DROP INDEX api_key_secrets_untagged;
ALTER TABLE api_key_secrets DROP COLUMN tagged;
