-- +goose Up

-- Secrets that were made elsewhere. Their tokens do not name a token_id, so they
-- are found by lookup: the public prefix of a Django key, or a keyed digest.
-- import_digest recognises the hash as it was imported, even after the first
-- good use has replaced it, so that importing it again changes nothing.
ALTER TABLE api_key_secrets ADD COLUMN lookup TEXT;
ALTER TABLE api_key_secrets ADD COLUMN parameters TEXT;
ALTER TABLE api_key_secrets ADD COLUMN import_digest BYTEA;
ALTER TABLE api_key_secrets ADD COLUMN import_batch BIGINT;
CREATE UNIQUE INDEX api_key_secrets_lookup ON api_key_secrets (lookup, project_id) WHERE lookup IS NOT NULL;
CREATE INDEX api_key_secrets_import ON api_key_secrets (import_batch) WHERE import_batch IS NOT NULL;

-- The number of the last batch. Taking the next one locks the row, so batches
-- become visible in the order of their numbers, and a node that has read up to
-- one has missed nothing before it.
CREATE TABLE import_batches (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);
INSERT INTO import_batches (id, number) VALUES (1, 0);

-- Imported hashes whose key has been deleted: importing them again does not
-- bring it back.
CREATE TABLE ended_imports (
    project_id    TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    import_digest BYTEA NOT NULL,
    PRIMARY KEY (project_id, import_digest)
);

-- +goose Down
DROP TABLE ended_imports;
DROP TABLE import_batches;
DROP INDEX api_key_secrets_import;
DROP INDEX api_key_secrets_lookup;
ALTER TABLE api_key_secrets DROP COLUMN import_batch;
ALTER TABLE api_key_secrets DROP COLUMN import_digest;
ALTER TABLE api_key_secrets DROP COLUMN parameters;
ALTER TABLE api_key_secrets DROP COLUMN lookup;
