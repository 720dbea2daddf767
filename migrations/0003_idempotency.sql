-- +goose Up

-- What an Idempotency-Key has been answered with, so that a caller who lost the
-- answer can ask again. It holds no token and nothing to compute one from
-- without the master key and the Idempotency-Key itself. Rows live for a day.
CREATE TABLE idempotency_keys (
    caller         TEXT NOT NULL,
    digest         BYTEA NOT NULL,
    fingerprint    BYTEA NOT NULL,
    salt           BYTEA NOT NULL,
    pepper_version BIGINT NOT NULL,
    answer         BYTEA NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (caller, digest)
);
CREATE INDEX idempotency_keys_oldest ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
