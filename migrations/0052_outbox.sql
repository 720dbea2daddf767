-- +goose Up

-- Emails that are to be sent, written in the transaction that causes them. What
-- an email says is sealed under a key derived from the master key, and so are
-- the addresses: payer and address are keyed digests of who caused it and of who
-- gets it, for counting. due_at is when it may be taken next, NULL when it has
-- ended; a row that has ended holds no content and is kept for an hour only, so
-- that what it counts for does not depend on how it ended.
CREATE TABLE outbox (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    payer      BYTEA NOT NULL,
    address    BYTEA NOT NULL,
    sealed     BYTEA NOT NULL,
    turn       BIGINT NOT NULL,
    tries      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    due_at     BIGINT,
    token_at   BIGINT
);
CREATE INDEX outbox_next ON outbox (turn, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_payer ON outbox (payer, created_at);
CREATE INDEX outbox_address ON outbox (address, created_at);
CREATE INDEX outbox_oldest ON outbox (created_at);

-- +goose Down
DROP TABLE outbox;
